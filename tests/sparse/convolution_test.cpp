// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on pair lists: numbers by hand, a scalar sum over the pairs, closed forms, gradients, adjoints.
#include "convolution_oracle.hpp"

namespace convolution_test {

using namespace sqs;
using namespace sqs::test;

TEST(convolution, a_line_of_three_by_hand) {
  // Rows at 0, 1, 3; taps see -1, 0, +1. W doubles from tap to tap: 1, 10, 100.
  cpu e{.threads = 1};
  const std::vector<site> line{{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 0, 3}};
  const auto pairs = pairs_of(line, line, {{0, 0, -1}, {0, 0, 0}, {0, 0, 1}});
  ASSERT_EQ(pairs.size(), 5u);
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 2, x(1, 0) = 3, x(2, 0) = 5;
  auto w = make_tensor<double, 3>({3, 1, 1});
  w(0, 0, 0) = 1, w(1, 0, 0) = 10, w(2, 0, 0) = 100;
  auto bias = make_tensor<double, 1>({1}, 7000.0);
  const convolution_op op{mirrored_plan_of(pairs, 3, 3, 2)};
  const auto r = op.forward(e, x, w, bias);
  EXPECT_EQ(r.value(0, 0), 7000 + 20 + 300);
  EXPECT_EQ(r.value(1, 0), 7000 + 2 + 30);
  EXPECT_EQ(r.value(2, 0), 7000 + 50);
  auto dy = make_tensor<double, 2>({3, 1});
  dy(0, 0) = 1, dy(1, 0) = 2, dy(2, 0) = 3;
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all_gradients);
  EXPECT_EQ(dx(0, 0), 10 * 1 + 1 * 2); // seen by itself, and by row 1 at tap 0
  EXPECT_EQ(dx(1, 0), 100 * 1 + 10 * 2);
  EXPECT_EQ(dx(2, 0), 10 * 3);
  EXPECT_EQ(dw(0, 0, 0), 2 * 2);
  EXPECT_EQ(dw(1, 0, 0), 1 * 2 + 2 * 3 + 3 * 5);
  EXPECT_EQ(dw(2, 0, 0), 1 * 3);
  EXPECT_EQ(db(0), 6);
}

TEST(convolution, is_the_plain_sum_for_all_widths) {
  cpu e{.threads = 2};
  const auto sites = random_sites(150, 6, 1);
  const auto out = coarse(sites);
  const auto n = static_cast<idx>(sites.size()), m = static_cast<idx>(out.size());
  const auto same = pairs_of(sites, sites, cube(3)), strided = pairs_of(sites, out, cube(3), 2);
  for (const auto& [cin, cout] : {std::pair<idx, idx>{1, 1}, {7, 33}, {33, 7}, {1, 40}, {20, 64}, {64, 20}, {5, 100}}) {
    expect_plain(e, {mirrored_plan_of(same, n, 27, 64)}, {same, n, n, 27, cin, cout, 1}, 1e-10);
    expect_plain(e, {plan_of(same, n, n, 27, 64)}, {same, n, n, 27, cin, cout, 1}, 1e-10);
    expect_plain(e, {plan_of(strided, n, m, 27, 16)}, {strided, n, m, 27, cin, cout, 1}, 1e-10);
    expect_plain(e, {plan_of(strided, n, m, 27, 16).adjoint()},
                 {[&] {
                    auto back = strided;
                    for (auto& p : back) { std::swap(p.input, p.output); }
                    return back;
                  }(),
                  m, n, 27, cin, cout, 1},
                 1e-10);
  }
}

TEST(convolution, many_channels_are_taken_in_parts) {
  // Weights beyond a second-level cache, and beyond a first-level one for each tap: other tasks and loops, the same sums.
  const auto sites = random_sites(70, 5, 6);
  const auto n = static_cast<idx>(sites.size());
  const auto same = pairs_of(sites, sites, cube(3)), shared = random_pairs(300, n, n, 27, 7);
  cpu e{.threads = 2};
  for (const auto& [cin, cout] : {std::pair<idx, idx>{600, 20}, {20, 600}, {530, 70}}) {
    expect_plain(e, {mirrored_plan_of(same, n, 27, 16)}, {same, n, n, 27, cin, cout, 1}, 1e-9);
    expect_plain(e, {plan_of(shared, n, n, 27, 16)}, {shared, n, n, 27, cin, cout, 1}, 1e-9);
    const auto x = random_float<2>({n, cin}, 8);
    const auto w = random_float<3>({27, cin, cout}, 9, 0.1);
    const auto run = [&, &out = cout](int threads, const std::vector<pair>& pairs, idx tile) {
      cpu with{.threads = threads};
      const sparse::epilogue<float> relu{{}, {}, random_float<2>({n, out}, 10), {sparse::activation_kind::relu, 0}};
      return convolution_op{plan_of(pairs, n, n, 27, tile)}.finished(with, x, w, no_bias_float, relu);
    };
    for (const auto& pairs : {same, shared}) {
      const auto expected = run(1, pairs, 16);
      EXPECT_TRUE(same_bits(run(3, pairs, 16), expected)) << cin;
      EXPECT_TRUE(same_bits(run(2, pairs, 64), expected)) << cin;
    }
  }
}

TEST(convolution, takes_any_pairs_in_any_order) {
  // No geometry: pairs that share output and tap, outputs without pairs, rows in an order of their own.
  cpu e{.threads = 2};
  for (const idx taps : {1, 2, 27, 125}) {
    const idx inputs = 90, outputs = 130;
    const auto pairs = random_pairs(2000, inputs, outputs, taps, 5);
    auto plan = plan_of(pairs, inputs, outputs, taps, 32);
    expect_plain(e, {plan}, {pairs, inputs, outputs, taps, 9, 35, 1}, 1e-9);
    std::vector<std::int32_t> order;
    for (std::int32_t i = 0; i < outputs; ++i) { order.push_back(i * 37 % 130); }
    plan.forward = lists_of(pairs, inputs, outputs, taps, 32, order);
    expect_plain(e, {plan}, {pairs, inputs, outputs, taps, 9, 35, 1}, 1e-9);
  }
}

TEST(convolution, pairs_that_share_output_and_tap_all_count) {
  cpu e{.threads = 1};
  std::vector<pair> pairs;
  for (std::int32_t i = 0; i < 50; ++i) { pairs.push_back({0, i, i / 20}); }
  const auto x = make_tensor<double, 2>({50, 1}, 1.0);
  const auto w = make_tensor<double, 3>({1, 1, 17}, 1.0);
  const auto y = convolution_op{plan_of(pairs, 50, 4, 1, 4)}.forward(e, x, w, no_bias).value;
  for (idx o = 0; o < 17; ++o) {
    EXPECT_EQ(y(0, o), 20);
    EXPECT_EQ(y(1, o), 20);
    EXPECT_EQ(y(2, o), 10);
    EXPECT_EQ(y(3, o), 0);
  }
}

TEST(convolution, groups_see_their_own_channels) {
  cpu e{.threads = 2};
  const auto sites = random_sites(80, 5, 2);
  const auto n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  struct shape {
    idx groups, cin, cout;
  };
  for (const auto& s : {shape{2, 6, 10}, {3, 21, 3}, {4, 4, 4}, {37, 37, 37}, {5, 5, 35}, {2, 64, 128}, {33, 66, 33}}) {
    auto mirrored = convolution_op{mirrored_plan_of(pairs, n, 27, 32), s.groups};
    auto general = convolution_op{plan_of(pairs, n, n, 27, 32), s.groups};
    expect_plain(e, mirrored, {pairs, n, n, 27, s.cin, s.cout, s.groups}, 1e-10);
    expect_plain(e, general, {pairs, n, n, 27, s.cin, s.cout, s.groups}, 1e-10);
  }
}

TEST(convolution, sizes_around_a_tile_and_none) {
  cpu e{.threads = 2};
  constexpr idx tile = 16;
  for (const idx n : {idx{0}, idx{1}, tile - 1, tile, tile + 1, 5 * tile, 40 * tile + 3}) {
    const auto sites = random_sites(n, 12, 3);
    const auto pairs = pairs_of(sites, sites, cube(3));
    for (const idx c : {1, 7, 33}) {
      expect_plain(e, {mirrored_plan_of(pairs, n, 27, tile)}, {pairs, n, n, 27, c, c, 1}, 1e-9);
    }
  }
  // Rows but no pairs at all: the bias is left, and gradients are zero.
  expect_plain(e, {plan_of({}, 5, 3, 27, tile)}, {{}, 5, 3, 27, 7, 33, 1}, 0);
  expect_plain(e, {plan_of({}, 5, 0, 27, tile)}, {{}, 5, 0, 27, 7, 33, 1}, 0);
  expect_plain(e, {plan_of({}, 0, 3, 27, tile)}, {{}, 0, 3, 27, 7, 33, 1}, 0);
}

TEST(convolution, structured_weights_give_closed_forms) {
  cpu e{.threads = 1};
  const auto sites = random_sites(200, 7, 4);
  const auto n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  const convolution_op op{mirrored_plan_of(pairs, n, 27, 64)};
  const auto x = random_float<2>({n, 19}, 6);
  // The identity at the centre returns x, bit by bit.
  auto w = make_tensor<float, 3>({27, 19, 19});
  for (idx k = 0; k < 19; ++k) { w(13, k, k) = 1; }
  EXPECT_TRUE(same_bits(op.forward(e, x, w, no_bias_float).value, x));
  // The identity at another tap moves rows: the neighbour's row, or nothing.
  for (const idx tap : {0, 5, 26}) {
    std::fill(w.begin(), w.end(), 0.0f);
    for (idx k = 0; k < 19; ++k) { w(tap, k, k) = 1; }
    const auto y = op.forward(e, x, w, no_bias_float).value;
    auto expected = make_tensor<float, 2>({n, 19});
    for (const auto& p : pairs) {
      if (p.tap != tap) { continue; }
      for (idx k = 0; k < 19; ++k) { expected(p.output, k) = x(p.input, k); }
    }
    for (idx i = 0; i < y.size(); ++i) { ASSERT_EQ(y.data()[i], expected.data()[i]); }
  }
  // Ones everywhere count the pairs.
  const auto ones = make_tensor<float, 2>({n, 2}, 1.0f);
  const auto y = op.forward(e, ones, make_tensor<float, 3>({27, 2, 3}, 1.0f), no_bias_float).value;
  std::vector<float> count(static_cast<std::size_t>(n));
  for (const auto& p : pairs) { count[static_cast<std::size_t>(p.output)] += 2; }
  for (idx i = 0; i < n; ++i) {
    for (idx o = 0; o < 3; ++o) { ASSERT_EQ(y(i, o), count[static_cast<std::size_t>(i)]); }
  }
}

TEST(convolution, gradients_are_those_of_differences) {
  cpu e{.threads = 2};
  const auto sites = random_sites(20, 3, 5);
  const auto out = coarse(sites);
  const auto n = static_cast<idx>(sites.size()), m = static_cast<idx>(out.size());
  const auto same = pairs_of(sites, sites, cube(3)), strided = pairs_of(sites, out, cube(3), 2);
  const auto check = [&](const convolution_op& op, idx cin, idx cout) {
    auto x = random<2>({op.plan.forward.inputs, cin}, 7);
    auto w = random<3>({27, cin / op.groups, cout}, 8);
    auto b = random<1>({cout}, 9);
    EXPECT_GRADIENT(check_gradient(e, op, x, w, b), 1e-8);
  };
  check({mirrored_plan_of(same, n, 27, 8)}, 3, 2);
  check({plan_of(strided, n, m, 27, 4)}, 2, 5);
  check({plan_of(strided, n, m, 27, 4).adjoint()}, 2, 3);
  check({mirrored_plan_of(same, n, 27, 8), 2}, 4, 2);
  check({mirrored_plan_of(same, n, 27, 8), 3}, 3, 3);
  check({plan_of(strided, n, m, 27, 4), 3}, 3, 3);
  check({plan_of(random_pairs(60, n, m, 27, 6), n, m, 27, 4)}, 2, 3);
}

TEST(convolution, the_adjoint_is_the_adjoint) {
  // <y, conv(x)> = <conv'(y), x>, where conv' is the op on the adjoint plan with each tap transposed.
  cpu e{.threads = 2};
  const auto sites = random_sites(400, 10, 8);
  const auto out = coarse(sites);
  const auto n = static_cast<idx>(sites.size()), m = static_cast<idx>(out.size());
  const auto same = pairs_of(sites, sites, cube(3));
  const sparse::convolution_plan plans[] = {mirrored_plan_of(same, n, 27, 64), plan_of(same, n, n, 27, 64),
                                            plan_of(pairs_of(sites, out, cube(3), 2), n, m, 27, 64),
                                            plan_of(random_pairs(3000, n, m, 27, 9), n, m, 27, 64)};
  for (const auto& plan : plans) {
    for (const auto& [cin, cout] : {std::pair<idx, idx>{7, 33}, {64, 32}}) {
      const convolution_op op{plan}, back{plan.adjoint()};
      const auto x = random<2>({plan.forward.inputs, cin}, 10), y = random<2>({plan.forward.outputs, cout}, 11);
      const auto w = random<3>({27, cin, cout}, 12);
      auto transposed = make_tensor<double, 3>({27, cout, cin});
      for (idx k = 0; k < 27; ++k) {
        for (idx i = 0; i < cin; ++i) {
          for (idx j = 0; j < cout; ++j) { transposed(k, j, i) = w(k, i, j); }
        }
      }
      const auto r = op.forward(e, x, w, no_bias);
      const double forward = dot(y, r.value);
      const auto dx = std::get<0>(op.backward(e, r.saved, y, all_gradients));
      const double scale = std::sqrt(dot(y, y) * dot(r.value, r.value));
      EXPECT_NEAR(dot(dx, x), forward, 1e-12 * scale);
      EXPECT_NEAR(dot(back.forward(e, y, transposed, no_bias).value, x), forward, 1e-12 * scale);
      EXPECT_NEAR(dot(std::get<1>(op.backward(e, r.saved, y, all_gradients)), w), forward, 1e-12 * scale);
    }
  }
}

TEST(convolution, float_is_close_to_double) {
  cpu e{.threads = 2};
  const auto sites = random_sites(2000, 14, 18);
  const auto n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  const convolution_op op{mirrored_plan_of(pairs, n, 27, 256)};
  const idx c = 64;
  const auto x = random_float<2>({n, c}, 19), dy = random_float<2>({n, c}, 20);
  const auto w = random_float<3>({27, c, c}, 21, 0.1);
  const auto r = op.forward(e, x, w, no_bias_float);
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all_gradients);
  const plain p{pairs, n, n, 27, c, c, 1};
  const double per_row = static_cast<double>(pairs.size()) / static_cast<double>(n);
  const auto expect_close = [](const auto& got, const std::vector<double>& exact, double terms) {
    double most = 0;
    for (const double v : exact) { most = std::max(most, std::abs(v)); }
    EXPECT_LE(worst(got, exact), 1e-5 * (1 + most) * std::sqrt(terms / 400));
  };
  expect_close(r.value, p.forward(x, w, no_bias_float), per_row * static_cast<double>(c));
  expect_close(dx, p.dx(w, dy), per_row * static_cast<double>(c));
  expect_close(dw, p.dw(x, dy), static_cast<double>(pairs.size()) / 27);
}

} // namespace convolution_test

// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on pair lists: numbers by hand, a scalar sum over the pairs, closed forms, gradients, adjoints,
// bits across threads and tiles, edges, offsets above 2^31, errors.
#include "../support/check.hpp"
#include "pairs_oracle.hpp"

#include <sqs/sparse/convolution.hpp>

#include <cstring>
#include <set>
#include <sys/mman.h>

namespace {

using namespace sqs;
using namespace sqs::test;
using sparse::convolution_op;
using testing::HasSubstr;

/// n distinct sites of two batches in a cube of `side`, sorted.
std::vector<site> random_sites(idx n, int side, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::set<site> sites;
  for (idx i = 0; static_cast<idx>(sites.size()) < n; i += 4) {
    const auto draw = [&](idx k, int most) { return static_cast<int>(s.uniform(i + k) * most); };
    sites.insert({draw(0, 2), draw(1, side), draw(2, side), draw(3, side)});
  }
  return {sites.begin(), sites.end()};
}
/// Pairs without any geometry, some of them twice; every third output gets none.
std::vector<pair> random_pairs(idx n, idx inputs, idx outputs, idx taps, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::vector<pair> pairs;
  for (idx i = 0; i < n; ++i) {
    const auto draw = [&](idx k, idx most) {
      return static_cast<std::int32_t>(s.uniform(4 * i + k) * static_cast<double>(most));
    };
    const pair p{draw(0, taps), draw(1, inputs), draw(2, outputs)};
    if (p.output % 3 == 2) { continue; }
    pairs.push_back(p);
    if (i % 5 == 0) { pairs.push_back({p.tap, draw(3, inputs), p.output}); }
  }
  return pairs;
}
/// Every second site, halved: the outputs of a strided convolution.
std::vector<site> coarse(const std::vector<site>& fine) {
  std::set<site> sites;
  for (const auto& f : fine) { sites.insert({f[0], f[1] / 2, f[2] / 2, f[3] / 2}); }
  return {sites.begin(), sites.end()};
}

/// What the operator computes, in its plainest form: one number times another, in double.
struct plain {
  std::vector<pair> pairs;
  idx inputs, outputs, taps, cin, cout, groups;

  template <class F> void for_each_product(F&& f) const {
    const idx in = cin / groups, out = cout / groups;
    for (const auto& p : pairs) {
      for (idx o = 0; o < cout; ++o) {
        for (idx k = 0; k < in; ++k) {
          f(p.input * cin + o / out * in + k, (p.tap * in + k) * cout + o, p.output * cout + o);
        }
      }
    }
  }
  template <class T>
  std::vector<double> forward(const tensor<T, 2>& x, const tensor<T, 3>& w, const tensor<T, 1>& bias) const {
    std::vector<double> y(static_cast<std::size_t>(outputs * cout));
    for (std::size_t i = 0; i < y.size() && bias.size() > 0; ++i) { y[i] = bias.data()[static_cast<idx>(i) % cout]; }
    for_each_product([&](idx i, idx k, idx o) {
      y[static_cast<std::size_t>(o)] += static_cast<double>(x.data()[i]) * static_cast<double>(w.data()[k]);
    });
    return y;
  }
  template <class T> std::vector<double> dx(const tensor<T, 3>& w, const tensor<T, 2>& dy) const {
    std::vector<double> d(static_cast<std::size_t>(inputs * cin));
    for_each_product([&](idx i, idx k, idx o) {
      d[static_cast<std::size_t>(i)] += static_cast<double>(dy.data()[o]) * static_cast<double>(w.data()[k]);
    });
    return d;
  }
  template <class T> std::vector<double> dw(const tensor<T, 2>& x, const tensor<T, 2>& dy) const {
    std::vector<double> d(static_cast<std::size_t>(taps * (cin / groups) * cout));
    for_each_product([&](idx i, idx k, idx o) {
      d[static_cast<std::size_t>(k)] += static_cast<double>(dy.data()[o]) * static_cast<double>(x.data()[i]);
    });
    return d;
  }
};

template <class T, int R> double worst(const tensor<T, R>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), static_cast<idx>(b.size()));
  double gap = 0;
  for (idx i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - b[static_cast<std::size_t>(i)]);
    gap = d <= gap ? gap : d; // NaN stays
  }
  return gap;
}
template <class T, int R> bool same_bits(const tensor<T, R>& a, const tensor<T, R>& b) {
  return a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}
template <int R> double dot(const tensor<double, R>& a, const tensor<double, R>& b) {
  double sum = 0;
  for (idx i = 0; i < a.size(); ++i) { sum += a.data()[i] * b.data()[i]; }
  return sum;
}
constexpr std::array<bool, 3> all{true, true, true};
const tensor<double, 1> no_bias = make_tensor<double, 1>({0});
const tensor<float, 1> no_bias_float = make_tensor<float, 1>({0});

/// Forward pass and all gradients of `op` on random numbers against the plain sums.
void expect_plain(cpu& e, const convolution_op& op, const plain& p, double bound) {
  const auto x = random<2>({p.inputs, p.cin}, 1), dy = random<2>({p.outputs, p.cout}, 2);
  const auto w = random<3>({p.taps, p.cin / p.groups, p.cout}, 3);
  const auto bias = random<1>({p.cout}, 4);
  const auto r = op.forward(e, x, w, bias);
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all);
  EXPECT_LE(worst(r.value, p.forward(x, w, bias)), bound);
  EXPECT_LE(worst(dx, p.dx(w, dy)), bound);
  EXPECT_LE(worst(dw, p.dw(x, dy)), bound);
  for (idx o = 0; o < p.cout; ++o) {
    double sum = 0;
    for (idx i = 0; i < p.outputs; ++i) { sum += dy(i, o); }
    EXPECT_NEAR(db(o), sum, bound);
  }
}

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
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all);
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
      const auto dx = std::get<0>(op.backward(e, r.saved, y, all));
      const double scale = std::sqrt(dot(y, y) * dot(r.value, r.value));
      EXPECT_NEAR(dot(dx, x), forward, 1e-12 * scale);
      EXPECT_NEAR(dot(back.forward(e, y, transposed, no_bias).value, x), forward, 1e-12 * scale);
      EXPECT_NEAR(dot(std::get<1>(op.backward(e, r.saved, y, all)), w), forward, 1e-12 * scale);
    }
  }
}

TEST(convolution, bits_do_not_depend_on_threads_or_repeats) {
  const auto sites = random_sites(900, 12, 13);
  const auto n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  for (const idx groups : {1, 33}) {
    const auto x = random_float<2>({n, 33}, 14), dy = random_float<2>({n, 66 / (groups == 1 ? 1 : 2)}, 15);
    const auto w = random_float<3>({27, 33 / groups, dy.extent(1)}, 16);
    const auto b = random_float<1>({dy.extent(1)}, 17);
    cpu one{.threads = 1};
    const convolution_op op{mirrored_plan_of(pairs, n, 27, 32), groups};
    const auto first = op.forward(one, x, w, b);
    const auto gradients = op.backward(one, first.saved, dy, all);
    for (const int threads : {1, 2, 3, 4, 2}) {
      cpu e{.threads = threads};
      const auto r = op.forward(e, x, w, b);
      const auto [dx, dw, db] = op.backward(e, r.saved, dy, all);
      EXPECT_TRUE(same_bits(r.value, first.value)) << threads;
      EXPECT_TRUE(same_bits(dx, std::get<0>(gradients))) << threads;
      EXPECT_TRUE(same_bits(dw, std::get<1>(gradients))) << threads;
      EXPECT_TRUE(same_bits(db, std::get<2>(gradients))) << threads;
    }
    // Nor on the size of the tiles, but for the weights' sums.
    for (const idx tile : {1, 7, 1024}) {
      const convolution_op other{plan_of(pairs, n, n, 27, tile), groups};
      EXPECT_TRUE(same_bits(other.forward(one, x, w, b).value, first.value)) << tile;
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
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all);
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

TEST(convolution, what_is_not_finite_reaches_exactly_who_sees_it) {
  cpu e{.threads = 1};
  const auto sites = random_sites(120, 6, 22);
  const auto n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  const convolution_op op{mirrored_plan_of(pairs, n, 27, 32)};
  const auto w = random_float<3>({27, 33, 7}, 24);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const idx channel : {0, 32}) {
      auto x = random_float<2>({n, 33}, 23);
      x(40, channel) = bad;
      std::vector<bool> sees(static_cast<std::size_t>(n));
      for (const auto& p : pairs) {
        if (p.input == 40) { sees[static_cast<std::size_t>(p.output)] = true; }
      }
      const auto r = op.forward(e, x, w, no_bias_float);
      for (idx i = 0; i < n; ++i) {
        for (idx o = 0; o < 7; ++o) { ASSERT_EQ(std::isfinite(r.value(i, o)), !sees[static_cast<std::size_t>(i)]); }
      }
      // The weights' gradient: the row of this channel, at the taps at which somebody sees it.
      const auto dw = std::get<1>(op.backward(e, r.saved, random_float<2>({n, 7}, 25), all));
      std::set<idx> taps;
      for (const auto& p : pairs) {
        if (p.input == 40) { taps.insert(p.tap); }
      }
      ASSERT_LT(taps.size(), 27u);
      for (idx k = 0; k < 27; ++k) {
        for (idx i = 0; i < 33; ++i) {
          for (idx o = 0; o < 7; ++o) { ASSERT_EQ(std::isfinite(dw(k, i, o)), i != channel || !taps.contains(k)); }
        }
      }
    }
  }
}

TEST(convolution, only_what_is_wanted_is_computed) {
  cpu e{.threads = 1};
  const auto pairs = random_pairs(50, 9, 9, 3, 1);
  const convolution_op op{plan_of(pairs, 9, 9, 3, 4)};
  const auto r = op.forward(e, random<2>({9, 2}, 1), random<3>({3, 2, 2}, 2), no_bias);
  const auto [dx, dw, db] = op.backward(e, r.saved, random<2>({9, 2}, 3), {false, true, false});
  EXPECT_FALSE(dx);
  EXPECT_TRUE(dw);
  EXPECT_FALSE(db);
}

/// Memory of which only touched pages exist.
struct vast {
  std::size_t bytes;
  void* data;
  explicit vast(std::size_t n)
      : bytes(n),
        data(mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~vast() {
    if (data != MAP_FAILED) { munmap(data, bytes); }
  }
  vast(const vast&) = delete;
  vast& operator=(const vast&) = delete;
};

TEST(convolution, offsets_above_2_to_the_31) {
  cpu e{.threads = 1};
  constexpr idx rows = (idx{1} << 26) + 5, c = 33; // 2.2e9 numbers, of which two rows exist
  static_assert(rows * c > idx{1} << 31);
  const vast memory(static_cast<std::size_t>(rows * c) * sizeof(float));
  if (memory.data == MAP_FAILED) { GTEST_SKIP() << "the system reserves no " << memory.bytes << " bytes"; }
  tensor<float, 2> x({}, static_cast<float*>(memory.data), {rows, c});
  for (idx k = 0; k < c; ++k) { x(0, k) = 1, x(rows - 1, k) = static_cast<float>(k); }
  sparse::convolution_plan plan;
  plan.forward = lists_of({{0, 0, 0}, {0, static_cast<std::int32_t>(rows - 1), 1}}, rows, 2, 1, 2);
  plan.backward.inputs = 2, plan.backward.outputs = rows, plan.backward.taps = 1;
  const convolution_op op{plan};
  const auto r = op.forward(e, x, make_tensor<float, 3>({1, c, 1}, 1.0f), no_bias_float);
  EXPECT_EQ(r.value(0, 0), 33);
  EXPECT_EQ(r.value(1, 0), 32 * 33 / 2);
  const auto dw = std::get<1>(op.backward(e, r.saved, make_tensor<float, 2>({2, 1}, 1.0f), {false, true, false}));
  for (idx k = 0; k < c; ++k) { EXPECT_EQ(dw(0, k, 0), static_cast<float>(k + 1)); }
  // Outputs that far away: two tiles, with rows of y as far apart as 2^30 numbers.
  constexpr idx stride = idx{1} << 30;
  float* const y = static_cast<float*>(memory.data);
  const auto lists = lists_of({{0, 0, 0}, {0, 1, 1}, {0, 0, 2}}, 2, 3, 1, 2);
  const auto panels = sparse::detail::pack_weights(e, make_tensor<float, 3>({1, 1, 17}, 2.0f), 1, false, false);
  const float from[] = {3, 5};
  if (2 * stride + 17 <= rows * c) {
    sparse::detail::product<float>(e, lists, panels, from, 1, nullptr, y, stride);
    for (idx k = 0; k < 17; ++k) {
      EXPECT_EQ(y[k], 6);
      EXPECT_EQ(y[stride + k], 10);
      EXPECT_EQ(y[2 * stride + k], 6);
    }
  }
}

TEST(convolution, partial_weight_gradients_take_bounded_memory) {
  sparse::pair_lists l;
  l.taps = 27, l.tile = 1024, l.outputs = 1 << 20;
  const auto small = sparse::detail::gradient_cut::of<float>(l, 27 * 64 * 64);
  EXPECT_EQ(small.ranges, 32);
  EXPECT_EQ(small.parts, 1);
  const auto large = sparse::detail::gradient_cut::of<float>(l, 27 * 512 * 512);
  EXPECT_EQ(large.ranges, 2);
  EXPECT_EQ(large.parts, 16);
  l.outputs = 2000; // two tiles: the taps are divided, too
  EXPECT_EQ(sparse::detail::gradient_cut::of<float>(l, 27 * 64 * 64).parts, 16);
  EXPECT_EQ(sparse::detail::gradient_cut::of<float>(l, idx{27} << 20).ranges, 1);
}

TEST(convolution, a_layer_learns_on_a_graph) {
  cpu e{.threads = 2};
  const auto sites = random_sites(60, 5, 26);
  const auto n = static_cast<idx>(sites.size());
  const auto plan = mirrored_plan_of(pairs_of(sites, sites, cube(3)), n, 27, 32);
  initializer init(1);
  auto layer = sparse::convolution<double>::make(4, 6, 27, true, init, 2);
  EXPECT_EQ(layer.weight.value.shape(), (extents<3>{27, 2, 6}));
  const auto x = random<2>({n, 4}, 27);
  training_graph<cpu> g{e};
  const auto y = layer(g, g.input(x), plan);
  const auto r = convolution_op{plan, 2}.forward(e, x, layer.weight.value, layer.bias.value);
  EXPECT_TRUE(same_bits(y.value(), r.value));
}

TEST(convolution, errors_name_the_shapes) {
  cpu e{.threads = 1};
  const auto pairs = random_pairs(50, 9, 8, 3, 1);
  const convolution_op op{plan_of(pairs, 9, 8, 3, 4)};
  const auto x = random<2>({9, 4}, 1), few = random<2>({7, 4}, 1);
  const auto w = random<3>({3, 4, 6}, 2);
  const auto message = [&](const convolution_op& o, const auto& from, const auto& weight, const auto& bias) {
    return message_of([&] { o.forward(e, from, weight, bias); });
  };
  EXPECT_THAT(
      message(op, few, w, no_bias),
      HasSubstr("sqs::sparse::convolution: x has 7 rows and weight 3 taps, the plan has 9 input rows and 3 taps; "
                "use the plan made for these sites and this kernel"));
  EXPECT_THAT(message(op, x, random<3>({27, 4, 6}, 2), no_bias), HasSubstr("weight 27 taps, the plan has"));
  EXPECT_THAT(message(op, x, random<3>({3, 5, 6}, 2), no_bias),
              HasSubstr("x has 4 channels in 1 groups, weight is [3, 5, 6], bias has 0 elements; weight must be [taps, "
                        "Cin / groups, Cout] and bias [Cout] or empty"));
  EXPECT_THAT(message(op, x, w, random<1>({5}, 1)), HasSubstr("bias has 5 elements"));
  EXPECT_THAT(message({op.plan, 3}, x, w, no_bias),
              HasSubstr("3 groups do not divide 4 input and 6 output channels; choose a common divisor"));
  EXPECT_THAT(message({op.plan, 0}, x, w, no_bias), HasSubstr("0 groups do not divide"));
  EXPECT_THAT(message({{op.plan.forward, op.plan.forward, false}}, x, w, no_bias),
              HasSubstr("the plan goes from 9 rows to 8 and back from 9 to 8, with 3 and 3 taps"));
  const auto saved = op.forward(e, x, w, no_bias).saved;
  EXPECT_THAT(message_of([&] {
                op.backward(e, saved, random<2>({9, 6}, 1), all);
              }),
              HasSubstr("the gradient of y is [9, 6] but y is [8, 6]"));
  initializer init(1);
  EXPECT_THAT(message_of([&] { sparse::convolution<float>::make(4, 6, 27, true, init, 4); }),
              HasSubstr("4 groups do not divide 4 input and 6 output channels"));
}

TEST(convolution, no_channels_at_all) {
  cpu e{.threads = 1};
  const auto plan = test::mirrored_plan_of({{13, 0, 0}, {13, 1, 1}}, 2, 27, 16);
  const sparse::convolution_op op{plan};
  const auto [y, saved] =
      op.forward(e, make_tensor<float, 2>({2, 0}), make_tensor<float, 3>({27, 0, 0}), make_tensor<float, 1>({0}));
  const auto [dx, dw, db] = op.backward(e, saved, y, {true, true, true});
  EXPECT_EQ(dx.shape(), (extents<2>{2, 0}));
  EXPECT_EQ(dw.size(), 0);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The convolution on a matrix unit: its kernel on the model against sums in double, shapes that fill no register, pairs
// that come twice, threads; the real unit, or its instructions trapped; and which way an operator goes here.
#include "convolution_oracle.hpp"
#include "tile_unit_trap.hpp"

#include <numeric>

namespace tile_unit_product_test {

using namespace sqs;
using namespace sqs::test;
using sparse::unit_policy;
using sparse::detail::row_epilogue;

tensor<bfloat16, 2> narrow(const tensor<double, 2>& x) { return persistent_copy<bfloat16>(persistent_copy<float>(x)); }
template <class From, int R> tensor<float, R> wide(const tensor<From, R>& x) { return persistent_copy<float>(x); }
/// Weights as a unit sees them.
tensor<float, 3> rounded(const tensor<float, 3>& w) { return wide(persistent_copy<bfloat16>(w)); }
template <int R> tensor<float, R> magnitudes(const tensor<float, R>& x) {
  auto y = persistent_copy<float>(x);
  for (idx i = 0; i < y.size(); ++i) { y.data()[i] = std::abs(y.data()[i]); }
  return y;
}

/// y = bias + x W by `Unit`.
template <class Unit> tensor<bfloat16, 2> product_on(cpu& e, const sparse::pair_lists& l, const tensor<bfloat16, 2>& x,
                                                     const tensor<float, 3>& w, const tensor<float, 1>& bias,
                                                     idx groups = 1, bool transposed = false, bool flipped = false,
                                                     const row_epilogue<float>& f = {}) {
  const auto packed = sparse::detail::pack_for_unit(e, w, groups, transposed, flipped);
  auto y = make_tensor<bfloat16, 2>({l.outputs, packed.columns * groups}, bfloat16(-7.0f));
  sparse::detail::unit_product<Unit>(e, l, packed, x.data(), x.extent(1), bias.size() == 0 ? nullptr : bias.data(),
                                     y.data(), y.extent(1), f);
  return y;
}

/// Each sum of `exact` terms within its rounding: a block of 32 channels takes 17 additions, then come as many as there
/// are blocks and taps, each off by 2^-24 of what `magnitude` sums at most; the result is rounded to 8 bits.
void expect_rounded(const tensor<bfloat16, 2>& y, const std::vector<double>& exact,
                    const std::vector<double>& magnitude, idx taps, idx depth) {
  const double additions = static_cast<double>(18 + taps * ((depth + 31) / 32));
  ASSERT_EQ(static_cast<std::size_t>(y.size()), exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double bound = std::abs(exact[i]) / 256 + 1.01 * additions * 0x1p-24 * magnitude[i];
    ASSERT_LE(std::abs(static_cast<float>(y.data()[static_cast<idx>(i)]) - exact[i]), bound) << i;
  }
}

/// A submanifold convolution of n sites, both ways.
void expect_both_ways(idx n, idx cin, idx cout, idx groups, idx tile) {
  SCOPED_TRACE(testing::Message() << n << " rows, " << cin << " to " << cout << " channels in " << groups);
  cpu e{.threads = 2};
  const auto sites = random_sites(n, 6, 3);
  const auto pairs = pairs_of(sites, sites, cube(3));
  const auto plan = mirrored_plan_of(pairs, n, 27, tile);
  const auto x = narrow(random<2>({n, cin}, 1)), dy = narrow(random<2>({n, cout}, 2));
  const auto w = wide(random<3>({27, cin / groups, cout}, 3));
  const auto bias = wide(random<1>({cout}, 4));
  const plain oracle{pairs, n, n, 27, cin, cout, groups};
  const auto seen = rounded(w);
  expect_rounded(product_on<modelled_unit>(e, plan.forward, x, w, bias, groups), oracle.forward(wide(x), seen, bias),
                 oracle.forward(magnitudes(wide(x)), magnitudes(seen), magnitudes(bias)), 27, cin / groups);
  const auto dx = product_on<modelled_unit>(e, plan.backward, dy, w, no_bias_float, groups, true, true);
  expect_rounded(dx, oracle.dx(seen, wide(dy)), oracle.dx(magnitudes(seen), magnitudes(wide(dy))), 27, cout / groups);
}

TEST(tile_unit_product, any_number_of_channels) {
  for (const auto& [cin, cout] : {std::pair<idx, idx>{1, 1}, {7, 33}, {33, 7}, {33, 16}, {64, 64}, {16, 130}}) {
    expect_both_ways(20, cin, cout, 1, 64);
  }
}
TEST(tile_unit_product, any_number_of_rows) {
  for (const idx n : {0, 1, 15, 16, 17, 31, 32, 33, 100}) { expect_both_ways(n, 33, 20, 1, 64); }
  expect_both_ways(100, 20, 20, 1, 20); // tiles of less than a strip
}
TEST(tile_unit_product, groups) { expect_both_ways(40, 66, 34, 2, 64); }

struct unit_product : testing::Test {
  static constexpr idx n = 130, cin = 40, cout = 36;
  std::vector<site> sites = random_sites(n, 6, 3);
  std::vector<pair> pairs = pairs_of(sites, sites, cube(3));
  tensor<bfloat16, 2> x = narrow(random<2>({n, cin}, 1));
  tensor<float, 3> w = wide(random<3>({27, cin, cout}, 3));
  tensor<float, 1> bias = wide(random<1>({cout}, 4));
  sparse::convolution_plan plan = mirrored_plan_of(pairs, n, 27, 48);
  tensor<bfloat16, 2> with_threads(int threads) const {
    cpu e{.threads = threads};
    return product_on<modelled_unit>(e, plan.forward, x, w, bias);
  }
};

TEST_F(unit_product, same_bits_for_any_number_of_threads_and_any_tile) {
  const auto one = with_threads(1);
  EXPECT_TRUE(same_bits(one, with_threads(2)));
  EXPECT_TRUE(same_bits(one, with_threads(3)));
  for (const idx tile : {1, 32, 1024}) {
    cpu e{.threads = 1};
    const auto lists = lists_of(pairs, n, n, 27, tile);
    EXPECT_TRUE(same_bits(one, product_on<modelled_unit>(e, lists, x, w, bias))) << tile;
  }
}

TEST_F(unit_product, outputs_in_another_order) {
  std::vector<std::int32_t> order(n);
  for (std::size_t i = 0; i < order.size(); ++i) { order[i] = static_cast<std::int32_t>(i * 37 % n); }
  cpu e{.threads = 1};
  const auto y = product_on<modelled_unit>(e, lists_of(pairs, n, n, 27, 70, order), x, w, bias);
  EXPECT_TRUE(same_bits(with_threads(1), y)) << "a row's sum does not depend on who shares its strip";
}

TEST(tile_unit_product, pairs_that_share_output_and_tap_and_outputs_without_any) {
  constexpr idx in = 50, out = 70, taps = 5, cin = 34, cout = 18;
  const auto pairs = random_pairs(900, in, out, taps, 5);
  cpu e{.threads = 1};
  const auto x = narrow(random<2>({in, cin}, 1));
  const auto w = wide(random<3>({taps, cin, cout}, 3));
  const auto bias = wide(random<1>({cout}, 4));
  const plain oracle{pairs, in, out, taps, cin, cout, 1};
  std::vector<std::int32_t> order(out);
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<std::int32_t>(out - 1 - static_cast<idx>(i));
  }
  const auto seen = rounded(w);
  for (const auto& lists : {lists_of(pairs, in, out, taps, 40), lists_of(pairs, in, out, taps, 40, order)}) {
    const auto y = product_on<modelled_unit>(e, lists, x, w, bias);
    // Every repetition is an addition more: 900 pairs over 47 outputs and 5 taps.
    expect_rounded(y, oracle.forward(wide(x), seen, bias),
                   oracle.forward(magnitudes(wide(x)), magnitudes(seen), magnitudes(bias)), 40, cin);
    for (idx o = 0; o < cout; ++o) { EXPECT_EQ(y(2, o).bits, bfloat16(bias(o)).bits) << "no pair: the bias alone"; }
  }
}

TEST(tile_unit_product, a_number_by_hand) {
  // Two rows, one tap each way: y0 = 1 + 2 * 3, y1 = 1 + 0.5 * 3 - 4 * 3.
  cpu e{.threads = 1};
  const auto lists = lists_of({{0, 0, 0}, {0, 1, 1}, {1, 0, 1}}, 2, 2, 2, 8);
  auto x = make_tensor<bfloat16, 2>({2, 1});
  x(0, 0) = bfloat16(2.0f), x(1, 0) = bfloat16(0.5f);
  auto w = make_tensor<float, 3>({2, 1, 1});
  w(0, 0, 0) = 3.001f, w(1, 0, 0) = -6.0f; // 3.001 is 3 in bfloat16
  const auto y = product_on<modelled_unit>(e, lists, x, w, make_tensor<float, 1>({1}, 1.0f));
  EXPECT_EQ(static_cast<float>(y(0, 0)), 7.0f);
  EXPECT_EQ(static_cast<float>(y(1, 0)), -9.5f);
}

TEST_F(unit_product, the_epilogue_is_that_of_floats) {
  cpu e{.threads = 2};
  const auto scale = wide(random<1>({cout}, 5)), shift = wide(random<1>({cout}, 6));
  const auto residual = wide(random<2>({n, cout}, 7));
  const auto plain_sums = plain{pairs, n, n, 27, cin, cout, 1}.forward(wide(x), rounded(w), bias);
  const sparse::activation act{sparse::activation_kind::leaky_relu, 0.1};
  const row_epilogue<float> f{scale.data(), shift.data(), residual.data(), act};
  const auto y = product_on<modelled_unit>(e, plan.forward, x, w, bias, 1, false, false, f);
  for (idx i = 0; i < y.size(); ++i) {
    const double v =
        plain_sums[static_cast<std::size_t>(i)] * scale.data()[i % cout] + shift.data()[i % cout] + residual.data()[i];
    const double exact = v < 0 ? 0.1 * v : v;
    ASSERT_NEAR(static_cast<float>(y.data()[i]), exact, std::abs(exact) / 256 + 1e-4) << i;
  }
}

TEST_F(unit_product, nan_reaches_only_those_who_meet_it) {
  constexpr idx channels = 70; // three blocks: whole and ragged ones take turns in one place
  cpu e{.threads = 1};
  const auto rows = narrow(random<2>({n, channels}, 1));
  const auto weight = wide(random<3>({27, channels, cout}, 3));
  auto spoiled = persistent_copy<bfloat16>(rows);
  for (idx k = 0; k < channels; ++k) { spoiled(17, k) = bfloat16(std::numeric_limits<float>::quiet_NaN()); }
  const auto y = product_on<modelled_unit>(e, plan.forward, spoiled, weight, bias);
  const auto clean = product_on<modelled_unit>(e, plan.forward, rows, weight, bias);
  std::set<idx> meet;
  for (const auto& p : pairs) {
    if (p.input == 17) { meet.insert(p.output); }
  }
  for (idx i = 0; i < n; ++i) {
    for (idx o = 0; o < cout; ++o) {
      if (meet.count(i) == 1) {
        ASSERT_TRUE(std::isnan(static_cast<float>(y(i, o))));
      } else {
        ASSERT_EQ(y(i, o).bits, clean(i, o).bits);
      }
    }
  }
}

TEST_F(unit_product, no_taps_and_no_channels_leave_the_bias) {
  cpu e{.threads = 1};
  const auto none =
      product_on<modelled_unit>(e, lists_of({}, n, 3, 0, 8), x, make_tensor<float, 3>({0, cin, cout}), bias);
  const auto empty_rows = product_on<modelled_unit>(e, plan.forward, make_tensor<bfloat16, 2>({n, 0}),
                                                    make_tensor<float, 3>({27, 0, cout}), bias);
  for (idx o = 0; o < cout; ++o) {
    EXPECT_EQ(none(2, o).bits, bfloat16(bias(o)).bits);
    EXPECT_EQ(empty_rows(n - 1, o).bits, bfloat16(bias(o)).bits);
  }
}

TEST_F(unit_product, an_operator_takes_the_unit_only_where_there_is_one) {
  cpu e{.threads = 2};
  const convolution_op automatic{plan}, never{.plan = plan, .unit = unit_policy::never};
  const auto dy = narrow(random<2>({n, cout}, 2));
  const auto r = automatic.forward(e, x, w, bias), s = never.forward(e, x, w, bias);
  const auto [dx, dw, db] = automatic.backward(e, r.saved, dy, all_gradients);
  const auto [dx2, dw2, db2] = never.backward(e, s.saved, dy, all_gradients);
  const auto data_alone = std::get<0>(automatic.backward(e, r.saved, dy, {true, false, false}));
  EXPECT_TRUE(same_bits(dx, data_alone));
  EXPECT_TRUE(same_bits(dw, dw2)) << "weight gradients are summed in float either way";
  EXPECT_TRUE(same_bits(db, db2));
  EXPECT_EQ(same_bits(r.value, s.value), !sparse::detail::has_amx_unit());
  EXPECT_EQ(same_bits(dx, dx2), !sparse::detail::has_amx_unit());
  if (sparse::detail::has_amx_unit()) {
    EXPECT_TRUE(same_bits(r.value, with_threads(1)));
    EXPECT_TRUE(same_bits(dx, product_on<modelled_unit>(e, plan.backward, dy, w, no_bias_float, 1, true, true)));
  }
}

// Below the choice: what the operator does on a unit, here on the model.
TEST(convolution_on_a_unit, strided_both_ways_with_its_epilogue) {
  constexpr idx cin = 40, cout = 36;
  cpu e{.threads = 2};
  const auto fine = random_sites(150, 8, 3), out = coarse(fine);
  const auto inputs = static_cast<idx>(fine.size()), outputs = static_cast<idx>(out.size());
  const auto pairs = pairs_of(fine, out, cube(3), 2);
  const convolution_op op{plan_of(pairs, inputs, outputs, 27, 48)};
  const plain oracle{pairs, inputs, outputs, 27, cin, cout, 1};
  const auto x = narrow(random<2>({inputs, cin}, 1)), dy = narrow(random<2>({outputs, cout}, 2));
  const auto w = wide(random<3>({27, cin, cout}, 3));
  const auto bias = wide(random<1>({cout}, 4)), scale = wide(random<1>({cout}, 5)), shift = wide(random<1>({cout}, 6));
  const auto residual = wide(random<2>({outputs, cout}, 7));
  const auto exact = oracle.forward(wide(x), rounded(w), bias);
  const auto y =
      op.finished_on<modelled_unit>(e, x, w, bias, {scale, shift, residual, {sparse::activation_kind::relu, 0}});
  ASSERT_EQ(y.shape(), (extents<2>{outputs, cout}));
  for (idx i = 0; i < y.size(); ++i) {
    const double v =
        exact[static_cast<std::size_t>(i)] * scale.data()[i % cout] + shift.data()[i % cout] + residual.data()[i];
    ASSERT_NEAR(static_cast<float>(y.data()[i]), std::max(0.0, v), std::abs(v) / 256 + 1e-4) << i;
  }
  expect_rounded(op.data_gradient_on<modelled_unit>(e, w, dy), oracle.dx(rounded(w), wide(dy)),
                 oracle.dx(magnitudes(rounded(w)), magnitudes(wide(dy))), 27, cout);
  // The adjoint goes the other way through the same pairs.
  convolution_op back{op.plan.adjoint()};
  const auto up = back.finished_on<modelled_unit>(e, dy, wide(random<3>({27, cout, cin}, 8)), no_bias_float, {});
  EXPECT_EQ(up.shape(), (extents<2>{inputs, cin}));
}

TEST_F(unit_product, a_submanifold_operator_on_a_unit_and_its_errors) {
  cpu e{.threads = 2};
  const convolution_op op{plan};
  const auto dy = narrow(random<2>({n, cout}, 2));
  EXPECT_TRUE(same_bits(op.finished_on<modelled_unit>(e, x, w, bias, {}), with_threads(1)));
  const plain oracle{pairs, n, n, 27, cin, cout, 1};
  expect_rounded(op.data_gradient_on<modelled_unit>(e, w, dy), oracle.dx(rounded(w), wide(dy)),
                 oracle.dx(magnitudes(rounded(w)), magnitudes(wide(dy))), 27, cout);
  EXPECT_THAT(message_of([&] {
                op.finished_on<modelled_unit>(e, make_tensor<bfloat16, 2>({n - 1, cin}), w, bias, {});
              }),
              testing::HasSubstr("x has 129 rows and weight 27 taps, the plan has 130 input rows"));
  EXPECT_THAT(message_of([&] {
                op.finished_on<modelled_unit>(e, x, w, bias, {bias, make_tensor<float, 1>({2}), {}, {}});
              }),
              testing::HasSubstr("the epilogue has 36 scales, 2 shifts"));
}

#if defined(SQS_HAVE_AMX_INSTRUCTIONS)
TEST_F(unit_product, the_real_unit_computes_what_the_model_does) {
  if (!sparse::detail::has_amx_unit()) { GTEST_SKIP() << "no matrix unit here: see the next test"; }
  cpu e{.threads = 2};
  EXPECT_TRUE(same_bits(product_on<sparse::detail::amx_unit>(e, plan.forward, x, w, bias), with_threads(1)));
}
TEST_F(unit_product, its_instructions_compute_what_the_model_does) {
  if (sparse::detail::has_amx_unit()) { GTEST_SKIP() << "a matrix unit is here: see the test before"; }
  const trapped_instructions trap;
  cpu e{.threads = 2};
  const auto y = product_on<sparse::detail::amx_unit>(e, plan.forward, x, w, bias);
  EXPECT_GT(trap.count(), 1000);
  EXPECT_TRUE(same_bits(y, with_threads(1)));
}
#endif

} // namespace tile_unit_product_test

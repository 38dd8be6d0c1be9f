// SPDX-License-Identifier: Apache-2.0
// Sparse convolution where it could break: threads and tiles, what is not finite, offsets above 2^31, memory, errors.
#include "convolution_oracle.hpp"

#include <sys/mman.h>

namespace convolution_limits_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

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
    const auto gradients = op.backward(one, first.saved, dy, all_gradients);
    for (const int threads : {1, 2, 3, 4, 2}) {
      cpu e{.threads = threads};
      const auto r = op.forward(e, x, w, b);
      const auto [dx, dw, db] = op.backward(e, r.saved, dy, all_gradients);
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
      const auto dw = std::get<1>(op.backward(e, r.saved, random_float<2>({n, 7}, 25), all_gradients));
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
                op.backward(e, saved, random<2>({9, 6}, 1), all_gradients);
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

} // namespace convolution_limits_test

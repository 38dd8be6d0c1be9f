// SPDX-License-Identifier: Apache-2.0
// Bricks: the table against the pairs, products against those over the pairs bit for bit, the cost model's choices,
// errors.
#include "convolution_oracle.hpp"

#include <sqs/sparse/bricks.hpp>
#include <sqs/sparse/plan_builder.hpp>

namespace bricks_test {

using namespace sqs;
using namespace sqs::test;
using sparse::brick_policy;
using sparse::taps;
using testing::AllOf;
using testing::HasSubstr;

/// The sites of a box, each of them missing with the chance 1 / gap; gap 0: none is.
std::vector<site> box(int x, int y, int z, int gap) {
  const auto draw = random_stream::of(7);
  std::vector<site> sites;
  for (int i = 0; i < x * y * z; ++i) {
    if (gap == 0 || draw.uniform(i) * gap >= 1) { sites.push_back({0, i / z / y, i / z % y, i % z}); }
  }
  return sites;
}
sparse::convolution_plan full_plan(const std::vector<site>& sites, idx tile) {
  return mirrored_plan_of(pairs_of(sites, sites, cube(3)), static_cast<idx>(sites.size()), 27, tile);
}
tensor<std::int32_t, 2> rows_of(const std::vector<site>& sites) {
  auto c = make_tensor<std::int32_t, 2>({static_cast<idx>(sites.size()), 4});
  for (idx i = 0; i < c.size(); ++i) {
    c.data()[i] = sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  return c;
}

TEST(bricks, the_table_holds_the_pairs_and_nothing_else) {
  cpu e{.threads = 2};
  const auto sites = box(5, 4, 7, 6);
  const idx n = static_cast<idx>(sites.size());
  const auto pairs = pairs_of(sites, sites, cube(3));
  std::vector<std::int32_t> order(sites.size());
  for (std::size_t i = 0; i < order.size(); ++i) { order[i] = static_cast<std::int32_t>((i * 37) % order.size()); }
  for (const bool permuted : {false, true}) {
    sparse::convolution_plan plan;
    plan.forward = lists_of(pairs, n, n, 27, 16, permuted ? order : std::vector<std::int32_t>{});
    plan.backward = plan.forward, plan.mirrored = true;
    const auto l = with_bricks(e, plan, brick_policy::always).forward;
    ASSERT_EQ(l.neighbours.shape(), (extents<2>{n, 27}));
    std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> met; // (output, tap) -> input
    for (const auto& p : pairs) { met[{p.output, p.tap}] = p.input; }
    idx in_bricks = 0;
    for (idx i = 0; i < n; ++i) {
      for (std::int32_t k = 0; k < 27; ++k) {
        const auto found = met.find({permuted ? order[static_cast<std::size_t>(i)] : static_cast<std::int32_t>(i), k});
        ASSERT_EQ(l.neighbours(i, k), found == met.end() ? -1 : found->second) << i << " " << k;
      }
    }
    for (idx i = 0; i < n; i += 8) { // tiles of 16 are two bricks of eight
      for (idx k = 0; k < 27; ++k) {
        idx rows = 0, hits = 0;
        for (idx r = i; r < std::min(n, i + 8); ++r, ++rows) { hits += l.neighbours(r, k) >= 0 ? 1 : 0; }
        in_bricks += hits > 0 ? rows : 0;
      }
    }
    EXPECT_EQ(l.brick_products, in_bricks);
  }
}

/// Forward pass and gradient of x, over the pairs and over bricks.
template <class T> void expect_same_bits(const sparse::convolution_plan& plan, idx cin, idx cout, idx groups) {
  cpu e{.threads = 2};
  const auto in = [](const auto& t) { return persistent_copy<T>(t); };
  const auto x = in(random<2>({plan.forward.inputs, cin}, 1)), dy = in(random<2>({plan.forward.outputs, cout}, 2));
  const auto w = in(random<3>({plan.forward.taps, cin / groups, cout}, 3));
  const auto bias = in(random<1>({cout}, 4));
  const sparse::epilogue<T> then{in(random<1>({cout}, 5)),
                                 in(random<1>({cout}, 6)),
                                 in(random<2>({plan.forward.outputs, cout}, 7)),
                                 {sparse::activation_kind::relu}};
  const auto bricks = with_bricks(e, plan, brick_policy::always);
  const convolution_op a{bricks, groups, brick_policy::never}, b{bricks, groups, brick_policy::always};
  const auto ya = a.forward(e, x, w, bias), yb = b.forward(e, x, w, bias);
  EXPECT_TRUE(same_bits(ya.value, yb.value)) << cin << " to " << cout << ", groups " << groups;
  EXPECT_TRUE(same_bits(a.finished(e, x, w, bias, then), b.finished(e, x, w, bias, then)));
  const auto da = a.backward(e, ya.saved, dy, all_gradients), db = b.backward(e, yb.saved, dy, all_gradients);
  EXPECT_TRUE(same_bits(std::get<0>(da), std::get<0>(db))) << cin << " to " << cout << ", groups " << groups;
  EXPECT_TRUE(same_bits(std::get<1>(da), std::get<1>(db)));
}

TEST(bricks, give_the_bits_of_the_pairs) {
  const auto nearly = full_plan(box(7, 6, 9, 11), 64), thin = full_plan(box(6, 5, 8, 2), 32);
  for (const idx c : {1, 7, 16, 33, 72, 144}) {
    expect_same_bits<float>(nearly, c, c, 1);
    expect_same_bits<double>(thin, c, c + 3, 1);
  }
  expect_same_bits<float>(nearly, 12, 18, 3);
  expect_same_bits<double>(thin, 40, 80, 2);
  for (const idx tile : {1, 8, 13, 1024}) { expect_same_bits<float>(full_plan(box(4, 4, 5, 7), tile), 20, 24, 1); }
}

TEST(bricks, go_both_ways_through_strided_plans) {
  const auto fine = box(8, 8, 8, 5), small = coarse(fine);
  const idx n = static_cast<idx>(fine.size()), m = static_cast<idx>(small.size());
  const auto pairs = pairs_of(fine, small, cube(3), 2);
  const auto plan = plan_of(pairs, n, m, 27, 16);
  expect_same_bits<double>(plan, 9, 17, 1);
  cpu e{.threads = 1};
  expect_plain(e, {with_bricks(e, plan, brick_policy::always), 1, brick_policy::always}, {pairs, n, m, 27, 9, 17, 1},
               1e-12);
  auto back = pairs;
  for (auto& p : back) { std::swap(p.input, p.output); }
  expect_plain(e, {with_bricks(e, plan.adjoint(), brick_policy::always), 1, brick_policy::always},
               {back, m, n, 27, 5, 8, 1}, 1e-12);
}

TEST(bricks, bits_do_not_depend_on_threads) {
  const auto plan = full_plan(box(9, 9, 9, 10), 64);
  const auto x = persistent_copy<float>(random<2>({plan.forward.inputs, 24}, 1));
  const auto w = persistent_copy<float>(random<3>({27, 24, 40}, 2));
  tensor<float, 2> first;
  for (const int threads : {1, 2, 3}) {
    cpu e{.threads = threads};
    const auto bricks = with_bricks(e, plan, brick_policy::always);
    const auto y = convolution_op{bricks, 1, brick_policy::always}.forward(e, x, w, no_bias_float).value;
    if (threads == 1) { first = y; }
    EXPECT_TRUE(same_bits(y, first)) << threads;
  }
}

TEST(bricks, are_chosen_where_they_cost_less) {
  cpu e{.threads = 1};
  const auto plan_of_box = [&](int gap, brick_policy policy) {
    const auto s = sparse::make_sites<3>(e, rows_of(box(24, 24, 24, gap)), {24, 24, 24});
    return with_bricks(e, sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{}), policy);
  };
  const auto full = plan_of_box(0, brick_policy::automatic).forward,
             half = plan_of_box(2, brick_policy::automatic).forward;
  ASSERT_TRUE(static_cast<bool>(full.neighbours));
  EXPECT_FALSE(static_cast<bool>(half.neighbours)) << "half the neighbours are missing: nothing to gain";
  EXPECT_FALSE(static_cast<bool>(plan_of_box(0, brick_policy::never).forward.neighbours));
  // The zeros that bricks multiply cost more, the wider the layer; the pairs' own costs do not.
  EXPECT_TRUE(sparse::detail::bricks_pay(full, 16, 16, 16));
  const auto forced = plan_of_box(2, brick_policy::always).forward;
  EXPECT_FALSE(sparse::detail::bricks_pay(forced, 64, 64, 16));
  EXPECT_GT(forced.brick_products, forced.pairs() * 3 / 2);
}

TEST(bricks, refuse_rows_that_share_a_voxel) {
  cpu e{.threads = 1};
  auto sites = box(3, 3, 3, 0);
  sites.push_back(sites.back());
  const auto s = sparse::make_sites<3>(e, rows_of(sites), {3, 3, 3}, 1, sparse::voxel_sharing::allowed);
  const auto plan = sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{});
  EXPECT_FALSE(static_cast<bool>(with_bricks(e, plan).forward.neighbours));
  EXPECT_THAT(message_of([&] { (void)with_bricks(e, plan, brick_policy::always); }),
              AllOf(HasSubstr("with_bricks"), HasSubstr("share a voxel"), HasSubstr("voxelize")));
}

TEST(bricks, forced_without_a_table_say_how_to_make_one) {
  cpu e{.threads = 1};
  const auto plan = full_plan(box(2, 2, 2, 0), 8);
  const convolution_op op{plan, 1, brick_policy::always};
  EXPECT_THAT(message_of([&] {
                (void)op.forward(e, random<2>({8, 2}, 1), random<3>({27, 2, 2}, 2), no_bias);
              }),
              AllOf(HasSubstr("the plan has none"), HasSubstr("with_bricks(exec, plan, brick_policy::always)")));
}

} // namespace bricks_test

// SPDX-License-Identifier: Apache-2.0
// The cache of plans: finds what is equal and nothing else, forgets what was used longest ago, never mixes plans up.
#include "../support/check.hpp"

#include <sqs/sparse/plan_cache.hpp>

namespace plan_cache_test {

using namespace sqs;
using namespace sqs::test;
using sparse::taps;
using testing::HasSubstr;

/// Row i at (0, cells[i]).
sparse::sites<1> line(cpu& e, const std::vector<std::int32_t>& cells, idx length = 16) {
  auto c = make_tensor<std::int32_t, 2>({static_cast<idx>(cells.size()), 2});
  for (std::size_t i = 0; i < cells.size(); ++i) { c(static_cast<idx>(i), 1) = cells[i]; }
  return sparse::make_sites<1>(e, c, {length});
}

TEST(plan_cache, finds_equal_sites_and_nothing_else) {
  cpu e{.threads = 1};
  sparse::plan_cache<1> plans;
  const auto first = plans.submanifold(e, line(e, {1, 2, 4}), {{3}});
  EXPECT_EQ(first.forward.pairs(), 5);
  // Made anew, equal: the same plan, to the handle.
  EXPECT_EQ(plans.submanifold(e, line(e, {1, 2, 4}), {{3}}).forward.input.data(), first.forward.input.data());
  EXPECT_EQ(plans.hits(), 1);
  // Another place, another order of the rows, another grid, another kernel, dilation or policy: other plans.
  EXPECT_EQ(plans.submanifold(e, line(e, {1, 2, 3}), {{3}}).forward.pairs(), 7);
  EXPECT_NE(plans.submanifold(e, line(e, {4, 2, 1}), {{3}}).forward.input.data(), first.forward.input.data());
  EXPECT_NE(plans.submanifold(e, line(e, {1, 2, 4}, 17), {{3}}).forward.input.data(), first.forward.input.data());
  EXPECT_EQ(plans.submanifold(e, line(e, {1, 2, 4}), {{5}}).forward.pairs(), 7);
  EXPECT_EQ(plans.submanifold(e, line(e, {1, 2, 4}), {{3}}, {2}).forward.pairs(), 5);
  const auto bricks = plans.submanifold(e, line(e, {1, 2, 4}), {{3}}, {1}, sparse::duplicate_rule::symmetric,
                                        sparse::brick_policy::always);
  EXPECT_TRUE(static_cast<bool>(bricks.forward.neighbours));
  EXPECT_FALSE(static_cast<bool>(plans.submanifold(e, line(e, {1, 2, 4}), {{3}}).forward.neighbours));
  EXPECT_EQ(plans.hits(), 2);
  EXPECT_EQ(plans.misses(), 7);
  EXPECT_EQ(plans.size(), 7);
}

TEST(plan_cache, gives_the_same_output_sites_so_that_what_follows_is_found) {
  cpu e{.threads = 1};
  sparse::plan_cache<1> plans;
  const sparse::relation<1> halve{.taps = {{3}}, .stride = {2}, .pad = {1}};
  const auto a = plans.convolution(e, line(e, {1, 2, 7}), halve), b = plans.convolution(e, line(e, {1, 2, 7}), halve);
  EXPECT_TRUE(a.output.same(b.output));
  (void)plans.submanifold(e, a.output, {{3}});
  (void)plans.submanifold(e, b.output, {{3}});
  EXPECT_EQ(plans.hits(), 2);
  const sparse::relation<1> unpadded{.taps = {{3}}, .stride = {2}};
  EXPECT_FALSE(plans.convolution(e, line(e, {1, 2, 7}), unpadded).output.same(a.output));
}

TEST(plan_cache, forgets_what_was_used_longest_ago) {
  cpu e{.threads = 1};
  sparse::plan_cache<1> plans(2);
  const auto a = line(e, {0}), b = line(e, {1}), c = line(e, {2});
  for (const auto& s : {a, b, a, c}) { (void)plans.submanifold(e, s, {{3}}); } // b goes
  EXPECT_EQ(plans.size(), 2);
  EXPECT_EQ(plans.hits(), 1);
  (void)plans.submanifold(e, a, {{3}});
  EXPECT_EQ(plans.hits(), 2);
  (void)plans.submanifold(e, b, {{3}});
  EXPECT_EQ(plans.misses(), 4);
}

TEST(plan_cache, errors) {
  EXPECT_THAT(message_of([] { sparse::plan_cache<3> none(0); }), HasSubstr("room for 0 plans; give at least 1"));
  cpu e{.threads = 1};
  sparse::plan_cache<1> plans;
  EXPECT_THAT(message_of([&] { (void)plans.submanifold(e, line(e, {1}), {{2}}); }), HasSubstr("odd on every axis"));
  EXPECT_EQ(plans.size(), 0) << "a plan that could not be made is not kept";
}

} // namespace plan_cache_test

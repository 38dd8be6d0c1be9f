// SPDX-License-Identifier: Apache-2.0
// Sites and neighbour tables on the emulated device: those of the host, pair by pair, and what only the device can see.
#include "cuda_plan_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_plan_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_plan, tables_hold_the_pairs_of_the_host) {
  for (const std::uint64_t seed : {1u, 2u}) {
    emulator::gpu e{.seed = 100 * seed};
    expect_plans_of_many_shapes(e, seed);
  }
}

TEST(cuda_plan, a_line_by_hand) {
  // Cells 5, 0, 1, 3 as rows 0 to 3: sorted they are rows 1, 2, 3, 0.
  emulator::gpu e;
  const auto rows = as_tensor({{0, 5}, {0, 0}, {0, 1}, {0, 3}}, 1);
  const auto s = sparse::make_device_sites<1>(e, to_device(e, rows), {8});
  EXPECT_THAT(to_host(e, s.order).span(), ElementsAre(1, 2, 3, 0));
  const auto same = sparse::make_device_submanifold_plan<1>(e, s, sparse::taps<3>{});
  EXPECT_THAT(to_host(e, same.forward.input).span(), ElementsAre(-1, 1, -1, -1, /**/ 1, 2, 3, 0, /**/ 2, -1, -1, -1));
  const auto half = sparse::make_device_convolution_plan<1>(e, s, {.taps = sparse::taps<2>{}, .stride = {2}});
  EXPECT_EQ(half.output.capacity, 4); // the whole coarse grid, where every site reaches one cell
  EXPECT_THAT(to_host(e, half.plan.forward.input).span(), ElementsAre(1, -1, -1, -1, /**/ 2, 3, 0, -1));
  EXPECT_THAT(to_host(e, half.plan.backward.input).span(), ElementsAre(0, -1, -1, -1, /**/ -1, 0, 1, 2));
}

TEST(cuda_plan, a_restricted_plan_is_the_plan_of_its_taps) {
  emulator::gpu e;
  const auto rows = as_tensor(random_cells{3}.draw(150, 1, {8, 8, 8}), 3);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, rows), {8, 8, 8});
  const auto cube = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{});
  const auto plane = sparse::restricted_device_plan<3>(e, cube, sparse::taps<3, 3, 3>{}, sparse::taps<3, 1, 3>{});
  const auto direct = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 1, 3>{});
  EXPECT_EQ(pairs_of(e, plane.forward), pairs_of(e, direct.forward));
  const auto large = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 5, 7>{});
  const auto small = sparse::restricted_device_plan<3>(e, large, sparse::taps<3, 5, 7>{}, sparse::taps<1, 3, 3>{});
  EXPECT_EQ(pairs_of(e, small.forward),
            pairs_of(e, sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<1, 3, 3>{}).forward));
  EXPECT_THAT(
      message_of([&] { sparse::restricted_device_plan<3>(e, cube, sparse::taps<3, 3, 3>{}, sparse::taps<2, 3, 3>{}); }),
      HasSubstr("sqs::sparse::restricted_device_plan: a plan of 27 taps, for the kernel 3 x 3 x 3, to be "
                "restricted to 2 x 3 x 3; give a submanifold plan"));
}

TEST(cuda_plan, sorted_by_taps_tiles_have_fewer_taps) {
  // Single cells and pairs of neighbours in turn: 64 of the one, 32 of the other. Every tile has all three taps.
  // Sorted, the first tile is single cells, which have the middle tap only; the second is right ends of pairs
  // (taps 0 and 1: bits 011, number 2 of the Gray code), then left ends (taps 2 and 1: bits 101, number 6).
  emulator::gpu e;
  std::vector<cell> cells;
  for (int i = 0; i < 32; ++i) {
    for (const int c : {0, 2, 4, 5}) { cells.push_back({0, 7 * i + c}); }
  }
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor(cells, 1)), {224});
  const auto plan = sparse::make_device_submanifold_plan<1>(e, s, sparse::taps<3>{});
  const auto sorted = sparse::sorted_by_taps(e, plan);
  EXPECT_THAT(to_host(e, plan.forward.used).span(), ElementsAre(15, 15, 15, 15, 15, 15));
  EXPECT_THAT(to_host(e, sorted.forward.used).span(), ElementsAre(0, 15, 0, 3, 15, 12));
  EXPECT_EQ(pairs_of(e, sorted.forward), pairs_of(e, plan.forward));
}

TEST(cuda_plan, sorted_by_taps_it_is_the_same_plan) {
  emulator::gpu e;
  const auto rows = as_tensor(random_cells{3}.draw(500, 2, {12, 12, 12}), 3);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, rows), {12, 12, 12}, 2,
                                              to_device(e, make_tensor<std::int32_t, 1>({1}, 450)));
  const auto same = [&](const sparse::device_plan& p) {
    const auto sorted = sparse::sorted_by_taps(e, p);
    EXPECT_EQ(sorted.mirrored, p.mirrored);
    EXPECT_EQ(pairs_of(e, sorted.forward), pairs_of(e, p.forward)); // rows that do not exist stay behind the others
    EXPECT_EQ(pairs_of(e, sorted.backward), pairs_of(e, p.backward));
  };
  same(sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{}));
  same(sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<5, 5, 3>{})); // more taps than bits
  same(sparse::make_device_convolution_plan<3>(e, s, {sparse::taps<3, 3, 3>{}, {2, 2, 2}, {1, 1, 1}}).plan);
}

TEST(cuda_plan, only_rows_that_exist_are_sites) {
  // Room for 100 rows, of which the device says that 60 exist; the rest is rubbish.
  emulator::gpu e;
  cpu host{.threads = 1};
  const auto cells = random_cells{4}.draw(100, 2, {6, 6, 6});
  const auto rows = as_tensor(cells, 3);
  auto count = make_tensor<std::int32_t, 1>({1}, 60);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, rows), {6, 6, 6}, 2, to_device(e, count));
  const auto at = sparse::make_sites<3>(host, as_tensor({cells.begin(), cells.begin() + 60}, 3), {6, 6, 6}, 2);
  expect_sites(e, s, host, at);
  const sparse::relation<3> r{sparse::taps<3, 3, 3>{}, {2, 2, 2}, {1, 1, 1}};
  expect_plan(e, sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{}),
              sparse::make_submanifold_plan<3>(host, at, sparse::taps<3, 3, 3>{}));
  expect_plan(e, sparse::make_device_convolution_plan<3>(e, s, r).plan,
              sparse::make_convolution_plan<3>(host, at, r).plan);
  const auto tight = sparse::fitted(e, s);
  EXPECT_EQ(tight.capacity, 60);
  expect_plan(e, sparse::make_device_submanifold_plan<3>(e, tight, sparse::taps<3, 3, 3>{}),
              sparse::make_submanifold_plan<3>(host, at, sparse::taps<3, 3, 3>{}));
}

TEST(cuda_plan, what_does_not_fit_is_counted_and_told) {
  emulator::gpu e;
  cpu host{.threads = 1};
  const auto rows = as_tensor(random_cells{5}.draw(80, 1, {9, 9, 9}), 3);
  const sparse::relation<3> r{sparse::taps<3, 3, 3>{}, {2, 2, 2}, {1, 1, 1}};
  const auto at = sparse::make_convolution_plan<3>(host, sparse::make_sites<3>(host, rows, {9, 9, 9}), r).output;
  ASSERT_GT(at.rows, 20);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, rows), {9, 9, 9});
  const auto small = sparse::make_device_convolution_plan<3>(e, s, r, 20);
  const auto status = sparse::status_of(e, small.output);
  EXPECT_EQ(status.rows, 20);
  EXPECT_EQ(status.wanted, at.rows);
  const auto first = as_cells(to_host(e, small.output.coordinates(e))), whole = as_cells(at.coordinates(host));
  EXPECT_TRUE(std::equal(first.begin(), first.end(), whole.begin()));
  EXPECT_EQ(pairs_of(e, small.plan.backward), with_ends_exchanged(pairs_of(e, small.plan.forward)));
  EXPECT_THAT(message_of([&] { sparse::check_sites(e, small.output); }),
              HasSubstr(concat("sqs::sparse::check_sites: ", at.rows,
                               " sites do not fit the room for 20; give a larger capacity")));
}

TEST(cuda_plan, rows_outside_and_rows_that_share_a_voxel_are_told) {
  emulator::gpu e;
  const auto wrong = as_tensor({{0, 1, 1}, {0, 4, 1}, {1, 0, 0}, {0, 1, -1}, {0, 1, 2}}, 2);
  const auto s = sparse::make_device_sites<2>(e, to_device(e, wrong), {4, 4});
  EXPECT_THAT(
      message_of([&] { sparse::check_sites(e, s); }),
      HasSubstr("sqs::sparse::check_sites: 3 of 5 rows lie outside 1 batches of a grid of 4 x 4; clip or drop"));
  // They meet nobody; the others meet each other.
  const auto plan = sparse::make_device_submanifold_plan<2>(e, s, sparse::taps<1, 3>{});
  EXPECT_EQ(pairs_of(e, plan.forward), (pair_table{{0, 0, 4}, {1, 0, 0}, {1, 4, 4}, {2, 4, 0}}));
  const auto twice = as_tensor({{0, 1, 1}, {0, 2, 2}, {0, 1, 1}}, 2);
  const auto t = sparse::make_device_sites<2>(e, to_device(e, twice), {4, 4});
  EXPECT_THAT(message_of([&] { sparse::check_sites(e, t); }),
              HasSubstr("sqs::sparse::check_sites: 1 of 3 rows are in the voxel of another row; merge them first"));
  cpu host{.threads = 1};
  const auto shared = sparse::make_sites<2>(host, twice, {4, 4}, 1, sparse::voxel_sharing::allowed);
  EXPECT_THAT(message_of([&] { to_device(e, shared); }),
              HasSubstr("sqs::sparse::to_device: 3 rows are in 2 voxels; merge those that share one first"));
}

TEST(cuda_plan, misuse_is_told_at_once) {
  emulator::gpu e;
  const auto rows = to_device(e, as_tensor({{0, 1, 1, 1}}, 3));
  EXPECT_THAT(message_of([&] {
                sparse::make_device_sites<2>(e, rows, {4, 4});
              }),
              HasSubstr("sqs::sparse::make_device_sites: coordinates have 4 columns; give 3: the batch and 2"));
  const auto one = sparse::make_device_sites<3>(e, rows, {4, 4, 4}),
             two = sparse::make_device_sites<3>(e, rows, {4, 4, 4}, 2);
  EXPECT_THAT(message_of([&] { sparse::make_device_plan_between<3>(e, one, two, {}); }),
              HasSubstr("sqs::sparse::make_device_plan_between: the fine sites have 1 batches, the coarse ones 2"));
  EXPECT_THAT(message_of([&] { sparse::make_device_submanifold_plan<3>(e, one, sparse::taps<3, 2, 3>{}); }),
              HasSubstr("submanifold kernels are odd on every axis"));
  const auto same = sparse::make_device_submanifold_plan<3>(e, one, sparse::taps<3, 3, 3>{});
  EXPECT_THAT(message_of([&] {
                sparse::make_device_inverse_plan<3>({same, one, one});
              }),
              HasSubstr("sqs::sparse::make_device_inverse_plan: a submanifold plan cannot be inverted"));
}

} // namespace cuda_plan_test

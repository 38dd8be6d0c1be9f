// SPDX-License-Identifier: Apache-2.0
// Plans with bricks on the emulated device: the numbers of the host, the same bits, the choice, faults, misuse.
#include "cuda_bricks_cases.hpp"
#include "test_gpu.hpp"

namespace cuda_bricks_test {

using namespace sqs;
using namespace sqs::test;
using sparse::brick_policy;
using testing::HasSubstr;

TEST(cuda_bricks, compute_what_the_host_does) {
  test_gpu e{.seed = 3};
  expect_same_in_bricks<double>(e, 1);
}
TEST(cuda_bricks, few_channels_have_the_same_bits) {
  test_gpu e{.seed = 4};
  expect_same_bits_in_bricks<double, double>(e, sparse::product_precision::full, 16);
}
TEST(cuda_bricks, finish_as_without) {
  test_gpu e{.seed = 6};
  const auto plan = plan_with_bricks(e, brick_cases()[1], 2).device;
  const idx n = plan.forward.outputs;
  const auto x = to_device(e, random<2>({n, 6}, 1)), residual = to_device(e, random<2>({n, 9}, 2));
  const auto w = to_device(e, random<3>({27, 6, 9}, 3));
  const auto b = to_device(e, random<1>({9}, 4)), scale = to_device(e, random<1>({9}, 5)),
             shift = to_device(e, random<1>({9}, 6));
  const auto run = [&](brick_policy bricks) {
    const sparse::device_convolution_op op{plan, 1, sparse::product_precision::full, bricks};
    return to_host(e, op.finished(e, x, w, b, {scale, shift, residual, {sparse::activation_kind::relu}}));
  };
  EXPECT_TRUE(same_bits(run(brick_policy::always), run(brick_policy::never)));
}

TEST(cuda_bricks, rows_that_are_nowhere_become_zero) {
  test_gpu e{.seed = 7};
  cpu host{.threads = 1};
  auto cells = random_cells{8}.draw(90, 1, {6, 5, 7});
  const auto at = sparse::make_sites<3>(host, as_tensor(cells, 3), {6, 5, 7});
  const idx n = at.rows;
  cells.resize(cells.size() + 9, cell(4, 0));
  const auto s =
      sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), {6, 5, 7}, 1,
                                   to_device(e, make_tensor<std::int32_t, 1>({1}, static_cast<std::int32_t>(n))));
  const sparse::tap_set<3> taps = sparse::taps<3, 3, 3>{};
  const auto plan =
      sparse::with_bricks(e, sparse::make_device_submanifold_plan<3>(e, s, taps), s, taps, brick_policy::always);
  auto x = make_tensor<double, 2>({n + 9, 5}, std::numeric_limits<double>::quiet_NaN());
  const auto some = random<2>({n, 5}, 1);
  std::copy(some.begin(), some.end(), x.begin());
  const auto w = random<3>({27, 5, 4}, 2);
  const auto none = make_tensor<double, 1>({0});
  const auto y = to_host(
      e,
      sparse::device_convolution_op{plan}.forward(e, to_device(e, x), to_device(e, w), zeros<double, 1>(e, {0})).value);
  const sparse::convolution_op op{sparse::make_submanifold_plan<3>(host, at, taps)};
  EXPECT_LE(relative_gap(y.rows(0, n), op.forward(host, some, w, none).value), 1e-12);
  EXPECT_THAT(y.rows(n, n + 9).span(), testing::Each(0.0));
}

TEST(cuda_bricks, the_choice_follows_the_counts) {
  test_gpu e;
  const auto full = plan_with_bricks(e, {{8, 8, 8}, 512}, 1, brick_policy::automatic).device.bricks;
  ASSERT_TRUE(full);
  EXPECT_EQ(full.count, 8);
  EXPECT_EQ(full.rows.shape(), (extents<2>{8, 216}));
  EXPECT_GE(full.products, 22 * 22 * 22); // the pairs of three rows of 8 with a neighbour at each side, but the ends
  EXPECT_LE(full.products, 27 * 512);
  // A full volume: one column is all loads, of which bricks make few; a thin one is never put in bricks.
  EXPECT_TRUE(sparse::detail::bricks_pay(full, {.depth = 16, .columns = 1}));
  EXPECT_FALSE(plan_with_bricks(e, {{40, 40, 4}, 60}, 1, brick_policy::automatic).device.bricks);
  EXPECT_FALSE(plan_with_bricks(e, {{8, 8, 8}, 512}, 1, brick_policy::never).device.bricks);
  auto bricks = full;
  bricks.products = 12 * 512; // the bricks multiply 27 x 512 rows and load 8 x 216
  EXPECT_TRUE(sparse::detail::bricks_pay(bricks, {.columns = 1, .element_bytes = 4, .flops_per_byte = 14}));
  EXPECT_FALSE(sparse::detail::bricks_pay(bricks, {.columns = 64, .element_bytes = 4, .flops_per_byte = 14}));
  // By hand: (27 x 512 - 12 x 512) 2 c / f = (12 x 512 - 8 x 216) 4 where c / f = 4416 x 4 / (2 x 7680) = 1.15.
  EXPECT_TRUE(sparse::detail::bricks_pay(bricks, {.columns = 114, .element_bytes = 4, .flops_per_byte = 100}));
  EXPECT_FALSE(sparse::detail::bricks_pay(bricks, {.columns = 116, .element_bytes = 4, .flops_per_byte = 100}));
  // A kernel that reaches too far: none by itself.
  EXPECT_FALSE(
      plan_with_bricks(e, {{8, 8, 8}, 500, 1, sparse::taps<5, 5, 5>{}}, 1, brick_policy::automatic).device.bricks);
}

TEST(cuda_bricks, planted_faults_are_found) {
  emulator::gpu e{.seed = 1};
  expect_planted_faults_found<double>(e, 20, sparse::detail::product_tile::threads,
                                      []<sparse::detail::product_mode Mode>(auto... parts) {
                                        return sparse::detail::brick_product_kernel<double, double, Mode>{parts..., {}};
                                      });
}

TEST(cuda_bricks, misuse_is_told) {
  test_gpu e;
  const auto cells = to_device(e, as_tensor(random_cells{1}.draw(40, 1, {8, 8, 8}), 3));
  const auto s = sparse::make_device_sites<3>(e, cells, {8, 8, 8});
  const auto cube = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{});
  EXPECT_THAT(
      message_of([&] { sparse::with_bricks(e, cube, s, sparse::taps<3, 3, 1>{}); }),
      HasSubstr("sqs::sparse::with_bricks: a plan of 27 taps and 40 outputs, for 40 sites and the kernel 3 x 3 x "
                "1; give a submanifold plan, its sites and its kernel"));
  for (const idx d : {0, -1}) {
    EXPECT_THAT(message_of([&] {
                  sparse::with_bricks(e, cube, s, sparse::taps<3, 3, 3>{}, brick_policy::always, {d, 1, 1});
                }),
                HasSubstr("axis 0 has kernel 3, stride 1, dilation " + std::to_string(d)));
  }
  const auto wide = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<5, 5, 5>{});
  EXPECT_THAT(message_of([&] { sparse::with_bricks(e, wide, s, sparse::taps<5, 5, 5>{}, brick_policy::always); }),
              HasSubstr("sqs::sparse::with_bricks: a brick and the cells around it that the kernel 5 x 5 x 5 with "
                        "dilation 1 x 1 x 1 reaches are more than 256; use the plan without bricks"));
}

} // namespace cuda_bricks_test

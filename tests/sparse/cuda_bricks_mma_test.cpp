// SPDX-License-Identifier: Apache-2.0
// Plans with bricks on emulated tensor cores: the numbers of the host, the same bits as without, faults.
#include "cuda_bricks_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace {

using namespace sqs;
using namespace sqs::test;
using sparse::detail::float16_words;

TEST(cuda_bricks_mma, compute_what_the_host_does) {
  emulator::gpu e{.seed = 5};
  expect_same_in_bricks_on_tensor_cores<float16_words>(e, 1);
}
TEST(cuda_bricks_mma, few_channels_have_the_same_bits) {
  emulator::gpu e{.seed = 4};
  expect_same_bits_in_bricks<float16, float>(e, sparse::product_precision::float16, 20);
}

TEST(cuda_bricks_mma, planted_faults_are_found) {
  using sparse::detail::planted_fault, sparse::detail::product_mode;
  emulator::gpu e{.seed = 1};
  const auto plan = plan_with_bricks(e, {{5, 7, 4}, 120}, 2).device;
  const idx n = plan.forward.outputs;
  const auto x = to_device(e, random_float<2>({n, 40}, 1));
  const auto w = to_device(e, random_float<3>({27, 40, 30}, 2));
  auto y = empty<float, 2>(e, {n, 30});
  const auto run = [&]<product_mode Mode>() {
    const sparse::detail::mma_brick_kernel<float, float16_words, Mode> k{sparse::detail::packed(plan.bricks, false),
                                                                         plan.bricks.rows.extent(0),
                                                                         x.data(),
                                                                         w.data(),
                                                                         nullptr,
                                                                         y.data(),
                                                                         1,
                                                                         40,
                                                                         30,
                                                                         {}};
    launch(e, k.blocks(), sparse::detail::mma_tile::threads, k);
    return to_host(e, y);
  };
  const auto right = run.operator()<product_mode{}>();
  EXPECT_TRUE(equal_bits(run.operator()<product_mode{}>(), right));
  EXPECT_FALSE((equal_bits(run.operator()<product_mode{.fault = planted_fault::no_first_barrier}>(), right)));
  EXPECT_FALSE((equal_bits(run.operator()<product_mode{.fault = planted_fault::no_last_barrier}>(), right)));
  EXPECT_FALSE((equal_bits(run.operator()<product_mode{.fault = planted_fault::one_channel_less}>(), right)));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// Features of 16 bits on the emulated device: the numbers of the host, the same bits in every run.
#include "cuda_mma_cases.hpp"

#include "test_gpu.hpp"

namespace cuda_mma_stored_test {

using namespace sqs;
using namespace sqs::test;

TEST(cuda_mma_stored, features_may_be_stored_narrow) {
  test_gpu e{.seed = 4};
  const auto plan = some_plans(e, 40, 7)[1];
  expect_same_of_stored<float16>(e, plan, sparse::product_precision::full, 1.0 / 2048, 1);
  expect_same_of_stored<float16>(e, plan, sparse::product_precision::float16, 1.0 / 2048, 2);
  expect_same_of_stored<bfloat16>(e, plan, sparse::product_precision::bfloat16, 1.0 / 256, 3);
}

TEST(cuda_mma_stored, narrow_features_repeat_bit_for_bit) {
  const auto run = [](std::uint64_t seed) {
    test_gpu e{.seed = seed};
    const auto plan = some_plans(e, 90, 5)[1];
    const auto narrow = [](const tensor<float, 2>& t) {
      auto n = make_tensor<bfloat16, 2>(t.shape());
      std::transform(t.begin(), t.end(), n.begin(), [](float v) { return bfloat16(v); });
      return n;
    };
    return on_device(e, sparse::device_convolution_op{plan.device, 1, sparse::product_precision::bfloat16},
                     narrow(random_float<2>({90, 20}, 1)), random_float<3>({27, 20, 35}, 2), random_float<1>({35}, 3),
                     narrow(random_float<2>({plan.host.forward.outputs, 35}, 4)));
  };
  const auto first = run(1), again = run(99);
  EXPECT_TRUE(same_bits(std::get<0>(again), std::get<0>(first)));
  EXPECT_TRUE(same_bits(std::get<1>(again), std::get<1>(first)));
  EXPECT_TRUE(same_bits(std::get<2>(again), std::get<2>(first)));
}

} // namespace cuda_mma_stored_test

// SPDX-License-Identifier: Apache-2.0
// Plans with bricks on emulated tensor cores: the numbers of the host, the same bits as without. Faults: cuda_mma_bricks_test.cpp.
#include "cuda_bricks_cases.hpp"
#include "test_gpu.hpp"

namespace cuda_bricks_mma_test {

using namespace sqs;
using namespace sqs::test;
using sparse::detail::float16_words;

TEST(cuda_bricks_mma, compute_what_the_host_does) {
  test_gpu e{.seed = 5};
  expect_same_in_bricks_on_tensor_cores<float16_words>(e, 1);
}
TEST(cuda_bricks_mma, few_channels_have_the_same_bits) {
  test_gpu e{.seed = 4};
  expect_same_bits_in_bricks<float16, float>(e, sparse::product_precision::float16, 20);
}

} // namespace cuda_bricks_mma_test

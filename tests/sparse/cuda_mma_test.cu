// SPDX-License-Identifier: Apache-2.0
// Products on real tensor cores, every tile of them: small integers are exact, whatever the order of the sums.
#pragma nv_diag_suppress 186 // loops over the leading axes of a line, of which there are none
#include "cuda_mma_product_cases.hpp"
#include "support/device.cuh"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs::test;
using namespace sqs::sparse::detail;

using mma_device = device_test;

TEST_F(mma_device, lanes_get_their_parts_of_matrices) { expect_parts_of_matrices(exec); }

TEST_F(mma_device, every_tile_is_exact_of_small_integers) {
  expect_exact_tiles<bfloat16_words>(exec, 300);
  expect_exact_tiles<float16_words>(exec, 301);
  expect_exact_tiles<tf32_words>(exec, 130);
}

} // namespace

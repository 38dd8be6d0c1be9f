// SPDX-License-Identifier: Apache-2.0
// Plans in parts and with bricks on a device: the cases that the emulated device runs.
#pragma nv_diag_suppress 186 // loops over the leading axes of a line, of which there are none
#include "cuda_bricks_cases.hpp"
#include "cuda_splits_cases.hpp"
#include "support/device.cuh"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs::test;

using sparse_parts_device = device_test;

TEST_F(sparse_parts_device, parts_have_the_bits_of_the_whole) { expect_same_of_all_splits(exec, 1000, 1); }

TEST_F(sparse_parts_device, bricks_compute_what_the_host_does) {
  expect_same_in_bricks<double>(exec, 1);
  expect_same_bits_in_bricks<double, double>(exec, sqs::sparse::product_precision::full, 16);
}

TEST_F(sparse_parts_device, bricks_compute_on_tensor_cores_what_the_host_does) {
  expect_same_in_bricks_on_tensor_cores<sqs::sparse::detail::bfloat16_words>(exec, 1);
  expect_same_in_bricks_on_tensor_cores<sqs::sparse::detail::float16_words>(exec, 2);
}

} // namespace

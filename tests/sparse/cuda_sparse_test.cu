// SPDX-License-Identifier: Apache-2.0
// The sparse engine on a device against that of the host: the cases that the emulated device runs.
#pragma nv_diag_suppress 186 // loops over the leading axes of a line, of which there are none
#include "cuda_interpolate_cases.hpp"
#include "cuda_mma_cases.hpp"
#include "cuda_plan_cases.hpp"
#include "cuda_rows_cases.hpp"
#include "cuda_voxelize_cases.hpp"
#include "support/device.cuh"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs::test;

using sparse_device = device_test;

TEST_F(sparse_device, tables_hold_the_pairs_of_the_host) { expect_plans_of_many_shapes(exec, 1); }

TEST_F(sparse_device, convolution_computes_what_the_host_does) {
  expect_convolutions_of_many_shapes<double>(exec, 100, 1);
  expect_convolutions_of_many_shapes<float>(exec, 1000, 2);
}

TEST_F(sparse_device, convolution_finishes_as_the_host_does) {
  expect_same_epilogue<double>(exec, 3);
  expect_same_epilogue<float>(exec, 4);
}

TEST_F(sparse_device, tensor_cores_compute_what_the_host_does) {
  expect_exact_step<sqs::sparse::detail::bfloat16_words>(exec);
  expect_exact_step<sqs::sparse::detail::tf32_words>(exec);
  expect_exact_step<sqs::sparse::detail::float16_words>(exec);
  expect_tensor_cores_of_many_shapes(exec, 1000, 1);
}

TEST_F(sparse_device, pools_as_the_host_does) {
  expect_same_pooling<double>(exec, 1);
  expect_same_pooling<float>(exec, 2);
  expect_same_global_pooling<double>(exec, 600, 70, 1);
  expect_same_global_pooling<float>(exec, 600, 0, 2);
}

TEST_F(sparse_device, normalises_as_the_host_does) {
  expect_same_norms<double>(exec, 1);
  expect_same_norms<float>(exec, 2);
  expect_same_activations<float>(exec, 3);
}

TEST_F(sparse_device, finds_the_voxels_of_the_host) {
  expect_same_voxels<double>(exec, 1000, 1);
  expect_same_voxels<float>(exec, 1000, 2);
}

TEST_F(sparse_device, interpolates_as_the_host_does) {
  expect_same_interpolation<double>(exec, 1);
  expect_same_interpolation<float>(exec, 2);
}

} // namespace

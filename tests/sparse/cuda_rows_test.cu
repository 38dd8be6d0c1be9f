// SPDX-License-Identifier: Apache-2.0
// Sites chosen, joined and stacked, dense volumes on a device against the host: the cases that the emulated device runs.
#pragma nv_diag_suppress 186 // loops over the leading axes of a line, of which there are none
#include "cuda_combine_cases.hpp"
#include "cuda_dense_cases.hpp"
#include "support/device.cuh"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs::test;

using sparse_rows_device = device_test;

TEST_F(sparse_rows_device, chooses_the_rows_of_the_host) {
  for (const bool ordered : {false, true}) {
    expect_same_selections<double>(exec, 300, 0, 1, ordered);
    expect_same_selections<float>(exec, 300, 160, 2, ordered);
  }
}

TEST_F(sparse_rows_device, sorts_keys_alone) { expect_sorted_keys(exec); }

TEST_F(sparse_rows_device, joins_and_stacks_as_the_host_does) {
  expect_same_joins<double>(exec, {150, 200, 170}, 30, 1);
  expect_same_joins<float>(exec, {300, 1, 250}, 40, 2);
  expect_same_join_of_equal_sites<float>(exec, 1);
  expect_same_stack<double>(exec, {60, 80, 70}, 0, 1);
  expect_same_stack<float>(exec, {60, 1, 70}, 30, 2);
}

TEST_F(sparse_rows_device, fills_and_samples_volumes_as_the_host_does) {
  for (const bool ordered : {false, true}) { expect_same_dense<double>(exec, 200, 40, 1, ordered); }
  expect_same_sites_of_volumes<float>(exec, 1);
  expect_same_samples<double>(exec, 1);
  expect_same_samples<float>(exec, 2);
  expect_same_dropout_and_casts<float>(exec, 1);
  expect_same_pointwise<double>(exec, 1);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// What sqs::cuda_instances holds of the sparse engine, called by a program of the host compiler: that it links, and, on a
// device, that it computes what the host does. A program of its own: tests/sparse has the CPU engine compiled by nvcc, for
// other instructions, perhaps, than here.
#include "sparse/cuda_combine_cases.hpp"
#include "sparse/cuda_dense_cases.hpp"

#include <sqs/exec/cuda.hpp>

#include <cuda_runtime_api.h>

namespace sparse_cuda_test {

using namespace sqs;
using namespace sqs::test;

class sparse_instances : public ::testing::Test {
protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { GTEST_SKIP() << "no CUDA device"; }
    ASSERT_EQ(cudaStreamCreateWithFlags(&exec.stream, cudaStreamNonBlocking), cudaSuccess);
    open(exec);
  }
  void TearDown() override {
    if (exec.stream != nullptr) { (void)cudaStreamDestroy(exec.stream); }
  }
  sqs::cuda exec{};
};

TEST_F(sparse_instances, choose_join_and_stack) {
  for (const bool ordered : {false, true}) { expect_same_selections<float>(exec, 100, 60, 2, ordered); }
  expect_same_joins<float>(exec, {60, 80, 70}, 30, 1);
  expect_same_stack<float>(exec, {60, 1, 70}, 30, 2);
}

TEST_F(sparse_instances, fill_and_sample_volumes) {
  expect_same_dense<float>(exec, 100, 40, 1, true);
  expect_same_sites_of_volumes<float>(exec, 1);
  expect_same_samples<float>(exec, 2);
  expect_same_dropout_and_casts<float>(exec, 1);
}

TEST_F(sparse_instances, convolve) {
  expect_same_pointwise<float>(exec, 1);
  for (const auto& plan : some_plans(exec, 100, 3)) { expect_same_convolution<float>(exec, plan, {7, 33}, 3); }
}

} // namespace sparse_cuda_test

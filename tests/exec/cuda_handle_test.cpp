// SPDX-License-Identifier: Apache-2.0
// The CUDA executor as host code sees it, without the toolkit.
#include <sqs/exec/cuda.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cuda_handle_test {

TEST(cuda_handle, compiles_without_the_toolkit_and_explains_missing_memory) {
  static_assert(std::is_same_v<sqs::cuda::memory_space, sqs::device>);
  sqs::cuda exec{};
  EXPECT_THAT([&] { (void)exec.memory(); },
              ::testing::ThrowsMessage<sqs::precondition_error>(::testing::HasSubstr(
                  "sqs::cuda: this executor has no device memory yet; call sqs::open(exec) first, in "
                  "a .cu file or linked with sqs::cuda_instances")));
}

TEST(cuda_handle, carries_memory_and_tape_once_opened) {
  sqs::cuda exec{};
  exec.shared = std::make_shared<sqs::detail::cuda_state>(sqs::host_slabs()); // any memory will do for the bookkeeping
  const sqs::block_handle block(exec.memory().allocate(100));
  EXPECT_EQ(exec.memory().statistics().live, 128u);
  EXPECT_FALSE(exec.tape().in_use);
  sqs::cuda copy = exec;
  EXPECT_EQ(&copy.memory(), &exec.memory());
}

} // namespace cuda_handle_test

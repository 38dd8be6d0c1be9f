// SPDX-License-Identifier: Apache-2.0
#pragma once
// What every test on a device needs: the skip where there is none, a stream, arrays that go there and back.

#include <sqs/exec/cuda/executor.cuh>

#include <gtest/gtest.h>

#include <vector>

namespace sqs::test {

/// A test with an executor; skips where no device is.
class device_test : public ::testing::Test {
protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { GTEST_SKIP() << "no CUDA device"; }
    check_cuda(cudaStreamCreate(&exec.stream), "device_test");
  }
  void TearDown() override {
    if (exec.stream != nullptr) { (void)cudaStreamDestroy(exec.stream); }
  }
  cuda exec{};
};

/// An array in device memory.
template <class T> class device_array {
public:
  explicit device_array(const std::vector<T>& v) : size_(v.size()) {
    check_cuda(cudaMalloc(&data_, (size_ + 1) * sizeof(T)), "device_array");
    check_cuda(cudaMemcpy(data_, v.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), "device_array");
  }
  explicit device_array(std::size_t n) : device_array(std::vector<T>(n)) {}
  ~device_array() { (void)cudaFree(data_); }
  device_array(const device_array&) = delete;
  device_array& operator=(const device_array&) = delete;

  T* data() const { return data_; }
  /// A copy on the host, after everything on the executor's stream.
  std::vector<T> read(cuda& e) const {
    synchronize(e);
    std::vector<T> v(size_);
    check_cuda(cudaMemcpy(v.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), "device_array");
    return v;
  }

private:
  T* data_ = nullptr;
  std::size_t size_;
};

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// What every test on a device needs: the skip where there is none, a stream, a captured graph, arrays that go there and
// back.

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
    check_cuda(cudaStreamCreateWithFlags(&exec.stream, cudaStreamNonBlocking), "device_test");
    open(exec);
  }
  void TearDown() override {
    if (exec.stream != nullptr) { (void)cudaStreamDestroy(exec.stream); }
  }
  cuda exec{};
};

/// What `f` puts on the executor's stream, as a graph: it has not run yet.
class captured_graph {
public:
  template <class F> captured_graph(cuda& e, F&& f) {
    check_cuda(cudaStreamBeginCapture(e.stream, cudaStreamCaptureModeThreadLocal), "captured_graph");
    f();
    check_cuda(cudaStreamEndCapture(e.stream, &graph_), "captured_graph");
    check_cuda(cudaGraphInstantiate(&exec_, graph_, 0), "captured_graph");
  }
  ~captured_graph() {
    (void)cudaGraphExecDestroy(exec_);
    (void)cudaGraphDestroy(graph_);
  }
  captured_graph(const captured_graph&) = delete;
  captured_graph& operator=(const captured_graph&) = delete;

  void replay(cuda& e) const { check_cuda(cudaGraphLaunch(exec_, e.stream), "captured_graph"); }

private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
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

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A CUDA stream with an executor and a clock, for benchmarks compiled by nvcc or by the host compiler.

#include <sqs/exec/cuda.hpp>

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench {

/// Ends the program if a call of CUDA failed.
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    std::fprintf(stderr, "benchmark: %s: %s\n", what, cudaGetErrorString(status));
    std::exit(1);
  }
}
inline bool has_device() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

/// The element in the middle.
inline double median(std::vector<double> x) {
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::nth_element(x.begin(), middle, x.end());
  return *middle;
}

/// A stream, an executor on it, and a pair of events to time it with.
struct timed_stream {
  sqs::cuda exec{}; // `cuda` alone is also the namespace of libcu++
  cudaEvent_t start{}, stop{};

  timed_stream() {
    check(cudaStreamCreateWithFlags(&exec.stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaEventCreate(&start), "cudaEventCreate");
    check(cudaEventCreate(&stop), "cudaEventCreate");
    open(exec);
  }
  ~timed_stream() {
    (void)cudaStreamSynchronize(exec.stream);
    (void)cudaEventDestroy(start), (void)cudaEventDestroy(stop);
    (void)cudaStreamDestroy(exec.stream);
  }
  timed_stream(const timed_stream&) = delete;
  timed_stream& operator=(const timed_stream&) = delete;

  /// Seconds of the device for what `f` puts on the stream.
  template <class F> double seconds(F&& f) {
    check(cudaEventRecord(start, exec.stream), "cudaEventRecord");
    f();
    check(cudaEventRecord(stop, exec.stream), "cudaEventRecord");
    check(cudaEventSynchronize(stop), "cudaEventSynchronize");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start, stop), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(ms);
  }
};

} // namespace bench

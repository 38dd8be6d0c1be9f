// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The device that the sparse benchmarks run on, its clock, and what cuBLAS makes of a dense product on it.

#include "../sparse/timing.hpp"

#include <sqs/sparse/cuda/sparse.cuh>
#include <sqs/tensor/copy.hpp>

#include <cublas_v2.h>

#include <algorithm>
#include <array>
#include <vector>

namespace bench {

using namespace sqs;

/// The device, its stream and a pair of events to time it with.
struct timed_device {
  sqs::cuda exec; // `cuda` alone is also the namespace of libcu++
  cudaEvent_t start{}, stop{};
  timed_device() {
    check_cuda(cudaStreamCreate(&exec.stream), "bench");
    open(exec);
    check_cuda(cudaEventCreate(&start), "bench");
    check_cuda(cudaEventCreate(&stop), "bench");
  }
  /// Seconds of the device for what `f` puts on the stream.
  template <class F> double seconds(F&& f) {
    check_cuda(cudaEventRecord(start, exec.stream), "bench");
    f();
    check_cuda(cudaEventRecord(stop, exec.stream), "bench");
    check_cuda(cudaEventSynchronize(stop), "bench");
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, start, stop), "bench");
    return 1e-3 * static_cast<double>(ms);
  }
};
inline timed_device& device_of_run() {
  static timed_device d;
  return d;
}

/// Runs `f` five times, then fifty times by the device's clock; returns the median in seconds, which becomes the time of
/// every iteration, too.
template <class F> double median_of(benchmark::State& state, F&& f) {
  auto& d = device_of_run();
  for (int i = 0; i < 5; ++i) { f(); }
  std::vector<double> times(50);
  for (double& t : times) { t = d.seconds(f); }
  std::nth_element(times.begin(), times.begin() + 25, times.end());
  for (auto _ : state) { state.SetIterationTime(times[25]); }
  state.counters["median_ms"] = 1e3 * times[25];
  return times[25];
}

/// FLOP per second of cuBLAS on 8192^3 with factors of this precision and float sums, the median of fifty in this run:
/// what `rho` is a share of.
inline double cublas_rate(sparse::product_precision precision) {
  constexpr int n = 8192;
  const auto good = [](cublasStatus_t s) { expects(s == CUBLAS_STATUS_SUCCESS, "bench: cuBLAS says ", int{s}); };
  static std::array<double, 4> known{};
  double& rate = known[static_cast<std::size_t>(precision)];
  if (rate > 0) { return rate; }
  auto& d = device_of_run();
  // Numbers of any kind: a device is faster where no bit changes.
  const auto a = to_device(d.exec, timing::numbers<2>({n, n}, 1)), b = to_device(d.exec, timing::numbers<2>({n, n}, 2));
  auto c = empty<float, 2>(d.exec, {n, n});
  constexpr cudaDataType_t factors[] = {CUDA_R_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_16F};
  const auto type = factors[static_cast<std::size_t>(precision)];
  const auto sums = precision == sparse::product_precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasHandle_t handle = nullptr;
  good(cublasCreate(&handle));
  good(cublasSetStream(handle, d.exec.stream));
  const float one = 1, zero = 0;
  std::vector<double> times(50);
  for (double& t : times) {
    t = d.seconds([&] {
      good(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a.data(), type, n, b.data(), type, n, &zero,
                        c.data(), CUDA_R_32F, n, sums, CUBLAS_GEMM_DEFAULT));
    });
  }
  good(cublasDestroy(handle));
  std::nth_element(times.begin(), times.begin() + 25, times.end());
  return rate = 2.0 * n * n * n / times[25];
}

constexpr const char* precision_names[] = {"fp32", "tf32", "bf16", "fp16"};
constexpr const char* name_of(sparse::product_precision p) { return precision_names[static_cast<std::size_t>(p)]; }

} // namespace bench

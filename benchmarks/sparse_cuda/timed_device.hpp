// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The device that the sparse benchmarks run on, its medians, and what cuBLAS makes of a dense product on it.

#include "../device_clock.hpp"
#include "../sparse/timing.hpp"

#include <sqs/sparse/cuda/sparse.cuh>
#include <sqs/tensor/copy.hpp>

#include <cublas_v2.h>

#include <array>
#include <utility>
#include <vector>

namespace bench {

using namespace sqs;

inline timed_stream& device_of_run() {
  static timed_stream d;
  return d;
}

/// Runs `f` five times, then fifty times by the device's clock; returns the median in seconds.
template <class F> double median_of(F&& f) {
  for (int i = 0; i < 5; ++i) { f(); }
  std::vector<double> times(50);
  for (double& t : times) { t = device_of_run().seconds(f); }
  return median(std::move(times));
}
/// The same, which becomes the time of every iteration, too.
template <class F> double median_of(benchmark::State& state, F&& f) {
  const double seconds = median_of(f);
  for (auto _ : state) { state.SetIterationTime(seconds); }
  state.counters["median_ms"] = 1e3 * seconds;
  return seconds;
}

/// c [m, n] = a [m, k] b [k, n] by cuBLAS with factors of the given precision and float sums.
class cublas_product {
public:
  cublas_product(idx m, idx n, idx k, sparse::product_precision precision)
      : m_(static_cast<int>(m)),
        n_(static_cast<int>(n)),
        k_(static_cast<int>(k)) {
    auto& e = device_of_run().exec;
    constexpr cudaDataType_t factors[] = {CUDA_R_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_16F};
    type_ = factors[static_cast<std::size_t>(precision)];
    if (precision == sparse::product_precision::tf32) { sums_ = CUBLAS_COMPUTE_32F_FAST_TF32; }
    // Numbers of any kind: a device is faster where no bit changes. Those of 16 bits are pairs in the words of floats.
    a_ = to_device(e, timing::numbers<2>({m, k}, 1)), b_ = to_device(e, timing::numbers<2>({k, n}, 2));
    c_ = empty<float, 2>(e, {m, n});
    good(cublasCreate(&handle_));
    good(cublasSetStream(handle_, e.stream));
  }
  ~cublas_product() { (void)cublasDestroy(handle_); }
  cublas_product(const cublas_product&) = delete;
  cublas_product& operator=(const cublas_product&) = delete;

  void operator()() {
    const float one = 1, zero = 0; // cuBLAS stands on columns: the transposed product is the one of our rows
    good(cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, n_, m_, k_, &one, b_.data(), type_, n_, a_.data(), type_, k_,
                      &zero, c_.data(), CUDA_R_32F, n_, sums_, CUBLAS_GEMM_DEFAULT));
  }

private:
  static void good(cublasStatus_t s) { expects(s == CUBLAS_STATUS_SUCCESS, "bench: cuBLAS says ", int{s}); }
  int m_, n_, k_;
  cudaDataType_t type_;
  cublasComputeType_t sums_ = CUBLAS_COMPUTE_32F;
  tensor<float, 2, device> a_, b_, c_;
  cublasHandle_t handle_ = nullptr;
};

/// FLOP per second of cuBLAS on 8192^3 with factors of this precision and float sums, the median of fifty in this run:
/// what `rho` is a share of.
inline double cublas_rate(sparse::product_precision precision) {
  constexpr idx n = 8192;
  static std::array<double, 4> known{};
  double& rate = known[static_cast<std::size_t>(precision)];
  if (rate > 0) { return rate; }
  cublas_product product(n, n, n, precision);
  return rate = 2.0 * n * n * n / median_of([&] { product(); });
}

constexpr const char* precision_names[] = {"fp32", "tf32", "bf16", "fp16"};
constexpr const char* name_of(sparse::product_precision p) { return precision_names[static_cast<std::size_t>(p)]; }

/// Registers a benchmark of the device's own clock: `f(state)` takes its medians itself.
template <class F, class... Args> void add_timed(const std::string& name, F f, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), f, args...)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
}

} // namespace bench

// SPDX-License-Identifier: Apache-2.0
#include "instances.hpp"

#include <sqs/splat/cuda/splat.cuh>

SQS_SPLAT_ON_CUDA(template, subjects::rgb, float);
SQS_SPLAT_ON_CUDA(template, subjects::clipped, float);
SQS_SPLAT_ON_CUDA(template, subjects::features, float);

namespace {
/// Eight independent chains a thread.
struct fma_kernel {
  static constexpr const char* name = "fma_peak";
  static constexpr int rounds = 4096, chains = 8;
  float* out;
  template <sqs::team Team> SQS_DEVICE void operator()(Team& t) const {
    float x[chains];
    const float a = 1.0f + 1e-7f * static_cast<float>(t.thread());
    for (int c = 0; c < chains; ++c) { x[c] = static_cast<float>(c); }
    for (int i = 0; i < rounds; ++i) {
      SQS_UNROLL
      for (int c = 0; c < chains; ++c) { x[c] = fmaf(x[c], a, 1e-9f); }
    }
    float sum = 0;
    for (int c = 0; c < chains; ++c) { sum += x[c]; }
    if (sum == -1.0f) { *out = sum; } // never, but the compiler does not know
  }
};
} // namespace

double subjects::fma_peak_of_device(sqs::cuda& e) {
  int device = 0, processors = 0;
  sqs::check_cuda(cudaGetDevice(&device), "fma_peak");
  sqs::check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "fma_peak");
  const auto out = sqs::empty<float, 1>(sqs::open(e), {1});
  cudaEvent_t start, stop;
  sqs::check_cuda(cudaEventCreate(&start), "fma_peak");
  sqs::check_cuda(cudaEventCreate(&stop), "fma_peak");
  double best = 0;
  const int blocks = 16 * processors, threads = 256;
  for (int i = 0; i < 5; ++i) {
    sqs::check_cuda(cudaEventRecord(start, e.stream), "fma_peak");
    sqs::launch(e, blocks, threads, fma_kernel{const_cast<float*>(out.data())});
    sqs::check_cuda(cudaEventRecord(stop, e.stream), "fma_peak");
    sqs::check_cuda(cudaEventSynchronize(stop), "fma_peak");
    float ms = 0;
    sqs::check_cuda(cudaEventElapsedTime(&ms, start, stop), "fma_peak");
    const double flop = 2.0 * blocks * threads * fma_kernel::rounds * fma_kernel::chains;
    best = best < flop / (1e-3 * ms) ? flop / (1e-3 * ms) : best;
  }
  sqs::check_cuda(cudaEventDestroy(start), "fma_peak");
  sqs::check_cuda(cudaEventDestroy(stop), "fma_peak");
  return best;
}

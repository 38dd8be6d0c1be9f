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

double subjects::fma_peak_of_device(bench::timed_stream& s) {
  int device = 0, processors = 0;
  bench::check(cudaGetDevice(&device), "cudaGetDevice");
  bench::check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  auto out = sqs::empty<float, 1>(s.exec, {1});
  double best = 0;
  const int blocks = 16 * processors, threads = 256;
  for (int i = 0; i < 5; ++i) {
    const double seconds = s.seconds([&] { sqs::launch(s.exec, blocks, threads, fma_kernel{out.data()}); });
    best = std::max(best, 2.0 * blocks * threads * fma_kernel::rounds * fma_kernel::chains / seconds);
  }
  return best;
}

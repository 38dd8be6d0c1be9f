// SPDX-License-Identifier: Apache-2.0
#include "instances.hpp"

#include <sqs/splat/cuda/splat.cuh>

SQS_SPLAT_ON_CUDA(template, subjects::rgb, float);
SQS_SPLAT_ON_CUDA(template, subjects::clipped, float);
SQS_SPLAT_ON_CUDA(template, subjects::features, float);

namespace sqs::splat {

template <raster_config Config> void raster_stages<Config>::project(cuda& e, const saved& s) {
  detail::make_pairs<Config>(e, s.gaussians, s.grid, op::views_of(s), s.options);
}
template <raster_config Config> void raster_stages<Config>::bin(cuda& e, const saved& s) {
  detail::make_band<Config>(e, s.lists, s.grid, {0, s.grid.rows()}, false, static_cast<idx*>(nullptr));
}
template <raster_config Config>
void raster_stages<Config>::blend(cuda& e, const saved& s, const tensor<float, 2, device>& background) {
  auto image = empty<float, op::plane_rank + 1>(e, s.image.shape());
  auto depth = empty<float, op::depth_rank>(e, s.depth.shape());
  auto transmittance = empty<float, op::plane_rank>(e, s.transmittance.shape());
  detail::blend_band<Config>(e, op::pointers_of(s, s.lists.all), background.data(), image.data(), depth.data(),
                             transmittance.data());
}
template <raster_config Config> void raster_stages<Config>::blend_backward(cuda& e, const saved& s,
                                                                           const pixels& d_image, const depths& d_depth,
                                                                           const plane& d_t) {
  op::blend_backward(e, s,
                     detail::gradient_pointers<float>{d_image.data(), d_depth.data(), d_t.data(), s.image.data(),
                                                      s.depth.data(), s.transmittance.data()});
}
template <raster_config Config> void raster_stages<Config>::project_backward(cuda& e, const saved& s) {
  const auto moments = zeros<float, 2>(e, {s.gaussians.count() * s.grid.count, moment_plan<Config>::count});
  const auto infinite = zeros<idx, 1>(e, {1});
  op::project_backward(e, s, moments.data(), infinite.data(),
                       empty<float, 2>(e, {s.grid.count, raster_constants<Config, float>::channels}));
}
template struct raster_stages<subjects::rgb>;
template struct raster_stages<subjects::clipped>;
template struct raster_stages<subjects::features>;

} // namespace sqs::splat

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

// SPDX-License-Identifier: Apache-2.0
// Background  The rasterizer's twin on CUDA takes and gives tensors in device memory. nvcc compiles it; this program is
//             compiled by the host compiler and calls what the target sqs::cuda_instances holds.
// New here    the executor `cuda`, copies to the device and back, counts that stay on the device.
// Builds on   04.
// Run         render_on_a_gpu      (built where CMake finds nvcc)
// Expect      how far the GPU's image and gradients are from the CPU's, and the time of one step; or that there is no GPU.
#include "on_a_gpu.hpp"

#include <sqs/core/random.hpp>
#include <sqs/exec/cuda.hpp>
#include <sqs/splat/cuda/rasterize.hpp>
#include <sqs/splat/rasterize.hpp>

#include <chrono>
#include <cstdio>

using namespace sqs;

/// Gaussians of a street around a camera that looks along z.
splat::scene<float> street(idx n) {
  splat::scene<float> s{make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 4}),
                        make_tensor<float, 1>({n}), make_tensor<float, 2>({n, 3})};
  const auto draw = random_stream::of(1);
  for (idx g = 0; g < n; ++g) {
    const auto next = [&](idx i, double low, double high) {
      return static_cast<float>(draw.uniform(20 * g + i, low, high));
    };
    s.means(g, 0) = next(0, -20, 20), s.means(g, 1) = next(1, -3, 2), s.means(g, 2) = next(2, 2, 60);
    for (idx k = 0; k < 3; ++k) { s.scales(g, k) = next(3 + k, 0.05, 0.4), s.colours(g, k) = next(6 + k, 0, 1); }
    for (idx k = 0; k < 4; ++k) { s.rotations(g, k) = next(9 + k, -1, 1); }
    s.opacities(g) = next(13, 0.1, 1);
  }
  return s;
}

int main() {
  if (!has_device()) {
    std::puts("no CUDA device here: nothing to render on");
    return 0;
  }
  cpu host_exec;
  const auto scene = street(50000);
  const camera_rig<float> rig{{{.fx = 500, .fy = 500, .cx = 400, .cy = 176, .width = 800, .height = 352}, {}}};
  const auto background = make_tensor<float, 2>({1, 3}, 0.5f);
  const splat::rasterizer<> on_cpu;
  const auto wanted = on_cpu.forward(host_exec, scene.means, scene.scales, scene.rotations, scene.opacities,
                                     scene.colours, background, rig);
  const auto& [image, depth, t] = wanted.value;
  const auto d_wanted = on_cpu.backward(host_exec, wanted.saved, image, depth, t);

  sqs::cuda exec{};
  if (cudaStreamCreate(&exec.stream) != cudaSuccess) { return 1; }
  open(exec);
  {
    const auto means = to_device(exec, scene.means), scales = to_device(exec, scene.scales),
               rotations = to_device(exec, scene.rotations), colours = to_device(exec, scene.colours),
               behind = to_device(exec, background);
    const auto opacities = to_device(exec, scene.opacities);
    const splat::device_rasterizer<> op;
    const auto step = [&] {
      auto r = op.forward(exec, means, scales, rotations, opacities, colours, behind, rig);
      const auto& [i, z, left] = r.value;
      auto d = op.backward(exec, r.saved, i, z, left); // nothing has waited for the device yet
      return std::tuple{i, std::get<0>(d), r.saved.lists.counts};
    };
    const auto [i, d_means, counts] = step();
    const auto seen = splat::read_counts(exec, counts);
    std::printf("%lld of %lld Gaussians drawn, %lld intersections with tiles\n", static_cast<long long>(seen.visible),
                static_cast<long long>(scene.count()), static_cast<long long>(seen.intersections));
    std::printf("image: relative difference to the CPU %.1e; gradient of the means: %.1e\n",
                difference(to_host(exec, i), image), difference(to_host(exec, d_means), std::get<0>(d_wanted)));
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < 100; ++k) { (void)step(); }
    synchronize(exec);
    std::printf("forward and backward: %.3f ms\n",
                10 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  (void)cudaStreamDestroy(exec.stream);
}

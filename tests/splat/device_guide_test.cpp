// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/cuda.md, compiled and run; and that the page shows these lines and no others.

#include "../support/guide.hpp"
#include "scenes.hpp"

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/splat/cuda/rasterize.hpp>

using namespace sqs;

struct doubled {
  static constexpr const char* name = "doubled"; // what errors call it
  const float* in;
  float* out;
  idx n;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (i < n) { out[i] = 2 * in[i]; }
  }
};

namespace {

TEST(cuda_guide, snippets_run) {
  const auto random = scenes::in_scalar<float>(scenes::random({.gaussians = 20}));
  const auto& [scene, background, rig] = random;
  emulator::gpu exec{.seed = 1}; // in a program: sqs::cuda exec{stream}; open(exec);
  const auto means = to_device(exec, scene.means), scales = to_device(exec, scene.scales),
             rotations = to_device(exec, scene.rotations), colours = to_device(exec, scene.colours),
             behind = to_device(exec, background);
  const auto opacities = to_device(exec, scene.opacities);
  const splat::device_rasterizer<> rasterize;
  auto [value, saved] = rasterize.forward(exec, means, scales, rotations, opacities, colours, behind, rig);
  const auto& [image, depth, transmittance] = value;
  auto gradients = rasterize.backward(exec, saved, image, depth, transmittance);
  const splat::raster_counts counts = splat::read_counts(exec, saved.lists.counts); // waits
  EXPECT_GT(counts.visible, 10);
  EXPECT_GT(counts.intersections, counts.visible);
  EXPECT_EQ(to_host(exec, std::get<0>(gradients)).shape(), (extents<2>{20, 3}));

  auto numbers = make_tensor<float, 1>({1000}, 1.5f);
  const idx n = numbers.size(), blocks = (n + 255) / 256;
  auto in = to_device(exec, numbers), out = zeros<float, 1>(exec, {n});
  launch(exec, blocks, 256, doubled{in.data(), out.data(), n});
  for (const float x : to_host(exec, out)) { ASSERT_EQ(x, 3.0f); }
}

TEST(cuda_guide, shows_what_is_tested) { guide::expect_shown("cuda.md", "splat/device_guide_test.cpp", 4); }

} // namespace

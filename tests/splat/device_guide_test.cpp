// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/cuda.md, compiled and run; and that the page shows these lines and no others.

#include "../support/guide.hpp"
#include "scenes.hpp"

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
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

TEST(cuda_guide, sparse_snippet_runs) {
  emulator::gpu exec{.seed = 2};
  auto coordinates = make_tensor<std::int32_t, 2>({3, 4}); // (batch, x, y, z)
  for (int i = 0; i < 3; ++i) { coordinates(i, 1) = 2 + i; }
  const extents<3> grid{8, 8, 8};
  const idx batches = 1;
  const auto features = to_device(exec, make_tensor<float, 2>({3, 2}, 1.0f)),
             bias_row = to_device(exec, make_tensor<float, 2>({1, 5}, 0.5f));
  const auto weights = to_device(exec, make_tensor<float, 3>({27, 2, 5}, 1.0f));
  const auto bias = bias_row.reshaped<1>({5});
  const auto sites = sparse::make_device_sites<3>(exec, to_device(exec, coordinates), grid, batches);
  const auto plan = sparse::make_device_submanifold_plan<3>(exec, sites, sparse::taps<3, 3, 3>{});
  const sparse::device_convolution_op convolve{plan};
  const auto convolved = convolve.forward(exec, features, weights, bias);
  const auto [d_features, d_weights, d_bias] =
      convolve.backward(exec, convolved.saved, convolved.value, {true, true, true});
  sparse::check_sites(exec, sites); // waits, and raises what the device found wrong
  const auto y = to_host(exec, convolved.value);
  EXPECT_EQ(y(0, 0), 4.5f); // itself and one neighbour, two channels each
  EXPECT_EQ(y(1, 4), 6.5f); // two neighbours
  EXPECT_EQ(to_host(exec, d_bias)(2), 4.5f + 6.5f + 4.5f);
}

TEST(cuda_guide, shows_what_is_tested) { guide::expect_shown("cuda.md", "splat/device_guide_test.cpp", 5); }

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/cuda.md, compiled and run; and that the page shows these lines and no others.

#include "../support/guide.hpp"
#include "scenes.hpp"

#include <gmock/gmock.h>

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/sparse/cuda/combine.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/cuda/prune.hpp>
#include <sqs/splat/cuda/rasterize.hpp>

namespace device_guide_test {

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

  // Another set of sites at x = 4, 5: it meets the first in one.
  auto moved = make_tensor<std::int32_t, 2>({2, 4});
  moved(0, 1) = 4, moved(1, 1) = 5;
  const auto other = sparse::make_device_sites<3>(exec, to_device(exec, moved), grid, batches);
  const auto other_features = to_device(exec, make_tensor<float, 2>({2, 2}, 10.0f));
  auto score = make_tensor<float, 1>({5});
  score(1) = 3, score(3) = 2; // of x = 3 and x = 5
  const auto scores = to_device(exec, score);
  const auto both = sparse::unite(exec, sites, other);
  const auto sum = sparse::device_combine_op<2>{both.rows}.forward(exec, features, other_features).value;
  const auto best = sparse::top_k(exec, both.at, scores, 2);
  const auto kept = sparse::device_take_rows_op{best.rows, best.kept}.forward(exec, sum).value;
  const auto volume = sparse::device_to_dense_op<3>{best.at}.forward(exec, kept).value; // [batches, 8, 8, 8, C]
  EXPECT_THAT(to_host(exec, sum).span(), testing::ElementsAre(1, 1, 1, 1, 11, 11, 10, 10, 0, 0));
  const auto dense = to_host(exec, volume);
  EXPECT_EQ(dense.shape(), (extents<5>{1, 8, 8, 8, 2}));
  EXPECT_EQ(dense(0, 3, 0, 0, 1), 1.0f);
  EXPECT_EQ(dense(0, 4, 0, 0, 1), 0.0f);
  EXPECT_EQ(dense(0, 5, 0, 0, 1), 10.0f);

  const auto tuned = sparse::with_best_splits(exec, plan, {.depth = 64, .columns = 64}); // waits: for plans used often
  const auto parts = sparse::split_by_taps(exec, plan, 2);                               // does not wait
  const auto lifted = sparse::with_bricks(exec, plan, sites, sparse::taps<3, 3, 3>{}, sparse::brick_policy::always);
  for (const auto& p : {tuned, parts, lifted}) {
    const auto again = to_host(exec, sparse::device_convolution_op{p}.forward(exec, features, weights, bias).value);
    EXPECT_TRUE(std::equal(again.begin(), again.end(), y.begin()));
  }
}

TEST(cuda_guide, shows_what_is_tested) { guide::expect_shown("cuda.md", "splat/device_guide_test.cpp", 7); }

} // namespace device_guide_test

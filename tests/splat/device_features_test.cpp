// SPDX-License-Identifier: Apache-2.0
// Every feature of the rasterizer on the emulated device against the CPU, both ways back.

#include "device_parity.hpp"
#include "features.hpp"

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/splat/contributors.hpp>
#include <sqs/splat/cuda/contributors.hpp>

namespace device_features_test {

using namespace sqs;
using namespace sqs::test;
using splat::raster_config;

constexpr splat::depth_kinds every =
    splat::accumulated_depth | splat::expected_depth | splat::inverse_depth | splat::median_depth;

template <raster_config Config> void expect_same_both_ways(std::uint64_t seed, const scenes::inputs<double>& in,
                                                           double gradient,
                                                           const splat::raster_options<double>& options = {}) {
  for (const auto order : {splat::backward_order::by_pixel, splat::backward_order::by_gaussian}) {
    SCOPED_TRACE(order == splat::backward_order::by_pixel ? "by pixel" : "by Gaussian");
    emulator::gpu e{.seed = seed};
    expect_same<Config>(e, in, 1e-12, gradient, options, order);
  }
}

TEST(device_features, tiles_of_8_with_harmonics_all_depths_mip_absgrad_and_masks) {
  constexpr raster_config config{.channels = 5,
                                 .sh_degree = 3,
                                 .tile = 8,
                                 .rule = splat::stop_rule::inclusive,
                                 .filter = splat::antialias::mip,
                                 .depth = every,
                                 .absgrad = true};
  auto in = scenes::random({.gaussians = 40, .height = 21, .width = 30, .channels = 48 + 2, .seed = 21});
  for (double& c : in.s.colours) { c -= 0.5; } // some colours are cut off at 0
  in.background = make_tensor<double, 2>({2, 5}, 0.3);
  splat::raster_options<double> options;
  options.mask.pixels = make_tensor<std::uint8_t, 1>({2 * 21 * 30}, std::uint8_t{1});
  options.mask.tiles = make_tensor<std::uint8_t, 1>({2 * 3 * 4}, std::uint8_t{1});
  for (idx i = 0; i < options.mask.pixels.size(); i += 7) { options.mask.pixels(i) = 0; }
  options.mask.tiles(5) = options.mask.tiles(14) = 0;
  options.radii = make_tensor<double, 2>({2, 40});
  options.centre_gradients = options.centre_absgradients = make_tensor<double, 3>({2, 40, 2});
  options.centre_absgradients = make_tensor<double, 3>({2, 40, 2});
  expect_same_both_ways<config>(5, in, 1e-11, options);
}

TEST(device_features, jagged_rig_of_every_camera_with_a_fade_and_clips) {
  constexpr raster_config config{.cut_width = {1, 5},
                                 .near = {3, 1},
                                 .far = {8, 1},
                                 .radius_clip = {2, 1},
                                 .convention = covariance_convention::rt_s2_r,
                                 .depth = splat::expected_depth | splat::median_depth,
                                 .layout = splat::image_layout::jagged};
  auto in = scenes::random({.gaussians = 60, .spread = 1.5, .seed = 22});
  in.rig = {};
  int i = 0;
  for (const auto model :
       {camera_model::pinhole, camera_model::opencv, camera_model::fisheye, camera_model::orthographic}) {
    in.rig.add(features::camera_of(model, 14 + 5 * i, 41 - 6 * i), features::pose_of(i));
    ++i;
  }
  in.background = make_tensor<double, 2>({4, 3}, 0.4);
  // Faded alphas come close to 0, and the expected depth divides by 1 - T: digits are lost there on both sides.
  expect_same_both_ways<config>(6, in, 1e-9);
}

// In double the gradients of a tile of 32 with every depth have no room in a block's memory by Gaussian.
TEST(device_features, channels_1_24_and_70) {
  expect_same_both_ways<raster_config{.channels = 1, .tile = 32, .depth = every}>(
      7, scenes::random({.gaussians = 30, .channels = 1, .seed = 23}), 1e-11);
  expect_same_both_ways<raster_config{.channels = 24}>(8, scenes::random({.gaussians = 30, .channels = 24, .seed = 24}),
                                                       1e-11);
  // 32 features go along with the colours, 32 and 3 in passes of their own.
  expect_same_both_ways<raster_config{.channels = 70, .depth = splat::no_depth}>(
      9, scenes::random({.gaussians = 20, .height = 9, .width = 20, .channels = 70, .seed = 25}), 1e-11);
}

TEST(device_features, contributors_are_those_of_the_cpu) {
  constexpr raster_config config{};
  const auto in = scenes::random({.gaussians = 150, .height = 20, .width = 40, .most_opacity = 1.0, .seed = 26});
  emulator::gpu e{.seed = 8};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 14;
  const auto draw = [&] {
    return splat::device_rasterizer<config>{}.forward(
        e, to_device(e, in.s.means), to_device(e, in.s.scales), to_device(e, in.s.rotations),
        to_device(e, in.s.opacities), to_device(e, in.s.colours), to_device(e, in.background), in.rig, options);
  };
  const auto r = draw();
  const auto got = splat::top_contributors<config, 4>(e, r.saved);
  cpu host_exec{.threads = 1};
  const auto wanted = splat::top_contributors<config, 4>(host_exec, features::render<config>(host_exec, in).saved);
  const auto ids = to_host(e, got.ids);
  EXPECT_LE(worst_of(to_host(e, got.weights), wanted.weights), 1e-13);
  EXPECT_TRUE(features::same_bits(ids, wanted.ids));
  EXPECT_GT(std::count_if(ids.begin(), ids.end(), [](int id) { return id >= 0; }), 1000);
  // A call in bands keeps no lists and bins again; views are 2 rows of tiles high.
  const idx needed = splat::read_counts(e, r.saved.lists.counts).intersections;
  options.bands = 3, options.capacity = needed * 3 / 4;
  const auto in_bands = splat::top_contributors<config, 4>(e, draw().saved);
  EXPECT_TRUE(features::same_bits(to_host(e, in_bands.ids), ids));
  EXPECT_TRUE(features::same_bits(to_host(e, in_bands.weights), to_host(e, got.weights)));
}

} // namespace device_features_test

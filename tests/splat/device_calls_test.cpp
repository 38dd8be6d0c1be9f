// SPDX-License-Identifier: Apache-2.0
// The device's rasterizer in bands of tile rows and with cameras from tensors: the same bits as in one go and from a rig.

#include "../support/check.hpp"
#include "device_parity.hpp"
#include "features.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace {

using namespace sqs;
using namespace sqs::test;
using splat::raster_config;

/// What a call in `bands` differs from a call in one, which must be nothing.
template <raster_config Config> void expect_same_in_bands(const scenes::inputs<double>& in, idx capacity, int bands) {
  emulator::gpu e{.seed = 9};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 13;
  splat::raster_counts whole, parts;
  const auto wanted = render_on<Config>(e, in, options, &whole);
  options.capacity = capacity, options.bands = bands;
  const auto got = render_on<Config>(e, in, options, &parts);
  expect_same_bits(got, wanted, concat(bands, " bands"));
  EXPECT_EQ(parts.intersections, whole.intersections);
  EXPECT_EQ(parts.visible, whole.visible);
  EXPECT_EQ(parts.undrawn, 0);
  EXPECT_GT(whole.intersections, capacity); // bands were needed
}

TEST(device_calls, bands_give_the_same_bits_in_less_memory) {
  // Nine rows of nine tiles in each of two views; one Gaussian covers more tiles than a coverage has bits.
  constexpr raster_config small_tiles{.tile = 8};
  auto in = scenes::random({.gaussians = 60, .height = 70, .width = 70, .most_opacity = 0.6, .seed = 27});
  for (idx k = 0; k < 3; ++k) { in.s.scales(0, k) = 3; }
  emulator::gpu e{.seed = 9};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 13;
  splat::raster_counts counts;
  render_on<small_tiles>(e, in, options, &counts);
  for (const int bands : {3, 18}) { expect_same_in_bands<small_tiles>(in, counts.intersections * 4 / 5, bands); }
  // Channels in several passes, views of different sizes, masks aside.
  constexpr raster_config jagged{.channels = 40, .depth = splat::median_depth, .layout = splat::image_layout::jagged};
  auto other = scenes::random({.gaussians = 60, .height = 40, .width = 50, .channels = 40, .seed = 28});
  other.rig = {};
  for (int i = 0; i < 3; ++i) {
    other.rig.add(features::camera_of(camera_model::pinhole, 20 + 15 * i, 60 - 10 * i), features::pose_of(i));
  }
  other.background = make_tensor<double, 2>({3, 40}, 0.4);
  render_on<jagged>(e, other, options, &counts);
  expect_same_in_bands<jagged>(other, counts.intersections - 1, 4);
}

TEST(device_calls, a_band_that_does_not_fit_is_counted) {
  const auto in = scenes::random({.gaussians = 80, .height = 64, .width = 64, .seed = 29});
  emulator::gpu e{.seed = 10};
  splat::raster_options<double, device> options;
  splat::raster_counts whole, parts;
  options.capacity = 1 << 12;
  render_on<raster_config{}>(e, in, options, &whole);
  EXPECT_EQ(whole.undrawn, 0);
  options.capacity = 16;
  render_on<raster_config{}>(e, in, options, &parts);
  EXPECT_EQ(parts.intersections, whole.intersections);
  EXPECT_EQ(parts.undrawn, whole.intersections - 16);
  options.bands = 2;
  render_on<raster_config{}>(e, in, options, &parts);
  EXPECT_EQ(parts.intersections, whole.intersections);
  EXPECT_EQ(parts.undrawn, whole.intersections - 32); // both bands have more than 16
}

TEST(device_calls, bands_refuse_what_they_cannot_do) {
  const auto in = scenes::random({.gaussians = 8, .height = 20, .width = 20, .seed = 30});
  emulator::gpu e{.seed = 11};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 10;
  const auto message = [&] { return message_of([&] { render_on<raster_config{}>(e, in, options); }); };
  options.bands = 0;
  EXPECT_THAT(message(), testing::HasSubstr("option bands is 0; give 1 to 4, the rows of tiles of all views"));
  options.bands = 5;
  EXPECT_THAT(message(), testing::HasSubstr("option bands is 5; give 1 to 4"));
  options.bands = 2, options.order = splat::backward_order::by_gaussian;
  EXPECT_THAT(message(), testing::HasSubstr("order is by_gaussian and option bands is 2"));
}

TEST(device_calls, cameras_from_tensors_give_the_bits_of_a_rig) {
  constexpr raster_config jagged{.depth = splat::accumulated_depth | splat::median_depth,
                                 .layout = splat::image_layout::jagged};
  auto in = scenes::random({.gaussians = 40, .spread = 1.5, .seed = 22});
  in.rig = {};
  for (const auto model :
       {camera_model::pinhole, camera_model::opencv, camera_model::fisheye, camera_model::orthographic}) {
    const int i = in.rig.size();
    in.rig.add(features::camera_of(model, 14 + 5 * i, 41 - 6 * i), features::pose_of(i));
  }
  in.background = make_tensor<double, 2>({4, 3}, 0.4);
  emulator::gpu e{.seed = 12};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 11;
  splat::raster_counts counts, other;
  const auto wanted = render_on<jagged>(e, in, options, &counts), got = render_on<jagged>(e, in, options, &other, true);
  expect_same_bits(got, wanted, "cameras from tensors");
  EXPECT_GT(counts.visible, 30);
  EXPECT_EQ(other.visible, counts.visible);
}

TEST(device_calls, refuses_cameras_of_another_shape) {
  const auto in = scenes::random({.gaussians = 8, .height = 20, .width = 20, .seed = 30});
  emulator::gpu e{.seed = 13};
  const auto poses = to_device(e, make_tensor<double, 2>({2, 12})),
             numbers = to_device(e, make_tensor<double, 2>({2, 4}));
  EXPECT_THAT(message_of([&] {
                splat::device_rasterizer<>{}.forward(e, to_device(e, in.s.means), to_device(e, in.s.scales),
                                                     to_device(e, in.s.rotations), to_device(e, in.s.opacities),
                                                     to_device(e, in.s.colours), to_device(e, in.background), poses,
                                                     numbers, in.rig);
              }),
              testing::HasSubstr("poses is [2, 12] and intrinsics [2, 4] but both must be [2, 12]"));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The device's rasterizer in bands of tile rows and with cameras from tensors: the same bits as in one go and from a rig.

#include "../support/check.hpp"
#include "device_parity.hpp"
#include "features.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace device_calls_test {

using namespace sqs;
using namespace sqs::test;
using splat::raster_config;

/// What calls in so many bands, each with room for a share of the entries, differ from a call in one: nothing.
template <raster_config Config> void expect_same_in_bands(const scenes::inputs<double>& in, splat::backward_order order,
                                                          double share, std::initializer_list<int> numbers) {
  emulator::gpu e{.seed = 9};
  splat::raster_options<double, device> options;
  options.capacity = 1 << 13, options.order = order;
  splat::raster_counts whole, parts;
  const auto wanted = render_on<Config>(e, in, options, &whole);
  ASSERT_EQ(whole.undrawn, 0);
  options.capacity = static_cast<idx>(share * static_cast<double>(whole.intersections));
  ASSERT_LT(options.capacity, whole.intersections); // bands are needed
  for (const int bands : numbers) {
    options.bands = bands;
    const auto got = render_on<Config>(e, in, options, &parts);
    expect_same_bits(got, wanted, concat(bands, " bands"));
    EXPECT_EQ(parts.intersections, whole.intersections);
    EXPECT_EQ(parts.visible, whole.visible);
    EXPECT_EQ(parts.undrawn, 0);
  }
}

TEST(device_calls, bands_give_the_same_bits_in_less_memory) {
  // Nine rows of nine tiles in each of two views; the boxes of one Gaussian have more tiles than a coverage has bits.
  constexpr raster_config small_tiles{.tile = 8};
  auto in = scenes::random({.gaussians = 30, .height = 70, .width = 70, .most_opacity = 0.6, .seed = 27});
  for (idx k = 0; k < 3; ++k) { in.s.scales(0, k) = 3; }
  expect_same_in_bands<small_tiles>(in, splat::backward_order::by_pixel, 0.8, {3, 18});
  expect_same_in_bands<small_tiles>(in, splat::backward_order::by_gaussian, 0.8, {4});
}
TEST(device_calls, bands_of_views_of_other_sizes_and_channels_in_several_passes) {
  constexpr raster_config jagged{.channels = 40, .depth = splat::median_depth, .layout = splat::image_layout::jagged};
  auto in = scenes::random({.gaussians = 30, .height = 40, .width = 50, .channels = 40, .seed = 28});
  in.rig = {};
  for (int i = 0; i < 3; ++i) {
    in.rig.add(features::camera_of(camera_model::pinhole, 20 + 15 * i, 60 - 10 * i), features::pose_of(i));
  }
  in.background = make_tensor<double, 2>({3, 40}, 0.4);
  for (const auto order : {splat::backward_order::by_pixel, splat::backward_order::by_gaussian}) {
    expect_same_in_bands<jagged>(in, order, 0.99, {4});
  }
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
}

// The pool has room for the forward pass, but not for the sums of the lists' entries on the way back.
TEST(device_calls, memory_that_is_missing_names_the_call) {
  static std::size_t room;
  room = std::size_t{14} << 20;
  const slab_source slabs{[](std::size_t bytes, const char* who) -> void* {
                            if (bytes > room) { return nullptr; }
                            room -= bytes;
                            return emulator::detail::take_dirty_slab(bytes, who);
                          },
                          &sqs::detail::give_host_slab, [] { return room; }, "the device"};
  emulator::gpu e{.seed = 14, .shared = std::make_shared<emulator::detail::gpu_state>(slabs)};
  const auto in = scenes::random({.gaussians = 8, .height = 20, .width = 20, .seed = 30});
  splat::raster_options<double, device> options;
  const auto message = [&](idx capacity) {
    options.capacity = capacity;
    return message_of([&] { render_on<raster_config{}>(e, in, options); });
  };
  const auto backward = message(200000);
  EXPECT_THAT(backward, testing::HasSubstr(concat("sqs::splat::device_rasterizer (backward): no memory for 16000000 "
                                                  "bytes: ",
                                                  room, " bytes are free in the device, and the pool")));
  EXPECT_THAT(backward, testing::HasSubstr("; give a smaller raster_options::capacity, or the same room to one band "
                                           "after the other: raster_options::bands"));
  EXPECT_THAT(message(1 << 30), testing::HasSubstr("(forward): no memory for 4294967296 bytes: "));
  EXPECT_EQ(message(20000), "no error");
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

} // namespace device_calls_test

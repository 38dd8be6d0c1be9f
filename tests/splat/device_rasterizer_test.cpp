// SPDX-License-Identifier: Apache-2.0
// The device's rasterizer on the emulated device against the CPU's: the plain configuration, its edges and its errors.

#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "device_parity.hpp"

#include <sqs/exec/emulated_gpu.hpp>

#include <gmock/gmock.h>

namespace device_rasterizer_test {

using namespace sqs;
using namespace sqs::test;

constexpr splat::raster_config plain{};

template <class R> bool same_bits_in_all(const R& a, const R& b) {
  return same_bits(a.image, b.image) && same_bits(a.depth, b.depth) && same_bits(a.transmittance, b.transmittance) &&
         same_bits(a.means, b.means) && same_bits(a.scales, b.scales) && same_bits(a.rotations, b.rotations) &&
         same_bits(a.opacities, b.opacities) && same_bits(a.colours, b.colours) &&
         same_bits(a.background, b.background) && same_bits(a.poses, b.poses) && same_bits(a.intrinsics, b.intrinsics);
}
splat::raster_options<double, device> room_for(idx entries) {
  splat::raster_options<double, device> o;
  o.capacity = entries;
  return o;
}

TEST(device_rasterizer, equals_the_cpu) {
  emulator::gpu e{.seed = 1};
  expect_same<plain>(e, scenes::random({.gaussians = 60, .height = 40, .width = 50, .most_opacity = 1.0, .seed = 5}),
                     1e-12, 1e-11);
}
TEST(device_rasterizer, equals_the_cpu_where_pixels_stop_early) {
  emulator::gpu e{.seed = 2};
  expect_same<plain>(e,
                     scenes::random({.gaussians = 300,
                                     .height = 33,
                                     .width = 40,
                                     .least_opacity = 0.6,
                                     .most_opacity = 1.0,
                                     .most_scale = 1.2,
                                     .seed = 15}),
                     1e-12, 1e-11);
}
TEST(device_rasterizer, equals_the_cpu_in_float) {
  emulator::gpu e{.seed = 3};
  const auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 60, .height = 40, .width = 50, .seed = 6}));
  expect_same<plain>(e, in, 2e-6, 1e-5);
}
TEST(device_rasterizer, equals_the_cpu_for_tiny_and_huge_gaussians_and_one_pixel) {
  emulator::gpu e{.seed = 4};
  auto in = scenes::random({.gaussians = 40, .height = 1, .width = 1, .least_scale = 1e-3, .most_scale = 5, .seed = 7});
  expect_same<plain>(e, in, 1e-12, 1e-11);
  in = scenes::random({.gaussians = 20, .height = 300, .width = 40, .least_scale = 3, .most_scale = 9, .seed = 8});
  expect_same<plain>(e, in, 1e-12, 1e-11); // boxes of more than 64 tiles
}

TEST(device_rasterizer, adds_as_it_comes) {
  emulator::gpu e{.seed = 6};
  const auto in = scenes::random({.gaussians = 60, .height = 20, .width = 50, .seed = 17});
  expect_same<plain>(e, in, 1e-12, 1e-11, {}, splat::backward_order::by_pixel, splat::gradient_sums::atomic);
}

// The pool never holds more than was announced, and what was announced is no multiple of it.
TEST(device_rasterizer, announces_its_memory) {
  const auto in = scenes::random({.gaussians = 200, .height = 40, .width = 48, .seed = 18});
  for (const bool atomic : {false, true}) {
    for (const auto order : {splat::backward_order::by_pixel, splat::backward_order::by_gaussian}) {
      auto options = room_for(12000);
      options.order = order;
      options.sums = atomic ? splat::gradient_sums::atomic : splat::gradient_sums::ordered;
      emulator::gpu e;
      (void)render_on<plain>(e, in, options);
      const auto announced = splat::device_rasterizer<plain>::query_bytes(in.rig, 200, options);
      const auto used = e.memory().statistics().peak;
      EXPECT_LE(used, announced);
      EXPECT_GT(2.0 * static_cast<double>(used), static_cast<double>(announced) - (1 << 22));
    }
  }
}

// A correct kernel gives the same bits however its threads are ordered.
TEST(device_rasterizer, gives_the_same_bits_for_every_order_of_threads) {
  const auto in = scenes::random({.gaussians = 80, .height = 40, .width = 50, .seed = 9});
  emulator::gpu first{.seed = 1};
  const auto wanted = render_on<plain>(first, in, room_for(4096));
  for (const std::uint64_t seed : {77u, 123456u, 999u}) {
    emulator::gpu e{.seed = seed};
    EXPECT_TRUE(same_bits_in_all(render_on<plain>(e, in, room_for(4096)), wanted)) << seed;
  }
  emulator::gpu e;
  EXPECT_TRUE(same_bits_in_all(render_on<plain>(e, in, room_for(40000)), wanted)) << "capacity shows";
}

TEST(device_rasterizer, draws_the_background_where_nothing_is) {
  emulator::gpu e;
  auto in = scenes::random({.gaussians = 5, .seed = 10});
  for (idx g = 0; g < 5; ++g) { in.s.means(g, 2) = -4; }
  expect_same<plain>(e, in, 0, 1e-15);
  auto none = scenes::blank<double>(0, 3, 2);
  none.rig = scenes::two_views(17, 33);
  std::fill(none.background.begin(), none.background.end(), 0.25);
  expect_same<plain>(e, none, 0, 1e-15); // sums of the background in another order
}

TEST(device_rasterizer, rejects_and_counts_numbers_that_are_not_finite) {
  emulator::gpu e;
  auto in = scenes::random({.gaussians = 40, .seed = 11});
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  in.s.means(3, 1) = nan, in.s.scales(5, 0) = inf, in.s.rotations(7, 3) = nan, in.s.opacities(9) = nan;
  in.s.colours(11, 2) = -inf;
  splat::raster_counts counts;
  const auto got = render_on<plain>(e, in, room_for(4096), &counts);
  EXPECT_EQ(counts.rejected, 5);
  for (const double x : got.image) { ASSERT_TRUE(std::isfinite(x)); }
  for (const idx g : {3, 5, 7, 9, 11}) {
    EXPECT_EQ(got.means(g, 0), 0.0);
    EXPECT_EQ(got.opacities(g), 0.0);
  }
  expect_same<plain>(e, in, 1e-12, 1e-11);
}
TEST(device_rasterizer, drops_what_overflows_in_float) {
  emulator::gpu e;
  auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 40, .seed = 12}));
  in.s.scales(4, 0) = 1e25f, in.s.scales(6, 1) = 0.0f, in.s.rotations(8, 0) = 0.0f;
  for (idx i = 0; i < 4; ++i) { in.s.rotations(8, i) = 0.0f; }
  expect_same<plain>(e, in, 2e-6, 1e-5);
}

// Entries without room are left out and counted; nothing else is touched.
TEST(device_rasterizer, counts_what_has_no_room) {
  emulator::gpu e;
  const auto in = scenes::random({.gaussians = 60, .height = 40, .width = 50, .seed = 13});
  splat::raster_counts all, few;
  const auto whole = render_on<plain>(e, in, room_for(4096), &all);
  const auto part = render_on<plain>(e, in, room_for(100), &few);
  EXPECT_EQ(few.intersections, all.intersections);
  EXPECT_GT(all.intersections, 100);
  EXPECT_FALSE(same_bits(whole.image, part.image));
  for (const double x : part.image) { ASSERT_TRUE(std::isfinite(x)); }
  EXPECT_TRUE(same_bits_in_all(render_on<plain>(e, in, room_for(all.intersections)), whole)) << "exactly enough";
}

// NaN in a gradient goes where it belongs: to what was drawn, as on the CPU.
TEST(device_rasterizer, passes_on_a_gradient_that_is_not_finite) {
  emulator::gpu e;
  const auto in = scenes::random({.gaussians = 10, .seed = 14});
  const splat::device_rasterizer<plain> op;
  const auto r = op.forward(e, to_device(e, in.s.means), to_device(e, in.s.scales), to_device(e, in.s.rotations),
                            to_device(e, in.s.opacities), to_device(e, in.s.colours), to_device(e, in.background),
                            in.rig, room_for(4096));
  const auto& [image, depth, t] = r.value;
  auto d_image = make_tensor<double, 4>(image.shape());
  d_image(0, 8, 16, 1) = std::numeric_limits<double>::quiet_NaN();
  const auto d = op.backward(e, r.saved, to_device(e, d_image), full<double, 3>(e, depth.shape(), 0.0),
                             full<double, 3>(e, t.shape(), 0.0));
  const auto poses = to_host(e, std::get<6>(d));
  EXPECT_TRUE(std::isnan(poses(0, 9)));
  EXPECT_FALSE(std::isnan(poses(1, 9)));
}

TEST(device_rasterizer, says_what_does_not_fit) {
  emulator::gpu e;
  const auto in = scenes::random({.gaussians = 4, .seed = 1});
  const auto message = [&](auto&& change) {
    auto means = to_device(e, in.s.means);
    auto background = to_device(e, in.background);
    auto options = room_for(64);
    change(means, background, options);
    return message_of([&] {
      (void)splat::device_rasterizer<plain>{}.forward(e, means, to_device(e, in.s.scales), to_device(e, in.s.rotations),
                                                      to_device(e, in.s.opacities), to_device(e, in.s.colours),
                                                      background, in.rig, options);
    });
  };
  using ::testing::HasSubstr;
  EXPECT_EQ(message([](auto&, auto&, auto&) {}), "no error");
  EXPECT_THAT(message([&](auto& m, auto&, auto&) {
                m = empty<double, 2>(e, {5, 3});
              }),
              HasSubstr("scales is [4, 3] but must be [5, 3]"));
  EXPECT_THAT(message([&](auto&, auto& b, auto&) {
                b = empty<double, 2>(e, {1, 3});
              }),
              HasSubstr("background is [1, 3] but must be [2, 3]"));
  EXPECT_THAT(message([&](auto&, auto&, auto& o) { o.capacity = -1; }), HasSubstr("option capacity is -1"));
  EXPECT_THAT(message([&](auto&, auto&, auto& o) { o.mask.tiles = empty<std::uint8_t, 1>(e, {3}); }),
              HasSubstr("option mask.tiles is [3] but must be"));
}

} // namespace device_rasterizer_test

// SPDX-License-Identifier: Apache-2.0
// The way back that goes Gaussian by Gaussian, on the emulated device, and what chooses between it and the other one.
// Features are compared in device_features_test.cpp, bands in device_calls_test.cpp.

#include "device_parity.hpp"

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/splat/cuda/reach.hpp>

namespace device_order_test {

using namespace sqs;
using namespace sqs::test;
using splat::raster_config;

constexpr auto by_gaussian = splat::backward_order::by_gaussian;
/// Pixels stop early, some are masked, and so is a tile.
const scenes::recipe dense{.gaussians = 300,
                           .height = 17,
                           .width = 20,
                           .least_opacity = 0.6,
                           .most_opacity = 1.0,
                           .most_scale = 1.2,
                           .seed = 15};
splat::raster_options<double> masked() {
  splat::raster_options<double> o;
  o.mask.pixels = make_tensor<std::uint8_t, 1>({2 * 17 * 20}, std::uint8_t{1});
  o.mask.tiles = make_tensor<std::uint8_t, 1>({8}, std::uint8_t{1});
  for (idx i = 0; i < o.mask.pixels.size(); i += 5) { o.mask.pixels(i) = 0; }
  o.mask.tiles(3) = 0;
  return o;
}

TEST(device_order, goes_back_by_gaussian) {
  constexpr raster_config plain{};
  emulator::gpu e{.seed = 5};
  expect_same<plain>(e, scenes::random({.gaussians = 150, .height = 20, .width = 50, .most_opacity = 1.0, .seed = 5}),
                     1e-12, 1e-11, {}, by_gaussian);
  expect_same<plain>(e, scenes::random(dense), 1e-12, 1e-10, masked(), by_gaussian);
  expect_same<plain>(e, scenes::random({.gaussians = 60, .height = 20, .width = 50, .seed = 17}), 1e-12, 1e-11, {},
                     by_gaussian, splat::gradient_sums::atomic);
}

// By hand, on tiles of 16: 256 + 31 steps for 32 entries, and all eight warps have room in float.
// 3 channels: r 92 against r 23 + 287 / 32 * 49; 24 channels: r 176 against r 44 + 287 / 32 * 112.
TEST(device_order, cost_by_hand) {
  constexpr double steps = 287 / 32.0;
  constexpr raster_config plain{}, many{.channels = 24}, more{.channels = 40}, small{.tile = 8}, large{.tile = 32};
  EXPECT_DOUBLE_EQ(splat::cost_of_backward<plain>(4.6).by_pixel, 4.6 * 92);
  EXPECT_DOUBLE_EQ(splat::cost_of_backward<plain>(4.6).by_gaussian, 4.6 * 23 + steps * 49);
  EXPECT_DOUBLE_EQ(splat::cost_of_backward<many>(2).by_gaussian, 2 * 44 + steps * 112);
  EXPECT_DOUBLE_EQ(splat::cost_of_backward<more>(2).by_pixel, 2 * 260.0); // a second pass
  const auto order = [](const splat::backward_cost& c) { return c.cheaper(); };
  EXPECT_EQ(order(splat::cost_of_backward<plain>(steps * 49 / 69 - 1e-6)), splat::backward_order::by_pixel);
  EXPECT_EQ(order(splat::cost_of_backward<plain>(steps * 49 / 69 + 1e-6)), by_gaussian);
  EXPECT_EQ(order(splat::cost_of_backward<many>(steps * 112 / 132 - 1e-6)), splat::backward_order::by_pixel);
  EXPECT_EQ(order(splat::cost_of_backward<many>(steps * 112 / 132 + 1e-6)), by_gaussian);
  for (const auto& c :
       {splat::cost_of_backward<plain>(splat::usual_reach(16)), splat::cost_of_backward<small>(splat::usual_reach(8)),
        splat::cost_of_backward<large>(splat::usual_reach(32))}) {
    EXPECT_EQ(order(c), splat::backward_order::by_pixel); // the usual case
  }
  // On tiles of 32 most warps wait: it never pays, even where all 32 blocks are reached.
  EXPECT_EQ(order(splat::cost_of_backward<large>(32)), splat::backward_order::by_pixel);
}

// The two orders round in other ways, so that bits tell which of them ran.
TEST(device_order, automatic_follows_the_reach) {
  constexpr raster_config plain{};
  const auto in = scenes::random({.gaussians = 40, .height = 20, .width = 50, .seed = 19});
  const auto means = [&](splat::backward_order order, double reach) {
    emulator::gpu e{.seed = 9};
    splat::raster_options<double, device> options;
    options.capacity = 2000, options.order = order, options.reach = reach;
    return render_on<plain>(e, in, options).means;
  };
  const auto same = [](const auto& a, const auto& b) { return std::equal(a.begin(), a.end(), b.begin()); };
  const auto pixel = means(splat::backward_order::by_pixel, 0), gaussian = means(by_gaussian, 0);
  EXPECT_FALSE(same(pixel, gaussian));
  constexpr auto automatic = splat::backward_order::automatic;
  // In double half of the warps have no room: r 69 = 2 * 287 / 32 * 49.
  EXPECT_TRUE(same(means(automatic, 0), pixel));
  EXPECT_TRUE(same(means(automatic, 287 / 16.0 * 49 / 69 - 1e-6), pixel));
  EXPECT_TRUE(same(means(automatic, 287 / 16.0 * 49 / 69 + 1e-6), gaussian));
}

// By hand: a view of one tile, a Gaussian that covers it and a point in its first block: (8 + 1) / 2. Behind the tile's
// right edge a third reaches two blocks of its last column.
TEST(device_order, reach_by_hand) {
  auto in = scenes::blank<double>(3, 3, 1);
  const double at[3][3] = {{0, 0, 5}, {-0.45, -0.45, 4}, {0.86, 0, 6}}, size[3] = {50, 0.001, 0.03};
  for (idx g = 0; g < 3; ++g) {
    in.s.opacities(g) = 0.5;
    for (idx i = 0; i < 3; ++i) { in.s.means(g, i) = at[g][i], in.s.scales(g, i) = size[g]; }
  }
  in.rig.add(any_camera<double>{60, 60, 8, 8, 16, 16}, {});
  for (const int bands : {1, 2}) {
    emulator::gpu e{.seed = 3};
    splat::raster_options<double, device> options;
    options.capacity = 100;
    const auto draw = [&](const auto& op) {
      return op.forward(e, to_device(e, in.s.means), to_device(e, in.s.scales), to_device(e, in.s.rotations),
                        to_device(e, in.s.opacities), to_device(e, in.s.colours), to_device(e, in.background), in.rig,
                        options);
    };
    if (bands == 1) {
      EXPECT_DOUBLE_EQ(splat::measure_reach<raster_config{}>(e, draw(splat::device_rasterizer<>{}).saved), 11.0 / 3);
    } else { // four tiles of two blocks: 8 of 4, 1 of 1, 2 of 2
      constexpr raster_config small{.tile = 8};
      options.bands = 2;
      EXPECT_DOUBLE_EQ(splat::measure_reach<small>(e, draw(splat::device_rasterizer<small>{}).saved), 11.0 / 7);
    }
  }
}

} // namespace device_order_test

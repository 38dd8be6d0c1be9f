// SPDX-License-Identifier: Apache-2.0
// Any number of channels and tiles of any size: against the oracle, and their gradients.

#include "features.hpp"

namespace channels_test {

using namespace features;
using splat::raster_config;

scenes::inputs<double> scene(idx channels, std::uint64_t seed, idx gaussians = 120) {
  return scenes::random(
      {.gaussians = gaussians, .height = 35, .width = 50, .most_opacity = 1.0, .channels = channels, .seed = seed});
}

template <int Channels> void equals_the_oracle() {
  SCOPED_TRACE(Channels);
  expect_like_oracle<raster_config{.channels = Channels}>(scene(Channels, 41), {});
}
TEST(channels, few) { equals_the_oracle<1>(), equals_the_oracle<2>(), equals_the_oracle<4>(); }
TEST(channels, many) { equals_the_oracle<24>(), equals_the_oracle<40>(); }
TEST(channels, more_than_a_chunk) { equals_the_oracle<130>(); }

template <int Tile> void tiles_equal_the_oracle() {
  SCOPED_TRACE(Tile);
  expect_like_oracle<raster_config{.channels = 5, .tile = Tile}>(scene(5, 42), {});
}
TEST(channels, in_tiles_of_any_size) {
  tiles_equal_the_oracle<8>(), tiles_equal_the_oracle<16>(), tiles_equal_the_oracle<32>();
}

constexpr raster_config smooth(int channels, int tile = 16) {
  return {.channels = channels, .tile = tile, .cut_width = {1, 5}, .stop = {0, 1}};
}
scenes::inputs<double> small(idx channels, std::uint64_t seed) {
  return scenes::random({.gaussians = 6, .height = 11, .width = 21, .channels = channels, .seed = seed});
}
TEST(channels, gradients) {
  expect_gradients<smooth(1)>(small(1, 43));
  expect_gradients<smooth(24)>(small(24, 44));
}
TEST(channels, gradients_of_more_than_a_chunk) { expect_gradients<smooth(40, 32)>(small(40, 45)); }

// Lists of several batches, in tiles that differ from one another. No fade, but a cut that nothing reaches: the quotients of
// so many pixels need every derivative. A larger step would swap two depths.
TEST(channels, gradients_of_long_lists) {
  const auto in = scenes::random({.gaussians = 120,
                                  .height = 20,
                                  .width = 36,
                                  .most_opacity = 0.5,
                                  .least_scale = 0.2,
                                  .channels = 1,
                                  .seed = 48});
  constexpr raster_config config{.channels = 1, .alpha_cut = {1, 1000000000000000}, .stop = {0, 1}};
  expect_gradients<config>(in, {.step = 3e-4, .samples = 12}, 0.9);
}

// Channels do not know of each other: the first three of 24 are those of 3, to the last bit.
TEST(channels, do_not_change_each_other) {
  const auto many = scene(24, 46);
  auto few = many;
  few.s.colours = make_tensor<double, 2>({many.s.count(), 3});
  few.background = make_tensor<double, 2>({2, 3});
  for (idx g = 0; g < many.s.count(); ++g) { std::copy_n(&many.s.colours(g, 0), 3, &few.s.colours(g, 0)); }
  for (idx v = 0; v < 2; ++v) { std::copy_n(&many.background(v, 0), 3, &few.background(v, 0)); }
  cpu e{.threads = 2};
  const auto a = render<raster_config{.channels = 24}>(e, many);
  const auto b = render<raster_config{}>(e, few);
  const auto &wide = std::get<0>(a.value), &narrow = std::get<0>(b.value);
  for (idx p = 0; p < std::get<2>(b.value).size(); ++p) {
    for (idx c = 0; c < 3; ++c) { ASSERT_EQ(wide.data()[24 * p + c], narrow.data()[3 * p + c]); }
  }
  EXPECT_TRUE(same_bits(std::get<1>(a.value), std::get<1>(b.value)));
  EXPECT_TRUE(same_bits(std::get<2>(a.value), std::get<2>(b.value)));
}

} // namespace channels_test

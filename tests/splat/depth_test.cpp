// SPDX-License-Identifier: Apache-2.0
// Every kind of depth, alone and all together: against the oracle, and their gradients.

#include "features.hpp"

namespace depth_test {

using namespace features;
using namespace splat;

constexpr depth_kinds every = accumulated_depth | expected_depth | inverse_depth | median_depth;

TEST(depth, equals_the_oracle) {
  expect_like_oracle<raster_config{.depth = every}>(
      scenes::random({.gaussians = 150, .height = 35, .width = 50, .most_opacity = 1.0, .seed = 51}), {});
}
TEST(depth, may_be_left_out) {
  const auto in = scenes::random({.seed = 53});
  cpu e{.threads = 1};
  constexpr raster_config without{.depth = no_depth};
  const auto r = render<without>(e, in);
  const auto with = render<raster_config{}>(e, in);
  EXPECT_EQ(std::get<1>(r.value).shape(), (extents<4>{2, 17, 33, 0}));
  EXPECT_TRUE(same_bits(std::get<0>(r.value), std::get<0>(with.value)));
  EXPECT_TRUE(same_bits(std::get<2>(r.value), std::get<2>(with.value)));
  // A depth that is not there has the gradients of a depth whose gradient is zero.
  const auto d = some_gradient(e, r.value);
  const auto g = rasterizer<without>{}.backward(e, r.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  const auto expected =
      rasterizer<>{}.backward(e, with.saved, std::get<0>(d), zeros<double, 3>(e, {2, 17, 33}), std::get<2>(d));
  for (idx i = 0; i < in.s.means.size(); ++i) {
    EXPECT_NEAR(std::get<0>(g).data()[i], std::get<0>(expected).data()[i], 1e-12);
  }
}

// By hand: Gaussians of opacity 0.5 at 2 m and 4 m before the middle pixel.
TEST(depth, by_hand) {
  auto in = scenes::blank<double>(2, 3, 1);
  for (idx g = 0; g < 2; ++g) {
    in.s.means(g, 2) = 2 + 2 * static_cast<double>(g), in.s.opacities(g) = 0.5;
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = 0.1; }
  }
  in.rig.add(any_camera<double>{50, 50, 8.5, 8.5, 17, 17}, {});
  cpu e{.threads = 1};
  const auto r = render<raster_config{.depth = every}>(e, in);
  const auto& depth = std::get<1>(r.value);
  EXPECT_NEAR(depth(0, 8, 8, 0), 0.5 * 2 + 0.25 * 4, 1e-12);
  EXPECT_NEAR(depth(0, 8, 8, 1), 2 / 0.75, 1e-12);
  EXPECT_NEAR(depth(0, 8, 8, 2), 0.5 / 2 + 0.25 / 4, 1e-12);
  EXPECT_EQ(depth(0, 8, 8, 3), 4); // T is 1/2 after the first, which is not below
  for (idx k = 0; k < 4; ++k) { EXPECT_EQ(depth(0, 0, 0, k), 0); }
}

/// Faint Gaussians before and behind a wall. The wall covers every pixel, so that expected depth never divides by little;
/// T is at least 0.9^5 = 0.59 before it and at most 0.2 behind, so that the median is the wall's depth everywhere and a
/// small step changes nothing about that.
scenes::inputs<double> walled() {
  auto in = scenes::random({.gaussians = 6, .height = 11, .width = 21, .most_opacity = 0.1, .seed = 54});
  in.s.means(2, 0) = 0.3, in.s.means(2, 1) = -0.2, in.s.means(2, 2) = 5.5;
  in.s.scales(2, 0) = 30, in.s.scales(2, 1) = 25, in.s.scales(2, 2) = 2;
  in.s.rotations(2, 0) = 1;
  for (idx k = 1; k < 4; ++k) { in.s.rotations(2, k) = 0.02 * static_cast<double>(k); }
  in.s.opacities(2) = 0.85;
  return in;
}
constexpr raster_config smooth(depth_kinds kinds) { return {.cut_width = {1, 5}, .stop = {0, 1}, .depth = kinds}; }
template <depth_kinds Kinds> void value_and_gradients() {
  expect_like_oracle<smooth(Kinds)>(walled(), {.stop = 0, .cut_width = 0.2});
  expect_gradients<smooth(Kinds)>(walled());
}
TEST(depth, accumulated) { value_and_gradients<accumulated_depth>(); }
TEST(depth, expected) { value_and_gradients<expected_depth>(); }
TEST(depth, inverse) { value_and_gradients<inverse_depth>(); }
TEST(depth, median) { value_and_gradients<median_depth>(); }
TEST(depth, all_kinds) { value_and_gradients<every>(); }

template <depth_kinds Kind> void expect_plane(const tensor<double, 4>& all, idx plane) {
  cpu e{.threads = 1};
  const auto alone = std::get<1>(render<smooth(Kind)>(e, walled()).value);
  ASSERT_EQ(alone.shape(), (extents<3>{2, 11, 21}));
  for (idx p = 0; p < alone.size(); ++p) { ASSERT_EQ(all.data()[4 * p + plane], alone.data()[p]) << plane; }
}
TEST(depth, is_laid_out_kind_after_kind) {
  cpu e{.threads = 1};
  const auto all = std::get<1>(render<smooth(every)>(e, walled()).value);
  ASSERT_EQ(all.shape(), (extents<4>{2, 11, 21, 4}));
  expect_plane<accumulated_depth>(all, 0), expect_plane<expected_depth>(all, 1);
  expect_plane<inverse_depth>(all, 2), expect_plane<median_depth>(all, 3);
}
TEST(depth, median_is_the_depth_of_the_wall_in_that_scene) {
  cpu e{.threads = 1};
  const auto in = walled();
  const auto r = render<smooth(median_depth)>(e, in);
  for (idx v = 0; v < 2; ++v) {
    const auto p = in.rig[static_cast<int>(v)].T_cam_ref * vec3<double>{0.3, -0.2, 5.5};
    for (idx i = 0; i < 11 * 21; ++i) { ASSERT_NEAR(std::get<1>(r.value).data()[v * 11 * 21 + i], p.z, 1e-14); }
  }
}

} // namespace depth_test

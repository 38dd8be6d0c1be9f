// SPDX-License-Identifier: Apache-2.0
// Every camera model, rigs that mix models and sizes, and the gradients of poses and intrinsics.

#include "features.hpp"

namespace cameras_test {

using namespace features;
using splat::raster_config;

constexpr camera_model models[] = {camera_model::pinhole, camera_model::opencv, camera_model::fisheye,
                                   camera_model::orthographic};
constexpr raster_config jagged{.depth = splat::accumulated_depth | splat::median_depth,
                               .layout = splat::image_layout::jagged};

/// Eight cameras: every model twice, each with another size; the last one sees a single pixel.
camera_rig<double> mixed_rig() {
  camera_rig<double> rig;
  for (int i = 0; i < 8; ++i) {
    const int height = i == 7 ? 1 : 14 + 5 * i, width = i == 7 ? 1 : 61 - 6 * i;
    rig.add(camera_of(models[i % 4], height, width), pose_of(i));
  }
  return rig;
}
scenes::inputs<double> seen_by(const camera_rig<double>& rig, const scenes::recipe& r) {
  auto in = scenes::random(r);
  in.rig = rig;
  in.background = make_tensor<double, 2>({rig.size(), r.channels});
  for (idx i = 0; i < in.background.size(); ++i) { in.background.data()[i] = 0.07 * static_cast<double>(i % 13); }
  return in;
}

TEST(cameras, of_every_model_equal_the_oracle) {
  for (const auto model : models) {
    SCOPED_TRACE(name_of(model));
    camera_rig<double> rig;
    for (int i = 0; i < 2; ++i) { rig.add(camera_of(model, 30, 44), pose_of(3 * i)); }
    expect_like_oracle<raster_config{}>(seen_by(rig, {.gaussians = 120, .spread = 1.5, .seed = 81}), {});
  }
}

TEST(cameras, in_a_mixed_rig_equal_the_oracle) {
  expect_like_oracle<jagged>(seen_by(mixed_rig(), {.gaussians = 150, .spread = 1.5, .seed = 82}), {});
}

// Each view of a jagged call is the call with this camera alone, to the last bit; gradients add up.
TEST(cameras, of_a_mixed_rig_equal_each_alone) {
  const auto in = seen_by(mixed_rig(), {.gaussians = 150, .spread = 1.5, .seed = 83});
  cpu e{.threads = 2};
  const auto all = render<jagged>(e, in);
  const auto& [image, depth, t] = all.value;
  EXPECT_EQ(image.shape(), (extents<2>{in.rig.pixel_count(), 3}));
  EXPECT_EQ(depth.shape(), (extents<2>{in.rig.pixel_count(), 2}));
  EXPECT_EQ(t.shape(), (extents<1>{in.rig.pixel_count()}));
  const auto d = some_gradient(e, all.value);
  const auto g = splat::rasterizer<jagged>{}.backward(e, all.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  auto sum = zeros<double, 2>(e, in.s.means.shape());
  for (int v = 0; v < in.rig.size(); ++v) {
    auto alone = in;
    alone.rig = {in.rig[v]};
    alone.background = make_tensor<double, 2>({1, 3});
    std::copy_n(&in.background(v, 0), 3, &alone.background(0, 0));
    const auto one = render<jagged>(e, alone);
    const idx first = in.rig.first_pixel(v), pixels = std::get<2>(one.value).size();
    const auto same = [&](const auto& whole, const auto& part, idx columns) {
      return std::memcmp(whole.data() + columns * first, part.data(),
                         static_cast<std::size_t>(columns * pixels) * sizeof(double)) == 0;
    };
    EXPECT_TRUE(same(image, std::get<0>(one.value), 3)) << v;
    EXPECT_TRUE(same(depth, std::get<1>(one.value), 2)) << v;
    EXPECT_TRUE(same(t, std::get<2>(one.value), 1)) << v;
    auto di = empty<double, 2>(e, {pixels, 3}), dz = empty<double, 2>(e, {pixels, 2});
    auto dt = empty<double, 1>(e, {pixels});
    std::copy_n(std::get<0>(d).data() + 3 * first, di.size(), di.data());
    std::copy_n(std::get<1>(d).data() + 2 * first, dz.size(), dz.data());
    std::copy_n(std::get<2>(d).data() + first, dt.size(), dt.data());
    const auto part = splat::rasterizer<jagged>{}.backward(e, one.saved, di, dz, dt);
    for (idx i = 0; i < sum.size(); ++i) { sum.data()[i] += std::get<0>(part).data()[i]; }
    EXPECT_EQ(std::memcmp(&std::get<5>(g)(v, 0), &std::get<5>(part)(0, 0), 3 * sizeof(double)), 0) << v;
  }
  for (idx i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(sum.data()[i], std::get<0>(g).data()[i], 1e-12 * (1 + std::abs(sum.data()[i])));
  }
}

TEST(cameras, in_a_uniform_call_equal_the_jagged_one) {
  const auto in = scenes::random({.gaussians = 40, .seed = 84});
  cpu e{.threads = 2};
  const auto a = render<raster_config{}>(e, in);
  const auto b = render<raster_config{.layout = splat::image_layout::jagged}>(e, in);
  EXPECT_EQ(std::get<0>(b.value).shape(), (extents<2>{2 * 17 * 33, 3}));
  EXPECT_EQ(std::get<1>(b.value).shape(), (extents<1>{2 * 17 * 33}));
  EXPECT_EQ(std::memcmp(std::get<0>(a.value).data(), std::get<0>(b.value).data(), 6 * 17 * 33 * sizeof(double)), 0);
}

/// Gradients of everything with a rig of two cameras of one model. The limits of the Jacobian's clamp count as constants,
/// which difference quotients of the intrinsics would notice, so nothing is clamped here.
void expect_camera_gradients(camera_model model, std::uint64_t seed) {
  constexpr raster_config config{.cut_width = {1, 5}, .stop = {0, 1}, .clamp_margin = {100, 1}};
  camera_rig<double> rig;
  for (int i = 0; i < 2; ++i) { rig.add(camera_of(model, 12, 22), pose_of(2 * i + 1)); }
  expect_gradients<config>(seen_by(rig, {.gaussians = 6, .seed = seed}), {.step = 3e-5}, 0.6, true);
}
TEST(cameras, gradients_of_pinholes) { expect_camera_gradients(camera_model::pinhole, 85); }
TEST(cameras, gradients_of_opencv) { expect_camera_gradients(camera_model::opencv, 86); }
TEST(cameras, gradients_of_fisheyes) { expect_camera_gradients(camera_model::fisheye, 87); }
TEST(cameras, gradients_of_orthographic) { expect_camera_gradients(camera_model::orthographic, 88); }

// Tensors of the numbers a rig has draw what the rig draws.
TEST(cameras, as_tensors_draw_the_same) {
  const auto in = seen_by(mixed_rig(), {.gaussians = 60, .seed = 89});
  cpu e{.threads = 2};
  const auto a = render<jagged>(e, in);
  const auto b = splat::rasterizer<jagged>{}.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities,
                                                     in.s.colours, in.background, splat::camera_poses(e, in.rig),
                                                     splat::camera_intrinsics(e, in.rig), in.rig);
  EXPECT_TRUE(same_bits_in_all(a.value, b.value));
  const auto ga = backward_of(e, splat::rasterizer<jagged>{}, a);
  const auto gb = backward_of(e, splat::rasterizer<jagged>{}, b);
  EXPECT_TRUE(same_bits(std::get<0>(ga), std::get<0>(gb)));
  EXPECT_EQ(std::get<6>(gb).shape(), (extents<2>{8, 12}));
}
TEST(cameras, as_tensors_of_wrong_shape_are_named) {
  const auto in = seen_by(mixed_rig(), {.gaussians = 3, .seed = 90});
  cpu e{.threads = 1};
  const auto poses = splat::camera_poses(e, in.rig);
  try {
    splat::rasterizer<jagged>{}.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities, in.s.colours,
                                        in.background, poses, make_tensor<double, 2>({8, 4}), in.rig);
    FAIL();
  } catch (const precondition_error& error) {
    EXPECT_STREQ(error.what(),
                 "sqs::splat::rasterizer: poses is [8, 12] and intrinsics [8, 4] but both must be [8, 12]; "
                 "see camera_poses and camera_intrinsics");
  }
}

} // namespace cameras_test

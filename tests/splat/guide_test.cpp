// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/splat.md, compiled and run; and that the page shows these lines and no others.

#include "../support/guide.hpp"
#include "features.hpp"

#include <sqs/gaussian/densify.hpp>
#include <sqs/loss/photometric.hpp>
#include <sqs/optim/adamw.hpp>
#include <sqs/splat/contributors.hpp>

namespace guide_test {

using namespace sqs;

/// 200 Gaussians with spherical harmonics of degree 1 and 4 features in front of a camera.
gaussian_cloud cloud_of(idx n) {
  gaussian_cloud g;
  g.sh_degree = 1;
  const auto draw = random_stream::of(121);
  idx drawn = 0;
  const auto any = [&](double low, double high) { return static_cast<float>(draw.uniform(drawn++, low, high)); };
  for (idx i = 0; i < n; ++i) {
    g.means.push_back({any(-2, 2), any(-1, 1), any(3, 8)});
    g.log_scales.push_back({any(-3, -1), any(-3, -1), any(-3, -1)});
    g.rotations.push_back({any(-1, 1), any(-1, 1), any(-1, 1), any(-1, 1)});
    g.opacity_logits.push_back(any(-2, 2));
    for (int k = 0; k < 12; ++k) { g.sh.push_back(any(-1, 1)); }
    for (const char* name : {"a", "b", "c", "d"}) { g.extra[name].push_back(any(0, 1)); }
  }
  return g;
}
const gaussian_cloud cloud = cloud_of(200);
const std::vector<std::string> extras{"a", "b", "c", "d"};

constexpr splat::raster_config config{
    .channels = 7, .sh_degree = 1, .depth = splat::expected_depth | splat::median_depth, .absgrad = true};

camera_rig<float> two_cameras() {
  camera_rig<float> rig;
  rig.add({.fx = 60, .fy = 60, .cx = 40, .cy = 30, .width = 80, .height = 60}, {});
  const auto turned = make_se3(quaternion<float>{0.98f, 0, 0.2f, 0}, {0.5f, 0, 0});
  rig.add({.fx = 30, .fy = 30, .cx = 40, .cy = 30, .width = 80, .height = 60, .model = camera_model::fisheye}, turned);
  return rig;
}

TEST(guide, renders) {
  const auto rig = two_cameras();
  cpu exec;
  const auto [means, scales, rotations, opacities, colours] = gaussian::activated<float>(exec, cloud, extras);
  const auto background = zeros<float, 2>(exec, {rig.size(), 7});
  const splat::rasterizer<config> rasterize;
  const auto [value, saved] = rasterize.forward(exec, means, scales, rotations, opacities, colours, background, rig);
  const auto& [image, depth, transmittance] = value;
  EXPECT_EQ(image.shape(), (extents<4>{2, 60, 80, 7}));
  EXPECT_EQ(depth.shape(), (extents<4>{2, 60, 80, 2}));
  EXPECT_EQ(transmittance.shape(), (extents<3>{2, 60, 80}));

  const auto d_image = full<float, 4>(exec, image.shape(), 1.0f);
  const auto d_depth = zeros<float, 4>(exec, depth.shape());
  const auto d_transmittance = zeros<float, 3>(exec, transmittance.shape());
  const auto [d_means, d_scales, d_rotations, d_opacities, d_colours, d_background] =
      rasterize.backward(exec, saved, d_image, d_depth, d_transmittance);
  EXPECT_EQ(d_colours.shape(), (extents<2>{200, 12 + 4}));

  const auto [ids, weights] = splat::top_contributors<config, 3>(exec, saved);
  EXPECT_EQ(ids.shape(), (extents<2>{2 * 60 * 80, 3}));
}

TEST(guide, trains) {
  cpu exec;
  const auto rig = two_cameras();
  const auto background = zeros<float, 2>(exec, {rig.size(), 7});
  const auto target = full<float, 4>(exec, {2, 60, 80, 7}, 0.4f);
  auto p = gaussian::to_parameters<float>(cloud, extras);
  optim::adamw<float> optimiser(p, {.weight_decay = 0});
  gaussian::density_statistics<float> seen(p.count());
  float first = 0, loss = 0;
  for (int step = 0; step < 10; ++step) {
    splat::raster_options<float> options;
    options.radii = empty<float, 2>(exec, {rig.size(), p.count()});
    options.centre_absgradients = empty<float, 3>(exec, {rig.size(), p.count(), 2});
    optimiser.zero_gradients();
    {
      training_graph g{exec};
      auto [scales, opacities] = apply(g, gaussian::activate_op{}, p.log_scales, p.opacity_logits);
      auto [image, depth, transmittance] =
          apply(g, splat::rasterizer<config>{}, p.means, std::move(scales), p.rotations, std::move(opacities),
                p.colours, background, rig, options);
      auto sum = apply(g, loss::photometric_l1{}, std::move(image), target);
      loss = *sum.value().data();
      g.backward(std::move(sum));
    }
    optimiser.step(exec, 0.01);
    seen.add(exec, options.centre_absgradients, options.radii, rig);
    first = step == 0 ? loss : first;
  }
  EXPECT_LT(loss, first);
  EXPECT_GT(*std::max_element(seen.views.begin(), seen.views.end()), 9);
}

TEST(guide, uses_cameras) {
  cpu exec;
  camera_rig<float> rig;
  const se3<float> T_cam_ref = make_se3(quaternion<float>{1, 0, 0, 0}, {0, 0, 0.5f});
  rig.add({.fx = 60, .fy = 60, .cx = 40, .cy = 30, .width = 80, .height = 60}, T_cam_ref);
  rig.add({.fx = 30,
           .fy = 30,
           .cx = 32,
           .cy = 24,
           .width = 64,
           .height = 48,
           .model = camera_model::fisheye,
           .distortion = {-0.02f, 0.003f}},
          T_cam_ref);
  constexpr splat::raster_config jagged{.channels = 7, .sh_degree = 1, .layout = splat::image_layout::jagged};
  const auto [means, scales, rotations, opacities, colours] = gaussian::activated<float>(exec, cloud, extras);
  const auto background = zeros<float, 2>(exec, {rig.size(), 7});

  const auto poses = splat::camera_poses(exec, rig), intrinsics = splat::camera_intrinsics(exec, rig);
  const splat::rasterizer<jagged> rasterize;
  const auto [value, saved] =
      rasterize.forward(exec, means, scales, rotations, opacities, colours, background, poses, intrinsics, rig);
  const auto& image = std::get<0>(value); // [80 * 60 + 64 * 48, 7]
  const auto second = image.rows(rig.first_pixel(1), rig.pixel_count());
  EXPECT_EQ(second.shape(), (extents<2>{64 * 48, 7}));

  const auto gradients =
      std::apply([&, &kept = saved](const auto&... d) { return rasterize.backward(exec, kept, d...); }, value);
  const auto &d_poses = std::get<6>(gradients), &d_intrinsics = std::get<7>(gradients);
  EXPECT_EQ(d_poses.shape(), (extents<2>{2, 12}));
  EXPECT_EQ(d_intrinsics.shape(), (extents<2>{2, 12}));
}

TEST(guide, masks_and_memory) {
  cpu exec;
  const auto rig = two_cameras();
  const auto [means, scales, rotations, opacities, colours] = gaussian::activated<float>(exec, cloud, extras);
  const auto background = zeros<float, 2>(exec, {rig.size(), 7});
  splat::raster_counts counts;
  splat::raster_options<float> options;
  options.mask.pixels = full<std::uint8_t, 1>(exec, {rig.pixel_count()}, std::uint8_t{1});
  for (idx p = 0; p < rig.first_pixel(1); ++p) { options.mask.pixels(p) = 0; } // nothing of view 0
  options.band_bytes = std::size_t{256} << 20;
  options.counts = &counts;
  const auto [value, saved] =
      splat::rasterizer<config>{}.forward(exec, means, scales, rotations, opacities, colours, background, rig, options);
  const auto bytes = splat::rasterizer<config>::query_bytes<float>(rig, means.extent(0), saved.projected.count(),
                                                                   counts.intersections, options.band_bytes);
  cpu other;
  other.memory().reserve(bytes.forward + bytes.backward);
  EXPECT_EQ(std::get<2>(value)(0, 30, 40), 1.0f);
  EXPECT_GT(counts.visible, 0);
}

TEST(guide, shows_what_is_compiled_here) { guide::expect_shown("splat.md", "splat/guide_test.cpp", 5); }

} // namespace guide_test

// SPDX-License-Identifier: Apache-2.0
// Background  A Gaussian is a soft ellipsoid: mean, three scales, a rotation, an opacity, a colour.
// New here    camera_rig, the rasterizer op, its three outputs.
// Builds on   01.
// Run         a_camera_and_a_gaussian
// Expect      gaussian.png: one tilted orange ellipse, with its depth and transmittance printed at the centre.
#include <sqs/pipeline/pictures.hpp>
#include <sqs/splat/rasterize.hpp>

#include <cstdio>

int main() {
  sqs::cpu exec;
  // Reference frame: x right, y forward, z up. The camera looks along +y.
  const sqs::pinhole_camera<float> camera{.fx = 150, .fy = 150, .cx = 96, .cy = 64, .width = 192, .height = 128};
  const sqs::se3<float> T_cam_ref{{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}};
  const sqs::camera_rig<float> rig{{camera, T_cam_ref}};

  auto mean = sqs::make_tensor<float, 2>({1, 3}), scale = sqs::make_tensor<float, 2>({1, 3}, 0.2f);
  auto rotation = sqs::make_tensor<float, 2>({1, 4}), colour = sqs::make_tensor<float, 2>({1, 3});
  auto opacity = sqs::make_tensor<float, 1>({1}, 0.9f);
  auto background = sqs::make_tensor<float, 2>({1, 3}, 0.15f);
  mean(0, 1) = 5;                                    // five metres ahead
  scale(0, 0) = 1;                                   // long along its own x
  rotation(0, 0) = 0.966f, rotation(0, 2) = -0.259f; // turned by 30 degrees about the viewing axis
  colour(0, 0) = 1, colour(0, 1) = 0.55f;

  const auto [value, saved] =
      sqs::splat::rasterizer<>{}.forward(exec, mean, scale, rotation, opacity, colour, background, rig);
  const auto& [image, depth, transmittance] = value;
  std::printf(
      "centre: colour %.3f %.3f %.3f, depth %.3f m (weighted by opacity, not divided), %.3f left for the background\n",
      static_cast<double>(image(0, 64, 96, 0)), static_cast<double>(image(0, 64, 96, 1)),
      static_cast<double>(image(0, 64, 96, 2)), static_cast<double>(depth(0, 64, 96)),
      static_cast<double>(transmittance(0, 64, 96)));
  sqs::write_png("gaussian.png", sqs::pipeline::colour_picture(image, 0));
  std::printf("wrote gaussian.png\n");
}

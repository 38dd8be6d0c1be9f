// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// LiDAR sweep -> sparse depth image, the target of the depth loss.

#include <sqs/sensor/sample.hpp>

namespace sqs {

/// Which returns count. Metres.
struct lidar_depth_options {
  double min_depth = 1, max_depth = 60; ///< camera-frame z, both ends included
  double ego_radius = 3.5;              ///< returns nearer to the sensor than this, in xy, hit the recording vehicle
};

/// The depth image of one view: camera-frame z of the nearest return per pixel, 0 where none falls.
///
/// Shapes      height * width of `camera`, row-major.
/// Units       points in ref, metres; a point at (u, v) belongs to pixel (floor u, floor v).
/// Errors      precondition_error for a camera with singular intrinsics or an empty image.
/// Source      SQS (arXiv 2509.16588) section 3: depth of valid LiDAR pixels; nearest wins as in GaussianPretrain.
inline std::vector<float> lidar_depth(const std::vector<vec3<float>>& points, const pinhole_camera<double>& camera,
                                      const se3<double>& T_cam_ref, const lidar_depth_options& options = {}) {
  checked(camera, "the camera of a depth image");
  std::vector<float> depth(static_cast<std::size_t>(camera.width) * static_cast<std::size_t>(camera.height), 0.0f);
  const double ego = options.ego_radius * options.ego_radius;
  for (const auto& point : points) {
    const vec3<double> p(point);
    if (!(p.x * p.x + p.y * p.y >= ego)) { continue; } // NaN fails the comparison and is dropped too
    const vec3<double> c = T_cam_ref * p;
    if (!(c.z >= options.min_depth && c.z <= options.max_depth)) { continue; }
    const vec2<double> pixel = camera.project(c);
    if (!(pixel.x >= 0 && pixel.y >= 0 && pixel.x < camera.width && pixel.y < camera.height)) { continue; }
    const auto column = static_cast<std::size_t>(pixel.x), row = static_cast<std::size_t>(pixel.y);
    float& d = depth[row * static_cast<std::size_t>(camera.width) + column];
    const auto z = static_cast<float>(c.z);
    if (d == 0.0f || z < d) { d = z; }
  }
  return depth;
}

} // namespace sqs

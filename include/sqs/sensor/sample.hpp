// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One key frame of a recording: six pictures, one LiDAR sweep, poses and boxes. Every data set is read into this type.
/// The reference frame `ref` is the LiDAR frame at the key frame's time: x right, y forward, z up, metres.

#include <sqs/geometry/camera.hpp>
#include <sqs/sensor/image.hpp>

#include <array>
#include <string>

namespace sqs {

/// The order of the views in every sample, as all reference implementations have it.
inline constexpr std::array<const char*, 6> camera_names{"CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT",
                                                         "CAM_BACK",  "CAM_BACK_LEFT",   "CAM_BACK_RIGHT"};

/// What one camera saw. `T_cam_ref` respects the time of exposure: see `pose_through_global`.
struct camera_view {
  std::string name;
  image picture;
  pinhole_camera<double> camera;
  se3<double> T_cam_ref;
  std::int64_t timestamp_us = 0;
};

/// Points of one turn, in ref, with one intensity and one ring per point (or none at all).
struct lidar_sweep {
  std::vector<vec3<float>> points;
  std::vector<float> intensity; ///< 0 .. 255
  std::vector<int> ring;        ///< 0 is the lowest beam
};

/// A box of a road user. `size` is (length along the box's own x, width along its y, height along z); `yaw` turns ref's
/// x axis to the box's x axis, about z. `center` is the middle of the box, not its foot.
struct box3d {
  vec3<double> center{}, size{};
  double yaw = 0;
  vec2<double> velocity{}; ///< over ground, along ref's x and y, m/s; NaN when unknown
  std::string category, instance;
  int lidar_points = 0, radar_points = 0;
  int visibility = 0;         ///< 1 .. 4: 0-40, 40-60, 60-80, 80-100 % of it are seen by the cameras; 0: not said
  std::string attribute = {}; ///< "vehicle.moving", "cycle.with_rider", ...; empty: none
};

/// One key frame.
struct sample {
  std::string token, scene;
  std::int64_t timestamp_us = 0;
  std::vector<camera_view> views;
  lidar_sweep lidar;
  se3<double> T_global_ref;
  std::vector<box3d> boxes;
  /// Camera-frame z of what each pixel's centre sees, per view, height * width, 0 = nothing. Empty unless the data set
  /// is rendered.
  std::vector<std::vector<float>> exact_depth;
};

/// ref -> camera, built through the global frame in double: the vehicle moves between the LiDAR's time and the camera's
/// exposure, so both poses of the vehicle enter.
///
/// Source      lidar2img of GaussianFormer, SparseBEV and Sparse4D (all agree to rounding).
inline se3<double> pose_through_global(const se3<double>& T_global_ego_at_exposure, const se3<double>& T_ego_cam,
                                       const se3<double>& T_global_ref) {
  return inverse(T_global_ego_at_exposure * T_ego_cam) * T_global_ref;
}

/// The same sample seen from a reference frame turned by `yaw` radians about z: a point p becomes R p. Images and
/// cameras stay; T_cam_ref, T_global_ref, LiDAR, boxes and their velocities follow.
///
/// Source      `lidar2img <- lidar2img R^-1` of SparseBEV and Sparse4D.
inline sample rotated(sample s, double yaw) {
  const se3<double> turn = yaw_rotation(yaw), back = inverse(turn);
  for (auto& v : s.views) { v.T_cam_ref = v.T_cam_ref * back; }
  s.T_global_ref = s.T_global_ref * back;
  for (auto& p : s.lidar.points) { p = static_cast<vec3<float>>(turn * static_cast<vec3<double>>(p)); }
  for (auto& b : s.boxes) {
    const vec3<double> velocity = turn.rotation * vec3<double>{b.velocity.x, b.velocity.y, 0.0};
    b.center = turn * b.center;
    b.velocity = {velocity.x, velocity.y};
    b.yaw = std::remainder(b.yaw + yaw, 2 * std::acos(-1.0));
  }
  return s;
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What is true of a moment of a scene: boxes with tracks, optical flow, where the ego will be.

#include <sqs/data/town/camera.hpp>
#include <sqs/data/town/lidar.hpp>
#include <sqs/data/town/scene.hpp>
#include <sqs/sensor/ego_future.hpp>

namespace sqs::town {

/// Where the LiDAR will be at 0.5, 1, ... 3 s, also beyond the scene's end; see `make_ego_future`.
inline ego_future future_of_ego(const scene& s, double seconds) {
  std::vector<se3<double>> poses;
  for (int k = 0; k <= 6; ++k) { poses.push_back(s.T_town_ego(seconds + 0.5 * k) * T_ego_lidar()); }
  return make_ego_future(poses);
}

/// nuScenes' attribute of an agent; empty for cones and barriers.
inline std::string attribute_of(const track& t, const state& now) {
  switch (t.body.what) {
  case kind::traffic_cone:
  case kind::barrier:
    return "";
  case kind::pedestrian:
    return now.speed > 0.2 ? "pedestrian.moving" : "pedestrian.standing";
  case kind::motorcycle:
  case kind::bicycle:
    return t.body.rider ? "cycle.with_rider" : "cycle.without_rider";
  default:
    return t.parked ? "vehicle.parked" : (now.speed > 0.2 ? "vehicle.moving" : "vehicle.stopped");
  }
}

/// Optical flow: how far what a pixel's centre sees moves in the picture until `later` seconds, in pixels (x right, y
/// down). Bodies move as a whole; NaN for the sky, for what passes behind the camera, and for what has left the scene.
inline std::vector<vec2<float>> flow_of(cpu& e, const scene& s, const camera_frame& frame,
                                        const pinhole_camera<double>& camera, std::size_t view, double seconds,
                                        double later) {
  const se3<double> T_town_cam = s.T_town_ego(seconds) * T_ego_camera(view),
                    T_cam_town = inverse(s.T_town_ego(later) * T_ego_camera(view));
  std::vector<se3<double>> moved(s.tracks().size());
  for (std::size_t a = 0; a < moved.size(); ++a) {
    if (s.tracks()[a].parked) { continue; }
    const auto pose = [&](double t) {
      const state x = s.at(a, t);
      se3<double> T = yaw_rotation(x.yaw);
      T.translation = {x.x, x.y, x.z};
      return T;
    };
    moved[a] = pose(later) * inverse(pose(seconds));
  }
  const float none = std::numeric_limits<float>::quiet_NaN();
  std::vector<vec2<float>> out(frame.depth.size(), {none, none});
  parallel_for(e, camera.height, 8, [&](idx begin, idx end) {
    for (idx y = begin; y < end; ++y) {
      for (int x = 0; x < camera.width; ++x) {
        const auto i = static_cast<std::size_t>(y * camera.width + x);
        if (!(frame.depth[i] > 0)) { continue; }
        const vec2<double> pixel{x + 0.5, static_cast<double>(y) + 0.5};
        point p = T_town_cam * camera.unproject(pixel, static_cast<double>(frame.depth[i]));
        if (frame.instance[i] >= 0) { p = moved[static_cast<std::size_t>(frame.instance[i])] * p; }
        const point q = T_cam_town * p;
        if (q.z < 0.05) { continue; }
        const vec2<double> to = camera.project(q);
        out[i] = {static_cast<float>(to.x - pixel.x), static_cast<float>(to.y - pixel.y)};
      }
    }
  });
  return out;
}

namespace detail {

/// Which share of an agent the cameras see: of a raster of rays that would meet it if it stood alone, those whose pixel
/// shows it. -1 when no picture holds any of it.
inline double seen_share(const std::vector<solid>& parts, const bounds& box, std::int32_t instance,
                         const se3<double>& T_town_ego, std::span<const camera_frame> frames,
                         std::span<const pinhole_camera<double>> cameras) {
  int all = 0, seen = 0;
  for (std::size_t v = 0; v < frames.size(); ++v) {
    const se3<double> T_town_cam = T_town_ego * T_ego_camera(v), T_cam_town = inverse(T_town_cam);
    const auto& c = cameras[v];
    double u0 = 1e9, u1 = -1e9, v0 = 1e9, v1 = -1e9;
    bool before = true;
    for (int k = 0; k < 8; ++k) {
      const point p = T_cam_town * point{k & 1 ? box.high.x : box.low.x, k & 2 ? box.high.y : box.low.y,
                                         k & 4 ? box.high.z : box.low.z};
      if (p.z < 0.3) {
        before = false;
        break;
      }
      const auto q = c.project(p);
      u0 = std::min(u0, q.x), u1 = std::max(u1, q.x), v0 = std::min(v0, q.y), v1 = std::max(v1, q.y);
    }
    if (!before || u1 < 0 || v1 < 0 || u0 > c.width || v0 > c.height) { continue; }
    constexpr int raster = 14;
    for (int a = 0; a < raster; ++a) {
      for (int b = 0; b < raster; ++b) {
        const int x = static_cast<int>(std::floor(u0 + (u1 - u0) * (a + 0.5) / raster)),
                  y = static_cast<int>(std::floor(v0 + (v1 - v0) * (b + 0.5) / raster));
        if (x < 0 || y < 0 || x >= c.width || y >= c.height) { continue; }
        const point d = T_town_cam.rotation * c.unproject({x + 0.5, y + 0.5}, 1.0);
        hit alone;
        for (const solid& s : parts) { meet(s, T_town_cam.translation, d, alone); }
        if (alone.what == nullptr) { continue; }
        ++all;
        seen += frames[v].instance[static_cast<std::size_t>(y) * static_cast<std::size_t>(c.width) +
                                   static_cast<std::size_t>(x)] == instance
                    ? 1
                    : 0;
      }
    }
  }
  return all == 0 ? -1 : static_cast<double>(seen) / all;
}

} // namespace detail

/// Boxes of the agents within `range` metres that the LiDAR or a camera sees.
///
/// Units       ref axes. `velocity` is the derivative at this moment; `visibility` counts from 1 (0 - 40 %) to 4.
inline std::vector<box3d> boxes_of(const scene& s, double seconds, const se3<double>& T_ref_town,
                                   std::span<const std::int32_t> lidar_instance, std::span<const camera_frame> frames,
                                   std::span<const pinhole_camera<double>> cameras,
                                   const std::vector<std::string>& names, double range = 75) {
  std::vector<int> points(s.tracks().size(), 0);
  for (const std::int32_t i : lidar_instance) {
    if (i >= 0) { ++points[static_cast<std::size_t>(i)]; }
  }
  const double turned_by = std::atan2(T_ref_town.rotation(1, 0), T_ref_town.rotation(0, 0));
  const se3<double> T_town_ego = s.T_town_ego(seconds);
  std::vector<box3d> out;
  for (std::size_t a = 1; a < s.tracks().size(); ++a) {
    const track& t = s.tracks()[a];
    const state now = s.at(a, seconds);
    const point center{now.x, now.y, now.z + t.body.size.z / 2}, in_ref = T_ref_town * center;
    if (std::hypot(in_ref.x, in_ref.y) > range) { continue; }
    std::int64_t pixels = 0;
    for (const auto& f : frames) { pixels += a < f.seen.size() ? f.seen[a] : 0; }
    if (points[a] == 0 && pixels < 4) { continue; }
    std::vector<solid> parts;
    build_body(t.body, static_cast<std::int32_t>(a)).place(parts, {now.x, now.y, now.z}, now.yaw);
    bounds box;
    for (const auto& p : parts) { box.add(bounds_of(p)); }
    const double share =
        pixels == 0 ? 0 : detail::seen_share(parts, box, static_cast<std::int32_t>(a), T_town_ego, frames, cameras);
    const vec2<double> v = s.velocity(a, seconds);
    const point velocity = T_ref_town.rotation * point{v.x, v.y, 0};
    out.push_back({.center = in_ref,
                   .size = t.body.size,
                   .yaw = std::remainder(now.yaw + turned_by, 6.283185307179586),
                   .velocity = {velocity.x, velocity.y},
                   .category = facts_of(t.body.what).category,
                   .instance = names[a],
                   .lidar_points = points[a],
                   .visibility = share < 0.4   ? 1
                                 : share < 0.6 ? 2
                                 : share < 0.8 ? 3
                                               : 4,
                   .attribute = attribute_of(t, now)});
  }
  return out;
}

} // namespace sqs::town

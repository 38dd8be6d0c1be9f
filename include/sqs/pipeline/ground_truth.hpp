// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// From a data set to what the metrics judge by: boxes, origins of rays, driven paths with what stood in the way.

#include <sqs/data/nuscenes.hpp>
#include <sqs/metric/detection_config.hpp>
#include <sqs/metric/planning.hpp>
#include <sqs/metric/ray_iou.hpp>

namespace sqs::pipeline {

/// Boxes, racks and the vehicle's place of one key frame, as the nuScenes devkit takes them from the tables.
///
/// Units       metres, m/s; global frame
/// Errors      file_error for a judged box with two attributes or one the benchmark does not know.
inline metric::detection_sample detection_ground_truth(const nuscenes_tables& t, nuscenes_row sample) {
  metric::detection_sample out;
  out.token = t.text(t.sample_row(sample).token);
  const auto& pose = t.poses[static_cast<std::size_t>(t.lidar_recording(sample).pose)];
  out.ego = pose.translation;
  for (const std::uint32_t r : t.annotations_of(sample)) {
    const auto row = static_cast<nuscenes_row>(r);
    const auto& a = t.annotation_row(row);
    const std::string& category = t.category_of(a);
    if (category == "static_object.bicycle_rack") { out.racks.push_back({a.translation, a.size, a.rotation}); }
    const nuscenes_category* known = find_nuscenes_category(category);
    if (known == nullptr || known->detection < 0) { continue; }
    metric::detection_box b;
    b.translation = a.translation, b.size = a.size, b.rotation = a.rotation;
    const vec3<double> v = devkit_velocity(t, row);
    b.velocity = {v.x, v.y};
    b.label = known->detection;
    b.points = a.lidar_points + a.radar_points;
    const auto attributes = t.attributes_of(a);
    if (!attributes.empty()) { b.attribute = static_cast<std::int8_t>(metric::detection_attribute(attributes[0])); }
    if (attributes.size() > 1 || (!attributes.empty() && b.attribute < 0)) {
      raise<file_error>("sqs::detection_ground_truth: the box ", t.text(a.token), " (", category, ") has ",
                        attributes.size(), " attributes, the first is '", attributes[0],
                        "'; the benchmark knows one of its eight");
    }
    out.boxes.push_back(b);
  }
  return out;
}
/// All samples of the tables, in their order.
inline std::vector<metric::detection_sample> detection_ground_truth(const nuscenes_tables& t) {
  std::vector<metric::detection_sample> out;
  for (const nuscenes_row r : t.order) { out.push_back(detection_ground_truth(t, r)); }
  return out;
}

namespace detail {
/// The first sample of a scene and the number of its samples, by one of them.
inline std::pair<idx, idx> scene_range(const nuscenes_dataset& data, idx i) {
  idx first = i, last = i;
  while (data.previous(first) >= 0) { first = data.previous(first); }
  while (data.next(last) >= 0) { last = data.next(last); }
  return {first, last - first + 1};
}
} // namespace detail

/// Where the rays of RayIoU start for sample `i`: metres in its ego frame.
inline std::vector<vec3<double>> ray_origins(const nuscenes_dataset& data, idx i) {
  const auto [first, count] = detail::scene_range(data, i);
  std::vector<se3<double>> lidar;
  for (idx k = first; k < first + count; ++k) { lidar.push_back(data.T_global_ref(k)); }
  return metric::ray_origins(lidar, static_cast<std::size_t>(i - first), data.T_ego_ref(i));
}

/// What was driven after sample `i` and what stood in the way; `plan` is left empty. The vehicle's frame is that of the
/// LiDAR, turned so that x points ahead; obstacles are the boxes of vehicles and people in the key frames to come.
///
/// Returns nothing where the recording ends within three seconds: such samples are not judged.
inline std::optional<metric::planning_sample> planning_ground_truth(const nuscenes_dataset& data, idx i) {
  const ego_future driven = data.future(i, 6);
  if (std::find(driven.valid.begin(), driven.valid.end(), false) != driven.valid.end()) { return std::nullopt; }
  const auto ahead_left = [](const auto& v) { return vec2<double>{v.y, -v.x}; };
  metric::planning_sample out;
  const se3<double> T_ref_global = inverse(data.T_global_ref(i));
  idx k = i;
  for (const vec2<double>& p : driven.position) {
    out.driven.push_back(ahead_left(p));
    k = data.next(k);
    const se3<double> T_ref_then = T_ref_global * data.T_global_ref(k);
    auto& here = out.obstacles.emplace_back();
    for (const box3d& b : data.boxes(k)) {
      const bool vehicle = b.category.starts_with("vehicle.");
      if (!vehicle && !b.category.starts_with("human.")) { continue; }
      const vec3<double> center = T_ref_then * b.center;
      const vec3<double> along = T_ref_then.rotation * vec3<double>{std::cos(b.yaw), std::sin(b.yaw), 0};
      const vec2<double> facing = ahead_left(along);
      here.push_back({ahead_left(center), b.size.x, b.size.y, std::atan2(facing.y, facing.x), vehicle});
    }
  }
  return out;
}

} // namespace sqs::pipeline

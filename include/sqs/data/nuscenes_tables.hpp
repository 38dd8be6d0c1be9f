// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tables of a data set in the nuScenes format, joined: rows by number instead of tokens, texts once.

#include <sqs/core/bytes.hpp>
#include <sqs/data/nuscenes_token.hpp>
#include <sqs/sensor/sample.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <span>

namespace sqs {

/// Which files between the key frames are kept: they outnumber the key frames tenfold.
enum class nuscenes_sweeps { none, lidar, all };

struct nuscenes_table_options {
  std::vector<std::string> scenes = {}; ///< names to keep, for splits; empty keeps all
  nuscenes_sweeps sweeps = nuscenes_sweeps::none;
  int threads = 2; ///< files and boxes are read side by side
  limits most = {};
};

/// Row of a table; -1 where a link is empty.
using nuscenes_row = std::int32_t;

/// Metres, seconds for durations, microseconds for points in time. Fields have the meaning of the schema's.
struct nuscenes_tables {
  struct category {
    std::string name;
    int index = -1; ///< the number in lidarseg files, -1 if the table has none
  };
  struct log {
    nuscenes_token token;
    std::string logfile, vehicle, date_captured, location;
  };
  struct map {
    std::string filename, category;
    std::vector<nuscenes_row> logs;
  };
  struct scene {
    nuscenes_token token;
    std::string name, description;
    nuscenes_row log = -1;
    std::size_t first = 0, count = 0; ///< its samples in `order`
  };
  /// A sensor as mounted: sensor -> ego.
  struct mounted_sensor {
    nuscenes_token token;
    std::string channel;
    int slot = -1; ///< 0 .. 5: of `camera_names`; 6: LIDAR_TOP; -1: of no use here
    se3<double> T_ego_sensor;
    std::array<double, 4> intrinsics{}; ///< fx, fy, cx, cy; zero for a LiDAR
  };
  /// A pose of the vehicle: ego -> global.
  struct vehicle_pose {
    quaternion<double> rotation{1, 0, 0, 0};
    vec3<double> translation{};
  };
  /// The name of a file, cut where its last number stands: names of a log differ in that alone.
  struct file_name {
    std::int32_t head = 0, tail = 0;
    std::int64_t number = -1; ///< -1: none
  };
  /// One file of one sensor: of a key frame or, if they were asked for, a sweep between two.
  struct recording {
    nuscenes_token token;
    std::int64_t timestamp_us = 0;
    nuscenes_row sensor = -1, pose = -1, sample = -1, previous = -1, next = -1;
    std::uint16_t height = 0, width = 0;
    bool is_key_frame = false;
    file_name file;
  };
  struct instance {
    nuscenes_token token;
    nuscenes_row category = -1;
  };
  /// A box in the global frame, linked to the same instance's boxes in the neighbouring key frames.
  struct annotation {
    nuscenes_token token;
    nuscenes_row sample = -1, instance = -1, previous = -1, next = -1;
    vec3<double> translation{}, size{}; ///< centre; width, length, height: the order of the file
    quaternion<double> rotation{1, 0, 0, 0};
    std::int32_t lidar_points = 0, radar_points = 0;
    std::uint64_t attributes = 0; ///< bit k: `attributes[k]` of the tables
    std::uint8_t visibility = 0;  ///< 1 .. 4: 0-40, 40-60, 60-80, 80-100 %; 0: not said
  };
  struct key_frame {
    nuscenes_token token;
    std::int64_t timestamp_us = 0;
    nuscenes_row scene = -1, previous = -1, next = -1;
    std::array<nuscenes_row, 7> recordings{-1, -1, -1, -1, -1, -1, -1}; ///< six views, then the LiDAR
    std::uint32_t first_annotation = 0, annotation_count = 0;
    std::int32_t position = -1; ///< in `order`
  };

  std::filesystem::path folder;
  std::vector<category> categories;
  std::vector<std::string> attributes;
  std::vector<log> logs;
  std::vector<map> maps;
  std::vector<scene> scenes;       ///< those that were asked for
  std::vector<key_frame> samples;  ///< rows of sample.json
  std::vector<nuscenes_row> order; ///< into `samples`: scene after scene, in time
  std::vector<recording> recordings;
  std::vector<vehicle_pose> poses;
  std::vector<mounted_sensor> sensors;
  std::vector<instance> instances;
  std::vector<annotation> annotations;
  std::vector<std::uint32_t> annotation_rows;                 ///< sample after sample, each in the order of the file
  std::vector<std::pair<nuscenes_row, std::string>> lidarseg; ///< recording and file, by recording
  std::vector<std::string> file_parts;
  nuscenes_token_texts texts;

  static constexpr std::size_t lidar_slot = 6;

  /// A token as the file has it.
  std::string text(nuscenes_token t) const { return texts.text(t); }
  const key_frame& sample_row(nuscenes_row r) const { return samples[static_cast<std::size_t>(r)]; }
  const recording& recording_row(nuscenes_row r) const { return recordings[static_cast<std::size_t>(r)]; }
  const annotation& annotation_row(nuscenes_row r) const { return annotations[static_cast<std::size_t>(r)]; }
  const mounted_sensor& sensor_of(const recording& r) const { return sensors[static_cast<std::size_t>(r.sensor)]; }
  const scene& scene_of(const key_frame& s) const { return scenes[static_cast<std::size_t>(s.scene)]; }

  /// The boxes of a key frame, as rows of `annotations`.
  std::span<const std::uint32_t> annotations_of(nuscenes_row sample) const {
    const auto& s = sample_row(sample);
    return std::span(annotation_rows).subspan(s.first_annotation, s.annotation_count);
  }
  const std::string& category_of(const annotation& a) const {
    return categories[static_cast<std::size_t>(instances[static_cast<std::size_t>(a.instance)].category)].name;
  }
  std::vector<std::string> attributes_of(const annotation& a) const {
    std::vector<std::string> out;
    for (std::size_t k = 0; k < attributes.size(); ++k) {
      if ((a.attributes >> k & 1) != 0) { out.push_back(attributes[k]); }
    }
    return out;
  }
  std::string filename(const recording& r) const {
    const auto& head = file_parts[static_cast<std::size_t>(r.file.head)];
    if (r.file.number < 0) { return head; }
    return head + std::to_string(r.file.number) + file_parts[static_cast<std::size_t>(r.file.tail)];
  }
  const recording& lidar_recording(nuscenes_row sample) const {
    return recording_row(sample_row(sample).recordings[lidar_slot]);
  }
  /// ego -> global when a file was recorded.
  se3<double> ego_pose(const recording& r) const {
    const auto& p = poses[static_cast<std::size_t>(r.pose)];
    return make_se3(p.rotation, p.translation);
  }
  /// ego -> global at the time of the key frame's LiDAR: where the benchmarks measure distances from.
  se3<double> ego_pose(nuscenes_row sample) const { return ego_pose(lidar_recording(sample)); }
  /// Box -> global.
  static se3<double> pose_of(const annotation& a) { return make_se3(a.rotation, a.translation); }
};

namespace detail {

/// `seconds(first, last)` is the time between two moments in microseconds.
template <class Seconds>
vec3<double> box_velocity(const nuscenes_tables& t, nuscenes_row row, double max_time_diff, Seconds&& seconds) {
  const auto& a = t.annotation_row(row);
  const auto& first = a.previous < 0 ? a : t.annotation_row(a.previous);
  const auto& last = a.next < 0 ? a : t.annotation_row(a.next);
  const double passed = seconds(t.sample_row(first.sample).timestamp_us, t.sample_row(last.sample).timestamp_us);
  const double most = max_time_diff * (a.previous >= 0 && a.next >= 0 ? 2 : 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (!(passed > 0 && passed <= most)) { return {nan, nan, nan}; }
  const vec3<double> moved = last.translation - first.translation;
  return {moved.x / passed, moved.y / passed, moved.z / passed};
}

} // namespace detail

/// Velocity over ground of a box, global frame: the difference of the instance's boxes in the neighbouring key frames;
/// NaN when it has none, or when they are more than `max_time_diff` seconds away (twice that between two neighbours).
inline vec3<double> global_velocity(const nuscenes_tables& t, nuscenes_row row, double max_time_diff = 1.5) {
  return detail::box_velocity(t, row, max_time_diff, [](std::int64_t first, std::int64_t last) {
    return 1e-6 * static_cast<double>(last - first);
  });
}
/// The same to the last digit of the devkit, which subtracts seconds since 1970: they hold only 0.2 microseconds. For
/// comparison with its numbers.
///
/// Source      `NuScenes.box_velocity`.
inline vec3<double> devkit_velocity(const nuscenes_tables& t, nuscenes_row row, double max_time_diff = 1.5) {
  return detail::box_velocity(t, row, max_time_diff, [](std::int64_t first, std::int64_t last) {
    // fma: a compiler that fuses products with the difference would keep digits which the devkit rounds away.
    return std::fma(1e-6, static_cast<double>(last), 0.0) - std::fma(1e-6, static_cast<double>(first), 0.0);
  });
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Data sets in the nuScenes format, read from their native files.

#include <sqs/data/dataset.hpp>
#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/data/nuscenes_tables.hpp>

#include <limits>

namespace sqs {

struct nuscenes_options {
  std::string version = {};             ///< folder of the tables; empty: the only `v*` folder that has a sample.json
  std::vector<std::string> scenes = {}; ///< names to keep, for splits; empty keeps all
  double max_time_diff = 1.5;           ///< seconds between boxes above which their velocity is unknown
  limits most = {};
};

/// The key frames of a data set in the nuScenes format, scene after scene.
///
/// Units       ref is the key-frame LiDAR frame. T_cam_ref is built through the global poses of both sensors' own
///             times. Boxes are turned from global to ref; velocity is the difference of the instance's boxes in the
///             neighbouring key frames, over ground, turned to ref; NaN when unknown.
/// Execution   `sample` is const and thread-safe; it opens seven files.
/// Errors      file_error from the constructor for the tables (`read_nuscenes_tables`), from `sample` for images, LiDAR
///             and file names that leave the root. precondition_error for an index out of range.
/// Source      nuScenes schema; `NuScenes.box_velocity` of the devkit; spec 0.3 (lidar2img through global poses).
class nuscenes_dataset {
public:
  explicit nuscenes_dataset(std::filesystem::path root, nuscenes_options options = {})
      : root_(std::move(root)),
        options_(std::move(options)),
        tables_(read_nuscenes_tables(root_ / version(), options_.scenes, options_.most)) {}

  idx size() const { return static_cast<idx>(tables_.order.size()); }
  const nuscenes_tables& tables() const { return tables_; }

  sqs::sample sample(idx i) const {
    expects(i >= 0 && i < size(), "sqs::nuscenes_dataset: sample ", i, " of ", size(), "; give 0 .. size() - 1");
    const auto& frame = tables_.samples[tables_.order[static_cast<std::size_t>(i)]];
    const auto& lidar = tables_.recordings[static_cast<std::size_t>(frame.recordings[camera_names.size()])];
    sqs::sample s;
    s.token = frame.token;
    s.scene = frame.scene;
    s.timestamp_us = frame.timestamp_us;
    s.T_global_ref = tables_.poses[lidar.pose] * tables_.sensors[lidar.sensor].T_ego_sensor;
    s.lidar = read_lidar(path_of(lidar), options_.most);
    for (std::size_t v = 0; v < camera_names.size(); ++v) {
      s.views.push_back(view(tables_.recordings[static_cast<std::size_t>(frame.recordings[v])], s.T_global_ref));
    }
    const se3<double> T_ref_global = inverse(s.T_global_ref);
    for (const std::size_t a : frame.annotations) { s.boxes.push_back(box(tables_.annotations[a], T_ref_global)); }
    return s;
  }

private:
  std::string version() const {
    if (!options_.version.empty()) { return options_.version; }
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root_, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("v") && std::filesystem::exists(entry.path() / "sample.json")) { found.push_back(name); }
    }
    std::sort(found.begin(), found.end());
    std::string list;
    for (const auto& name : found) { list += (list.empty() ? "" : ", ") + name; }
    if (found.size() != 1) {
      raise<file_error>("sqs::nuscenes_dataset: ", root_.string(), " holds ", found.size(), " versions with tables (",
                        found.empty() ? "looked for v*/sample.json" : list, "); ",
                        found.empty() ? "give the folder that contains v1.0-mini or v1.0-trainval"
                                      : "choose one with nuscenes_options::version");
    }
    return found.front();
  }

  std::filesystem::path path_of(const nuscenes_tables::recording& r) const {
    return contained_path(root_, r.filename, "sample_data.json, token " + r.token);
  }

  camera_view view(const nuscenes_tables::recording& r, const se3<double>& T_global_ref) const {
    const auto& sensor = tables_.sensors[r.sensor];
    const auto path = path_of(r);
    camera_view v{.name = sensor.channel,
                  .picture = read_jpeg(path, options_.most),
                  .camera = {},
                  .T_cam_ref = {},
                  .timestamp_us = r.timestamp_us};
    if (v.picture.height != r.height || v.picture.width != r.width) {
      raise<file_error>("sqs::nuscenes_dataset: ", path.string(), " has ", v.picture.height, " x ", v.picture.width,
                        " pixels but sample_data.json says ", r.height, " x ", r.width,
                        "; its intrinsics would not fit: restore the original image");
    }
    const auto& k = sensor.intrinsics;
    v.camera = {k[0], k[1], k[2], k[3], r.width, r.height};
    v.T_cam_ref = pose_through_global(tables_.poses[r.pose], sensor.T_ego_sensor, T_global_ref);
    return v;
  }

  box3d box(const nuscenes_tables::annotation& a, const se3<double>& T_ref_global) const {
    const se3<double> T_ref_box = T_ref_global * a.T_global_box;
    const vec3<double> v = T_ref_global.rotation * velocity(a);
    return {.center = T_ref_box.translation,
            .size = {a.size.y, a.size.x, a.size.z},
            .yaw = std::atan2(T_ref_box.rotation(1, 0), T_ref_box.rotation(0, 0)),
            .velocity = {v.x, v.y},
            .category = a.category,
            .instance = a.instance,
            .lidar_points = a.lidar_points};
  }

  /// Global frame, z dropped as the benchmark does.
  vec3<double> velocity(const nuscenes_tables::annotation& a) const {
    const auto at = [&](std::ptrdiff_t link) -> const nuscenes_tables::annotation& {
      return link < 0 ? a : tables_.annotations[static_cast<std::size_t>(link)];
    };
    const auto &first = at(a.previous), &last = at(a.next);
    const auto time = [&](const auto& x) { return static_cast<double>(tables_.samples[x.sample].timestamp_us); };
    const double seconds = 1e-6 * (time(last) - time(first));
    const double most = options_.max_time_diff * (a.previous >= 0 && a.next >= 0 ? 2 : 1);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (!(seconds > 0 && seconds <= most)) { return {nan, nan, 0}; }
    const vec3<double> moved = last.T_global_box.translation - first.T_global_box.translation;
    return {moved.x / seconds, moved.y / seconds, 0};
  }

  std::filesystem::path root_;
  nuscenes_options options_;
  nuscenes_tables tables_;
};

static_assert(dataset<nuscenes_dataset>);

} // namespace sqs

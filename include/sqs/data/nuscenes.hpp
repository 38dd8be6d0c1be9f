// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Data sets in the nuScenes format, read from their native files.

#include <sqs/data/dataset.hpp>
#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/data/nuscenes_reader.hpp>
#include <sqs/sensor/ego_future.hpp>
#include <sqs/sensor/sweeps.hpp>

#include <optional>

namespace sqs {

struct nuscenes_options {
  std::string version =
      {}; ///< folder of the tables; empty: the only `v*` folder that has a sample.json, or the given folder itself
  std::vector<std::string> scenes = {}; ///< names to keep, for splits (`nuscenes_split`); empty keeps all
  double max_time_diff = 1.5;           ///< seconds between boxes above which their velocity is unknown
  limits most = {};
  nuscenes_sweeps sweeps = nuscenes_sweeps::none; ///< files between the key frames
  int threads = 2;                                ///< that read the tables
};

/// The key frames of a data set in the nuScenes format, scene after scene.
///
/// Units       ref is the key-frame LiDAR frame. T_cam_ref is built through the global poses of both sensors' own
///             times. Boxes are turned from global to ref; velocity is the difference of the instance's boxes in the
///             neighbouring key frames, over ground, turned to ref; NaN when unknown.
/// Execution   All members are const and thread-safe; `sample` opens seven files, the others none unless they say so.
/// Errors      file_error from the constructor for the tables (`read_nuscenes_tables`), from `sample` for images, LiDAR
///             and file names that leave the root. precondition_error for an index out of range.
/// Source      nuScenes schema; `NuScenes.box_velocity` of the devkit; spec 0.3 (lidar2img through global poses).
class nuscenes_dataset {
public:
  explicit nuscenes_dataset(std::filesystem::path root, nuscenes_options options = {})
      : root_(std::move(root)),
        options_(std::move(options)),
        tables_(read_nuscenes_tables(tables_folder(), {.scenes = options_.scenes,
                                                       .sweeps = options_.sweeps,
                                                       .threads = options_.threads,
                                                       .most = options_.most})) {
    tokens_.reserve(tables_.order.size());
    for (std::size_t i = 0; i < tables_.order.size(); ++i) {
      tokens_.add(tables_.sample_row(tables_.order[i]).token, i);
    }
    tokens_.seal();
  }

  idx size() const { return static_cast<idx>(tables_.order.size()); }
  const nuscenes_tables& tables() const { return tables_; }
  const std::filesystem::path& root() const { return root_; }

  sqs::sample sample(idx i) const {
    const auto& frame = key_frame(i);
    const auto& lidar = lidar_of(i);
    sqs::sample s;
    s.token = tables_.text(frame.token);
    s.scene = tables_.scene_of(frame).name;
    s.timestamp_us = frame.timestamp_us;
    s.T_global_ref = T_global_ref(i);
    s.lidar = read_lidar(path_of(lidar), options_.most);
    for (std::size_t v = 0; v < camera_names.size(); ++v) {
      s.views.push_back(view(tables_.recording_row(frame.recordings[v]), s.T_global_ref));
    }
    s.boxes = boxes(i);
    return s;
  }
  /// The boxes of `sample(i)`, without its files; in the order of sample_annotation.json.
  std::vector<box3d> boxes(idx i) const {
    std::vector<box3d> out;
    const se3<double> T_ref_global = inverse(T_global_ref(i));
    for (const auto a : tables_.annotations_of(row(i))) {
      out.push_back(box(static_cast<nuscenes_row>(a), T_ref_global));
    }
    return out;
  }

  std::string token(idx i) const { return tables_.text(key_frame(i).token); }
  const std::string& scene(idx i) const { return tables_.scene_of(key_frame(i)).name; }
  /// The sample of a token, or -1.
  idx index_of(std::string_view token) const { return tokens_.find(nuscenes_token_of(token)); }
  /// The neighbouring key frames of the scene, or -1.
  idx previous(idx i) const { return position(key_frame(i).previous); }
  idx next(idx i) const { return position(key_frame(i).next); }

  /// LiDAR and vehicle at the time of the LiDAR's key frame.
  se3<double> T_global_ref(idx i) const { return T_global_sensor(lidar_of(i)); }
  se3<double> T_global_ego(idx i) const { return tables_.ego_pose(lidar_of(i)); }
  se3<double> T_ego_ref(idx i) const { return tables_.sensor_of(lidar_of(i)).T_ego_sensor; }
  se3<double> T_global_sensor(const nuscenes_tables::recording& r) const {
    return tables_.ego_pose(r) * tables_.sensor_of(r).T_ego_sensor;
  }

  /// The key frame's own sweep and up to `most` before it, newest first, each in its own frame: for `aggregated`. Fewer
  /// at the beginning of a scene. Reads their files.
  ///
  /// Errors      precondition_error unless the data set was opened with sweeps.
  std::vector<posed_sweep> sweeps(idx i, int most) const {
    expects(most == 0 || options_.sweeps != nuscenes_sweeps::none,
            "sqs::nuscenes_dataset: no sweeps were kept; open it with nuscenes_options::sweeps = lidar or all");
    std::vector<posed_sweep> out;
    const auto* r = &lidar_of(i);
    for (int k = 0; k <= most; ++k) {
      out.push_back({read_lidar(path_of(*r), options_.most), T_global_sensor(*r), r->timestamp_us});
      if (r->previous < 0) { break; }
      r = &tables_.recording_row(r->previous);
    }
    return out;
  }
  /// What camera `v` of `camera_names` saw `back` exposures before the key frame's, seen from ref of the key frame;
  /// none before the beginning of the scene. Reads one file.
  std::optional<camera_view> past_view(idx i, int v, int back) const {
    expects(v >= 0 && v < static_cast<int>(camera_names.size()) && back >= 0, "sqs::nuscenes_dataset: camera ", v, ", ",
            back, " exposures back; cameras count from 0 to 5, exposures from 0");
    expects(back == 0 || options_.sweeps == nuscenes_sweeps::all,
            "sqs::nuscenes_dataset: no past images were kept; open it with nuscenes_options::sweeps = all");
    nuscenes_row r = key_frame(i).recordings[static_cast<std::size_t>(v)];
    for (int k = 0; k < back && r >= 0; ++k) { r = tables_.recording_row(r).previous; }
    if (r < 0) { return std::nullopt; }
    return view(tables_.recording_row(r), T_global_ref(i));
  }

  /// The category index of every point of the key frame's sweep, as lidarseg stores it (`nuscenes_categories`). Reads
  /// one file.
  ///
  /// Errors      file_error if the data set has no lidarseg for this sample, or a file of another size than `points`.
  std::vector<std::uint8_t> lidarseg(idx i, std::size_t points) const {
    const nuscenes_row wanted = key_frame(i).recordings[nuscenes_tables::lidar_slot];
    const auto& all = tables_.lidarseg;
    const auto at = std::lower_bound(all.begin(), all.end(), wanted, [](const auto& e, auto r) { return e.first < r; });
    if (at == all.end() || at->first != wanted) {
      raise<file_error>("sqs::nuscenes_dataset: ", (tables_.folder / "lidarseg.json").string(), " has no sample ",
                        token(i), "; download nuScenes-lidarseg or leave it out");
    }
    const auto path = contained_path(root_, at->second, "lidarseg.json, sample " + token(i));
    return read_point_labels(path, points, options_.most);
  }

  /// Where the vehicle goes from sample `i` on.
  ego_future future(idx i, int steps = 6) const {
    std::vector<se3<double>> poses;
    for (idx k = i; k >= 0 && poses.size() <= static_cast<std::size_t>(steps); k = next(k)) {
      poses.push_back(T_global_ref(k));
    }
    return make_ego_future(poses, steps);
  }

  /// The name of the key frame's LiDAR file, by which SurroundOcc finds its labels.
  std::string lidar_filename(idx i) const { return tables_.filename(lidar_of(i)); }
  /// The tokens by which nuScenes-Occupancy finds its labels.
  std::string lidar_token(idx i) const { return tables_.text(lidar_of(i).token); }
  std::string scene_token(idx i) const { return tables_.text(tables_.scene_of(key_frame(i)).token); }
  std::filesystem::path path_of(const nuscenes_tables::recording& r) const {
    return contained_path(root_, tables_.filename(r), "sample_data.json, token " + tables_.text(r.token));
  }

private:
  std::filesystem::path tables_folder() {
    const auto name = version(); // may change root_
    return root_ / name;
  }
  /// The folder of the tables. If `root` is that folder, the data set is the folder it lies in.
  std::string version() {
    if (!options_.version.empty()) { return options_.version; }
    std::vector<std::string> found;
    std::error_code error;
    if (std::filesystem::exists(root_ / "sample.json", error)) {
      const auto here = std::filesystem::absolute(root_).lexically_normal();
      const auto tables = here.has_filename() ? here : here.parent_path(); // without a slash behind it
      root_ = tables.parent_path();
      return tables.filename().string();
    }
    for (const auto& entry : std::filesystem::directory_iterator(root_, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("v") && std::filesystem::exists(entry.path() / "sample.json", error)) {
        found.push_back(name);
      }
    }
    std::sort(found.begin(), found.end());
    std::string list;
    for (const auto& name : found) { list += (list.empty() ? "" : ", ") + name; }
    if (found.size() != 1) {
      raise<file_error>("sqs::nuscenes_dataset: ", root_.string(), " holds ", found.size(), " versions with tables (",
                        found.empty() ? "looked for v*/sample.json" : list, "); ",
                        found.empty() ? "give the folder that contains v1.0-mini or v1.0-trainval"
                                      : "give the folder of one of them, or nuscenes_options::version");
    }
    return found.front();
  }

  nuscenes_row row(idx i) const {
    expects(i >= 0 && i < size(), "sqs::nuscenes_dataset: sample ", i, " of ", size(), "; give 0 .. size() - 1");
    return tables_.order[static_cast<std::size_t>(i)];
  }
  const nuscenes_tables::key_frame& key_frame(idx i) const { return tables_.sample_row(row(i)); }
  const nuscenes_tables::recording& lidar_of(idx i) const { return tables_.lidar_recording(row(i)); }
  idx position(nuscenes_row r) const { return r < 0 ? -1 : tables_.sample_row(r).position; }

  camera_view view(const nuscenes_tables::recording& r, const se3<double>& T_global_ref) const {
    const auto& sensor = tables_.sensor_of(r);
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
    v.T_cam_ref = pose_through_global(tables_.ego_pose(r), sensor.T_ego_sensor, T_global_ref);
    return v;
  }

  box3d box(nuscenes_row r, const se3<double>& T_ref_global) const {
    const auto& a = tables_.annotation_row(r);
    const se3<double> T_ref_box = T_ref_global * nuscenes_tables::pose_of(a);
    vec3<double> v = global_velocity(tables_, r, options_.max_time_diff);
    v.z = 0; // as the benchmark does
    v = T_ref_global.rotation * v;
    const auto attributes = tables_.attributes_of(a);
    return {.center = T_ref_box.translation,
            .size = {a.size.y, a.size.x, a.size.z},
            .yaw = std::atan2(T_ref_box.rotation(1, 0), T_ref_box.rotation(0, 0)),
            .velocity = {v.x, v.y},
            .category = tables_.category_of(a),
            .instance = tables_.text(tables_.instances[static_cast<std::size_t>(a.instance)].token),
            .lidar_points = a.lidar_points,
            .radar_points = a.radar_points,
            .visibility = a.visibility,
            .attribute = attributes.empty() ? "" : attributes.front()};
  }

  std::filesystem::path root_;
  nuscenes_options options_;
  nuscenes_tables tables_;
  nuscenes_token_index tokens_;
};

static_assert(dataset<nuscenes_dataset>);

} // namespace sqs

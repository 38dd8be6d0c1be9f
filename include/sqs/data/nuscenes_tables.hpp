// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tables of a data set in the nuScenes format, read natively and joined once: what `nuscenes_dataset` needs of
/// them.

#include <sqs/core/file.hpp>
#include <sqs/sensor/sample.hpp>
#include <sqs/tensor/json.hpp>

#include <unordered_map>
#include <unordered_set>

namespace sqs {

/// Rows by position; -1 where a link is empty. Metres, microseconds.
struct nuscenes_tables {
  /// A camera or the LiDAR as mounted: sensor -> ego.
  struct mounted_sensor {
    std::string token, channel;
    se3<double> T_ego_sensor;
    std::array<double, 4> intrinsics{}; ///< fx, fy, cx, cy; zero for a LiDAR
  };
  /// One file of a key frame.
  struct recording {
    std::string token, filename;
    std::int64_t timestamp_us = 0;
    int height = 0, width = 0;
    std::size_t sensor = 0, pose = 0;
  };
  /// A box in the global frame, linked to the same instance's boxes in the neighbouring key frames.
  struct annotation {
    std::string token, previous_token, next_token, category, instance;
    std::size_t sample = 0;
    std::ptrdiff_t previous = -1, next = -1;
    se3<double> T_global_box;
    vec3<double> size; ///< width, length, height: the order of the file
    int lidar_points = 0;
  };
  struct key_frame {
    std::string token, next_token, scene;
    std::int64_t timestamp_us = 0;
    std::array<std::ptrdiff_t, 7> recordings{-1, -1, -1, -1, -1, -1, -1}; ///< six views, then the LiDAR
    std::vector<std::size_t> annotations;
  };

  std::filesystem::path folder;
  std::vector<key_frame> samples; ///< rows of sample.json
  std::vector<std::size_t> order; ///< into `samples`: scene after scene, in time
  std::vector<recording> recordings;
  std::vector<se3<double>> poses; ///< ego -> global
  std::vector<mounted_sensor> sensors;
  std::vector<annotation> annotations;
};

namespace detail {

inline constexpr const char* lidar_channel = "LIDAR_TOP";

/// Reads the tables of one folder into a `nuscenes_tables`, checking every link.
class nuscenes_reader {
public:
  nuscenes_reader(const std::filesystem::path& folder, const std::vector<std::string>& scenes, const limits& most)
      : most_(most),
        wanted_scenes_(scenes.begin(), scenes.end()) {
    out_.folder = folder;
  }

  nuscenes_tables read() {
    read_sensors();
    read_samples();
    read_recordings();
    read_poses();
    read_annotations();
    order_samples();
    for (const std::size_t s : out_.order) { require_all_channels(out_.samples[s]); }
    return std::move(out_);
  }

private:
  /// Token -> row.
  struct index {
    std::unordered_map<std::string, std::size_t> rows;
    std::string table;
    void add(const json_fields& f, std::size_t row) {
      if (!rows.emplace(f.text("token"), row).second) { f.fail("token", "occurs twice in this table"); }
    }
    std::size_t at(const json_fields& f, const char* field) const {
      const auto found = rows.find(f.text(field));
      if (found == rows.end()) {
        f.fail(field, concat("is '", f.text(field), "', which is not in ", table, " (dangling token)").c_str());
      }
      return found->second;
    }
  };

  template <class F> void table(const char* name, F&& row) {
    const auto path = out_.folder / name;
    if (!std::filesystem::exists(path)) {
      raise<file_error>("sqs::nuscenes_dataset: the table ", path.string(),
                        " is missing; give the root of a complete data set in the nuScenes format");
    }
    const auto bytes = read_file(path, most_);
    const std::string shown = path.string();
    std::size_t record = 0;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for_each_record(text, shown, most_, [&](json_value&& v) {
      const auto* token = v.find("token");
      const std::string* id = token == nullptr ? nullptr : token->as<std::string>();
      row(json_fields(v, concat(shown, ", record ", record, id == nullptr ? "" : " (token " + *id + ")")));
      ++record;
    });
  }

  static se3<double> pose(const json_fields& f) {
    const auto q = f.numbers<4>("rotation");
    const auto t = f.numbers<3>("translation");
    const double norm = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    if (!(std::abs(norm - 1) < 1e-3)) {
      f.fail("rotation", concat("is a quaternion (w,x,y,z) of length ", norm, " instead of 1").c_str());
    }
    return make_se3(quaternion<double>{q[0], q[1], q[2], q[3]}, vec3<double>{t[0], t[1], t[2]});
  }

  static std::array<double, 4> intrinsics(const json_fields& f) {
    const json_value& k = f.get("camera_intrinsic");
    const auto* rows = k.as<json_value::array>();
    if (rows == nullptr || rows->size() != 3) { f.fail("camera_intrinsic", "is not a 3 x 3 matrix"); }
    std::array<std::array<double, 3>, 3> m{};
    for (std::size_t r = 0; r < 3; ++r) { m[r] = f.numbers_of<3>((*rows)[r], "camera_intrinsic"); }
    const bool upright = m[0][1] == 0 && m[1][0] == 0 && m[2][0] == 0 && m[2][1] == 0 && m[2][2] == 1;
    if (m[0][0] == 0 || m[1][1] == 0 || !upright) {
      f.fail("camera_intrinsic", concat("is singular or skewed (fx ", m[0][0], ", fy ", m[1][1], ", skew ", m[0][1],
                                        ", last row ", m[2][0], " ", m[2][1], " ", m[2][2], ")")
                                     .c_str());
    }
    return {m[0][0], m[1][1], m[0][2], m[1][2]};
  }

  void read_sensors() {
    index channels{.rows = {}, .table = "sensor.json"};
    std::vector<std::string> names;
    table("sensor.json", [&](const json_fields& f) {
      channels.add(f, names.size());
      names.push_back(f.text("channel"));
    });
    table("calibrated_sensor.json", [&](const json_fields& f) {
      nuscenes_tables::mounted_sensor s{
          .token = f.text("token"), .channel = names[channels.at(f, "sensor_token")], .T_ego_sensor = {}};
      const bool camera = std::find(camera_names.begin(), camera_names.end(), s.channel) != camera_names.end();
      if (camera || s.channel == lidar_channel) { s.T_ego_sensor = pose(f); } // radars and others are not used
      if (camera) { s.intrinsics = intrinsics(f); }
      sensors_.add(f, out_.sensors.size());
      out_.sensors.push_back(std::move(s));
    });
  }

  void read_samples() {
    table("scene.json", [&](const json_fields& f) {
      if (!wanted_scenes_.empty() && !wanted_scenes_.contains(f.text("name"))) { return; }
      found_scenes_.insert(f.text("name"));
      scenes_.push_back({f.text("name"), f.text("first_sample_token"), f.place()});
    });
    for (const auto& name : wanted_scenes_) {
      if (!found_scenes_.contains(name)) {
        raise<file_error>("sqs::nuscenes_dataset: the scene '", name, "' is not in ",
                          (out_.folder / "scene.json").string(), "; check the list of scenes");
      }
    }
    table("sample.json", [&](const json_fields& f) {
      samples_.add(f, out_.samples.size());
      nuscenes_tables::key_frame s;
      s.token = f.text("token");
      s.next_token = f.text("next");
      s.timestamp_us = f.integer("timestamp");
      out_.samples.push_back(std::move(s));
    });
  }

  void read_recordings() {
    table("sample_data.json", [&](const json_fields& f) {
      if (!f.flag("is_key_frame")) { return; }
      const std::size_t sensor = sensors_.at(f, "calibrated_sensor_token");
      const std::string& channel = out_.sensors[sensor].channel;
      const auto view = std::find(camera_names.begin(), camera_names.end(), channel);
      if (view == camera_names.end() && channel != lidar_channel) { return; }
      auto& slot = out_.samples[samples_.at(f, "sample_token")]
                       .recordings[static_cast<std::size_t>(view - camera_names.begin())];
      if (slot >= 0) { f.fail("sample_token", ("already has a key frame of " + channel).c_str()); }
      slot = static_cast<std::ptrdiff_t>(out_.recordings.size());
      nuscenes_tables::recording r{.token = f.text("token"),
                                   .filename = f.text("filename"),
                                   .timestamp_us = f.integer("timestamp"),
                                   .sensor = sensor};
      if (channel != lidar_channel) {
        r.height = size(f, "height");
        r.width = size(f, "width");
      }
      // Poses are joined below: the table of all poses is far larger than the few that key frames need.
      const auto [row, is_new] = poses_.emplace(f.text("ego_pose_token"), poses_.size());
      if (is_new) { pose_users_.push_back(f.place()); }
      r.pose = row->second;
      out_.recordings.push_back(std::move(r));
    });
  }
  static int size(const json_fields& f, const char* field) {
    const auto v = f.integer(field);
    if (v < 1 || v > 65535) { f.fail(field, concat("is ", v, " pixels, outside 1 .. 65535").c_str()); }
    return static_cast<int>(v);
  }

  void read_poses() {
    out_.poses.resize(poses_.size());
    std::vector<bool> seen(poses_.size());
    table("ego_pose.json", [&](const json_fields& f) {
      const auto found = poses_.find(f.text("token"));
      if (found == poses_.end()) { return; }
      out_.poses[found->second] = pose(f);
      seen[found->second] = true;
    });
    for (const auto& [token, row] : poses_) {
      if (!seen[row]) {
        raise<file_error>("sqs::json: ", pose_users_[row], ": field 'ego_pose_token' is '", token,
                          "', which is not in ego_pose.json (dangling token); correct the file");
      }
    }
  }

  void read_annotations() {
    index categories{.rows = {}, .table = "category.json"}, instances{.rows = {}, .table = "instance.json"};
    std::vector<std::string> names, instance_categories;
    table("category.json", [&](const json_fields& f) {
      categories.add(f, names.size());
      names.push_back(f.text("name"));
    });
    table("instance.json", [&](const json_fields& f) {
      instances.add(f, instance_categories.size());
      instance_categories.push_back(names[categories.at(f, "category_token")]);
    });
    index rows{.rows = {}, .table = "sample_annotation.json"};
    table("sample_annotation.json", [&](const json_fields& f) {
      nuscenes_tables::annotation a;
      a.token = f.text("token");
      a.previous_token = f.text("prev");
      a.next_token = f.text("next");
      a.instance = f.text("instance_token");
      a.category = instance_categories[instances.at(f, "instance_token")];
      a.sample = samples_.at(f, "sample_token");
      a.T_global_box = pose(f);
      const auto s = f.numbers<3>("size");
      if (!(s[0] > 0 && s[1] > 0 && s[2] > 0)) { f.fail("size", "is not positive"); }
      a.size = {s[0], s[1], s[2]};
      a.lidar_points = static_cast<int>(std::clamp<std::int64_t>(f.integer("num_lidar_pts"), 0, 1 << 30));
      rows.add(f, out_.annotations.size());
      out_.samples[a.sample].annotations.push_back(out_.annotations.size());
      out_.annotations.push_back(std::move(a));
    });
    const auto link = [&](const nuscenes_tables::annotation& a, const std::string& token, const char* field) {
      if (token.empty()) { return std::ptrdiff_t{-1}; }
      const auto found = rows.rows.find(token);
      if (found == rows.rows.end()) {
        raise<file_error>("sqs::json: ", (out_.folder / "sample_annotation.json").string(), " (token ", a.token,
                          "): field '", field, "' is '", token,
                          "', which is not in sample_annotation.json (dangling token); correct the file");
      }
      return static_cast<std::ptrdiff_t>(found->second);
    };
    for (auto& a : out_.annotations) {
      a.previous = link(a, a.previous_token, "prev");
      a.next = link(a, a.next_token, "next");
    }
  }

  void order_samples() {
    std::vector<bool> seen(out_.samples.size());
    for (const auto& scene : scenes_) {
      std::string token = scene.first_token, from = scene.place;
      const char* field = "first_sample_token";
      while (!token.empty()) {
        const auto found = samples_.rows.find(token);
        if (found == samples_.rows.end() || seen[found->second]) {
          raise<file_error>("sqs::json: ", from, ": field '", field, "' is '", token, "', which ",
                            found == samples_.rows.end() ? "is not in sample.json (dangling token)"
                                                         : "was reached before (the list has a cycle)",
                            "; correct the file");
        }
        seen[found->second] = true;
        auto& s = out_.samples[found->second];
        s.scene = scene.name;
        out_.order.push_back(found->second);
        token = s.next_token;
        from = concat((out_.folder / "sample.json").string(), " (token ", s.token, ")");
        field = "next";
      }
    }
  }

  void require_all_channels(const nuscenes_tables::key_frame& s) const {
    for (std::size_t v = 0; v < s.recordings.size(); ++v) {
      if (s.recordings[v] < 0) {
        raise<file_error>("sqs::nuscenes_dataset: sample ", s.token, " has no key frame of ",
                          v < camera_names.size() ? camera_names[v] : lidar_channel, " in ",
                          (out_.folder / "sample_data.json").string(),
                          "; complete the data set or leave out its scene");
      }
    }
  }

  struct scene_head {
    std::string name, first_token, place;
  };
  limits most_;
  std::unordered_set<std::string> wanted_scenes_, found_scenes_;
  nuscenes_tables out_;
  std::vector<scene_head> scenes_;
  index sensors_{.rows = {}, .table = "calibrated_sensor.json"}, samples_{.rows = {}, .table = "sample.json"};
  std::unordered_map<std::string, std::size_t> poses_;
  std::vector<std::string> pose_users_;
};

} // namespace detail

/// Reads and joins the tables of `folder` (`.../v1.0-mini`). `scenes` keeps only these names; empty keeps all.
///
/// Errors      file_error naming table, record, token and field: a missing table, malformed JSON, a missing field or
///             one of another type, a dangling or duplicate token, a quaternion that is not unit (so also NaN and
///             zero), singular intrinsics, a sample without one of the six cameras or the LiDAR.
/// Cost        one pass over each table; one record in memory at a time besides the joined result.
inline nuscenes_tables read_nuscenes_tables(const std::filesystem::path& folder,
                                            const std::vector<std::string>& scenes = {}, const limits& most = {}) {
  return detail::nuscenes_reader(folder, scenes, most).read();
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the readers of the nuScenes tables share, and the small tables.

#include <sqs/data/nuscenes_tables.hpp>
#include <sqs/tensor/json_stream.hpp>

#include <unordered_map>
#include <unordered_set>

namespace sqs {

namespace detail {

inline constexpr const char* lidar_channel = "LIDAR_TOP";

/// What both halves of the reader share: the folder, and how a table is opened.
class nuscenes_table_source {
public:
  nuscenes_table_source(std::filesystem::path folder, const limits& most) : folder_(std::move(folder)), most_(most) {}

  std::string path(const char* name) const { return (folder_ / name).string(); }
  bool has(const char* name) const {
    std::error_code ignored;
    return std::filesystem::exists(folder_ / name, ignored);
  }
  using row_function = std::function<void(const json_record&)>;
  void each(const char* name, const row_function& row) const {
    if (!has(name)) {
      raise<file_error>("sqs::nuscenes_dataset: the table ", path(name),
                        " is missing; give the root of a complete data set in the nuScenes format");
    }
    stream_records(folder_ / name, most_, row);
  }
  void each_if_there(const char* name, const row_function& row) const {
    if (has(name)) { each(name, row); }
  }
  /// Room for a whole table, from its first records: growth by doubling would triple the memory for a moment.
  template <class Rows> void reserve(Rows& rows, const char* name, const json_record& r) const {
    constexpr std::size_t probe = 1024;
    if (r.row() != probe) { return; }
    std::error_code ignored;
    const auto size = std::filesystem::file_size(folder_ / name, ignored);
    if (ignored) { return; }
    const double share = static_cast<double>(rows.size()) / static_cast<double>(r.end());
    rows.reserve(static_cast<std::size_t>(1.02 * share * static_cast<double>(size)) + probe);
  }
  /// Raises for what is found only after the table has been read.
  [[noreturn]] void fail(const char* table, std::ptrdiff_t record, const std::string& token, const char* field,
                         const std::string& what) const {
    raise<file_error>("sqs::json: ", path(table), record < 0 ? "" : concat(", record ", record), " (token ", token,
                      "): field '", field, "' ", what, "; correct the file");
  }
  /// A moment: far from the ends of its type, so that differences exist.
  static std::int64_t time(const json_record& r) {
    const auto t = r.integer("timestamp");
    if (t < 0 || t > std::int64_t{1} << 60) { r.fail("timestamp", concat("is ", t, ", no time in microseconds")); }
    return t;
  }
  static std::string dangling(std::string_view token, const char* table) {
    return concat("is '", token.substr(0, 80), "', which is not in ", table, " (dangling token)");
  }
  static nuscenes_row at(const nuscenes_token_index& index, const json_record& r, const char* field,
                         const char* table) {
    const auto text = r.text(field);
    const auto row = index.find(nuscenes_token_of(text));
    if (row < 0) { r.fail(field, dangling(text, table)); }
    return row;
  }
  static nuscenes_tables::vehicle_pose pose(const json_record& r) {
    const auto q = r.numbers<4>("rotation");
    const auto t = r.numbers<3>("translation");
    const double norm = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    if (!(std::abs(norm - 1) < 1e-3)) {
      r.fail("rotation", concat("is a quaternion (w,x,y,z) of length ", norm, " instead of 1"));
    }
    return {{q[0], q[1], q[2], q[3]}, {t[0], t[1], t[2]}};
  }

private:
  std::filesystem::path folder_;
  limits most_;
};

/// A table whose rows are found by token: adds tokens, then checks that none occurs twice.
struct nuscenes_key_column {
  const char* table;
  nuscenes_token_index index = {};
  void seal(const nuscenes_table_source& from, const nuscenes_token_texts& texts, const auto& rows,
            bool row_is_record) {
    const auto twice = index.seal();
    if (twice < 0) { return; }
    from.fail(table, row_is_record ? twice : -1, texts.text(rows[static_cast<std::size_t>(twice)].token), "token",
              "occurs twice in this table");
  }
};

/// File names cut into shared texts and a number.
class nuscenes_file_names {
public:
  nuscenes_tables::file_name add(std::string_view name) {
    std::size_t end = name.size();
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    while (end > 0 && !digit(name[end - 1])) { --end; }
    std::size_t begin = end;
    while (begin > 0 && digit(name[begin - 1]) && end - begin < 18) { --begin; }
    while (begin + 1 < end && name[begin] == '0') { ++begin; } // the number must print as it was written
    if (begin >= end || name[begin] == '0') { return {.head = part(name), .tail = 0, .number = -1}; }
    std::int64_t number = 0;
    std::from_chars(name.data() + begin, name.data() + end, number);
    return {.head = part(name.substr(0, begin)), .tail = part(name.substr(end)), .number = number};
  }
  std::vector<std::string> take() { return std::move(parts_); }

private:
  std::int32_t part(std::string_view text) {
    const auto [at, is_new] = rows_.try_emplace(std::string(text), static_cast<std::int32_t>(parts_.size()));
    if (is_new) { parts_.emplace_back(text); }
    return at->second;
  }
  std::unordered_map<std::string, std::int32_t> rows_;
  std::vector<std::string> parts_;
};

/// scene, sample, sensor, calibrated_sensor, log and map: small, and what the large tables point to.
class nuscenes_frame_reader {
public:
  nuscenes_frame_reader(const nuscenes_table_source& from, const nuscenes_table_options& options, nuscenes_tables& out)
      : from_(from),
        wanted_(options.scenes.begin(), options.scenes.end()),
        out_(out) {}

  nuscenes_key_column samples{"sample.json"}, sensors{"calibrated_sensor.json"};

  void read() {
    read_sensors();
    read_logs();
    read_scenes();
    read_samples();
    order_samples();
  }

private:
  void read_sensors() {
    struct channel {
      nuscenes_token token;
      std::string name;
    };
    std::vector<channel> channels;
    nuscenes_key_column keys{"sensor.json"};
    from_.each("sensor.json", [&](const json_record& r) {
      channels.push_back({out_.texts.add(r.text("token")), std::string(r.text("channel"))});
      keys.index.add(channels.back().token, channels.size() - 1);
    });
    keys.seal(from_, out_.texts, channels, true);
    from_.each("calibrated_sensor.json", [&](const json_record& r) {
      nuscenes_tables::mounted_sensor s;
      s.token = out_.texts.add(r.text("token"));
      s.channel = channels[static_cast<std::size_t>(from_.at(keys.index, r, "sensor_token", keys.table))].name;
      const auto view = std::find(camera_names.begin(), camera_names.end(), s.channel);
      const bool camera = view != camera_names.end();
      if (camera || s.channel == lidar_channel) { // radars and others are not used
        s.slot = static_cast<int>(view - camera_names.begin());
        const auto pose = from_.pose(r);
        s.T_ego_sensor = make_se3(pose.rotation, pose.translation);
      }
      if (camera) { s.intrinsics = intrinsics(r); }
      sensors.index.add(s.token, out_.sensors.size());
      out_.sensors.push_back(std::move(s));
    });
    sensors.seal(from_, out_.texts, out_.sensors, true);
  }
  static std::array<double, 4> intrinsics(const json_record& r) {
    const auto m = r.matrix<3, 3>("camera_intrinsic");
    const bool upright = m[0][1] == 0 && m[1][0] == 0 && m[2][0] == 0 && m[2][1] == 0 && m[2][2] == 1;
    if (!(m[0][0] > 0 && m[1][1] > 0) || !upright) {
      r.fail("camera_intrinsic",
             concat("is skewed or has a focal length that is not positive (fx ", m[0][0], ", fy ", m[1][1], ", skew ",
                    m[0][1], ", last row ", m[2][0], " ", m[2][1], " ", m[2][2], ")"));
    }
    return {m[0][0], m[1][1], m[0][2], m[1][2]};
  }

  void read_logs() {
    const auto optional = [](const json_record& r, const char* field) {
      return r.has(field) ? std::string(r.text(field)) : std::string();
    };
    from_.each_if_there("log.json", [&](const json_record& r) {
      out_.logs.push_back({out_.texts.add(r.text("token")), optional(r, "logfile"), optional(r, "vehicle"),
                           optional(r, "date_captured"), optional(r, "location")});
      logs_.index.add(out_.logs.back().token, out_.logs.size() - 1);
    });
    logs_.seal(from_, out_.texts, out_.logs, true);
    from_.each_if_there("map.json", [&](const json_record& r) {
      nuscenes_tables::map m{
          .filename = std::string(r.text("filename")), .category = optional(r, "category"), .logs = {}};
      if (r.has("log_tokens")) {
        r.texts("log_tokens", [&](std::string_view t) {
          const auto row = logs_.index.find(nuscenes_token_of(t));
          if (row >= 0) { m.logs.push_back(row); } // maps of a smaller version name logs of the larger one
        });
      }
      out_.maps.push_back(std::move(m));
    });
  }

  void read_scenes() {
    std::unordered_set<std::string> found;
    from_.each("scene.json", [&](const json_record& r) {
      nuscenes_tables::scene s;
      s.name = r.text("name");
      if (!wanted_.empty() && !wanted_.contains(s.name)) { return; }
      found.insert(s.name);
      s.token = out_.texts.add(r.text("token"));
      if (r.has("description")) { s.description = r.text("description"); }
      if (r.has("log_token") && !out_.logs.empty()) { s.log = from_.at(logs_.index, r, "log_token", logs_.table); }
      heads_.push_back({out_.texts.add(r.text("first_sample_token")), r.place()});
      out_.scenes.push_back(std::move(s));
    });
    for (const auto& name : wanted_) {
      if (!found.contains(name)) {
        raise<file_error>("sqs::nuscenes_dataset: the scene '", name, "' is not in ", from_.path("scene.json"),
                          "; check the list of scenes");
      }
    }
  }

  void read_samples() {
    from_.each("sample.json", [&](const json_record& r) {
      nuscenes_tables::key_frame s;
      s.token = out_.texts.add(r.text("token"));
      s.timestamp_us = nuscenes_table_source::time(r);
      followers_.push_back(out_.texts.add(r.text("next")));
      samples.index.add(s.token, out_.samples.size());
      out_.samples.push_back(s);
    });
    samples.seal(from_, out_.texts, out_.samples, true);
  }

  void order_samples() {
    for (std::size_t scene = 0; scene < heads_.size(); ++scene) {
      out_.scenes[scene].first = out_.order.size();
      nuscenes_token token = heads_[scene].first;
      nuscenes_row before = -1;
      while (token) {
        const nuscenes_row row = samples.index.find(token);
        if (row < 0 || out_.samples[static_cast<std::size_t>(row)].position >= 0) {
          bad_chain(scene, before, token, row < 0);
        }
        auto& s = out_.samples[static_cast<std::size_t>(row)];
        s.scene = static_cast<nuscenes_row>(scene);
        s.previous = before;
        s.position = static_cast<std::int32_t>(out_.order.size());
        if (before >= 0) { out_.samples[static_cast<std::size_t>(before)].next = row; }
        out_.order.push_back(row);
        before = row;
        token = followers_[static_cast<std::size_t>(row)];
      }
      out_.scenes[scene].count = out_.order.size() - out_.scenes[scene].first;
    }
  }
  [[noreturn]] void bad_chain(std::size_t scene, nuscenes_row before, nuscenes_token token, bool missing) const {
    const std::string from = before < 0 ? heads_[scene].second
                                        : concat(from_.path("sample.json"), " (token ",
                                                 out_.text(out_.samples[static_cast<std::size_t>(before)].token), ")");
    raise<file_error>("sqs::json: ", from, ": field '", before < 0 ? "first_sample_token" : "next", "' is '",
                      out_.text(token), "', which ",
                      missing ? "is not in sample.json (dangling token)" : "was reached before (the list has a cycle)",
                      "; correct the file");
  }

  const nuscenes_table_source& from_;
  const std::unordered_set<std::string> wanted_;
  nuscenes_tables& out_;
  nuscenes_key_column logs_{"log.json"};
  std::vector<std::pair<nuscenes_token, std::string>> heads_; ///< first sample and place of each scene
  std::vector<nuscenes_token> followers_;
};

} // namespace detail

} // namespace sqs

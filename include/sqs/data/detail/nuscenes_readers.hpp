// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The two large halves of the nuScenes tables, which are read side by side: files with their poses, and boxes. Neither
/// touches what the other writes until `finish`.

#include <sqs/data/detail/nuscenes_source.hpp>

namespace sqs::detail {

/// sample_data, ego_pose and lidarseg.
class nuscenes_recording_reader {
public:
  nuscenes_recording_reader(const nuscenes_table_source& from, const nuscenes_table_options& options,
                            const nuscenes_frame_reader& frames, nuscenes_tables& out)
      : from_(from),
        sweeps_(options.sweeps),
        whole_(options.scenes.empty()),
        frames_(frames),
        out_(out) {}

  void read() {
    std::vector<std::pair<nuscenes_token, nuscenes_token>> links;
    from_.each(table_, [&](const json_record& r) {
      row(r, links);
      from_.reserve(rows_, table_, r);
      from_.reserve(users_, table_, r);
      if (sweeps_ != nuscenes_sweeps::none) { from_.reserve(links, table_, r); }
    });
    if (sweeps_ != nuscenes_sweeps::none) { chain(links); }
    links = {};
    read_poses();
    read_lidarseg();
  }

  /// After both halves: key frames point to their files.
  void finish() {
    out_.texts.add(texts_);
    out_.recordings = std::move(rows_);
    out_.file_parts = names_.take();
    for (std::size_t i = 0; i < out_.recordings.size(); ++i) {
      const auto& r = out_.recordings[i];
      if (!r.is_key_frame) { continue; }
      auto& slot =
          out_.samples[static_cast<std::size_t>(r.sample)].recordings[static_cast<std::size_t>(out_.sensor_of(r).slot)];
      if (slot >= 0) {
        from_.fail(table_, users_[i], out_.text(r.token), "sample_token",
                   "already has a key frame of " + out_.sensor_of(r).channel);
      }
      slot = static_cast<nuscenes_row>(i);
    }
    for (const auto s : out_.order) { require_all_channels(out_.sample_row(s)); }
  }

private:
  void row(const json_record& r, std::vector<std::pair<nuscenes_token, nuscenes_token>>& links) {
    const bool key = r.flag("is_key_frame");
    if (!key && sweeps_ == nuscenes_sweeps::none) { return; }
    nuscenes_tables::recording f;
    f.sensor = from_.at(frames_.sensors.index, r, "calibrated_sensor_token", frames_.sensors.table);
    const auto& sensor = out_.sensor_of(f);
    const bool lidar = sensor.slot == static_cast<int>(nuscenes_tables::lidar_slot);
    if (sensor.slot < 0 || (!key && !lidar && sweeps_ != nuscenes_sweeps::all)) { return; }
    f.sample = from_.at(frames_.samples.index, r, "sample_token", frames_.samples.table);
    if (!whole_ && out_.sample_row(f.sample).position < 0) { return; }
    f.token = texts_.add(r.text("token"));
    f.timestamp_us = nuscenes_table_source::time(r);
    f.is_key_frame = key;
    f.file = names_.add(r.text("filename"));
    if (!lidar) {
      f.height = size(r, "height");
      f.width = size(r, "width");
    }
    const auto pose = texts_.add(r.text("ego_pose_token"));
    if (sweeps_ != nuscenes_sweeps::none) {
      const bool linked = lidar || sweeps_ == nuscenes_sweeps::all; // else its neighbours are not kept
      links.emplace_back(linked ? texts_.add(r.text("prev")) : nuscenes_token{},
                         linked ? texts_.add(r.text("next")) : nuscenes_token{});
    }
    tokens_.add(pose, rows_.size());
    users_.push_back(static_cast<std::int32_t>(std::min<std::size_t>(r.row(), 0x7FFFFFFF)));
    rows_.push_back(f);
  }
  static std::uint16_t size(const json_record& r, const char* field) {
    const auto v = r.integer(field);
    if (v < 1 || v > 65535) { r.fail(field, concat("is ", v, " pixels, outside 1 .. 65535")); }
    return static_cast<std::uint16_t>(v);
  }

  /// Tokens of neighbours -> rows.
  void chain(const std::vector<std::pair<nuscenes_token, nuscenes_token>>& links) {
    nuscenes_token_index index;
    index.reserve(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) { index.add(rows_[i].token, i); }
    if (const auto twice = index.seal(); twice >= 0) {
      const auto t = static_cast<std::size_t>(twice);
      from_.fail(table_, users_[t], texts_.text(rows_[t].token), "token", "occurs twice in this table");
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const auto link = [&](nuscenes_token t, const char* field) {
        if (!t) { return nuscenes_row{-1}; }
        const auto found = index.find(t);
        if (found < 0) {
          from_.fail(table_, users_[i], texts_.text(rows_[i].token), field, from_.dangling(texts_.text(t), table_));
        }
        return found;
      };
      rows_[i].previous = link(links[i].first, "prev");
      rows_[i].next = link(links[i].second, "next");
    }
  }

  /// Only the poses that are used: the table holds those of radars, too.
  void read_poses() {
    tokens_.seal(); // several files may share a pose
    auto& poses = out_.poses;
    std::vector<bool> used(rows_.size());
    poses.resize(rows_.size());
    // The pose of a file stands in the row of the first file that has it.
    from_.each("ego_pose.json", [&](const json_record& r) {
      const auto at = tokens_.find(nuscenes_token_of(r.text("token")));
      if (at < 0) { return; }
      poses[static_cast<std::size_t>(at)] = from_.pose(r);
      used[static_cast<std::size_t>(at)] = true;
    });
    const auto& index = tokens_;
    index.each([&](nuscenes_token token, std::int32_t row) {
      const auto at = index.find(token);
      rows_[static_cast<std::size_t>(row)].pose = at;
      if (!used[static_cast<std::size_t>(at)]) {
        const auto& r = rows_[static_cast<std::size_t>(row)];
        from_.fail(table_, users_[static_cast<std::size_t>(row)], texts_.text(r.token), "ego_pose_token",
                   from_.dangling(texts_.text(token), "ego_pose.json"));
      }
    });
    tokens_ = {};
  }

  void read_lidarseg() {
    if (!from_.has("lidarseg.json")) { return; }
    nuscenes_token_index index;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const bool lidar = out_.sensor_of(rows_[i]).slot == static_cast<int>(nuscenes_tables::lidar_slot);
      if (lidar && rows_[i].is_key_frame) { index.add(rows_[i].token, i); }
    }
    index.seal();
    from_.each("lidarseg.json", [&](const json_record& r) {
      const auto row = index.find(nuscenes_token_of(r.text("sample_data_token")));
      if (row >= 0) { out_.lidarseg.emplace_back(row, r.text("filename")); }
    });
    std::sort(out_.lidarseg.begin(), out_.lidarseg.end());
  }

  void require_all_channels(const nuscenes_tables::key_frame& s) const {
    for (std::size_t v = 0; v < s.recordings.size(); ++v) {
      if (s.recordings[v] < 0) {
        raise<file_error>("sqs::nuscenes_dataset: sample ", out_.text(s.token), " has no key frame of ",
                          v < camera_names.size() ? camera_names[v] : lidar_channel, " in ", from_.path(table_),
                          "; complete the data set or leave out its scene");
      }
    }
  }

  static constexpr const char* table_ = "sample_data.json";
  const nuscenes_table_source& from_;
  const nuscenes_sweeps sweeps_;
  const bool whole_;
  const nuscenes_frame_reader& frames_;
  nuscenes_tables& out_;
  nuscenes_token_texts texts_;
  nuscenes_file_names names_;
  std::vector<nuscenes_tables::recording> rows_;
  std::vector<std::int32_t> users_; ///< the record each row came from
  nuscenes_token_index tokens_;     ///< of the poses
};

/// category, attribute, visibility, instance and sample_annotation.
class nuscenes_annotation_reader {
public:
  nuscenes_annotation_reader(const nuscenes_table_source& from, const nuscenes_table_options& options,
                             const nuscenes_frame_reader& frames, nuscenes_tables& out)
      : from_(from),
        whole_(options.scenes.empty()),
        frames_(frames),
        out_(out) {}

  void read() {
    read_names();
    nuscenes_key_column instances{"instance.json"};
    from_.each("instance.json", [&](const json_record& r) {
      const auto category = from_.at(categories_, r, "category_token", "category.json");
      instances.index.add(texts_.add(r.text("token")), out_.instances.size());
      out_.instances.push_back({nuscenes_token_of(r.text("token")), category});
    });
    instances.seal(from_, texts_, out_.instances, true);
    std::vector<std::pair<nuscenes_token, nuscenes_token>> links;
    from_.each(table_, [&](const json_record& r) {
      row(r, instances.index, links);
      from_.reserve(out_.annotations, table_, r);
      from_.reserve(links, table_, r);
    });
    chain(links);
  }

  /// After both halves: key frames point to their boxes.
  void finish() {
    out_.texts.add(texts_);
    for (const auto& a : out_.annotations) { ++out_.samples[static_cast<std::size_t>(a.sample)].annotation_count; }
    std::uint32_t sum = 0;
    for (auto& s : out_.samples) {
      s.first_annotation = sum;
      sum += std::exchange(s.annotation_count, 0u);
    }
    out_.annotation_rows.resize(out_.annotations.size());
    for (std::size_t i = 0; i < out_.annotations.size(); ++i) {
      auto& s = out_.samples[static_cast<std::size_t>(out_.annotations[i].sample)];
      out_.annotation_rows[s.first_annotation + s.annotation_count++] = static_cast<std::uint32_t>(i);
    }
  }

private:
  void read_names() {
    struct name {
      nuscenes_token token;
    };
    const auto key = [&](const json_record& r, nuscenes_token_index& index, std::vector<name>& rows) {
      rows.push_back({texts_.add(r.text("token"))});
      index.add(rows.back().token, rows.size() - 1);
    };
    std::vector<name> categories, attributes, visibilities;
    nuscenes_key_column category{"category.json"}, attribute{"attribute.json"}, visibility{"visibility.json"};
    from_.each("category.json", [&](const json_record& r) {
      key(r, category.index, categories);
      const bool numbered = r.has("index");
      out_.categories.push_back({std::string(r.text("name")), -1});
      if (numbered) {
        const auto i = r.integer("index");
        if (i < 0 || i > 255) { r.fail("index", concat("is ", i, ", outside 0 .. 255")); }
        out_.categories.back().index = static_cast<int>(i);
      }
    });
    category.seal(from_, texts_, categories, true);
    from_.each_if_there("attribute.json", [&](const json_record& r) {
      key(r, attribute.index, attributes);
      out_.attributes.emplace_back(r.text("name"));
      if (out_.attributes.size() > 64) { r.fail("token", "is the 65th attribute; 64 are read"); }
    });
    attribute.seal(from_, texts_, attributes, true);
    from_.each_if_there("visibility.json", [&](const json_record& r) {
      key(r, visibility.index, visibilities);
      constexpr std::array<std::string_view, 4> levels{"v0-40", "v40-60", "v60-80", "v80-100"};
      const auto at = std::find(levels.begin(), levels.end(), r.text("level"));
      if (at == levels.end()) { r.fail("level", "is none of v0-40, v40-60, v60-80, v80-100"); }
      visibility_levels_.push_back(static_cast<std::uint8_t>(at - levels.begin() + 1));
    });
    visibility.seal(from_, texts_, visibilities, true);
    categories_ = std::move(category.index);
    attributes_ = std::move(attribute.index);
    visibilities_ = std::move(visibility.index);
  }

  void row(const json_record& r, const nuscenes_token_index& instances,
           std::vector<std::pair<nuscenes_token, nuscenes_token>>& links) {
    nuscenes_tables::annotation a;
    a.sample = from_.at(frames_.samples.index, r, "sample_token", frames_.samples.table);
    a.instance = from_.at(instances, r, "instance_token", "instance.json");
    if (!whole_ && out_.sample_row(a.sample).position < 0) { return; }
    a.token = texts_.add(r.text("token"));
    if (visibilities_.size() > 0 && r.has("visibility_token") && !r.text("visibility_token").empty()) {
      const auto v = from_.at(visibilities_, r, "visibility_token", "visibility.json");
      a.visibility = visibility_levels_[static_cast<std::size_t>(v)];
    }
    if (attributes_.size() > 0 && r.has("attribute_tokens")) {
      r.texts("attribute_tokens", [&](std::string_view t) {
        const auto k = attributes_.find(nuscenes_token_of(t));
        if (k < 0) { r.fail("attribute_tokens", from_.dangling(t, "attribute.json")); }
        a.attributes |= std::uint64_t{1} << k;
      });
    }
    const auto pose = from_.pose(r);
    a.translation = pose.translation;
    a.rotation = pose.rotation;
    const auto s = r.numbers<3>("size");
    if (!(s[0] > 0 && s[1] > 0 && s[2] > 0)) { r.fail("size", "is not positive"); }
    a.size = {s[0], s[1], s[2]};
    const auto count = [&](const char* field) {
      return static_cast<std::int32_t>(std::clamp<std::int64_t>(r.integer(field), 0, 1 << 30));
    };
    a.lidar_points = count("num_lidar_pts");
    if (r.has("num_radar_pts")) { a.radar_points = count("num_radar_pts"); }
    links.emplace_back(texts_.add(r.text("prev")), texts_.add(r.text("next")));
    out_.annotations.push_back(a);
  }

  void chain(const std::vector<std::pair<nuscenes_token, nuscenes_token>>& links) {
    auto& rows = out_.annotations;
    nuscenes_key_column keys{table_};
    keys.index.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) { keys.index.add(rows[i].token, i); }
    keys.seal(from_, texts_, rows, whole_);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto link = [&](nuscenes_token t, const char* field) {
        if (!t) { return nuscenes_row{-1}; }
        const auto found = keys.index.find(t);
        if (found < 0) {
          from_.fail(table_, -1, texts_.text(rows[i].token), field, from_.dangling(texts_.text(t), table_));
        }
        return found;
      };
      rows[i].previous = link(links[i].first, "prev");
      rows[i].next = link(links[i].second, "next");
    }
  }

  static constexpr const char* table_ = "sample_annotation.json";
  const nuscenes_table_source& from_;
  const bool whole_;
  const nuscenes_frame_reader& frames_;
  nuscenes_tables& out_;
  nuscenes_token_texts texts_;
  nuscenes_token_index categories_, attributes_, visibilities_;
  std::vector<std::uint8_t> visibility_levels_;
};

} // namespace sqs::detail

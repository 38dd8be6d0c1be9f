// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// nuScenes-lidarseg: one entry for every key frame, one label for every point.

#include <sqs/data/detail/check_context.hpp>

#include <set>

namespace sqs::detail {

/// The entries of lidarseg.json against the key frames: readers take what they find and miss nothing.
inline void check_lidarseg_entries(nuscenes_check& c, const nuscenes_dataset& set) {
  const auto& t = set.tables();
  const auto table = std::filesystem::path(c.version) / "lidarseg.json";
  const auto add = [&](const auto&... words) {
    c.report.add(concat((c.root / table).string(), words...), c.again.lidarseg(table));
  };
  std::vector<bool> has_entry(t.recordings.size(), false);
  std::set<std::string> files;
  std::size_t twice = 0, shared = 0, missing = 0;
  std::string first_twice, first_shared, first_missing;
  for (const auto& [row, file] : t.lidarseg) {
    const auto r = static_cast<std::size_t>(row);
    if (has_entry[r]) {
      if (twice++ == 0) { first_twice = t.text(t.recording_row(row).token); }
    } else if (!files.insert(file).second && shared++ == 0) {
      first_shared = file.substr(0, 200);
    }
    has_entry[r] = true;
  }
  for (idx i = 0; i < set.size(); ++i) {
    const auto row = t.sample_row(t.order[static_cast<std::size_t>(i)]).recordings[nuscenes_tables::lidar_slot];
    if (!has_entry[static_cast<std::size_t>(row)] && missing++ == 0) { first_missing = set.token(i); }
  }
  if (twice > 0) { add(": ", twice, " entries are for a sweep that has one, first for sample_data ", first_twice); }
  if (shared > 0) { add(": ", shared, " entries name the file of another sweep, first ", first_shared); }
  const auto strange = c.lidarseg_entries - static_cast<idx>(t.lidarseg.size());
  if (strange > 0) { add(": ", strange, " entries are for no LiDAR sweep of a key frame"); }
  // The labels of the test split are not published.
  if (missing > 0 && !(c.version == "v1.0-test" && t.lidarseg.empty())) {
    add(" has no entry for ", missing, " of ", set.size(), " key frames, first for sample ", first_missing);
  }
}

/// Whether there are as many labels as the sweep has points. Which of the two files is the wrong one nobody can tell.
inline bool fits_sweep(const std::filesystem::path& labels, const std::filesystem::path& sweep) {
  const auto bytes = size_of(labels), points = size_of(sweep);
  return bytes < 0 || points <= 0 || bytes == points / 20;
}

inline void check_lidarseg_file(const nuscenes_check& c, const std::filesystem::path& path,
                                const std::filesystem::path& sweep) {
  const auto bytes = size_of(path);
  if (bytes < 0) { raise<file_error>("sqs::check: the file ", path.string(), " is missing"); }
  if (!fits_sweep(path, sweep)) {
    raise<file_error>("sqs::check: ", path.string(), " has ", bytes, " bytes for the ", size_of(sweep) / 20,
                      " points of its sweep ", sweep.string(), ", one byte each");
  }
  if (!c.options.decode) { return; }
  const auto labels = read_point_labels(path, static_cast<std::size_t>(bytes), c.options.limit);
  if (std::all_of(labels.begin(), labels.end(), [](auto v) { return v == 0; })) {
    raise<file_error>("sqs::check: ", path.string(), ": no point is labelled, all ", labels.size(),
                      " are 0 (noise); it was not written to its end");
  }
}

inline void check_lidarseg(nuscenes_check& c, const nuscenes_dataset& set) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto table = fs::path(c.version) / "lidarseg.json", folder = fs::path("lidarseg") / c.version;
  if (!fs::exists(c.root / table, ignored)) {
    if (c.has_folder(folder) && !fs::is_empty(c.root / folder, ignored)) {
      c.report.add(concat("the table ", (c.root / table).string(), " is missing beside ", (c.root / folder).string()),
                   c.again.lidarseg(table));
    }
    return;
  }
  check_lidarseg_entries(c, set);
  const auto& t = set.tables();
  c.all("lidarseg", t.lidarseg.size(), [&](std::size_t i, std::vector<data_problem>& out) {
    const auto& entry = t.lidarseg[i];
    const nuscenes_row row = entry.first;
    const std::string& name = entry.second;
    bool fits = true;
    const auto problem = problem_of([&] {
      const auto path = contained_path(c.root, name, "lidarseg.json"), sweep = set.path_of(t.recording_row(row));
      fits = fits_sweep(path, sweep);
      check_lidarseg_file(c, path, sweep);
    });
    if (!problem) { return; }
    const auto again = c.again.lidarseg(name);
    const bool both = !fits && c.again.is_published();
    out.push_back({*problem, both ? again + " && " + c.again.file(t.filename(t.recording_row(row))) : again});
  });
  c.report.counts["lidarseg files"] += static_cast<idx>(t.lidarseg.size());
}

} // namespace sqs::detail

// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/data/nuscenes_splits.hpp>
#include <sqs/data/occupancy_files.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace evaluate {

void table::print() const {
  fmt::print("{}\n{:28}", title, "");
  for (const auto& c : columns) { fmt::print("{:>12}", c); }
  fmt::print("\n");
  for (const auto& [name, values] : rows) {
    fmt::print("{:28}", name);
    for (const double v : values) { fmt::print("{:>12}", std::isnan(v) ? "-" : fmt::format("{:.4f}", v)); }
    fmt::print("\n");
  }
}

void table::save(const std::string& path) const {
  std::string out = "{\"protocol\": " + json_quoted(title);
  for (const auto& [name, values] : rows) {
    out += ",\n " + json_quoted(name) + ": {";
    for (std::size_t i = 0; i < values.size(); ++i) {
      out += (i == 0 ? "" : ", ") + json_quoted(columns[i]) + ": ";
      out += std::isfinite(values[i]) ? fmt::format("{}", values[i]) : "null"; // the shortest text that reads back
    }
    out += "}";
  }
  out += "}\n";
  write_file_atomic(path, std::as_bytes(std::span<const char>(out)));
}

nuscenes_dataset key_frames(const std::string& root, const options& o) {
  nuscenes_options which{.version = o.version};
  if (!o.split.empty()) { which.scenes = nuscenes_split(o.split); }
  return nuscenes_dataset(root, which);
}

/// Names of label files by LiDAR file, as SurroundOcc and nuScenes-Occupancy have them, of the split's key frames.
static std::set<std::string> files_of_split(const options& o) {
  std::set<std::string> names;
  if (o.split.empty() || o.nuscenes.empty()) { return names; }
  const auto data = key_frames(o.nuscenes, o);
  for (idx i = 0; i < data.size(); ++i) {
    names.insert(surround_occ_path({}, data.lidar_filename(i)).string());
    names.insert(open_occupancy_path({}, data.scene_token(i), data.lidar_token(i)).string());
  }
  return names;
}

std::vector<fs::path> paired_files(const options& o, const std::string& ending) {
  const fs::path truth = o.ground_truth, prediction = o.prediction;
  std::vector<fs::path> found, missing;
  if (!fs::is_directory(truth)) {
    raise<file_error>("sqs::evaluate: ", truth.string(), " is no folder; give the one that holds the label files");
  }
  std::vector<std::string> scenes = o.split.empty() ? std::vector<std::string>() : nuscenes_split(o.split);
  std::sort(scenes.begin(), scenes.end());
  const auto wanted = files_of_split(o);
  std::error_code error;
  // Links are followed, and names are taken as they are written: a prediction has the name of its label.
  fs::recursive_directory_iterator at(truth, fs::directory_options::follow_directory_symlink, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (!at->is_regular_file(error) || at->path().extension() != ending) { continue; }
    const auto name = at->path().lexically_relative(truth);
    const auto scene = name.begin()->string();
    if (scenes.empty() || std::binary_search(scenes.begin(), scenes.end(), scene) || wanted.contains(name.string())) {
      found.push_back(name);
    }
  }
  if (error) {
    raise<file_error>("sqs::evaluate: ", truth.string(), " cannot be walked (", error.message(),
                      "); are there links in a circle, or folders that may not be read?");
  }
  std::sort(found.begin(), found.end());
  for (const auto& f : found) {
    if (!fs::exists(prediction / f)) { missing.push_back(f); }
  }
  if (found.empty()) {
    raise<file_error>("sqs::evaluate: there is no ", ending, " file below ", truth.string(),
                      scenes.empty() ? "" : " in a folder of a scene of the split",
                      "; give the folder that holds the label files of the protocol");
  }
  if (!missing.empty()) {
    raise<file_error>("sqs::evaluate: ", missing.size(), " of ", found.size(),
                      " label files have no prediction, the first is ", (prediction / missing[0]).string(),
                      "; name predictions as the labels are named");
  }
  return found;
}

} // namespace evaluate

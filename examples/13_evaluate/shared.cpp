// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/data/nuscenes_splits.hpp>

#include <algorithm>
#include <cmath>

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

std::vector<fs::path> paired_files(const options& o, const std::string& ending) {
  const fs::path truth = o.ground_truth, prediction = o.prediction;
  std::vector<fs::path> found, missing;
  if (!fs::is_directory(truth)) {
    raise<file_error>("sqs::evaluate: ", truth.string(), " is no folder; give the one that holds the label files");
  }
  std::vector<std::string> scenes = o.split.empty() ? std::vector<std::string>() : nuscenes_split(o.split);
  std::sort(scenes.begin(), scenes.end());
  for (const auto& entry : fs::recursive_directory_iterator(truth, fs::directory_options::follow_directory_symlink)) {
    if (!entry.is_regular_file() || entry.path().extension() != ending) { continue; }
    const auto name = fs::relative(entry.path(), truth);
    const auto scene = name.begin()->string();
    if (scenes.empty() || std::binary_search(scenes.begin(), scenes.end(), scene)) { found.push_back(name); }
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

json_value read_json(const std::string& path) {
  const auto bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

const json_value::object& members(const json_value& v, const std::string& path) {
  if (const auto* m = v.as<json_value::object>()) { return *m; }
  raise<file_error>("sqs::evaluate: ", path, " holds ", v.kind(), " instead of an object; see --help of the task");
}

} // namespace evaluate

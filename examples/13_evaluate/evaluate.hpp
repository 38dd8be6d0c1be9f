// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the tasks share: options, tables of numbers, files that belong together.

#include <sqs/core/file.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/pipeline/progress.hpp>
#include <sqs/tensor/json.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace evaluate {

using namespace sqs;
namespace fs = std::filesystem;

struct options {
  std::string ground_truth, prediction, nuscenes, version, split, json, protocol, drivable;
  std::string mask = "camera", words = "as-written";
  int threads = 0;
  bool f16 = false, quiet = false;
};

/// Rows of numbers under column titles: printed, and saved as JSON.
struct table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::pair<std::string, std::vector<double>>> rows;

  void print() const;
  void save(const std::string& path) const;
};

inline pipeline::progress_bar progress(const options& o, const char* title, std::size_t total) {
  return {o.quiet ? nullptr : stderr, isatty(2) != 0, title, 0, static_cast<std::int64_t>(total)};
}

/// The key frames of the tables and the split that the options name.
nuscenes_dataset key_frames(const std::string& root, const options& o);

/// The label files below the ground truth's folder, as paths relative to it, and that each has its prediction. With a
/// split only those of its scenes, whose names the folders at the top have.
std::vector<fs::path> paired_files(const options& o, const std::string& ending);

json_value read_json(const std::string& path);
const json_value::object& members(const json_value& v, const std::string& path);

table detection(const options& o);
table occupancy(const options& o);
std::vector<std::string> occupancy_protocols();
table rays(const options& o);
table forecast(const options& o);
table planning(const options& o);
table captions(const options& o);

} // namespace evaluate

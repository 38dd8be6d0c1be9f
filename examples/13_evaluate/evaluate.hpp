// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the tasks share: options, tables of numbers, files that belong together.

#include <sqs/core/file.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/metric/confusion.hpp>
#include <sqs/pipeline/progress.hpp>

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

namespace evaluate {

using namespace sqs;
namespace fs = std::filesystem;

struct options {
  std::string ground_truth, prediction, nuscenes, version, split, json, protocol, drivable;
  std::string mask = "camera", words = "as-written", pictures;
  int threads = 0, frames = 3;
  double least_score = 0.15;
  bool f16 = false, quiet = false, partial = false;
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

/// A picture and what the page says below it.
struct shown {
  std::string name, caption; ///< `name` becomes part of the file's name
  image picture;
};
/// Names and colours of classes.
using legend = std::vector<std::pair<std::string, std::array<std::uint8_t, 3>>>;
/// The page of --pictures: the table, and truth beside prediction for the frames that did worst and best.
class gallery {
public:
  /// Makes the folder, so that a wrong one is noticed before anything is judged.
  explicit gallery(const options& o);
  bool wanted() const { return !folder_.empty(); }
  /// How well frame `index` was predicted. Frames without a score (NaN) are never shown.
  void add(std::string name, double score, std::size_t index);
  /// FOLDER/index.html and FOLDER/{worst,best}RANK_NAME.png. `measure` is what the scores are.
  void write(const table& t, const std::string& measure, const std::string& about, const legend& colours,
             const std::function<std::vector<shown>(std::size_t index)>& draw) const;

private:
  struct frame {
    std::string name;
    double score;
    std::size_t index;
  };
  fs::path folder_;
  std::size_t each_;
  bool quiet_;
  std::vector<frame> frames_;
};
/// Truth and prediction of one frame in perspective, from above, and the flow where both have it. Voxels that are not
/// judged are left out of both.
std::vector<shown> truth_beside_prediction(cpu& exec, occupancy_labels truth, occupancy_labels found,
                                           metric::occupancy_mask mask);
/// What the colours of these pictures stand for; `truth` says which classes there are.
legend colours_of(const occupancy_labels& truth);
/// The picture in perspective alone.
image perspectives(cpu& exec, const occupancy_labels& truth, const occupancy_labels& found);

table detection(const options& o);
table occupancy(const options& o);
std::vector<std::string> occupancy_protocols();
table rays(const options& o);
table forecast(const options& o);
table planning(const options& o);
table captions(const options& o);

} // namespace evaluate

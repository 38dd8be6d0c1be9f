// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sequences of SemanticKITTI: calibration, poses, and the files of every frame.

#include <sqs/data/detail/check_report.hpp>
#include <sqs/data/image_io.hpp>
#include <sqs/data/semantic_kitti.hpp>

#include <optional>
#include <set>

namespace sqs::detail {

/// The sequences below a folder: 00, 01, ...; the folder itself if it is one.
inline std::vector<std::filesystem::path> kitti_sequences(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  std::error_code error;
  const auto is_sequence = [&](const std::filesystem::path& p) {
    return std::filesystem::is_directory(p / "voxels", error) || std::filesystem::is_directory(p / "velodyne", error);
  };
  if (is_sequence(folder)) { return {folder}; }
  for (const auto& e : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = e.path().filename().string();
    if (name.size() == 2 && name.find_first_not_of("0123456789") == std::string::npos && is_sequence(e.path())) {
      out.push_back(e.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

class kitti_checker {
public:
  kitti_checker(std::filesystem::path sequence, const check_options& options, check_report& report)
      : sequence_(std::move(sequence)),
        name_(last_name(sequence_)),
        options_(options),
        report_(report),
        exec_{.threads = options.threads} {}

  /// Of `sequences/11/` and of `.` in that folder, too: the number of the sequence.
  static std::string last_name(const std::filesystem::path& path) {
    const auto whole = std::filesystem::absolute(path).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  }
  void run() {
    report_.layout = "SemanticKITTI";
    ++report_.counts["sequences"];
    // Sequences from 11 on are the hidden test set: images and scans, no labels.
    labelled_ = !(name_.size() == 2 && name_ >= "11" && name_ <= "21");
    std::optional<std::size_t> poses; // unknown if the file cannot be read
    text("calib.txt", "data_odometry_calib.zip",
         [&](const auto& p) { read_semantic_kitti_calibration(p, options_.limit); });
    text("poses.txt", "data_odometry_labels.zip",
         [&](const auto& p) { poses = read_semantic_kitti_poses(p, options_.limit).size(); });
    std::vector<std::string> frames;
    if (const auto problem = problem_of([&] { frames = semantic_kitti_frames(sequence_); })) {
      report_.add(*problem, again("data_odometry_voxels.zip", "voxels/*"));
      return;
    }
    for (const auto& lost : labels_without_voxels()) {
      report_.add(concat("the file ", (sequence_ / lost).string(), " is missing"),
                  again("data_odometry_voxels.zip", lost.string()));
    }
    check_all(exec_, options_, report_, "sequence " + name_, static_cast<idx>(frames.size()),
              [&](idx i, std::vector<data_problem>& out) { frame(frames[static_cast<std::size_t>(i)], out); });
    report_.counts["frames"] += static_cast<idx>(frames.size());
    const auto last = static_cast<std::size_t>(std::strtoull(frames.back().c_str(), nullptr, 10));
    if (poses && last >= *poses) {
      report_.add(
          concat((sequence_ / "poses.txt").string(), " has ", *poses, " poses but frame ", frames.back(), " is there"),
          again("data_odometry_labels.zip", "poses.txt"));
    }
  }

private:
  /// Frames are named by their voxels: where only the others are left, nobody would miss them.
  std::vector<std::filesystem::path> labels_without_voxels() const {
    std::error_code ignored;
    std::set<std::filesystem::path> lost;
    for (const auto& e : std::filesystem::directory_iterator(sequence_ / "voxels", ignored)) {
      const auto kind = e.path().extension();
      const auto voxels = std::filesystem::path("voxels") / e.path().stem().concat(".bin");
      if ((kind == ".label" || kind == ".invalid" || kind == ".occluded") && size_of(sequence_ / voxels) < 0) {
        lost.insert(voxels);
      }
    }
    return {lost.begin(), lost.end()};
  }
  std::string again(const char* archive, const std::string& file) const {
    return concat("unzip -j -o ", archive, " ", shell_word("dataset/sequences/" + name_ + "/" + file), " -d ",
                  shell_word((sequence_ / file).parent_path()));
  }
  template <class F> void text(const char* file, const char* archive, F&& read) {
    const auto path = sequence_ / file;
    if (size_of(path) < 0) {
      report_.add(concat("the file ", path.string(), " is missing"), again(archive, file));
    } else if (const auto problem = problem_of([&] { read(path); })) {
      report_.add(*problem, again(archive, file));
    }
  }
  /// `size`: the only right one, or 0.
  template <class F> void one(std::vector<data_problem>& out, const std::filesystem::path& path, const char* archive,
                              std::int64_t size, F&& read) const {
    const auto file = path.lexically_relative(sequence_).string();
    const auto bytes = size_of(path);
    if (bytes < 0) {
      out.push_back({concat("the file ", path.string(), " is missing"), again(archive, file)});
    } else if (size > 0 && bytes != size) {
      out.push_back({concat(path.string(), " has ", bytes, " bytes instead of ", size), again(archive, file)});
    } else if (options_.decode) {
      if (const auto problem = problem_of([&] { read(path); })) { out.push_back({*problem, again(archive, file)}); }
    }
  }
  void frame(const std::string& name, std::vector<data_problem>& out) const {
    const auto f = semantic_kitti_files(sequence_, name);
    const auto count = static_cast<std::int64_t>(semantic_kitti_grid.count());
    const char* const voxels = "data_odometry_voxels.zip";
    const auto packed = [&](const auto& p) { read_packed_voxels(p, options_.limit); };
    // A frame without a point in its volume, or without a class, is a file that was not written to its end.
    const auto something = [](const auto& values, const auto& p) {
      if (!std::all_of(values.begin(), values.end(), [](auto v) { return v == 0; })) { return; }
      raise<file_error>("sqs::check: all ", values.size(), " voxels of ", p.string(),
                        " are 0; it was not written to its end");
    };
    one(out, f.voxels, voxels, count / 8, [&](const auto& p) { something(read_packed_voxels(p, options_.limit), p); });
    if (labelled_) {
      one(out, f.invalid, voxels, count / 8, packed);
      one(out, f.occluded, voxels, count / 8, packed);
      one(out, f.label, voxels, count * 2,
          [&](const auto& p) { something(read_semantic_kitti(p, {}, options_.limit).semantics, p); });
    }
    one(out, f.velodyne, "data_odometry_velodyne.zip", 0,
        [&](const auto& p) { require_different_points(read_velodyne(p, options_.limit), p); });
    one(out, f.image_2, "data_odometry_color.zip", 0, [&](const auto& p) { read_png(p, options_.limit); });
  }

  std::filesystem::path sequence_;
  std::string name_;
  const check_options& options_;
  check_report& report_;
  cpu exec_;
  bool labelled_ = true;
};

} // namespace sqs::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Walks a data set on disk and says what is wrong with it, and how to repair it.

#include <sqs/data/detail/check_kitti.hpp>
#include <sqs/data/detail/check_nuscenes.hpp>

#include <unistd.h>

namespace sqs {

namespace detail {

/// Folders of tables in `folder`: those called as nuScenes calls them, and others with a sample.json.
inline std::vector<std::string> nuscenes_versions(const std::filesystem::path& folder) {
  std::error_code ignored;
  std::vector<std::string> out;
  for (const auto& e : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = e.path().filename().string();
    const bool named = name.starts_with("v1.0-") && e.is_directory(ignored);
    if (named || (name.starts_with("v") && std::filesystem::exists(e.path() / "sample.json", ignored))) {
      out.push_back(name);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// A folder of tables that is a link to nowhere; empty if there is none.
inline std::filesystem::path dangling_version(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const auto& e : std::filesystem::directory_iterator(folder, ignored)) {
    if (e.path().filename().string().starts_with("v1.0-") && e.is_symlink(ignored) && !e.exists(ignored)) {
      return e.path();
    }
  }
  return {};
}

/// Folders in the data set that may not be read: what is in them would count as missing.
inline bool report_locked(const std::filesystem::path& folder, check_report& report) {
  std::error_code error;
  std::vector<std::filesystem::path> locked;
  const auto open_to_us = [](const std::filesystem::path& p) { return ::access(p.c_str(), R_OK | X_OK) == 0; };
  if (!open_to_us(folder)) { locked.push_back(folder); }
  for (const auto& e : std::filesystem::directory_iterator(folder, error)) {
    if (e.is_directory(error) && !open_to_us(e.path())) { locked.push_back(e.path()); }
  }
  for (const auto& p : locked) {
    report.add(concat("the folder ", p.string(), " may not be read by this user"),
               "chmod -R u+rX " + shell_word(p) + "   # or ask its owner");
  }
  return !locked.empty();
}

/// Says that there is no data set, and the command that helps.
inline void report_nothing(const std::filesystem::path& folder, check_report& report) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto whole = fs::absolute(folder).lexically_normal();
  const auto here = whole.has_filename() ? whole : whole.parent_path(); // without a slash behind it
  const auto look_in = [](const fs::path& other) { return "dataset_check " + shell_word(other); };
  if (fs::is_symlink(here, ignored) && !fs::exists(here, ignored)) {
    const auto target = here.parent_path() / fs::read_symlink(here, ignored);
    report.add(concat(folder.string(), " is a link to ", target.string(), ", which is not there"),
               nuscenes_from_nothing(target) + ", or mount the disk that it lies on");
  } else if (!fs::exists(here, ignored)) {
    report.add(concat("the folder ", folder.string(), " is missing"), nuscenes_from_nothing(folder));
  } else if (!fs::is_directory(here, ignored)) {
    report.add(concat(folder.string(), " is no folder"), look_in(here.parent_path()));
  } else if (fs::exists(here / "sample.json", ignored)) {
    report.add(concat(folder.string(), " holds only tables; the data set is the folder that holds it"),
               look_in(here.parent_path()));
  } else if (const auto link = dangling_version(here); !link.empty()) {
    const auto target = here / fs::read_symlink(link, ignored);
    report.add(concat("the tables ", link.string(), " are a link to ", target.string(), ", which is not there"),
               concat("mkdir -p ", shell_word(target), " && tar --keep-directory-symlink -xzf v1.0-mini.tgz -C ",
                      shell_word(here), "   # or mount the disk that it lies on"));
  } else if (fs::exists(here / town_marker, ignored)) {
    report.add(concat(folder.string(), " is a town without tables: its writing was stopped"),
               town_from_nothing(folder));
  } else {
    std::vector<fs::path> below;
    for (const auto& e : fs::directory_iterator(here, ignored)) {
      if (e.is_directory(ignored) && !nuscenes_versions(e.path()).empty()) { below.push_back(e.path()); }
    }
    std::sort(below.begin(), below.end());
    report.add(concat(folder.string(),
                      " has no known layout: neither v1.0-*/ with tables of nuScenes nor sequences/NN/ "
                      "of SemanticKITTI"),
               below.empty() ? nuscenes_from_nothing(folder) : look_in(below.front()));
  }
}

} // namespace detail

/// Checks the data set in `folder`. Known are the layouts of nuScenes (tables, images, sweeps, maps; lidarseg, can_bus,
/// the labels of Occ3D, OpenOcc, SurroundOcc and nuScenes-Occupancy and the texts of a town where their folders are) and
/// of SemanticKITTI.
///
/// Execution   on `threads` threads; the report does not depend on their number. Nothing is changed on disk.
/// Errors      none: what is wrong is in the report, also an unknown layout.
/// Cost        reads every file once, about 100 key frames a second and thread; with `decode = false` only the
///             beginnings and ends of images and the sizes of sweeps.
inline check_report check_dataset(const std::filesystem::path& folder, const check_options& options = {}) {
  check_report report;
  report.folder = folder;
  report.most = options.most;
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored) && detail::report_locked(folder, report)) { return report; }
  if (const auto versions = detail::nuscenes_versions(folder); !versions.empty()) {
    for (const auto& v : versions) { detail::nuscenes_checker(folder, v, options, report).run(); }
    return report;
  }
  for (const auto& part : {folder, folder / "sequences", folder / "dataset" / "sequences"}) {
    const auto sequences = detail::kitti_sequences(part);
    if (!sequences.empty()) {
      for (const auto& s : sequences) { detail::kitti_checker(s, options, report).run(); }
      return report;
    }
  }
  detail::report_nothing(folder, report);
  return report;
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Walks a data set on disk and says what is wrong with it, and how to repair it.

#include <sqs/data/detail/check_kitti.hpp>
#include <sqs/data/detail/check_nuscenes.hpp>

namespace sqs {

/// Checks the data set in `folder`. Known are the layouts of nuScenes (tables, images, sweeps; lidarseg and the labels
/// of Occ3D, OpenOcc, SurroundOcc and nuScenes-Occupancy where their folders are) and of SemanticKITTI.
///
/// Execution   on `threads` threads; the report does not depend on their number. Nothing is changed on disk.
/// Errors      none: what is wrong is in the report, also an unknown layout.
/// Cost        reads every file once, about 100 key frames a second and thread; with `decode = false` only the
///             beginnings and ends of images and the sizes of sweeps.
inline check_report check_dataset(const std::filesystem::path& folder, const check_options& options = {}) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  check_report report;
  report.folder = folder;
  report.most = options.most;
  if (!fs::is_directory(folder, ignored)) {
    report.add(concat(folder.string(), " is no folder"), concat("ls -d ", detail::shell_word(folder.parent_path())));
    return report;
  }
  std::vector<std::string> versions;
  for (const auto& e : fs::directory_iterator(folder, ignored)) {
    const std::string name = e.path().filename().string();
    const bool named = name.starts_with("v1.0-") && e.is_directory(ignored);
    if (named || (name.starts_with("v") && fs::exists(e.path() / "sample.json", ignored))) { versions.push_back(name); }
  }
  std::sort(versions.begin(), versions.end());
  if (!versions.empty()) {
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
  report.add(concat(folder.string(), " has no known layout: neither v1.0-*/ with tables of nuScenes nor sequences/NN/ "
                                     "of SemanticKITTI"),
             concat("ls ", detail::shell_word(folder)));
  return report;
}

} // namespace sqs

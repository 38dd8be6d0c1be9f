// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The folder a town is written to: empty, or made so. Old labels beside new ones would be judged with them, and old
/// tables would call half a town complete.

#include <sqs/core/error.hpp>
#include <sqs/core/file.hpp>

#include <filesystem>
#include <string>

namespace sqs::detail {

/// Removes the town in `root` if `replace` says so.
///
/// Errors      file_error if something else is there, or a town that is not to be replaced.
inline void make_room(const std::filesystem::path& root, const std::string& version, bool replace) {
  namespace fs = std::filesystem;
  std::error_code error, ignored;
  if (!fs::exists(root, error) || fs::is_empty(root, error)) { return; }
  const bool is_town = fs::exists(root / version, ignored) || fs::exists(root / "town", ignored);
  if (error || !replace || !is_town) {
    raise<file_error>("sqs::write_town: ", root.string(),
                      is_town ? " holds a town already; replace it (town_write_options::replace, --replace) or give "
                                "another folder"
                              : " is not an empty folder; give an empty one or one that does not exist");
  }
  fs::remove_all(root / version, ignored); // the tables go first
  for (const char* part : {"samples", "sweeps", "lidarseg", "maps", "gts", "openocc_v2", "dense_voxels_with_semantic",
                           "nuScenes-Occupancy", "town"}) {
    fs::remove_all(root / part, ignored);
  }
}

} // namespace sqs::detail

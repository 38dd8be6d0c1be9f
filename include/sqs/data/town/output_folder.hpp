// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The folder a town is written to: empty, or made so. Old labels beside new ones would be judged with them, and old
/// tables would call half a town complete.

#include <sqs/core/error.hpp>
#include <sqs/core/file.hpp>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace sqs::detail {

/// Marks a folder as a town's from the first moment on: only what has it may be removed.
inline constexpr const char* town_marker = "sqs_town.txt";

/// The command that made the town in `root`, without its folder, as its marker has it; empty if none is there.
inline std::string town_command(const std::filesystem::path& root) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(root / town_marker, ignored)) { return {}; }
  std::ifstream in(root / town_marker);
  std::string line;
  while (std::getline(in, line)) {
    constexpr const char* plain = "abcdefghijklmnopqrstuvwxyz0123456789_-. ";
    if (line.starts_with("make_town ") && line.size() < 400 && line.find_first_not_of(plain) == std::string::npos) {
      return line;
    }
  }
  return {};
}

/// Makes `root` ready to take a town: removes the one that is there if `replace` says so. `command` makes the same town
/// again.
///
/// Errors      file_error if something else is there, a town that is not to be replaced, or the folder cannot be made.
inline void make_room(const std::filesystem::path& root, const std::string& version, bool replace,
                      const std::string& command) {
  namespace fs = std::filesystem;
  std::error_code error, ignored;
  if (root.empty()) { raise<file_error>("sqs::write_town: the folder has no name; give one that does not exist"); }
  if (fs::exists(root, ignored) && !fs::is_empty(root, error)) {
    const bool is_town = !error && fs::exists(root / town_marker, ignored);
    if (!replace || !is_town) {
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
  fs::create_directories(root, error);
  if (!fs::is_directory(root, ignored)) {
    raise<file_error>("sqs::write_town: the folder ", root.string(), " cannot be made (", error.message(),
                      "); give one below a folder that may be written to");
  }
  const std::string text =
      concat("A procedural town. What lies beside this file may be removed by make_town --replace. It "
             "is made again by\n",
             command, "\n");
  write_file_atomic(root / town_marker, std::as_bytes(std::span(text)));
}

} // namespace sqs::detail

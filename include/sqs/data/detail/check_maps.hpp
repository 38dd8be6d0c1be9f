// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The pictures that map.json names. Nothing here reads them, but the devkit opens all of them before anything else.

#include <sqs/data/detail/check_context.hpp>
#include <sqs/data/detail/png_file.hpp>

namespace sqs::detail {

inline void check_map(const nuscenes_check& c, const std::filesystem::path& path) {
  if (size_of(path) <= 0) {
    raise<file_error>("sqs::check: the map ", path.string(), " is ", size_of(path) == 0 ? "empty" : "missing");
  }
  if (path.extension() == ".png") { require_whole_png(path, c.options.limit, c.options.decode); }
}

inline void check_maps(nuscenes_check& c, const nuscenes_dataset& set) {
  const auto& maps = set.tables().maps;
  std::map<std::filesystem::path, idx> absent; // folders, and how many pictures they lack
  std::vector<std::string> names;
  for (const auto& m : maps) {
    const auto folder = std::filesystem::path(m.filename).parent_path();
    std::error_code ignored;
    const bool top = folder.has_relative_path() && folder.is_relative() && std::next(folder.begin()) == folder.end() &&
                     *folder.begin() != "..";
    if (top && !std::filesystem::is_directory(c.root / folder, ignored)) {
      ++absent[folder];
    } else {
      names.push_back(m.filename);
    }
  }
  for (const auto& [folder, count] : absent) {
    std::error_code ignored;
    if (std::filesystem::is_symlink(c.root / folder, ignored)) { continue; } // to nowhere: said already
    c.report.add(concat("the folder ", (c.root / folder).string(), " is missing with its ", count,
                        count == 1 ? " picture of a map" : " pictures of maps"),
                 c.again.map(folder));
  }
  c.all("maps", names.size(), [&](std::size_t i, std::vector<data_problem>& out) {
    const auto problem = problem_of([&] { check_map(c, contained_path(c.root, names[i], "map.json")); });
    if (problem) { out.push_back({*problem, c.again.map(names[i])}); }
  });
  c.report.counts["maps"] += static_cast<idx>(names.size());
}

} // namespace sqs::detail

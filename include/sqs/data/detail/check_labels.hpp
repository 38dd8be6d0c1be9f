// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Labels that lie beside the tables, one file for every key frame: occupancy of four kinds, and the texts of a town.

#include <sqs/data/detail/check_town.hpp>
#include <sqs/data/occupancy_files.hpp>

namespace sqs::detail {

/// One kind of labels: where the file of sample `i` is, how it is read, and the command that brings it back.
struct label_files {
  std::string name;
  std::function<std::filesystem::path(idx)> path;
  std::function<void(const std::filesystem::path&)> read;
  std::function<std::string(const std::filesystem::path&)> again; ///< of the path below the root
};

inline void check_label_files(nuscenes_check& c, const nuscenes_dataset& set, const label_files& f) {
  c.all(f.name, static_cast<std::size_t>(set.size()), [&](std::size_t i, std::vector<data_problem>& out) {
    std::filesystem::path file;
    if (const auto problem = problem_of([&] { file = f.path(static_cast<idx>(i)); })) {
      out.push_back({*problem, c.again.tables()}); // a name that is no name
      return;
    }
    const auto repair = [&] { return f.again(file.lexically_relative(c.root)); };
    if (size_of(file) < 0) {
      out.push_back(
          {concat("the labels ", file.string(), " of sample ", set.token(static_cast<idx>(i)), " are missing"),
           repair()});
      return;
    }
    const auto problem = problem_of([&] {
      if (c.options.decode) {
        f.read(file);
      } else if (file.extension() == ".json") {
        require_json_ends(file);
      } else {
        require_ends(file, size_of(file), sample_file_limits(c.options.limit).file_bytes);
      }
    });
    if (problem) { out.push_back({*problem, repair()}); }
  });
  c.report.counts[f.name] += set.size();
}

inline void require_masks(const occupancy_labels& o, const std::filesystem::path& path) {
  if (!o.mask_lidar.empty() && !o.mask_camera.empty()) { return; }
  raise<file_error>("sqs::check: ", path.string(), " has no array '",
                    o.mask_lidar.empty() ? "mask_lidar" : "mask_camera", "'; without it unseen voxels would be judged");
}

/// Raises for labels that say nothing: one class everywhere, or no class at all where something is.
inline void require_classes(const occupancy_labels& o, const std::filesystem::path& path) {
  const auto& all = o.semantics;
  const auto first = all.empty() ? std::uint8_t{0} : all[0];
  if (first != o.free && std::all_of(all.begin(), all.end(), [&](auto v) { return v == first; })) {
    raise<file_error>("sqs::check: ", path.string(), ": all ", all.size(), " voxels have the class ", int{first},
                      "; it was not written to its end");
  }
  const auto is_free = [&](auto v) { return v == o.free; };
  const auto says_nothing = [&](auto v) { return is_free(v) || v == occupancy_labels::ignore; };
  if (std::all_of(all.begin(), all.end(), says_nothing) && !std::all_of(all.begin(), all.end(), is_free)) {
    raise<file_error>("sqs::check: ", path.string(),
                      ": no voxel is labelled, what is not free has the class 0 or 255; it was not written to its end");
  }
}

/// The labels whose folders are there.
inline void check_labels(nuscenes_check& c, const nuscenes_dataset& set) {
  using path = std::filesystem::path;
  const auto& most = c.options.limit;
  const auto by_scene = [&](const char* folder) {
    return [&set, at = c.root / folder](idx i) { return occ3d_path(at, set.scene(i), set.token(i)); };
  };
  if (c.has_folder("gts")) {
    check_label_files(c, set,
                      {"labels of Occ3D", by_scene("gts"),
                       [&](const path& p) {
                         const auto o = read_occ3d(p, most);
                         require_masks(o, p);
                         require_classes(o, p);
                       },
                       [&](const path& p) { return c.again.occ3d(p); }});
  }
  for (const char* folder : {"openocc_v2", "openocc_v2.1"}) {
    if (!c.has_folder(folder)) { continue; }
    check_label_files(c, set,
                      {"labels of OpenOcc", by_scene(folder),
                       [&](const path& p) { require_classes(read_open_occ(p, most), p); },
                       [&](const path& p) { return c.again.open_occ(p); }});
  }
  if (c.has_folder("dense_voxels_with_semantic")) {
    const auto at = c.root / "dense_voxels_with_semantic";
    check_label_files(c, set,
                      {"labels of SurroundOcc", [&](idx i) { return surround_occ_path(at, set.lidar_filename(i)); },
                       [&](const path& p) { require_classes(read_surround_occ(p, most), p); },
                       [&](const path& p) { return c.again.surround_occ(p); }});
  }
  for (const char* folder : {"nuScenes-Occupancy-v0.1", "nuScenes-Occupancy"}) {
    if (!c.has_folder(folder)) { continue; }
    const auto at = c.root / folder;
    check_label_files(c, set,
                      {"labels of nuScenes-Occupancy",
                       [&](idx i) { return open_occupancy_path(at, set.scene_token(i), set.lidar_token(i)); },
                       [&](const path& p) { require_classes(read_open_occupancy(p, most), p); },
                       [&](const path& p) { return c.again.open_occupancy(p); }});
  }
  if (c.again.is_town() && c.has_folder("town")) {
    check_label_files(c, set,
                      {"texts", [&](idx i) { return town_text_path(c.root / "town", set.scene(i), set.token(i)); },
                       [&](const path& p) { check_town_text(p, most); },
                       [&](const path&) { return town_from_nothing(c.root); }});
  }
}

} // namespace sqs::detail

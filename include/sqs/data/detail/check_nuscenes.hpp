// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A data set in the layout of nuScenes: tables, then every file they name, then the labels that lie beside them.

#include <sqs/data/detail/check_repairs.hpp>
#include <sqs/data/detail/check_tables.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/data/occupancy_files.hpp>

namespace sqs::detail {

class nuscenes_checker {
public:
  nuscenes_checker(std::filesystem::path root, std::string version, const check_options& options, check_report& report)
      : root_(std::move(root)),
        version_(std::move(version)),
        options_(options),
        report_(report),
        exec_{.threads = options.threads},
        again_(root_, version_) {}

  void run() {
    report_.layout = report_.layout == "unknown" ? "nuScenes " + version_ : report_.layout + ", " + version_;
    const auto before = report_.problem_count;
    nuscenes_table_checker(root_ / version_, again_.tables(), options_, report_).run();
    if (report_.problem_count > before) { return; } // files cannot be told from broken tables
    std::optional<nuscenes_dataset> set;
    const auto problem = problem_of([&] {
      set.emplace(root_, nuscenes_options{.version = version_, .most = options_.limit, .sweeps = nuscenes_sweeps::all});
    });
    if (problem) {
      report_.add(*problem, again_.tables());
      return;
    }
    check_links();
    check_recordings(*set);
    check_lidarseg(*set);
    check_maps(*set);
    check_labels(*set);
  }

private:
  using problems = std::vector<data_problem>;

  /// What is missing of a folder as a whole: the link at the top that it lies behind, or itself; empty if it is there.
  std::filesystem::path missing_part(const std::filesystem::path& folder) const {
    std::error_code ignored;
    const bool leaves = folder.is_absolute() || std::find(folder.begin(), folder.end(), "..") != folder.end();
    if (leaves || std::filesystem::is_directory(root_ / folder, ignored)) { return {}; } // the reader refuses its files
    const std::filesystem::path top = *folder.begin();
    const bool nowhere =
        std::filesystem::is_symlink(root_ / top, ignored) && !std::filesystem::exists(root_ / top, ignored);
    return nowhere ? top : folder;
  }

  /// Links at the top of the data set that lead nowhere: what lies behind them is not looked for below.
  void check_links() {
    for (const char* part : {"gts", "openocc_v2", "openocc_v2.1", "dense_voxels_with_semantic", "nuScenes-Occupancy",
                             "nuScenes-Occupancy-v0.1", "maps", "can_bus"}) {
      report_if_nowhere(root_ / part);
    }
    report_if_nowhere(root_ / version_ / "lidarseg.json", again_.lidarseg(version_ + "/lidarseg.json"));
  }
  void report_if_nowhere(const std::filesystem::path& link, std::string repair = {}) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (!fs::is_symlink(link, ignored) || fs::exists(link, ignored)) { return; }
    const auto target = link.parent_path() / fs::read_symlink(link, ignored);
    if (repair.empty()) {
      repair = concat("mkdir -p ", shell_word(target), " && dataset_check ", shell_word(root_),
                      "   # or mount the disk that it lies on");
    }
    report_.add(concat(link.string(), " is a link to ", target.string(), ", which is not there"), std::move(repair));
  }

  void check_recordings(const nuscenes_dataset& set) {
    const auto& t = set.tables();
    std::map<std::filesystem::path, std::filesystem::path> missing; // of each folder
    std::map<std::filesystem::path, idx> absent;                    // missing parts with their files: one problem each
    const auto folder_of = [&](const auto& r) { return std::filesystem::path(t.filename(r)).parent_path(); };
    for (const auto& r : t.recordings) {
      const auto folder = folder_of(r);
      const auto [at, is_new] = missing.try_emplace(folder);
      if (is_new && !folder.empty()) { at->second = missing_part(folder); }
      if (!at->second.empty()) { ++absent[at->second]; }
    }
    std::error_code ignored;
    for (const auto& [part, files] : absent) {
      if (const auto target = std::filesystem::read_symlink(root_ / part, ignored); !ignored) {
        report_.add(concat((root_ / part).string(), " is a link to ", target.string(),
                           ", which is not there; it is missing with its ", files, " files"),
                    again_.link(part, (root_ / part).parent_path() / target));
      } else {
        report_.add(concat("the folder ", (root_ / part).string(), " is missing with its ", files, " files"),
                    again_.folder(part));
      }
    }
    check_all(exec_, options_, report_, "images and sweeps", static_cast<idx>(t.recordings.size()),
              [&](idx i, problems& out) {
                const auto& r = t.recordings[static_cast<std::size_t>(i)];
                if (!missing.at(folder_of(r)).empty()) { return; }
                const auto problem = problem_of([&] { check_recording(set, r); });
                if (problem) { out.push_back({*problem, again_.file(t.filename(r))}); }
              });
    report_.counts["files of sensors"] += static_cast<idx>(t.recordings.size());
  }
  void check_recording(const nuscenes_dataset& set, const nuscenes_tables::recording& r) const {
    const auto path = set.path_of(r);
    const auto bytes = size_of(path);
    if (bytes < 0) { raise<file_error>("sqs::check: the file ", path.string(), " is missing"); }
    const bool lidar = set.tables().sensor_of(r).slot == static_cast<int>(nuscenes_tables::lidar_slot);
    if (lidar) {
      if (options_.decode) {
        require_different_points(read_lidar(path, options_.limit), path);
      } else if (bytes == 0 || bytes % 20 != 0) {
        raise<file_error>("sqs::check: ", path.string(), " has ", bytes,
                          " bytes, no multiple of the 20 of a point; it is cut short");
      }
      return;
    }
    if (options_.decode) {
      const auto picture = read_jpeg(path, options_.limit);
      if (picture.height != r.height || picture.width != r.width) {
        raise<file_error>("sqs::check: ", path.string(), " has ", picture.height, " x ", picture.width,
                          " pixels but sample_data.json says ", r.height, " x ", r.width);
      }
      return;
    }
    const auto ends = jpeg_ends(path);
    if (ends != std::array<int, 4>{0xFF, 0xD8, 0xFF, 0xD9}) {
      raise<file_error>("sqs::check: ", path.string(),
                        " does not begin and end as a JPEG does; it is cut short or damaged");
    }
  }
  /// The first two and the last two bytes.
  static std::array<int, 4> jpeg_ends(const std::filesystem::path& path) {
    const file_calls calls;
    const open_file file(calls, path.string(), O_RDONLY | O_NONBLOCK);
    std::array<int, 4> out{-1, -1, -1, -1};
    std::array<unsigned char, 4> b{};
    if (file && ::pread(file.get(), b.data(), 2, 0) == 2) { out[0] = b[0], out[1] = b[1]; }
    const auto end = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
    if (end >= 4 && ::pread(file.get(), b.data() + 2, 2, end - 2) == 2) { out[2] = b[2], out[3] = b[3]; }
    return out;
  }

  void check_lidarseg(const nuscenes_dataset& set) {
    const auto& t = set.tables();
    check_all(exec_, options_, report_, "lidarseg", static_cast<idx>(t.lidarseg.size()), [&](idx i, problems& out) {
      const auto& entry = t.lidarseg[static_cast<std::size_t>(i)];
      const nuscenes_row row = entry.first;
      const std::string& name = entry.second;
      const auto problem = problem_of([&] {
        const auto path = contained_path(root_, name, "lidarseg.json");
        const auto bytes = size_of(path), points = size_of(set.path_of(t.recording_row(row)));
        if (bytes < 0) { raise<file_error>("sqs::check: the file ", path.string(), " is missing"); }
        if (points > 0 && bytes != points / 20) {
          raise<file_error>("sqs::check: ", path.string(), " has ", bytes, " bytes for the ", points / 20,
                            " points of its sweep, one byte each");
        }
        if (options_.decode) { read_point_labels(path, static_cast<std::size_t>(bytes), options_.limit); }
      });
      if (problem) { out.push_back({*problem, again_.lidarseg(name)}); }
    });
    report_.counts["lidarseg files"] += static_cast<idx>(t.lidarseg.size());
  }

  /// Pictures of maps. Nothing here reads them, so a data set may do without their folder; where it is, one that is
  /// missing is a download that was cut short.
  void check_maps(const nuscenes_dataset& set) {
    std::error_code ignored;
    for (const auto& m : set.tables().maps) {
      const auto problem = problem_of([&] {
        const auto path = contained_path(root_, m.filename, "map.json");
        if (!std::filesystem::is_directory(path.parent_path(), ignored)) { return; }
        if (size_of(path) <= 0) {
          raise<file_error>("sqs::check: the map ", path.string(), " is ", size_of(path) == 0 ? "empty" : "missing");
        }
        ++report_.counts["maps"];
      });
      if (problem) { report_.add(*problem, again_.map(m.filename)); }
    }
  }

  /// `path` of a sample's labels, `read` them, `again` the command.
  void check_label_set(const nuscenes_dataset& set, const std::string& name,
                       const std::function<std::filesystem::path(idx)>& path,
                       const std::function<void(const std::filesystem::path&)>& read,
                       const std::function<std::string(const std::filesystem::path&)>& again) {
    check_all(exec_, options_, report_, name, set.size(), [&](idx i, problems& out) {
      std::filesystem::path file;
      if (const auto problem = problem_of([&] { file = path(i); })) {
        out.push_back({*problem, again_.tables()}); // a name that is no name
        return;
      }
      const auto repair = [&] { return again(file.lexically_relative(root_)); };
      if (size_of(file) < 0) {
        out.push_back({concat("the labels ", file.string(), " of sample ", set.token(i), " are missing"), repair()});
        return;
      }
      const auto problem = problem_of([&] {
        if (options_.decode) {
          read(file);
        } else {
          require_ends(file, size_of(file), sample_file_limits(options_.limit).file_bytes);
        }
      });
      if (problem) { out.push_back({*problem, repair()}); }
    });
    report_.counts[name] += set.size();
  }
  void check_labels(const nuscenes_dataset& set) {
    std::error_code ignored;
    const auto there = [&](const char* folder) { return std::filesystem::is_directory(root_ / folder, ignored); };
    const auto by_scene = [&](const char* folder) {
      return [&set, at = root_ / folder](idx i) { return occ3d_path(at, set.scene(i), set.token(i)); };
    };
    using path = std::filesystem::path;
    if (there("gts")) {
      const auto read = [&](const path& p) {
        const auto o = read_occ3d(p, options_.limit);
        if (o.mask_lidar.empty() || o.mask_camera.empty()) {
          raise<file_error>("sqs::check: ", p.string(), " has no array '",
                            o.mask_lidar.empty() ? "mask_lidar" : "mask_camera",
                            "'; without it unseen voxels would be judged");
        }
      };
      check_label_set(set, "labels of Occ3D", by_scene("gts"), read, [&](const path& p) { return again_.occ3d(p); });
    }
    for (const char* folder : {"openocc_v2", "openocc_v2.1"}) {
      if (!there(folder)) { continue; }
      check_label_set(
          set, "labels of OpenOcc", by_scene(folder), [&](const path& p) { read_open_occ(p, options_.limit); },
          [&](const path& p) { return again_.open_occ(p); });
    }
    if (there("dense_voxels_with_semantic")) {
      check_label_set(
          set, "labels of SurroundOcc",
          [&](idx i) { return surround_occ_path(root_ / "dense_voxels_with_semantic", set.lidar_filename(i)); },
          [&](const path& p) { read_surround_occ(p, options_.limit); },
          [&](const path& p) { return again_.surround_occ(p); });
    }
    for (const char* folder : {"nuScenes-Occupancy-v0.1", "nuScenes-Occupancy"}) {
      if (!there(folder)) { continue; }
      check_label_set(
          set, "labels of nuScenes-Occupancy",
          [&](idx i) { return open_occupancy_path(root_ / folder, set.scene_token(i), set.lidar_token(i)); },
          [&](const path& p) { read_open_occupancy(p, options_.limit); },
          [&](const path& p) { return again_.open_occupancy(p); });
    }
  }

  std::filesystem::path root_;
  std::string version_;
  const check_options& options_;
  check_report& report_;
  cpu exec_;
  nuscenes_repairs again_;
};

} // namespace sqs::detail

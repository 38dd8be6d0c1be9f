// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A data set in the layout of nuScenes: tables, then every file they name, then the labels that lie beside them.

#include <sqs/data/detail/check_tables.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/data/occupancy_files.hpp>

#include <set>

namespace sqs::detail {

class nuscenes_checker {
public:
  nuscenes_checker(std::filesystem::path root, std::string version, const check_options& options, check_report& report)
      : root_(std::move(root)),
        version_(std::move(version)),
        options_(options),
        report_(report),
        exec_{.threads = options.threads} {}

  void run() {
    report_.layout = report_.layout == "unknown" ? "nuScenes " + version_ : report_.layout + ", " + version_;
    const auto before = report_.problem_count;
    nuscenes_table_checker(root_ / version_, tables_again(), options_, report_).run();
    if (report_.problem_count > before) { return; } // files cannot be told from broken tables
    std::optional<nuscenes_dataset> set;
    const auto problem = problem_of([&] {
      set.emplace(root_, nuscenes_options{.version = version_, .most = options_.limit, .sweeps = nuscenes_sweeps::all});
    });
    if (problem) {
      report_.add(*problem, tables_again());
      return;
    }
    check_recordings(*set);
    check_lidarseg(*set);
    check_labels(*set);
  }

private:
  using problems = std::vector<data_problem>;

  /// Nothing of a town is for download.
  std::string town_again() const {
    return concat("make_town --replace --out ", shell_word(root_), "   # with the options it was made with");
  }
  std::string tables_again() const {
    if (version_ == "v1.0-town") { return town_again(); }
    return concat("tar -xzf ", version_, version_ == "v1.0-mini" ? ".tgz" : "_meta.tgz", " -C ", shell_word(root_), " ",
                  version_);
  }
  /// Only one of the archives of the full set has the file.
  std::string file_again(const std::string& name) const {
    if (version_ == "v1.0-town") { return town_again(); }
    if (version_ == "v1.0-mini") {
      return concat("tar -xzf v1.0-mini.tgz -C ", shell_word(root_), " ", shell_word(name));
    }
    return concat("for f in ", version_, "*_blobs.tgz; do tar -xzf $f -C ", shell_word(root_), " ", shell_word(name),
                  " && break; done");
  }

  void check_recordings(const nuscenes_dataset& set) {
    const auto& t = set.tables();
    std::map<std::filesystem::path, idx> absent; // folders that are missing as a whole: one problem each
    std::error_code ignored;
    for (const auto& r : t.recordings) {
      const auto folder = std::filesystem::path(t.filename(r)).parent_path();
      if (const auto at = absent.find(folder); at != absent.end()) {
        ++at->second;
      } else if (seen_.insert(folder).second && !std::filesystem::is_directory(root_ / folder, ignored)) {
        absent[folder] = 1;
      }
    }
    for (const auto& [folder, files] : absent) {
      report_.add(concat("the folder ", (root_ / folder).string(), " is missing with its ", files, " files"),
                  version_ == "v1.0-town" ? town_again()
                  : version_ == "v1.0-mini"
                      ? concat("tar -xzf v1.0-mini.tgz -C ", shell_word(root_), " ", shell_word(folder))
                      : concat("for f in ", version_, "*_blobs.tgz; do tar -xzf $f -C ", shell_word(root_), " ",
                               shell_word(folder), "; done"));
    }
    check_all(exec_, options_, report_, "images and sweeps", static_cast<idx>(t.recordings.size()),
              [&](idx i, problems& out) {
                const auto& r = t.recordings[static_cast<std::size_t>(i)];
                const auto name = t.filename(r);
                if (absent.contains(std::filesystem::path(name).parent_path())) { return; }
                const auto problem = problem_of([&] { check_recording(set, r); });
                if (problem) { out.push_back({*problem, file_again(name)}); }
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
        read_lidar(path, options_.limit);
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
    const std::string archive =
        version_ == "v1.0-mini" ? "nuScenes-lidarseg-mini-v1.0.tar.bz2" : "nuScenes-lidarseg-all-v1.0.tar.bz2";
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
      });
      if (problem) {
        out.push_back({*problem, version_ == "v1.0-town"
                                     ? town_again()
                                     : concat("tar -xjf ", archive, " -C ", shell_word(root_), " ", shell_word(name))});
      }
    });
    report_.counts["lidarseg files"] += static_cast<idx>(t.lidarseg.size());
  }

  /// `path` of a sample's labels, `read` them, `again` the command.
  void check_label_set(const nuscenes_dataset& set, const std::string& name,
                       const std::function<std::filesystem::path(idx)>& path,
                       const std::function<void(const std::filesystem::path&)>& read,
                       const std::function<std::string(const std::filesystem::path&)>& again) {
    check_all(exec_, options_, report_, name, set.size(), [&](idx i, problems& out) {
      std::filesystem::path file;
      if (const auto problem = problem_of([&] { file = path(i); })) {
        out.push_back({*problem, tables_again()}); // a name that is no name
        return;
      }
      const auto repair = [&] {
        return version_ == "v1.0-town" ? town_again() : again(file.lexically_relative(root_));
      };
      if (size_of(file) < 0) {
        out.push_back({concat("the labels ", file.string(), " of sample ", set.token(i), " are missing"), repair()});
        return;
      }
      const auto problem = options_.decode ? problem_of([&] { read(file); }) : std::nullopt;
      if (problem) { out.push_back({*problem, repair()}); }
    });
    report_.counts[name] += set.size();
  }
  void check_labels(const nuscenes_dataset& set) {
    std::error_code ignored;
    const auto there = [&](const char* folder) { return std::filesystem::is_directory(root_ / folder, ignored); };
    const auto untar = [&](const std::filesystem::path& p) {
      return concat("tar -xzf gts.tar.gz -C ", shell_word(root_), " ", shell_word(p));
    };
    const auto unzip = [&](const char* archive) {
      return [this, archive](const std::filesystem::path& p) {
        return concat("unzip -o ", archive, " ", shell_word(p), " -d ", shell_word(root_));
      };
    };
    const auto by_scene = [&](const char* folder) {
      return [&set, at = root_ / folder](idx i) { return occ3d_path(at, set.scene(i), set.token(i)); };
    };
    if (there("gts")) {
      check_label_set(
          set, "labels of Occ3D", by_scene("gts"), [&](const auto& p) { read_occ3d(p, options_.limit); }, untar);
    }
    for (const char* folder : {"openocc_v2", "openocc_v2.1"}) {
      if (!there(folder)) { continue; }
      check_label_set(
          set, "labels of OpenOcc", by_scene(folder), [&](const auto& p) { read_open_occ(p, options_.limit); },
          unzip("openocc_v2.1.zip"));
    }
    if (there("dense_voxels_with_semantic")) {
      check_label_set(
          set, "labels of SurroundOcc",
          [&](idx i) { return surround_occ_path(root_ / "dense_voxels_with_semantic", set.lidar_filename(i)); },
          [&](const auto& p) { read_surround_occ(p, options_.limit); }, unzip("dense_voxels_with_semantic.zip"));
    }
    for (const char* folder : {"nuScenes-Occupancy-v0.1", "nuScenes-Occupancy"}) {
      if (!there(folder)) { continue; }
      check_label_set(
          set, "labels of nuScenes-Occupancy",
          [&](idx i) { return open_occupancy_path(root_ / folder, set.scene_token(i), set.lidar_token(i)); },
          [&](const auto& p) { read_open_occupancy(p, options_.limit); }, unzip("nuScenes-Occupancy-v0.1.zip"));
    }
  }

  std::filesystem::path root_;
  std::string version_;
  const check_options& options_;
  check_report& report_;
  cpu exec_;
  std::set<std::filesystem::path> seen_;
};

} // namespace sqs::detail

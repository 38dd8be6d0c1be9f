// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A data set in the layout of nuScenes: tables, then every file they name, then the labels that lie beside them.

#include <sqs/data/detail/check_can_bus.hpp>
#include <sqs/data/detail/check_labels.hpp>
#include <sqs/data/detail/check_lidarseg.hpp>
#include <sqs/data/detail/check_maps.hpp>
#include <sqs/data/detail/check_tables.hpp>

namespace sqs::detail {

class nuscenes_checker {
public:
  nuscenes_checker(std::filesystem::path root, std::string version, const check_options& options, check_report& report)
      : c_(std::move(root), std::move(version), options, report) {}

  void run() {
    auto& report = c_.report;
    report.layout = report.layout == "unknown" ? "nuScenes " + c_.version : report.layout + ", " + c_.version;
    const auto before = report.problem_count;
    const auto entries = report.counts.find("lidarseg");
    const idx others = entries == report.counts.end() ? 0 : entries->second; // of other versions
    nuscenes_table_checker(c_.root / c_.version, c_.again, c_.options, report).run();
    std::optional<nuscenes_dataset> set;
    const auto problem = problem_of([&] {
      set.emplace(c_.root, nuscenes_options{.version = c_.version,
                                            .most = c_.options.limit,
                                            .sweeps = nuscenes_sweeps::all,
                                            .threads = c_.options.threads == 1 ? 1 : 2});
    });
    if (problem) { // files cannot be told from broken tables
      if (report.problem_count == before) { report.add(*problem, c_.again.tables()); }
      return;
    }
    if (const auto at = report.counts.find("lidarseg"); at != report.counts.end()) {
      c_.lidarseg_entries = at->second - others;
    }
    check_links();
    check_recordings(*set);
    check_lidarseg(c_, *set);
    check_maps(c_, *set);
    check_can_bus(c_, *set);
    check_labels(c_, *set);
    check_splits(c_, *set);
    check_town_marker(c_, *set);
  }

private:
  using problems = std::vector<data_problem>;

  /// What is missing of a folder as a whole: the link at the top that it lies behind, or itself; empty if it is there.
  std::filesystem::path missing_part(const std::filesystem::path& folder) const {
    std::error_code ignored;
    const bool leaves = folder.is_absolute() || std::find(folder.begin(), folder.end(), "..") != folder.end();
    if (leaves || c_.has_folder(folder)) { return {}; } // the reader refuses its files
    const std::filesystem::path top = *folder.begin();
    const bool nowhere =
        std::filesystem::is_symlink(c_.root / top, ignored) && !std::filesystem::exists(c_.root / top, ignored);
    return nowhere ? top : folder;
  }

  /// Links at the top of the data set that lead nowhere: what lies behind them is not looked for below.
  void check_links() {
    for (const char* part : {"gts", "openocc_v2", "openocc_v2.1", "dense_voxels_with_semantic", "nuScenes-Occupancy",
                             "nuScenes-Occupancy-v0.1", "maps", "can_bus"}) {
      report_if_nowhere(c_.root / part);
    }
    report_if_nowhere(c_.root / c_.version / "lidarseg.json", c_.again.lidarseg(c_.version + "/lidarseg.json"));
  }
  void report_if_nowhere(const std::filesystem::path& link, std::string repair = {}) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (!fs::is_symlink(link, ignored) || fs::exists(link, ignored)) { return; }
    const auto target = link.parent_path() / fs::read_symlink(link, ignored);
    if (repair.empty()) {
      repair = concat("mkdir -p ", shell_word(target), " && dataset_check ", shell_word(c_.root),
                      "   # or mount the disk that it lies on");
    }
    c_.report.add(concat(link.string(), " is a link to ", target.string(), ", which is not there"), std::move(repair));
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
      if (const auto target = std::filesystem::read_symlink(c_.root / part, ignored); !ignored) {
        c_.report.add(concat((c_.root / part).string(), " is a link to ", target.string(),
                             ", which is not there; it is missing with its ", files, " files"),
                      c_.again.link(part, (c_.root / part).parent_path() / target));
      } else {
        c_.report.add(concat("the folder ", (c_.root / part).string(), " is missing with its ", files, " files"),
                      c_.again.folder(part));
      }
    }
    check_all(c_.exec, c_.options, c_.report, "images and sweeps", static_cast<idx>(t.recordings.size()),
              [&](idx i, problems& out) {
                const auto& r = t.recordings[static_cast<std::size_t>(i)];
                if (!missing.at(folder_of(r)).empty()) { return; }
                const auto problem = problem_of([&] { check_recording(set, r); });
                if (problem) { out.push_back({*problem, c_.again.file(t.filename(r))}); }
              });
    c_.report.counts["files of sensors"] += static_cast<idx>(t.recordings.size());
  }
  void check_recording(const nuscenes_dataset& set, const nuscenes_tables::recording& r) const {
    const auto path = set.path_of(r);
    const auto bytes = size_of(path);
    if (bytes < 0) { raise<file_error>("sqs::check: the file ", path.string(), " is missing"); }
    if (static_cast<std::uint64_t>(bytes) > sample_file_limits(c_.options.limit).file_bytes) {
      raise<file_error>("sqs::check: ", path.string(), " has ", bytes, " bytes, more than any such file");
    }
    const bool lidar = set.tables().sensor_of(r).slot == static_cast<int>(nuscenes_tables::lidar_slot);
    if (lidar) {
      if (c_.options.decode) {
        require_different_points(read_lidar(path, c_.options.limit), path);
      } else if (bytes == 0 || bytes % 20 != 0) {
        raise<file_error>("sqs::check: ", path.string(), " has ", bytes,
                          " bytes, no multiple of the 20 of a point; it is cut short");
      }
      return;
    }
    if (c_.options.decode) {
      const auto picture = read_jpeg(path, c_.options.limit);
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

  nuscenes_check c_;
};

} // namespace sqs::detail

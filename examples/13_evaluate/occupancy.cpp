// SPDX-License-Identifier: Apache-2.0
// IoU per class. Labels and predictions are files of the benchmark; where those list voxels as rows, a volume that
// numpy saved serves as well.
#include "evaluate.hpp"

#include <sqs/data/occupancy_files.hpp>
#include <sqs/data/semantic_kitti.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/metric/prediction_files.hpp>

#include <functional>

namespace evaluate {
namespace {

enum class side { truth, prediction };

/// What a protocol judges: which files, how they are read, what the classes are called.
struct kind {
  metric::occupancy_protocol protocol;
  const char* ending;
  std::span<const std::string_view> names;
  std::function<occupancy_labels(const fs::path&, side)> read;
};

/// A volume [X, Y, Z] of class numbers as numpy saves it. 255 is "not judged" in labels.
occupancy_labels volume_of(const stored_tensor& array, const std::string& name, const occupancy_grid& grid,
                           const metric::occupancy_protocol& p, side s) {
  if (array.shape != std::vector<std::int64_t>(grid.size.begin(), grid.size.end())) {
    raise<file_error>("sqs::evaluate: ", name, " is a volume of ", fmt::format("{}", fmt::join(array.shape, " x ")),
                      " voxels instead of ", fmt::format("{}", fmt::join(grid.size, " x ")), "; axes are x, y, z");
  }
  auto o = occupancy_labels::empty(grid, p.free);
  const auto values = integers_of(array, name);
  bool free = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool ignored = s == side::truth && values[i] == occupancy_labels::ignore;
    if ((values[i] < 0 || values[i] >= p.classes) && !ignored) {
      raise<file_error>("sqs::evaluate: ", name, ": voxel ", i, " has class ", values[i], ", outside 0 .. ",
                        p.classes - 1, " of ", p.name, "; free is ", p.free, " there");
    }
    free = free || values[i] == p.free;
    o.semantics[i] = static_cast<std::uint8_t>(values[i]);
  }
  if (!free) {
    raise<file_error>("sqs::evaluate: ", name, " has no free voxel (class ", p.free, " of ", p.name,
                      "); choose the protocol with the numbering of the file");
  }
  return o;
}

using row_decoder = occupancy_labels (*)(std::span<const std::byte>, const std::string&, const limits&);

/// A file of rows, or a volume.
occupancy_labels rows_or_volume(const fs::path& path, side s, row_decoder rows, const occupancy_grid& grid,
                                const metric::occupancy_protocol& p) {
  const auto file = read_file(path, limits{.file_bytes = std::uint64_t{256} << 20}); // as the readers of such files
  const auto array = decode_npy(file, path.string());
  return array.shape.size() == 3 ? volume_of(array, path.string(), grid, p, s) : rows(file, path.string(), {});
}

/// The numbers 0 .. 17 of the files, with 17 (free) as 0.
occupancy_labels free_is_0(occupancy_labels o) {
  if (o.free == 0) { return o; }
  std::array<std::uint8_t, 18> map{};
  for (std::size_t i = 0; i < 17; ++i) { map[i] = static_cast<std::uint8_t>(i); }
  return renumbered(std::move(o), map, 0);
}

occupancy_labels read_kitti(const fs::path& path, side s) {
  const auto invalid = fs::path(path).replace_extension(".invalid");
  if (s == side::truth && !fs::exists(invalid)) {
    raise<file_error>("sqs::evaluate: there is no ", invalid.string(), " beside ", path.filename().string(),
                      "; the protocol leaves out the voxels it names: unpack data_odometry_voxels.zip whole");
  }
  return read_semantic_kitti(path, s == side::truth ? invalid : fs::path());
}

std::map<std::string, kind> kinds() {
  const std::span<const std::string_view> names(occupancy_class_names);
  std::map<std::string, kind> all;
  all["occ3d"] = {metric::occ3d_protocol, ".npz", names, [](const fs::path& f, side) { return read_occ3d(f); }};
  all["open-occ"] = {metric::open_occ_protocol, ".npz", open_occ_class_names,
                     [](const fs::path& f, side) { return read_open_occ(f); }};
  all["surround-occ"] = {metric::surround_occ_protocol, ".npy", names, [](const fs::path& f, side s) {
                           return rows_or_volume(f, s, decode_surround_occ, surround_occ_grid,
                                                 metric::surround_occ_protocol);
                         }};
  all["surround-occ-dense"] = {metric::surround_occ_dense_protocol, ".npy", names, [](const fs::path& f, side s) {
                                 return free_is_0(rows_or_volume(f, s, decode_surround_occ, surround_occ_grid,
                                                                 metric::surround_occ_dense_protocol));
                               }};
  for (const auto& p : {metric::open_occupancy_protocol, metric::open_occupancy_sparse_occ_protocol,
                        metric::open_occupancy_one_device_protocol}) {
    all[std::string(p.name)] = {p, ".npy", names.first(17), [p](const fs::path& f, side s) {
                                  return rows_or_volume(f, s, decode_open_occupancy, open_occupancy_grid, p);
                                }};
  }
  all["semantic-kitti"] = {metric::semantic_kitti_protocol, ".label", semantic_kitti_class_names, read_kitti};
  return all;
}

} // namespace

std::vector<std::string> occupancy_protocols() {
  std::vector<std::string> names;
  for (const auto& [name, k] : kinds()) { names.push_back(name); }
  return names;
}

table occupancy(const options& o) {
  const kind k = kinds().at(o.protocol);
  const bool occ3d = o.protocol == "occ3d";
  const auto mask = !occ3d || o.mask == "none" ? metric::occupancy_mask::none
                    : o.mask == "lidar"        ? metric::occupancy_mask::lidar
                                               : metric::occupancy_mask::camera;
  gallery pictures(o);
  const auto files = paired_files(o, k.ending);
  auto bar = progress(o, "occupancy", files.size());
  cpu exec{.threads = o.threads};
  const auto truth_of = [&](const fs::path& f) { return k.read(fs::path(o.ground_truth) / f, side::truth); };
  const auto found_of = [&](const fs::path& f) {
    auto found = k.read(fs::path(o.prediction) / f, side::prediction);
    // Sparse files mark class 0 as ignored; predicted, it is a class like any other.
    if (!occ3d) {
      std::replace(found.semantics.begin(), found.semantics.end(), occupancy_labels::ignore, std::uint8_t{0});
    }
    return found;
  };
  auto counts = metric::make_counts(k.protocol);
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto frame = metric::make_counts(k.protocol);
    const auto truth = truth_of(files[i]);
    const auto found = found_of(files[i]).semantics;
    metric::require_known_classes(truth, found, mask, k.protocol.classes, (fs::path(o.prediction) / files[i]).string());
    metric::add_voxels(exec, frame, truth, found, mask);
    if (pictures.wanted()) { pictures.add(files[i].string(), metric::score_occupancy(frame, k.protocol).miou, i); }
    counts.merge(frame);
    bar.update(counts.samples, "");
  }
  const auto s = metric::score_occupancy(counts, k.protocol);
  table t{fmt::format("occupancy, {}{}, {} samples", o.protocol, occ3d ? ", mask " + o.mask : "", files.size()),
          {"IoU"},
          {}};
  for (int c = k.protocol.first; c <= k.protocol.last; ++c) {
    const auto i = static_cast<std::size_t>(c);
    t.rows.push_back({i < k.names.size() ? std::string(k.names[i]) : fmt::format("class {}", c), {s.iou[i]}});
  }
  t.rows.push_back({"mIoU", {s.miou}});
  t.rows.push_back({"occupied", {s.geometric_iou}});
  t.rows.push_back({"occupied, precision", {s.precision}});
  t.rows.push_back({"occupied, recall", {s.recall}});
  const legend colours = pictures.wanted() ? colours_of(truth_of(files[0])) : legend{};
  pictures.write(t, "mIoU", "Voxels that are not judged are left out of both.", colours, [&](std::size_t i) {
    return truth_beside_prediction(exec, truth_of(files[i]), found_of(files[i]), mask);
  });
  return t;
}

} // namespace evaluate

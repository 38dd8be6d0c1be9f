// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The label files of the occupancy data sets on nuScenes: Occ3D, OpenOcc v2, SurroundOcc, nuScenes-Occupancy. Files
/// and the arrays in them are read up to 256 MiB.
/// Semantic numbers are those of `occupancy_class_names`, but for OpenOcc's own (`open_occ_class_names`).

#include <sqs/data/detail/small_files.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>
#include <sqs/tensor/npz.hpp>
#include <sqs/tensor/stored_numbers.hpp>

#include <tuple>

namespace sqs {

namespace detail {
/// `name` as one step of a path: a table may hold anything.
inline const std::string& folder_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos) {
    raise<file_error>("sqs::occupancy_files: '", name, "' is no name of a folder; correct the table it comes from");
  }
  return name;
}
} // namespace detail

/// gts/SCENE/TOKEN/labels.npz: where Occ3D and OpenOcc keep the labels of a sample.
///
/// Errors      file_error for a scene or token that is no name of a folder; so the other two.
inline std::filesystem::path occ3d_path(const std::filesystem::path& gts, const std::string& scene,
                                        const std::string& token) {
  return gts / detail::folder_name(scene) / detail::folder_name(token) / "labels.npz";
}
/// FOLDER/NAME.pcd.bin.npy: where SurroundOcc keeps the labels of the sample with that LiDAR file.
inline std::filesystem::path surround_occ_path(const std::filesystem::path& folder, const std::string& lidar_filename) {
  return folder / (std::filesystem::path(lidar_filename).filename().string() + ".npy");
}
/// FOLDER/scene_TOKEN/occupancy/TOKEN.npy: where nuScenes-Occupancy keeps them, by the tokens of scene and LiDAR file.
inline std::filesystem::path open_occupancy_path(const std::filesystem::path& folder, const std::string& scene_token,
                                                 const std::string& lidar_token) {
  return folder / ("scene_" + detail::folder_name(scene_token)) / "occupancy" /
         (detail::folder_name(lidar_token) + ".npy");
}

namespace detail {

/// The array of that name, of the shape of the grid (and `channels` behind it, if there are any).
inline const stored_tensor& label_array(const std::map<std::string, stored_tensor>& arrays, const char* key,
                                        const occupancy_grid& g, int channels, const std::string& name) {
  const auto found = arrays.find(key);
  if (found == arrays.end()) {
    raise<file_error>("sqs::occupancy_files: ", name, " has no array '", key,
                      "'; it belongs to another data set, or its download was cut short");
  }
  std::vector<std::int64_t> shape(g.size.begin(), g.size.end());
  if (channels > 0) { shape.push_back(channels); }
  if (found->second.shape != shape) {
    raise<file_error>("sqs::occupancy_files: ", name, ": '", key, "' is ", shape_text(found->second.shape),
                      " instead of ", shape_text(shape), "; it belongs to another grid");
  }
  return found->second;
}

/// The values 0 .. `most` and `ignore` of an array.
inline std::vector<std::uint8_t> label_bytes(const stored_tensor& s, int most, const char* key,
                                             const std::string& name) {
  const auto values = integers_of(s, concat(name, ": '", key, "'"));
  std::vector<std::uint8_t> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto v = values[i];
    if (!(v >= 0 && v <= most) && !(most > 1 && v == occupancy_labels::ignore)) {
      raise<file_error>("sqs::occupancy_files: ", name, ": '", key, "' holds ", v, " as element ", i, ", outside 0 .. ",
                        most, "; it belongs to another data set or is damaged");
    }
    out[i] = static_cast<std::uint8_t>(v);
  }
  return out;
}

inline stored_tensor stored_bytes(const std::vector<std::uint8_t>& values, const occupancy_grid& g) {
  const auto bytes = bytes_of(values);
  return {"U8", {g.size[0], g.size[1], g.size[2]}, {bytes.begin(), bytes.end()}};
}

inline void check_labels(const occupancy_labels& o, const occupancy_grid& grid, int free, const char* format) {
  const auto count = static_cast<std::size_t>(grid.count());
  const auto fits = [&](std::size_t n) { return n == 0 || n == count; };
  expects(o.grid == grid && o.free == free && o.semantics.size() == count && fits(o.mask_lidar.size()) &&
              fits(o.mask_camera.size()) && fits(o.flow.size()),
          "sqs::occupancy_files: labels of ", o.grid.size[0], " x ", o.grid.size[1], " x ", o.grid.size[2],
          " voxels with ", o.semantics.size(), " classes and free = ", o.free, " cannot be written as ", format,
          ", which has ", grid.size[0], " x ", grid.size[1], " x ", grid.size[2], " and free = ", free,
          "; see renumbered");
}

inline void write_label_file(const std::filesystem::path& path, std::span<const std::byte> file) {
  std::error_code ignored; // the write says what is wrong
  std::filesystem::create_directories(path.parent_path(), ignored);
  write_file_atomic(path, file);
}

} // namespace detail

/// The same voxels under other class numbers: label c becomes map[c], `free` of the result must be map[free] of this.
/// Ignored voxels stay ignored.
///
/// Errors      precondition_error for a label that `map` does not have.
inline occupancy_labels renumbered(occupancy_labels o, std::span<const std::uint8_t> map, int free) {
  for (auto& v : o.semantics) {
    if (v == occupancy_labels::ignore) { continue; }
    expects(v < map.size(), "sqs::renumbered: label ", int{v}, " of a map of ", map.size(),
            "; give one entry per class");
    v = map[v];
  }
  o.free = free;
  return o;
}

/// Decodes a labels.npz of Occ3D: semantics 0 .. 17 (17 free), ego frame, 0.4 m, and the masks of LiDAR and cameras,
/// which predictions do not have.
///
/// Errors      file_error naming file and array: what `decode_npz` says, a missing array, another shape, a label
///             outside 0 .. 17 and 255.
/// Source      Occ3D-nuScenes; spec of VoxelSplat 1.3.
inline occupancy_labels decode_occ3d(std::span<const std::byte> file, const std::string& name,
                                     const limits& most = {}) {
  const auto arrays =
      decode_npz(file, name, detail::sample_file_limits(most), {"semantics", "mask_lidar", "mask_camera"});
  const auto read = [&](const char* key, int top) {
    return detail::label_bytes(detail::label_array(arrays, key, occ3d_grid, 0, name), top, key, name);
  };
  occupancy_labels o;
  o.grid = occ3d_grid;
  o.free = occupancy_free;
  o.semantics = read("semantics", occupancy_free);
  if (arrays.contains("mask_lidar")) { o.mask_lidar = read("mask_lidar", 1); }
  if (arrays.contains("mask_camera")) { o.mask_camera = read("mask_camera", 1); }
  return o;
}
inline occupancy_labels read_occ3d(const std::filesystem::path& path, const limits& most = {}) {
  return decode_occ3d(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}
/// A labels.npz as Occ3D has it; a mask that is absent is written as seen everywhere.
///
/// Errors      precondition_error for labels of another grid or numbering.
inline std::vector<std::byte> encode_occ3d(const occupancy_labels& o) {
  detail::check_labels(o, occ3d_grid, occupancy_free, "Occ3D");
  const std::vector<std::uint8_t> seen(o.semantics.size(), 1);
  return encode_npz({{"semantics", detail::stored_bytes(o.semantics, o.grid)},
                     {"mask_lidar", detail::stored_bytes(o.mask_lidar.empty() ? seen : o.mask_lidar, o.grid)},
                     {"mask_camera", detail::stored_bytes(o.mask_camera.empty() ? seen : o.mask_camera, o.grid)}});
}
inline void write_occ3d(const std::filesystem::path& path, const occupancy_labels& o) {
  detail::write_label_file(path, encode_occ3d(o));
}

/// Decodes a labels.npz of OpenOcc v2: semantics 0 .. 16 (16 free) in OpenOcc's own numbering, and flow: the velocity
/// over ground along x and y of the ego frame, m/s. What is not finite there (the velocity of a box seen once) is 0.
///
/// Errors      as `decode_occ3d`.
inline occupancy_labels decode_open_occ(std::span<const std::byte> file, const std::string& name,
                                        const limits& most = {}) {
  const auto arrays = decode_npz(file, name, detail::sample_file_limits(most), {"semantics", "flow"});
  occupancy_labels o;
  o.grid = occ3d_grid;
  o.free = open_occ_free;
  o.semantics =
      detail::label_bytes(detail::label_array(arrays, "semantics", o.grid, 0, name), open_occ_free, "semantics", name);
  const auto flow = floats_of(detail::label_array(arrays, "flow", o.grid, 2, name), name + ": 'flow'");
  o.flow.resize(flow.size() / 2);
  for (std::size_t i = 0; i < o.flow.size(); ++i) {
    const float x = flow[2 * i], y = flow[2 * i + 1];
    if (std::isfinite(x) && std::isfinite(y)) { o.flow[i] = {x, y}; }
  }
  return o;
}
inline occupancy_labels read_open_occ(const std::filesystem::path& path, const limits& most = {}) {
  return decode_open_occ(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}
/// A labels.npz as OpenOcc has it: flow as float16, zero where it is absent.
inline std::vector<std::byte> encode_open_occ(const occupancy_labels& o) {
  detail::check_labels(o, occ3d_grid, open_occ_free, "OpenOcc");
  std::vector<std::uint16_t> halves(2 * o.semantics.size(), 0);
  for (std::size_t i = 0; i < o.flow.size(); ++i) {
    halves[2 * i] = half_of_float(o.flow[i].x);
    halves[2 * i + 1] = half_of_float(o.flow[i].y);
  }
  const auto bytes = bytes_of(halves);
  return encode_npz({{"semantics", detail::stored_bytes(o.semantics, o.grid)},
                     {"flow", {"F16", {200, 200, 16, 2}, {bytes.begin(), bytes.end()}}}});
}
inline void write_open_occ(const std::filesystem::path& path, const occupancy_labels& o) {
  detail::write_label_file(path, encode_open_occ(o));
}

namespace detail {
/// Raises for a file that lists more rows than its grid has voxels: it would cost memory and say nothing.
inline void check_row_count(std::int64_t rows, const occupancy_grid& grid, const std::string& name) {
  if (rows > grid.count()) {
    raise<file_error>("sqs::occupancy_files: ", name, " has ", rows, " rows for the ", grid.count(),
                      " voxels of its grid; it is damaged or belongs to another data set");
  }
}
} // namespace detail

/// Decodes a file of SurroundOcc: rows (x, y, z, class) of the occupied voxels, LiDAR frame, 0.5 m. Class 0 (noise)
/// becomes `ignore`; voxels without a row are free (17). Of two rows for one voxel the later counts.
///
/// Errors      file_error naming file and row: no N x 4 array, an index outside the grid, a class outside 0 .. 16.
/// Source      SurroundOcc; spec of GaussianFormer 6.1.
inline occupancy_labels decode_surround_occ(std::span<const std::byte> file, const std::string& name,
                                            const limits& most = {}) {
  const auto array = decode_npy(file, name, most);
  if (array.shape.size() != 2 || array.shape[1] != 4) {
    raise<file_error>("sqs::occupancy_files: ", name, " is ", detail::shape_text(array.shape),
                      " instead of [N,4] (x, y, z, class); it belongs to another data set");
  }
  detail::check_row_count(array.shape[0], surround_occ_grid, name);
  const auto rows = integers_of(array, name);
  auto o = occupancy_labels::empty(surround_occ_grid, occupancy_free);
  for (std::size_t i = 0; i + 3 < rows.size(); i += 4) {
    const auto* r = rows.data() + i;
    for (std::size_t a = 0; a < 3; ++a) {
      if (r[a] < 0 || r[a] >= o.grid.size[a]) {
        raise<file_error>("sqs::occupancy_files: ", name, ": row ", i / 4, " is (", r[0], ", ", r[1], ", ", r[2], ", ",
                          r[3], "), outside 200 x 200 x 16; columns are x, y, z, class");
      }
    }
    if (r[3] < 0 || r[3] >= occupancy_free) {
      raise<file_error>("sqs::occupancy_files: ", name, ": row ", i / 4, " has class ", r[3], ", outside 0 .. 16");
    }
    const auto at = o.grid.index(static_cast<int>(r[0]), static_cast<int>(r[1]), static_cast<int>(r[2]));
    o.semantics[static_cast<std::size_t>(at)] = r[3] == 0 ? occupancy_labels::ignore : static_cast<std::uint8_t>(r[3]);
  }
  return o;
}
inline occupancy_labels read_surround_occ(const std::filesystem::path& path, const limits& most = {}) {
  return decode_surround_occ(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}
/// A file as SurroundOcc has it: int64 rows of the occupied voxels in the order of the grid; `ignore` as 0.
inline std::vector<std::byte> encode_surround_occ(const occupancy_labels& o) {
  detail::check_labels(o, surround_occ_grid, occupancy_free, "SurroundOcc");
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < o.semantics.size(); ++i) {
    const auto v = o.semantics[i];
    if (v == o.free) { continue; }
    const auto c = o.grid.cell(static_cast<idx>(i));
    rows.insert(rows.end(), {c[0], c[1], c[2], v == occupancy_labels::ignore ? 0 : v});
  }
  const auto bytes = bytes_of(rows);
  return encode_npy({"I64", {static_cast<std::int64_t>(rows.size() / 4), 4}, {bytes.begin(), bytes.end()}});
}
inline void write_surround_occ(const std::filesystem::path& path, const occupancy_labels& o) {
  detail::write_label_file(path, encode_surround_occ(o));
}

/// Decodes a file of nuScenes-Occupancy: rows (z, y, x, class), or with a velocity (z, y, x, vx, vy, vz, class), of the
/// occupied voxels, LiDAR frame, 0.2 m. A voxel with several rows gets the class most of them have, the smaller number
/// in a tie. Class 0 (noise) becomes `ignore`; voxels without a row are free (0 here).
///
/// Errors      file_error naming file and row: no N x 4 or N x 7 array, an index more than one voxel outside the grid
///             (one is moved inside, as the reference clips), a class outside 0 .. 16.
/// Source      OpenOccupancy v0.1; spec of SparseOcc 13.2.
inline occupancy_labels decode_open_occupancy(std::span<const std::byte> file, const std::string& name,
                                              const limits& most = {}) {
  const auto array = decode_npy(file, name, most);
  if (array.shape.size() != 2 || (array.shape[1] != 4 && array.shape[1] != 7)) {
    raise<file_error>("sqs::occupancy_files: ", name, " is ", detail::shape_text(array.shape),
                      " instead of [N,4] (z, y, x, class) or [N,7]; it belongs to another data set");
  }
  detail::check_row_count(array.shape[0], open_occupancy_grid, name);
  const auto columns = static_cast<std::size_t>(array.shape[1]);
  const auto values = floats_of(array, name); // below 2^24: exact
  auto o = occupancy_labels::empty(open_occupancy_grid, 0);
  struct vote {
    idx voxel;
    std::uint8_t label;
    std::uint32_t row;
  };
  std::vector<vote> votes;
  votes.reserve(values.size() / columns);
  for (std::size_t row = 0; row * columns < values.size(); ++row) {
    const float *r = values.data() + row * columns, label = r[columns - 1];
    std::array<int, 3> c{};
    for (std::size_t a = 0; a < 3; ++a) { // x, y, z of the grid are columns 2, 1, 0
      const float v = r[2 - a];
      if (!(v >= -1 && v <= static_cast<float>(o.grid.size[a])) || v != std::floor(v)) {
        raise<file_error>("sqs::occupancy_files: ", name, ": row ", row, " is (", r[0], ", ", r[1], ", ", r[2],
                          ", ...), outside 40 x 512 x 512; columns are z, y, x, class");
      }
      c[a] = std::clamp(static_cast<int>(v), 0, o.grid.size[a] - 1);
    }
    if (!(label >= 0 && label < static_cast<float>(occupancy_free)) || label != std::floor(label)) {
      raise<file_error>("sqs::occupancy_files: ", name, ": row ", row, " has class ", label, ", outside 0 .. 16");
    }
    votes.push_back(
        {o.grid.index(c[0], c[1], c[2]), static_cast<std::uint8_t>(label), static_cast<std::uint32_t>(row)});
  }
  if (columns == 7) { o.flow.assign(o.semantics.size(), {}); }
  std::sort(votes.begin(), votes.end(), [](const vote& a, const vote& b) {
    return std::tuple(a.voxel, a.label, a.row) < std::tuple(b.voxel, b.label, b.row);
  });
  for (std::size_t i = 0; i < votes.size();) {
    std::size_t best = i, best_count = 0, j = i;
    while (j < votes.size() && votes[j].voxel == votes[i].voxel) {
      std::size_t k = j;
      while (k < votes.size() && votes[k].voxel == votes[j].voxel && votes[k].label == votes[j].label) { ++k; }
      if (k - j > best_count) { best = j, best_count = k - j; }
      j = k;
    }
    const auto at = static_cast<std::size_t>(votes[i].voxel);
    o.semantics[at] = votes[best].label == 0 ? occupancy_labels::ignore : votes[best].label;
    if (columns == 7) {
      const float* r = values.data() + votes[best].row * columns;
      if (std::isfinite(r[3]) && std::isfinite(r[4])) { o.flow[at] = {r[3], r[4]}; }
    }
    i = j;
  }
  return o;
}
inline occupancy_labels read_open_occupancy(const std::filesystem::path& path, const limits& most = {}) {
  return decode_open_occupancy(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}
/// A file as nuScenes-Occupancy has it: int64 rows (z, y, x, class) in the order of the grid; `ignore` as 0.
inline std::vector<std::byte> encode_open_occupancy(const occupancy_labels& o) {
  detail::check_labels(o, open_occupancy_grid, 0, "nuScenes-Occupancy");
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < o.semantics.size(); ++i) {
    const auto v = o.semantics[i];
    if (v == 0) { continue; }
    const auto c = o.grid.cell(static_cast<idx>(i));
    rows.insert(rows.end(), {c[2], c[1], c[0], v == occupancy_labels::ignore ? 0 : v});
  }
  const auto bytes = bytes_of(rows);
  return encode_npy({"I64", {static_cast<std::int64_t>(rows.size() / 4), 4}, {bytes.begin(), bytes.end()}});
}
inline void write_open_occupancy(const std::filesystem::path& path, const occupancy_labels& o) {
  detail::write_label_file(path, encode_open_occupancy(o));
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// SemanticKITTI's scene completion benchmark in its own files: voxels, labels, calibration, poses, scans. Files are
/// read up to 256 MiB.

#include <sqs/core/file.hpp>
#include <sqs/data/detail/small_files.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>
#include <sqs/sensor/sample.hpp>

#include <charconv>

namespace sqs {

namespace detail {

struct semantic_kitti_pair {
  std::uint16_t raw;
  std::uint8_t learnt;
};
/// Raw number -> learnt number. Raw numbers that are not here are unknown to the benchmark.
inline constexpr semantic_kitti_pair semantic_kitti_map[] = {
    {0, 0},   {1, 0},   {10, 1},  {11, 2},  {13, 5},  {15, 3},  {16, 5},  {18, 4},  {20, 5},
    {30, 6},  {31, 7},  {32, 8},  {40, 9},  {44, 10}, {48, 11}, {49, 12}, {50, 13}, {51, 14},
    {52, 0},  {60, 9},  {70, 15}, {71, 16}, {72, 17}, {80, 18}, {81, 19}, {99, 0},  {252, 1},
    {253, 7}, {254, 6}, {255, 8}, {256, 5}, {257, 5}, {258, 4}, {259, 5}};

/// Learnt number -> the raw one that submissions carry.
inline constexpr std::array<std::uint16_t, 20> semantic_kitti_inverse{0,  10, 11, 15, 18, 20, 30, 31, 32, 40,
                                                                      44, 48, 49, 50, 51, 70, 71, 72, 80, 81};

constexpr int semantic_kitti_learnt(std::uint16_t raw) {
  for (const auto& p : semantic_kitti_map) {
    if (p.raw == raw) { return p.learnt; }
  }
  return -1;
}

} // namespace detail

/// The learnt class of a raw one: 0 for "nothing here" (raw 0), `ignore` for classes that are neither learnt nor judged
/// (outlier, other-structure, other-object), else 1 .. 19.
///
/// Errors      file_error for a raw number the benchmark does not have.
inline std::uint8_t semantic_kitti_class(std::uint16_t raw) {
  const int c = detail::semantic_kitti_learnt(raw);
  if (c < 0) {
    raise<file_error>("sqs::semantic_kitti_class: ", raw, " is no class of SemanticKITTI; the file is damaged");
  }
  return c == 0 && raw != 0 ? occupancy_labels::ignore : static_cast<std::uint8_t>(c);
}

/// Unpacks a .bin, .invalid or .occluded file: one bit a voxel, the first voxel of a byte in its highest bit.
///
/// Shapes      256 * 256 * 32 of 0 or 1, z fastest
/// Errors      file_error naming `name` for another size than 262144 bytes.
inline std::vector<std::uint8_t> decode_packed_voxels(std::span<const std::byte> file, const std::string& name) {
  const auto count = static_cast<std::size_t>(semantic_kitti_grid.count());
  if (file.size() * 8 != count) {
    raise<file_error>("sqs::semantic_kitti: ", name, " has ", file.size(), " bytes instead of ", count / 8,
                      "; it is cut short or no voxel file of 256 x 256 x 32");
  }
  std::vector<std::uint8_t> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(std::to_integer<unsigned>(file[i / 8]) >> (7 - i % 8) & 1u);
  }
  return out;
}
inline std::vector<std::uint8_t> read_packed_voxels(const std::filesystem::path& path, const limits& most = {}) {
  return decode_packed_voxels(read_file(path, detail::sample_file_limits(most)), path.string());
}
/// The bytes of such a file; voxels other than 0 are set.
inline std::vector<std::byte> encode_packed_voxels(std::span<const std::uint8_t> voxels) {
  expects(voxels.size() == static_cast<std::size_t>(semantic_kitti_grid.count()),
          "sqs::encode_packed_voxels: ", voxels.size(), " voxels; give 256 x 256 x 32");
  std::vector<std::byte> file(voxels.size() / 8);
  for (std::size_t i = 0; i < voxels.size(); ++i) {
    if (voxels[i] != 0) { file[i / 8] |= static_cast<std::byte>(1u << (7 - i % 8)); }
  }
  return file;
}
inline void write_packed_voxels(const std::filesystem::path& path, std::span<const std::uint8_t> voxels) {
  const auto file = encode_packed_voxels(voxels);
  write_file_atomic(path, std::span<const std::byte>(file));
}

/// Decodes a voxel .label file: one raw class a voxel, uint16; free is 0, velodyne frame, 0.2 m. Voxels set in
/// `invalid` (none or one a voxel) are ignored; occluded ones are not treated apart.
///
/// Errors      file_error naming `name` for another size than 4 MiB or an unknown class.
/// Source      semantic-kitti-api; spec of SparseOcc 13.1.
inline occupancy_labels decode_semantic_kitti(std::span<const std::byte> file, const std::string& name,
                                              std::span<const std::uint8_t> invalid = {}) {
  const auto count = static_cast<std::size_t>(semantic_kitti_grid.count());
  if (file.size() != 2 * count) {
    raise<file_error>("sqs::semantic_kitti: ", name, " has ", file.size(), " bytes instead of ", 2 * count,
                      "; it is cut short or no label file of 256 x 256 x 32 voxels");
  }
  expects(invalid.empty() || invalid.size() == count, "sqs::decode_semantic_kitti: ", invalid.size(),
          " flags of invalid voxels; give none or 256 x 256 x 32");
  byte_reader reader(file, name);
  const auto raw = reader.read_vector<std::uint16_t>(count, "labels");
  auto o = occupancy_labels::empty(semantic_kitti_grid, 0);
  std::array<std::int16_t, 260> learnt;
  for (std::size_t r = 0; r < learnt.size(); ++r) {
    const int c = detail::semantic_kitti_learnt(static_cast<std::uint16_t>(r));
    learnt[r] = static_cast<std::int16_t>(c == 0 && r != 0 ? occupancy_labels::ignore : c);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (raw[i] >= learnt.size() || learnt[raw[i]] < 0) {
      raise<file_error>("sqs::semantic_kitti: ", name, " at byte ", 2 * i, ": voxel ", i, " has class ", raw[i],
                        ", which SemanticKITTI does not have; the file is damaged");
    }
    o.semantics[i] =
        !invalid.empty() && invalid[i] != 0 ? occupancy_labels::ignore : static_cast<std::uint8_t>(learnt[raw[i]]);
  }
  return o;
}
/// `decode_semantic_kitti` of a file, with its .invalid file if one is given.
inline occupancy_labels read_semantic_kitti(const std::filesystem::path& path,
                                            const std::filesystem::path& invalid = {}, const limits& most = {}) {
  const auto flags = invalid.empty() ? std::vector<std::uint8_t>{} : read_packed_voxels(invalid, most);
  return decode_semantic_kitti(read_file(path, detail::sample_file_limits(most)), path.string(), flags);
}
/// The bytes of a .label file as a submission has it; `ignore` is written as 0.
///
/// Errors      precondition_error for labels of another grid or numbering.
inline std::vector<std::byte> encode_semantic_kitti(const occupancy_labels& o) {
  expects(o.grid == semantic_kitti_grid && o.free == 0 &&
              o.semantics.size() == static_cast<std::size_t>(semantic_kitti_grid.count()),
          "sqs::encode_semantic_kitti: labels of ", o.grid.size[0], " x ", o.grid.size[1], " x ", o.grid.size[2],
          " voxels with ", o.semantics.size(), " classes and free = ", o.free, "; give 256 x 256 x 32 and free = 0");
  std::vector<std::uint16_t> raw(o.semantics.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const auto c = o.semantics[i] == occupancy_labels::ignore ? std::uint8_t{0} : o.semantics[i];
    expects(c < detail::semantic_kitti_inverse.size(), "sqs::encode_semantic_kitti: voxel ", i, " has class ", int{c},
            "; classes are 0 .. 19");
    raw[i] = detail::semantic_kitti_inverse[c];
  }
  const auto bytes = bytes_of(raw);
  return {bytes.begin(), bytes.end()};
}
inline void write_semantic_kitti(const std::filesystem::path& path, const occupancy_labels& o) {
  const auto file = encode_semantic_kitti(o);
  write_file_atomic(path, std::span<const std::byte>(file));
}

/// calib.txt: projection of the rectified cameras, and where the scanner is. P * (T_cam0_velo x, 1) = (u z, v z, z).
struct semantic_kitti_calibration {
  std::array<std::array<double, 12>, 4> projection{}; ///< P0 .. P3, 3 x 4, row by row
  se3<double> T_cam0_velo;
};

namespace detail {

/// Exactly twelve finite numbers of a line.
inline std::array<double, 12> twelve_numbers(std::string_view line, const std::string& place) {
  std::array<double, 12> out{};
  std::size_t n = 0;
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) { break; }
    line.remove_prefix(begin);
    const auto word = line.substr(0, line.find_first_of(" \t\r"));
    double v = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), v);
    if (n == 12 || error != std::errc() || end != word.data() + word.size() || !std::isfinite(v)) {
      raise<file_error>("sqs::semantic_kitti: ", place, " holds '", word.substr(0, 40), "' as number ", n,
                        "; a matrix is 12 finite numbers");
    }
    out[n++] = v;
    line.remove_prefix(word.size());
  }
  if (n != 12) { raise<file_error>("sqs::semantic_kitti: ", place, " holds ", n, " numbers instead of 12"); }
  return out;
}
inline se3<double> rigid_of(const std::array<double, 12>& m, const std::string& place) {
  const se3<double> x{{{m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]}}, {m[3], m[7], m[11]}};
  const mat3<double> unit = x.rotation * transposed(x.rotation);
  for (int i = 0; i < 9; ++i) {
    if (!(std::abs(unit.a[i] - (i % 4 == 0 ? 1 : 0)) < 1e-3) || !(determinant(x.rotation) > 0)) {
      raise<file_error>("sqs::semantic_kitti: ", place, " is no rotation and translation; the file is damaged");
    }
  }
  return x;
}
/// Calls `each(number, line)` with every line that is not blank.
template <class F> void for_each_line(std::string_view text, F&& each) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) { each(number, line); }
  }
}

} // namespace detail

/// Decodes a calib.txt.
///
/// Errors      file_error naming `name` and line: a line that is not `KEY: 12 numbers`, a key twice, P0 .. P3 or Tr
///             missing, a Tr that is no rigid motion.
inline semantic_kitti_calibration decode_semantic_kitti_calibration(std::string_view text, const std::string& name) {
  constexpr std::array<std::string_view, 5> keys{"P0", "P1", "P2", "P3", "Tr"};
  semantic_kitti_calibration out;
  std::array<bool, 5> seen{};
  detail::for_each_line(text, [&](std::size_t number, std::string_view line) {
    const std::string place = concat(name, ", line ", number);
    const auto colon = line.find(':');
    const auto key = std::find(keys.begin(), keys.end(), line.substr(0, colon));
    if (colon == std::string_view::npos || key == keys.end()) {
      raise<file_error>("sqs::semantic_kitti: ", place, " begins with none of P0: P1: P2: P3: Tr:");
    }
    const auto k = static_cast<std::size_t>(key - keys.begin());
    if (std::exchange(seen[k], true)) {
      raise<file_error>("sqs::semantic_kitti: ", place, ": ", *key, " occurs twice");
    }
    const auto m = detail::twelve_numbers(line.substr(colon + 1), place);
    if (k < 4) {
      out.projection[k] = m;
    } else {
      out.T_cam0_velo = detail::rigid_of(m, place);
    }
  });
  for (std::size_t k = 0; k < keys.size(); ++k) {
    if (!seen[k]) { raise<file_error>("sqs::semantic_kitti: ", name, " has no line ", keys[k], ":"); }
  }
  return out;
}
inline semantic_kitti_calibration read_semantic_kitti_calibration(const std::filesystem::path& path,
                                                                  const limits& most = {}) {
  return decode_semantic_kitti_calibration(text_of(read_file(path, detail::sample_file_limits(most))), path.string());
}

/// Decodes a poses.txt: where camera 0 was at each scan, in the frame of the first.
///
/// Errors      file_error naming `name` and line.
inline std::vector<se3<double>> decode_semantic_kitti_poses(std::string_view text, const std::string& name) {
  std::vector<se3<double>> out;
  detail::for_each_line(text, [&](std::size_t number, std::string_view line) {
    const std::string place = concat(name, ", line ", number);
    out.push_back(detail::rigid_of(detail::twelve_numbers(line, place), place));
  });
  return out;
}
inline std::vector<se3<double>> read_semantic_kitti_poses(const std::filesystem::path& path, const limits& most = {}) {
  return decode_semantic_kitti_poses(text_of(read_file(path, detail::sample_file_limits(most))), path.string());
}

/// Decodes a scan: four float32 per point, x forward, y left, z up (metres) and intensity.
///
/// Errors      file_error naming `name`: no points, a size that is no multiple of 16, a value that is not finite.
inline lidar_sweep decode_velodyne(std::span<const std::byte> file, const std::string& name) {
  if (file.empty() || file.size() % 16 != 0) {
    raise<file_error>("sqs::decode_velodyne: ", name, " has ", file.size(),
                      " bytes, no multiple of the 16 bytes of a point (x, y, z, intensity as float32) above 0; it is "
                      "cut short or has other columns");
  }
  byte_reader reader(file, name);
  const auto values = reader.read_vector<float>(file.size() / 4, "points");
  lidar_sweep sweep;
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const float* v = values.data() + i;
    if (!(std::isfinite(v[0]) && std::isfinite(v[1]) && std::isfinite(v[2]) && std::isfinite(v[3]))) {
      raise<file_error>("sqs::decode_velodyne: ", name, " at byte ", 4 * i, ": point ", i / 4, " is (", v[0], ", ",
                        v[1], ", ", v[2], "), intensity ", v[3], "; it must be finite: the file is damaged");
    }
    sweep.points.push_back({v[0], v[1], v[2]});
    sweep.intensity.push_back(v[3]);
  }
  return sweep;
}
inline lidar_sweep read_velodyne(const std::filesystem::path& path, const limits& most = {}) {
  return decode_velodyne(read_file(path, detail::sample_file_limits(most)), path.string());
}

/// Where the files of one frame are.
struct semantic_kitti_frame {
  std::filesystem::path image_2, velodyne, voxels, invalid, occluded, label;
};
inline semantic_kitti_frame semantic_kitti_files(const std::filesystem::path& sequence, const std::string& frame) {
  const auto voxels = sequence / "voxels";
  return {
      sequence / "image_2" / (frame + ".png"), sequence / "velodyne" / (frame + ".bin"), voxels / (frame + ".bin"),
      voxels / (frame + ".invalid"),           voxels / (frame + ".occluded"),           voxels / (frame + ".label")};
}
/// The frames of a sequence that the benchmark uses: those with a voxels/NNNNNN.bin, in order.
///
/// Errors      file_error if there is none.
inline std::vector<std::string> semantic_kitti_frames(const std::filesystem::path& sequence) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& e : std::filesystem::directory_iterator(sequence / "voxels", error)) {
    if (e.path().extension() == ".bin") { out.push_back(e.path().stem().string()); }
  }
  std::sort(out.begin(), out.end());
  if (out.empty()) {
    raise<file_error>("sqs::semantic_kitti_frames: ", (sequence / "voxels").string(),
                      " holds no .bin file; give a folder as sequences/08 of the voxel data");
  }
  return out;
}

} // namespace sqs

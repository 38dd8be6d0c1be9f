// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// LiDAR sweeps as nuScenes stores them.

#include <sqs/core/file.hpp>
#include <sqs/data/detail/small_files.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/sample.hpp>

#include <algorithm>

namespace sqs {

/// Decodes a `.pcd.bin` file held in memory: five float32 per point, x, y, z (metres, sensor frame), intensity, ring.
///
/// Errors      file_error naming `name`: no points, a size that is no multiple of 20 bytes, a value that is not finite,
///             a ring outside 0 .. 65535 (the sign of a file with another number of columns).
inline lidar_sweep decode_lidar(std::span<const std::byte> file, const std::string& name) {
  constexpr std::size_t columns = 5;
  if (file.empty()) {
    raise<file_error>("sqs::decode_lidar: ", name, " holds no points; fetch it again or leave out its sample");
  }
  if (file.size() % (columns * sizeof(float)) != 0) {
    raise<file_error>("sqs::decode_lidar: ", name, " has ", file.size(),
                      " bytes, no multiple of the 20 bytes of a point (x, y, z, intensity, ring as float32); it is cut "
                      "short or has other columns");
  }
  byte_reader reader(file, name);
  const auto values = reader.read_vector<float>(file.size() / sizeof(float), "points");
  const std::size_t n = values.size() / columns;
  lidar_sweep sweep;
  sweep.points.reserve(n);
  sweep.intensity.reserve(n);
  sweep.ring.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float* v = values.data() + i * columns;
    const bool finite = std::isfinite(v[0]) && std::isfinite(v[1]) && std::isfinite(v[2]) && std::isfinite(v[3]);
    if (!finite || !(v[4] >= 0 && v[4] <= 65535)) {
      raise<file_error>("sqs::decode_lidar: ", name, " at byte ", i * columns * sizeof(float), ": point ", i, " is (",
                        v[0], ", ", v[1], ", ", v[2], "), intensity ", v[3], ", ring ", v[4],
                        "; it must be finite with a ring of 0 .. 65535: the file is damaged or has other columns");
    }
    sweep.points.push_back({v[0], v[1], v[2]});
    sweep.intensity.push_back(v[3]);
    sweep.ring.push_back(static_cast<int>(v[4]));
  }
  return sweep;
}
/// `decode_lidar` of a file, of 256 MiB at most.
inline lidar_sweep read_lidar(const std::filesystem::path& path, const limits& most = {}) {
  return decode_lidar(read_file(path, detail::sample_file_limits(most)), path.string());
}

/// One class number per point, as nuScenes-lidarseg stores them.
///
/// Errors      file_error unless the file holds exactly one byte for each of `points`, and only classes there are.
inline std::vector<std::uint8_t> decode_point_labels(std::span<const std::byte> file, std::size_t points,
                                                     const std::string& name) {
  if (file.size() != points) {
    raise<file_error>("sqs::decode_point_labels: ", name, " has ", file.size(), " bytes for the ", points,
                      " points of its sweep, one byte each; it is cut short or belongs to another sweep");
  }
  byte_reader reader(file, name);
  auto labels = reader.read_vector<std::uint8_t>(points, "labels");
  const auto bad = std::find_if(labels.begin(), labels.end(), [](auto c) { return c >= nuscenes_categories.size(); });
  if (bad != labels.end()) {
    raise<file_error>("sqs::decode_point_labels: ", name, " gives point ", bad - labels.begin(), " the class ",
                      int{*bad}, " of 0 .. ", nuscenes_categories.size() - 1,
                      "; the file is damaged or of another data set");
  }
  return labels;
}
/// `decode_point_labels` of a file.
inline std::vector<std::uint8_t> read_point_labels(const std::filesystem::path& path, std::size_t points,
                                                   const limits& most = {}) {
  return decode_point_labels(read_file(path, detail::sample_file_limits(most)), points, path.string());
}

/// The bytes of a `.pcd.bin` file; intensity and ring are 0 where the sweep has none.
inline std::vector<std::byte> encode_lidar(const lidar_sweep& s) {
  std::vector<float> values;
  values.reserve(s.points.size() * 5);
  for (std::size_t i = 0; i < s.points.size(); ++i) {
    const auto& p = s.points[i];
    values.insert(values.end(), {p.x, p.y, p.z, i < s.intensity.size() ? s.intensity[i] : 0.0f,
                                 i < s.ring.size() ? static_cast<float>(s.ring[i]) : 0.0f});
  }
  const auto bytes = bytes_of(values);
  return {bytes.begin(), bytes.end()};
}
/// Writes a `.pcd.bin` file atomically.
inline void write_lidar(const std::filesystem::path& path, const lidar_sweep& s) {
  const auto file = encode_lidar(s);
  write_file_atomic(path, std::span<const std::byte>(file));
}

} // namespace sqs

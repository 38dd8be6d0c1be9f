// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A volume of labelled voxels: what occupancy data sets store, networks predict and metrics compare.

#include <sqs/core/error.hpp>
#include <sqs/geometry/camera.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace sqs {

/// A box cut into equal voxels. Arrays over it are [X, Y, Z] with z fastest.
///
/// Units       metres; voxel (i, j, k) fills lower + (i, j, k) * voxel .. lower + (i+1, j+1, k+1) * voxel, half open
struct occupancy_grid {
  vec3<double> lower{}, voxel{};
  std::array<int, 3> size{};

  constexpr idx count() const { return idx{size[0]} * size[1] * size[2]; }
  constexpr idx index(int x, int y, int z) const { return (idx{x} * size[1] + y) * size[2] + z; }
  constexpr std::array<int, 3> cell(idx i) const {
    return {static_cast<int>(i / size[2] / size[1]), static_cast<int>(i / size[2] % size[1]),
            static_cast<int>(i % size[2])};
  }
  constexpr vec3<double> center(int x, int y, int z) const {
    return {lower.x + (x + 0.5) * voxel.x, lower.y + (y + 0.5) * voxel.y, lower.z + (z + 0.5) * voxel.z};
  }
  /// The voxel a point lies in, or -1 outside the box (or where a coordinate is not finite).
  idx index_of(const vec3<double>& p) const {
    const double at[] = {(p.x - lower.x) / voxel.x, (p.y - lower.y) / voxel.y, (p.z - lower.z) / voxel.z};
    for (std::size_t a = 0; a < 3; ++a) {
      if (!(at[a] >= 0 && at[a] < size[a])) { return -1; }
    }
    return index(static_cast<int>(at[0]), static_cast<int>(at[1]), static_cast<int>(at[2]));
  }
  friend bool operator==(const occupancy_grid& a, const occupancy_grid& b) {
    return a.size == b.size && a.lower.x == b.lower.x && a.lower.y == b.lower.y && a.lower.z == b.lower.z &&
           a.voxel.x == b.voxel.x && a.voxel.y == b.voxel.y && a.voxel.z == b.voxel.z;
  }
};

inline constexpr occupancy_grid occ3d_grid{{-40, -40, -1}, {0.4, 0.4, 0.4}, {200, 200, 16}};        ///< ego frame
inline constexpr occupancy_grid surround_occ_grid{{-50, -50, -5}, {0.5, 0.5, 0.5}, {200, 200, 16}}; ///< LiDAR frame
inline constexpr occupancy_grid open_occupancy_grid{{-51.2, -51.2, -5}, {0.2, 0.2, 0.2}, {512, 512, 40}}; ///< LiDAR
inline constexpr occupancy_grid semantic_kitti_grid{{0, -25.6, -2}, {0.2, 0.2, 0.2}, {256, 256, 32}};     ///< velodyne

/// Labels of every voxel of a grid. What a data set does not give stays empty.
///
/// Shapes      semantics, mask_lidar, mask_camera, flow: grid.count() or none
struct occupancy_labels {
  static constexpr std::uint8_t ignore = 255; ///< neither learnt nor judged

  occupancy_grid grid;
  int free = 17;                         ///< the class number that means "nothing here"
  std::vector<std::uint8_t> semantics;   ///< class number, or `ignore`
  std::vector<std::uint8_t> mask_lidar;  ///< 1: seen by the accumulated LiDAR
  std::vector<std::uint8_t> mask_camera; ///< 1: seen by a camera of this key frame
  std::vector<vec2<float>> flow;         ///< velocity over ground along the grid's x and y, m/s; 0 for what stands

  static occupancy_labels empty(const occupancy_grid& grid, int free) {
    occupancy_labels o;
    o.grid = grid;
    o.free = free;
    o.semantics.assign(static_cast<std::size_t>(grid.count()), static_cast<std::uint8_t>(free));
    return o;
  }
};

} // namespace sqs

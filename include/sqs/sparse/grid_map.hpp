// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// From a point's own coordinates to cells of a grid.

#include <sqs/sparse/voxelize.hpp>

namespace sqs::sparse {

/// position = scale point + shift, axis by axis. Positions are in cells; whole numbers are the middles of cells.
///
/// The identity suits points given in cells. Sites after a convolution of stride s, kernel 3 and pad 1 stand over every
/// s-th site before: scale 1 / s, no shift.
template <int D> struct grid_map {
  using cells = std::array<idx, static_cast<std::size_t>(D)>;
  std::array<double, static_cast<std::size_t>(D)> scale = ones(), shift = {};

  /// For points in the units of a box that was cut into voxels.
  template <class T> static grid_map of_box(const voxel_grid<T, D>& box) {
    grid_map m;
    for (std::size_t a = 0; a < m.scale.size(); ++a) {
      m.scale[a] = 1 / double(box.size[a]);
      m.shift[a] = -double(box.lower[a]) / double(box.size[a]) - 0.5;
    }
    return m;
  }
  /// For points from -1 to 1: the middles of the outermost of `grid`'s cells (aligned), or their outer faces.
  static grid_map of_unit_box(const cells& grid, bool align_corners) {
    grid_map m;
    for (std::size_t a = 0; a < m.scale.size(); ++a) {
      const double n = double(grid[a]);
      m.scale[a] = (align_corners ? n - 1 : n) / 2;
      m.shift[a] = (n - 1) / 2;
    }
    return m;
  }
  /// For cells of a grid of `from` cells that covers the same box as the one of `to` cells; aligned: the middles of the
  /// outermost cells fall together, otherwise their outer faces do.
  static grid_map of_cells(const cells& from, const cells& to, bool align_corners) {
    grid_map m;
    for (std::size_t a = 0; a < m.scale.size(); ++a) {
      const double f = double(from[a]), t = double(to[a]);
      m.scale[a] = align_corners ? (f > 1 ? (t - 1) / (f - 1) : 0) : t / f;
      m.shift[a] = align_corners ? 0 : t / f / 2 - 0.5;
    }
    return m;
  }

private:
  static constexpr std::array<double, static_cast<std::size_t>(D)> ones() {
    std::array<double, static_cast<std::size_t>(D)> a{};
    a.fill(1);
    return a;
  }
};

} // namespace sqs::sparse

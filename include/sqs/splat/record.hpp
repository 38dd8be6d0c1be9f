// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The data the stages of the rasterizer hand to each other: plain numbers, so that a stage can be used alone.

#include <sqs/sensor/rig.hpp>
#include <sqs/splat/config.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::splat {

/// One Gaussian in one image. Pixels; pixel centres lie at integer + 0.5.
///
/// With d = pixel centre - (x, y), alpha = 2^(log2_opacity - (lx (dx + k dy))^2 - (ly dy)^2). The form is the inverse 2D
/// covariance [[a, b], [b, c]] factored: lx^2 = a log2(e) / 2, k = b / a, ly^2 = (c - b^2 / a) log2(e) / 2. As a sum of
/// squares it cannot turn negative by rounding, and it keeps its digits for needles, where a c - b^2 would lose them.
template <class T> struct projected_gaussian {
  // In an order that lets the blend read four numbers of several Gaussians at a time.
  T x{}, y{}; ///< centre
  T lx{}, k{}, ly{};
  T log2_opacity{}; ///< after antialias compensation
  T shear{};        ///< b / c
  T depth{};        ///< camera-frame z of the centre, m
  T colour[3]{};    ///< the first three channels: columns of the colours, or spherical harmonics evaluated
  std::int32_t gaussian = 0;

  /// The inverse 2D covariance, 1/px^2.
  SQS_HD constexpr T a() const { return lx * lx * T(1.3862943611198906188); }
  SQS_HD constexpr T b() const { return k * a(); }
  SQS_HD constexpr T c() const { return ly * ly * T(1.3862943611198906188) + k * b(); }
};

/// The tiles a projected Gaussian may touch, half-open; empty when it is not drawn.
struct tile_box {
  std::uint16_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  SQS_HD constexpr bool visible() const { return x0 < x1; }
  SQS_HD constexpr idx tiles() const { return idx{x1 - x0} * (y1 - y0); }
};

/// What happened to the Gaussians of a call.
struct raster_counts {
  idx rejected = 0; ///< Gaussians with NaN or Inf in any parameter: drawn nowhere, gradient zero
  /// (view, Gaussian) pairs whose finite parameters overflowed the scalar type: not drawn. Only of pairs that are not
  /// already known to lie outside the image.
  idx degenerate = 0;
  idx visible = 0;       ///< (view, Gaussian) pairs drawn
  idx intersections = 0; ///< (tile, Gaussian) pairs
  idx undrawn = 0;       ///< of them, those there was no room for: on a device, see `raster_options::capacity`
};

/// Output of `project`: the Gaussians of view v, in order of their index, are records first[v] .. first[v+1]-1.
template <class T> struct projection {
  tensor<projected_gaussian<T>, 1> records; ///< [M]
  tensor<tile_box, 1> boxes;                ///< [M]
  tensor<T, 1> depths;                      ///< [M], those of the records side by side: what is sorted by
  std::array<idx, camera_rig<T>::capacity + 1> first{};
  raster_counts counts;

  idx count() const { return records.size(); }
};

/// Where the images, tiles and tile rows of each view lie among those of all views, one view after the other.
struct tile_grid {
  struct view {
    int width = 0, height = 0, tiles_x = 0, tiles_y = 0;
    idx first_pixel = 0, first_tile = 0, first_row = 0;
  };
  static constexpr int capacity = camera_rig<float>::capacity;
  std::array<view, capacity + 1> views{}; ///< one past the last holds the totals
  int count = 0;

  SQS_HD constexpr const view& operator[](idx v) const { return views[static_cast<std::size_t>(v)]; }
  SQS_HD constexpr idx pixels() const { return (*this)[count].first_pixel; }
  SQS_HD constexpr idx tiles() const { return (*this)[count].first_tile; }
  SQS_HD constexpr idx rows() const { return (*this)[count].first_row; }
  /// Of a row of tiles; for row `rows()` one past the last.
  SQS_HD constexpr idx first_tile(idx row) const {
    idx v = 0;
    while (v < count && row >= (*this)[v + 1].first_row) { ++v; }
    return (*this)[v].first_tile + (row - (*this)[v].first_row) * (*this)[v].tiles_x;
  }
};

/// The grid of a rig's images.
///
/// Errors      precondition_error for an empty rig and for images of more than 65535 tiles in one direction.
template <raster_config Config, class T> tile_grid make_tile_grid(const camera_rig<T>& rig) {
  constexpr int tile = raster_constants<Config, T>::tile;
  expects(rig.size() > 0, "sqs::splat::rasterizer: the camera rig has no view; add at least one camera");
  tile_grid g;
  g.count = rig.size();
  for (int v = 0; v < g.count; ++v) {
    auto& here = g.views[static_cast<std::size_t>(v)];
    auto& next = g.views[static_cast<std::size_t>(v) + 1];
    here.width = rig[v].camera.width, here.height = rig[v].camera.height;
    here.tiles_x = (here.width - 1) / tile + 1, here.tiles_y = (here.height - 1) / tile + 1;
    expects(here.tiles_x < 65536 && here.tiles_y < 65536, "sqs::splat::rasterizer: view ", v, " is ", here.height,
            " x ", here.width, " pixels; render it in parts of less than ", 65536 * tile, " pixels a side");
    next.first_pixel = here.first_pixel + idx{here.width} * here.height;
    next.first_tile = here.first_tile + idx{here.tiles_x} * here.tiles_y;
    next.first_row = here.first_row + here.tiles_y;
  }
  return g;
}

namespace detail {

/// Where tile `t` of all views stands.
struct tile_place {
  idx view;
  int x0, y0, width, height; ///< first pixel, and pixels of the tile inside the image
};
template <int Tile> SQS_HD constexpr tile_place place_of(const tile_grid& g, idx t) {
  idx v = 0;
  while (t >= g[v + 1].first_tile) { ++v; }
  const auto& view = g[v];
  const idx in_view = t - view.first_tile, tx = in_view % view.tiles_x, ty = in_view / view.tiles_x;
  const int x0 = static_cast<int>(tx) * Tile, y0 = static_cast<int>(ty) * Tile;
  return {v, x0, y0, std::min(Tile, view.width - x0), std::min(Tile, view.height - y0)};
}

} // namespace detail

/// Consecutive tile rows of the grid, possibly over several views: what is held in memory at once.
struct tile_band {
  idx begin = 0, end = 0;
};

/// The lists of the tiles of a band, one after the other.
struct tile_bins {
  idx first_tile = 0, last_tile = 0;
  tensor<idx, 1> begin;          ///< [tiles of the band + 1], where each tile's list begins in `order`
  tensor<std::int32_t, 1> order; ///< record of each entry; longer than the lists

  idx intersections() const { return begin.data()[last_tile - first_tile]; }
};

} // namespace sqs::splat

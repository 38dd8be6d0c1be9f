// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the rasterizer draws, and what a call may be told beside it.

#include <sqs/splat/record.hpp>

namespace sqs::splat {

/// G Gaussians after activation. Copying shares the tensors.
///
/// Shapes      means [G,3] m in ref; scales [G,3] m, one standard deviation per axis; rotations [G,4] (w,x,y,z) of any
///             length (normalised inside, with the gradient through it); opacities [G] in [0,1]; colours [G,columns],
///             see `raster_config::sh_degree`: without spherical harmonics one column per channel.
template <class T, class Space = host> struct scene {
  tensor<T, 2, Space> means, scales, rotations;
  tensor<T, 1, Space> opacities;
  tensor<T, 2, Space> colours;

  idx count() const { return means.extent(0); }
};

/// Which pixels and tiles are drawn; an empty tensor draws all. What is not drawn shows the background.
template <class Space> struct raster_mask_in {
  tensor<std::uint8_t, 1, Space> pixels; ///< [P] over the pixels of all views in order; 0: not drawn
  tensor<std::uint8_t, 1, Space>
      tiles; ///< [tiles] over the tiles of all views in order (see `tile_grid`); 0: not drawn
};
using raster_mask = raster_mask_in<host>;

/// What a call may be told. Tensors are handles: give some of the right shape and they are filled.
template <class T, class Space = host> struct raster_options {
  raster_mask_in<Space> mask{};
  /// Memory for tile lists and gradient slots. A call that needs more goes through the images in bands of tile rows:
  /// slower backward, same results to the last bit as long as the gradients that come in are finite.
  std::size_t band_bytes = std::size_t{4} << 30;
  tensor<T, 2, Space> radii{};            ///< [V,G] px: larger half extent of what was drawn, 0 if not; set by forward
  tensor<T, 3, Space> centre_gradients{}; ///< [V,G,2] dL/d(centre), 1/px; set by backward
  tensor<T, 3, Space>
      centre_absgradients{};       ///< [V,G,2] sum over pixels of |dL/d(centre)|; set by backward, needs Config.absgrad
  raster_counts* counts = nullptr; ///< set by forward; must outlive the call
};
/// How the way back of the blend goes on a device. The gradients agree up to rounding. Each takes every configuration and
/// no memory beyond the block's own.
enum class backward_order {
  automatic,   ///< what `cost_of_backward` says is cheaper
  by_pixel,    ///< a thread has a pixel: passes over what does not reach it, stops where it is finished
  by_gaussian, ///< a thread has a Gaussian: no sums over threads, but looks at all pixels of a tile
};
/// How the entries' sums of a Gaussian are added on a device.
enum class gradient_sums {
  ordered, ///< from memory of their own, in a fixed order: the same bits in every run
  atomic,  ///< as they come: less memory, another rounding in every run
};
/// The same for a call on a device, which waits for nothing: it counts there, and the caller reads when he wishes.
template <class T> struct raster_options<T, device> {
  raster_mask_in<device> mask{};
  /// Most (tile, Gaussian) intersections there is room for, 0: a million and four for each (view, Gaussian) pair. Those
  /// beyond are not drawn, but counted: see `raster_counts::undrawn`.
  idx capacity = 0;
  /// Goes through the images in so many bands of tile rows, each of which has the capacity for itself: more
  /// intersections in the same memory. Slower, same results to the last bit.
  int bands = 1;
  backward_order order = backward_order::automatic;
  /// How many blocks of 8 x 4 pixels of its tile an entry reaches on average, which decides the automatic order: what
  /// `measure_reach` says of a similar picture, or 0 for `usual_reach`.
  double reach = 0;
  gradient_sums sums = gradient_sums::ordered;
  tensor<T, 2, device> radii{}; ///< as above, like the others
  tensor<T, 3, device> centre_gradients{}, centre_absgradients{};
};

namespace detail {
template <class T, int R, class Space>
void check_option(const tensor<T, R, Space>& x, const extents<R>& expected, const char* name, const char* form) {
  if (!x || x.shape() == expected) { return; }
  const auto list = [](const extents<R>& e) {
    std::string s = concat("[", e[0]);
    for (std::size_t i = 1; i < e.size(); ++i) { s += concat(", ", e[i]); }
    return s + "]";
  };
  raise<precondition_error>("sqs::splat::rasterizer: option ", name, " is ", list(x.shape()), " but must be ",
                            list(expected), ", ", form, "; make it for this rig and these Gaussians");
}
} // namespace detail

/// Checks everything a call is given but the rig.
///
/// Errors      precondition_error naming the tensor, its shape and the expected one.
template <raster_config Config, class T, class Space>
void check_scene(const scene<T, Space>& s, const tile_grid& grid, const raster_options<T, Space>& o) {
  using k = raster_constants<Config, T>;
  const idx n = s.count();
  const auto matches = [n](const tensor<T, 2, Space>& x, const char* name, idx columns) {
    expects(x.extent(0) == n && x.extent(1) == columns, "sqs::splat::rasterizer: ", name, " is [", x.extent(0), ", ",
            x.extent(1), "] but must be [", n, ", ", columns, "] (one row per mean); check the head that makes it");
  };
  matches(s.means, "means", 3);
  matches(s.scales, "scales", 3);
  matches(s.rotations, "rotations", 4);
  matches(s.colours, "colours", k::columns);
  expects(s.opacities.extent(0) == n, "sqs::splat::rasterizer: opacities is [", s.opacities.extent(0),
          "] but must be [", n, "] (one per mean); reshape [G,1] to [G]");
  expects(n < (idx{1} << 29) && n * grid.count < (idx{1} << 31), "sqs::splat::rasterizer: ", n, " Gaussians in ",
          grid.count, " views; split the scene below 2^29 Gaussians and 2^31 pairs");
  detail::check_option(o.mask.pixels, {grid.pixels()}, "mask.pixels", "[pixels of all views]");
  detail::check_option(o.mask.tiles, {grid.tiles()}, "mask.tiles", "[tiles of all views]");
  detail::check_option(o.radii, {grid.count, n}, "radii", "[V,G]");
  detail::check_option(o.centre_gradients, {grid.count, n, 2}, "centre_gradients", "[V,G,2]");
  detail::check_option(o.centre_absgradients, {grid.count, n, 2}, "centre_absgradients", "[V,G,2]");
  expects(!o.centre_absgradients || k::absgrad, "sqs::splat::rasterizer: option centre_absgradients is given but the "
                                                "configuration sums none; set raster_config::absgrad");
}

/// Checks the shapes of cameras that are tensors.
///
/// Errors      precondition_error with both shapes.
template <class T, class Space>
void check_cameras(const camera_rig<T>& rig, const tensor<T, 2, Space>& poses, const tensor<T, 2, Space>& intrinsics) {
  expects(poses.extent(0) == rig.size() && poses.extent(1) == 12 && intrinsics.extent(0) == rig.size() &&
              intrinsics.extent(1) == 12,
          "sqs::splat::rasterizer: poses is [", poses.extent(0), ", ", poses.extent(1), "] and intrinsics [",
          intrinsics.extent(0), ", ", intrinsics.extent(1), "] but both must be [", rig.size(),
          ", 12]; see camera_poses and camera_intrinsics");
}

} // namespace sqs::splat

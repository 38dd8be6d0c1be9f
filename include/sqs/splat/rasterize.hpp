// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The differentiable rasterizer: project, bin and blend as one op.

#include <sqs/autodiff/result.hpp>
#include <sqs/splat/project_backward.hpp>

#include <tuple>

namespace sqs::splat {

/// T_cam_ref of every view as [V,12]: rotation row by row, then translation. What `rasterizer` differentiates.
template <class T> tensor<T, 2> camera_poses(cpu& e, const camera_rig<T>& rig) {
  auto out = empty<T, 2>(e, {rig.size(), 12});
  for (int v = 0; v < rig.size(); ++v) {
    const auto& pose = rig[v].T_cam_ref;
    std::copy_n(pose.rotation.a, 9, &out(v, 0));
    out(v, 9) = pose.translation.x, out(v, 10) = pose.translation.y, out(v, 11) = pose.translation.z;
  }
  return out;
}
/// fx fy cx cy and the eight distortion numbers of every view as [V,12].
template <class T> tensor<T, 2> camera_intrinsics(cpu& e, const camera_rig<T>& rig) {
  auto out = empty<T, 2>(e, {rig.size(), 12});
  for (int v = 0; v < rig.size(); ++v) {
    const auto& c = rig[v].camera;
    out(v, 0) = c.fx, out(v, 1) = c.fy, out(v, 2) = c.cx, out(v, 3) = c.cy;
    std::copy(c.distortion.begin(), c.distortion.end(), &out(v, 4));
  }
  return out;
}
/// A rig with the numbers of `camera_poses` and `camera_intrinsics`; sizes and models stay. Rotations are taken as they
/// are: an optimiser that moves all twelve numbers lets them drift, and `orthonormalized` brings them back.
///
/// Errors      precondition_error for other shapes, numbers that are not finite and cameras that cannot be.
template <class T>
camera_rig<T> with_cameras(const camera_rig<T>& rig, const tensor<T, 2>& poses, const tensor<T, 2>& intrinsics) {
  check_cameras(rig, poses, intrinsics);
  camera_rig<T> out = rig;
  for (int v = 0; v < rig.size(); ++v) {
    for (idx i = 0; i < 12; ++i) {
      expects(std::isfinite(poses(v, i)) && std::isfinite(intrinsics(v, i)), "sqs::splat::rasterizer: number ", i,
              " of view ", v, " is ", poses(v, i), " in poses and ", intrinsics(v, i),
              " in intrinsics; lower the step that moved it");
    }
    auto camera = rig[v].camera;
    camera.fx = intrinsics(v, 0), camera.fy = intrinsics(v, 1), camera.cx = intrinsics(v, 2),
    camera.cy = intrinsics(v, 3);
    std::copy_n(&intrinsics(v, 4), camera.distortion.size(), camera.distortion.begin());
    se3<T> pose;
    std::copy_n(&poses(v, 0), 9, pose.rotation.a);
    pose.translation = {poses(v, 9), poses(v, 10), poses(v, 11)};
    out.replace(v, camera, pose);
  }
  return out;
}

/// Bytes a call takes from the executor's pool. Reserve `forward + backward` in it and the first call, too, asks the
/// system for nothing.
struct raster_memory {
  std::size_t forward = 0, backward = 0;
};

/// Renders G Gaussians into V cameras.
///
/// Shapes      means [G,3] m in ref; scales [G,3] m; rotations [G,4] (w,x,y,z) of any length (1e-12 to
///             1e18 in float); opacities [G] in [0,1]; colours [G,columns], columns = C = Config.channels, with spherical harmonics 3 (degree+1)^2 + C - 3;
///             background [V,C]
///             -> image [V,H,W,C], depth [V,H,W] (accumulated: sum of weight times camera-frame z, m; other kinds and
///             several of them, [V,H,W,D]: see `depth_kinds`), transmittance [V,H,W] (what is left for the background).
///             With image_layout::jagged: [P,C], [P] or [P,D], [P]; P pixels of all views, one view after the other.
/// Cameras     pinhole, opencv, fisheye, orthographic in any mixture, fx < 0 after a flip, principal points anywhere.
/// Gradient    all six tensors; given poses and intrinsics as tensors (see `camera_poses`) these too. Exact except at
///             the cut: a footprint that grows adds pixels at alpha = alpha_cut, which no rasterizer of this kind
///             differentiates (`raster_config::cut_width` makes it smooth), and for the limits of the Jacobian's clamp,
///             which count as constants.
/// Execution   parallel over Gaussians, views and tiles; bitwise the same for any thread count, forward and backward.
///             Equal depths are drawn in order of index. All memory comes from the executor's pool.
/// Errors      precondition_error for shapes that do not match (naming the tensor), an empty rig, a
///             background that is not finite and, in the uniform layout, views of different sizes. Gaussians with NaN or Inf are drawn nowhere, have gradient zero and are
///             counted in `saved.counts`.
/// Cost        O(V G) to project, O(I) to bin I tile intersections; 20 + 2C (forward) and 45 + 6C (backward) flop per
///             (pixel, Gaussian) pair.
/// Source      Kerbl et al. 2023; the front-to-back backward pass with one number per pixel follows gsplat 1.6.
template <raster_config Config = raster_config{}> struct rasterizer {
  template <class T> using constants = raster_constants<Config, T>;
  static constexpr int depths = constants<float>::depths;
  static constexpr bool jagged = constants<float>::jagged;
  static constexpr int plane_rank = jagged ? 1 : 3;
  static constexpr int depth_rank = depths == 1 ? plane_rank : plane_rank + 1;

  /// What backward needs. `Cameras`: poses and intrinsics were tensors.
  template <class T, bool Cameras = false> struct saved {
    scene<T> gaussians;
    camera_rig<T> rig;
    tile_grid grid;
    projection<T> projected;
    depth_order order;     ///< only if the call goes in bands
    tile_bins bins;        ///< of the whole grid, unless the call goes in bands
    reached_cells reached; ///< the same
    blended<T> out;
    raster_counts counts;
    raster_options<T> options;
  };

  template <class T> auto forward(cpu& e, const tensor<T, 2>& means, const tensor<T, 2>& scales,
                                  const tensor<T, 2>& rotations, const tensor<T, 1>& opacities,
                                  const tensor<T, 2>& colours, const tensor<T, 2>& background, const camera_rig<T>& rig,
                                  const raster_options<T>& options = {}) const {
    return run<saved<T>>(e, {means, scales, rotations, opacities, colours}, background, rig, options);
  }
  /// As above, with the cameras' numbers from tensors; the rig gives sizes and models.
  template <class T> auto forward(cpu& e, const tensor<T, 2>& means, const tensor<T, 2>& scales,
                                  const tensor<T, 2>& rotations, const tensor<T, 1>& opacities,
                                  const tensor<T, 2>& colours, const tensor<T, 2>& background,
                                  const tensor<T, 2>& poses, const tensor<T, 2>& intrinsics, const camera_rig<T>& rig,
                                  const raster_options<T>& options = {}) const {
    return run<saved<T, true>>(e, {means, scales, rotations, opacities, colours}, background,
                               with_cameras(rig, poses, intrinsics), options);
  }

  template <class T, bool Cameras>
  auto backward(cpu& e, const saved<T, Cameras>& s, const tensor<T, plane_rank + 1>& d_image,
                const tensor<T, depth_rank>& d_depth, const tensor<T, plane_rank>& d_transmittance) const {
    using k = constants<T>;
    const idx pixels = s.grid.pixels();
    expects(d_image.size() == pixels * k::channels && d_depth.size() == pixels * k::depths &&
                d_transmittance.size() == pixels,
            "sqs::splat::rasterizer: the gradients of image, depth and transmittance have ", d_image.size(), ", ",
            d_depth.size(), " and ", d_transmittance.size(), " numbers but must have ", pixels * k::channels, ", ",
            pixels * k::depths, " and ", pixels, "; give them the shapes of the outputs");
    const image_gradients<T> d{d_image.template reshaped<2>({pixels, k::channels}),
                               d_depth.template reshaped<2>({pixels, k::depths}),
                               d_transmittance.template reshaped<1>({pixels})};
    auto sums = make_blend_gradients<Config>(e, s.projected, s.grid);
    const auto& colours = s.gaussians.colours;
    const auto one_band = [&](const tile_bins& bins, const reached_cells& reached) {
      blend_backward<Config>(e, s.projected, s.grid, bins, reached, colours, s.options.mask, s.out, d, sums);
    };
    if (s.order.record) {
      each_band(e, s.projected, s.grid, s.order, s.options.band_bytes, [&](const tile_bins& bins) {
        one_band(bins, find_reached<Config>(e, s.projected, s.grid, bins, colours, s.out));
      });
    } else {
      one_band(s.bins, s.reached);
    }
    auto g = project_backward<Config>(e, s.gaussians, s.rig, s.projected, sums, s.options);
    if constexpr (Cameras) {
      return std::tuple{std::move(g.means),     std::move(g.scales),    std::move(g.rotations),
                        std::move(g.opacities), std::move(g.colours),   std::move(sums.background),
                        std::move(g.poses),     std::move(g.intrinsics)};
    } else {
      return std::tuple{std::move(g.means),     std::move(g.scales),  std::move(g.rotations),
                        std::move(g.opacities), std::move(g.colours), std::move(sums.background)};
    }
  }

  /// Memory for M records (`counts.visible` and a few) and I intersections; see `raster_counts`. A row of tiles
  /// that alone needs more than `band_bytes` takes more. For one view, of the records of all Gaussians, which one thread
  /// takes; several take less.
  template <class T> static raster_memory query_bytes(const camera_rig<T>& rig, idx gaussians, idx records,
                                                      idx intersections,
                                                      std::size_t band_bytes = raster_options<T>{}.band_bytes) {
    using k = constants<T>;
    expects(gaussians >= 0 && records >= 0 && intersections >= 0, "sqs::splat::query_bytes: ", gaussians,
            " Gaussians, ", records, " records and ", intersections, " intersections; counts are not negative");
    const auto grid = make_tile_grid<Config>(rig);
    const auto bytes = [](idx count, std::size_t size) { return static_cast<std::size_t>(count) * size; };
    const std::size_t images = bytes(grid.pixels() * (k::channels + k::depths + 1), sizeof(T)) + bytes(grid.tiles(), 4);
    const idx room = grid.count == 1 ? std::max(gaussians, records) : records; // see `project`
    const std::size_t projected = bytes(room, sizeof(projected_gaussian<T>) + sizeof(tile_box) + sizeof(T));
    const std::size_t candidates = bytes(grid.count * (gaussians + gaussians / 32 + 2048), 4);
    const std::size_t sorted = bytes(records, 2 * sizeof(T) + 2 * 4 + sizeof(tile_box));
    const std::size_t lists = std::min(bytes(intersections, bytes_per_intersection<T>), band_bytes) +
                              bytes(grid.tiles(), 16) +
                              bytes(detail::counting_room(grid, grid.count, detail::most_strips), 4);
    // A group's sums, or those of the longest list, which holds no Gaussian twice.
    const idx summed = std::min(intersections, std::max(entries_of_group<Config, T>, std::min(gaussians, records)));
    const std::size_t slots =
        bytes(summed, 4 + moment_plan<Config>::row * sizeof(T)) + bytes(grid.tiles(), 5 + k::channels * sizeof(T));
    const std::size_t moments = bytes(records * moment_plan<Config>::row, sizeof(T));
    const idx chunks = gaussians / detail::backward_chunk(gaussians) + 1;
    const std::size_t gradients =
        bytes(gaussians * (11 + k::columns) + chunks * grid.count * detail::camera_sums<T>::count, sizeof(T));
    const std::size_t slack = std::size_t{1} << 16; // rounding of blocks, and per-view numbers
    return {images + projected + candidates + sorted + lists + slack, slots + moments + gradients + slack};
  }

private:
  /// Calls f(bins) for bands of tile rows that keep within the bytes, from the first row to the last.
  template <class T, class F> static void each_band(cpu& e, const projection<T>& p, const tile_grid& grid,
                                                    const depth_order& order, std::size_t band_bytes, F&& f) {
    const auto rows = intersections_per_row(e, p, grid);
    const idx most = std::max<idx>(1, static_cast<idx>(band_bytes / bytes_per_intersection<T>));
    for (idx begin = 0; begin < grid.rows();) {
      idx end = begin, sum = 0;
      do { sum += rows(end++); } while (end < grid.rows() && sum + rows(end) <= most);
      f(bin(e, p, grid, order, {begin, end}));
      begin = end;
    }
  }
  /// The list and the cells.
  template <class T> static constexpr std::size_t bytes_per_intersection =
      4 + 2 * detail::tile_shape<constants<T>, T>::words;

  template <class Saved, class T> static auto run(cpu& e, const scene<T>& gaussians, const tensor<T, 2>& background,
                                                  const camera_rig<T>& rig, const raster_options<T>& options) {
    using k = constants<T>;
    Saved s{gaussians, rig, make_tile_grid<Config>(rig), {}, {}, {}, {}, {}, {}, options};
    if constexpr (!jagged) {
      for (int v = 1; v < rig.size(); ++v) {
        const auto &c = rig[v].camera, &first = rig[0].camera;
        expects(c.width == first.width && c.height == first.height, "sqs::splat::rasterizer: view ", v, " is ",
                c.height, " x ", c.width, " pixels but view 0 is ", first.height, " x ", first.width,
                "; render views of different sizes with raster_config::layout = image_layout::jagged");
      }
    }
    check_scene<Config>(s.gaussians, s.grid, options);
    expects(background.extent(0) == rig.size() && background.extent(1) == k::channels,
            "sqs::splat::rasterizer: background is [", background.extent(0), ", ", background.extent(1),
            "] but must be [", rig.size(), ", ", k::channels,
            "] (one colour per view); check the rig and Config.channels");
    for (idx i = 0; i < background.size(); ++i) {
      expects(std::isfinite(background.data()[i]), "sqs::splat::rasterizer: background(", i / k::channels, ", ",
              i % k::channels, ") is ", background.data()[i], "; give finite colours, every pixel shows them");
    }
    s.projected = project<Config>(e, s.gaussians, rig, options.radii);
    s.counts = s.projected.counts;
    idx intersections = 0;
    for (const tile_box& b : s.projected.boxes) { intersections += b.tiles(); }
    s.counts.intersections = s.projected.counts.intersections = intersections;
    if (options.counts != nullptr) { *options.counts = s.counts; }
    s.out = make_blended<Config, T>(e, s.grid);
    auto order = sort_by_depth(e, s.projected, s.grid);
    const auto one_band = [&](const tile_bins& bins, reached_cells* reached) {
      blend<Config>(e, s.projected, s.grid, bins, s.gaussians.colours, background, options.mask, s.out, reached);
    };
    const bool in_bands = static_cast<std::size_t>(intersections) > options.band_bytes / bytes_per_intersection<T>;
    if (in_bands) {
      each_band(e, s.projected, s.grid, order, options.band_bytes,
                [&](const tile_bins& bins) { one_band(bins, nullptr); });
      s.order = std::move(order);
    } else {
      s.bins = bin(e, s.projected, s.grid, order, {0, s.grid.rows()});
      one_band(s.bins, &s.reached);
    }
    const idx v = rig.size(), h = rig[0].camera.height, w = rig[0].camera.width, pixels = s.grid.pixels();
    if constexpr (jagged) {
      auto depth = [&] {
        if constexpr (depth_rank == 1) {
          return s.out.depth.template reshaped<1>({pixels});
        } else {
          return s.out.depth;
        }
      }();
      auto value = std::tuple{s.out.image, std::move(depth), s.out.transmittance};
      return result{std::move(value), std::move(s)};
    } else {
      auto depth = [&] {
        if constexpr (depth_rank == 3) {
          return s.out.depth.template reshaped<3>({v, h, w});
        } else {
          return s.out.depth.template reshaped<4>({v, h, w, k::depths});
        }
      }();
      auto value = std::tuple{s.out.image.template reshaped<4>({v, h, w, k::channels}), std::move(depth),
                              s.out.transmittance.template reshaped<3>({v, h, w})};
      return result{std::move(value), std::move(s)};
    }
  }
};

} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The differentiable rasterizer on a device. Written for `device_executor`: with `cuda` it needs nvcc (splat.cuh), with
/// `emulator::gpu` the same lines run in tests without one.

#include <sqs/autodiff/result.hpp>
#include <sqs/splat/cuda/blend_passes.hpp>
#include <sqs/splat/cuda/project_backward_kernels.hpp>

#include <tuple>

namespace sqs::splat {

/// `rasterizer` on a device: the same images and gradients up to rounding, from tensors in device memory.
///
/// Shapes      as `rasterizer`, in device memory.
/// Gradient    as `rasterizer`, always of all six tensors and of the cameras' numbers.
/// Execution   In the order of the stream, nothing waits; all memory from the executor's pool, so that a forward and a
///             backward pass can be captured in a CUDA graph once the pool is warm. The same bits in every run,
///             unless `raster_options::sums` asks for atomics.
/// Errors      as `rasterizer`; the background is not looked at. What `raster_options::capacity` has no room for
///             is not drawn, and counted: see `read_counts(e, saved.lists.counts).undrawn`.
/// Cost        memory for V G pairs (about 120 bytes in float) and `capacity` intersections (28, backward 4 (9 + C) more).
/// Source      Exact tile coverage after Speedy-Splat's idea; two sorts, by depth and by tile, as in Faster-GS.
template <raster_config Config = raster_config{}> struct device_rasterizer {
  template <class T> using constants = raster_constants<Config, T>;
  static constexpr int depths = constants<float>::depths;
  static constexpr bool jagged = constants<float>::jagged;
  static constexpr int plane_rank = jagged ? 1 : 3;
  static constexpr int depth_rank = depths == 1 ? plane_rank : plane_rank + 1;

  /// What backward needs.
  template <class T> struct saved {
    scene<T, device> gaussians;
    camera_rig<T> rig;
    tile_grid grid;
    device_lists<T> lists;
    tensor<T, plane_rank + 1, device> image;
    tensor<T, depth_rank, device> depth;
    tensor<T, plane_rank, device> transmittance;
    raster_options<T, device> options;
    tensor<view_constants<T>, 1, device> views; ///< if poses and intrinsics were tensors
  };

  /// Image, depth, transmittance.
  template <class T> using value =
      std::tuple<tensor<T, plane_rank + 1, device>, tensor<T, depth_rank, device>, tensor<T, plane_rank, device>>;
  /// Of means, scales, rotations, opacities, colours, background, poses [V,12] and intrinsics [V,12].
  template <class T> using gradients =
      std::tuple<tensor<T, 2, device>, tensor<T, 2, device>, tensor<T, 2, device>, tensor<T, 1, device>,
                 tensor<T, 2, device>, tensor<T, 2, device>, tensor<T, 2, device>, tensor<T, 2, device>>;

  template <device_executor E, class T>
  result<value<T>, saved<T>> forward(E& e, const tensor<T, 2, device>& means, const tensor<T, 2, device>& scales,
                                     const tensor<T, 2, device>& rotations, const tensor<T, 1, device>& opacities,
                                     const tensor<T, 2, device>& colours, const tensor<T, 2, device>& background,
                                     const camera_rig<T>& rig, const raster_options<T, device>& options = {}) const;
  /// As above, with the cameras' numbers from tensors, [V,12] each as those of `camera_poses` and `camera_intrinsics`;
  /// the rig gives sizes and models. They are not looked at before they are used: with numbers that are not finite
  /// nothing is drawn.
  template <device_executor E, class T>
  result<value<T>, saved<T>> forward(E& e, const tensor<T, 2, device>& means, const tensor<T, 2, device>& scales,
                                     const tensor<T, 2, device>& rotations, const tensor<T, 1, device>& opacities,
                                     const tensor<T, 2, device>& colours, const tensor<T, 2, device>& background,
                                     const tensor<T, 2, device>& poses, const tensor<T, 2, device>& intrinsics,
                                     const camera_rig<T>& rig, const raster_options<T, device>& options = {}) const;

  /// Gradients of means, scales, rotations, opacities, colours, background, poses [V,12] and intrinsics [V,12].
  template <device_executor E, class T>
  gradients<T> backward(E& e, const saved<T>& s, const tensor<T, plane_rank + 1, device>& d_image,
                        const tensor<T, depth_rank, device>& d_depth,
                        const tensor<T, plane_rank, device>& d_transmittance) const;

  /// Most memory a forward and a backward pass take from the executor's pool together, for a capacity that is given.
  template <class T>
  static std::size_t query_bytes(const camera_rig<T>& rig, idx gaussians, const raster_options<T, device>& options) {
    using k = constants<T>;
    expects(gaussians >= 0 && options.capacity > 0, "sqs::splat::query_bytes: ", gaussians,
            " Gaussians and a capacity of ", options.capacity,
            "; counts are not negative, and the capacity must be given");
    const auto grid = make_tile_grid<Config>(rig);
    const idx pairs = gaussians * grid.count, entries = options.capacity, number = sizeof(T);
    constexpr idx width = moment_plan<Config>::count, record = sizeof(projected_gaussian<T>);
    const bool atomic = options.sums == gradient_sums::atomic;
    // Records, boxes, coverage, two keys and three numbers of 4 or 8 bytes; moments; of a band boxes and coverage.
    const idx of_pairs = pairs * (record + 16 + 2 * number + 8 + 8 + width * number + (options.bands > 1 ? 16 : 0));
    const idx of_entries = entries * (2 * 4 + 3 * 4 + 8 + (atomic ? 0 : width * number));
    const idx images =
        grid.pixels() * (k::channels + k::depths + 1) * number + grid.tiles() * (24 + k::channels * number);
    using back = detail::project_backward_kernel<Config, T>; // has sums of the cameras for every block
    const idx of_cameras = grid.count * detail::blocks(gaussians, back::threads) * back::camera_numbers;
    const idx gradients = (gaussians * (11 + k::columns + 1) + of_cameras) * number;
    const idx sorting = std::max(pairs * (number + 4), entries * 8) + (idx{1} << 22); // what the device's sort asks for
    return static_cast<std::size_t>(of_pairs + of_entries + images + gradients + sorting);
  }

private:
  template <raster_config> friend struct raster_stages; // which benchmarks/splat_cuda measures one by one

  template <class T> static saved<T> start(scene<T, device> gaussians, const camera_rig<T>& rig,
                                           const raster_options<T, device>& options) {
    saved<T> s;
    s.gaussians = std::move(gaussians), s.rig = rig, s.grid = make_tile_grid<Config>(rig), s.options = options;
    return s;
  }
  template <class E, class T>
  static result<value<T>, saved<T>> run(E& e, saved<T> s, const tensor<T, 2, device>& background);

  template <class T> static void check(const saved<T>& s, const tensor<T, 2, device>& background) {
    using k = constants<T>;
    if constexpr (!jagged) {
      const auto& first = s.rig[0].camera;
      for (int v = 1; v < s.rig.size(); ++v) {
        const auto& c = s.rig[v].camera;
        expects(c.width == first.width && c.height == first.height, "sqs::splat::device_rasterizer: view ", v, " is ",
                c.height, " x ", c.width, " pixels but view 0 is ", first.height, " x ", first.width,
                "; render views of different sizes with raster_config::layout = image_layout::jagged");
      }
    }
    check_scene<Config>(s.gaussians, s.grid, s.options);
    expects(background.extent(0) == s.rig.size() && background.extent(1) == k::channels,
            "sqs::splat::device_rasterizer: background is [", background.extent(0), ", ", background.extent(1),
            "] but must be [", s.rig.size(), ", ", k::channels, "] (one colour per view)");
    expects(s.options.capacity >= 0 && s.options.capacity < (idx{1} << 31),
            "sqs::splat::device_rasterizer: option capacity is ", s.options.capacity, "; give 0 to 2^31 - 1");
    expects(s.options.order == backward_order::automatic || s.options.order == backward_order::by_pixel ||
                s.options.order == backward_order::by_gaussian,
            "sqs::splat::device_rasterizer: option order is ", static_cast<int>(s.options.order),
            "; give automatic, by_pixel or by_gaussian");
    expects(s.options.reach >= 0, "sqs::splat::device_rasterizer: option reach is ", s.options.reach,
            "; give what measure_reach says, or 0 for the usual");
    expects(s.options.bands >= 1 && s.options.bands <= s.grid.rows(), "sqs::splat::device_rasterizer: option bands is ",
            s.options.bands, "; give 1 to ", s.grid.rows(), ", the rows of tiles of all views");
  }
  /// The shape of an output.
  template <int Rank, class T> static extents<Rank> plane(const saved<T>& s, idx last = 0) {
    const auto& c = s.rig[0].camera;
    if constexpr (jagged && Rank == 1) {
      return {s.grid.pixels()};
    } else if constexpr (jagged) {
      return {s.grid.pixels(), last};
    } else if constexpr (Rank == 3) {
      return {s.grid.count, c.height, c.width};
    } else {
      return {s.grid.count, c.height, c.width, last};
    }
  }
  template <class T> static detail::view_list<T> views_of(const saved<T>& s) {
    detail::view_list<T> list{{}, s.views.data()};
    if (!s.views) {
      const auto views = make_view_constants<Config>(s.rig);
      std::copy(views.begin(), views.end(), list.known);
    }
    return list;
  }
  template <class T> static detail::band_pointers<T> pointers_of(const saved<T>& s, const device_band<T>& band) {
    return detail::pointers_of(s.gaussians, s.grid, s.lists, band, s.options);
  }

  /// sums[v] = sum of the rows from first(v) to first(v + 1).
  template <class E, class T, class F>
  static void add_by_view(E& e, const tile_grid& grid, const T* rows, int columns, T* sums, F&& first) {
    detail::add_rows_kernel<T> kernel{rows, {}, columns, sums};
    for (int v = 0; v <= grid.count; ++v) { kernel.first[v] = first(v); }
    launch(e, grid.count, warp_size, kernel);
  }

  /// What the way back through the blend leaves.
  template <class T> struct blend_sums {
    tensor<T, 2, device> moments;    ///< of the pairs
    tensor<T, 2, device> background; ///< gradient
    tensor<idx, 1, device> infinite; ///< [1] tiles whose gradients were not finite
  };
  template <class E, class T>
  static blend_sums<T> blend_backward(E& e, const saved<T>& s, const detail::gradient_pointers<T>& d) {
    using k = constants<T>;
    const bool atomic = s.options.sums == gradient_sums::atomic, one_band = s.options.bands == 1;
    const idx pairs = s.gaussians.count() * s.grid.count;
    constexpr int width = moment_plan<Config>::count;
    auto moments = atomic || !one_band ? zeros<T, 2>(e, {pairs, width}) : empty<T, 2>(e, {pairs, width});
    auto slots = empty<T, 2>(e, {atomic ? 0 : s.lists.capacity, width});
    auto tile_background = empty<T, 2>(e, {s.grid.tiles(), k::channels});
    auto infinite_tiles = empty<std::int32_t, 1>(e, {s.grid.tiles()});
    const auto through = [&](const device_band<T>& band) {
      const detail::entry_sums<width, T> out{atomic ? moments.data() : slots.data(),
                                             atomic ? band.list.data() : band.entry.data(), atomic};
      detail::blend_band_backward<Config>(e, pointers_of(s, band), s.options, d, out,
                                          {tile_background.data(), infinite_tiles.data()});
      if (!atomic) {
        launch(e, detail::blocks(pairs * width, detail::pair_threads), detail::pair_threads,
               detail::add_entries_kernel<width, T>{s.lists.pairs.data(), band.boxes.data(), band.coverage.data(),
                                                    band.first.data(), pairs, s.lists.capacity, slots.data(),
                                                    moments.data(), !one_band});
      }
    };
    detail::each_kept_band<Config>(e, s, through);
    auto background = empty<T, 2>(e, {s.grid.count, k::channels});
    add_by_view(e, s.grid, tile_background.data(), k::channels, background.data(),
                [&](idx v) { return s.grid[v].first_tile; });
    auto infinite = empty<idx, 1>(e, {1});
    launch(e, 1, detail::pair_threads,
           detail::add_counts_kernel{{infinite_tiles.data()}, {s.grid.tiles()}, infinite.data()});
    return {std::move(moments), std::move(background), std::move(infinite)};
  }

  template <class E, class T> static gradients<T> project_backward(E& e, const saved<T>& s, const T* moments,
                                                                   const idx* infinite,
                                                                   tensor<T, 2, device> background) {
    using k = constants<T>;
    using kernel = detail::project_backward_kernel<Config, T>;
    const idx g = s.gaussians.count(), gaussian_blocks = detail::blocks(g, kernel::threads);
    auto means = empty<T, 2>(e, {g, 3}), scales = empty<T, 2>(e, {g, 3}), rotations = empty<T, 2>(e, {g, 4});
    auto opacities = empty<T, 1>(e, {g});
    auto colours = zeros<T, 2>(e, {g, k::columns});
    auto of_blocks = empty<T, 3>(e, {s.grid.count, gaussian_blocks, kernel::camera_numbers});
    auto centres = s.options.centre_gradients, absolutes = s.options.centre_absgradients;
    const kernel project{detail::pointers_of(s.gaussians),
                         views_of(s),
                         s.grid.count,
                         s.lists.boxes.data(),
                         moments,
                         infinite,
                         {means.data(), scales.data(), rotations.data(), opacities.data(), colours.data(),
                          centres.data(), absolutes.data()},
                         of_blocks.data()};
    launch(e, gaussian_blocks, kernel::threads, project);
    auto cameras = empty<T, 2>(e, {s.grid.count, kernel::camera_numbers});
    add_by_view(e, s.grid, of_blocks.data(), kernel::camera_numbers, cameras.data(),
                [&](idx v) { return v * gaussian_blocks; });
    auto poses = empty<T, 2>(e, {s.grid.count, 12}), intrinsics = empty<T, 2>(e, {s.grid.count, 12});
    launch(e, s.grid.count, warp_size, detail::split_camera_kernel<T>{cameras.data(), poses.data(), intrinsics.data()});
    return {std::move(means),   std::move(scales),     std::move(rotations), std::move(opacities),
            std::move(colours), std::move(background), std::move(poses),     std::move(intrinsics)};
  }
};

// Outside the class: inline functions would be compiled by everyone who calls them, also by a host compiler.
template <raster_config Config> template <device_executor E, class T>
auto device_rasterizer<Config>::forward(E& e, const tensor<T, 2, device>& means, const tensor<T, 2, device>& scales,
                                        const tensor<T, 2, device>& rotations, const tensor<T, 1, device>& opacities,
                                        const tensor<T, 2, device>& colours, const tensor<T, 2, device>& background,
                                        const camera_rig<T>& rig, const raster_options<T, device>& options) const
    -> result<value<T>, saved<T>> {
  return run(e, start(scene<T, device>{means, scales, rotations, opacities, colours}, rig, options), background);
}

template <raster_config Config> template <device_executor E, class T>
auto device_rasterizer<Config>::forward(E& e, const tensor<T, 2, device>& means, const tensor<T, 2, device>& scales,
                                        const tensor<T, 2, device>& rotations, const tensor<T, 1, device>& opacities,
                                        const tensor<T, 2, device>& colours, const tensor<T, 2, device>& background,
                                        const tensor<T, 2, device>& poses, const tensor<T, 2, device>& intrinsics,
                                        const camera_rig<T>& rig, const raster_options<T, device>& options) const
    -> result<value<T>, saved<T>> {
  check_cameras(rig, poses, intrinsics);
  auto s = start(scene<T, device>{means, scales, rotations, opacities, colours}, rig, options);
  s.views = empty<view_constants<T>, 1>(e, {rig.size()});
  detail::make_views_kernel<Config, T> kernel{{}, poses.data(), intrinsics.data(), s.views.data()};
  std::copy(rig.begin(), rig.end(), kernel.views);
  launch(e, rig.size(), warp_size, kernel);
  return run(e, std::move(s), background);
}

template <raster_config Config> template <class E, class T>
auto device_rasterizer<Config>::run(E& e, saved<T> s, const tensor<T, 2, device>& background)
    -> result<value<T>, saved<T>> {
  using k = constants<T>;
  const detail::raster_memory_user asking(e, "sqs::splat::device_rasterizer (forward)");
  const auto& options = s.options;
  check(s, background);
  s.lists = detail::make_pairs<Config>(e, s.gaussians, s.grid, views_of(s), options);
  s.image = empty<T, plane_rank + 1>(e, plane<plane_rank + 1>(s, k::channels));
  if constexpr (depths == 1) {
    s.depth = empty<T, depth_rank>(e, plane<depth_rank>(s));
  } else {
    s.depth = empty<T, depth_rank>(e, plane<depth_rank>(s, k::depths));
  }
  s.transmittance = empty<T, plane_rank>(e, plane<plane_rank>(s));
  detail::each_band<Config>(e, s.lists, s.grid, options.bands, s.lists.counts.data(), [&](device_band<T> band) {
    detail::blend_band<Config>(e, pointers_of(s, band), background.data(), s.image.data(), s.depth.data(),
                               s.transmittance.data());
    if (options.bands == 1) { s.lists.all = std::move(band); }
  });
  value<T> outputs{s.image, s.depth, s.transmittance};
  return {std::move(outputs), std::move(s)};
}

template <raster_config Config> template <device_executor E, class T>
auto device_rasterizer<Config>::backward(E& e, const saved<T>& s, const tensor<T, plane_rank + 1, device>& d_image,
                                         const tensor<T, depth_rank, device>& d_depth,
                                         const tensor<T, plane_rank, device>& d_transmittance) const -> gradients<T> {
  expects(d_image.shape() == s.image.shape() && d_depth.shape() == s.depth.shape() &&
              d_transmittance.shape() == s.transmittance.shape(),
          "sqs::splat::device_rasterizer: the gradients of image, depth and transmittance have ", d_image.size(), ", ",
          d_depth.size(), " and ", d_transmittance.size(), " numbers but must have ", s.image.size(), ", ",
          s.depth.size(), " and ", s.transmittance.size(), "; give them the shapes of the outputs");
  const detail::raster_memory_user asking(e, "sqs::splat::device_rasterizer (backward)");
  const detail::gradient_pointers<T> d{d_image.data(), d_depth.data(), d_transmittance.data(),
                                       s.image.data(), s.depth.data(), s.transmittance.data()};
  auto sums = blend_backward(e, s, d);
  return project_backward(e, s, sums.moments.data(), sums.infinite.data(), std::move(sums.background));
}

} // namespace sqs::splat

/// Names the instantiation for `Config` and T on CUDA: after `template`, in a .cu file, it compiles it; after `extern
/// template`, in a header, it lets host code call it.
#define SQS_SPLAT_ON_CUDA(Prefix, Config, T)                                                                           \
  Prefix ::sqs::result<::sqs::splat::device_rasterizer<Config>::value<T>,                                              \
                       ::sqs::splat::device_rasterizer<Config>::saved<T>>                                              \
  sqs::splat::device_rasterizer<Config>::forward<::sqs::cuda, T>(                                                      \
      ::sqs::cuda&, const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 2, ::sqs::device>&,              \
      const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 1, ::sqs::device>&,                            \
      const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 2, ::sqs::device>&,                            \
      const ::sqs::camera_rig<T>&, const ::sqs::splat::raster_options<T, ::sqs::device>&) const;                       \
  Prefix ::sqs::result<::sqs::splat::device_rasterizer<Config>::value<T>,                                              \
                       ::sqs::splat::device_rasterizer<Config>::saved<T>>                                              \
  sqs::splat::device_rasterizer<Config>::forward<::sqs::cuda, T>(                                                      \
      ::sqs::cuda&, const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 2, ::sqs::device>&,              \
      const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 1, ::sqs::device>&,                            \
      const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 2, ::sqs::device>&,                            \
      const ::sqs::tensor<T, 2, ::sqs::device>&, const ::sqs::tensor<T, 2, ::sqs::device>&,                            \
      const ::sqs::camera_rig<T>&, const ::sqs::splat::raster_options<T, ::sqs::device>&) const;                       \
  Prefix ::sqs::splat::device_rasterizer<Config>::gradients<T>                                                         \
  sqs::splat::device_rasterizer<Config>::backward<::sqs::cuda, T>(                                                     \
      ::sqs::cuda&, const ::sqs::splat::device_rasterizer<Config>::saved<T>&,                                          \
      const ::sqs::tensor<T, ::sqs::splat::device_rasterizer<Config>::plane_rank + 1, ::sqs::device>&,                 \
      const ::sqs::tensor<T, ::sqs::splat::device_rasterizer<Config>::depth_rank, ::sqs::device>&,                     \
      const ::sqs::tensor<T, ::sqs::splat::device_rasterizer<Config>::plane_rank, ::sqs::device>&) const

namespace sqs::splat {
/// Configurations that the compiled target sqs::cuda_instances holds, in float.
inline constexpr raster_config harmonics_3{.sh_degree = 3};
} // namespace sqs::splat
#if defined(SQS_USE_CUDA_INSTANCES)
SQS_SPLAT_ON_CUDA(extern template, sqs::splat::raster_config{}, float);
SQS_SPLAT_ON_CUDA(extern template, sqs::splat::harmonics_3, float);
#endif

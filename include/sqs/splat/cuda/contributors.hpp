// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// `top_contributors` on a device.

#include <sqs/splat/cuda/rasterize.hpp>

namespace sqs::splat {

/// Output of `top_contributors` on a device: as `contributors`.
template <class T> struct device_contributors {
  tensor<std::int32_t, 2, device> ids; ///< [P,K]
  tensor<T, 2, device> weights;        ///< [P,K]
};

namespace detail {

/// The heaviest Gaussians of every pixel: the blend without its colours.
template <class K, int Count, class T> struct contributors_kernel {
  static constexpr const char* name = "sqs::splat::top_contributors";
  using place = thread_pixel<K::tile>;
  static constexpr int most_threads = place::threads;
  tile_grid grid;
  list_pointers<T> lists;
  mask_pointers masks;
  std::int32_t* ids;
  T* weights;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx tile = lists.tile(t);
    const tile_place at = place_of<K::tile>(grid, tile);
    const place here(at, grid, t.thread());
    pixel_state<K, T> pixel;
    const bool drawn = here.pixel >= 0 && (masks.pixels == nullptr || masks.pixels[here.pixel] != 0);
    pixel.t = drawn ? T(1) : T(0);
    T weight[Count]{};
    std::int32_t gaussian[Count];
    for (int i = 0; i < Count; ++i) { gaussian[i] = -1; }
    const idx begin = lists.begin[tile],
              end = masks.tiles != nullptr && masks.tiles[tile] == 0 ? begin : lists.begin[tile + 1];
    walk_list(t, lists, begin, end, here, pixel, [&](const projected_gaussian<T>& r) {
      const T alpha = alpha_of<K>(r, T(here.x) + T(0.5) - r.x, T(here.y) + T(0.5) - r.y);
      if (alpha > T(0)) { insert(blend_one<K>(pixel, alpha), r.gaussian, weight, gaussian); }
    });
    for (int i = 0; here.pixel >= 0 && i < Count; ++i) {
      ids[here.pixel * Count + i] = gaussian[i], weights[here.pixel * Count + i] = weight[i];
    }
  }

private:
  /// The largest first, of equal ones the lowest index. Every step is at a constant place: all stays in registers.
  SQS_DEVICE static void insert(T w, std::int32_t g, T (&weight)[Count], std::int32_t (&gaussian)[Count]) {
    if (!(w > T(0))) { return; }
    SQS_UNROLL
    for (int i = 0; i < Count; ++i) {
      if (weight[i] < w || (weight[i] == w && g < gaussian[i])) {
        const T other_w = weight[i];
        const std::int32_t other_g = gaussian[i];
        weight[i] = w, gaussian[i] = g, w = other_w, g = other_g;
      }
    }
  }
};

} // namespace detail

/// The K Gaussians with the largest blending weights in every pixel of a picture; see `top_contributors`.
///
/// Shapes      saved of `device_rasterizer<Config>::forward` -> ids and weights [P,K] in device memory.
/// Gradient    none.
/// Execution   in the order of the stream; the weights are those of the image. A call in bands is binned again.
template <raster_config Config, int K, device_executor E, class Saved> auto top_contributors(E& e, const Saved& s) {
  using T = std::remove_cvref_t<decltype(*s.transmittance.data())>;
  static_assert(K >= 1, "sqs::splat::top_contributors: K must be at least 1");
  static_assert(std::is_same_v<Saved, typename device_rasterizer<Config>::template saved<T>>,
                "sqs::splat::top_contributors: `saved` must come from device_rasterizer<Config>::forward with the same "
                "Config");
  using kernel = detail::contributors_kernel<raster_constants<Config, T>, K, T>;
  const detail::raster_memory_user asking(e, "sqs::splat::top_contributors");
  device_contributors<T> out{empty<std::int32_t, 2>(e, {s.grid.pixels(), K}), empty<T, 2>(e, {s.grid.pixels(), K})};
  detail::each_kept_band<Config>(e, s, [&](const device_band<T>& band) {
    const auto b = detail::pointers_of(s.gaussians, s.grid, s.lists, band, s.options);
    launch(e, b.tiles, kernel::place::threads, kernel{b.grid, b.lists, b.masks, out.ids.data(), out.weights.data()});
  });
  return out;
}

} // namespace sqs::splat

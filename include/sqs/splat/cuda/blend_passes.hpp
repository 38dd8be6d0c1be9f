// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The blend of a band on a device and its way back, whichever of the two: all passes over its lists.

#include <sqs/splat/cuda/backward_cost.hpp>
#include <sqs/splat/cuda/lists.hpp>

namespace sqs::splat::detail {

/// What the passes over a band share.
template <class T> struct band_pointers {
  const tile_grid& grid;
  idx tiles;
  list_pointers<T> lists;
  mask_pointers masks;
  const T* colours;
};
template <class T> band_pointers<T> pointers_of(const scene<T, device>& s, const tile_grid& grid,
                                                const device_lists<T>& lists, const device_band<T>& band,
                                                const raster_options<T, device>& options) {
  return {grid,
          band.tiles,
          {lists.records.data(), band.begin.data(), band.list.data(), band.first_tile},
          {options.mask.pixels.data(), options.mask.tiles.data()},
          s.colours.data()};
}

/// Calls f(band) for every band of tile rows, from the first row to the last.
template <raster_config Config, class E, class T, class F>
void each_band(E& e, const device_lists<T>& lists, const tile_grid& grid, idx bands, idx* counts, F&& f) {
  const auto row = [&](idx band) { return grid.rows() * band / bands; };
  for (idx b = 0; b < bands; ++b) { f(make_band<Config>(e, lists, grid, {row(b), row(b + 1)}, bands > 1, counts)); }
}

/// The same for a call that was made: one in one band has kept it.
template <raster_config Config, class E, class Saved, class F> void each_kept_band(E& e, const Saved& s, F&& f) {
  if (s.options.bands == 1) {
    f(s.lists.all);
  } else {
    each_band<Config>(e, s.lists, s.grid, s.options.bands, nullptr, f);
  }
}

template <raster_config Config, class E, class T>
void blend_band(E& e, const band_pointers<T>& b, const T* background, T* image, T* depth, T* transmittance) {
  using K = raster_constants<Config, T>;
  each_pass<K>([&](auto pass) {
    using kernel = blend_kernel<K, T, pass.lead, pass.first, pass.count>;
    launch(e, b.tiles, kernel::place::threads,
           kernel{b.grid, b.lists, b.masks, b.colours, background, image, depth, transmittance});
  });
}

/// Fills the sums of all entries of the band, and what `tiles` says of its tiles.
template <raster_config Config, class E, class T>
void blend_band_backward(E& e, const band_pointers<T>& b, const raster_options<T, device>& options,
                         const gradient_pointers<T>& d, const entry_sums<moment_plan<Config>::count, T>& out,
                         const tile_gradient_pointers<raster_constants<Config, T>, T>& tiles) {
  const auto order =
      options.order != backward_order::automatic
          ? options.order
          : cost_of_backward<Config, T>(options.reach > 0 ? options.reach : usual_reach(Config.tile)).cheaper();
  each_pass<raster_constants<Config, T>>([&](auto pass) {
    const auto run = [&](auto kernel) { launch(e, b.tiles, decltype(kernel)::place::threads, kernel); };
    if (order == backward_order::by_gaussian) {
      run(blend_backward_by_gaussian_kernel<Config, T, pass.lead, pass.first, pass.count>{b.grid, b.lists, b.masks,
                                                                                          b.colours, d, out, tiles});
    } else {
      run(blend_backward_kernel<Config, T, pass.lead, pass.first, pass.count>{b.grid, b.lists, b.masks, b.colours, d,
                                                                              out, tiles});
    }
  });
}

} // namespace sqs::splat::detail

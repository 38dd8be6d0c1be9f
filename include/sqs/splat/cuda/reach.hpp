// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// `measure_reach`: what decides between the two ways back, of a picture that was drawn.

#include <sqs/splat/cuda/rasterize.hpp>

namespace sqs::splat {

namespace detail {

/// Counts, tile by tile, the entries each warp reaches.
template <class K, class T> struct count_reached_kernel {
  static constexpr const char* name = "sqs::splat::measure_reach";
  using place = thread_pixel<K::tile>;
  static constexpr int most_threads = place::threads;
  tile_grid grid;
  list_pointers<T> lists;
  std::int32_t* reached; ///< [tiles]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx tile = lists.tile(t);
    const place here(place_of<K::tile>(grid, tile), grid, t.thread());
    int count = 0;
    for (idx p = lists.begin[tile] + t.thread() % warp_size; p < lists.begin[tile + 1]; p += warp_size) {
      const auto& r = lists.records[lists.record[p]];
      count += reaches<K>(r, here.warp_x, here.warp_y, here.width, here.height) ? 1 : 0;
    }
    const int all = block_sum(t, count);
    if (t.thread() == 0) { reached[tile] = all; }
  }
};

} // namespace detail

/// The reach of a picture that was drawn: what `raster_options::reach` wants to know for others like it.
///
/// Shapes      saved of `device_rasterizer<Config>::forward`.
/// Execution   Waits for the device: for the first of many similar calls. On CUDA from a .cu file, like `top_contributors`.
/// Cost        Every warp asks every entry of its tile, and nothing is blended; a call in bands is binned again.
template <raster_config Config, device_executor E, class Saved> double measure_reach(E& e, const Saved& s) {
  using T = std::remove_cvref_t<decltype(*s.transmittance.data())>;
  static_assert(std::is_same_v<Saved, typename device_rasterizer<Config>::template saved<T>>,
                "sqs::splat::measure_reach: `saved` must come from device_rasterizer<Config>::forward with the same "
                "Config");
  using kernel = detail::count_reached_kernel<raster_constants<Config, T>, T>;
  const detail::raster_memory_user asking(e, "sqs::splat::measure_reach");
  auto reached = empty<std::int32_t, 1>(e, {s.grid.tiles()});
  const auto counts = read_counts(e, s.lists.counts);
  detail::each_kept_band<Config>(e, s, [&](const device_band<T>& band) {
    const auto b = detail::pointers_of(s.gaussians, s.grid, s.lists, band, s.options);
    launch(e, b.tiles, kernel::place::threads, kernel{b.grid, b.lists, reached.data()});
  });
  double sum = 0;
  for (const auto n : to_host(e, reached)) { sum += n; }
  const idx drawn = counts.intersections - counts.undrawn;
  return drawn == 0 ? 0.0 : sum / static_cast<double>(drawn);
}

} // namespace sqs::splat

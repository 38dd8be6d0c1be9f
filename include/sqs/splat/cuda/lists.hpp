// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The first two stages on a device: all pairs projected and in order of depth, then the tile lists of a band.

#include <sqs/exec/cuda.hpp>
#include <sqs/splat/cuda/bin_kernels.hpp>
#include <sqs/splat/scene.hpp>
#include <sqs/tensor/copy.hpp>

#include <bit>

namespace sqs::splat {

/// The tile lists of a band on a device.
template <class T> struct device_band {
  idx first_tile = 0, tiles = 0;
  tensor<tile_box, 1, device> boxes; ///< [V G] what of them lies in the band
  tensor<std::uint64_t, 1, device> coverage;
  tensor<idx, 1, device> first;                ///< [V G] entry each pair begins at, in order of depth
  tensor<idx, 1, device> begin;                ///< [all tiles + 1] where the tiles' lists begin
  tensor<std::int32_t, 1, device> list, entry; ///< [capacity] record and number of each entry, tile by tile
};

/// Output of the first two stages on a device.
template <class T> struct device_lists {
  using key = typename detail::pair_pointers<T>::key;
  tensor<projected_gaussian<T>, 1, device> records; ///< [V G], those that are not drawn not set
  tensor<tile_box, 1, device> boxes;
  tensor<std::uint64_t, 1, device> coverage;
  tensor<std::int32_t, 1, device> pairs; ///< [V G] in order of depth
  tensor<idx, 1, device> counts;         ///< [5] `raster_counts`: rejected, degenerate, visible, intersections, undrawn
  idx capacity = 0;
  device_band<T> all; ///< of all tiles, unless the call goes in bands
};

/// Reads the counts of a call.
///
/// Execution   Waits for the device.
template <device_executor E> raster_counts read_counts(E& e, const tensor<idx, 1, device>& counts) {
  const auto c = to_host(e, counts);
  return {c(0), c(1), c(2), c(3), c(4)};
}

namespace detail {

/// What a call of the rasterizer tells of itself where there is no memory for it.
struct raster_memory_user {
  pool::user asking;
  template <device_executor E> explicit raster_memory_user(E& e, const char* who)
      : asking(e.memory(), who,
               "give a smaller raster_options::capacity, or the same room to one band after the other: "
               "raster_options::bands") {}
};

inline idx blocks(idx n, int threads) { return (n + threads - 1) / threads; }
template <class T> scene_pointers<T> pointers_of(const scene<T, device>& s) {
  return {s.means.data(), s.scales.data(), s.rotations.data(), s.opacities.data(), s.colours.data(), s.count()};
}

/// Projects all pairs and sorts them by depth.
template <raster_config Config, class E, class T>
device_lists<T> make_pairs(E& e, const scene<T, device>& s, const tile_grid& grid, const view_list<T>& views,
                           const raster_options<T, device>& options) {
  using k = raster_constants<Config, T>;
  using key = typename device_lists<T>::key;
  constexpr int threads = pair_threads;
  const idx g = s.count(), n = g * grid.count, per_view = blocks(g, threads);
  const idx capacity = options.capacity > 0 ? options.capacity : (idx{1} << 20) + 4 * n;
  expects(capacity < (idx{1} << 31), "sqs::splat::device_rasterizer: lists for ", n,
          " pairs of a view and a Gaussian have room for ", capacity,
          " entries by default; give raster_options::capacity below 2^31");
  device_lists<T> out{.records = empty<projected_gaussian<T>, 1>(e, {n}),
                      .boxes = empty<tile_box, 1>(e, {n}),
                      .coverage = empty<std::uint64_t, 1>(e, {n}),
                      .pairs = empty<std::int32_t, 1>(e, {n}),
                      .counts = zeros<idx, 1>(e, {5}),
                      .capacity = capacity,
                      .all = {}};
  auto keys = empty<key, 1>(e, {n}), other_keys = empty<key, 1>(e, {n});
  auto other_pairs = empty<std::int32_t, 1>(e, {n});
  auto sound = empty<std::uint8_t, 1>(e, {g});
  auto rejected = empty<std::int32_t, 1>(e, {per_view});
  auto of_blocks = empty<std::int32_t, 2>(e, {2, per_view * grid.count});
  launch(e, per_view, threads, find_sound_kernel<k, T>{pointers_of(s), sound.data(), rejected.data()});
  const project_kernel<k, T> project{
      pointers_of(s),
      views,
      static_cast<int>(per_view),
      sound.data(),
      {out.records.data(), out.boxes.data(), out.coverage.data(), keys.data(), out.pairs.data()},
      tensor<T, 2, device>(options.radii).data(),
      of_blocks.data(),
      of_blocks.data() + per_view * grid.count};
  launch(e, per_view * grid.count, threads, project);
  const idx of_views = per_view * grid.count;
  launch(e, 3, threads,
         add_counts_kernel{{rejected.data(), of_blocks.data(), of_blocks.data() + of_views},
                           {per_view, of_views, of_views},
                           out.counts.data()});
  radix_sort_pairs(e, keys.data(), out.pairs.data(), other_keys.data(), other_pairs.data(), n, int{8 * sizeof(key)});
  return out;
}

/// Bins a band of tile rows; `clip` unless it is all of them. Adds to the counts of the call, if they are given.
template <raster_config Config, class E, class T> device_band<T> make_band(E& e, const device_lists<T>& in,
                                                                           const tile_grid& grid, tile_band rows,
                                                                           bool clip, idx* counts) {
  using k = raster_constants<Config, T>;
  constexpr int threads = pair_threads;
  const idx n = in.records.size(), g = n / grid.count, capacity = in.capacity;
  const idx first_tile = grid.first_tile(rows.begin);
  device_band<T> out{.first_tile = first_tile,
                     .tiles = grid.first_tile(rows.end) - first_tile,
                     .boxes = in.boxes,
                     .coverage = in.coverage,
                     .first = empty<idx, 1>(e, {n}),
                     .begin = zeros<idx, 1>(e, {grid.tiles() + 1}),
                     .list = empty<std::int32_t, 1>(e, {capacity}),
                     .entry = zeros<std::int32_t, 1>(e, {capacity})}; // sorted as a whole, also where there is none
  if (clip) {
    out.boxes = empty<tile_box, 1>(e, {n}), out.coverage = empty<std::uint64_t, 1>(e, {n});
    launch(e, blocks(n, threads), threads,
           clip_boxes_kernel<k, T>{grid, rows, n, g, in.records.data(), in.boxes.data(), in.coverage.data(),
                                   out.boxes.data(), out.coverage.data()});
  }
  launch(e, blocks(n, threads), threads,
         count_entries_kernel<T>{in.pairs.data(), out.boxes.data(), out.coverage.data(), n, out.first.data()});
  auto total = empty<idx, 1>(e, {1});
  exclusive_scan(e, out.first.data(), out.first.data(), n, total.data());
  if (counts != nullptr) { launch(e, 1, warp_size, count_band_kernel{total.data(), capacity, counts}); }
  auto tiles = full<std::uint32_t, 1>(e, {capacity}, no_tile), other_tiles = empty<std::uint32_t, 1>(e, {capacity});
  auto owners = empty<std::int32_t, 1>(e, {capacity});
  launch(e, blocks(n, threads), threads,
         lay_entries_kernel<k, T>{grid, in.pairs.data(), in.records.data(), out.boxes.data(), out.coverage.data(),
                                  out.first.data(), n, g, capacity, tiles.data(), out.entry.data(), owners.data()});
  // All bits of no_tile are set: it sorts behind every tile, whose number has one bit less set.
  radix_sort_pairs(e, tiles.data(), out.entry.data(), other_tiles.data(), out.list.data(), capacity,
                   static_cast<int>(std::bit_width(static_cast<std::uint64_t>(grid.tiles()))));
  launch(e, blocks(capacity, threads), threads,
         find_lists_kernel{tiles.data(), out.entry.data(), owners.data(), capacity, grid.tiles(), out.begin.data(),
                           out.list.data()});
  return out;
}

} // namespace detail
} // namespace sqs::splat

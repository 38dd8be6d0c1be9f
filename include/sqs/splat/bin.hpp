// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Second stage of the rasterizer: for every tile of every view, the Gaussians that touch it, nearest first.

#include <sqs/splat/project.hpp>

#include <bit>

namespace sqs::splat {

/// The lists of all tiles, one after the other.
///
/// Every (view, Gaussian) pair owns consecutive *slots*, one per tile of its box in row-major order: gradients are
/// written to slots and summed per owner, so no two threads ever add to one number.
struct tile_bins {
  idx views = 0, tiles_x = 0, tiles_y = 0;
  tensor<idx, 1> first_slot;     ///< [V*G+1], first slot of each pair; the last entry counts all intersections
  tensor<idx, 1> tile_begin;     ///< [V*tiles+1], where each tile's list begins in `order`
  tensor<std::int32_t, 1> order; ///< Gaussian of each entry

  idx intersections() const { return order.size(); }
  idx tiles() const { return tiles_x * tiles_y; }
};

namespace detail {

/// The bits of a positive floating number, which are ordered as the number is.
template <class T> auto depth_key(T depth) {
  if constexpr (sizeof(T) == 4) {
    return std::bit_cast<std::uint32_t>(depth);
  } else {
    return std::bit_cast<std::uint64_t>(depth);
  }
}

template <class T> struct sort_space {
  using key = decltype(depth_key(T{}));
  tensor<key, 2> keys, other_keys;
  tensor<std::int32_t, 2> values, other_values;
};

/// Lists of one view: Gaussians sorted by depth (ties by index), dealt out to tiles in that order.
template <class T>
void bin_view(cpu& e, const projected_gaussian<T>* records, idx n, idx view, sort_space<T>& space, tile_bins& bins) {
  auto* keys = space.keys.data() + view * n;
  auto* values = space.values.data() + view * n;
  idx visible = 0;
  for (idx g = 0; g < n; ++g) {
    if (!records[g].visible()) { continue; }
    keys[visible] = depth_key(records[g].depth);
    values[visible++] = static_cast<std::int32_t>(g);
  }
  radix_sort_pairs(e, keys, values, space.other_keys.data() + view * n, space.other_values.data() + view * n, visible,
                   static_cast<int>(8 * sizeof(*keys)));
  const idx tiles = bins.tiles();
  idx* begin = bins.tile_begin.data() + view * tiles;
  const auto for_each_tile = [&](const projected_gaussian<T>& r, auto&& f) {
    for (idx ty = r.tile_y0; ty < r.tile_y1; ++ty) {
      for (idx tx = r.tile_x0; tx < r.tile_x1; ++tx) { f(ty * bins.tiles_x + tx); }
    }
  };
  std::fill(begin, begin + tiles, idx{0});
  for (idx i = 0; i < visible; ++i) {
    for_each_tile(records[values[i]], [&](idx t) { ++begin[t]; });
  }
  // begin[t] becomes the end of list t; dealing backwards then leaves it at the beginning.
  idx sum = bins.first_slot.data()[view * n];
  for (idx t = 0; t < tiles; ++t) { begin[t] = sum += begin[t]; }
  for (idx i = visible; i-- > 0;) {
    for_each_tile(records[values[i]], [&](idx t) { bins.order.data()[--begin[t]] = values[i]; });
  }
}

} // namespace detail

/// Sorts projected Gaussians into tiles.
///
/// Shapes      records [V,G] of `project` with the same configuration; width and height in pixels.
/// Execution   parallel over views; all integers, so the same for any thread count. Equal depths keep index order.
/// Cost        O(V G + I) for I intersections; 4 bytes per intersection.
template <raster_config Config, class T>
tile_bins bin(cpu& e, const tensor<projected_gaussian<T>, 2>& records, int width, int height) {
  constexpr idx tile = raster_constants<Config, T>::tile;
  const idx views = records.extent(0), n = records.extent(1);
  tile_bins bins{views, (width + tile - 1) / tile, (height + tile - 1) / tile, empty<idx, 1>(e, {views * n + 1}), {},
                 {}};
  idx* first = bins.first_slot.data();
  idx sum = 0;
  for (idx i = 0; i < views * n; ++i) {
    first[i] = sum;
    sum += records.data()[i].tile_count();
  }
  first[views * n] = sum;
  bins.tile_begin = empty<idx, 1>(e, {views * bins.tiles() + 1});
  bins.order = empty<std::int32_t, 1>(e, {sum});
  bins.tile_begin.data()[views * bins.tiles()] = sum;
  using key = typename detail::sort_space<T>::key;
  detail::sort_space<T> space{empty<key, 2>(e, {views, n}), empty<key, 2>(e, {views, n}),
                              empty<std::int32_t, 2>(e, {views, n}), empty<std::int32_t, 2>(e, {views, n})};
  parallel_for(e, views, 1, [&](idx begin, idx end) {
    for (idx v = begin; v < end; ++v) { detail::bin_view(e, records.data() + v * n, n, v, space, bins); }
  });
  return bins;
}

} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Second stage of the rasterizer: for every tile of every view, the Gaussians that may touch it, nearest first.

#include <sqs/exec/parallel.hpp>
#include <sqs/splat/record.hpp>

#include <bit>

namespace sqs::splat {

/// The boxes of a projection in order of depth, view by view: what the lists of any band are made from.
struct depth_order {
  tensor<std::int32_t, 1> record; ///< [M]; equal depths keep the order of the Gaussians
  tensor<tile_box, 1> box;        ///< [M], box of each
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

/// A view's tile rows are dealt out in strips, so that a single large view occupies several threads too.
struct strip { idx view, begin, end; };
inline constexpr idx strips_per_view = 8;
inline strip strip_of(const tile_grid& g, const tile_band& band, idx job) {
  const idx v = job / strips_per_view, part = job % strips_per_view;
  const idx low = std::clamp<idx>(band.begin - g[v].first_row, 0, g[v].tiles_y),
            high = std::clamp<idx>(band.end - g[v].first_row, 0, g[v].tiles_y);
  const idx rows = high - low;
  return {v, low + rows * part / strips_per_view, low + rows * (part + 1) / strips_per_view};
}

} // namespace detail

/// Sorts the records of every view by depth.
///
/// Execution   parallel over views, or inside the sort if there is one; stable, so the same for any thread count.
/// Cost        O(M), three passes in float.
template <class T> depth_order sort_by_depth(cpu& e, const projection<T>& p, const tile_grid& grid) {
  using key = decltype(detail::depth_key(T{}));
  const idx m = p.count();
  depth_order out{empty<std::int32_t, 1>(e, {m}), empty<tile_box, 1>(e, {m})};
  auto keys = empty<key, 1>(e, {m}), other_keys = empty<key, 1>(e, {m});
  auto other_values = empty<std::int32_t, 1>(e, {m});
  const auto one_view = [&](idx v) {
    const idx first = p.first[static_cast<std::size_t>(v)], last = p.first[static_cast<std::size_t>(v) + 1];
    for (idx i = first; i < last; ++i) {
      keys.data()[i] = detail::depth_key(p.records.data()[i].depth);
      out.record.data()[i] = static_cast<std::int32_t>(i);
    }
    radix_sort_pairs(e, keys.data() + first, out.record.data() + first, other_keys.data() + first,
                     other_values.data() + first, last - first, static_cast<int>(8 * sizeof(key)));
    for (idx i = first; i < last; ++i) { out.box.data()[i] = p.boxes.data()[out.record.data()[i]]; }
  };
  if (grid.count == 1) { // the sort is parallel by itself where no loop is around it
    one_view(0);
  } else {
    parallel_for(e, grid.count, 1, [&](idx begin, idx end) {
      for (idx v = begin; v < end; ++v) { one_view(v); }
    });
  }
  return out;
}

/// Counts the intersections of each tile row of the grid: [rows].
template <class T> tensor<idx, 1> intersections_per_row(cpu& e, const projection<T>& p, const tile_grid& grid) {
  auto rows = zeros<idx, 1>(e, {grid.rows()});
  for (idx v = 0; v < grid.count; ++v) {
    idx* row = rows.data() + grid[v].first_row;
    for (idx i = p.first[static_cast<std::size_t>(v)]; i < p.first[static_cast<std::size_t>(v) + 1]; ++i) {
      const tile_box b = p.boxes.data()[i];
      for (idx y = b.y0; y < b.y1; ++y) { row[y] += b.x1 - b.x0; }
    }
  }
  return rows;
}

/// The tiles' lists of a band.
///
/// Shapes      p of `project`, order of `sort_by_depth` for it.
/// Execution   parallel over strips of tile rows; all integers, so the same for any thread count.
/// Cost        O(M + I) for I intersections; 4 bytes per intersection.
template <class T>
tile_bins bin(cpu& e, const projection<T>& p, const tile_grid& grid, const depth_order& order, tile_band band) {
  const auto tile_at_row = [&](idx row) {
    idx v = 0;
    while (v + 1 < grid.count && row >= grid[v + 1].first_row) { ++v; }
    return grid[v].first_tile + (row - grid[v].first_row) * grid[v].tiles_x;
  };
  tile_bins bins{band, tile_at_row(band.begin), tile_at_row(band.end), empty<idx, 1>(e, {p.count() + 1}), {}, {}};
  idx* slot = bins.first_slot.data();
  idx total = 0;
  for (idx v = 0; v < grid.count; ++v) {
    for (idx i = p.first[static_cast<std::size_t>(v)]; i < p.first[static_cast<std::size_t>(v) + 1]; ++i) {
      slot[i] = total;
      total += band.clip(p.boxes.data()[i], grid, v).tiles();
    }
  }
  slot[p.count()] = total;
  expects(total < (idx{1} << 32), "sqs::splat::bin: ", total, " intersections in one row of tiles; lower the number of "
                                  "Gaussians or set raster_config::radius_clip");
  const idx tiles = bins.last_tile - bins.first_tile;
  bins.begin = empty<idx, 1>(e, {tiles + 1});
  bins.order = empty<std::int32_t, 1>(e, {total});
  auto next = zeros<std::uint32_t, 1>(e, {tiles});
  /// Calls f(tile within the band, record) for what touches the strip, nearest first.
  const auto walk = [&](const detail::strip& s, auto&& f) {
    const auto& view = grid[s.view];
    const idx first = view.first_tile - bins.first_tile;
    for (idx i = p.first[static_cast<std::size_t>(s.view)]; i < p.first[static_cast<std::size_t>(s.view) + 1]; ++i) {
      const tile_box b = order.box.data()[i];
      const idx y0 = std::max<idx>(b.y0, s.begin), y1 = std::min<idx>(b.y1, s.end);
      for (idx y = y0; y < y1; ++y) {
        const idx row = first + y * view.tiles_x;
        for (idx t = row + b.x0; t < row + b.x1; ++t) { f(t, order.record.data()[i]); }
      }
    }
  };
  const auto each_strip = [&](auto&& f) {
    parallel_for(e, grid.count * detail::strips_per_view, 1, [&](idx begin, idx end) {
      for (idx j = begin; j < end; ++j) {
        const auto s = detail::strip_of(grid, band, j);
        if (s.begin < s.end) { f(s); }
      }
    });
  };
  std::uint32_t* const cursor = next.data();
  each_strip([&](const detail::strip& s) { walk(s, [&](idx t, std::int32_t) { ++cursor[t]; }); });
  idx sum = 0;
  for (idx t = 0; t < tiles; ++t) {
    bins.begin.data()[t] = sum;
    sum += std::exchange(cursor[t], static_cast<std::uint32_t>(sum));
  }
  bins.begin.data()[tiles] = sum;
  std::int32_t* const list = bins.order.data();
  each_strip([&](const detail::strip& s) { walk(s, [&](idx t, std::int32_t r) { list[cursor[t]++] = r; }); });
  return bins;
}

} // namespace sqs::splat

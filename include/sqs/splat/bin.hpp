// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Second stage of the rasterizer: for every tile of every view, the Gaussians that may touch it, nearest first.

#include <sqs/core/simd.hpp>
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

/// Some tile rows of a view.
struct strip {
  idx view, begin, end;
};
/// Part `job` of a band that is dealt out in `parts` strips per view.
inline strip strip_of(const tile_grid& g, const tile_band& band, idx job, idx parts) {
  const idx v = job / parts, part = job % parts;
  const idx low = std::clamp<idx>(band.begin - g[v].first_row, 0, g[v].tiles_y),
            high = std::clamp<idx>(band.end - g[v].first_row, 0, g[v].tiles_y);
  const idx rows = high - low;
  return {v, low + rows * part / parts, low + rows * (part + 1) / parts};
}

/// Numbers a strip of a view counts in: a row and a column more than it has tiles.
inline idx counting_room_of_strip(const tile_grid::view& view, idx parts) {
  return (view.tiles_x + 1) * ((view.tiles_y + parts - 1) / parts + 1);
}
/// The same for all strips of the first views.
inline idx counting_room(const tile_grid& g, idx views, idx parts) {
  idx room = 0;
  for (idx v = 0; v < views; ++v) { room += parts * counting_room_of_strip(g[v], parts); }
  return room;
}
inline constexpr idx most_strips = 32; // of a view

/// Appends records to the lists of neighbouring tiles.
struct list_writer {
  static constexpr idx line = 64 / idx{sizeof(std::int32_t)};
  std::int32_t* list;
  std::uint32_t nowhere; ///< a place of this writer's own in the list, for what is not to be written

  /// list[cursor[i]++] = record for i < width, 1 or more; the first four without a branch. They also ask for the cache line
  /// behind the one they write to, long before it is needed: writes wait for each other in order.
  SQS_INLINE void append(std::uint32_t* cursor, idx width, std::int32_t record) {
    for (idx i = 0; i < 4; ++i) { __builtin_prefetch(list + cursor[std::min(i, width - 1)] + line, 1); }
#if defined(SQS_MASK_REGISTERS) && defined(__AVX512VL__)
    const auto real = static_cast<__mmask8>((1u << std::min<idx>(width, 4)) - 1);
    const __m128i at = _mm_maskz_loadu_epi32(real, cursor);
    _mm256_mask_i64scatter_epi32(list, real, _mm256_cvtepu32_epi64(at), _mm_set1_epi32(record), sizeof(record));
    _mm_mask_storeu_epi32(cursor, real, _mm_add_epi32(at, _mm_set1_epi32(1)));
#else
    for (idx i = 0; i < 4; ++i) {
      std::uint32_t* const at = i < width ? cursor + i : &nowhere;
      list[*at] = record;
      *at += i < width ? 1u : 0u;
    }
#endif
    for (idx i = 4; i < width; ++i) { list[cursor[i]++] = record; }
  }
};

} // namespace detail

/// Sorts the records of every view by depth.
///
/// Execution   parallel over views, or inside the sort if there is one; stable, so the same for any thread count.
/// Cost        O(M); see `radix_sort_pairs`.
template <class T> depth_order sort_by_depth(cpu& e, const projection<T>& p, const tile_grid& grid) {
  using key = decltype(detail::depth_key(T{}));
  const idx m = p.count();
  depth_order out{empty<std::int32_t, 1>(e, {m}), empty<tile_box, 1>(e, {m})};
  auto keys = empty<key, 1>(e, {m}), other_keys = empty<key, 1>(e, {m});
  auto other_values = empty<std::int32_t, 1>(e, {m});
  const auto one_view = [&](idx v) {
    const idx first = p.first[static_cast<std::size_t>(v)], last = p.first[static_cast<std::size_t>(v) + 1];
    key least = std::numeric_limits<key>::max(), most = 0;
    for (idx i = first; i < last; ++i) {
      const key k = detail::depth_key(p.depths.data()[i]);
      least = std::min(least, k), most = std::max(most, k);
      keys.data()[i] = k;
      out.record.data()[i] = static_cast<std::int32_t>(i);
    }
    for (idx i = first; i < last; ++i) { keys.data()[i] -= least; } // fewer bits to sort by
    const int bits = first < last ? static_cast<int>(std::bit_width(most - least)) : 0;
    radix_sort_pairs(e, keys.data() + first, out.record.data() + first, other_keys.data() + first,
                     other_values.data() + first, last - first, bits);
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
  tile_bins bins{grid.first_tile(band.begin), grid.first_tile(band.end), {}, {}};
  const idx tiles = bins.last_tile - bins.first_tile;
  bins.begin = empty<idx, 1>(e, {tiles + 1});
  auto cursors = empty<std::uint32_t, 1>(e, {tiles});
  std::uint32_t* const cursor = cursors.data();
  // How the work is cut does not show in the result: a tile belongs to one strip, which sees all records in order.
  const idx parts = grid.count >= e.thread_count()
                        ? 1
                        : std::min<idx>(detail::most_strips, (2 * e.thread_count() + grid.count - 1) / grid.count);
  const auto each_strip = [&](auto&& f) {
    parallel_for(e, grid.count * parts, 1, [&](idx begin, idx end) {
      for (idx j = begin; j < end; ++j) {
        const auto s = detail::strip_of(grid, band, j, parts);
        if (s.begin < s.end) { f(j, s, grid[s.view]); }
      }
    });
  };
  auto differences = zeros<std::int32_t, 1>(e, {detail::counting_room(grid, grid.count, parts)});
  const auto first_record = [&](idx v) { return p.first[static_cast<std::size_t>(v)]; };
  // Counts by differences: four corners of a box, then sums along x and along y.
  each_strip([&](idx job, const detail::strip& s, const tile_grid::view& view) {
    const idx columns = view.tiles_x + 1, rows = s.end - s.begin;
    std::int32_t* const difference = differences.data() + detail::counting_room(grid, s.view, parts) +
                                     job % parts * detail::counting_room_of_strip(view, parts);
    for (idx i = first_record(s.view); i < first_record(s.view + 1); ++i) {
      const tile_box b = p.boxes.data()[i];
      const idx y0 = std::max<idx>(b.y0, s.begin) - s.begin, y1 = std::min<idx>(b.y1, s.end) - s.begin;
      if (y0 >= y1) { continue; }
      std::int32_t *top = difference + y0 * columns, *bottom = difference + y1 * columns;
      ++top[b.x0], --top[b.x1], --bottom[b.x0], ++bottom[b.x1];
    }
    std::uint32_t* out = cursor + view.first_tile - bins.first_tile + s.begin * view.tiles_x;
    for (idx y = 0; y < rows; ++y) {
      std::int32_t sum = 0;
      std::int32_t *row = difference + y * columns, *next = row + columns;
      for (idx x = 0; x < view.tiles_x; ++x) {
        sum += row[x];
        *out++ = static_cast<std::uint32_t>(sum);
        next[x] += row[x];
      }
    }
  });
  idx total = 0;
  for (idx t = 0; t < tiles; ++t) {
    bins.begin.data()[t] = total;
    total += std::exchange(cursor[t], static_cast<std::uint32_t>(total));
  }
  bins.begin.data()[tiles] = total;
  expects(total < (idx{1} << 32) - 65536, "sqs::splat::bin: ", total,
          " intersections in one band of tile rows; lower "
          "the number of Gaussians or set raster_config::radius_clip");
  // Every strip has a number of its own at the end of the lists: where what is not to be written goes. Behind them room
  // for what is asked for ahead.
  bins.order = empty<std::int32_t, 1>(e, {total + grid.count * parts + detail::list_writer::line});
  std::int32_t* const list = bins.order.data();
  each_strip([&](idx job, const detail::strip& s, const tile_grid::view& view) {
    detail::list_writer lists{list, static_cast<std::uint32_t>(total + job)};
    std::uint32_t* const first = cursor + view.first_tile - bins.first_tile;
    for (idx i = first_record(s.view); i < first_record(s.view + 1); ++i) {
      const tile_box b = order.box.data()[i];
      const std::int32_t record = order.record.data()[i];
      const idx y1 = std::min<idx>(b.y1, s.end), width = b.x1 - b.x0;
      if (width <= 0) { continue; }
      for (idx y = std::max<idx>(b.y0, s.begin); y < y1; ++y) {
        lists.append(first + y * view.tiles_x + b.x0, width, record);
      }
    }
  });
  return bins;
}

} // namespace sqs::splat

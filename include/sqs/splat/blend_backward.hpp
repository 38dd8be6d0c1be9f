// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Backward pass of the blend. It replays the tiles front to back: with s_i = c_i . dImage + z_i dDepth and
/// S_i = sum_{j>i} w_j s_j + the background's share,
///   dL/dalpha_i = T_i s_i - S_i / (1 - alpha_i),
/// and S_i = S_total - sum_{j<=i} w_j s_j where S_total comes from the stored outputs: one number per pixel, no
/// checkpoints, and the same T sequence as forward.

#include <sqs/splat/bin.hpp>
#include <sqs/splat/flatten.hpp>
#include <sqs/splat/tile_backward.hpp>

namespace sqs::splat {

/// Output of `blend_backward`.
template <class T> struct blend_gradients {
  tensor<T, 2> moments;    ///< [M, moment_plan::row], of which the first `count` mean something
  tensor<T, 2> background; ///< [V,C]
  bool finite = true;      ///< no NaN or Inf came in
};

namespace detail {

/// One Gaussian's sums in the order of `moment_plan`.
template <raster_config Config, class Tile, class T> void write_moments(const T* total, T depth, T* out) {
  using k = raster_constants<Config, T>;
  using plan = channel_plan<k>;
  T* to = std::copy_n(total, Tile::value_at, out);
  if constexpr (k::depth != 0) {
    T d = T(0);
    if constexpr (plan::z) { d += total[Tile::value_at + plan::near_colours]; }
    if constexpr (plan::inverse_z) { d -= total[Tile::value_at + plan::fused - 1] / (depth * depth); }
    if constexpr (k::median) { d += total[Tile::median_at]; }
    *to++ = d;
  }
  to = std::copy_n(total + Tile::value_at, plan::near_colours, to);
  to = std::copy_n(total + Tile::feature_at, plan::features, to);
  std::fill(to, out + moment_plan<Config>::row, T(0));
}
/// to[j] += from[j]
template <int Width, class T> SQS_INLINE void add_row(const T* from, T* to) {
  constexpr int n = std::min(native_lanes<T>, static_cast<int>(std::bit_floor(unsigned{Width})));
  using lanes = simd<T, n>;
  int j = 0;
  for (; j + n <= Width; j += n) { (lanes::load(to + j) + lanes::load(from + j)).store(to + j); }
  for (; j < Width; ++j) { to[j] += from[j]; }
}
/// Asks for a row, which may lie across cache lines.
template <int Width, class T> SQS_INLINE void fetch_row(const T* row) {
  __builtin_prefetch(row, 1), __builtin_prefetch(row + Width - 1, 1);
}
template <raster_config Config, class Tile, class T> void add_moments(const T* total, T depth, T* out) {
  if constexpr (raster_constants<Config, T>::depth == 0) { // in the order of the plan already
    add_row<Tile::sums>(total, out);
  } else {
    T row[moment_plan<Config>::row];
    write_moments<Config, Tile>(total, depth, row);
    add_row<moment_plan<Config>::row>(row, out);
  }
}

} // namespace detail

/// Entries of the lists whose sums are held at once: few enough to leave the second-level cache room for the records.
template <raster_config Config, class T>
inline constexpr idx entries_of_group = std::max(1 << 10, (1 << 19) / (moment_plan<Config>::row * int{sizeof(T)}));

/// Gradients of nothing: what `blend_backward` adds to.
template <raster_config Config, class T>
blend_gradients<T> make_blend_gradients(cpu& e, const projection<T>& p, const tile_grid& grid) {
  return {zeros<T, 2>(e, {p.count(), moment_plan<Config>::row}),
          zeros<T, 2>(e, {grid.count, raster_constants<Config, T>::channels}), true};
}

namespace detail {

/// Calls one_tile(tile, rows, take) for all tiles of a band, groups of which several threads share. Their sums are put
/// aside and added up per record in the order of the tiles.
template <raster_config Config, class Tile, class T, class F>
void add_in_groups(cpu& e, const projection<T>& p, const tile_grid& grid, const tile_bins& bins, F&& one_tile,
                   tensor<T, 2>& moments) {
  constexpr int width = moment_plan<Config>::row;
  const idx tiles = bins.last_tile - bins.first_tile;
  const auto list = [&](idx t) { return bins.begin.data()[t]; };
  const auto group_end = [&](idx t) {
    const idx most = list(t) + entries_of_group<Config, T>;
    do { ++t; } while (t < tiles && list(t + 1) <= most);
    return t;
  };
  idx longest = 0;
  for (idx g = 0; g < tiles; g = group_end(g)) { longest = std::max(longest, list(group_end(g)) - list(g)); }
  // Of the entries that add something, at the beginning of each tile's part of the group.
  auto sums = empty<T, 2>(e, {longest, width});
  auto records = empty<std::int32_t, 1>(e, {longest});
  auto entries = empty<std::int32_t, 1>(e, {tiles});
  for (idx g = 0; g < tiles; g = group_end(g)) {
    const idx last = group_end(g), base = list(g);
    parallel_for(e, last - g, 4, [&](idx begin, idx end) {
      for (idx t = g + begin; t < g + end; ++t) {
        idx i = list(t) - base;
        one_tile(bins.first_tile + t, static_cast<const T*>(nullptr),
                 [&](const std::int32_t* record, int count, const T* total, const T* depth) {
                   for (int j = 0; j < count; ++j, ++i) {
                     records.data()[i] = record[j];
                     write_moments<Config, Tile>(total + j * Tile::sums, depth[j], sums.data() + i * width);
                   }
                 });
        entries.data()[t] = static_cast<std::int32_t>(i - (list(t) - base));
      }
    });
    // Whoever has a part of the records walks all lists, so that no two threads meet.
    const auto view_of = [&](idx t) {
      return static_cast<std::size_t>(place_of<Tile::edge>(grid, bins.first_tile + t).view);
    };
    const idx first = p.first[view_of(g)], count = p.first[view_of(last - 1) + 1] - first, parts = e.thread_count();
    parallel_for(e, parts, 1, [&](idx part, idx) {
      const idx low = first + count * part / parts, high = first + count * (part + 1) / parts;
      idx own[1024];
      for (idx t = g; t < last; ++t) {
        for (idx i = list(t) - base, end = i + entries.data()[t]; i < end;) {
          idx found = 0; // picked without a branch, which nobody could foresee
          for (const idx stop = std::min(end, i + 1024); i < stop; ++i) {
            const idx record = records.data()[i];
            own[found] = i;
            found += record >= low && record < high ? 1 : 0;
          }
          const auto row = [&](idx j) { return moments.data() + idx{records.data()[own[j]]} * width; };
          for (idx j = 0; j < found; ++j) {
            fetch_row<width>(row(std::min(j + 24, found - 1)));
            add_row<width>(sums.data() + own[j] * width, row(j));
          }
        }
      }
    });
  }
}

} // namespace detail

/// Backward pass of `blend` for a band; adds to `sum`.
///
/// Shapes      `out` and `reached` hold what `blend` returned for the same arguments.
/// Gradient    see `moment_plan`, and the background. None passes a capped alpha.
/// Execution   parallel over the band's views if there are two for each thread and none has most of the work, or else over
///             the tiles of one group after the other.
///             Bitwise the same for any thread count and any bands: the sums of each entry of a tile's list are added up
///             per record in the order of the tiles.
/// Cost        45 + 6C flop per pair looked at; over tiles, memory for the sums of `entries_of_group` entries, or of the
///             longest list.
template <raster_config Config, class T>
void blend_backward(cpu& e, const projection<T>& p, const tile_grid& grid, const tile_bins& bins,
                    const reached_cells& reached, const tensor<T, 2>& colours, const raster_mask& mask,
                    const blended<T>& out, const image_gradients<T>& d, blend_gradients<T>& sum) {
  using k = raster_constants<Config, T>;
  using tile_type = detail::backward_tile<k, T>;
  constexpr int width = moment_plan<Config>::row, words = detail::tile_shape<k, T>::words;
  const idx tiles = bins.last_tile - bins.first_tile;
  auto tile_background = empty<T, 2>(e, {tiles, k::channels});
  auto finite = empty<std::uint8_t, 1>(e, {tiles});
  // take(records, count, sums, depths) is told of every batch; the records' `rows`, if given, are fetched before.
  const auto one_tile = [&](idx tile, const T* rows, auto&& take) {
    const auto at = detail::place_of<k::tile>(grid, tile);
    tile_type pixels;
    typename tile_type::batch_type batch;
    const idx t = tile - bins.first_tile;
    finite.data()[t] = pixels.start(at, grid, mask, out, d, tile_background.data() + t * k::channels) ? 1 : 0;
    const idx begin = bins.begin.data()[t], seen = begin + out.seen.data()[tile];
    if (tile + 1 < bins.last_tile) { pixels.expect(detail::place_of<k::tile>(grid, tile + 1), grid, out, d); }
    std::int32_t record[batch.size + 1];
    for (idx next = begin; next < seen;) {
      next +=
          pixels.choose(p.records.data(), bins.order.data() + next, reached.data() + next * words, seen - next, record);
      const int count = pixels.chosen;
      if (count == 0) { break; }
      for (int j = 0; j < count && rows != nullptr; ++j) { detail::fetch_row<width>(rows + idx{record[j]} * width); }
      batch.fill(p.records.data(), record, count, colours.data(), at);
      T total[batch.size * tile_type::sums + 16];
      pixels.add(batch, total);
      take(record, count, total, batch.depth);
    }
  };
  const auto first_of = [&](idx v) { return std::clamp(grid[v].first_tile, bins.first_tile, bins.last_tile); };
  idx views = 0, longest = 0; // with tiles in this band; entries of the one that has most
  for (idx v = 0; v < grid.count; ++v) {
    const idx from = first_of(v) - bins.first_tile, to = first_of(v + 1) - bins.first_tile;
    views += from < to ? 1 : 0;
    longest = std::max(longest, bins.begin.data()[to] - bins.begin.data()[from]);
  }
  const idx threads = e.thread_count();
  if (threads == 1 || (views >= 2 * threads && longest * threads <= bins.intersections())) {
    T* const rows = sum.moments.data();
    parallel_for(e, grid.count, 1, [&](idx v, idx) {
      for (idx t = first_of(v); t < first_of(v + 1); ++t) {
        one_tile(t, rows, [&](const std::int32_t* record, int count, const T* total, const T* depth) {
          for (int j = 0; j < count; ++j) {
            detail::add_moments<Config, tile_type>(total + j * tile_type::sums, depth[j],
                                                   rows + idx{record[j]} * width);
          }
        });
      }
    });
  } else {
    detail::add_in_groups<Config, tile_type>(e, p, grid, bins, one_tile, sum.moments);
  }
  sum.finite = sum.finite && std::find(finite.begin(), finite.end(), std::uint8_t{0}) == finite.end();
  for (idx v = 0; v < grid.count; ++v) {
    T* const to = sum.background.data() + v * k::channels;
    for (idx t = first_of(v); t < first_of(v + 1); ++t) {
      for (int c = 0; c < k::channels; ++c) {
        to[c] += tile_background.data()[(t - bins.first_tile) * k::channels + c];
      }
    }
  }
}

} // namespace sqs::splat

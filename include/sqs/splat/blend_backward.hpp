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

/// Backward pass of `blend` for a band; adds to `sum`.
///
/// Shapes      `out` and `reached` hold what `blend` returned for the same arguments.
/// Gradient    see `moment_plan`, and the background. None passes a capped alpha.
/// Execution   group of tiles after group: parallel over tiles, then over records. Bitwise the same for any thread count
///             and any bands: every entry of a tile's list has sums of its own, which are added up per record in the
///             order of the tiles.
/// Cost        45 + 6C flop per pair looked at; memory for the sums of `entries_of_group` entries, or of the longest list.
template <raster_config Config, class T>
void blend_backward(cpu& e, const projection<T>& p, const tile_grid& grid, const tile_bins& bins,
                    const reached_cells& reached, const tensor<T, 2>& colours, const raster_mask& mask,
                    const blended<T>& out, const image_gradients<T>& d, blend_gradients<T>& sum) {
  using k = raster_constants<Config, T>;
  using tile_type = detail::backward_tile<k, T>;
  constexpr int width = moment_plan<Config>::row;
  const idx tiles = bins.last_tile - bins.first_tile;
  constexpr int words = detail::tile_shape<k, T>::words;
  // Tiles go in groups whose sums stay in the cache until they are added up.
  const auto list = [&](idx t) { return bins.begin.data()[t]; };
  const auto group_end = [&](idx t) {
    const idx most = list(t) + entries_of_group<Config, T>;
    do { ++t; } while (t < tiles && list(t + 1) <= most);
    return t;
  };
  idx longest = 0;
  for (idx g = 0; g < tiles; g = group_end(g)) { longest = std::max(longest, list(group_end(g)) - list(g)); }
  idx first_of_group = 0;
  // Of the entries that add something, at the beginning of each tile's part of the group.
  auto entry_sums = empty<T, 2>(e, {longest, width});
  auto entry_record = empty<std::int32_t, 1>(e, {longest});
  auto entries = empty<std::int32_t, 1>(e, {tiles});
  auto tile_background = empty<T, 2>(e, {tiles, k::channels});
  auto finite = empty<std::uint8_t, 1>(e, {tiles});
  const auto one_tile = [&](idx tile) {
    const auto at = detail::place_of<k::tile>(grid, tile);
    tile_type pixels;
    typename tile_type::batch_type batch;
    finite.data()[tile - bins.first_tile] =
        pixels.start(at, grid, mask, out, d, tile_background.data() + (tile - bins.first_tile) * k::channels) ? 1 : 0;
    const idx begin = bins.begin.data()[tile - bins.first_tile], seen = begin + out.seen.data()[tile];
    if (tile + 1 < bins.last_tile) { pixels.expect(detail::place_of<k::tile>(grid, tile + 1), grid, out, d); }
    idx i = begin - first_of_group; // of the sums
    for (idx next = begin; next < seen;) {
      std::int32_t* const record = entry_record.data() + i;
      next +=
          pixels.choose(p.records.data(), bins.order.data() + next, reached.data() + next * words, seen - next, record);
      const int count = pixels.chosen;
      if (count == 0) { break; }
      batch.fill(p.records.data(), record, count, colours.data(), at);
      T total[batch.size * tile_type::sums + 16];
      pixels.add(batch, total);
      for (int j = 0; j < count; ++j) {
        detail::write_moments<Config, tile_type>(total + j * tile_type::sums, batch.depth[j],
                                                 entry_sums.data() + (i + j) * width);
      }
      i += count;
    }
    entries.data()[tile - bins.first_tile] = static_cast<std::int32_t>(i - (begin - first_of_group));
  };
  for (idx g = 0; g < tiles; g = group_end(g)) {
    first_of_group = list(g);
    const idx last = group_end(g);
    parallel_for(e, last - g, 4, [&](idx begin, idx end) {
      for (idx t = begin; t < end; ++t) { one_tile(bins.first_tile + g + t); }
    });
    // Whoever has a part of the records walks all lists, so that no two threads meet.
    const idx first_view = detail::place_of<k::tile>(grid, bins.first_tile + g).view,
              last_view = detail::place_of<k::tile>(grid, bins.first_tile + last - 1).view;
    const idx first_record = p.first[static_cast<std::size_t>(first_view)],
              records = p.first[static_cast<std::size_t>(last_view) + 1] - first_record;
    const idx parts = e.thread_count();
    parallel_for(e, parts, 1, [&](idx part, idx) {
      const idx low = first_record + records * part / parts, high = first_record + records * (part + 1) / parts;
      const auto add = [&](idx count, auto&& entry) {
        const auto moments = [&](idx j) { return sum.moments.data() + idx{entry_record.data()[entry(j)]} * width; };
        for (idx j = 0; j < count; ++j) {
          const T* ahead = moments(std::min(j + 24, count - 1));
          __builtin_prefetch(ahead, 1), __builtin_prefetch(ahead + width - 1, 1);
          detail::add_row<width>(entry_sums.data() + entry(j) * width, moments(j));
        }
      };
      for (idx t = g; t < last; ++t) {
        const idx begin = list(t) - first_of_group, count = entries.data()[t];
        if (parts == 1) {
          add(count, [&](idx j) { return begin + j; });
          continue;
        }
        idx own[1024]; // entries of this part, picked without a branch that nobody can foresee
        for (idx i = 0; i < count;) {
          idx found = 0;
          for (const idx stop = std::min(count, i + 1024); i < stop; ++i) {
            const idx record = entry_record.data()[begin + i];
            own[found] = begin + i;
            found += record >= low && record < high ? 1 : 0;
          }
          add(found, [&](idx j) { return own[j]; });
        }
      }
    });
  }
  sum.finite = sum.finite && std::find(finite.begin(), finite.end(), std::uint8_t{0}) == finite.end();
  for (idx v = 0; v < grid.count; ++v) {
    T* const to = sum.background.data() + v * k::channels;
    const idx first = std::max(bins.first_tile, grid[v].first_tile),
              last = std::min(bins.last_tile, grid[v + 1].first_tile);
    for (idx t = first; t < last; ++t) {
      for (int c = 0; c < k::channels; ++c) {
        to[c] += tile_background.data()[(t - bins.first_tile) * k::channels + c];
      }
    }
  }
}

} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Which Gaussians make a pixel: for picking, for handing labels from pictures to Gaussians and for pruning.

#include <sqs/splat/rasterize.hpp>

namespace sqs::splat {

/// Output of `top_contributors`, over the pixels of all views, one view after the other.
template <class T> struct contributors {
  tensor<std::int32_t, 2> ids; ///< [P,K] index of the Gaussian, -1 where fewer than K are blended
  tensor<T, 2> weights; ///< [P,K] its blending weight, 0 there; the largest first, of equal ones the lowest index
};

namespace detail {

/// The pixels of one tile, each with its Count heaviest Gaussians so far. The blend of blend.hpp without its colours:
/// the same functions on the same numbers, so the same weights to the last bit.
template <class K, int Count, class T> struct contributor_tile {
  using shape = tile_shape<K, T>;
  using cell = typename shape::cell;
  using pack = typename shape::pack;
  using batch_type = tile_batch<K, T, 64>;
  struct pixel {
    T weight[Count];
    std::int32_t gaussian[Count];
  };
  cell t[shape::cells];
  bool open_cells[shape::cells];
  pixel pixels[shape::cells][shape::pixels];
  std::int32_t list[shape::cells][batch_type::size + batch_type::n + shape::together];
  int length[shape::cells];

  void start(const tile_place& at, const tile_grid& grid, const raster_mask& mask) {
    for (int c = 0; c < shape::cells; ++c) {
      open_cells[c] = start_cell<shape>(c, at, grid, mask, t[c]);
      for (auto& p : pixels[c]) {
        std::fill_n(p.weight, Count, T(0));
        std::fill_n(p.gaussian, Count, -1);
      }
    }
  }
  bool open() const { return std::find(open_cells, open_cells + shape::cells, true) != open_cells + shape::cells; }
  /// `records` and `order` as the batch was filled from.
  void add(batch_type& batch, const projected_gaussian<T>* records, const std::int32_t* order) {
    std::fill_n(length, shape::cells, 0);
    batch.find_cells([&](int c, int first, const auto& reached) {
      length[c] += store_indices(reached, first, list[c] + length[c]);
    });
    for (int c = 0; c < shape::cells; ++c) {
      std::fill_n(list[c] + length[c], shape::together, batch.nothing);
      for (int i = 0; i < length[c] && open_cells[c]; i += shape::together) {
        const std::int32_t* entries = list[c] + i;
        pack alpha;
        evaluate(
            batch, entries, [c](int) { return c; }, alpha, static_cast<pack*>(nullptr));
        for (int e = 0; e < shape::together; ++e) {
          const blend_step<K, cell> step(shape::one_of(alpha, e), t[c]);
          t[c] = step.next;
          if (i + e < length[c]) { insert(c, step.weight, records[order[entries[e]]].gaussian); }
        }
        t[c] = above_denormal<K>(t[c]);
        open_cells[c] = any(t[c] > cell(K::stop));
      }
    }
  }
  void store(const tile_place& at, const tile_grid& grid, contributors<T>& out) const {
    for (int c = 0; c < shape::cells; ++c) {
      for (int p = 0; p < shape::pixels; ++p) {
        const idx i = pixel_index<shape>(at, grid, c, p);
        if (i < 0) { continue; }
        std::copy_n(pixels[c][p].weight, Count, out.weights.data() + i * Count);
        std::copy_n(pixels[c][p].gaussian, Count, out.ids.data() + i * Count);
      }
    }
  }

private:
  void insert(int c, const cell& weights, std::int32_t gaussian) {
    T weight[shape::pixels];
    shape::store(weights, weight);
    for (int p = 0; p < shape::pixels; ++p) {
      auto& best = pixels[c][p];
      const auto lighter = [&](int i) {
        return best.weight[i] < weight[p] || (best.weight[i] == weight[p] && gaussian < best.gaussian[i]);
      };
      int i = Count;
      if (!(weight[p] > T(0)) || !lighter(i - 1)) { continue; }
      for (--i; i > 0 && lighter(i - 1); --i) {
        best.weight[i] = best.weight[i - 1];
        best.gaussian[i] = best.gaussian[i - 1];
      }
      best.weight[i] = weight[p];
      best.gaussian[i] = gaussian;
    }
  }
};

} // namespace detail

/// The K Gaussians with the largest blending weights in every pixel of a picture.
///
/// Shapes      saved of `rasterizer<Config>::forward` -> ids and weights [P,K] over the P pixels of all views. A pixel's
///             weights and its transmittance sum to 1 if no more than K Gaussians are blended there.
/// Gradient    none.
/// Execution   parallel over tiles; bitwise the same for any thread count, and the weights bitwise those of the image.
///             Memory from the executor's pool.
/// Cost        as the forward pass of one channel, and K comparisons per (pixel, Gaussian) pair.
/// Example     `const auto most = splat::top_contributors<config, 1>(exec, r.saved).ids;`
template <raster_config Config, int K, class Saved> auto top_contributors(cpu& e, const Saved& s) {
  static_assert(K >= 1, "sqs::splat::top_contributors: K must be at least 1");
  using T = std::remove_cvref_t<decltype(*s.out.transmittance.data())>;
  using op = rasterizer<Config>;
  static_assert(
      std::is_same_v<Saved, typename op::template saved<T>> ||
          std::is_same_v<Saved, typename op::template saved<T, true>>,
      "sqs::splat::top_contributors: `saved` must come from rasterizer<Config>::forward with the same Config");
  using k = raster_constants<Config, T>;
  contributors<T> out{empty<std::int32_t, 2>(e, {s.grid.pixels(), K}), empty<T, 2>(e, {s.grid.pixels(), K})};
  const auto one_band = [&](const tile_bins& bins) {
    parallel_for(e, bins.last_tile - bins.first_tile, 1, [&](idx begin, idx end) {
      for (idx local = begin; local < end; ++local) {
        const idx tile = bins.first_tile + local, last = bins.begin.data()[local] + s.out.seen.data()[tile];
        const auto at = detail::place_of<k::tile>(s.grid, tile);
        detail::contributor_tile<k, K, T> pixels;
        typename decltype(pixels)::batch_type batch;
        pixels.start(at, s.grid, s.options.mask);
        for (idx i = bins.begin.data()[local]; i < last && pixels.open();) {
          const std::int32_t* order = bins.order.data() + i;
          i += batch.fill(s.projected.records.data(), order, last - i, s.gaussians.colours.data(), at);
          pixels.add(batch, s.projected.records.data(), order);
        }
        pixels.store(at, s.grid, out);
      }
    });
  };
  if (!s.order.record) {
    one_band(s.bins);
    return out;
  }
  const auto rows = intersections_per_row(e, s.projected, s.grid);
  const idx most = static_cast<idx>(s.options.band_bytes / sizeof(std::int32_t));
  for (idx begin = 0; begin < s.grid.rows();) {
    idx end = begin, sum = 0;
    do { sum += rows(end++); } while (end < s.grid.rows() && sum + rows(end) <= most);
    one_band(bin(e, s.projected, s.grid, s.order, {begin, end}));
    begin = end;
  }
  return out;
}

} // namespace sqs::splat

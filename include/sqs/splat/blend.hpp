// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Third stage of the rasterizer: alpha blending, front to back, tile by tile.
///
/// Per pixel, over its Gaussians i in order of depth, with d = pixel centre - centre_i:
///   alpha_i = min(alpha_max, o_i exp(-d^T Q_i d / 2)), skipped below alpha_cut
///   w_i = alpha_i T_i,  T_{i+1} = T_i (1 - alpha_i),  until T reaches `stop`
///   image = sum w_i c_i + T_end background,  depths as in `depth_kinds`,  transmittance = T_end
///
/// A cell of pixels stays in registers while the Gaussians that reach it pass by. Channels beyond the third are a
/// matrix product: the weights of a batch are kept and multiplied with the batch's features, a few channels at a time.

#include <sqs/exec/parallel.hpp>
#include <sqs/splat/tile.hpp>

namespace sqs::splat {

/// Output of `blend`, over the pixels of all views, one view after the other.
template <class T> struct blended {
  tensor<T, 2> image;           ///< [P,C]
  tensor<T, 2> depth;           ///< [P,D] for D depth kinds
  tensor<T, 1> transmittance;   ///< [P], of everything together
  tensor<std::int32_t, 1> seen; ///< [tiles], entries looked at before all pixels of the tile were finished
};

namespace detail {

/// The pixels of one tile while it is blended, cell by cell.
template <class K, class T> struct forward_tile {
  using shape = tile_shape<K, T>;
  using plan = channel_plan<K>;
  using cell = typename shape::cell;
  using pack = typename shape::pack;
  using batch_type = tile_batch<K, T, 64>;

  struct state {
    cell t, left; ///< T as the recursion has it, and as it was when the pixel stopped
    cell sum[plan::fused];
    [[no_unique_address]] maybe_array<cell, K::median ? 1 : 0, 0> median;
    [[no_unique_address]] maybe_array<cell, plan::features, 1> feature;
  };
  state cells[shape::cells];
  bool open_cells[shape::cells];
  // Per cell the entries of the batch that reach it.
  std::int32_t list[shape::cells][batch_type::size + batch_type::n + shape::together];
  int length[shape::cells];
  [[no_unique_address]] maybe_array<cell, plan::features == 0 ? 0 : batch_type::size + shape::together, 2> weights;

  void start(const tile_place& at, const tile_grid& grid, const raster_mask& mask) {
    for (int c = 0; c < shape::cells; ++c) {
      auto& s = cells[c];
      open_cells[c] = start_cell<shape>(c, at, grid, mask, s.t);
      s.left = cell(1);
      for (auto& x : s.sum) { x = cell(0); }
      for (auto& x : s.median) { x = cell(0); }
      for (auto& x : s.feature) { x = cell(0); }
    }
  }
  bool open() const { return std::find(open_cells, open_cells + shape::cells, true) != open_cells + shape::cells; }
  /// Blends a batch; `bits` takes the cells that were reached.
  void add(batch_type& batch, cell_bits<batch_type>& bits) {
    std::fill_n(length, shape::cells, 0);
    typename batch_type::number sum{};
    batch.find_cells([&](int c, int first, const auto& reached) {
      length[c] += store_indices(reached, first, list[c] + length[c]);
      bits.add(c, first, reached, sum);
    });
    for (int c = 0; c < shape::cells; ++c) {
      if (!open_cells[c] || length[c] == 0) { continue; }
      std::fill_n(list[c] + length[c], shape::together, batch.nothing);
      const int done = blend_cell(c, batch);
      if constexpr (plan::features > 0) { add_features(c, batch, std::min(done, length[c])); }
    }
  }

private:
  /// Returns how many entries were looked at before the cell was finished.
  int blend_cell(int index, const batch_type& batch) {
    state& s = cells[index];
    const int count = length[index];
    cell t = s.t, left = s.left, sum[plan::fused];
    [[maybe_unused]] cell median = s.t;
    if constexpr (K::median) { median = s.median[0]; }
    for (int c = 0; c < plan::fused; ++c) { sum[c] = s.sum[c]; }
    int i = 0;
    for (; i < count; i += shape::together) {
      const std::int32_t* entries = list[index] + i;
      pack alpha;
      evaluate(
          batch, entries, [index](int) { return index; }, alpha, static_cast<pack*>(nullptr));
      SQS_UNROLL
      for (int e = 0; e < shape::together; ++e) {
        const blend_step<K, cell> step(shape::one_of(alpha, e), t);
        left = select(step.open, step.next, left);
        SQS_UNROLL
        for (int c = 0; c < plan::fused; ++c) { sum[c] = fma(step.weight, cell(batch.value[c][entries[e]]), sum[c]); }
        if constexpr (K::median) {
          const auto crossing = step.open & (t >= cell(0.5)) & (step.next < cell(0.5));
          median = select(crossing, cell(batch.depth[entries[e]]), median);
        }
        if constexpr (plan::features > 0) { weights[i + e] = step.weight; }
        t = step.next;
      }
      t = above_denormal<K>(t);
      if (!any(t > cell(K::stop))) {
        open_cells[index] = false;
        i += shape::together;
        break;
      }
    }
    s.t = t, s.left = left;
    if constexpr (K::median) { s.median[0] = median; }
    for (int c = 0; c < plan::fused; ++c) { s.sum[c] = sum[c]; }
    return i;
  }

  /// feature[c] += sum over the batch of weight * feature of the Gaussian.
  void add_features(int index, const batch_type& batch, int count) {
    constexpr int chunk = 24 / shape::registers, whole = plan::features / chunk * chunk;
    for (int c = 0; c < whole; c += chunk) { add_chunk<chunk>(index, batch, count, c); }
    if constexpr (plan::features > whole) { add_chunk<plan::features - whole>(index, batch, count, whole); }
  }
  template <int Chunk> void add_chunk(int index, const batch_type& batch, int count, int first) {
    cell* const feature = cells[index].feature.begin() + first;
    cell sum[Chunk];
    SQS_UNROLL
    for (int c = 0; c < Chunk; ++c) { sum[c] = feature[c]; }
    for (int i = 0; i < count; ++i) {
      const T* f = batch.features[list[index][i]] + first;
      const cell w = weights[i];
      SQS_UNROLL
      for (int c = 0; c < Chunk; ++c) { sum[c] = fma(w, cell(f[c]), sum[c]); }
    }
    SQS_UNROLL
    for (int c = 0; c < Chunk; ++c) { feature[c] = sum[c]; }
  }
};

/// Asks for the memory that `store_tile` will write: it comes while the tile is blended. Inlined, because gcc drops calls
/// of functions that do nothing else.
template <class K, class T>
SQS_INLINE void fetch_tile(const tile_place& at, const tile_grid& grid, const blended<T>& out) {
  constexpr int line = 64 / int{sizeof(T)};
  const auto& view = grid[at.view];
  for (int y = 0; y < at.height; ++y) {
    const idx first = view.first_pixel + idx{at.y0 + y} * view.width + at.x0;
    const T* image = out.image.data() + first * K::channels;
    for (int i = 0; i < at.width * K::channels; i += line) { __builtin_prefetch(image + i, 1, 2); }
    __builtin_prefetch(out.transmittance.data() + first, 1, 2);
  }
}

/// Writes a finished tile into the images: first plane by plane, then pixel by pixel.
template <class K, class T> void store_tile(const forward_tile<K, T>& tile, const tile_place& at, const tile_grid& grid,
                                            const T* background, blended<T>& out) {
  using shape = tile_shape<K, T>;
  using plan = channel_plan<K>;
  using cell = typename shape::cell;
  constexpr int channels = K::channels, depths = K::depths, edge = shape::tile;
  static_assert(channels > 0);
  constexpr int area = edge * edge;
  T plane[(channels + depths + 1) * area];
  T* next = plane;
  const auto put = [&](auto&& of) {
    store_cells<shape>(next, [&](int i) { return of(tile.cells[i]); });
    next += area;
  };
  for (int c = 0; c < plan::near_colours; ++c) {
    put([&](const auto& s) { return fma(s.left, cell(background[c]), s.sum[c]); });
  }
  for (int c = 0; c < plan::features; ++c) {
    put([&](const auto& s) { return s.feature[c] + s.left * background[plan::near_colours + c]; });
  }
  [[maybe_unused]] constexpr int z = plan::z ? plan::near_colours : 0;
  if constexpr (K::accumulated) {
    put([](const auto& s) { return s.sum[z]; });
  }
  if constexpr (K::expected) {
    put([](const auto& s) {
      const cell opacity = cell(1) - s.left;
      return select(opacity > cell(0), s.sum[z] * reciprocal(opacity), cell(0));
    });
  }
  if constexpr (K::inverse) {
    put([](const auto& s) { return s.sum[plan::fused - 1]; });
  }
  if constexpr (K::median) {
    put([](const auto& s) { return s.median[0]; });
  }
  put([](const auto& s) { return s.left; });
  const auto& view = grid[at.view];
  const auto write = [&](auto width) {
    for (int y = 0; y < at.height; ++y) {
      const idx first = view.first_pixel + idx{at.y0 + y} * view.width + at.x0;
      const T* row = plane + y * edge;
      T *image = out.image.data() + first * channels, *depth = out.depth.data() + first * depths;
      int c = 0;
      if constexpr (!std::is_same_v<decltype(width), int>) { // four channels of a register of pixels at a time
        for (; c + 4 <= channels; c += 4) { interleave_fours<edge>(row + c * area, area, image + c, channels); }
        if constexpr (channels == 3) {
          constexpr int n = edge < shape::number::size ? edge : shape::number::size;
          for (int x = 0; x < edge; x += n) {
            const auto load = [&](int i) { return simd<T, n>::load(row + i * area + x); };
            store_triples<T, n>({load(0), load(1), load(2)}, image + 3 * x);
          }
          c = 3;
        }
      }
      for (int x = 0; x < width; ++x) {
        for (int i = c; i < channels; ++i) { image[x * channels + i] = row[i * area + x]; }
        for (int i = 0; i < depths; ++i) { depth[x * depths + i] = row[(channels + i) * area + x]; }
      }
      std::copy_n(row + (channels + depths) * area, idx{width}, out.transmittance.data() + first);
    }
  };
  if (at.width == edge) {
    write(std::integral_constant<int, edge>{});
  } else {
    write(at.width);
  }
}

} // namespace detail

/// For every entry of a band's lists, the cells it reaches that had pixels left to draw: [I, words], bit c % 16 of word
/// c / 16 for cell c. Entries that were not looked at have none of it written.
using reached_cells = tensor<std::uint16_t, 2>;

/// Memory for the images of a grid.
template <raster_config Config, class T> blended<T> make_blended(cpu& e, const tile_grid& grid) {
  using k = raster_constants<Config, T>;
  return {empty<T, 2>(e, {grid.pixels(), k::channels}), empty<T, 2>(e, {grid.pixels(), k::depths}),
          empty<T, 1>(e, {grid.pixels()}), empty<std::int32_t, 1>(e, {grid.tiles()})};
}

/// Blends the lists of a band's tiles into the images; `reached`, if not null, becomes what the way back needs.
///
/// Shapes      records and bins of the same configuration; colours [G, columns]; background [V,C].
/// Execution   parallel over tiles; bitwise the same for any thread count.
/// Cost        20 + 2C flop per (pixel, Gaussian) pair looked at.
template <raster_config Config, class T>
void blend(cpu& e, const projection<T>& p, const tile_grid& grid, const tile_bins& bins, const tensor<T, 2>& colours,
           const tensor<T, 2>& background, const raster_mask& mask, blended<T>& out, reached_cells* reached = nullptr) {
  using k = raster_constants<Config, T>;
  constexpr int words = detail::tile_shape<k, T>::words;
  if (reached != nullptr) { *reached = empty<std::uint16_t, 2>(e, {bins.intersections(), words}); }
  const auto one_tile = [&](idx tile) {
    const auto at = detail::place_of<k::tile>(grid, tile);
    detail::forward_tile<k, T> pixels;
    typename detail::forward_tile<k, T>::batch_type batch;
    detail::cell_bits<decltype(batch)> bits;
    pixels.start(at, grid, mask);
    detail::fetch_tile<k>(at, grid, out);
    const idx begin = bins.begin.data()[tile - bins.first_tile], end = bins.begin.data()[tile - bins.first_tile + 1];
    idx i = begin;
    const bool drawn = !mask.tiles || mask.tiles.data()[tile] != 0;
    while (i < end && drawn && pixels.open()) {
      batch.fill(p.records.data(), bins.order.data() + i, end - i, colours.data(), at);
      bits.start(pixels.open_cells);
      pixels.add(batch, bits);
      if (reached != nullptr) { bits.store(batch.count, reached->data() + i * words); }
      i += batch.count;
    }
    out.seen.data()[tile] = static_cast<std::int32_t>(i - begin);
    detail::store_tile(pixels, at, grid, background.data() + at.view * k::channels, out);
  };
  parallel_for(e, bins.last_tile - bins.first_tile, 1, [&](idx begin, idx end) {
    for (idx t = begin; t < end; ++t) { one_tile(bins.first_tile + t); }
  });
}

/// What `blend` puts into `reached`, with cells more that had no pixel left to draw.
template <raster_config Config, class T>
reached_cells find_reached(cpu& e, const projection<T>& p, const tile_grid& grid, const tile_bins& bins,
                           const tensor<T, 2>& colours, const blended<T>& out) {
  using k = raster_constants<Config, T>;
  using batch_type = typename detail::forward_tile<k, T>::batch_type;
  using shape = typename batch_type::shape;
  auto reached = empty<std::uint16_t, 2>(e, {bins.intersections(), shape::words});
  parallel_for(e, bins.last_tile - bins.first_tile, 1, [&](idx first, idx last) {
    batch_type batch;
    detail::cell_bits<batch_type> bits;
    bool all[shape::cells];
    std::fill_n(all, shape::cells, true);
    bits.start(all);
    for (idx t = first; t < last; ++t) {
      const idx tile = bins.first_tile + t, begin = bins.begin.data()[t], end = begin + out.seen.data()[tile];
      const auto at = detail::place_of<k::tile>(grid, tile);
      for (idx i = begin; i < end; i += batch.count) {
        batch.fill(p.records.data(), bins.order.data() + i, end - i, colours.data(), at);
        typename batch_type::number sum{};
        batch.find_cells([&](int c, int from, const auto& mask) { bits.add(c, from, mask, sum); });
        bits.store(batch.count, reached.data() + i * shape::words);
      }
    }
  });
  return reached;
}

} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A tile as the blend sees it: cells of 4 x 4 pixels, and for a batch of the tile's Gaussians the list of those that
/// reach each cell. Forward and backward share everything here, so that both see the same bits.

#include <sqs/core/simd_group.hpp>
#include <sqs/core/simd_shuffle.hpp>
#include <sqs/splat/scene.hpp>

namespace sqs::splat::detail {

/// How a tile is cut into cells, and cells into registers. `pack` holds the pixels of a cell for several Gaussians at
/// once: what does not depend on the transmittance is computed for all of them together.
template <class K, class T> struct tile_shape {
  static constexpr int tile = K::tile, edge = 4, pixels = edge * edge;
  static constexpr int across = tile / edge, cells = across * across, words = (cells + 15) / 16;
  static constexpr int lanes = native_lanes<T>, registers = pixels / lanes;
  static constexpr int together = registers >= 4 ? 1 : 4 / registers; ///< Gaussians of a pack
  using number = simd<T, lanes>;
  using cell = simd_group<number, registers>;
  using pack = simd_group<number, registers * together>;

  /// Pixel p of a cell lies at (p % 4, p / 4); its offset from the middle of the cell.
  static cell offset_x() {
    return each_pixel([](int p) { return static_cast<float>(p % edge) - 1.5f; });
  }
  static cell offset_y() {
    return each_pixel([](int p) { return static_cast<float>(p / edge) - 1.5f; });
  }
  template <class F> static cell each_pixel(F f) {
    cell c;
    for (int p = 0; p < pixels; ++p) { c.r[p / lanes].v[p % lanes] = static_cast<T>(f(p)); }
    return c;
  }
  /// Calls f(e) for the Gaussians of a pack and puts the cells it returns side by side.
  template <class F> static SQS_INLINE pack side_by_side(F&& f) {
    pack p;
    SQS_UNROLL
    for (int e = 0; e < together; ++e) {
      const cell c = f(e);
      SQS_UNROLL
      for (int r = 0; r < registers; ++r) { p.r[e * registers + r] = c.r[r]; }
    }
    return p;
  }
  /// The cell of Gaussian e of a pack.
  static cell one_of(const pack& p, int e) {
    cell c;
    for (int r = 0; r < registers; ++r) { c.r[r] = p.r[e * registers + r]; }
    return c;
  }
  static void store(const cell& c, T* out) {
    for (int r = 0; r < registers; ++r) { c.r[r].store(out + r * lanes); }
  }
  static cell load(const T* in) {
    cell c;
    for (int r = 0; r < registers; ++r) { c.r[r] = number::load(in + r * lanes); }
    return c;
  }
};

/// Channels that are blended together with the weights: up to three colours, then z and 1/z where depth needs them.
/// Channels beyond are blended from stored weights, see blend.hpp.
template <class K> struct channel_plan {
  static constexpr int near_colours = K::channels < 3 ? K::channels : 3;
  static constexpr bool z = K::accumulated || K::expected, inverse_z = K::inverse;
  static constexpr int fused = near_colours + int{z} + int{inverse_z};
  static constexpr int features = K::channels - near_colours;
};

/// Index of pixel p of a cell among those of all views, -1 outside the image.
template <class Shape> idx pixel_index(const tile_place& at, const tile_grid& grid, int cell, int p) {
  const int x = cell % Shape::across * Shape::edge + p % Shape::edge,
            y = cell / Shape::across * Shape::edge + p / Shape::edge;
  const auto& view = grid[at.view];
  return x < at.width && y < at.height ? view.first_pixel + idx{at.y0 + y} * view.width + at.x0 + x : -1;
}

/// Asks for a record, which may lie across two cache lines.
template <class T> SQS_INLINE void fetch(const projected_gaussian<T>& r) {
  __builtin_prefetch(&r), __builtin_prefetch(&r.gaussian);
}

/// A batch of a tile's Gaussians made ready for its pixels.
///
/// The form of a Gaussian, (lx (dx + k dy))^2 + (ly dy)^2, is split into what depends on the cell and what depends on the
/// pixel's place in it: across = across_at[cell] + across_in[pixel], down = down_at[row] + down_in[pixel]. The first are
/// computed for a register of Gaussians at a time, the second once per Gaussian.
template <class K, class T, int Size> struct tile_batch {
  using shape = tile_shape<K, T>;
  using plan = channel_plan<K>;
  static constexpr int n = native_lanes<T>, size = Size, nothing = size; ///< entry that draws nothing, fills up packs
  static constexpr int room = size + n;
  using number = simd<T, n>;

  T x[room], y[room]; ///< centre
  T lx[room], k[room], ly[room], log2_opacity[room], shear[room], depth[room];
  T value[plan::fused][room]; ///< the channels that are blended with the weights
  T across_at[shape::cells][room], down_at[shape::across][room];
  alignas(register_bytes) T across_in[room][shape::pixels], down_in[room][shape::pixels];
  const T* features[plan::features > 0 ? size : 1]; ///< of each, the channels from the fourth on
  int count = 0;
  T x0, y0; ///< corner of the tile

  tile_batch() {
    x[nothing] = y[nothing] = lx[nothing] = k[nothing] = ly[nothing] = depth[nothing] = T(0);
    log2_opacity[nothing] = T(-1000);
    for (auto& v : value) { v[nothing] = T(0); }
    for (auto& v : across_at) { v[nothing] = T(0); }
    for (auto& v : down_at) { v[nothing] = T(0); }
    std::fill_n(across_in[nothing], shape::pixels, T(0));
    std::fill_n(down_in[nothing], shape::pixels, T(0));
  }
  /// Takes the next records of a tile's list, of which `entries` are left; returns how many.
  int fill(const projected_gaussian<T>* records, const std::int32_t* order, idx entries, const T* colours,
           const tile_place& at) {
    x0 = T(at.x0), y0 = T(at.y0);
    count = static_cast<int>(std::min<idx>(size, entries));
    constexpr int step = n < 4 ? 4 : n;
    for (int i = 0; i < count; i += step) {
      const T* from[step];
      for (int j = 0; j < step; ++j) {
        if (entries > size) { fetch(records[order[std::min<idx>(i + j + 16, entries - 1)]]); }
        const auto& r = records[order[std::min(i + j, count - 1)]];
        from[j] = &r.x;
        if constexpr (plan::features > 0) {
          features[i + j] =
              colours + idx{r.gaussian} * K::columns + (K::sh_degree < 0 ? plan::near_colours : K::sh_columns);
          for (int c = 0; c < plan::features; c += 64 / int{sizeof(T)}) { __builtin_prefetch(features[i + j] + c); }
          __builtin_prefetch(features[i + j] + plan::features - 1);
        }
      }
      const auto next = [&] {
        for (auto& p : from) { p += 4; }
      };
      transpose_fours(from, {x + i, y + i, lx + i, k + i});
      next();
      transpose_fours(from, {ly + i, log2_opacity + i, shear + i, depth + i});
      next();
      T unused[step];
      const auto channel = [&](int c) { return c < plan::near_colours ? value[c] + i : unused; };
      transpose_fours(from, {channel(0), channel(1), channel(2), unused});
      if constexpr (plan::z) { std::copy_n(depth + i, step, value[plan::near_colours] + i); }
      if constexpr (plan::inverse_z) {
        for (int j = 0; j < step; ++j) { value[plan::near_colours + int{plan::z}][i + j] = T(1) / depth[i + j]; }
      }
    }
    const typename shape::cell u = shape::offset_x(), v = shape::offset_y();
    for (int i = 0; i < count; ++i) {
      shape::store(fma(v, typename shape::cell(k[i]), u) * lx[i], across_in[i]);
      shape::store(v * ly[i], down_in[i]);
    }
    return count;
  }
  /// One number of each Gaussian of a pack.
  SQS_INLINE typename shape::pack gather(const T* numbers, const std::int32_t* entries) const {
    typename shape::pack p;
    SQS_UNROLL
    for (int r = 0; r < shape::registers * shape::together; ++r) {
      p.r[r] = number(numbers[entries[r / shape::registers]]);
    }
    return p;
  }

  /// Fills across_at and down_at: what `find_cells` does, too.
  SQS_INLINE void place() {
    for (int first = 0; first < count; first += n) {
      const auto load = [&](const T* p) { return number::load(p + first); };
      const number cx = load(x) - x0, cy = load(y) - y0, sx = load(lx), kx = load(k), sy = load(ly);
      for (int row = 0; row < shape::across; ++row) {
        const number middle_y = first_centre(row, cy) + to_middle;
        (sy * middle_y).store(down_at[row] + first);
        for (int i = 0; i < shape::across; ++i) {
          (sx * fma(kx, middle_y, first_centre(i, cx) + to_middle)).store(across_at[row * shape::across + i] + first);
        }
      }
    }
  }
  /// Fills across_at and down_at, and calls reached(cell, first, mask) for every cell and every register of entries: which
  /// of first, first + 1, ... reach the cell. They do if the largest value of their form over the cell's pixel centres
  /// reaches the cut. That lies at the centre, if the cell contains it, or else on an edge that faces it.
  template <class F> SQS_INLINE void find_cells(F&& reached) {
    for (int first = 0; first < count; first += n) {
      const auto load = [&](const T* p) { return number::load(p + first); };
      const number cx = load(x) - x0, cy = load(y) - y0, sx = load(lx), kx = load(k), sy = load(ly), turn = load(shear);
      // The slack covers rounding here and in the blend: a cell more costs time, a cell less an error.
      const number reach = (load(log2_opacity) - K::log2_cut) * T(1.0001) + T(1e-3);
      const auto real = iota<T, n>() < number(count - first);
      constexpr T far_edge = T(shape::edge - 1);
      number left[shape::across], near_x[shape::across], wanted_y[shape::across];
      for (int i = 0; i < shape::across; ++i) {
        left[i] = first_centre(i, cx);
        near_x[i] = max(left[i], min(left[i] + far_edge, number())); // 0 inside
        wanted_y[i] = -turn * near_x[i];
      }
      for (int row = 0; row < shape::across; ++row) {
        const number top = first_centre(row, cy), bottom = top + far_edge;
        const number near_y = max(top, min(bottom, number())), shift = kx * near_y, down = sy * near_y;
        const number down2 = down * down, middle_y = top + to_middle;
        (sy * middle_y).store(down_at[row] + first);
        for (int i = 0; i < shape::across; ++i) {
          const number dy = max(top, min(bottom, wanted_y[i])), dx = max(left[i], min(left[i] + far_edge, -shift));
          const number a1 = sx * fma(kx, dy, near_x[i]), d1 = sy * dy, a2 = sx * (dx + shift);
          const number form = min(fma(a1, a1, d1 * d1), fma(a2, a2, down2));
          const int cell = row * shape::across + i;
          (sx * fma(kx, middle_y, left[i] + to_middle)).store(across_at[cell] + first);
          reached(cell, first, real & !(form > reach));
        }
      }
    }
  }

private:
  /// From Gaussians at `centre` to the first pixel centre of cell column (or row) i, and from there to the cell's middle.
  static SQS_INLINE number first_centre(int i, number centre) { return T(i * shape::edge) + T(0.5) - centre; }
  static constexpr T to_middle = T(1.5);
};

/// The cells each Gaussian of a batch reaches, from what `find_cells` calls: bit c % 16 of word c / 16.
template <class Batch> struct cell_bits {
  using shape = typename Batch::shape;
  using number = typename Batch::number;
  using T = std::remove_cvref_t<decltype(Batch::x0)>;
  static constexpr int words = shape::words;
  // Powers of two added to this appear as bits in the lowest digits.
  static constexpr T base = T(idx{1} << (std::numeric_limits<T>::digits - 1));
  T bit[shape::cells]; ///< of each cell, 0 where no pixel is left to draw
  T sums[words][Batch::room];

  void start(const bool (&open_cells)[shape::cells]) {
    for (int c = 0; c < shape::cells; ++c) { bit[c] = open_cells[c] ? T(1 << c % 16) : T(0); }
  }
  /// `sum` is the caller's: a local variable stays in a register.
  template <class Mask> SQS_INLINE void add(int c, int first, const Mask& reached, number& sum) {
    if (c % 16 == 0) { sum = number(base); }
    sum = sum + select(reached, number(bit[c]), number());
    if (c % 16 == 15 || c == shape::cells - 1) { sum.store(sums[c / 16] + first); }
  }
  /// Writes the words of each entry.
  void store(int count, std::uint16_t* out) const {
    std::uint16_t word[words][Batch::room];
    for (int w = 0; w < words; ++w) {
      for (int i = 0; i < count; i += Batch::n) { store_low_words(number::load(sums[w] + i), word[w] + i); }
    }
    for (int i = 0; words > 1 && i < count; ++i) {
      for (int w = 0; w < words; ++w) { out[i * words + w] = word[w][i]; }
    }
    if constexpr (words == 1) { std::copy_n(word[0], count, out); }
  }
};

/// N things, or nothing and no room: a zero-sized std::array would take a register's room.
template <class X, int N, int Tag> struct maybe_array {
  X at[N];
  X& operator[](idx i) { return at[i]; }
  const X& operator[](idx i) const { return at[i]; }
  X* begin() { return at; }
  X* end() { return at + N; }
};
template <class X, int Tag> struct maybe_array<X, 0, Tag> {
  X& operator[](idx) const { __builtin_unreachable(); }
  X* begin() { return nullptr; }
  X* end() { return nullptr; }
};

/// Four planes `stride` apart become four channels of `Pixels` pixels of `channels` numbers each.
template <int Pixels, class T> void interleave_fours(const T* planes, idx stride, T* pixels, idx channels) {
  constexpr int n = Pixels < native_lanes<T> ? Pixels : native_lanes<T>;
  for (int x = 0; x < Pixels; x += n) {
    const auto plane = [&](int i) { return simd<T, n>::load(planes + i * stride + x); };
    store_fours<T, n>({plane(0), plane(1), plane(2), plane(3)}, [=](int l) { return pixels + (x + l) * channels; });
  }
}
/// Calls f(index, cell) for a row of cells of a plane, whose pixels lie row by row from the first of these cells on.
template <class Shape, class T, class F> SQS_INLINE void load_cells(const T* plane, int row, F&& f) {
  constexpr int edge = Shape::edge;
  if constexpr (Shape::registers == 1 && Shape::across % 4 == 0) { // four cells at a time
    for (int i = 0; i < Shape::across; i += 4) {
      typename Shape::number x[4];
      for (int y = 0; y < 4; ++y) { x[y] = Shape::number::load(plane + i * edge + y * Shape::tile); }
      transpose_quarters(x);
      for (int j = 0; j < 4; ++j) { f(row * Shape::across + i + j, typename Shape::cell{{x[j]}}); }
    }
  } else {
    for (int i = 0; i < Shape::across; ++i) {
      T pixels[Shape::pixels];
      for (int y = 0; y < edge; ++y) { std::copy_n(plane + i * edge + y * Shape::tile, edge, pixels + y * edge); }
      f(row * Shape::across + i, Shape::load(pixels));
    }
  }
}
/// The way back for a whole plane: f(index) is the cell of that number.
template <class Shape, class T, class F> SQS_INLINE void store_cells(T* plane, F&& f) {
  constexpr int edge = Shape::edge;
  for (int row = 0; row < Shape::across; ++row, plane += edge * Shape::tile) {
    if constexpr (Shape::registers == 1 && Shape::across % 4 == 0) { // four cells at a time
      for (int i = 0; i < Shape::across; i += 4) {
        typename Shape::number x[4];
        for (int j = 0; j < 4; ++j) { x[j] = f(row * Shape::across + i + j).r[0]; }
        transpose_quarters(x);
        for (int y = 0; y < 4; ++y) { x[y].store(plane + i * edge + y * Shape::tile); }
      }
    } else {
      for (int i = 0; i < Shape::across; ++i) {
        T pixels[Shape::pixels];
        Shape::store(f(row * Shape::across + i), pixels);
        for (int y = 0; y < edge; ++y) { std::copy_n(pixels + y * edge, edge, plane + i * edge + y * Shape::tile); }
      }
    }
  }
}

/// T of a cell's pixels at the start: 1 inside the image and where the mask lets draw, 0 elsewhere, so that padding
/// holds no tile open. Returns whether any pixel is to be drawn.
template <class Shape, class Cell>
bool start_cell(int cell, const tile_place& at, const tile_grid& grid, const raster_mask& mask, Cell& t) {
  const bool inside =
      (cell % Shape::across + 1) * Shape::edge <= at.width && (cell / Shape::across + 1) * Shape::edge <= at.height;
  t = Cell(1);
  if (inside && !mask.pixels) { return true; }
  bool any = false;
  t = Shape::each_pixel([&](int p) {
    const idx pixel = pixel_index<Shape>(at, grid, cell, p);
    const bool draw = pixel >= 0 && (!mask.pixels || mask.pixels.data()[pixel] != 0);
    any = any || draw;
    return draw ? 1 : 0;
  });
  return any;
}

/// 6 t^5 - 15 t^4 + 10 t^3 on [0, 1], constant outside, and its slope.
template <class V, class T> V smooth_step(const V& x, T width, V& slope) {
  const V one(T(1)), t = max(V(T(0)), min(one, x * (T(1) / width)));
  const V u = t * (one - t);
  slope = (T(30) / width) * (u * u);
  return t * t * t * (t * (T(6) * t - T(15)) + T(10));
}

/// alpha of the pixels of cells for the Gaussians of a pack, cell_of(e) being that of Gaussian e, and d(alpha)/d(log of
/// the uncapped value) where the cap does not act: both 0 where the Gaussian is skipped.
template <class K, class T, int Size, class V, class F> SQS_INLINE void evaluate(const tile_batch<K, T, Size>& batch,
                                                                                 const std::int32_t* entries,
                                                                                 F&& cell_of, V& alpha, V* slope) {
  using shape = tile_shape<K, T>;
  const V down = shape::side_by_side([&](int e) {
    return shape::load(batch.down_in[entries[e]]) + batch.down_at[cell_of(e) / shape::across][entries[e]];
  });
  const V across = shape::side_by_side(
      [&](int e) { return shape::load(batch.across_in[entries[e]]) + batch.across_at[cell_of(e)][entries[e]]; });
  const V q = fma(across, -across, fma(down, -down, batch.gather(batch.log2_opacity, entries)));
  const auto kept = q >= V(K::log2_cut);
  const V value = exp2(q), cap(K::alpha_max), zero(T(0)); // garbage far below the cut, which the selects drop
  if constexpr (K::cut_width == T(0)) {
    alpha = select(kept, min(value, cap), zero);
    if (slope != nullptr) { *slope = alpha; }
  } else {
    const V raw = select(kept, value, zero);
    V ramp_slope;
    const V ramp = smooth_step(raw - V(K::alpha_cut), K::cut_width, ramp_slope), faded = raw * ramp;
    alpha = min(faded, cap);
    if (slope != nullptr) { *slope = raw * (ramp + raw * ramp_slope); }
  }
}

/// One step of the recursion. T runs on past the stop: as it only ever falls, "stopped" needs no memory, and nothing
/// but one product lies between one Gaussian's T and the next.
template <class K, class V> struct blend_step {
  V weight, next;
  typename V::mask open; ///< the Gaussian is blended
  SQS_INLINE blend_step(const V& alpha, const V& t) {
    next = fma(-t, alpha, t);
    open = (K::exclusive ? next : t) > V(K::stop);
    weight = select(open, alpha * t, V(0));
  }
};
/// Keeps a stopped T away from the denormal numbers, whose arithmetic is slow: for every few steps.
template <class K, class V> V above_denormal(const V& t) {
  constexpr auto least = K::stop < 1e-20f ? K::stop : 1e-20f;
  return max(t, V(least));
}

} // namespace sqs::splat::detail

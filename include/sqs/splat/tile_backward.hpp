// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One tile of the blend's backward pass: the replay of its Gaussians, and their sums over its pixels.

#include <sqs/splat/tile_gradient.hpp>

namespace sqs::splat {

namespace detail {

/// The pixels of one tile, and the sums over them for every Gaussian of a batch.
///
/// Forward goes cell by cell; here the Gaussians come first, so that their sums stay in registers while their cells pass.
/// A pair is a Gaussian and a cell it reaches; what needs no transmittance is computed for all pairs of a batch before
/// the recursion begins, so that its long chains overlap.
template <class K, class T> struct backward_tile {
  using shape = tile_shape<K, T>;
  using plan = channel_plan<K>;
  using number = typename shape::number;
  using cell = typename shape::cell;
  using pack = typename shape::pack;
  using batch_type = tile_batch<K, T, 16>;
  static constexpr int edge = shape::tile;
  // Sums of a Gaussian: six moments, |centre gradient|, d(fused values), d(median's z), d(features).
  static constexpr int abs_at = 6, value_at = abs_at + (K::absgrad ? 2 : 0), median_at = value_at + plan::fused,
                       feature_at = median_at + (K::median ? 1 : 0), sums = feature_at + plan::features;

  struct state {
    cell t, rest; ///< T and S
    cell d_value[plan::fused];
    [[no_unique_address]] maybe_array<cell, K::median ? 1 : 0, 0> d_median;
    [[no_unique_address]] maybe_array<cell, plan::features, 1> d_feature;
  };
  struct pair {
    cell alpha;
    [[no_unique_address]] maybe_array<cell, (K::cut_width > T(0)) ? 1 : 0, 0> slope;
  };
  /// Entries of a batch that are replayed together: all of it, or as many as leave the cells' features their place in the
  /// first-level cache.
  static constexpr int together = plan::features == 0 ? batch_type::size : 4;
  static constexpr int most_pairs = together * shape::cells;
  state cells[shape::cells];
  bool open_cells[shape::cells];
  number sum[together][sums];
  /// Of the cells of one Gaussian: features . dImage; once the recursion has passed, the weight.
  [[no_unique_address]] maybe_array<cell, plan::features == 0 ? 0 : shape::cells, 2> along;
  pair pairs[most_pairs + shape::together];
  std::int32_t pair_entry[most_pairs + 16], pair_cell[most_pairs + 16];
  int first_pair[together + 1];
  int chosen = 0;
  std::uint16_t words[batch_type::size + 1][shape::words]; ///< the cells each of those chosen reaches

  /// Reads the gradients of the tile's pixels; writes the background's gradient to `d_background`. Returns whether all
  /// were finite.
  bool start(const tile_place& at, const tile_grid& grid, const raster_mask& mask, const blended<T>& out,
             const image_gradients<T>& d, T* d_background) {
    tile_gradient<K, T> p;
    cell sum_of_rests(0);
    for (int i = 0; i < shape::cells; ++i) { open_cells[i] = start_cell<shape>(i, at, grid, mask, cells[i].t); }
    for (int row = 0; row < shape::across; ++row) {
      p.read(row, at, grid, out, d);
      const auto load = [&](const T* plane, auto&& f) { load_cells<shape>(plane, row, f); };
      load(p.rest, [&](int i, const cell& x) {
        cells[i].rest = x;
        sum_of_rests = sum_of_rests + (x - x); // NaN where it is not finite
      });
      for (int c = 0; c < plan::fused; ++c) {
        load(p.value + c * p.area, [&](int i, const cell& x) { cells[i].d_value[c] = x; });
      }
      if constexpr (K::median) {
        load(p.median, [&](int i, const cell& x) {
          cells[i].d_median[0] = x;
          sum_of_rests = sum_of_rests + (x - x);
        });
      }
      for (int c = 0; c < plan::features; ++c) {
        load(p.value + (plan::fused + c) * p.area, [&](int i, const cell& x) { cells[i].d_feature[c] = x; });
      }
    }
    for (int c = 0; c < K::channels; ++c) {
      d_background[c] = T(0);
      for (const T x : p.background[c]) { d_background[c] += x; }
    }
    number all = sum_of_rests.r[0];
    for (int r = 1; r < shape::registers; ++r) { all = all + sum_of_rests.r[r]; }
    return sum_of(all) == T(0);
  }

  /// Takes from a list of `left` entries and the cells they reach up to a batch of those that reach pixels not finished;
  /// the rest could not add anything. Writes their records; returns how many of the list it went through.
  idx choose(const projected_gaussian<T>* records, const std::int32_t* order, const std::uint16_t* reached, idx left,
             std::int32_t* record) {
    unsigned open[shape::words]{};
    for (int c = 0; c < shape::cells; ++c) { open[c / 16] |= open_cells[c] ? 1u << c % 16 : 0u; }
    chosen = 0;
    idx i = 0;
    for (; i < left && chosen < batch_type::size; ++i) { // written in any case: the next overwrites what adds nothing
      record[chosen] = order[i];
      fetch(records[order[std::min(i + 32, left - 1)]]);
      unsigned any = 0;
      for (int w = 0; w < shape::words; ++w) {
        const unsigned bits = reached[i * shape::words + w] & open[w];
        words[chosen][w] = static_cast<std::uint16_t>(bits);
        any |= bits;
      }
      chosen += any != 0 ? 1 : 0;
    }
    return i;
  }
  /// Replays the batch of those chosen; writes their sums, `sums` numbers each, and up to fifteen numbers after the last.
  void add(batch_type& batch, T* total) {
    batch.place();
    for (int first = 0; first < batch.count; first += together) {
      const int count = std::min(together, batch.count - first);
      fetch_next_rows();
      list_pairs(first, count);
      find_alphas(batch, count);
      for (int i = 0; i < count; ++i) {
        if constexpr (plan::features > 0) { features_along(i, batch.features[first + i]); }
        replay(i, first + i, batch);
        if constexpr (plan::features > 0) { feature_sums(i); }
      }
      sums_of(sum[0], count * sums, total + first * sums);
    }
    for (int c = 0; c < shape::cells; ++c) {
      auto& s = cells[c];
      s.t = above_denormal<K>(s.t);
      open_cells[c] = open_cells[c] && any(s.t > cell(K::stop));
    }
  }

  /// Names the tile whose pixels will be read next: they are fetched a few rows with every batch, while it is replayed,
  /// into the second-level cache, as the first is full of cells.
  void expect(const tile_place& at, const tile_grid& grid, const blended<T>& out, const image_gradients<T>& d) {
    const auto& view = grid[at.view];
    const idx first = view.first_pixel + idx{at.y0} * view.width + at.x0;
    const T* rows[4] = {d.image.data() + first * K::channels, out.image.data() + first * K::channels,
                        d.transmittance.data() + first, out.transmittance.data() + first};
    std::copy_n(rows, 4, next);
    next_width = view.width, next_rows = at.height;
  }

private:
  const T* next[4]; ///< d(image), image, d(transmittance), transmittance
  idx next_width = 0;
  int next_rows = 0;

  void fetch_next_rows() {
    constexpr int step = 64 / int{sizeof(T)};
    for (int rows = 0; rows < together / 4 && next_rows > 0; ++rows, --next_rows) {
      for (int a = 0; a < 4; ++a) {
        const int channels = a < 2 ? K::channels : 1;
        for (int i = 0; i < edge * channels; i += step) { __builtin_prefetch(next[a] + i, 0, 2); }
        next[a] += next_width * channels;
      }
    }
  }
  static SQS_INLINE void accumulate(number& sum, const cell& a, const cell& b) {
    for (int r = 0; r < shape::registers; ++r) { sum = fma(a.r[r], b.r[r], sum); }
  }
  static SQS_INLINE void accumulate(number& sum, const cell& a) {
    for (int r = 0; r < shape::registers; ++r) { sum = sum + a.r[r]; }
  }

  void list_pairs(int first, int count) {
    int n = 0;
    for (int i = 0; i < count; ++i) {
      first_pair[i] = n;
      for (int w = 0; w < shape::words; ++w) {
        std::fill_n(pair_entry + n, 16, first + i); // as many as there may be: the next overwrites what was too many
        n += store_bits(words[first + i][w], 16 * w, pair_cell + n);
      }
    }
    first_pair[count] = n;
    std::fill_n(pair_entry + n, shape::together, batch_type::nothing);
    std::fill_n(pair_cell + n, shape::together, 0);
  }
  void find_alphas(const batch_type& batch, int count) {
    for (int p = 0; p < first_pair[count]; p += shape::together) {
      const std::int32_t* entries = pair_entry + p;
      pack a, s;
      evaluate(
          batch, entries, [&](int e) { return pair_cell[p + e]; }, a,
          K::cut_width > T(0) ? &s : static_cast<pack*>(nullptr));
      SQS_UNROLL
      for (int e = 0; e < shape::together; ++e) {
        auto& to = pairs[p + e];
        to.alpha = shape::one_of(a, e);
        if constexpr (K::cut_width > T(0)) { to.slope[0] = shape::one_of(s, e); }
      }
    }
  }
  /// The recursion over the cells of one Gaussian, number `i` of those together and `of` of the batch.
  ///
  /// Of the moments, with d = (middle of the cell - centre) + (offset u, v in the cell), only the sums of g times
  /// 1, a, b, a^2, a b, b^2 with (a, b) = middle - centre are kept pixel by pixel; u and v are put in at the end.
  SQS_INLINE void replay(int i, int of, const batch_type& batch) {
    T a[shape::cells], b[shape::cells], aa[shape::cells], ab[shape::cells], bb[shape::cells];
    for (int c = 0; c < shape::cells; ++c) {
      a[c] = batch.x0 + T(c % shape::across * shape::edge + 2) - batch.x[of];
      b[c] = batch.y0 + T(c / shape::across * shape::edge + 2) - batch.y[of];
      aa[c] = a[c] * a[c], ab[c] = a[c] * b[c], bb[c] = b[c] * b[c];
    }
    cell s0(0), sa(0), sb(0), saa(0), sab(0), sbb(0);
    number total[plan::fused + 3]{}; // and two of absgrad, one of the median
    T value[plan::fused];
    for (int c = 0; c < plan::fused; ++c) { value[c] = batch.value[c][of]; }
    for (int p = first_pair[i]; p < first_pair[i + 1]; ++p) {
      const int at = pair_cell[p];
      state& s = cells[at];
      const cell alpha = pairs[p].alpha, t = s.t;
      const blend_step<K, cell> blended(alpha, t);
      cell toward = s.d_value[0] * value[0];
      SQS_UNROLL
      for (int c = 1; c < plan::fused; ++c) { toward = fma(s.d_value[c], cell(value[c]), toward); }
      if constexpr (plan::features > 0) { toward = toward + along[p - first_pair[i]]; }
      const cell rest = fma(-blended.weight, toward, s.rest);
      const cell d_alpha = fma(-rest, reciprocal(cell(1) - alpha), t * toward);
      s.t = blended.next, s.rest = rest;
      const auto moves = blended.open & (alpha < cell(K::alpha_max));
      cell d = alpha * d_alpha;
      if constexpr (K::cut_width > T(0)) { d = pairs[p].slope[0] * d_alpha; }
      d = select(moves, d, cell(0));
      s0 = s0 + d;
      sa = fma(d, cell(a[at]), sa), sb = fma(d, cell(b[at]), sb);
      saa = fma(d, cell(aa[at]), saa), sab = fma(d, cell(ab[at]), sab), sbb = fma(d, cell(bb[at]), sbb);
      SQS_UNROLL
      for (int c = 0; c < plan::fused; ++c) { accumulate(total[c], blended.weight, s.d_value[c]); }
      if constexpr (K::absgrad) { add_absolute(batch, of, d, a[at], b[at], total + plan::fused); }
      if constexpr (K::median) {
        const auto crossing = blended.open & (t >= cell(0.5)) & (blended.next < cell(0.5));
        accumulate(total[plan::fused + 2], select(crossing, s.d_median[0], cell(0)));
      }
      if constexpr (plan::features > 0) { along[p - first_pair[i]] = blended.weight; }
    }
    const cell u = shape::offset_x(), v = shape::offset_y();
    const cell moments[6] = {s0,
                             fma(u, s0, sa),
                             fma(v, s0, sb),
                             fma(u, fma(u, s0, T(2) * sa), saa),
                             fma(v, fma(u, s0, sa), fma(u, sb, sab)),
                             fma(v, fma(v, s0, T(2) * sb), sbb)};
    number* const to = sum[i];
    for (int m = 0; m < 6; ++m) {
      to[m] = moments[m].r[0];
      for (int r = 1; r < shape::registers; ++r) { to[m] = to[m] + moments[m].r[r]; }
    }
    for (int c = 0; c < plan::fused; ++c) { to[value_at + c] = total[c]; }
    if constexpr (K::absgrad) { to[abs_at] = total[plan::fused], to[abs_at + 1] = total[plan::fused + 1]; }
    if constexpr (K::median) { to[median_at] = total[plan::fused + 2]; }
  }

  /// |g Q d| = |dL/d(centre)| of each pixel.
  static void add_absolute(const batch_type& batch, int i, const cell& d, T at_x, T at_y, number* to) {
    constexpr T scale = T(1.3862943611198906188);
    const T lx = batch.lx[i], k = batch.k[i], ly = batch.ly[i];
    const T a = scale * lx * lx, b = k * a, c = scale * ly * ly + k * b;
    const cell x = shape::offset_x() + at_x, y = shape::offset_y() + at_y;
    accumulate(to[0], abs(d * (x * a + y * b)));
    accumulate(to[1], abs(d * (x * b + y * c)));
  }

  // Features go as many at a time as have room in the registers beside what is added to them, in equal parts.
  static constexpr int room = number::size >= 16 ? 24 : 12, parts = (plan::features + room - 1) / room;
  static constexpr int chunk = parts == 0 ? 1 : (plan::features + parts - 1) / parts,
                       whole = plan::features / chunk * chunk;
  /// along = features . dImage for every cell of a Gaussian.
  void features_along(int i, const T* features) {
    if constexpr (whole > 0) {
      for (int c = 0; c < whole; c += chunk) { add_along<chunk>(i, features, c); }
    }
    if constexpr (plan::features > whole) { add_along<plan::features - whole>(i, features, whole); }
  }
  template <int Channels> SQS_INLINE void add_along(int i, const T* features, int first) {
    number f[Channels];
    SQS_UNROLL
    for (int c = 0; c < Channels; ++c) { f[c] = number(features[first + c]); }
    for (int p = first_pair[i], j = 0; p < first_pair[i + 1]; ++p, ++j) {
      const cell* d = cells[pair_cell[p]].d_feature.begin() + first;
      cell part[4] = {first == 0 ? cell(0) : along[j], cell(0), cell(0), cell(0)}; // four sums, for the latency
      SQS_UNROLL
      for (int c = 0; c < Channels; ++c) { part[c % 4] = fma(d[c], cell(f[c]), part[c % 4]); }
      along[j] = (part[0] + part[1]) + (part[2] + part[3]);
    }
  }
  /// d(features) = weight * dImage, summed over the cells of a Gaussian.
  void feature_sums(int i) {
    if constexpr (whole > 0) {
      for (int c = 0; c < whole; c += chunk) { sum_features<chunk>(i, c); }
    }
    if constexpr (plan::features > whole) { sum_features<plan::features - whole>(i, whole); }
  }
  template <int Channels> void sum_features(int i, int first) {
    number total[Channels]{};
    for (int p = first_pair[i], j = 0; p < first_pair[i + 1]; ++p, ++j) {
      const cell* d = cells[pair_cell[p]].d_feature.begin() + first;
      const cell w = along[j];
      SQS_UNROLL
      for (int c = 0; c < Channels; ++c) { accumulate(total[c], w, d[c]); }
    }
    SQS_UNROLL
    for (int c = 0; c < Channels; ++c) { sum[i][feature_at + first + c] = total[c]; }
  }
};

} // namespace detail
} // namespace sqs::splat

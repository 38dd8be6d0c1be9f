// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The product of sparse convolutions: rows of x times panels of weights, added to the rows of y a pair list names.
///
/// A block of sums stays in registers while channels of x pass by, all of them or as many as the weights leave room for in
/// the first-level cache: it comes from the rows of y and returns to them. Nothing is gathered into buffers; a tile's rows
/// of y stay in the cache from the first tap to the last.

#include <sqs/sparse/detail/panels.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse::detail {

/// One block of columns of the product: x and y point at their first column of it.
template <class T> struct block_product {
  const T* x;
  idx x_stride;
  T* y;
  idx y_stride;
  const T* start; ///< where sums begin instead of y, a whole block; null: y has been written
  const T* panel;
  idx depth, columns; ///< of x; of y, what is left of the block's width
};

/// Where the next rows lie, which nobody else can guess.
template <int Rows, class T> struct row_places {
  const T *x[Rows], *y[Rows];
  idx columns; ///< of y
  /// The lines of the k-th numbers of the rows.
  SQS_INLINE void fetch(idx k) const {
    for (int r = 0; r < Rows; ++r) { __builtin_prefetch(x[r] + k); }
    for (int r = 0; r < Rows && k < columns; ++r) { __builtin_prefetch(y[r] + k, 1); }
  }
};

/// to[r] = from[r] + x[r] panel for `Rows` distinct rows and M vectors of columns. depth > 0. Meanwhile `next` comes into
/// the cache, a line of each row at a time: all at once they would hold up the loads of the product. (One vector wide it is
/// over too soon for that.)
template <int Rows, int M, class T>
SQS_INLINE void multiply_rows(const T* const (&x)[Rows], const T* const (&from)[Rows], T* const (&to)[Rows],
                              const T* panel, idx depth, const row_places<Rows, T>& next) {
  using vector = simd<T, native_lanes<T>>;
  constexpr int lanes = native_lanes<T>;
  constexpr idx line = 64 / sizeof(T);
  vector sum[Rows][M];
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { sum[r][m] = vector::load(from[r] + m * lanes); }
  }
  idx k = 0;
  do { // with a way around the loops, the sums would be kept a second time
    const idx stop = M == 1 ? depth : std::min(depth, k + line);
    do {
      vector w[M];
      SQS_UNROLL
      for (int m = 0; m < M; ++m) { w[m] = vector::load(panel + m * lanes); }
      SQS_UNROLL
      for (int r = 0; r < Rows; ++r) {
        const vector a(x[r][k]);
        SQS_UNROLL
        for (int m = 0; m < M; ++m) { sum[r][m] = fma(a, w[m], sum[r][m]); }
      }
      panel += M * lanes;
    } while (++k < stop);
    if (M > 1 && k < depth) { next.fetch(k); }
  } while (M > 1 && k < depth);
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { sum[r][m].store(to[r] + m * lanes); }
  }
}

/// Groups of `Rows` pairs while there are that many; returns how many pairs that were. Outputs are distinct.
template <int Rows, int M, class T> idx multiply_groups(const block_product<T>& b, const std::int32_t* input,
                                                        const std::int32_t* output, idx pairs, idx ahead) {
  constexpr idx width = M * native_lanes<T>, line = 64 / sizeof(T);
  idx done = 0;
  for (; done + Rows <= pairs; done += Rows) {
    const T *x[Rows], *from[Rows];
    T* to[Rows];
    row_places<Rows, T> next;
    const idx after = done + 2 * Rows <= ahead ? Rows : 0;
    next.columns = std::min(width, b.columns);
    for (int r = 0; r < Rows; ++r) {
      x[r] = b.x + input[done + r] * b.x_stride;
      to[r] = b.y + output[done + r] * b.y_stride;
      from[r] = b.start == nullptr ? to[r] : b.start;
      next.x[r] = b.x + input[done + after + r] * b.x_stride;
      if constexpr (M == 1) {
        for (idx k = 0; k < b.depth; k += line) { __builtin_prefetch(next.x[r] + k); }
      } else {
        next.y[r] = b.y + output[done + after + r] * b.y_stride;
      }
    }
    if constexpr (M > 1) { next.fetch(0); }
    if (b.columns >= width) {
      multiply_rows<Rows, M>(x, from, to, b.panel, b.depth, next);
      continue;
    }
    T padded[Rows][width] = {}; // the block is wider than what is left of the rows
    T* rows[Rows];
    for (int r = 0; r < Rows; ++r) {
      rows[r] = padded[r];
      std::copy_n(from[r], b.columns, rows[r]);
      from[r] = rows[r];
    }
    multiply_rows<Rows, M>(x, from, rows, b.panel, b.depth, next);
    for (int r = 0; r < Rows; ++r) { std::copy_n(rows[r], b.columns, to[r]); }
  }
  return done;
}

/// All pairs of a list whose outputs are distinct. `ahead`: how many pairs from here on may be looked at.
template <int M, class T> void multiply_list(const block_product<T>& b, const std::int32_t* input,
                                             const std::int32_t* output, idx pairs, idx ahead) {
  const auto step = [&]<int Rows>(std::integral_constant<int, Rows>) {
    const idx done = multiply_groups<Rows, M>(b, input, output, pairs, ahead);
    input += done, output += done, pairs -= done, ahead -= done;
  };
  step(std::integral_constant<int, block_rows<M>>{});
  step(std::integral_constant<int, 4>{});
  step(std::integral_constant<int, 2>{});
  step(std::integral_constant<int, 1>{});
}

/// True if no output follows itself. Equal outputs of a list are neighbours.
inline bool distinct(const std::int32_t* output, idx pairs) {
  std::int32_t same = 0;
  for (idx i = 1; i < pairs; ++i) { same |= output[i] == output[i - 1] ? 1 : 0; }
  return same == 0;
}

/// Channels of x whose weights, M vectors of columns wide, leave room in the first-level cache for the rows; a depth in as
/// few parts as can be, all about as long.
template <int M, class T> idx part_of_depth(idx depth) {
  constexpr idx most_bytes = 32 << 10, width = M * native_lanes<T> * static_cast<idx>(sizeof(T)), line = 64 / sizeof(T);
  const idx parts = (depth * width + most_bytes - 1) / most_bytes;
  return ((depth + parts - 1) / parts + line - 1) / line * line;
}

/// A list with its outputs all different is multiplied at once; pairs that share output and tap come one after another:
/// side by side, all but one would be lost.
template <int M, class T> void multiply_any_list(const block_product<T>& b, const pair_lists& l, idx begin, idx end) {
  const std::int32_t *const input = l.input.data(), *const output = l.output.data();
  const bool at_once = distinct(output + begin, end - begin);
  const idx step = part_of_depth<M, T>(b.depth);
  for (idx stop = end; begin < end; begin = stop) {
    if (!at_once) {
      for (stop = begin + 1; stop < end && output[stop] != output[stop - 1]; ++stop) {}
    }
    for (idx k = 0; k < b.depth; k += step) {
      block_product<T> part = b;
      part.x += k, part.panel += k * M * native_lanes<T>, part.depth = std::min(step, b.depth - k);
      if (k > 0) { part.start = nullptr; }
      multiply_list<M>(part, input + begin, output + begin, stop - begin, l.pairs() - begin);
    }
  }
}

/// The tap that comes first: the middle one, which in a submanifold convolution every output has.
inline idx first_tap(const pair_lists& l) { return l.taps / 2; }

/// True if the first tap has each output of the tile exactly once: then it can write instead of adding.
inline bool first_tap_writes(const pair_lists& l, idx t) {
  if (l.taps == 0) { return false; }
  const idx* const bounds = l.begin.data() + t * l.taps + first_tap(l);
  const idx pairs = bounds[1] - bounds[0];
  return pairs == std::min(l.tile, l.outputs - t * l.tile) && distinct(l.output.data() + bounds[0], pairs);
}

/// The rows of tile t become `bias` (null: zeros).
template <class T> void start_tile(const pair_lists& l, idx t, const T* bias, T* y, idx y_stride, idx columns) {
  const std::int32_t* const order = l.order.size() == 0 ? nullptr : l.order.data();
  const idx begin = t * l.tile, end = std::min(l.outputs, begin + l.tile);
  for (idx i = begin; i < end; ++i) {
    T* const row = y + (order == nullptr ? i : order[i]) * y_stride;
    if (bias != nullptr) {
      std::copy_n(bias, columns, row);
    } else {
      std::fill_n(row, columns, T(0));
    }
  }
}

/// Finishes some columns of the rows of tile t, while they are in the cache.
template <class T>
void finish_tile(const pair_lists& l, idx t, const row_epilogue<T>& f, T* y, idx y_stride, idx first, idx columns) {
  const std::int32_t* const order = l.order.size() == 0 ? nullptr : l.order.data();
  const idx begin = t * l.tile, end = std::min(l.outputs, begin + l.tile);
  with_activation(f.act.kind, [&]<activation_kind Kind>(std::integral_constant<activation_kind, Kind>) {
    for (idx i = begin; i < end; ++i) {
      const idx row = (order == nullptr ? i : order[i]) * y_stride;
      finish_row<Kind>(f, y + row, f.residual == nullptr ? nullptr : f.residual + row, y + row, first, columns);
    }
  });
}

/// y[out] += x[in] W[tap] over the pairs of tile t, for one block of columns of one group; with `writes`, the first tap
/// writes bias + x W.
template <class T> void multiply_tile(const pair_lists& l, idx t, const weight_panels<T>& w, idx group, idx block,
                                      const T* x, idx x_stride, const T* bias, bool writes, T* y, idx y_stride) {
  const idx first = w.blocks.first(block), column = group * w.blocks.columns + first * w.blocks.lanes;
  block_product<T> b{x + group * w.depth,
                     x_stride,
                     y + column,
                     y_stride,
                     nullptr,
                     nullptr,
                     w.depth,
                     w.blocks.columns - first * w.blocks.lanes};
  const auto multiply = [&]<int M>(std::integral_constant<int, M>) {
    const idx* const bounds = l.begin.data() + t * l.taps;
    constexpr idx width = M * native_lanes<T>;
    T start[width] = {};
    if (bias != nullptr) { std::copy_n(bias + column, std::min(b.columns, width), start); }
    const idx middle = first_tap(l);
    b.start = writes ? start : nullptr;
    b.panel = w.panel(group, middle, block);
    multiply_any_list<M>(b, l, bounds[middle], bounds[middle + 1]);
    b.start = nullptr;
    for (idx tap = 0; tap < l.taps; ++tap) {
      if (tap == middle) { continue; }
      b.panel = w.panel(group, tap, block);
      multiply_any_list<M>(b, l, bounds[tap], bounds[tap + 1]);
    }
  };
  with_vectors(w.blocks.first(block + 1) - first, multiply);
}

/// The weights of all taps, beyond which they are taken a block of columns at a time: what passes by with every tile
/// must stay in the second-level cache beside the tile's rows.
inline constexpr idx most_weight_bytes = 1 << 20;

/// y = x W over all pairs, plus `bias` (null: none); then what `finish` says.
///
/// Shapes      x [inputs, groups * depth] and y [outputs, groups * columns] with the given row strides; a residual has
///             y's stride
/// Execution   A row's sum starts from its bias; the pairs of the middle tap come first, then the taps in their order,
///             channels in theirs. Where there are many weights a task is one block of columns of a tile, and all tiles
///             of a block come before the next.
template <class T> void product(cpu& e, const pair_lists& l, const weight_panels<T>& w, const T* x, idx x_stride,
                                const T* bias, T* y, idx y_stride, const row_epilogue<T>& finish = {}) {
  const idx blocks = w.groups * w.blocks.count(), tiles = l.tiles();
  if (blocks == 0) { return; }
  const bool empty = l.taps == 0 || w.depth == 0;
  const idx at_once = w.data.size() * static_cast<idx>(sizeof(T)) <= most_weight_bytes ? blocks : 1;
  parallel_for(e, tiles * (blocks / at_once), 1, [&](idx task, idx) {
    const idx t = task % tiles, begin = task / tiles * at_once;
    const bool writes = !empty && first_tap_writes(l, t);
    for (idx i = begin; i < begin + at_once; ++i) {
      const idx g = i / w.blocks.count(), b = i % w.blocks.count(), first = w.blocks.first(b) * w.blocks.lanes;
      const idx column = g * w.blocks.columns + first;
      const idx used = std::min(w.blocks.first(b + 1) * w.blocks.lanes, w.blocks.columns) - first;
      if (!writes) { start_tile(l, t, bias == nullptr ? nullptr : bias + column, y + column, y_stride, used); }
      if (!empty) { multiply_tile(l, t, w, g, b, x, x_stride, bias, writes, y, y_stride); }
      if (!finish.nothing()) { finish_tile(l, t, finish, y, y_stride, column, used); }
    }
  });
}

} // namespace sqs::sparse::detail

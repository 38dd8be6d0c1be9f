// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The product of sparse convolutions where almost every tap meets somebody: a few outputs that follow each other are
/// multiplied with every tap any of them has, and stay in registers from the first tap to the last.

#include <sqs/sparse/detail/tile_product.hpp>

namespace sqs::sparse::detail {

/// The taps of a brick in the order their products are added, the one of the lists: the middle one, then the others.
inline idx tap_of_step(idx step, idx middle) { return step == 0 ? middle : step - (step <= middle ? 1 : 0); }

/// One block of columns of one group, for all bricks of a tile.
template <class T> struct brick_block {
  const pair_lists& l;
  const weight_panels<T>& w;
  idx group, block;
  const T* x; ///< first column of the group
  idx x_stride;
  const T* nobody; ///< a row of zeros: what a tap without a neighbour sees
  T* y;            ///< first column of the block
  idx y_stride, columns;
  const T* start; ///< where sums begin, a whole block
};

/// Adds steps `first` to `last` to the sums of `Rows` outputs that begin at place i of the order.
template <int Rows, int M, class T> SQS_INLINE void multiply_brick(const brick_block<T>& b, idx i, idx first, idx last,
                                                                   const T* const (&from)[Rows], T* const (&to)[Rows]) {
  using vector = simd<T, native_lanes<T>>;
  constexpr int lanes = native_lanes<T>;
  const idx taps = b.l.taps, middle = first_tap(b.l), depth = b.w.depth;
  const std::int32_t* const neighbours = b.l.neighbours.data() + i * taps;
  vector sum[Rows][M];
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { sum[r][m] = vector::load(from[r] + m * lanes); }
  }
  for (idx step = first; step < last; ++step) {
    const idx tap = tap_of_step(step, middle);
    const T* x[Rows];
    std::int32_t nobody = -1; // stays below zero if no output of the brick has this tap
    for (int r = 0; r < Rows; ++r) {
      const std::int32_t n = neighbours[r * taps + tap];
      nobody &= n;
      x[r] = n < 0 ? b.nobody : b.x + n * b.x_stride;
    }
    if (nobody == -1) { continue; }
    const T* panel = b.w.panel(b.group, tap, b.block);
    idx k = 0;
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
    } while (++k < depth);
  }
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { sum[r][m].store(to[r] + m * lanes); }
  }
}

/// Bricks of `Rows` outputs from place i on while there are that many before `end`; returns where they stop.
template <int Rows, int M, class T> idx multiply_bricks(const brick_block<T>& b, idx i, idx end, idx first, idx last) {
  constexpr idx width = M * native_lanes<T>;
  const std::int32_t* const order = b.l.order.size() == 0 ? nullptr : b.l.order.data();
  for (; i + Rows <= end; i += Rows) {
    const T* from[Rows];
    T* to[Rows];
    for (int r = 0; r < Rows; ++r) {
      to[r] = b.y + (order == nullptr ? i + r : order[i + r]) * b.y_stride;
      from[r] = first == 0 ? b.start : to[r];
    }
    if (b.columns >= width) {
      multiply_brick<Rows, M>(b, i, first, last, from, to);
      continue;
    }
    T padded[Rows][width] = {}; // the block is wider than what is left of the rows
    T* rows[Rows];
    for (int r = 0; r < Rows; ++r) {
      rows[r] = padded[r];
      std::copy_n(from[r], b.columns, rows[r]);
      from[r] = rows[r];
    }
    multiply_brick<Rows, M>(b, i, first, last, from, rows);
    for (int r = 0; r < Rows; ++r) { std::copy_n(rows[r], b.columns, to[r]); }
  }
  return i;
}

/// Weights that should stay in the second-level cache while the bricks of a tile pass by.
inline constexpr idx brick_weight_bytes = 256 << 10;

/// y = start + x W over the neighbours of tile t, for one block of columns of one group.
template <int M, class T> void multiply_bricks_of_tile(const brick_block<T>& b, idx t) {
  const idx begin = t * b.l.tile, end = std::min(b.l.outputs, begin + b.l.tile), taps = b.l.taps;
  const idx panel = b.w.depth * M * native_lanes<T> * static_cast<idx>(sizeof(T));
  const idx steps = std::clamp<idx>(brick_weight_bytes / panel, 1, taps);
  for (idx first = 0; first < taps; first += steps) {
    const idx last = std::min(taps, first + steps);
    idx i = multiply_bricks<block_rows<M>, M>(b, begin, end, first, last);
    i = multiply_bricks<4, M>(b, i, end, first, last);
    i = multiply_bricks<2, M>(b, i, end, first, last);
    multiply_bricks<1, M>(b, i, end, first, last);
  }
}

/// The same as `product`, over the neighbours of the lists instead of their pairs.
///
/// Shapes      as `product`
/// Execution   The sums and their order are those of `product`; a missing neighbour adds zeros, so the results are equal
///             as long as the weights are finite.
template <class T> void brick_product(cpu& e, const pair_lists& l, const weight_panels<T>& w, const T* x, idx x_stride,
                                      const T* bias, T* y, idx y_stride, const row_epilogue<T>& finish = {}) {
  const auto nobody = zeros<T, 1>(e, {w.depth});
  parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
    for (idx g = 0; g < w.groups; ++g) {
      for (idx block = 0; block < w.blocks.count(); ++block) {
        const idx first = w.blocks.first(block), column = g * w.blocks.columns + first * w.blocks.lanes;
        const idx columns = w.blocks.columns - first * w.blocks.lanes;
        with_vectors(w.blocks.first(block + 1) - first, [&]<int M>(std::integral_constant<int, M>) {
          T start[M * native_lanes<T>] = {};
          const idx used = std::min<idx>(columns, M * native_lanes<T>);
          if (bias != nullptr) { std::copy_n(bias + column, used, start); }
          multiply_bricks_of_tile<M>(brick_block<T>{l, w, g, block, x + g * w.depth, x_stride, nobody.data(),
                                                    y + column, y_stride, columns, start},
                                     t);
          if (!finish.nothing()) { finish_tile(l, t, finish, y, y_stride, column, used); }
        });
      }
    }
  });
}

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The weight gradient of sparse convolutions: per tap, the sum of the outer products of all pairs of rows.
///
/// A block of the gradient stays in registers while a batch of pairs passes by; the rows of a batch stay in the cache
/// while the blocks pass. Ranges of tiles have sums of their own, which are added in order.

#include <sqs/sparse/detail/panels.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse::detail {

inline constexpr idx batch_bytes = 32 << 10; ///< of rows that stay in the cache: most of a small first level
inline constexpr idx most_batch = 128;       ///< pairs of a batch
inline constexpr idx most_partial_bytes = idx{64} << 20;

/// How the work on a weight gradient is cut: by the problem alone. The taps are divided only where there are too few
/// ranges of tiles: the more taps a task has, the more often it finds its rows in the cache.
struct gradient_cut {
  idx ranges = 1, parts = 1; ///< ranges of tiles, each with sums of its own; parts of the taps

  /// `elements`: of the gradient, padded.
  template <class T> static gradient_cut of(const pair_lists& l, idx elements) {
    constexpr idx tasks = 32;
    const idx fit = most_partial_bytes / std::max<idx>(1, elements * static_cast<idx>(sizeof(T)));
    gradient_cut c;
    c.ranges = std::max<idx>(1, std::min({tasks, l.tiles(), fit}));
    c.parts = std::max<idx>(1, std::min(l.taps, (tasks + c.ranges - 1) / c.ranges));
    return c;
  }
};

/// sum[k][j] (+)= sum over pairs of x[p][k] d[p][j], for `Rows` channels k and M vectors of j. `fresh`: starts at zero.
template <int Rows, int M, class T>
SQS_INLINE void add_products(const T* const* x, const T* const* d, idx pairs, idx k, idx column, T* sum, bool fresh) {
  using vector = simd<T, native_lanes<T>>;
  constexpr int lanes = native_lanes<T>;
  vector s[Rows][M];
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { s[r][m] = fresh ? vector(0) : vector::load(sum + (r * M + m) * lanes); }
  }
  for (idx p = 0; p < pairs; ++p) {
    const T *const from = x[p] + k, *const to = d[p] + column;
    vector w[M];
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { w[m] = vector::load(to + m * lanes); }
    SQS_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const vector a(from[r]);
      SQS_UNROLL
      for (int m = 0; m < M; ++m) { s[r][m] = fma(a, w[m], s[r][m]); }
    }
  }
  SQS_UNROLL
  for (int r = 0; r < Rows; ++r) {
    SQS_UNROLL
    for (int m = 0; m < M; ++m) { s[r][m].store(sum + (r * M + m) * lanes); }
  }
}

/// One batch of pairs: rows of x and of the output's gradient.
template <class T> struct pair_batch {
  const T* x[most_batch];
  const T* d[most_batch];
  idx size = 0;
};

template <int Rows, int M, class T>
idx add_blocks(const pair_batch<T>& b, const T* const* d, idx k, idx depth, idx column, T* sum, bool fresh) {
  for (; k + Rows <= depth; k += Rows) {
    add_products<Rows, M>(b.x, d, b.size, k, column, sum + k * M * native_lanes<T>, fresh);
  }
  return k;
}
/// One block of columns. `used` of them exist in d.
template <int M, class T>
void add_column_block(const pair_batch<T>& b, idx depth, idx column, idx used, T* sum, bool fresh) {
  constexpr idx width = M * native_lanes<T>;
  T padded[most_batch][width];
  const T* rows[most_batch];
  const T* const* d = b.d;
  if (used < width) { // the block is wider than what is left of the rows
    for (idx p = 0; p < b.size; ++p) {
      std::copy_n(b.d[p] + column, used, padded[p]);
      std::fill(padded[p] + used, padded[p] + width, T(0));
      rows[p] = padded[p];
    }
    d = rows;
    column = 0;
  }
  idx k = add_blocks<block_rows<M>, M>(b, d, 0, depth, column, sum, fresh);
  k = add_blocks<4, M>(b, d, k, depth, column, sum, fresh);
  k = add_blocks<2, M>(b, d, k, depth, column, sum, fresh);
  add_blocks<1, M>(b, d, k, depth, column, sum, fresh);
}

/// Asks for rows of the next batch while this one is worked on. The second level holds both, the first would not.
template <class T> void prefetch_rows(const T* rows, idx stride, const std::int32_t* row, idx count, idx channels) {
  constexpr idx line = 64 / sizeof(T);
  for (idx p = 0; p < count; ++p) {
    for (idx k = 0; k < channels; k += line) { __builtin_prefetch(rows + row[p] * stride + k, 0, 2); }
  }
}

/// Adds all pairs of list (t, tap) of one group to `sum` [blocks][depth][columns of the block].
template <class T> void add_list(const pair_lists& l, idx t, idx tap, const column_blocks<T>& blocks, idx depth,
                                 const T* x, idx x_stride, const T* d, idx d_stride, T* sum, bool fresh) {
  const idx bytes = (depth + std::min(blocks.padded(), most_vectors * blocks.lanes)) * static_cast<idx>(sizeof(T));
  const idx batch = std::clamp<idx>(batch_bytes / std::max<idx>(1, bytes), 16, most_batch);
  const idx begin = l.begin.data()[t * l.taps + tap], end = l.begin.data()[t * l.taps + tap + 1];
  if (begin == end && !fresh) { return; }
  pair_batch<T> b;
  idx first = begin;
  do { // once for an empty list, too, if its sum is fresh: then it must be written
    b.size = std::min(batch, end - first);
    for (idx p = 0; p < b.size; ++p) {
      b.x[p] = x + l.input.data()[first + p] * x_stride;
      b.d[p] = d + l.output.data()[first + p] * d_stride;
    }
    const idx next = first + b.size, ahead = std::min(batch, l.pairs() - next);
    prefetch_rows(x, x_stride, l.input.data() + next, ahead, depth);
    prefetch_rows(d, d_stride, l.output.data() + next, ahead, blocks.columns);
    for (idx block = 0; block < blocks.count(); ++block) {
      const idx from = blocks.first(block), column = from * blocks.lanes;
      with_vectors(blocks.first(block + 1) - from, [&]<int M>(std::integral_constant<int, M>) {
        add_column_block<M>(b, depth, column, blocks.columns - column, sum + column * depth, fresh && first == begin);
      });
    }
    first = next;
  } while (first < end);
}

/// dW[tap] = sum over the tap's pairs of x[in]^T d[out]; `flipped`: list k belongs to tap taps - 1 - k.
///
/// Shapes      x [inputs, groups * depth], d [outputs, row] -> dw [taps, depth, row], row = groups * columns
/// Execution   Pairs are added tile by tile within at most 32 ranges of tiles, the ranges in order. The sums of the
///             ranges take 64 MiB at most, or one gradient.
template <class T> void weight_gradient(cpu& e, const pair_lists& l, bool flipped, idx groups, idx depth, const T* x,
                                        idx x_stride, const T* d, idx d_stride, idx row, T* dw) {
  if (l.tiles() == 0) {
    std::fill_n(dw, l.taps * depth * row, T(0));
    return;
  }
  const column_blocks<T> blocks{row / groups};
  const idx matrix = blocks.padded() * depth, elements = groups * l.taps * matrix;
  const auto cut = gradient_cut::of<T>(l, elements);
  const auto partial = empty<T, 1>(e, {cut.ranges * elements});
  T* const sums = const_cast<T*>(partial.data());
  parallel_for(e, cut.ranges * cut.parts, 1, [&](idx task, idx) {
    const idx range = task / cut.parts, part = task % cut.parts, first = range * l.tiles() / cut.ranges;
    const idx last = (range + 1) * l.tiles() / cut.ranges;
    for (idx t = first; t < last; ++t) {
      for (idx tap = part * l.taps / cut.parts; tap < (part + 1) * l.taps / cut.parts; ++tap) {
        for (idx g = 0; g < groups; ++g) {
          add_list(l, t, tap, blocks, depth, x + g * depth, x_stride, d + g * blocks.columns, d_stride,
                   sums + range * elements + (g * l.taps + tap) * matrix, t == first);
        }
      }
    }
  });
  parallel_for(e, l.taps * depth, 16, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      const idx tap = i / depth, k = i % depth, list = flipped ? l.taps - 1 - tap : tap;
      for (idx g = 0; g < groups; ++g) {
        for (idx b = 0; b < blocks.count(); ++b) {
          const idx column = blocks.first(b) * blocks.lanes, width = blocks.first(b + 1) * blocks.lanes - column;
          const T* const from = sums + (g * l.taps + list) * matrix + column * depth + k * width;
          T* const to = dw + i * row + g * blocks.columns + column;
          const idx used = std::min(width, blocks.columns - column);
          std::copy_n(from, used, to);
          for (idx r = 1; r < cut.ranges; ++r) {
            for (idx j = 0; j < used; ++j) { to[j] += from[r * elements + j]; }
          }
        }
      }
    }
  });
}

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A product by one block of threads on tensor cores, whose factors come to a ring of panels in shared memory while the
/// panels before them are multiplied.

#include <sqs/sparse/cuda/mma_pack.hpp>
#include <sqs/sparse/cuda/table_kernels.hpp>

namespace sqs::sparse::detail {

/// The sums of a block, and for how many panels its shared memory has room. A warp has half of the rows and 32 columns.
struct mma_shape {
  int rows, columns, stages;

  constexpr int warps() const { return 2 * (columns / 32); }
  constexpr int threads() const { return warps() * warp_size; }
  constexpr int stage_words() const { return (rows + columns) * mma_chunk; }
};
// All within the 48 KB of shared memory that a kernel has without asking.
inline constexpr mma_shape small_product{64, 64, 4}, tall_product{128, 64, 4}, wide_product{128, 128, 3};

/// The block's array of N words, whole pieces.
template <class Tag, int N, team Team> SQS_DEVICE std::uint32_t* shared_words(Team& t) {
  return shared_array<Tag, piece_of_words, N / mma_piece>(t)->word;
}

/// Where a piece of a row lies in a panel, in words. Rows take 64 bytes; their pieces change places so that 8 rows of a
/// matrix, which are read together, lie in different banks, and so do rows that are written together.
SQS_HD inline int place_in_panel(int row, int piece) {
  return row * mma_chunk + ((piece ^ (row >> 1 & 3)) * mma_piece);
}

/// The sums of this thread in a product of a block.
template <class Words, mma_shape Shape> struct mma_block {
  static constexpr int slabs = Shape.rows / 32; ///< of 16 rows, that a warp has
  int row, column;                              ///< the first of the warp
  int left, right;                              ///< where the lane's rows of matrices lie in a slab, in a panel
  mma_sums sum[slabs][4];

  template <team Team> SQS_DEVICE static mma_block of(Team& t) {
    const int warp = t.thread() / warp_size, lane = t.thread() % warp_size;
    const int column = warp % (Shape.columns / 32) * 32;
    // Matrices of the left factor: rows 0-7, 8-15 at words 0-3, the same at words 4-7; of the right one: columns 0-7 at
    // words 0-3, at words 4-7, columns 8-15.
    return {warp / (Shape.columns / 32) * (Shape.rows / 2),
            column,
            place_in_panel(lane % 16, lane / 16),
            place_in_panel(column + lane / 16 * 8 + lane % 8, lane / 8 % 2),
            {}};
  }
  /// sum += left right over the first 8 words of the panels, or all 16, for slabs of 16 rows whose bit is set.
  template <team Team> SQS_DEVICE void add_product(Team& t, const std::uint32_t* left_panel,
                                                   const std::uint32_t* right_panel, bool whole, unsigned quarters) {
    const auto place_of = [&](int m) { return (row + 16 * m) * mma_chunk + left; };
    add_product(t, left_panel, right_panel, whole, quarters, place_of);
  }
  /// The same with the lane's row of the left matrices of slab m at place_of(m), see `place_in_panel`.
  template <team Team, class PlaceOf> SQS_DEVICE void add_product(Team& t, const std::uint32_t* left_panel,
                                                                  const std::uint32_t* right_panel, bool whole,
                                                                  unsigned quarters, PlaceOf&& place_of) {
    quarters = quarters >> row / 16 & ((1u << slabs) - 1);
    if (quarters == 0) { return; }
    SQS_UNROLL
    for (int step = 0; step < mma_chunk; step += 8) {
      if (step > 0 && !whole) { break; }
      std::uint32_t b[2][4];
      SQS_UNROLL
      for (int n = 0; n < 2; ++n) {
        load_matrices<Shape.warps()>(t, b[n], right_panel + ((right + n * 16 * mma_chunk) ^ step));
      }
      std::uint32_t a[2][4]; // of a slab and of the next, which comes while that is multiplied
      const auto load = [&](int m) {
        if ((quarters >> m & 1u) == 0) { return; } // the same for all lanes of the warp
        load_matrices<Shape.warps()>(t, a[m % 2], left_panel + (place_of(m) ^ step));
      };
      load(0);
      SQS_UNROLL
      for (int m = 0; m < slabs; ++m) {
        if (m + 1 < slabs) { load(m + 1); }
        if ((quarters >> m & 1u) == 0) { continue; }
        SQS_UNROLL
        for (int i = 0; i < 4; ++i) { a[m % 2][i] = Words::rounded(a[m % 2][i]); }
        add_step(t, m, a[m % 2], b);
      }
    }
  }
  /// The sums of a slab += a b for the parts of this lane in 16 rows and in two times 16 columns.
  template <team Team>
  SQS_DEVICE void add_step(Team& t, int m, const std::uint32_t (&a)[4], const std::uint32_t (&b)[2][4]) {
    SQS_UNROLL
    for (int n = 0; n < 4; ++n) {
      const std::uint32_t part[2] = {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]};
      mma_step<Words, Shape.warps()>(t, sum[m][n], a, part);
    }
  }
  /// Calls f(open(row of the tile), column of the tile, its sum, the sum of the next column) for this lane's sums.
  template <team Team, class Open, class F> SQS_DEVICE void each_pair(Team& t, Open&& open, F&& f) {
    const int lane = t.thread() % warp_size;
    SQS_UNROLL
    for (int m = 0; m < slabs; ++m) {
      SQS_UNROLL
      for (int half = 0; half < 2; ++half) {
        const auto at = open(row + 16 * m + 8 * half + lane / 4);
        SQS_UNROLL
        for (int n = 0; n < 4; ++n) {
          float* const c = sum[m][n].c + 2 * half;
          f(at, column + 8 * n + lane % 4 * 2, c[0], c[1]);
        }
      }
    }
  }
};

} // namespace sqs::sparse::detail

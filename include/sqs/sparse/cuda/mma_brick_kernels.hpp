// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Products of bricks on tensor cores: the kernel of brick_kernels.hpp with short numbers in and float sums. The weights of
/// the next taps, and the rows' next channels, are on their way to shared memory meanwhile.

#include <sqs/sparse/cuda/brick_kernels.hpp>
#include <sqs/sparse/cuda/mma_block.hpp>

namespace sqs::sparse::detail {

/// As `brick_product_kernel`.
///
/// Shapes      x [inputs, groups, words] and weight as `pack_weights_kernel` leaves them
/// Execution   A sum begins with the bias; then come 16 words of all taps, the middle one first, the next 16 words ...
template <class X, class Words> struct mma_brick_kernel {
  static constexpr const char* name = "sqs::sparse::convolution_in_bricks_on_tensor_cores";
  static constexpr mma_shape shape{64, 64, 3};
  static constexpr int most_threads = shape.threads(), least_blocks = 4;
  packed_bricks bricks;
  idx count; ///< bricks there is room for
  const piece_of_words *x, *weight;
  const float* bias;
  X* y;
  idx groups, columns, room; ///< room: columns of the panels of weights
  int words;                 ///< of a row and group, whole pieces
  packed_epilogue<float> finish;

  idx blocks() const { return count * groups * tiles_of(columns, shape.columns); }

  template <copying_team Team> SQS_DEVICE void operator()(Team& t) const {
    const int across = static_cast<int>(tiles_of(columns, shape.columns)), all = static_cast<int>(groups);
    const int column = t.block() % across * shape.columns, group = t.block() / across % all;
    const idx brick = t.block() / across / all;
    if (brick >= bricks.status->rows) { return; } // the whole block
    std::uint32_t* const ring = shared_words<struct brick_ring, shape.stages * stage_words>(t);
    const int* const begin = bricks.begins(t);
    auto product = mma_block<Words, shape>::of(t);
    if (bias != nullptr) {
      product.each_pair(
          t, [](int r) { return r; },
          [&](int, int c, float& a, float& b) {
            if (column + c < columns) { a = bias[group * columns + column + c]; }
            if (column + c + 1 < columns) { b = bias[group * columns + column + c + 1]; }
          });
    }
    // Rows come with the first tap of their channels, two steps before: into the one of two halos that is not multiplied
    // then. A kernel of a single tap needs three, but has 64 cells only.
    const int taps = bricks.all_taps(), steps = (words + mma_chunk - 1) / mma_chunk * taps;
    const halo_ring halos{shared_words<struct brick_halos, 2 * most_halo_cells * mma_chunk>(t), taps == 1 ? 4 : 2};
    loader ahead{*this, halos, brick, group, column};
    for (int i = 0; i < shape.stages - 1; ++i) { ahead.load(t, ring + i * stage_words); }
    int cell[2]; // of the lane's rows of left matrices
    for (int m = 0; m < 2; ++m) { cell[m] = bricks.cell(product.row + 16 * m + t.thread() % 16); }
    int stage = 0, filled = shape.stages - 1, chunk = 0, tap = 0;
    for (int step = 0; step < steps; ++step) {
      t.template wait_copies<shape.stages - 2>();
      t.sync(); // the panels are there, and nobody multiplies those before them any more
      ahead.load(t, ring + filled * stage_words);
      filled = filled + 1 == shape.stages ? 0 : filled + 1;
      const int first = begin[tap_at_step(tap, taps)], piece = t.thread() % warp_size / 16;
      product.add_product(t, halos.at(chunk), ring + stage * stage_words, words - chunk * mma_chunk > mma_chunk / 2,
                          ~0u, [&](int m) { return place_in_panel(first + cell[m], piece); });
      stage = stage + 1 == shape.stages ? 0 : stage + 1;
      if (++tap == taps) { tap = 0, ++chunk; }
    }
    write(t, product, brick, group * columns, column);
  }

private:
  static constexpr int pieces = mma_chunk / mma_piece, rows_at_once = shape.threads() / pieces;
  static constexpr int stage_words = shape.columns * mma_chunk;

  /// Room for the rows of a brick and around it, of so many chunks of words.
  struct halo_ring {
    std::uint32_t* all;
    int kept;
    SQS_DEVICE std::uint32_t* at(int chunk) const {
      return all + chunk % kept * (2 * most_halo_cells / kept) * mma_chunk;
    }
  };
  /// What this thread copies, a step after the other.
  struct loader {
    const mma_brick_kernel& k;
    halo_ring halos;
    idx brick;
    int group, column, chunk = 0, tap = 0;

    /// Begins the copies of a step, if there is one, as a group of their own.
    template <copying_team Team> SQS_DEVICE void load(Team& t, std::uint32_t* stage) {
      if (chunk * mma_chunk < k.words) {
        if (tap == 0) { copy_rows(t); }
        copy_weights(t, stage);
        if (++tap == k.bricks.all_taps()) { tap = 0, ++chunk; }
      }
      t.commit_copies();
    }

  private:
    template <copying_team Team> SQS_DEVICE void copy_rows(Team& t) {
      const int piece = t.thread() % pieces, cells = k.bricks.cells(), word = chunk * mma_chunk + piece * mma_piece;
      const idx row_pieces = k.groups * (k.words / mma_piece);
      for (int cell = t.thread() / pieces; cell < cells; cell += rows_at_once) {
        const std::int32_t row = k.bricks.rows[brick * cells + cell];
        const bool there = row >= 0 && word < k.words;
        t.copy_async(halos.at(chunk) + place_in_panel(cell, piece),
                     k.x + (there ? row * row_pieces + (group * k.words + word) / mma_piece : 0), there);
      }
    }
    template <copying_team Team> SQS_DEVICE void copy_weights(Team& t, std::uint32_t* stage) {
      const int row = t.thread() / pieces, piece = t.thread() % pieces;
      const idx weights = k.bricks.weights_of(static_cast<int>(tap_at_step(tap, k.bricks.all_taps())));
      const idx panel = (weights * k.groups + group) * tiles_of(k.words, mma_chunk) + chunk;
      SQS_UNROLL
      for (int i = 0; i < shape.columns; i += rows_at_once) {
        t.copy_async(stage + place_in_panel(row + i, piece),
                     k.weight + (panel * k.room + column + row + i) * pieces + piece, true);
      }
    }
  };

  template <team Team>
  SQS_DEVICE void write(Team& t, mma_block<Words, shape>& product, idx brick, idx group_column, idx column) const {
    const idx stride = groups * columns;
    product.each_pair(
        t, [&](int r) { return bricks.row(brick, r); },
        [&](std::int32_t row, int c, float a, float b) {
          if (row < 0) { return; }
          for (int i = 0; i < 2 && column + c + i < columns; ++i) {
            const idx j = group_column + column + c + i;
            y[row * stride + j] = static_cast<X>(finish.finished(i == 0 ? a : b, row, j, stride));
          }
        });
  }
};

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse convolution on tensor cores: the kernel of convolution_kernels.hpp with short numbers in and float sums,
/// whose rows and weights are on their way to shared memory while those before them are multiplied.

#include <sqs/sparse/cuda/convolution_kernels.hpp>
#include <sqs/sparse/cuda/mma_block.hpp>

namespace sqs::sparse::detail {

/// The steps of the sums at which some row of a block has the tap, one after the other. Every warp finds them by
/// itself.
template <int Tiles> struct tap_walk {
  const packed_table& table;
  int tile;              ///< the first of the block's `Tiles` tiles
  int step = 0;          ///< of the sums
  unsigned quarters = 0; ///< quarter tiles whose rows have the tap; 0: there are no more steps
  int from = -warp_size; ///< the lanes look at 32 steps at once, from here on
  unsigned seen = 0, left = 0;

  /// All lanes of the warp must come.
  template <team Team> SQS_DEVICE void next(Team& t) {
    quarters = 0;
    while (left == 0) {
      if (from + warp_size >= static_cast<int>(table.taps)) { return; }
      from += warp_size;
      seen = look(from + t.thread() % warp_size);
      left = t.ballot(seen != 0);
    }
    const int lane = lowest_bit(left);
    left &= left - 1;
    step = from + lane;
    quarters = t.shfl(seen, lane);
  }

private:
  SQS_DEVICE unsigned look(int n) const {
    if (n >= static_cast<int>(table.taps)) { return 0; }
    const idx tap = table.slot(n), tiles = tiles_of(table.outputs, device_tile_rows);
    unsigned used = 0;
    SQS_UNROLL
    for (int i = 0; i < Tiles; ++i) {
      if (tile + i < tiles) { used |= static_cast<unsigned>(table.used[(tile + i) * table.taps + tap]) << (4 * i); }
    }
    return used;
  }
};

/// Two numbers of a row that follow each other.
template <class X> struct alignas(2 * sizeof(X)) pair_of { X first, second; };

/// y[out] = bias + the sum over taps of x[in] W[tap], then the epilogue; rows that do not exist become zero.
///
/// Shapes      x [inputs, groups, words] and weight as `pack_weights_kernel` leaves them -> y [outputs, groups *
///             columns]
/// Execution   A block has the panels of Shape.stages - 1 steps on their way. A step is 64 bytes of the rows at a tap
///             with the weights they meet; steps follow each other in the order of the sums.
template <class X, class Words, mma_shape Shape> struct mma_product_kernel {
  static constexpr const char* name = "sqs::sparse::convolution_on_tensor_cores";
  static constexpr int most_threads = Shape.threads();
  /// On a processor at once: leaves a thread 128 registers, or 168 where it needs them.
  static constexpr int least_blocks = Shape.rows == 128 && most_threads == 128 ? 3 : 512 / most_threads;
  packed_table table;
  const piece_of_words *x, *weight;
  const float* bias;
  X* y;
  idx groups, columns;
  idx room;  ///< columns of the panels of weights: a multiple of Shape.columns
  int words; ///< of a row and group, whole pieces
  packed_epilogue<float> finish;
  const float* before = nullptr; ///< as in `table_product_kernel`
  float* sums = nullptr;

  idx blocks() const { return tiles_of(table.outputs, Shape.rows) * groups * tiles_of(columns, Shape.columns); }

  template <copying_team Team> SQS_DEVICE void operator()(Team& t) const {
    const int across = static_cast<int>(tiles_of(columns, Shape.columns)), all = static_cast<int>(groups);
    const int column = t.block() % across * Shape.columns, group = t.block() / across % all;
    const int first = t.block() / across / all * Shape.rows;
    std::uint32_t* const ring = shared_words<struct mma_ring, Shape.stages * stage_words>(t);
    auto product = block::of(t);
    start(t, product, first, group * columns, column);
    auto ahead = loader::of(t, *this, first, group, column);
    unsigned on_their_way = 0; // the panels' notes, those of the next in the lowest bits
    for (int i = 0; i < Shape.stages - 1; ++i) {
      on_their_way |= ahead.load(t, ring + i * stage_words) << (i * note_bits);
    }
    int stage = 0, filled = Shape.stages - 1;
    while (on_their_way != 0) {
      t.template wait_copies<Shape.stages - 2>();
      t.sync(); // the panels are there, and nobody multiplies those before them any more
      const unsigned note = on_their_way & ((1u << note_bits) - 1);
      on_their_way >>= note_bits;
      on_their_way |= ahead.load(t, ring + filled * stage_words) << ((Shape.stages - 2) * note_bits);
      filled = filled + 1 == Shape.stages ? 0 : filled + 1;
      const std::uint32_t* const panels = ring + stage * stage_words;
      product.add_product(t, panels, panels + Shape.rows * mma_chunk, (note & whole_chunk) != 0, note);
      stage = stage + 1 == Shape.stages ? 0 : stage + 1;
    }
    write(t, product, first, group * columns, column);
  }

private:
  using block = mma_block<Words, Shape>;
  static constexpr int stage_words = Shape.stage_words(), pieces = mma_chunk / mma_piece;
  static constexpr int rows_at_once = Shape.threads() / pieces; ///< that the threads copy a piece each of
  static constexpr int shares = Shape.rows / rows_at_once, weight_shares = Shape.columns / rows_at_once;
  /// What is remembered of panels: their quarters, of which at least one is used, and whether all words are.
  static constexpr int note_bits = Shape.rows / device_quarter_rows + 1;
  static constexpr unsigned whole_chunk = 1u << (note_bits - 1);
  static_assert(Shape.rows % device_tile_rows == 0 && shares > 0 && weight_shares > 0 &&
                (Shape.stages - 1) * note_bits <= 32);

  /// What this thread copies, a step after the other: a piece of `shares` rows and of `weight_shares` columns. The rows of
  /// the next tap are looked up while those before come. Places in memory are counted in pieces, to save registers.
  struct loader {
    static constexpr std::uint32_t none = ~0u;
    const mma_product_kernel& k;
    tap_walk<Shape.rows / device_tile_rows> next_at;
    int first;               ///< of the thread's rows; others follow at a distance of rows_at_once
    std::uint32_t x, weight; ///< the thread's piece in a row of x, in the panel of a tap
    int word = 0;            ///< the first of the row that is copied now
    unsigned quarters = 0;   ///< of the tap; 0: there are no more
    std::uint32_t from_weight = 0;
    std::uint32_t from[shares] = {};   ///< where the rows begin; `none`: there is no row
    std::int32_t next_in[shares] = {}; ///< rows of the next tap, -1: none

    template <team Team>
    SQS_DEVICE static loader of(Team& t, const mma_product_kernel& k, int first, int group, int column) {
      const int row = t.thread() / pieces, piece = t.thread() % pieces;
      const idx panels = tiles_of(k.words, mma_chunk) * k.room * pieces; // of a tap and group
      loader l{k,
               {k.table, first / device_tile_rows},
               first + row,
               static_cast<std::uint32_t>(group * (k.words / mma_piece) + piece),
               static_cast<std::uint32_t>(group * panels + (column + row) * pieces + piece)};
      l.look_up(t);
      l.to_next_tap(t);
      return l;
    }
    /// Begins the copies of a step, if there is one, as a group of their own. Returns the note of the panels, or 0.
    template <copying_team Team> SQS_DEVICE unsigned load(Team& t, std::uint32_t* stage) {
      unsigned note = 0;
      if (quarters != 0) {
        copy(t, stage);
        note = quarters | (k.words - word > mma_chunk / 2 ? whole_chunk : 0);
        word += mma_chunk;
        if (word >= k.words) { to_next_tap(t); }
      }
      t.commit_copies();
      return note;
    }

  private:
    template <team Team> SQS_DEVICE void look_up(Team& t) {
      next_at.next(t);
      if (next_at.quarters == 0) { return; }
      const std::int32_t* const input = k.table.input + k.table.slot(next_at.step) * k.table.outputs;
      SQS_UNROLL
      for (int i = 0; i < shares; ++i) {
        const int row = first + i * rows_at_once;
        next_in[i] = row < static_cast<int>(k.table.outputs) ? input[row] : -1;
      }
    }
    template <team Team> SQS_DEVICE void to_next_tap(Team& t) {
      word = 0, quarters = next_at.quarters;
      if (quarters == 0) { return; }
      const auto row_pieces = static_cast<std::uint32_t>(k.groups * (k.words / mma_piece));
      SQS_UNROLL
      for (int i = 0; i < shares; ++i) {
        from[i] = next_in[i] < 0 ? none : static_cast<std::uint32_t>(next_in[i]) * row_pieces + x;
      }
      const idx panels = tiles_of(k.words, mma_chunk) * k.room * pieces;
      from_weight = static_cast<std::uint32_t>(k.table.weights_of(next_at.step) * k.groups * panels) + weight;
      look_up(t);
    }
    template <copying_team Team> SQS_DEVICE void copy(Team& t, std::uint32_t* stage) {
      const int row = t.thread() / pieces, piece = t.thread() % pieces;
      // Rows at a distance of rows_at_once have their pieces at the same place.
      std::uint32_t* const to = stage + place_in_panel(row, piece);
      const bool inside = word + piece * mma_piece < k.words;
      const auto done = static_cast<std::uint32_t>(word / mma_piece);
      SQS_UNROLL
      for (int i = 0; i < shares; ++i) {
        if ((quarters >> (row + i * rows_at_once) / device_quarter_rows & 1u) == 0) { continue; } // nobody reads them
        const bool there = inside && from[i] != none;
        t.copy_async(to + i * rows_at_once * mma_chunk, k.x + (there ? from[i] + done : 0), there);
      }
      SQS_UNROLL
      for (int i = 0; i < weight_shares; ++i) {
        t.copy_async(to + (Shape.rows + i * rows_at_once) * mma_chunk,
                     k.weight + from_weight + i * rows_at_once * pieces, true);
      }
      from_weight += static_cast<std::uint32_t>(k.room) * pieces;
    }
  };

  template <team Team> SQS_DEVICE void start(Team& t, block& product, idx first, idx group_column, idx column) const {
    if (bias == nullptr && before == nullptr) { return; }
    product.each_pair(
        t,
        [&](int r) {
          if (before == nullptr) { return bias; }
          return first + r < table.outputs ? before + table.row(first + r) * groups * columns : nullptr;
        },
        [&](const float* from, int c, float& a, float& b) {
          if (from == nullptr) { return; }
          if (column + c < columns) { a = from[group_column + column + c]; }
          if (column + c + 1 < columns) { b = from[group_column + column + c + 1]; }
        });
  }
  template <team Team> SQS_DEVICE void write(Team& t, block& product, idx first, idx group_column, idx column) const {
    struct place {
      idx row;
      bool inside, exists;
    };
    const idx stride = groups * columns, rows = table.status->rows;
    // Both sums at once, where all pairs lie at multiples of their size.
    const bool pairs = columns % 2 == 0 && (reinterpret_cast<std::uintptr_t>(y) & (2 * sizeof(X) - 1)) == 0 &&
                       (reinterpret_cast<std::uintptr_t>(sums) & (2 * sizeof(float) - 1)) == 0;
    product.each_pair(
        t,
        [&](int r) {
          const bool inside = first + r < table.outputs;
          return place{inside ? table.row(first + r) : 0, inside, first + r < rows};
        },
        [&](const place& p, int c, float a, float b) {
          if (!p.inside || column + c >= columns) { return; }
          const idx j = group_column + column + c;
          const bool both = column + c + 1 < columns;
          if (sums != nullptr) {
            store(sums + p.row * stride + j, a, b, both, pairs);
            return;
          }
          const auto finished = [&](float v, idx at) {
            return static_cast<X>(p.exists ? finish.finished(v, p.row, at, stride) : 0.0f);
          };
          store(y + p.row * stride + j, finished(a, j), both ? finished(b, j + 1) : X(0.0f), both, pairs);
        });
  }
  template <class V> SQS_DEVICE static void store(V* to, V a, V b, bool both, bool pairs) {
    if (pairs) {
      *reinterpret_cast<pair_of<V>*>(to) = {a, b};
      return;
    }
    to[0] = a;
    if (both) { to[1] = b; }
  }
};

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The weight gradient of sparse convolutions on tensor cores: the kernel of weight_gradient_kernels.hpp with 64 x 64
/// sums by a block, short numbers in and float sums. Rows are on their way to shared memory while those before them are
/// multiplied.

#include <sqs/sparse/cuda/mma_block.hpp>
#include <sqs/sparse/cuda/weight_gradient_kernels.hpp>

namespace sqs::sparse::detail {

/// The pairs of tiles at a tap, tile after tile, moved together in the order of the outputs. Every warp keeps a list of
/// its own, so that no other waits for it; the rows of the next tile are looked up while this one's are copied.
template <int Warps> struct pair_walk {
  const packed_table& table;
  int tap;
  int from, end;          ///< the lanes look at 32 tiles at once, from here on, up to the range's end
  std::int32_t *in, *out; ///< [device_tile_rows] rows of this warp's list
  unsigned left = 0;      ///< of these tiles, those that have the tap and are still to come
  bool ready = false;     ///< is there a next tile?
  std::int32_t next_in[2] = {}, next_out[2] = {};
  int count = 0; ///< pairs of the list

  template <team Team>
  SQS_DEVICE static pair_walk of(Team& t, const packed_table& table, int tap, int first_tile, int end) {
    std::int32_t* const lists = shared_array<struct pair_lists, std::int32_t, Warps * 2 * device_tile_rows>(t) +
                                t.thread() / warp_size * 2 * device_tile_rows;
    pair_walk w{table, tap, first_tile - warp_size, end, lists, lists + device_tile_rows};
    w.look_up(t);
    return w;
  }
  /// Makes the list of the next tile; of no pairs, if there is none. All lanes of the warp must come.
  template <team Team> SQS_DEVICE void next(Team& t) {
    count = 0;
    if (!ready) { return; }
    const unsigned before = (1u << t.thread() % warp_size) - 1;
    t.sync_warp(); // nobody reads the list any more
    SQS_UNROLL
    for (int half = 0; half < 2; ++half) {
      const unsigned hits = t.ballot(next_in[half] >= 0);
      if (next_in[half] >= 0) {
        const int place = count + bits_set(hits & before);
        in[place] = next_in[half], out[place] = next_out[half];
      }
      count += bits_set(hits);
    }
    t.sync_warp();
    look_up(t);
  }

private:
  template <team Team> SQS_DEVICE void look_up(Team& t) {
    static_assert(device_tile_rows == 2 * warp_size);
    const int lane = t.thread() % warp_size;
    while (left == 0) {
      ready = from + warp_size < end;
      if (!ready) { return; }
      from += warp_size;
      const idx tile = from + lane;
      left = t.ballot(tile < end && table.used[tile * table.taps + tap] != 0);
    }
    const idx first = static_cast<idx>(from + lowest_bit(left)) * device_tile_rows + lane;
    left &= left - 1;
    ready = true;
    SQS_UNROLL
    for (int half = 0; half < 2; ++half) {
      const idx at = first + half * warp_size;
      next_in[half] = at < table.outputs ? table.input[tap * table.outputs + at] : -1;
      next_out[half] = at < table.outputs ? static_cast<std::int32_t>(table.row(at)) : 0;
    }
  }
};

/// Rows of pairs in shared memory: 64 channels of each. The axis summed over goes from row to row.
template <class Words> struct pair_panel {
  static constexpr int pairs = 16 * Words::per_word; ///< of a panel
  static constexpr int step = 8 * Words::per_word;   ///< pairs of a step of the product
  static constexpr int pieces = 16 / Words::per_word, row_words = pieces * mma_piece; ///< of a row
  static constexpr int words = pairs * row_words;

  /// Pieces change places so that what lanes read or write together lies in different banks.
  SQS_HD static int place(int pair, int piece) {
    const int turn = Words::per_word == 2 ? pair % 8 : pair % 4 * 2;
    return pair * row_words + (piece ^ turn) * mma_piece;
  }
  /// The part of this lane in the matrix [16 channels, step] of a left factor ...
  template <int Warps, team Team>
  SQS_DEVICE static void left(Team& t, std::uint32_t (&a)[4], const std::uint32_t* panel, int pair, int channel) {
    const int lane = t.thread() % warp_size;
    if constexpr (Words::per_word == 2) {
      load_transposed<Warps>(t, a, panel + place(pair + lane % 8 + lane / 16 * 8, channel / 8 + lane / 8 % 2));
    } else {
      SQS_UNROLL
      for (int i = 0; i < 4; ++i) { a[i] = word(panel, pair + lane % 4 + i / 2 * 4, channel + lane / 4 + i % 2 * 8); }
    }
  }
  /// ... and in two of [step, 8 columns] of a right one, that follow each other.
  template <int Warps, team Team>
  SQS_DEVICE static void right(Team& t, std::uint32_t (&b)[4], const std::uint32_t* panel, int pair, int column) {
    const int lane = t.thread() % warp_size;
    if constexpr (Words::per_word == 2) {
      load_transposed<Warps>(t, b, panel + place(pair + lane % 16, column / 8 + lane / 16));
    } else {
      SQS_UNROLL
      for (int i = 0; i < 4; ++i) { b[i] = word(panel, pair + lane % 4 + i % 2 * 4, column + lane / 4 + i / 2 * 8); }
    }
  }

private:
  SQS_DEVICE static std::uint32_t word(const std::uint32_t* panel, int pair, int channel) {
    return Words::rounded(panel[place(pair, channel / mma_piece) + channel % mma_piece]);
  }
};

/// partial[range, tap, k, j] = the sum over the range's pairs of x[in, k] d[out, j]; pairs are the axis summed over.
///
/// Shapes      x [inputs, x_pieces], d [outputs, d_pieces], see `rows_of_words`
template <class Words> struct mma_weight_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::weight_gradient_on_tensor_cores";
  static constexpr int most_threads = small_product.threads(), least_blocks = 4; ///< as in `mma_product_kernel`
  static constexpr int stages = 4, tile = 64;                                    ///< channels of both factors
  packed_table table;
  const piece_of_words *x, *d;
  int x_pieces, d_pieces; ///< of a row
  idx groups, depth, columns;
  gradient_ranges ranges;
  float* partial; ///< [ranges, taps, depth, groups * columns]

  idx blocks() const { return ranges.count * table.taps * groups * tiles_of(depth, tile) * tiles_of(columns, tile); }

  template <copying_team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = tiles_of(columns, tile), down = tiles_of(depth, tile);
    idx task = t.block();
    const int column = static_cast<int>(task % across) * tile, first = static_cast<int>((task /= across) % down) * tile;
    const int group = static_cast<int>((task /= down) % groups);
    const int tap = static_cast<int>((task /= groups) % table.taps), range = static_cast<int>(task / table.taps);
    const int begin = range * static_cast<int>(ranges.tiles);
    const int end = static_cast<int>(std::min(tiles_of(table.outputs, device_tile_rows), begin + ranges.tiles));
    std::uint32_t* const ring = shared_words<struct pair_ring, stages * stage_words>(t);
    auto product = block::of(t);
    const int all = static_cast<int>(groups), x_first = first / tile * panel::pieces,
              d_first = column / tile * panel::pieces;
    loader ahead{*this,
                 group * (x_pieces / all) + x_first,
                 group * (d_pieces / all) + d_first,
                 x_pieces / all - x_first,
                 d_pieces / all - d_first,
                 walk::of(t, table, tap, begin, end)};
    ahead.walk.next(t);
    unsigned on_their_way = 0; // steps of the panels, those of the next in the lowest bits
    for (int i = 0; i < stages - 1; ++i) { on_their_way |= ahead.load(t, ring + i * stage_words) << (i * step_bits); }
    int stage = 0, filled = stages - 1;
    while (on_their_way != 0) {
      t.template wait_copies<stages - 2>();
      t.sync(); // the panels are there, and nobody multiplies those before them any more
      const unsigned steps = on_their_way & ((1u << step_bits) - 1);
      on_their_way >>= step_bits;
      on_their_way |= ahead.load(t, ring + filled * stage_words) << ((stages - 2) * step_bits);
      filled = filled + 1 == stages ? 0 : filled + 1;
      add_product(t, product, ring + stage * stage_words, steps);
      stage = stage + 1 == stages ? 0 : stage + 1;
    }
    const idx matrix = range * table.taps + table.weight_tap(tap);
    product.each_pair(
        t, [&](int k) { return first + k; },
        [&](int k, int c, float a, float b) {
          if (k >= depth || column + c >= columns) { return; }
          float* const to = partial + ((matrix * depth + k) * groups + group) * columns + column + c;
          to[0] = a;
          if (column + c + 1 < columns) { to[1] = b; }
        });
  }

private:
  using block = mma_block<Words, small_product>;
  using panel = pair_panel<Words>;
  using walk = pair_walk<small_product.warps()>;
  static constexpr int stage_words = 2 * panel::words, step_bits = 2;
  static constexpr int pairs_at_once = most_threads / panel::pieces, shares = panel::pairs / pairs_at_once;

  /// What this thread copies, a panel of each factor after the other.
  struct loader {
    const mma_weight_gradient_kernel& k;
    int x_first, d_first; ///< where the block's pieces begin in a row
    int x_left, d_left;   ///< how many there are from there on
    pair_walk<small_product.warps()> walk;
    int first = 0; ///< pair of the list

    /// Begins the copies of a panel, if there is one, as a group of their own. Returns how many steps it takes.
    template <copying_team Team> SQS_DEVICE unsigned load(Team& t, std::uint32_t* stage) {
      const int rest = walk.count - first, pairs = rest < panel::pairs ? rest : panel::pairs;
      const int steps = (pairs + panel::step - 1) / panel::step;
      if (steps > 0) {
        copy(t, stage, steps * panel::step);
        first += panel::pairs;
        if (first >= walk.count) {
          first = 0;
          walk.next(t);
        }
      }
      t.commit_copies();
      return static_cast<unsigned>(steps);
    }

  private:
    template <copying_team Team> SQS_DEVICE void copy(Team& t, std::uint32_t* stage, int pairs) {
      const int piece = t.thread() % panel::pieces;
      SQS_UNROLL
      for (int i = 0; i < shares; ++i) {
        const int pair = t.thread() / panel::pieces + i * pairs_at_once;
        if (pair >= pairs) { break; }
        const bool there = first + pair < walk.count;
        std::uint32_t* const to = stage + panel::place(pair, piece);
        take(t, to, k.x, there && piece < x_left ? walk.in + first + pair : nullptr, k.x_pieces, x_first + piece);
        take(t, to + panel::words, k.d, there && piece < d_left ? walk.out + first + pair : nullptr, k.d_pieces,
             d_first + piece);
      }
    }
    template <copying_team Team> SQS_DEVICE void take(Team& t, std::uint32_t* to, const piece_of_words* rows,
                                                      const std::int32_t* row, int pieces, int piece) {
      const bool there = row != nullptr;
      t.copy_async(to,
                   rows + (there ? static_cast<std::uint32_t>(*row) * static_cast<std::uint32_t>(pieces) +
                                       static_cast<std::uint32_t>(piece)
                                 : 0u),
                   there);
    }
  };

  template <team Team>
  SQS_DEVICE void add_product(Team& t, block& product, const std::uint32_t* panels, unsigned steps) const {
    constexpr int warps = small_product.warps();
    SQS_UNROLL
    for (int pair = 0; pair < panel::pairs; pair += panel::step) {
      if (pair >= static_cast<int>(steps) * panel::step) { break; }
      std::uint32_t b[2][4];
      SQS_UNROLL
      for (int n = 0; n < 2; ++n) {
        panel::template right<warps>(t, b[n], panels + panel::words, pair, product.column + 16 * n);
      }
      SQS_UNROLL
      for (int m = 0; m < block::slabs; ++m) {
        std::uint32_t a[4];
        panel::template left<warps>(t, a, panels, pair, product.row + 16 * m);
        product.add_step(t, m, a, b);
      }
    }
  }
};

} // namespace sqs::sparse::detail

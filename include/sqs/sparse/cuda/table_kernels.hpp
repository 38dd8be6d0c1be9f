// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels that make neighbour tables: the search of the row every output meets at every tap, and the tiles of
/// outputs that have a tap at all.

#include <sqs/sparse/cuda/site_kernels.hpp>

namespace sqs::sparse {

/// Outputs of a tile of a neighbour table: those a block of a kernel computes. A quarter of it is what a warp
/// multiplies.
inline constexpr int device_tile_rows = 64, device_quarter_rows = 16;

namespace detail {

/// One thread per coarse site and tap of the leading axes: along the last axis keys ascend, so a thread searches once
/// and goes on from there. What it finds it writes to both tables, seen from the coarse site and seen from the fine
/// one.
///
/// Mirrored (fine and coarse are the same sites, the kernel is odd): half of the taps is searched, the other end of a
/// pair is written to the mirrored tap.
template <int D> struct search_kernel {
  static constexpr const char* name = "sqs::sparse::neighbour_search";
  packed_layout<D> fine, coarse;
  packed_relation<D> relation;
  const key_type *fine_key, *coarse_key;
  const std::int32_t *fine_order, *coarse_order; ///< null: rows stand in order of their keys
  const site_status *fine_status, *coarse_status;
  idx fine_capacity, coarse_capacity;
  idx row_taps, searched; ///< taps of the leading axes: all of them, and those that threads search
  bool mirrored;
  std::int32_t* of_coarse; ///< [taps, coarse_capacity], -1 before
  std::int32_t* of_fine;   ///< [taps, fine_capacity], -1 before

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= searched * coarse_capacity) { return; }
    const idx at = i % coarse_capacity, row_tap = i / coarse_capacity;
    if (at >= coarse_status->rows || coarse_key[at] >= coarse.outside) { return; }
    const key_type row = row_of(coarse_key[at], row_tap);
    if (row < fine.outside) { search(at, row, row_tap); }
  }

private:
  /// The key of the first cell of the row of fine cells a tap meets.
  SQS_DEVICE key_type row_of(key_type key, idx row_tap) const {
    key_type row = fine.part(coarse.coordinate(key, 0), 0);
    for (int a = D - 2; a >= 0; --a) {
      const idx c = relation.fine(coarse.coordinate(key, a + 1), row_tap % relation.taps[a], a);
      if (!fine.holds(c, a + 1)) { return fine.outside; }
      row |= fine.part(c, a + 1);
      row_tap /= relation.taps[a];
    }
    return row;
  }
  SQS_DEVICE void search(idx at, key_type row, idx row_tap) const {
    const idx last_taps = relation.taps[D - 1], taps = row_taps * last_taps, rows = fine_status->rows;
    const idx coordinate = coarse.coordinate(coarse_key[at], D);
    const bool half = mirrored && row_tap == row_taps / 2,
               first_of_voxel = at == 0 || coarse_key[at - 1] != coarse_key[at];
    const std::int32_t own = coarse_order == nullptr ? static_cast<std::int32_t>(at) : coarse_order[at];
    idx place = -1;
    for (idx k = 0; k < (half ? last_taps / 2 : last_taps); ++k) {
      const idx c = relation.fine(coordinate, k, D - 1);
      if (!fine.holds(c, D)) { continue; }
      const key_type sought = row | fine.part(c, D);
      place =
          place < 0 ? first_not_below(fine_key, 0, rows, sought) : first_not_below_near(fine_key, place, rows, sought);
      if (place >= rows) { break; }
      if (fine_key[place] != sought) { continue; }
      const idx tap = row_tap * last_taps + k;
      of_coarse[tap * coarse_capacity + at] =
          fine_order == nullptr ? static_cast<std::int32_t>(place) : fine_order[place];
      if (first_of_voxel) { of_fine[(mirrored ? taps - 1 - tap : tap) * fine_capacity + place] = own; }
    }
    if (half) { of_coarse[taps / 2 * coarse_capacity + at] = own; }
  }
};

/// The n-th tap in the order sums take them: the middle one, which in a submanifold convolution every output has, is
/// first.
SQS_HD inline idx tap_at_step(idx n, idx taps) {
  const idx middle = taps / 2;
  return n == 0 ? middle : n <= middle ? n - 1 : n;
}

/// `neighbour_table`, or one of its splits, for kernels.
struct packed_table {
  const std::int32_t *input, *order; ///< order null: 0, 1, 2, ...
  const site_status* status;         ///< of the outputs
  const std::uint8_t* used;
  idx outputs, taps;
  bool flipped;  ///< tap k belongs to the weights of tap taps - 1 - k
  idx first = 0; ///< of a split: the step of its first tap
  idx all = 0;   ///< of a split: the taps of the whole kernel; 0: this is the whole

  SQS_DEVICE idx row(idx at) const { return order == nullptr ? at : order[at]; }
  SQS_DEVICE idx weight_tap(idx tap) const { return flipped ? taps - 1 - tap : tap; }
  /// Where the tap of a step of the sums stands in the table, and whose weights it meets.
  SQS_DEVICE idx slot(idx step) const { return all == 0 ? tap_at_step(step, taps) : step; }
  SQS_DEVICE idx weights_of(idx step) const {
    const idx whole = all == 0 ? taps : all, tap = tap_at_step(first + step, whole);
    return flipped ? whole - 1 - tap : tap;
  }
};

/// used[tile, tap], bit q: some output of quarter q of the tile has the tap. One warp for each tile and tap.
struct tile_taps_kernel {
  static constexpr const char* name = "sqs::sparse::tile_taps";
  const std::int32_t* input; ///< [taps, outputs]
  idx outputs, taps;
  std::uint8_t* used; ///< [tiles, taps]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    static_assert(device_quarter_rows == warp_size / 2);
    const idx task = thread_of_grid(t) / warp_size, tiles = (outputs + device_tile_rows - 1) / device_tile_rows;
    const idx tile = task / taps, tap = task % taps;
    const int lane = t.thread() % warp_size;
    unsigned quarters = 0;
    for (int half = 0; half < 2; ++half) {
      const idx at = tile * device_tile_rows + half * warp_size + lane;
      const unsigned votes = t.ballot(tile < tiles && at < outputs && input[tap * outputs + at] >= 0);
      quarters |= ((votes & 0xffffu) != 0 ? 1u : 0u) << (2 * half) | (votes >> 16 != 0 ? 2u : 0u) << (2 * half);
    }
    if (tile < tiles && lane == 0) { used[task] = static_cast<std::uint8_t>(quarters); }
  }
};

/// How many outputs have each tap: one block per tap.
struct tap_counts_kernel {
  static constexpr const char* name = "sqs::sparse::sorted_by_taps";
  const std::int32_t* input; ///< [taps, outputs]
  idx outputs;
  std::int32_t* count; ///< [taps]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    std::int32_t mine = 0;
    for (idx i = t.thread(); i < outputs; i += t.size()) { mine += input[t.block() * outputs + i] >= 0 ? 1 : 0; }
    const std::int32_t all = block_sum(t, mine);
    if (t.thread() == 0) { count[t.block()] = all; }
  }
};

/// The place of every tap among all, the most frequent one first.
struct tap_ranks_kernel {
  static constexpr const char* name = "sqs::sparse::sorted_by_taps";
  const std::int32_t* count;
  idx taps;
  std::int32_t* rank;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx k = thread_of_grid(t);
    if (k >= taps) { return; }
    std::int32_t before = 0;
    for (idx j = 0; j < taps; ++j) { before += count[j] > count[k] || (count[j] == count[k] && j < k) ? 1 : 0; }
    rank[k] = before;
  }
};

/// A key for every output, by its taps: equal taps are equal keys, and neighbouring keys have similar taps. The taps
/// are bits, the rarest highest; the key is the place of these bits in a Gray code, where neighbours differ in one bit.
/// On a LiDAR sweep it makes 11 % fewer products than the bits themselves in the order of the taps.
struct tap_keys_kernel {
  static constexpr const char* name = "sqs::sparse::sorted_by_taps";
  static constexpr int bits = 62;   ///< where there are more taps, several share one
  const std::int32_t *input, *rank; ///< [taps, outputs], [taps]
  const site_status* status;
  idx outputs, taps;
  key_type* key; ///< of outputs that do not exist: above all others
  std::int32_t* number;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= outputs) { return; }
    key_type k = 0;
    for (idx tap = 0; tap < taps; ++tap) {
      const idx bit = taps <= bits ? rank[tap] : rank[tap] * bits / taps;
      if (input[tap * outputs + i] >= 0) { k |= key_type{1} << bit; }
    }
    for (int shift = 1; shift < 64; shift *= 2) { k ^= k >> shift; }
    key[i] = i < status->rows ? k : key_type{1} << bits;
    number[i] = static_cast<std::int32_t>(i);
  }
};

/// Some taps of a table: those of the steps `first`, `first` + 1, ... of the sums.
struct slice_taps_kernel {
  static constexpr const char* name = "sqs::sparse::split_by_taps";
  const std::int32_t* from; ///< [all, outputs]
  idx outputs, first, taps, all;
  std::int32_t* to; ///< [taps, outputs]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < taps * outputs) { to[i] = from[tap_at_step(first + i / outputs, all) * outputs + i % outputs]; }
  }
};

/// *count = the bits set in `used`: products of a quarter tile with a tap. By one block.
struct count_products_kernel {
  static constexpr const char* name = "sqs::sparse::count_products";
  const std::uint8_t* used;
  idx n;
  idx* count;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    idx mine = 0;
    for (idx i = t.thread(); i < n; i += t.size()) {
      for (unsigned bits = used[i]; bits != 0; bits &= bits - 1) { ++mine; }
    }
    const idx all = block_sum(t, mine);
    if (t.thread() == 0) { *count += all; }
  }
};

/// A table with its outputs in another order: output i is what output number[i] was.
struct reorder_kernel {
  static constexpr const char* name = "sqs::sparse::sorted_by_taps";
  const std::int32_t *input, *order, *number; ///< order null: 0, 1, 2, ...
  idx outputs, taps;
  std::int32_t *new_input, *new_order;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= taps * outputs) { return; }
    const idx from = number[i % outputs];
    new_input[i] = input[i - i % outputs + from];
    if (i < outputs) { new_order[i] = order == nullptr ? static_cast<std::int32_t>(from) : order[from]; }
  }
};

/// The table of one tap: row i sees row i, as far as rows exist.
struct pointwise_kernel {
  static constexpr const char* name = "sqs::sparse::make_device_pointwise_plan";
  const site_status* status;
  idx rows;
  std::int32_t* input; ///< [1, rows]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < rows) { input[i] = i < status->rows ? static_cast<std::int32_t>(i) : -1; }
  }
};

/// The taps of a smaller box of taps, in the middle of the box the table has.
template <int D> struct restrict_kernel {
  static constexpr const char* name = "sqs::sparse::restricted_plan";
  idx kept[D], all[D]; ///< extents of the boxes
  const std::int32_t* from;
  idx outputs, taps;
  std::int32_t* to; ///< [taps, outputs]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= taps * outputs) { return; }
    idx rest = i / outputs, tap = 0, step = 1;
    for (int a = D - 1; a >= 0; --a) {
      tap += (rest % kept[a] + (all[a] - kept[a]) / 2) * step;
      rest /= kept[a];
      step *= all[a];
    }
    to[i] = from[tap * outputs + i % outputs];
  }
};

} // namespace detail

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Volumes that are almost full in bricks of 4 x 4 x 4 cells: a block takes the rows of a brick and of the cells around
/// it into shared memory once, and finds the neighbours of all taps there.

#include <sqs/sparse/cuda/convolution_kernels.hpp>

namespace sqs::sparse::detail {

inline constexpr int brick_edge = 4, most_halo_cells = 256; ///< cells of a brick and around it that fit shared memory
static_assert(brick_edge == product_tile::own && brick_edge * brick_edge * brick_edge == product_tile::rows);

inline constexpr int most_brick_taps = 64; ///< more do not fit: an axis of t taps takes t + 3 cells at least

/// The bricks for kernels.
struct packed_bricks {
  const std::int32_t* rows;  ///< [bricks, cells] the row in every cell of a brick and around it, -1 if there is none
  const site_status* status; ///< of the bricks
  int taps[3], dilation[3];
  bool flipped; ///< tap k belongs to the weights of tap taps - 1 - k

  SQS_HD int extent(int a) const { return brick_edge + (taps[a] - 1) * dilation[a]; }
  SQS_HD int cells() const { return extent(0) * extent(1) * extent(2); }
  SQS_HD int all_taps() const { return taps[0] * taps[1] * taps[2]; }
  /// Where the neighbours at tap k of cells (0, 0, 0), (0, 0, 1), ... of the brick begin.
  SQS_DEVICE int begin(int k) const {
    const int z = k % taps[2] * dilation[2], y = k / taps[2] % taps[1] * dilation[1],
              x = k / taps[2] / taps[1] * dilation[0];
    return (x * extent(1) + y) * extent(2) + z;
  }
  /// All of these, worked out once.
  template <team Team> SQS_DEVICE const int* begins(Team& t) const {
    int* const all = shared_array<struct brick_begins, int, most_brick_taps>(t);
    for (int k = t.thread(); k < all_taps(); k += t.size()) { all[k] = begin(k); }
    t.sync();
    return all;
  }
  /// Cell `n` of the brick, counted from there.
  SQS_DEVICE int cell(int n) const {
    return (n / (brick_edge * brick_edge) * extent(1) + n / brick_edge % brick_edge) * extent(2) + n % brick_edge;
  }
  /// The row in cell n of a brick.
  SQS_DEVICE std::int32_t row(idx brick, int n) const {
    return rows[brick * cells() + begin(all_taps() / 2) + cell(n)];
  }
  SQS_DEVICE idx weights_of(int k) const { return flipped ? all_taps() - 1 - k : k; }
};

/// The key of every site's brick; one above all others for what is nowhere.
struct brick_keys_kernel {
  static constexpr const char* name = "sqs::sparse::with_bricks";
  packed_layout<3> sites, bricks;
  const key_type* key;
  const site_status* status;
  idx capacity;
  key_type* brick;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    key_type k = bricks.outside;
    if (i < status->rows && key[i] < sites.outside) {
      k = bricks.part(sites.coordinate(key[i], 0), 0);
      for (int a = 1; a <= 3; ++a) { k |= bricks.part(sites.coordinate(key[i], a) / brick_edge, a); }
    }
    brick[i] = k;
  }
};

/// The rows in and around every brick: one thread per line of cells along the last axis.
struct brick_rows_kernel {
  static constexpr const char* name = "sqs::sparse::with_bricks";
  packed_layout<3> sites, layout;
  packed_bricks bricks; ///< without rows
  const key_type *key, *brick;
  const std::int32_t* order; ///< of the sites; null: 0, 1, 2, ...
  const site_status* status; ///< of the sites
  idx capacity;              ///< of the bricks
  std::int32_t* rows;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), lines = bricks.extent(0) * bricks.extent(1), b = i / lines, line = i % lines;
    if (b >= capacity) { return; }
    std::int32_t* const to = rows + b * bricks.cells() + line * bricks.extent(2);
    for (int z = 0; z < bricks.extent(2); ++z) { to[z] = -1; }
    if (b >= bricks.status->rows) { return; }
    const key_type own = brick[b];
    const idx corner[2] = {line / bricks.extent(1), line % bricks.extent(1)};
    key_type start = sites.part(layout.coordinate(own, 0), 0);
    for (int a = 0; a < 2; ++a) {
      const idx c = first_cell(own, a) + corner[a];
      if (!sites.holds(c, a + 1)) { return; }
      start |= sites.part(c, a + 1);
    }
    idx place = -1;
    for (int z = 0; z < bricks.extent(2); ++z) {
      const idx c = first_cell(own, 2) + z;
      if (!sites.holds(c, 3)) { continue; }
      const key_type sought = start | sites.part(c, 3);
      place = place < 0 ? first_not_below(key, 0, status->rows, sought)
                        : first_not_below_near(key, place, status->rows, sought);
      if (place < status->rows && key[place] == sought) {
        to[z] = order == nullptr ? static_cast<std::int32_t>(place) : order[place];
      }
    }
  }

private:
  SQS_DEVICE idx first_cell(key_type own, int a) const {
    return layout.coordinate(own, a + 1) * brick_edge - bricks.taps[a] / 2 * bricks.dilation[a];
  }
};

/// y[out] = bias + the sum over taps of x[in] W[tap], then the epilogue, for the rows in bricks; others stay as they
/// are.
///
/// Shapes      as `table_product_kernel`
/// Execution   A sum begins with the bias; then come 16 channels of all taps, the middle one first, the next 16 ...
template <class X, class T, product_mode Mode = product_mode{}> struct brick_product_kernel {
  static constexpr const char* name = "sqs::sparse::convolution_in_bricks";
  static constexpr int pitch = most_halo_cells + 1; ///< what lanes write lies in different banks
  packed_bricks bricks;
  idx count; ///< bricks there is room for
  const X* x;
  const T *weight, *bias;
  X* y;
  idx groups, depth, columns;
  packed_epilogue<T> finish;

  idx blocks() const { return count * groups * ((columns + product_tile::columns - 1) / product_tile::columns); }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = (columns + product_tile::columns - 1) / product_tile::columns, task = t.block();
    const idx column = task % across * product_tile::columns, group = task / across % groups;
    const idx brick = task / across / groups;
    if (brick >= bricks.status->rows) { return; } // the whole block
    T* const halo = shared_array<struct brick_halo, T, product_tile::chunk * pitch>(t);
    auto panels =
        product_panels<T>{halo, shared_array<struct brick_weights, T, product_tile::chunk * product_tile::columns>(t),
                          t.thread() / (product_tile::columns / product_tile::own) * product_tile::own,
                          t.thread() % (product_tile::columns / product_tile::own) * product_tile::own};
    const int* const begin = bricks.begins(t);
    const idx first_column = column + panels.column;
    T sum[product_tile::own][product_tile::own];
    each_sum(sum, [&](int, int c, T& v) {
      v = bias != nullptr && first_column + c < columns ? bias[group * columns + first_column + c] : T(0);
    });
    for (idx k = 0; k < depth; k += product_tile::chunk) {
      load_halo(t, halo, brick, group, k);
      for (int step = 0; step < bricks.all_taps(); ++step) {
        const int tap = static_cast<int>(tap_at_step(step, bricks.all_taps()));
        load_weight_panel<Mode.transposed>(t, panels.right, weight, bricks.weights_of(tap),
                                           {groups, depth, columns, group, k, column});
        if constexpr (Mode.fault != planted_fault::no_first_barrier) { t.sync(); }
        add_product(sum, halo + begin[tap] + bricks.cell(panels.row), panels.right + panels.column);
        if constexpr (Mode.fault != planted_fault::no_last_barrier) { t.sync(); } // the panels are written again
      }
    }
    const idx stride = groups * columns;
    each_sum(sum, [&](int r, int c, const T& v) {
      const std::int32_t row = bricks.row(brick, panels.row + r);
      if (row < 0 || first_column + c >= columns) { return; }
      const idx j = group * columns + first_column + c;
      y[row * stride + j] = static_cast<X>(finish.finished(v, row, j, stride));
    });
  }

private:
  /// halo[channel][cell], zero where there is no row.
  template <team Team> SQS_DEVICE void load_halo(Team& t, T* halo, idx brick, idx group, idx k) const {
    const int channel = t.thread() % product_tile::chunk, cells = bricks.cells();
    const bool there = k + channel + (Mode.fault == planted_fault::one_channel_less ? 1 : 0) < depth;
    for (int cell = t.thread() / product_tile::chunk; cell < cells;
         cell += product_tile::threads / product_tile::chunk) {
      const std::int32_t row = there ? bricks.rows[brick * cells + cell] : -1;
      halo[channel * pitch + cell] = row < 0 ? T(0) : static_cast<T>(x[(row * groups + group) * depth + k + channel]);
    }
  }
  /// The 4 rows of a thread are a line of cells: they follow each other.
  SQS_DEVICE void add_product(T (&sum)[product_tile::own][product_tile::own], const T* left, const T* right) const {
    for (int k = 0; k < product_tile::chunk; ++k) {
      const T *const a = left + k * pitch, *const b = right + k * product_tile::columns;
      SQS_UNROLL
      for (int r = 0; r < product_tile::own; ++r) {
        SQS_UNROLL
        for (int c = 0; c < product_tile::own; ++c) { sum[r][c] += a[r] * b[c]; }
      }
    }
  }
};

} // namespace sqs::sparse::detail

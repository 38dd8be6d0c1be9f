// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The product of sparse convolutions on a device: a block owns 64 outputs and 32 channels of them, and takes the rows
/// its outputs meet, tap by tap, into shared memory. The same kernel goes forward and back to the inputs.

#include <sqs/sparse/cuda/product_tile.hpp>
#include <sqs/sparse/cuda/table_kernels.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>

namespace sqs::sparse::detail {

static_assert(product_tile::rows == device_tile_rows);

/// `row_epilogue` for kernels: y = act(x scale + shift + residual).
template <class T> struct packed_epilogue {
  const T *scale, *shift, *residual; ///< null: none; scale and shift come together
  activation_kind kind;
  T slope;

  SQS_DEVICE T finished(T v, idx row, idx column, idx stride) const {
    if (scale != nullptr) { v = v * scale[column] + shift[column]; }
    if (residual != nullptr) { v += residual[row * stride + column]; }
    if (kind == activation_kind::identity || !(v < T(0))) { return v; } // NaN stays NaN
    return kind == activation_kind::relu ? T(0) : v * slope;
  }
};

/// Faults that tests plant, to see that they would be found.
enum class planted_fault { none, no_first_barrier, no_last_barrier, one_channel_less };
/// What a kernel of the product is compiled for.
struct product_mode {
  bool transposed = false; ///< back to the inputs: with the transposed weights of every tap
  planted_fault fault = planted_fault::none;
};

/// Which weights of a tap a panel holds: channels from k on of a group, and its columns from `column` on.
struct weight_part {
  idx groups, depth, columns, group, k, column;
};
/// panel[channel][j] = the weights of a tap; lanes follow each other in memory. Zero beyond the channels.
template <bool Transposed, class T, team Team>
SQS_DEVICE void load_weight_panel(Team& t, T* panel, const T* weight, idx tap, const weight_part& p) {
  for (int i = t.thread(); i < product_tile::chunk * product_tile::columns; i += product_tile::threads) {
    const int channel = Transposed ? i % product_tile::chunk : i / product_tile::columns;
    const int j = Transposed ? i / product_tile::chunk : i % product_tile::columns;
    const bool there = p.k + channel < p.depth && p.column + j < p.columns;
    const idx at = Transposed
                       ? (tap * p.columns + p.column + j) * p.groups * p.depth + p.group * p.depth + p.k + channel
                       : (tap * p.depth + p.k + channel) * p.groups * p.columns + p.group * p.columns + p.column + j;
    panel[channel * product_tile::columns + j] = there ? weight[at] : T(0);
  }
}

/// y[out] = bias + the sum over taps of x[in] W[tap], then the epilogue; rows that do not exist become zero.
///
/// Shapes      x [inputs, groups * depth] -> y [outputs, groups * columns]; X: what features are stored as, T: what is
///             computed with
template <class X, class T, product_mode Mode = product_mode{}> struct table_product_kernel {
  static constexpr const char* name = "sqs::sparse::convolution";
  packed_table table;
  const X* x;
  const T *weight,
      *bias; ///< [taps, depth, groups * columns] or, transposed, [taps, columns, groups * depth]; bias null: none
  X* y;
  idx groups, depth, columns;
  packed_epilogue<T> finish;
  const T* before = nullptr; ///< [outputs, groups * columns] where sums begin instead of the bias; null: there
  T* sums = nullptr;         ///< where sums go on to the next split; null: this is the last

  idx column_tiles() const { return (columns + product_tile::columns - 1) / product_tile::columns; }
  idx blocks() const { return (table.outputs + product_tile::rows - 1) / product_tile::rows * groups * column_tiles(); }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = (columns + product_tile::columns - 1) / product_tile::columns, task = t.block();
    const idx column = task % across * product_tile::columns, group = task / across % groups;
    const idx tile = task / across / groups;
    const auto panels = product_panels<T>::of(t);
    T sum[product_tile::own][product_tile::own];
    start(sum, tile * product_tile::rows + panels.row, group * columns, column + panels.column);
    for (idx n = 0; n < table.taps; ++n) {
      const idx tap = table.slot(n);
      const unsigned quarters = table.used[tile * table.taps + tap];
      if (quarters == 0) { continue; }
      const bool mine = (quarters >> panels.row / device_quarter_rows & 1u) != 0; // the same for all lanes of a warp
      for (idx k = 0; k < depth; k += product_tile::chunk) {
        gather(t, panels.left, tile, tap, group, k);
        load_weight_panel<Mode.transposed>(t, panels.right, weight, table.weights_of(n),
                                           {groups, depth, columns, group, k, column});
        if constexpr (Mode.fault != planted_fault::no_first_barrier) { t.sync(); }
        if (mine) { panels.add_product(sum); }
        if constexpr (Mode.fault != planted_fault::no_last_barrier) { t.sync(); } // the panels are written again
      }
    }
    write(sum, tile * product_tile::rows + panels.row, group * columns, column + panels.column);
  }

private:
  SQS_DEVICE void start(T (&sum)[product_tile::own][product_tile::own], idx first, idx group_column, idx column) const {
    each_sum(sum, [&](int r, int c, T& v) {
      const idx j = group_column + column + c;
      v = T(0);
      if (column + c >= columns) { return; }
      if (before == nullptr) {
        v = bias != nullptr ? bias[j] : T(0);
      } else if (first + r < table.outputs) {
        v = before[table.row(first + r) * groups * columns + j];
      }
    });
  }
  /// Channels k .. k + chunk - 1 of the rows the tile meets at a tap; zeros where there is none.
  template <team Team> SQS_DEVICE void gather(Team& t, T* left, idx tile, idx tap, idx group, idx k) const {
    const int channel = t.thread() % product_tile::chunk;
    const bool there = k + channel + (Mode.fault == planted_fault::one_channel_less ? 1 : 0) < depth;
    for (int r = t.thread() / product_tile::chunk; r < product_tile::rows;
         r += product_tile::threads / product_tile::chunk) {
      const idx at = tile * product_tile::rows + r;
      const std::int32_t in = there && at < table.outputs ? table.input[tap * table.outputs + at] : -1;
      left[channel * product_tile::pitch + r] =
          in < 0 ? T(0) : static_cast<T>(x[(in * groups + group) * depth + k + channel]);
    }
  }
  SQS_DEVICE void write(T (&sum)[product_tile::own][product_tile::own], idx first, idx group_column, idx column) const {
    const idx stride = groups * columns, rows = table.status->rows;
    each_sum(sum, [&](int r, int c, const T& v) {
      if (first + r >= table.outputs || column + c >= columns) { return; }
      const idx row = table.row(first + r), j = group_column + column + c;
      if (sums != nullptr) {
        sums[row * stride + j] = v;
        return;
      }
      y[row * stride + j] = static_cast<X>(first + r < rows ? finish.finished(v, row, j, stride) : T(0));
    });
  }
};

/// The same for convolutions of each channel with itself: one thread per output and channel. The gradient of x is the
/// same with the other table.
///
/// Shapes      weight [taps, 1, channels]
template <class X, class T> struct depthwise_kernel {
  static constexpr const char* name = "sqs::sparse::depthwise_convolution";
  packed_table table;
  const X* x;
  const T *weight, *bias;
  X* y;
  idx channels;
  packed_epilogue<T> finish;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= table.outputs * channels) { return; }
    const idx at = i / channels, c = i % channels, row = table.row(at), tile = at / device_tile_rows;
    T sum = bias != nullptr ? bias[c] : T(0);
    for (idx n = 0; n < table.taps; ++n) {
      const idx tap = table.slot(n);
      if (table.used[tile * table.taps + tap] == 0) { continue; }
      const std::int32_t in = table.input[tap * table.outputs + at];
      if (in >= 0) { sum += static_cast<T>(x[in * channels + c]) * weight[table.weights_of(n) * channels + c]; }
    }
    y[row * channels + c] = static_cast<X>(at < table.status->rows ? finish.finished(sum, row, c, channels) : T(0));
  }
};

} // namespace sqs::sparse::detail

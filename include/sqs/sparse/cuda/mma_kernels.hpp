// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse convolution and its weight gradient on tensor cores: the kernels of convolution_kernels.hpp and
/// weight_gradient_kernels.hpp with 64 x 64 tiles, short numbers in and float sums.

#include <sqs/sparse/cuda/mma.hpp>
#include <sqs/sparse/cuda/weight_gradient_kernels.hpp>

namespace sqs::sparse::detail {

/// panel[j][word] = the weights of a tap, rounded. Zero beyond the channels.
template <class Words, bool Transposed, team Team>
SQS_DEVICE void load_weight_words(Team& t, std::uint32_t* panel, const float* weight, idx tap, const weight_part& p) {
  for (int i = t.thread(); i < mma_tile::columns * mma_tile::words; i += mma_tile::threads) {
    const int word = Transposed ? i % mma_tile::words : i / mma_tile::columns;
    const int j = Transposed ? i / mma_tile::words : i % mma_tile::columns;
    const auto value = [&](idx c) {
      if (c >= p.depth || p.column + j >= p.columns) { return 0.0f; }
      return Transposed ? weight[((tap * p.columns + p.column + j) * p.groups + p.group) * p.depth + c]
                        : weight[((tap * p.depth + c) * p.groups + p.group) * p.columns + p.column + j];
    };
    const idx channel = p.k + word * Words::per_word;
    panel[j * mma_tile::pitch + word] = Words::of(value(channel), Words::per_word > 1 ? value(channel + 1) : 0.0f);
  }
}

/// y[out] = bias + the sum over taps of x[in] W[tap], then the epilogue; rows that do not exist become zero.
///
/// Shapes      as `table_product_kernel`
template <class X, class Words, bool Transposed> struct mma_product_kernel {
  static constexpr const char* name = "sqs::sparse::convolution_on_tensor_cores";
  static constexpr int channels = mma_tile::words * Words::per_word; ///< that come at a time
  packed_table table;
  const X* x;
  const float *weight, *bias;
  X* y;
  idx groups, depth, columns;
  packed_epilogue<float> finish;
  const float* before = nullptr; ///< as in `table_product_kernel`
  float* sums = nullptr;

  idx blocks() const {
    return (table.outputs + mma_tile::rows - 1) / mma_tile::rows * groups *
           ((columns + mma_tile::columns - 1) / mma_tile::columns);
  }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = (columns + mma_tile::columns - 1) / mma_tile::columns, task = t.block();
    const idx column = task % across * mma_tile::columns, group = task / across % groups;
    const idx tile = task / across / groups;
    auto panels = mma_panels<Words>::of(t);
    start(panels, tile * mma_tile::rows, group * columns, column);
    for (idx n = 0; n < table.taps; ++n) {
      const idx tap = table.slot(n);
      const unsigned quarters = table.used[tile * table.taps + tap];
      if (quarters == 0) { continue; }
      for (idx k = 0; k < depth; k += channels) {
        gather(t, panels.left, tile, tap, group, k);
        load_weight_words<Words, Transposed>(t, panels.right, weight, table.weights_of(n),
                                             {groups, depth, columns, group, k, column});
        t.sync();
        panels.add_product(t, quarters);
        t.sync();
      }
    }
    write(panels, tile * mma_tile::rows, group * columns, column);
  }

private:
  SQS_DEVICE void start(mma_panels<Words>& panels, idx first, idx group_column, idx column) const {
    if (bias == nullptr && before == nullptr) { return; }
    panels.each_sum([&](int r, int c, float& sum) {
      const idx j = group_column + column + c;
      if (column + c >= columns || first + r >= table.outputs) { return; }
      sum = before == nullptr ? bias[j] : before[table.row(first + r) * groups * columns + j];
    });
  }
  template <team Team> SQS_DEVICE void gather(Team& t, std::uint32_t* left, idx tile, idx tap, idx group, idx k) const {
    const int word = t.thread() % mma_tile::words;
    for (int r = t.thread() / mma_tile::words; r < mma_tile::rows; r += mma_tile::threads / mma_tile::words) {
      const idx at = tile * mma_tile::rows + r, channel = k + word * Words::per_word;
      const std::int32_t in = at < table.outputs ? table.input[tap * table.outputs + at] : -1;
      const idx first = (in * groups + group) * depth;
      const auto value = [&](idx c) { return in >= 0 && c < depth ? static_cast<float>(x[first + c]) : 0.0f; };
      left[r * mma_tile::pitch + word] = Words::of(value(channel), Words::per_word > 1 ? value(channel + 1) : 0.0f);
    }
  }
  SQS_DEVICE void write(mma_panels<Words>& panels, idx first, idx group_column, idx column) const {
    const idx stride = groups * columns, rows = table.status->rows;
    panels.each_sum([&](int r, int c, const float& sum) {
      if (first + r >= table.outputs || column + c >= columns) { return; }
      const idx row = table.row(first + r), j = group_column + column + c;
      if (sums != nullptr) {
        sums[row * stride + j] = sum;
        return;
      }
      y[row * stride + j] = static_cast<X>(first + r < rows ? finish.finished(sum, row, j, stride) : 0.0f);
    });
  }
};

/// partial[range, tap, k, j] = the sum over the range's pairs of x[in, k] d[out, j]; pairs are the axis summed over.
template <class X, class Words> struct mma_weight_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::weight_gradient_on_tensor_cores";
  static constexpr int pairs_at_a_time = mma_tile::words * Words::per_word;
  packed_table table;
  const X *x, *d;
  idx groups, depth, columns;
  gradient_ranges ranges;
  float* partial; ///< [ranges, taps, depth, groups * columns]

  idx blocks() const {
    return ranges.count * table.taps * groups * tiles_of(depth, mma_tile::rows) * tiles_of(columns, mma_tile::columns);
  }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = tiles_of(columns, mma_tile::columns), down = tiles_of(depth, mma_tile::rows);
    idx task = t.block();
    const idx column = task % across * mma_tile::columns, first = (task /= across) % down * mma_tile::rows;
    const idx group = (task /= down) % groups, tap = (task /= groups) % table.taps, range = task / table.taps;
    const idx tiles = tiles_of(table.outputs, device_tile_rows), end = (range + 1) * ranges.tiles;
    auto lists = tile_pairs::of(t);
    auto panels = mma_panels<Words>::of(t);
    for (idx tile = range * ranges.tiles; tile < end && tile < tiles; ++tile) {
      if (table.used[tile * table.taps + tap] == 0) { continue; }
      lists.gather(t, table, tile, tap);
      for (int p = 0; p < lists.count; p += pairs_at_a_time) {
        load(t, panels.left, x, lists.in, p, lists.count, group, first, depth);
        load(t, panels.right, d, lists.out, p, lists.count, group, column, columns);
        t.sync();
        panels.add_product(t, ~0u);
        t.sync();
      }
    }
    const idx matrix = range * table.taps + table.weight_tap(tap);
    panels.each_sum([&](int k, int c, const float& sum) {
      if (first + k >= depth || column + c >= columns) { return; }
      partial[((matrix * depth + first + k) * groups + group) * columns + column + c] = sum;
    });
  }

private:
  static_assert(mma_tile::rows == mma_tile::columns);
  SQS_HD static idx tiles_of(idx n, idx tile) { return (n + tile - 1) / tile; }

  /// panel[c][word] = channel `channel` + c of the rows of the word's pairs; zero beyond the pairs and the channels.
  template <team Team> SQS_DEVICE void load(Team& t, std::uint32_t* panel, const X* from, const std::int32_t* row,
                                            int first, int pairs, idx group, idx channel, idx channels) const {
    for (int i = t.thread(); i < mma_tile::rows * mma_tile::words; i += mma_tile::threads) {
      const int c = i % mma_tile::rows, word = i / mma_tile::rows, p = first + word * Words::per_word;
      const auto value = [&](int pair) {
        return pair < pairs && channel + c < channels
                   ? static_cast<float>(from[(row[pair] * groups + group) * channels + channel + c])
                   : 0.0f;
      };
      panel[c * mma_tile::pitch + word] = Words::of(value(p), Words::per_word > 1 ? value(p + 1) : 0.0f);
    }
  }
};

} // namespace sqs::sparse::detail

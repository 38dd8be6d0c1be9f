// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The weight gradient of sparse convolutions on a device: per tap, the sum of the outer products of all pairs of rows.
/// Ranges of tiles have sums of their own, which are added in order: no atomics, the same bits in every run.

#include <sqs/sparse/cuda/convolution_kernels.hpp>

namespace sqs::sparse::detail {

/// How many ranges, and how long: by the problem alone.
struct gradient_ranges {
  idx count = 1, tiles = 0; ///< ranges; tiles of a range, the last may have fewer

  static gradient_ranges of(idx tiles, idx bytes_of_gradient) {
    constexpr idx most = 32, most_bytes = idx{64} << 20;
    const idx fit = most_bytes / std::max<idx>(1, bytes_of_gradient);
    const idx count = std::max<idx>(1, std::min({most, tiles, fit})), each = (tiles + count - 1) / count;
    return {each == 0 ? 1 : (tiles + each - 1) / each, each};
  }
};

/// The pairs of a tile at a tap, moved together in shared memory, in the order of the outputs.
struct tile_pairs {
  std::int32_t *in, *out; ///< [device_tile_rows] rows
  int* part;              ///< pairs of the first and of the second warp's outputs
  int count;

  template <team Team> SQS_DEVICE static tile_pairs of(Team& t) {
    return {shared_array<struct pair_inputs, std::int32_t, device_tile_rows>(t),
            shared_array<struct pair_outputs, std::int32_t, device_tile_rows>(t),
            shared_array<struct pair_parts, int, 2>(t), 0};
  }
  /// By all threads of the block, after a barrier behind the last use of what was there.
  template <team Team> SQS_DEVICE void gather(Team& t, const packed_table& table, idx tile, idx tap) {
    static_assert(device_tile_rows == 2 * warp_size);
    const int warp = t.thread() / warp_size, lane = t.thread() % warp_size;
    const idx at = tile * device_tile_rows + t.thread();
    const std::int32_t row = warp < 2 && at < table.outputs ? table.input[tap * table.outputs + at] : std::int32_t{-1};
    const unsigned hits = t.ballot(row >= 0);
    if (warp < 2 && lane == 0) { part[warp] = bits_set(hits); }
    t.sync();
    if (row >= 0) {
      const int place = (warp == 0 ? 0 : part[0]) + bits_set(hits & ((1u << lane) - 1));
      in[place] = row;
      out[place] = static_cast<std::int32_t>(table.row(at));
    }
    count = part[0] + part[1];
    t.sync();
  }
};

/// partial[range, tap, k, j] = the sum over the range's pairs of x[in, k] d[out, j]. A block owns 64 channels of x and
/// 32 of d; the pairs of a tile are first moved together, so that absent neighbours cost nothing.
template <class X, class T> struct weight_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::weight_gradient";
  packed_table table;
  const X *x, *d; ///< [inputs, groups * depth], [outputs, groups * columns]
  idx groups, depth, columns;
  gradient_ranges ranges;
  T* partial; ///< [ranges, taps, depth, groups * columns]

  idx blocks() const { return ranges.count * table.taps * groups * tiles_of(depth, 64) * tiles_of(columns, 32); }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx across = tiles_of(columns, product_tile::columns), down = tiles_of(depth, product_tile::rows);
    idx task = t.block();
    const idx column = task % across * product_tile::columns, first = (task /= across) % down * product_tile::rows;
    const idx group = (task /= down) % groups, tap = (task /= groups) % table.taps, range = task / table.taps;
    const idx tiles = tiles_of(table.outputs, device_tile_rows), end = (range + 1) * ranges.tiles;
    auto pairs = tile_pairs::of(t);
    const auto panels = product_panels<T>::of(t);
    T sum[product_tile::own][product_tile::own] = {};
    for (idx tile = range * ranges.tiles; tile < end && tile < tiles; ++tile) {
      if (table.used[tile * table.taps + tap] == 0) { continue; }
      pairs.gather(t, table, tile, tap);
      for (int p = 0; p < pairs.count; p += product_tile::chunk) {
        load(t, panels.left, x, pairs.in, p, pairs.count, groups * depth, group * depth, first, depth,
             product_tile::rows, product_tile::pitch);
        load(t, panels.right, d, pairs.out, p, pairs.count, groups * columns, group * columns, column, columns,
             product_tile::columns, product_tile::columns);
        t.sync();
        panels.add_product(sum);
        t.sync();
      }
    }
    write(sum, range * table.taps + table.weight_tap(tap), group, first + panels.row, column + panels.column);
  }

private:
  SQS_HD static idx tiles_of(idx n, idx tile) { return (n + tile - 1) / tile; }

  /// panel[p][c] = from[row of pair first + p][c], zero beyond the pairs and the channels.
  template <team Team> SQS_DEVICE void load(Team& t, T* panel, const X* from, const std::int32_t* row, int first,
                                            int pairs, idx stride, idx group, idx channel, idx channels, int width,
                                            int pitch) const {
    for (int i = t.thread(); i < product_tile::chunk * width; i += product_tile::threads) {
      const int p = i / width, c = i % width;
      const bool there = first + p < pairs && channel + c < channels;
      panel[p * pitch + c] = there ? static_cast<T>(from[row[first + p] * stride + group + channel + c]) : T(0);
    }
  }
  SQS_DEVICE void write(T (&sum)[product_tile::own][product_tile::own], idx matrix, idx group, idx k,
                        idx column) const {
    each_sum(sum, [&](int r, int c, const T& v) {
      if (k + r >= depth || column + c >= columns) { return; }
      partial[((matrix * depth + k + r) * groups + group) * columns + column + c] = v;
    });
  }
};

/// The same for convolutions of each channel with itself: one thread per range, tap and channel.
template <class X, class T> struct depthwise_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::depthwise_weight_gradient";
  packed_table table;
  const X *x, *d;
  idx channels;
  gradient_ranges ranges;
  T* partial; ///< [ranges, taps, channels]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= ranges.count * table.taps * channels) { return; }
    const idx c = i % channels, tap = i / channels % table.taps, range = i / channels / table.taps;
    const idx first = range * ranges.tiles * device_tile_rows, end = first + ranges.tiles * device_tile_rows;
    T sum = 0;
    for (idx at = first; at < end && at < table.outputs; ++at) {
      if (at % device_tile_rows == 0 && table.used[at / device_tile_rows * table.taps + tap] == 0) {
        at += device_tile_rows - 1;
        continue;
      }
      const std::int32_t in = table.input[tap * table.outputs + at];
      if (in >= 0) { sum += static_cast<T>(x[in * channels + c]) * static_cast<T>(d[table.row(at) * channels + c]); }
    }
    partial[(range * table.taps + table.weight_tap(tap)) * channels + c] = sum;
  }
};

/// total[i] = the sum of partial[part, i] in order of the parts.
template <class T> struct ordered_sum_kernel {
  static constexpr const char* name = "sqs::sparse::ordered_sum";
  const T* partial; ///< [parts, n]
  idx parts, n;
  T* total;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    T sum = 0;
    for (idx p = 0; p < parts; ++p) { sum += partial[p * n + i]; }
    total[i] = sum;
  }
};

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The product of sparse convolutions on a matrix unit: features and weights of bfloat16, sums of float.
///
/// A strip of 32 outputs is multiplied with every tap any of them has. Its rows of x are copied into whole registers, with
/// zeros for those a tap does not meet; a block of 32 x 32 sums stays in four registers while the copies pass by.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>
#include <sqs/sparse/detail/tile_unit.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse::detail {

inline constexpr idx strip_rows = 2 * register_rows, strip_columns = 2 * register_columns;
inline constexpr idx most_strip_columns = 4 * strip_columns;             ///< whose sums a strip has at a time
inline constexpr idx register_elements = register_rows * register_depth; ///< bfloat16 numbers in a register

/// Weights [taps, depth, columns] of each group, rounded to bfloat16, in registers as a unit wants its right factor.
///
/// Shapes      data [groups][taps][blocks of 32 columns][blocks of 32 channels][2][16 pairs of channels][16 columns][2],
///             padded with zeros
struct unit_weights {
  idx depth = 0, columns = 0, taps = 0, groups = 1;
  tensor<bfloat16, 1> data;

  idx depth_blocks() const { return (depth + register_depth - 1) / register_depth; }
  idx column_blocks() const { return (columns + strip_columns - 1) / strip_columns; }
  /// The two registers of a block.
  idx offset(idx group, idx tap, idx column_block, idx depth_block) const {
    return (((group * taps + tap) * column_blocks() + column_block) * depth_blocks() + depth_block) * 2 *
           register_elements;
  }
};

/// Packs weight [taps, in, groups * out]; `transposed` and `mirrored` as `pack_weights`.
inline unit_weights pack_for_unit(cpu& e, const tensor<float, 3>& weight, idx groups, bool transposed, bool mirrored) {
  const idx taps = weight.extent(0), in = weight.extent(1), row = weight.extent(2), out = row / groups;
  unit_weights w{transposed ? out : in, transposed ? in : out, taps, groups, {}};
  w.data = zeros<bfloat16, 1>(e, {groups * taps * w.column_blocks() * w.depth_blocks() * 2 * register_elements});
  const float* const from = weight.data();
  bfloat16* const to = w.data.data();
  const idx channel_step = transposed ? 1 : row, column_step = transposed ? row : 1;
  parallel_for(e, groups * taps, 1, [&](idx task, idx) {
    const idx group = task / taps, tap = task % taps;
    const float* const matrix = from + (mirrored ? taps - 1 - tap : tap) * in * row + group * out;
    for (idx k = 0; k < w.depth; ++k) {
      const float* const channel = matrix + k * channel_step;
      const idx inside = k % register_depth; // pair inside / 2, and which of the two
      for (idx j = 0; j < w.columns; ++j) {
        const idx half = j % strip_columns / register_columns, column = j % register_columns;
        to[w.offset(group, tap, j / strip_columns, k / register_depth) + half * register_elements +
           inside / 2 * register_depth + 2 * column + inside % 2] = bfloat16(channel[j * column_step]);
      }
    }
  });
  return w;
}

/// The rows of x that the outputs of a strip meet at one tap.
struct strip_step {
  idx tap;
  const bfloat16* row[strip_rows]; ///< of output i; without one, a row of zeros
  bool used[2];                    ///< does this half of the strip have any?
};

/// Calls f(step) for the strip of `rows` outputs from place `begin` of the order on, tap by tap; a tap that an output has
/// several times comes as often. `next` [taps]: the place in each list of tile t, whose strips are asked for in order.
///
/// `nobody` is the row of an output without one: nothing that follows has to ask who is missing, which cannot be guessed.
template <class F> void for_each_step(const pair_lists& l, idx t, idx begin, idx rows, idx* next, const bfloat16* x,
                                      idx x_stride, const bfloat16* nobody, F&& f) {
  const std::int32_t* const order = l.order.size() == 0 ? nullptr : l.order.data();
  const std::int32_t *const input = l.input.data(), *const output = l.output.data();
  strip_step s;
  for (s.tap = 0; s.tap < l.taps; ++s.tap) {
    const idx end = l.begin.data()[t * l.taps + s.tap + 1];
    idx p = next[s.tap];
    for (bool again = p < end; again;) {
      again = s.used[0] = s.used[1] = false;
      std::fill_n(s.row, strip_rows, nobody);
      for (idx i = 0, first = p; p < end; ++p, ++i) {
        again = p != first && output[p] == output[p - 1]; // goes into the next step
        if (again) { break; }
        if (order == nullptr) {
          i = output[p] - begin;
        } else {
          while (i < rows && order[begin + i] != output[p]) { ++i; }
        }
        if (i >= rows) { break; } // of a strip that comes later
        s.row[i] = x + input[p] * x_stride;
        s.used[i / register_rows] = true;
      }
      if (s.used[0] || s.used[1]) { f(s); }
    }
    next[s.tap] = p;
  }
}

/// Rows of x as left factors, waiting to be multiplied: one entry per tap and block of channels of the strip.
struct waiting_rows {
  static constexpr int most = 8; ///< 16 KiB: with the rows they come from, they stay in the first-level cache
  struct entry {
    idx tap, depth_block;
    bool used[2];
  };
  alignas(64) bfloat16 x[most][2][register_rows][register_depth];
  entry entries[most];
  int count = 0;

  /// Copies channels first .. first + channels - 1, a block of 32 or what is left.
  void push(const strip_step& s, idx first, idx channels) {
    entries[count] = {s.tap, first / register_depth, {s.used[0], s.used[1]}};
    for (int half = 0; half < 2; ++half) {
      if (!s.used[half]) { continue; }
      bfloat16* to = x[count][half][0];
      const bfloat16* const* const row = s.row + half * register_rows;
      if (channels == register_depth) { // as many as the compiler knows
        SQS_UNROLL
        for (idx i = 0; i < register_rows; ++i) {
          std::copy_n(row[i] + first, register_depth, to + i * register_depth);
        }
        continue;
      }
      for (idx i = 0; i < register_rows; ++i, to += register_depth) {
        std::copy_n(row[i] + first, channels, to);
        std::fill(to + channels, to + register_depth, bfloat16(0.0f));
      }
    }
    ++count;
  }
};

/// The product of one group and up to four blocks of columns, strip by strip.
template <matrix_unit Unit> struct strip_product {
  const pair_lists& l;
  const unit_weights& w;
  idx group, block, blocks; ///< the blocks of columns
  const bfloat16* x;        ///< first column of the group
  idx x_stride;
  const bfloat16* nobody; ///< zeros, as many as channels
  Unit& unit;
  waiting_rows waiting;
  alignas(64) float sums[strip_rows][most_strip_columns];

  /// Adds what waits to the sums of one block; `Halves`: registers of it that have any column.
  template <int Halves> void multiply_block(idx b) {
    constexpr idx stride = most_strip_columns * static_cast<idx>(sizeof(float));
    float *const upper = &sums[0][b * strip_columns], *const lower = &sums[register_rows][b * strip_columns];
    unit.template load<0>(upper, stride);
    unit.template load<1>(lower, stride);
    if constexpr (Halves == 2) {
      unit.template load<2>(upper + register_columns, stride);
      unit.template load<3>(lower + register_columns, stride);
    }
    for (int i = 0; i < waiting.count; ++i) {
      const auto& at = waiting.entries[i];
      const bfloat16* const right = w.data.data() + w.offset(group, at.tap, block + b, at.depth_block);
      unit.template load<6>(right, register_bytes);
      if constexpr (Halves == 2) { unit.template load<7>(right + register_elements, register_bytes); }
      if (at.used[0]) {
        unit.template load<4>(waiting.x[i][0], register_bytes);
        unit.template multiply_add<0, 4, 6>();
        if constexpr (Halves == 2) { unit.template multiply_add<2, 4, 7>(); }
      }
      if (at.used[1]) {
        unit.template load<5>(waiting.x[i][1], register_bytes);
        unit.template multiply_add<1, 5, 6>();
        if constexpr (Halves == 2) { unit.template multiply_add<3, 5, 7>(); }
      }
    }
    unit.template store<0>(upper, stride);
    unit.template store<1>(lower, stride);
    if constexpr (Halves == 2) {
      unit.template store<2>(upper + register_columns, stride);
      unit.template store<3>(lower + register_columns, stride);
    }
  }
  void multiply() {
    for (idx b = 0; b < blocks; ++b) {
      if (w.columns - (block + b) * strip_columns > register_columns) {
        multiply_block<2>(b);
      } else {
        multiply_block<1>(b);
      }
    }
    waiting.count = 0;
  }
  /// sums = start + x W for the strip of `rows` outputs from place `begin` on; `start`: null for zeros.
  void strip(idx t, idx begin, idx rows, idx* next, const float* start, idx columns) {
    for (auto& row : sums) {
      std::fill_n(row, blocks * strip_columns, 0.0f);
      if (start != nullptr) { std::copy_n(start, columns, row); }
    }
    for_each_step(l, t, begin, rows, next, x, x_stride, nobody, [&](const strip_step& s) {
      for (idx first = 0; first < w.depth; first += register_depth) {
        waiting.push(s, first, std::min(register_depth, w.depth - first));
        if (waiting.count == waiting_rows::most) { multiply(); }
      }
    });
    if (waiting.count > 0) { multiply(); }
  }
};

/// Rows of `columns` finished sums become rows of y: those of the strip of `rows` outputs from place `begin` on, from
/// `column` on. `f` begins at that column, too.
inline void write_strip(const pair_lists& l, idx begin, idx rows, float (*sums)[most_strip_columns], idx column,
                        idx columns, const row_epilogue<float>& f, bfloat16* y, idx y_stride) {
  const std::int32_t* const order = l.order.size() == 0 ? nullptr : l.order.data();
  with_activation(f.act.kind, [&]<activation_kind Kind>(std::integral_constant<activation_kind, Kind>) {
    for (idx i = 0; i < rows; ++i) {
      const idx at = (order == nullptr ? begin + i : order[begin + i]) * y_stride + column;
      if (!f.nothing()) {
        finish_row<Kind>(f, sums[i], f.residual == nullptr ? nullptr : f.residual + at, sums[i], 0, columns);
      }
      for (idx j = 0; j < columns; ++j) { y[at + j] = bfloat16(sums[i][j]); }
    }
  });
}

/// y = bias + x W over all pairs, then what `finish` says, rounded once; in tasks of one tile of the plan.
///
/// Shapes      as `product`
/// Execution   A row's sum starts from its bias; then come the taps in their order and the channels in blocks of 32, each
///             summed by the unit before it is added. Where a tap misses some rows of a strip, those add zero times its
///             weights.
template <matrix_unit Unit> void unit_product(cpu& e, const pair_lists& l, const unit_weights& w, const bfloat16* x,
                                              idx x_stride, const float* bias, bfloat16* y, idx y_stride,
                                              const row_epilogue<float>& finish) {
  const auto nobody = zeros<bfloat16, 1>(e, {w.depth});
  auto lists = empty<idx, 1>(e, {l.tiles() * l.taps});
  idx* const places = lists.data();
  parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
    Unit unit;
    constexpr auto configuration = unit_configuration::full();
    unit.configure(configuration);
    idx* const next = places + t * l.taps;
    const idx end = std::min(l.outputs, (t + 1) * l.tile), wide = most_strip_columns / strip_columns;
    for (idx task = 0, each = (w.column_blocks() + wide - 1) / wide; task < w.groups * each; ++task) {
      const idx group = task / each, block = task % each * wide, first = block * strip_columns;
      const idx column = group * w.columns + first, columns = std::min(w.columns - first, most_strip_columns);
      strip_product<Unit> s{l,
                            w,
                            group,
                            block,
                            std::min(w.column_blocks() - block, wide),
                            x + group * w.depth,
                            x_stride,
                            nobody.data(),
                            unit,
                            {},
                            {}};
      row_epilogue<float> f = finish;
      if (f.scale != nullptr) { f.scale += column, f.shift += column; }
      std::copy_n(l.begin.data() + t * l.taps, l.taps, next);
      for (idx begin = t * l.tile; begin < end; begin += strip_rows) {
        const idx rows = std::min(strip_rows, end - begin);
        s.strip(t, begin, rows, next, bias == nullptr ? nullptr : bias + column, columns);
        write_strip(l, begin, rows, s.sums, column, columns, f, y, y_stride);
      }
    }
  });
}

} // namespace sqs::sparse::detail

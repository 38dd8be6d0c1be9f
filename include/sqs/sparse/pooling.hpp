// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Pooling over the neighbours that exist: on the plan of any convolution.

#include <sqs/autodiff/result.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/row_math.hpp>
#include <sqs/sparse/pair_lists.hpp>

#include <utility>

namespace sqs::sparse {

/// What is kept of several rows, channel by channel.
enum class pooling {
  max,  ///< of equal ones the first gets the whole gradient
  mean, ///< over the rows there are, not over the taps
  sum
};

/// y[out] = the maximum, mean or sum of x[in] over the plan's pairs (in, out). Sites that are absent are no zeros: they
/// do not count. An output without a single pair (only plans between given sites have such) is 0 and gives no gradient.
///
/// Shapes      x [inputs, C] -> y [outputs, C]
/// Gradient    x. Maximum: to the row that gave it; of equal ones that of the first tap, then the lowest row. Mean: dy
///             divided by the number of rows. The plan must hold no pair (in, out) twice; those of `make_..._plan` do not.
/// Execution   Tasks of one tile of the plan; an output takes its pairs in order of the taps.
/// Errors      precondition_error if x has another number of rows than the plan.
/// Cost        One row of traffic per pair each way, and 4 bytes for every pair and output; the maximum keeps 4 bytes per
///             number for its way back.
/// Source      Semantics of spconv's pools but for two of its slips: maxima start from nothing, not from 0, and the
///             gradient of a mean is divided by the count.
struct pooling_op {
  convolution_plan plan;
  pooling kind = pooling::max;

  struct saved {
    tensor<std::int32_t, 2> winner; ///< of a maximum: the input row of each number, -1 if there is none
    tensor<std::int32_t, 1> count;  ///< of a mean
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    const idx outputs = plan.forward.outputs;
    saved s;
    if (kind == pooling::max) { s.winner = empty<std::int32_t, 2>(e, {outputs, x.extent(1)}); }
    if (kind == pooling::mean) { s.count = empty<std::int32_t, 1>(e, {outputs}); }
    auto y = pooled(e, x, s);
    return result{std::move(y), std::move(s)};
  }
  /// The same for inference: there is no way back, and nothing is kept for it.
  template <class T> tensor<T, 2> pooled(cpu& e, const tensor<T, 2>& x) const {
    saved nothing;
    return pooled(e, x, nothing);
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    const auto& l = plan.backward; // its outputs are the rows of x
    const idx c = dy.extent(1);
    expects(dy.extent(0) == plan.forward.outputs, "sqs::sparse::pooling_op: the gradient of y has ", dy.extent(0),
            " rows, y ", plan.forward.outputs, "; give a gradient of y's shape");
    expects(!s.winner || c == s.winner.extent(1), "sqs::sparse::pooling_op: the gradient of y has ", c, " channels, y ",
            s.winner.extent(1), "; give a gradient of y's shape");
    auto dx = empty<T, 2>(e, {l.outputs, c});
    parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
      each_output(l, t, [&](idx row) { std::fill_n(dx.data() + row * c, c, T(0)); });
      each_pair(l, t, [&](idx out, idx row) {
        const T* const d = dy.data() + out * c;
        T* const to = dx.data() + row * c;
        if (kind == pooling::max) {
          const std::int32_t* const from = s.winner.data() + out * c;
          for (idx j = 0; j < c; ++j) { to[j] += from[j] == row ? d[j] : T(0); }
        } else if (kind == pooling::mean) {
          detail::add_row_times(T(1) / static_cast<T>(s.count.data()[out]), d, to, c);
        } else {
          detail::add_row(d, to, c);
        }
      });
    });
    return dx;
  }

private:
  /// `s` has room for what is to be kept.
  template <class T> tensor<T, 2> pooled(cpu& e, const tensor<T, 2>& x, saved& s) const {
    const auto& l = plan.forward;
    const idx c = x.extent(1);
    expects(x.extent(0) == l.inputs, "sqs::sparse::pooling_op: x has ", x.extent(0), " rows, the plan ", l.inputs,
            "; use the plan made for these sites");
    auto y = empty<T, 2>(e, {l.outputs, c});
    // The inputs of a tile's lists one output after the other, each output's in order of the taps.
    auto input = empty<std::int32_t, 1>(e, {l.pairs()}), behind = empty<std::int32_t, 1>(e, {l.outputs});
    std::int32_t* const last = behind.data(); // of an output, past its last input
    parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
      const idx begin = l.begin.data()[t * l.taps], end = l.begin.data()[(t + 1) * l.taps];
      std::int32_t* const inputs = input.data() + begin;
      each_output(l, t, [&](idx out) { last[out] = 0; });
      each_pair(l, t, [&](idx, idx out) { ++last[out]; });
      std::int32_t sum = 0;
      each_output(l, t, [&](idx out) { sum += std::exchange(last[out], sum); });
      each_pair(l, t, [&](idx in, idx out) { inputs[last[out]++] = static_cast<std::int32_t>(in); });
      idx i = 0;
      each_output(l, t, [&](idx out) {
        output_row<T> r{y.data() + out * c, s.winner ? s.winner.data() + out * c : nullptr, c};
        for (; i < last[out]; ++i) {
          fetch_row(x.data() + inputs[std::min(i + 4, end - begin - 1)] * c, c); // soon to come
          take(r, x.data() + inputs[i] * c, inputs[i]);
        }
        finish(r);
        if (s.count) { s.count.data()[out] = static_cast<std::int32_t>(r.count); }
      });
    });
    return y;
  }
  /// A row of y while its inputs come.
  template <class T> struct output_row {
    T* y;
    std::int32_t* winner;
    idx channels, count = 0;
  };
  template <class T> void take(output_row<T>& r, const T* x, std::int32_t name) const {
    const bool is_first = r.count++ == 0;
    if (kind != pooling::max) {
      if (is_first) { std::fill_n(r.y, r.channels, T(0)); }
      detail::add_row(x, r.y, r.channels);
    } else if (is_first) {
      std::copy_n(x, r.channels, r.y);
      if (r.winner != nullptr) { std::fill_n(r.winner, r.channels, name); }
    } else if (r.winner != nullptr) {
      detail::keep_larger(x, name, r.y, r.winner, r.channels);
    } else {
      detail::keep_larger(x, r.y, r.channels);
    }
  }
  template <class T> void finish(const output_row<T>& r) const {
    if (r.count == 0) {
      std::fill_n(r.y, r.channels, T(0));
      if (r.winner != nullptr) { std::fill_n(r.winner, r.channels, -1); }
    } else if (kind == pooling::mean) {
      for (idx j = 0; j < r.channels; ++j) { r.y[j] /= static_cast<T>(r.count); }
    }
  }
  /// Calls f(output) for the outputs of a tile.
  template <class F> static void each_output(const pair_lists& l, idx tile, F&& f) {
    const idx behind = std::min(l.outputs, (tile + 1) * l.tile);
    for (idx i = tile * l.tile; i < behind; ++i) { f(l.order ? l.order.data()[i] : i); }
  }
  template <class T> static void fetch_row(const T* row, idx channels) {
    for (idx c = 0; c < channels; c += 64 / idx{sizeof(T)}) { __builtin_prefetch(row + c); }
  }
  /// Calls f(input, output) for the pairs of a tile, in order of the taps.
  template <class F> static void each_pair(const pair_lists& l, idx tile, F&& f) {
    const idx *first = l.begin.data() + tile * l.taps, behind = first[l.taps];
    for (idx p = *first; p < behind; ++p) { f(idx{l.input.data()[p]}, idx{l.output.data()[p]}); }
  }
};

} // namespace sqs::sparse

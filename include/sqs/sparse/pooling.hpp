// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Pooling over the neighbours that exist: on the plan of any convolution.

#include <sqs/autodiff/result.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/row_math.hpp>
#include <sqs/sparse/pair_lists.hpp>

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
/// Cost        One row of traffic per pair each way; the maximum keeps 4 bytes per number.
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
    const auto& l = plan.forward;
    const idx c = x.extent(1);
    expects(x.extent(0) == l.inputs, "sqs::sparse::pooling_op: x has ", x.extent(0), " rows, the plan ", l.inputs,
            "; use the plan made for these sites");
    auto y = empty<T, 2>(e, {l.outputs, c});
    saved s;
    if (kind == pooling::max) { s.winner = empty<std::int32_t, 2>(e, {l.outputs, c}); }
    if (kind == pooling::mean) { s.count = empty<std::int32_t, 1>(e, {l.outputs}); }
    parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
      each_output(l, t, [&](idx out) {
        std::fill_n(y.data() + out * c, c, T(0));
        if (s.winner) { std::fill_n(s.winner.data() + out * c, c, -1); }
        if (s.count) { s.count.data()[out] = 0; }
      });
      if (kind == pooling::max) {
        each_pair(l, t, [&](idx in, idx out) { take_larger(x.data() + in * c, in, y, s, out); });
      } else {
        each_pair(l, t, [&](idx in, idx out) {
          detail::add_row(x.data() + in * c, y.data() + out * c, c);
          if (s.count) { ++s.count.data()[out]; }
        });
      }
      if (kind == pooling::mean) {
        each_output(l, t, [&](idx out) { divide(y, s, out); });
      }
    });
    return result{std::move(y), std::move(s)};
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
  /// Calls f(output) for the outputs of a tile.
  template <class F> static void each_output(const pair_lists& l, idx tile, F&& f) {
    const idx behind = std::min(l.outputs, (tile + 1) * l.tile);
    for (idx i = tile * l.tile; i < behind; ++i) { f(l.order ? l.order.data()[i] : i); }
  }
  /// Calls f(input, output) for the pairs of a tile, in order of the taps.
  template <class F> static void each_pair(const pair_lists& l, idx tile, F&& f) {
    const idx *first = l.begin.data() + tile * l.taps, behind = first[l.taps];
    for (idx p = *first; p < behind; ++p) { f(idx{l.input.data()[p]}, idx{l.output.data()[p]}); }
  }
  template <class T> static void take_larger(const T* x, idx in, tensor<T, 2>& y, saved& s, idx out) {
    const idx c = y.extent(1);
    T* const to = y.data() + out * c;
    std::int32_t* const from = s.winner.data() + out * c;
    if (c > 0 && from[0] < 0) { // the first row that comes
      std::copy_n(x, c, to);
      std::fill_n(from, c, static_cast<std::int32_t>(in));
    } else {
      detail::keep_larger(x, static_cast<std::int32_t>(in), to, from, c);
    }
  }
  template <class T> static void divide(tensor<T, 2>& y, const saved& s, idx out) {
    const idx c = y.extent(1);
    const T count = static_cast<T>(std::max(s.count.data()[out], 1));
    for (idx j = 0; j < c; ++j) { y.data()[out * c + j] /= count; }
  }
};

} // namespace sqs::sparse

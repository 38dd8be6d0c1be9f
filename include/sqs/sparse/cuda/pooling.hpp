// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Pooling over the neighbours that exist, in device memory: the twin of pooling.hpp, on the plan of any convolution.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/plan.hpp>
#include <sqs/sparse/pooling.hpp>

namespace sqs::sparse {

namespace detail {

/// One thread per output and channel; neighbours in order of the taps.
template <class T> struct pooling_kernel {
  static constexpr const char* name = "sqs::sparse::pooling";
  packed_table table;
  const T* x;
  idx channels;
  pooling kind;
  T* y;
  std::int32_t *winner, *count; ///< of a maximum [outputs, channels]; of a mean [outputs]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= table.outputs * channels) { return; }
    const idx at = i / channels, c = i % channels, row = table.row(at);
    const std::uint8_t* const used = table.used + at / device_tile_rows * table.taps;
    T value = 0;
    std::int32_t from = -1, seen = 0;
    for (idx tap = 0; tap < table.taps; ++tap) {
      const std::int32_t in = used[tap] == 0 ? -1 : table.input[tap * table.outputs + at];
      if (in < 0) { continue; }
      const T v = x[in * channels + c];
      if (kind != pooling::max) {
        value += v;
      } else if (seen == 0 ||
                 (!(v <= value) && value == value)) { // of equal ones the first stays; NaN is taken and stays
        value = v;
        from = in;
      }
      ++seen;
    }
    if (kind == pooling::mean && seen > 0) { value /= static_cast<T>(seen); }
    y[row * channels + c] = value;
    if (winner != nullptr) { winner[row * channels + c] = from; }
    if (count != nullptr && c == 0) { count[row] = seen; }
  }
};

/// One thread per input and channel. The outputs that meet an input are few: looking at all of them needs no atomics.
template <class T> struct pooling_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::pooling_gradient";
  packed_table table; ///< of the way back: its outputs are the rows of x
  const T* dy;
  idx channels;
  pooling kind;
  const std::int32_t *winner, *count;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= table.outputs * channels) { return; }
    const idx at = i / channels, c = i % channels, row = table.row(at);
    const std::uint8_t* const used = table.used + at / device_tile_rows * table.taps;
    T sum = 0;
    for (idx tap = 0; tap < table.taps; ++tap) {
      const std::int32_t out = used[tap] == 0 ? -1 : table.input[tap * table.outputs + at];
      if (out < 0) { continue; }
      const T d = dy[out * channels + c];
      if (kind == pooling::max) {
        sum += winner[out * channels + c] == row ? d : T(0);
      } else {
        sum += kind == pooling::mean ? d * (T(1) / static_cast<T>(count[out])) : d;
      }
    }
    dx[row * channels + c] = sum;
  }
};

} // namespace detail

/// y[out] = the maximum, mean or sum of x[in] over the plan's pairs (in, out); see `pooling_op`.
///
/// Shapes      x [inputs, C] -> y [outputs, C]; rows that do not exist become zero
/// Gradient    x, as on the host: of equal maxima the first takes all
/// Execution   Nothing waits for the device, no atomics: the same bits in every run.
/// Errors      precondition_error if x has another number of rows than the plan.
/// Cost        One row of traffic per pair each way; the maximum keeps 4 bytes per number.
struct device_pooling_op {
  device_plan plan;
  pooling kind = pooling::max;

  struct saved {
    tensor<std::int32_t, 2, device> winner; ///< of a maximum: the input row of each number, -1 if there is none
    tensor<std::int32_t, 1, device> count;  ///< of a mean
    idx channels = 0;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_pooling_op");
    const auto& n = plan.forward;
    const idx c = x.extent(1);
    expects(x.extent(0) == n.inputs, "sqs::sparse::device_pooling_op: x has ", x.extent(0), " rows, the plan ",
            n.inputs, "; use the plan made for these sites");
    auto y = empty<T, 2>(e, {n.outputs, c});
    saved s{{}, {}, c};
    if (kind == pooling::max) { s.winner = empty<std::int32_t, 2>(e, {n.outputs, c}); }
    if (kind == pooling::mean) { s.count = empty<std::int32_t, 1>(e, {n.outputs}); }
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::pooling_kernel<T>{n.packed(false), x.data(), c, kind, y.data(), s.winner ? s.winner.data() : nullptr,
                                     s.count ? s.count.data() : nullptr});
    return result{std::move(y), std::move(s)};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_pooling_op (backward)");
    detail::require_device_gradient("device_pooling_op", dy, plan.forward.outputs, s.channels);
    auto dx = empty<T, 2>(e, {plan.forward.inputs, s.channels});
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::pooling_gradient_kernel<T>{plan.backward.packed(false), dy.data(), s.channels, kind,
                                              s.winner ? s.winner.data() : nullptr, s.count ? s.count.data() : nullptr,
                                              dx.data()});
    return dx;
  }
};

} // namespace sqs::sparse

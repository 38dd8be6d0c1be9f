// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One row of features per batch item, in device memory: the twin of global_pooling.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/column_sums.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/pooling.hpp>

namespace sqs::sparse {

namespace detail {

/// Where the rows of each batch item begin in the order of the keys; at the end, how many there are.
template <int D> struct batch_bounds_kernel {
  static constexpr const char* name = "sqs::sparse::global_pooling";
  packed_layout<D> layout;
  const key_type* key;
  const site_status* status;
  std::int32_t* bound; ///< [batches + 1]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx b = thread_of_grid(t);
    if (b > layout.extent[0]) { return; }
    const key_type first = b < layout.extent[0] ? layout.part(b, 0) : layout.outside;
    bound[b] = static_cast<std::int32_t>(first_not_below(key, 0, status->rows, first));
  }
};

/// A value that is being pooled, and the row it came from.
template <class T> struct pooled {
  T value;
  std::int32_t row; ///< -1: nothing yet

  /// Of equal maxima the lower row stays; a NaN is taken and stays.
  SQS_DEVICE void take(T x, std::int32_t from, bool max) {
    const bool larger = (!(x <= value) && value == value) || (x == value && from < row);
    if (!max) {
      value += x;
      row = from;
    } else if (row < 0 || larger) {
      value = x;
      row = from;
    }
  }
};

/// One thread per batch item, range of its rows and channel.
template <class T> struct pool_ranges_kernel {
  static constexpr const char* name = "sqs::sparse::global_pooling";
  const std::int32_t *bound, *order; ///< order null: 0, 1, 2, ...
  const T* x;
  idx batches, ranges, channels;
  bool max;
  pooled<T>* part; ///< [batches, ranges, channels]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), c = i % channels, range = i / channels % ranges, b = i / channels / ranges;
    if (b >= batches) { return; }
    const idx first = bound[b] + range * device_range_rows;
    pooled<T> p{T(0), -1};
    for (idx at = first; at < first + device_range_rows && at < bound[b + 1]; ++at) {
      const std::int32_t row = order == nullptr ? static_cast<std::int32_t>(at) : order[at];
      p.take(x[row * channels + c], row, max);
    }
    part[i] = p;
  }
};

/// Joins the ranges in order: one thread per batch item and channel.
template <class T> struct join_ranges_kernel {
  static constexpr const char* name = "sqs::sparse::global_pooling";
  const std::int32_t* bound;
  const pooled<T>* part;
  idx batches, ranges, channels;
  pooling kind;
  T* y;
  std::int32_t* winner; ///< of a maximum [batches, channels]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), b = i / channels, c = i % channels;
    if (b >= batches) { return; }
    const idx rows = bound[b + 1] - bound[b];
    pooled<T> all{T(0), -1};
    for (idx r = 0; r * device_range_rows < rows; ++r) {
      const pooled<T> p = part[(b * ranges + r) * channels + c];
      all.take(p.value, p.row, kind == pooling::max);
    }
    y[i] = kind == pooling::mean && rows > 0 ? all.value / static_cast<T>(rows) : all.value;
    if (winner != nullptr) { winner[i] = all.row; }
  }
};

/// One thread per row and channel.
template <class T, int D> struct global_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::global_pooling_gradient";
  packed_layout<D> layout;
  const key_type* key;
  const std::int32_t *bound, *order, *winner;
  const site_status* status;
  const T* dy;
  idx capacity, channels;
  pooling kind;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), at = i / channels, c = i % channels;
    if (at >= capacity) { return; }
    const idx row = order == nullptr ? at : order[at];
    T d(0);
    if (at < status->rows && key[at] < layout.outside) {
      const idx b = layout.coordinate(key[at], 0);
      const bool takes = kind != pooling::max || winner[b * channels + c] == row;
      const T n = kind == pooling::mean ? static_cast<T>(bound[b + 1] - bound[b]) : T(1);
      d = takes ? dy[b * channels + c] / n : T(0);
    }
    dx[row * channels + c] = d;
  }
};

} // namespace detail

/// y[b] = the maximum, mean or sum of all rows of batch item b; 0 without a gradient where it has none.
///
/// Shapes      x [N, C] -> y [batches, C]
/// Gradient    x, zero in rows that do not exist. Maximum: of equal ones to the lowest row.
/// Execution   Nothing waits for the device. Ranges of 256 rows in order of the keys, joined in order.
/// Errors      precondition_error if x has another number of rows than the sites.
template <int D> struct device_global_pooling_op {
  device_sites<D> at;
  pooling kind = pooling::mean;

  struct saved {
    tensor<std::int32_t, 1, device> bound;  ///< [batches + 1]
    tensor<std::int32_t, 2, device> winner; ///< of a maximum [batches, C]
    idx channels = 0;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_global_pooling_op");
    const idx c = x.extent(1), batches = at.batches();
    const idx ranges = (at.capacity + detail::device_range_rows - 1) / detail::device_range_rows;
    expects(x.extent(0) == at.capacity, "sqs::sparse::device_global_pooling_op: x has ", x.extent(0),
            " rows, the sites room for ", at.capacity, "; give one row per site");
    saved s{empty<std::int32_t, 1>(e, {batches + 1}), {}, c};
    launch(e, detail::grid_blocks(batches + 1), detail::grid_threads,
           detail::batch_bounds_kernel<D>{detail::packed_layout<D>(at.layout), at.key.data(), at.status.data(),
                                          s.bound.data()});
    auto part = empty<detail::pooled<T>, 3>(e, {batches, ranges, c});
    launch(e, detail::grid_blocks(part.size()), detail::grid_threads,
           detail::pool_ranges_kernel<T>{s.bound.data(), at.order_data(), x.data(), batches, ranges, c,
                                         kind == pooling::max, part.data()});
    auto y = empty<T, 2>(e, {batches, c});
    if (kind == pooling::max) { s.winner = empty<std::int32_t, 2>(e, {batches, c}); }
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::join_ranges_kernel<T>{s.bound.data(), part.data(), batches, ranges, c, kind, y.data(),
                                         s.winner ? s.winner.data() : nullptr});
    return result{std::move(y), std::move(s)};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_global_pooling_op (backward)");
    detail::require_device_gradient("device_global_pooling_op", dy, at.batches(), s.channels);
    auto dx = empty<T, 2>(e, {at.capacity, s.channels});
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::global_gradient_kernel<T, D>{detail::packed_layout<D>(at.layout), at.key.data(), s.bound.data(),
                                                at.order_data(), s.winner ? s.winner.data() : nullptr, at.status.data(),
                                                dy.data(), at.capacity, s.channels, kind, dx.data()});
    return dx;
  }
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Activations, dropout, sums and casts of rows in device memory: the twins of what nn/activation.hpp and nn/cast.hpp
/// do on the host.

#include <sqs/autodiff/result.hpp>
#include <sqs/core/random.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/packed.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>

#include <tuple>

namespace sqs::sparse {

namespace detail {

template <class T> struct activation_kernel {
  static constexpr const char* name = "sqs::sparse::activation";
  const T* x;
  T* y;
  idx n;
  activation_kind kind;
  T slope;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const T v = x[i];
    y[i] = kind == activation_kind::identity || !(v < T(0)) ? v : kind == activation_kind::relu ? T(0) : v * slope;
  }
};
/// The sign of y is that of x.
template <class T> struct activation_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::activation_gradient";
  const T *x, *dy;
  T* dx;
  idx n;
  activation_kind kind;
  T slope;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const T d = dy[i];
    dx[i] = kind == activation_kind::identity || x[i] > T(0) ? d : kind == activation_kind::relu ? T(0) : d * slope;
  }
};
template <class T> struct add_kernel {
  static constexpr const char* name = "sqs::sparse::add";
  const T *a, *b;
  T* sum;
  idx n;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < n) { sum[i] = a[i] + b[i]; }
  }
};
/// Zero with probability `rate`, as the number of the element in the stream says; the rest times `scale`.
template <class T> struct dropout_kernel {
  static constexpr const char* name = "sqs::sparse::dropout";
  const T* x;
  T* y;
  idx n;
  random_stream stream;
  double rate;
  T scale;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < n) { y[i] = stream.uniform(i) < rate ? T(0) : scale * x[i]; }
  }
};
template <class From, class To> struct cast_kernel {
  static constexpr const char* name = "sqs::sparse::cast";
  const From* x;
  To* y;
  idx n;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < n) { y[i] = static_cast<To>(x[i]); }
  }
};

} // namespace detail

/// y = act(x), element by element. NaN stays NaN.
///
/// Gradient    x: zero at 0 for the relu, the slope for the leaky one
struct device_activation_op {
  activation act;

  template <class T, int R> struct saved { tensor<T, R, device> x; };
  template <device_executor E, class T, int R> auto forward(E& e, const tensor<T, R, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_activation_op");
    auto y = empty<T, R>(e, x.shape());
    launch(e, detail::grid_blocks(x.size()), detail::grid_threads,
           detail::activation_kernel<T>{x.data(), y.data(), x.size(), act.kind, static_cast<T>(act.slope)});
    // What the relu needs of x it finds in y, which somebody keeps anyway.
    return result{y, saved<T, R>{act.kind == activation_kind::relu ? y : x}};
  }
  template <device_executor E, class T, int R>
  auto backward(E& e, const saved<T, R>& s, const tensor<T, R, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_activation_op (backward)");
    expects(dy.shape() == s.x.shape(), "sqs::sparse::device_activation_op: the gradient of y has ", dy.size(),
            " elements, y ", s.x.size(), "; give a gradient of y's shape");
    auto dx = empty<T, R>(e, dy.shape());
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::activation_gradient_kernel<T>{s.x.data(), dy.data(), dx.data(), dx.size(), act.kind,
                                                 static_cast<T>(act.slope)});
    return dx;
  }
};

/// a + b, equal shapes.
///
/// Gradient    a, b: dy, shared with it and not copied
struct device_add_op {
  struct saved {};
  template <device_executor E, class T, int R>
  auto forward(E& e, const tensor<T, R, device>& a, const tensor<T, R, device>& b) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_add_op");
    expects(a.shape() == b.shape(), "sqs::sparse::device_add_op: the shapes differ (", a.size(), " and ", b.size(),
            " elements); add has no broadcasting");
    auto y = empty<T, R>(e, a.shape());
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::add_kernel<T>{a.data(), b.data(), y.data(), y.size()});
    return result{std::move(y), saved{}};
  }
  template <device_executor E, class T, int R> auto backward(E&, const saved&, const tensor<T, R, device>& dy) const {
    return std::tuple{dy, dy};
  }
};

/// Zeroes each element with probability `rate` and scales the rest by 1/(1-rate): the elements are those of
/// `nn::dropout_op` with the same stream.
///
/// Gradient    x, through the same elements
/// Errors      precondition_error for a rate outside [0, 1).
struct device_dropout_op {
  double rate = 0;
  random_stream stream{};

  struct saved {};
  template <device_executor E, class T, int R> auto forward(E& e, const tensor<T, R, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_dropout_op");
    expects(rate >= 0 && rate < 1, "sqs::sparse::device_dropout_op: rate is ", rate, "; give 0 <= rate < 1");
    return result{masked(e, x), saved{}};
  }
  template <device_executor E, class T, int R> auto backward(E& e, const saved&, const tensor<T, R, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_dropout_op (backward)");
    return masked(e, dy);
  }

private:
  template <class E, class T, int R> tensor<T, R, device> masked(E& e, const tensor<T, R, device>& x) const {
    auto y = empty<T, R>(e, x.shape());
    launch(e, detail::grid_blocks(x.size()), detail::grid_threads,
           detail::dropout_kernel<T>{x.data(), y.data(), x.size(), stream, rate, static_cast<T>(1 / (1 - rate))});
    return y;
  }
};

/// y = x in the scalar type To, rounded to the nearest; see `nn::cast_op`.
///
/// Gradient    x: dy in x's type
template <class To> struct device_cast_op {
  template <class From> struct saved {};
  template <device_executor E, class From, int R> auto forward(E& e, const tensor<From, R, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_cast_op");
    return result{converted<To>(e, x), saved<From>{}};
  }
  template <device_executor E, class From, int R>
  auto backward(E& e, const saved<From>&, const tensor<To, R, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_cast_op (backward)");
    return converted<From>(e, dy);
  }

private:
  template <class Into, class E, class T, int R>
  tensor<Into, R, device> converted(E& e, const tensor<T, R, device>& x) const {
    auto y = empty<Into, R>(e, x.shape());
    launch(e, detail::grid_blocks(x.size()), detail::grid_threads,
           detail::cast_kernel<T, Into>{x.data(), y.data(), x.size()});
    return y;
  }
};

} // namespace sqs::sparse

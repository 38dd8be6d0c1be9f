// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Activations and sums of rows in device memory: the twins of what nn/activation.hpp does on the host.

#include <sqs/autodiff/result.hpp>
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

} // namespace detail

/// y = act(x), element by element. NaN stays NaN.
///
/// Gradient    x: zero at 0 for the relu, the slope for the leaky one
struct device_activation_op {
  activation act;

  template <class T, int R> struct saved { tensor<T, R, device> x; };
  template <device_executor E, class T, int R> auto forward(E& e, const tensor<T, R, device>& x) const {
    auto y = empty<T, R>(e, x.shape());
    launch(e, detail::grid_blocks(x.size()), detail::grid_threads,
           detail::activation_kernel<T>{x.data(), y.data(), x.size(), act.kind, static_cast<T>(act.slope)});
    // What the relu needs of x it finds in y, which somebody keeps anyway.
    return result{y, saved<T, R>{act.kind == activation_kind::relu ? y : x}};
  }
  template <device_executor E, class T, int R>
  auto backward(E& e, const saved<T, R>& s, const tensor<T, R, device>& dy) const {
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

} // namespace sqs::sparse

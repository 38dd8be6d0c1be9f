// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Pointwise ops of any rank: relu, leaky relu, add, dropout.

#include <sqs/autodiff/apply.hpp>
#include <sqs/core/random.hpp>

namespace sqs::nn {

namespace detail {
inline constexpr idx pointwise_grain = idx{1} << 14;
/// y[i] = f(i) for all i, in parallel.
template <class T, int R, class F> tensor<T, R> pointwise(cpu& e, const extents<R>& shape, F f) {
  auto y = empty<T, R>(e, shape);
  T* out = y.data();
  parallel_for(e, y.size(), pointwise_grain, [=](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { out[i] = f(i); }
  });
  return y;
}
} // namespace detail

/// max(x, 0). The gradient at 0 is 0. NaN stays NaN: a broken input must show.
struct relu_op {
  template <class T, int R> struct saved { tensor<T, R> y; };
  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& x) const {
    const T* in = x.data();
    auto y = detail::pointwise<T, R>(e, x.shape(), [=](idx i) { return in[i] < T(0) ? T(0) : in[i]; });
    return result{y, saved<T, R>{y}};
  }
  template <class T, int R> auto backward(cpu& e, const saved<T, R>& s, const tensor<T, R>& dy) const {
    const T *y = s.y.data(), *d = dy.data();
    return detail::pointwise<T, R>(e, dy.shape(), [=](idx i) {
      const T v = d[i]; // read in any case: a load under a condition would keep the loop scalar
      return y[i] > T(0) ? v : T(0);
    });
  }
};

/// x where it is not negative, slope x below. The gradient at 0 is the slope. NaN stays NaN.
struct leaky_relu_op {
  double slope = 0.01;
  template <class T, int R> struct saved { tensor<T, R> x; };
  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& x) const {
    const T *in = x.data(), s = static_cast<T>(slope);
    auto y = detail::pointwise<T, R>(e, x.shape(), [=](idx i) { return in[i] < T(0) ? in[i] * s : in[i]; });
    return result{std::move(y), saved<T, R>{x}};
  }
  template <class T, int R> auto backward(cpu& e, const saved<T, R>& kept, const tensor<T, R>& dy) const {
    const T *x = kept.x.data(), *d = dy.data(), s = static_cast<T>(slope);
    return detail::pointwise<T, R>(e, dy.shape(), [=](idx i) {
      const T v = d[i]; // read in any case: a load under a condition would keep the loop scalar
      return x[i] > T(0) ? v : v * s;
    });
  }
};

/// a + b, equal shapes.
struct add_op {
  struct saved {};
  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& a, const tensor<T, R>& b) const {
    expects(a.shape() == b.shape(), "sqs::nn::add: the shapes differ (", a.size(), " and ", b.size(),
            " elements); add has no broadcasting");
    const T *x = a.data(), *y = b.data();
    return result{detail::pointwise<T, R>(e, a.shape(), [=](idx i) { return x[i] + y[i]; }), saved{}};
  }
  template <class T, int R> auto backward(cpu&, const saved&, const tensor<T, R>& dy) const {
    return std::tuple{dy, dy};
  }
};

/// Zeroes each element with probability `rate` and scales the rest by 1/(1-rate). The draw is a function of `stream`
/// and the element, so backward (and a resumed run) sees the same mask.
struct dropout_op {
  double rate = 0;
  random_stream stream{};
  struct saved {};
  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& x) const {
    expects(rate >= 0 && rate < 1, "sqs::nn::dropout: rate is ", rate, "; give 0 <= rate < 1");
    return result{masked(e, x), saved{}};
  }
  template <class T, int R> auto backward(cpu& e, const saved&, const tensor<T, R>& dy) const { return masked(e, dy); }

private:
  template <class T, int R> tensor<T, R> masked(cpu& e, const tensor<T, R>& x) const {
    const T* in = x.data();
    const T scale = T(1 / (1 - rate));
    return detail::pointwise<T, R>(e, x.shape(),
                                   [=, *this](idx i) { return stream.uniform(i) < rate ? T(0) : scale * in[i]; });
  }
};

template <graph G, class T, int R> variable<G, T, R> relu(G& g, variable<G, T, R> x) {
  return sqs::apply(g, relu_op{}, std::move(x));
}
template <graph G, class T, int R> variable<G, T, R> add(G& g, variable<G, T, R> a, variable<G, T, R> b) {
  return sqs::apply(g, add_op{}, std::move(a), std::move(b));
}

} // namespace sqs::nn

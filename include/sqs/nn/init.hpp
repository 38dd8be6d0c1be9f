// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Initial values of parameters, counter-based: the n-th tensor of a model depends on (seed, n) alone, and a float and
/// a double model start from the same numbers.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/core/random.hpp>
#include <sqs/exec/parallel.hpp>

namespace sqs::nn {

/// Hands out initial tensors; each call takes a stream of its own.
class initializer {
public:
  explicit initializer(std::uint64_t seed) : seed_(seed) {}
  /// Uniform in [-bound, bound).
  template <class T, int R> tensor<T, R> uniform(extents<R> shape, double bound) {
    return fill<T, R>(shape, [&](random_stream s, idx i) { return s.uniform(i, -bound, bound); });
  }
  /// Normal with the given standard deviation.
  template <class T, int R> tensor<T, R> normal(extents<R> shape, double deviation) {
    return fill<T, R>(shape, [&](random_stream s, idx i) { return deviation * s.normal(i); });
  }
  /// Xavier (Glorot) uniform with gain 1.
  template <class T, int R> tensor<T, R> xavier(extents<R> shape, idx fan_in, idx fan_out) {
    return uniform<T, R>(shape, std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
  }
  template <class T, int R> tensor<T, R> constant(extents<R> shape, double value) {
    return make_tensor<T, R>(shape, static_cast<T>(value));
  }
  random_stream next() { return random_stream::of(seed_, count_++); }

private:
  template <class T, int R, class F> tensor<T, R> fill(extents<R> shape, F&& f) {
    const random_stream s = next();
    auto t = make_tensor<T, R>(shape);
    for (idx i = 0; i < t.size(); ++i) { t.data()[i] = static_cast<T>(f(s, i)); }
    return t;
  }
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

/// s[j] = sum_i x[i, j]: the gradient of a bias. Partial sums over fixed row ranges, added in order.
template <class T> tensor<T, 1> column_sums(cpu& e, const tensor<T, 2>& x) {
  const idx n = x.extent(0), c = x.extent(1);
  const idx step = std::max<idx>(256, (n + 63) / 64), parts = n == 0 ? 0 : (n + step - 1) / step;
  auto partial = zeros<T, 2>(e, {parts, c});
  parallel_for(e, n, step, [&](idx begin, idx end) {
    T* sum = partial.data() + begin / step * c;
    for (idx i = begin; i < end; ++i) {
      const T* row = x.data() + i * c;
      for (idx j = 0; j < c; ++j) { sum[j] += row[j]; }
    }
  });
  auto total = zeros<T, 1>(e, {c});
  for (idx p = 0; p < parts; ++p) {
    for (idx j = 0; j < c; ++j) { total.data()[j] += partial.data()[p * c + j]; }
  }
  return total;
}

} // namespace sqs::nn

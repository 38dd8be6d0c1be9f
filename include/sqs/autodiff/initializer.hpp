// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Initial values of parameters, counter-based: the n-th tensor of a model depends on (seed, n) alone, and a float and
/// a double model start from the same numbers.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/core/random.hpp>

namespace sqs {

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

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What follows a product of rows: a scale and a shift per channel, a residual, an activation; one pass, in place or not.

#include <sqs/core/simd.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse {

enum class activation_kind {
  identity,
  relu,      ///< max(x, 0)
  leaky_relu ///< slope x below zero
};
struct activation {
  using sqs_setting = void;
  activation_kind kind = activation_kind::identity;
  double slope = 0.01;
};

namespace detail {

/// y = act(x scale + shift + residual), each part left out where its pointer is null; scale and shift come together.
template <class T> struct row_epilogue {
  const T *scale = nullptr, *shift = nullptr; ///< [channels]
  const T* residual = nullptr;                ///< [rows, channels], of the stride of the rows
  activation act;
  bool nothing() const { return scale == nullptr && residual == nullptr && act.kind == activation_kind::identity; }
};

template <activation_kind Kind, class V> SQS_INLINE V activated(V x, V slope) {
  if constexpr (Kind == activation_kind::relu) { return select(x < V(0), V(0), x); } // NaN stays NaN
  if constexpr (Kind == activation_kind::leaky_relu) { return select(x < V(0), x * slope, x); }
  return x;
}

/// Columns first .. first + count - 1 of one row. Every column gets the same operations, wherever the cut into vectors
/// falls: results do not depend on `first`.
template <activation_kind Kind, class T>
SQS_INLINE void finish_row(const row_epilogue<T>& f, const T* x, const T* residual, T* y, idx first, idx count) {
  using vector = simd<T, native_lanes<T>>;
  constexpr idx lanes = native_lanes<T>;
  const vector slope(static_cast<T>(f.act.slope));
  const auto finished = [&](vector v, const T* scale, const T* shift, const T* other) {
    if (scale != nullptr) { v = fma(v, vector::load(scale), vector::load(shift)); }
    if (other != nullptr) { v = v + vector::load(other); }
    return activated<Kind>(v, slope);
  };
  idx c = first;
  const idx end = first + count;
  for (; c + lanes <= end; c += lanes) {
    finished(vector::load(x + c), f.scale == nullptr ? nullptr : f.scale + c, f.shift + (f.scale == nullptr ? 0 : c),
             residual == nullptr ? nullptr : residual + c)
        .store(y + c);
  }
  if (c == end) { return; }
  T part[4][lanes] = {}; // what is left is less than a vector
  const auto copied = [&](int i, const T* from) {
    if (from == nullptr) { return static_cast<const T*>(nullptr); }
    std::copy_n(from + c, end - c, part[i]);
    return static_cast<const T*>(part[i]);
  };
  copied(0, x);
  const T *const scale = copied(1, f.scale), *const shift = copied(2, f.scale == nullptr ? nullptr : f.shift);
  finished(vector::load(part[0]), scale, shift, copied(3, residual)).store(part[0]);
  std::copy_n(part[0], end - c, y + c);
}

/// Calls `f` with the kind of activation as a constant.
template <class F> SQS_INLINE void with_activation(activation_kind kind, F&& f) {
  switch (kind) {
  case activation_kind::identity:
    f(std::integral_constant<activation_kind, activation_kind::identity>{});
    break;
  case activation_kind::relu:
    f(std::integral_constant<activation_kind, activation_kind::relu>{});
    break;
  case activation_kind::leaky_relu:
    f(std::integral_constant<activation_kind, activation_kind::leaky_relu>{});
    break;
  }
}

} // namespace detail

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Rows of features as vectors: added, scaled, compared.

#include <sqs/core/simd.hpp>

#include <cstdint>

namespace sqs::sparse::detail {

/// to += x
template <class T> SQS_INLINE void add_row(const T* x, T* to, idx channels) {
  using vector = simd<T, native_lanes<T>>;
  constexpr idx lanes = native_lanes<T>;
  idx c = 0;
  for (; c + lanes <= channels; c += lanes) { (vector::load(to + c) + vector::load(x + c)).store(to + c); }
  for (; c < channels; ++c) { to[c] += x[c]; }
}

/// to += s x
template <class T> SQS_INLINE void add_row_times(T s, const T* x, T* to, idx channels) {
  using vector = simd<T, native_lanes<T>>;
  constexpr idx lanes = native_lanes<T>;
  idx c = 0;
  const vector factor(s);
  for (; c + lanes <= channels; c += lanes) { fma(vector::load(x + c), factor, vector::load(to + c)).store(to + c); }
  for (; c < channels; ++c) { to[c] += s * x[c]; }
}

/// The sum of a[c] b[c].
template <class T> SQS_INLINE T dot_rows(const T* a, const T* b, idx channels) {
  using vector = simd<T, native_lanes<T>>;
  constexpr idx lanes = native_lanes<T>;
  idx c = 0;
  vector sums(T(0));
  for (; c + lanes <= channels; c += lanes) { sums = fma(vector::load(a + c), vector::load(b + c), sums); }
  T sum = sum_of(sums);
  for (; c < channels; ++c) { sum += a[c] * b[c]; }
  return sum;
}

/// Keeps the larger numbers. A NaN is taken and stays.
template <class T> void keep_larger(const T* x, T* to, idx channels) {
  for (idx c = 0; c < channels; ++c) {
    const T now = to[c], other = x[c];
    to[c] = !(other <= now) && now == now ? other : now;
  }
}

/// Keeps the larger numbers and where they came from. Of equal ones the first stays; a NaN is taken and stays.
template <class T> void keep_larger(const T* x, std::int32_t row, T* to, std::int32_t* from, idx channels) {
  for (idx c = 0; c < channels; ++c) {
    const T now = to[c], other = x[c];
    const bool taken = !(other <= now) && now == now;
    to[c] = taken ? other : now;
    from[c] = taken ? row : from[c];
  }
}

} // namespace sqs::sparse::detail

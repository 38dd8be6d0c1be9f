// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Pixels side by side in one register: the compilers' vector extensions, in the width the target has. Written out
/// because the blend's selects defeat automatic vectorisation as soon as a condition is used twice.

#include <sqs/core/config.hpp>

#include <bit>
#include <cmath>

namespace sqs::splat::detail {

#if defined(__AVX512F__)
inline constexpr int register_bytes = 64;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32;
#else
inline constexpr int register_bytes = 16;
#endif

template <class T, int N> struct lanes_type {
  typedef T type __attribute__((vector_size(N * static_cast<int>(sizeof(T)))));
};
/// N numbers: + - * / and comparisons act on each; `mask ? a : b` selects.
template <class T, int N> using lanes = typename lanes_type<T, N>::type;

/// How many lanes a row of `Tile` pixels is cut into.
template <class T, int Tile> inline constexpr int lane_count = register_bytes / static_cast<int>(sizeof(T)) < Tile
                                                                   ? register_bytes / static_cast<int>(sizeof(T))
                                                                   : Tile;

/// 0, 1, 2, ...
template <class T, int N> lanes<T, N> iota() {
  lanes<T, N> v{};
  for (int i = 0; i < N; ++i) { v[i] = static_cast<T>(i); }
  return v;
}
/// The sum of all lanes, by halves: always in the same order.
template <class T, int N> T sum_of(const lanes<T, N>& v) {
  if constexpr (N == 2) {
    return v[0] + v[1];
  } else {
    struct halves {
      lanes<T, N / 2> low, high;
    };
    const auto h = std::bit_cast<halves>(v);
    return sum_of<T, N / 2>(h.low + h.high);
  }
}

/// 2^x for -126 <= x <= 126, float: relative error below 2e-7 (5e-9 of the polynomial, the rest is rounding).
/// 2^x, double: `std::exp2` per lane, the reference.
template <class T, int N> inline lanes<T, N> exp2_of(const lanes<T, N>& x) {
  if constexpr (sizeof(T) == 4) {
    using whole = lanes<std::int32_t, N>;
    // Adding 1.5 * 2^23 leaves round(x) in the low mantissa bits.
    constexpr float magic = 12582912.0f;
    const lanes<T, N> shifted = x + magic;
    const lanes<T, N> f = x - (shifted - magic);
    // Interpolates (2^f - 1) / f in the six Chebyshev nodes of [-1/2, 1/2].
    lanes<T, N> p = 1.5453163e-4f * f + 1.3390863e-3f;
    p = p * f + 9.6180826e-3f;
    p = p * f + 5.5503571e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314719e-1f;
    p = p * f + 1.0f;
    const whole exponent = std::bit_cast<whole>(shifted) - std::bit_cast<std::int32_t>(magic);
    return std::bit_cast<lanes<T, N>>(std::bit_cast<whole>(p) + (exponent << 23));
  } else {
    lanes<T, N> y{};
    for (int i = 0; i < N; ++i) { y[i] = std::exp2(x[i]); }
    return y;
  }
}

} // namespace sqs::splat::detail

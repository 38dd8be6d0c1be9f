// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// N numbers side by side in one register, as a number: code templated on its scalar runs on `simd<T, N>` as it does on
/// `T`, with `select` in the place of `if`. Built on the compilers' vector extensions, so AVX-512, AVX2, SSE and NEON
/// follow the compiler's flags; the few things those cannot say (approximate reciprocal) have a plain fallback.

#include <sqs/core/config.hpp>

#include <bit>
#include <cmath>
#include <concepts>
#include <type_traits>

namespace sqs {

#if defined(__AVX512F__)
inline constexpr int register_bytes = 64;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32;
#else
inline constexpr int register_bytes = 16; ///< of the widest vector register the flags allow
#endif

namespace detail {
template <class T, int N> struct vector_of {
  typedef T type __attribute__((vector_size(N * static_cast<int>(sizeof(T)))));
};
template <std::size_t Bytes> struct whole_number;
template <> struct whole_number<4> { using type = std::int32_t; };
template <> struct whole_number<8> { using type = std::int64_t; };
} // namespace detail

/// What comparing N numbers gives: per lane all bits or none.
template <class T, int N> struct simd_mask {
  using integer = typename detail::whole_number<sizeof(T)>::type;
  using vector = typename detail::vector_of<integer, N>::type;
  vector v;

  bool operator[](int i) const { return v[i] != 0; }
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {a.v & b.v}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {a.v | b.v}; }
  friend simd_mask operator!(simd_mask a) { return {~a.v}; }
};

/// N numbers of type T.
template <class T, int N> struct simd {
  using value_type = T;
  using vector = typename detail::vector_of<T, N>::type;
  using mask = simd_mask<T, N>;
  static constexpr int size = N;
  vector v;

  simd() : v{} {}
  simd(vector x) : v(x) {}
  /// The same number in every lane.
  template <class S>
    requires std::is_arithmetic_v<S>
  simd(S s) : v(vector{} + static_cast<T>(s)) {}

  /// N numbers from memory of any alignment.
  static simd load(const T* p) {
    simd x;
    __builtin_memcpy(&x.v, p, sizeof(vector));
    return x;
  }
  void store(T* p) const { __builtin_memcpy(p, &v, sizeof(vector)); }
  T operator[](int i) const { return v[i]; }

  friend simd operator+(simd a, simd b) { return a.v + b.v; }
  friend simd operator-(simd a, simd b) { return a.v - b.v; }
  friend simd operator*(simd a, simd b) { return a.v * b.v; }
  friend simd operator/(simd a, simd b) { return a.v / b.v; }
  friend simd operator-(simd a) { return -a.v; }
  simd& operator+=(simd b) { return v += b.v, *this; }
  simd& operator-=(simd b) { return v -= b.v, *this; }
  simd& operator*=(simd b) { return v *= b.v, *this; }
  friend mask operator<(simd a, simd b) { return {a.v < b.v}; }
  friend mask operator<=(simd a, simd b) { return {a.v <= b.v}; }
  friend mask operator>(simd a, simd b) { return {a.v > b.v}; }
  friend mask operator>=(simd a, simd b) { return {a.v >= b.v}; }
  friend mask operator==(simd a, simd b) { return {a.v == b.v}; }

  /// Per lane `m ? a : b`.
  friend simd select(mask m, simd a, simd b) { return m.v ? a.v : b.v; }
  friend simd min(simd a, simd b) { return a.v < b.v ? a.v : b.v; }
  friend simd max(simd a, simd b) { return a.v > b.v ? a.v : b.v; }
  friend simd abs(simd a) { return a.v < vector{} ? -a.v : a.v; }
  friend simd sqrt(simd a) { return each(a, [](T x) { return std::sqrt(x); }); }
  friend simd log(simd a) { return each(a, [](T x) { return std::log(x); }); }
  friend simd atan2(simd a, simd b) {
    simd r;
    for (int i = 0; i < N; ++i) { r.v[i] = std::atan2(a.v[i], b.v[i]); }
    return r;
  }

private:
  template <class F> static simd each(simd a, F f) {
    T lane[N];
    a.store(lane);
    for (int i = 0; i < N; ++i) { lane[i] = f(lane[i]); }
    return load(lane);
  }
};

/// The scalar twins of what simd finds by its argument: generic code calls these unqualified.
template <std::floating_point T> SQS_HD constexpr T select(bool m, T a, T b) { return m ? a : b; }

/// Lanes of a full register.
template <class T> inline constexpr int native_lanes = register_bytes / static_cast<int>(sizeof(T));

/// 0, 1, 2, ...
template <class T, int N> simd<T, N> iota() {
  simd<T, N> x;
  for (int i = 0; i < N; ++i) { x.v[i] = static_cast<T>(i); }
  return x;
}

/// The sum of all lanes, by halves: always in the same order.
template <class T, int N> T sum_of(simd<T, N> x) {
  if constexpr (N == 1) {
    return x.v[0];
  } else if constexpr (N == 2) {
    return x.v[0] + x.v[1];
  } else {
    struct halves {
      simd<T, N / 2> low, high;
    };
    const auto h = std::bit_cast<halves>(x);
    return sum_of(h.low + h.high);
  }
}
template <class T, int N> bool any(simd_mask<T, N> m) {
  using vector = typename simd_mask<T, N>::vector;
  if constexpr (N <= 2) {
    return (m.v[0] | m.v[N - 1]) != 0;
  } else {
    struct halves {
      simd_mask<T, N / 2> low, high;
    };
    static_assert(sizeof(halves) == sizeof(vector));
    const auto h = std::bit_cast<halves>(m);
    return any(h.low | h.high);
  }
}

/// The sum of each of K vectors, to out[0 .. K-1]. The tree adds two vectors at a time, so that K sums cost about as
/// many shuffles as two of them would one after the other. Always in the same order.
template <int K, class T, int N> void sums_of(const simd<T, N> (&x)[K], T* out) {
#if defined(__has_builtin) && !defined(__CUDACC__)
#if __has_builtin(__builtin_shufflevector)
  if constexpr (N == 16 && sizeof(T) == 4) {
    using v = typename simd<T, N>::vector;
    // Each step halves the lanes a sum is spread over and puts two sums into one register.
    const auto pair8 = [](v a, v b) {
      return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
             __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    };
    const auto pair4 = [](v a, v b) {
      return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
             __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    };
    const auto pair2 = [](v a, v b) {
      return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
             __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    };
    const auto pair1 = [](v a, v b) {
      return __builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
             __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
    };
    const auto at = [&](int i) { return i < K ? x[i].v : v{}; };
    constexpr int groups = (K + 15) / 16;
    for (int g = 0; g < groups; ++g) {
      v level[2];
      for (int h = 0; h < 2; ++h) {
        const auto q = [&](int c) {
          const int i = 16 * g + h + 2 * c;
          return pair4(pair8(at(i), at(i + 4)), pair8(at(i + 8), at(i + 12)));
        };
        level[h] = pair2(q(0), q(1));
      }
      const v sum = pair1(level[0], level[1]);
      // The steps set bits 2, 3, 1, 0 of the lane a sum ends in: lane i holds the sum of vector i.
      const int count = K - 16 * g < 16 ? K - 16 * g : 16;
      __builtin_memcpy(out + 16 * g, &sum, static_cast<std::size_t>(count) * sizeof(T));
    }
    return;
  }
#endif
#endif
  for (int k = 0; k < K; ++k) { out[k] = sum_of(x[k]); }
}

/// 1 / x to float's last bit or so.
template <class T, int N> simd<T, N> reciprocal(simd<T, N> x) {
#if !defined(__CUDACC__) && defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float> && N == 16) {
    const simd<T, N> r =
        __builtin_ia32_rcp14ps512_mask(x.v, typename simd<T, N>::vector{}, static_cast<unsigned short>(-1));
    return r * (T(2) - x * r);
  }
#endif
#if !defined(__CUDACC__) && defined(__AVX__)
  if constexpr (std::is_same_v<T, float> && N == 8) {
    const simd<T, N> r = __builtin_ia32_rcpps256(x.v);
    return r * (T(2) - x * r);
  }
#endif
  return T(1) / x;
}

/// 2^x for -126 <= x <= 126. float: relative error below 2.5e-7; double: `std::exp2` per lane, the reference.
template <class T, int N> simd<T, N> exp2(simd<T, N> x) {
  if constexpr (sizeof(T) == 4) {
    using whole = typename detail::vector_of<std::int32_t, N>::type;
    using vector = typename simd<T, N>::vector;
    // Adding 1.5 * 2^23 leaves round(x) in the low mantissa bits.
    constexpr float magic = 12582912.0f;
    const vector shifted = x.v + magic;
    const vector f = x.v - (shifted - magic);
    // Minimax polynomial of 2^f on [-1/2, 1/2] that is exact at 0: relative error 9.2e-8.
    vector p = 1.326472391e-3f * f + 9.671512870e-3f;
    p = p * f + 5.550733754e-2f;
    p = p * f + 2.402224208e-1f;
    p = p * f + 6.931469776e-1f;
    p = p * f + 1.0f;
    const whole exponent = __builtin_bit_cast(whole, shifted) - std::bit_cast<std::int32_t>(magic);
    return simd<T, N>(__builtin_bit_cast(vector, __builtin_bit_cast(whole, p) + (exponent << 23)));
  } else {
    simd<T, N> y;
    for (int i = 0; i < N; ++i) { y.v[i] = std::exp2(x.v[i]); }
    return y;
  }
}

/// log2 x of positive normal numbers. float: absolute error below 2e-7 beside rounding; double: `std::log2` per lane.
template <class T, int N> simd<T, N> log2(simd<T, N> x) {
  if constexpr (sizeof(T) == 4) {
    using whole = typename detail::vector_of<std::int32_t, N>::type;
    using vector = typename simd<T, N>::vector;
    // x = 2^e m with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) leaves e in the exponent field.
    constexpr std::int32_t low = 0x3f3504f3;
    const whole bits = __builtin_bit_cast(whole, x.v) - low;
    const whole e = bits >> 23;
    const vector m = __builtin_bit_cast(vector, (bits & 0x7fffff) + low);
    // log m = 2 atanh(s).
    const vector s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    vector p = 0.4342573889f * s2 + 0.5765844649f;
    p = p * s2 + 0.9618007604f;
    p = p * s2 + 2.885390073f;
    return simd<T, N>(__builtin_convertvector(e, vector) + s * p);
  } else {
    simd<T, N> y;
    for (int i = 0; i < N; ++i) { y.v[i] = std::log2(x.v[i]); }
    return y;
  }
}

} // namespace sqs

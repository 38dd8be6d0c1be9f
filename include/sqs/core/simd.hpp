// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// N numbers side by side in one register, as a number: code templated on its scalar runs on `simd<T, N>` as it does on
/// `T`, with `select` in the place of `if`. Built on the compilers' vector extensions, so AVX-512, AVX2, SSE and NEON
/// follow the compiler's flags; the few things those cannot say (approximate reciprocal) have a plain fallback.

#include <sqs/core/math.hpp>

#include <bit>
#include <limits>
#include <type_traits>

#if defined(__FMA__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif
#if defined(__AVX512F__) && !defined(__CUDACC__)
/// The widest registers have mask registers beside them, which the vector extensions do not reach well.
#define SQS_MASK_REGISTERS 1
#endif

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

namespace detail {
/// 2^x in float for one register or several: `scale(p, shifted)` multiplies p by 2 to the low bits of shifted.
template <class V, class Scale> SQS_INLINE V exp2_of(const V& x, Scale scale) {
  // Adding 1.5 * 2^23 leaves round(x) in the low mantissa bits.
  constexpr float magic = 12582912.0f;
  const V shifted = x + magic;
  const V f = x - (shifted - magic);
  // Minimax polynomial of 2^f on [-1/2, 1/2] that is exact at 0: relative error 9.2e-8.
  V p = fma(f, V(1.326472391e-3f), V(9.671512870e-3f));
  p = fma(p, f, V(5.550733754e-2f));
  p = fma(p, f, V(2.402224208e-1f));
  p = fma(p, f, V(6.931469776e-1f));
  p = fma(p, f, V(1.0f));
  return scale(p, shifted);
}
} // namespace detail

/// What comparing N numbers gives: per lane all bits or none.
template <class T, int N, bool Register = false> struct simd_mask {
  using integer = typename detail::whole_number<sizeof(T)>::type;
  using vector = typename detail::vector_of<integer, N>::type;
  vector v;

  bool operator[](int i) const { return v[i] != 0; }
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {a.v & b.v}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {a.v | b.v}; }
  friend simd_mask operator!(simd_mask a) { return {~a.v}; }
};

#if defined(SQS_MASK_REGISTERS)
namespace detail {
template <class T, int N> inline constexpr bool has_mask_register = N * sizeof(T) == 64;
} // namespace detail
/// The same as one bit per lane.
template <class T, int N> struct simd_mask<T, N, true> {
  using integer = typename detail::whole_number<sizeof(T)>::type;
  using vector = typename detail::vector_of<integer, N>::type;
  using bits = std::conditional_t<N == 16, __mmask16, __mmask8>;
  bits v;

  bool operator[](int i) const { return ((v >> i) & 1) != 0; }
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {static_cast<bits>(a.v & b.v)}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {static_cast<bits>(a.v | b.v)}; }
  friend simd_mask operator!(simd_mask a) { return {static_cast<bits>(~a.v)}; }
};
#else
namespace detail {
template <class T, int N> inline constexpr bool has_mask_register = false;
} // namespace detail
#endif

/// N numbers of type T.
template <class T, int N> struct simd {
  using value_type = T;
  using vector = typename detail::vector_of<T, N>::type;
  static constexpr bool registers = detail::has_mask_register<T, N>;
  using mask = simd_mask<T, N, registers>;
  static constexpr int size = N;
  vector v;

  simd() = default; ///< not set; `simd()` and `{}` are zero
  simd(vector x) : v(x) {}
  /// The same number in every lane.
  template <class S>
    requires std::is_arithmetic_v<S> simd(S s) : v(static_cast<T>(s) - vector{}) {} // x - 0 is x, which 0 + x is not

    /// N numbers from memory of any alignment.
    static simd load(const T* p) {
      simd x;
      __builtin_memcpy(&x.v, p, sizeof(vector));
      return x;
    }
    void store(T* p) const { __builtin_memcpy(p, &v, sizeof(vector)); }
    /// Lane i is base[stride i].
    static simd strided(const T* base, int stride) {
      std::int32_t index[N];
      for (int i = 0; i < N; ++i) { index[i] = i; }
      return gather(base, index, stride);
    }
    /// Lane i is base[stride index[i]]. Every stride index[i] must fit 31 bits.
    static simd gather(const T* base, const std::int32_t* index, int stride) {
#if defined(SQS_MASK_REGISTERS)
      if constexpr (registers && sizeof(T) == 4) {
        const __m512i at = _mm512_mullo_epi32(_mm512_loadu_si512(index), _mm512_set1_epi32(stride));
        // The plain form leaves its source unset, and compilers say so.
        return vector(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), static_cast<__mmask16>(-1), at, base, 4));
      }
#endif
      simd x;
      for (int i = 0; i < N; ++i) { x.v[i] = base[stride * index[i]]; }
      return x;
    }
    T operator[](int i) const { return v[i]; }

    friend simd operator+(simd a, simd b) { return a.v + b.v; }
    friend simd operator-(simd a, simd b) { return a.v - b.v; }
    friend simd operator*(simd a, simd b) { return a.v * b.v; }
    friend simd operator/(simd a, simd b) { return a.v / b.v; }
    friend simd operator-(simd a) { return -a.v; }
    simd& operator+=(simd b) { return v += b.v, *this; }
    simd& operator-=(simd b) { return v -= b.v, *this; }
    simd& operator*=(simd b) { return v *= b.v, *this; }
    friend mask operator<(simd a, simd b) { return compare<less>(a, b); }
    friend mask operator<=(simd a, simd b) { return compare<less_equal>(a, b); }
    friend mask operator>(simd a, simd b) { return compare<less>(b, a); }
    friend mask operator>=(simd a, simd b) { return compare<less_equal>(b, a); }
    friend mask operator==(simd a, simd b) { return compare<equal>(a, b); }

    /// Per lane `m ? a : b`.
    friend simd select(mask m, simd a, simd b) {
#if defined(SQS_MASK_REGISTERS)
      if constexpr (registers && sizeof(T) == 4) { return vector(_mm512_mask_blend_ps(m.v, b.v, a.v)); }
      if constexpr (registers && sizeof(T) == 8) { return vector(_mm512_mask_blend_pd(m.v, b.v, a.v)); }
#endif
      if constexpr (!registers) { return m.v ? a.v : b.v; }
    }
    /// `a < b ? a : b`, so b where one is NaN.
    friend simd min(simd a, simd b) {
#if defined(SQS_MASK_REGISTERS)
      if constexpr (registers && sizeof(T) == 4) { return vector(_mm512_min_ps(a.v, b.v)); }
#endif
      return select(a < b, a, b);
    }
    /// `a > b ? a : b`, so b where one is NaN.
    friend simd max(simd a, simd b) {
#if defined(SQS_MASK_REGISTERS)
      if constexpr (registers && sizeof(T) == 4) { return vector(_mm512_max_ps(a.v, b.v)); }
#endif
      return select(a > b, a, b);
    }
    friend simd abs(simd a) {
      return with_bits(a, [](auto bits) { return bits & ~sign_bit; });
    }
    friend simd sqrt(simd a) {
#if defined(SQS_MASK_REGISTERS)
      // Masked: the plain forms leave their source unset, and compilers say so.
      if constexpr (registers && sizeof(T) == 4) {
        return vector(_mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), a.v));
      }
      if constexpr (registers && sizeof(T) == 8) {
        return vector(_mm512_maskz_sqrt_pd(static_cast<__mmask8>(-1), a.v));
      }
#endif
      return each(a, [](T x) { return std::sqrt(x); });
    }
    friend simd log(simd a) {
      return each(a, [](T x) { return std::log(x); });
    }
    friend simd atan2(simd a, simd b) {
      simd r;
      for (int i = 0; i < N; ++i) { r.v[i] = std::atan2(a.v[i], b.v[i]); }
      return r;
    }

    /// Without the fraction. |a| < 2^31.
    friend simd truncated(simd a) {
#if defined(SQS_MASK_REGISTERS)
      if constexpr (registers && sizeof(T) == 4) {
        return vector(
            _mm512_maskz_roundscale_ps(static_cast<__mmask16>(-1), a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
      }
#endif
      return each(a, [](T x) { return static_cast<T>(static_cast<std::int32_t>(x)); });
    }

    /// 1 / x to 14 bits, where that and a step of Newton's are faster than a division: on the widest registers.
#if defined(SQS_MASK_REGISTERS)
    static constexpr bool has_estimate = registers && std::is_same_v<T, float>;
    static simd estimate(simd x) {
      if constexpr (registers) { return vector(_mm512_rcp14_ps(x.v)); }
    }
    /// 1 / sqrt x to 14 bits.
    static simd root_estimate(simd x) {
      if constexpr (registers) { return vector(_mm512_rsqrt14_ps(x.v)); }
    }
#else
    static constexpr bool has_estimate = false;
#endif
    /// p 2^n, where the low bits of `shifted` hold n (see `exp2_of`). float.
    static simd scaled_by_bits(simd p, simd shifted) {
      using whole = typename detail::vector_of<std::int32_t, N>::type;
      const whole n = __builtin_bit_cast(whole, shifted.v) << 23; // what is above n's bits leaves at the top
      return simd(__builtin_bit_cast(vector, __builtin_bit_cast(whole, p.v) + n));
    }

  private:
    enum relation { less, less_equal, equal };
    template <relation R> static mask compare(simd a, simd b) {
#if defined(SQS_MASK_REGISTERS)
      constexpr int code = R == less ? _CMP_LT_OQ : (R == less_equal ? _CMP_LE_OQ : _CMP_EQ_OQ);
      if constexpr (registers && sizeof(T) == 4) { return {_mm512_cmp_ps_mask(a.v, b.v, code)}; }
      if constexpr (registers && sizeof(T) == 8) { return {_mm512_cmp_pd_mask(a.v, b.v, code)}; }
#endif
      if constexpr (!registers && R == less) { return {a.v < b.v}; }
      if constexpr (!registers && R == less_equal) { return {a.v <= b.v}; }
      if constexpr (!registers && R == equal) { return {a.v == b.v}; }
    }
    using integer = typename mask::integer;
    static constexpr integer sign_bit = std::numeric_limits<integer>::min();
    template <class F> static simd with_bits(simd a, F f) {
      return simd(__builtin_bit_cast(vector, f(__builtin_bit_cast(typename mask::vector, a.v))));
    }
    template <class F> static simd each(simd a, F f) {
      T lane[N];
      a.store(lane);
      for (int i = 0; i < N; ++i) { lane[i] = f(lane[i]); }
      return load(lane);
    }
};

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
template <class T, int N, bool Register> bool any(simd_mask<T, N, Register> m) {
  using vector = typename simd_mask<T, N, Register>::vector;
  if constexpr (Register) {
    return m.v != 0;
  } else if constexpr (N <= 2) {
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

/// Bit i is set where lane i is.
template <class T, int N, bool Register> unsigned bits_of(simd_mask<T, N, Register> m) {
  static_assert(N <= 32);
  if constexpr (Register) { return m.v; }
#if !defined(__CUDACC__) && defined(__SSE2__)
  if constexpr (N == 4 && sizeof(T) == 4) {
    return static_cast<unsigned>(__builtin_ia32_movmskps(__builtin_bit_cast(typename simd<float, 4>::vector, m.v)));
  }
  if constexpr (N == 2 && sizeof(T) == 8) {
    return static_cast<unsigned>(__builtin_ia32_movmskpd(__builtin_bit_cast(typename simd<double, 2>::vector, m.v)));
  }
#endif
#if !defined(__CUDACC__) && defined(__AVX__)
  if constexpr (N == 8 && sizeof(T) == 4) {
    return static_cast<unsigned>(__builtin_ia32_movmskps256(__builtin_bit_cast(typename simd<float, 8>::vector, m.v)));
  }
  if constexpr (N == 4 && sizeof(T) == 8) {
    return static_cast<unsigned>(__builtin_ia32_movmskpd256(__builtin_bit_cast(typename simd<double, 4>::vector, m.v)));
  }
#endif
  unsigned bits = 0;
  for (int i = 0; i < N; ++i) { bits |= (m[i] ? 1u : 0u) << i; }
  return bits;
}

/// a b + c, rounded once where the processor does so.
template <class T, int N> simd<T, N> fma(simd<T, N> a, simd<T, N> b, simd<T, N> c) {
#if defined(__FMA__) && !defined(__CUDACC__)
  using vector = typename simd<T, N>::vector;
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) { return vector(_mm512_fmadd_ps(a.v, b.v, c.v)); }
  if constexpr (N == 8 && sizeof(T) == 8) { return vector(_mm512_fmadd_pd(a.v, b.v, c.v)); }
#endif
  if constexpr (N == 8 && sizeof(T) == 4) { return vector(_mm256_fmadd_ps(a.v, b.v, c.v)); }
  if constexpr (N == 4 && sizeof(T) == 8) { return vector(_mm256_fmadd_pd(a.v, b.v, c.v)); }
#endif
  return a * b + c;
}

/// a b + c, rounded once on every processor: in double where a float has no such instruction.
template <class T, int N> simd<T, N> rounded_once(simd<T, N> a, simd<T, N> b, simd<T, N> c) {
#if !defined(__FMA__)
  if constexpr (sizeof(T) == 4) {
    simd<T, N> r;
    for (int i = 0; i < N; ++i) {
      r.v[i] = static_cast<T>(static_cast<double>(a.v[i]) * static_cast<double>(b.v[i]) + static_cast<double>(c.v[i]));
    }
    return r;
  }
#endif
  return fma(a, b, c);
}
template <class T>
  requires std::is_floating_point_v<T> SQS_HD T rounded_once(T a, T b, T c) {
    using std::fma;
    return fma(a, b, c);
  }

/// 1 / x to float's last bit or so.
template <class T, int N> simd<T, N> reciprocal(simd<T, N> x) {
  if constexpr (simd<T, N>::has_estimate) {
    const auto e = simd<T, N>::estimate(x);
    return e * fma(-x, e, simd<T, N>(T(2)));
  } else {
    return T(1) / x;
  }
}

/// 1 / sqrt x to float's last bit or so. Not a finite number for 0 and for inf.
template <class T, int N> simd<T, N> rsqrt(simd<T, N> x) {
  if constexpr (simd<T, N>::has_estimate) {
    const auto e = simd<T, N>::root_estimate(x);
    return fma(e * T(0.5), fma(-(x * e), e, simd<T, N>(T(1))), e);
  } else {
    return T(1) / sqrt(x);
  }
}

/// 2^x for -126 <= x <= 126. float: relative error below 2.5e-7; double: `std::exp2` per lane, the reference.
template <class T, int N> simd<T, N> exp2(simd<T, N> x) {
  if constexpr (sizeof(T) == 4) {
    return detail::exp2_of(x, [](simd<T, N> p, simd<T, N> shifted) { return simd<T, N>::scaled_by_bits(p, shifted); });
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
    const vector s = (m - 1.0f) * reciprocal(simd<T, N>(m + 1.0f)).v, s2 = s * s;
    const auto step = [&](const simd<T, N>& p, float c) { return fma(p, simd<T, N>(s2), simd<T, N>(c)); };
    const auto p = step(step(step(0.4342573889f, 0.5765844649f), 0.9618007604f), 2.885390073f);
    return fma(simd<T, N>(s), p, simd<T, N>(__builtin_convertvector(e, vector)));
  } else {
    simd<T, N> y;
    for (int i = 0; i < N; ++i) { y.v[i] = std::log2(x.v[i]); }
    return y;
  }
}

/// An upper bound of log2 x for positive normal numbers, at most 0.0864 too large.
template <class T, int N> simd<T, N> log2_above(simd<T, N> x) {
  if constexpr (sizeof(T) == 4) {
    // The bits of 2^e (1 + m) are e + 127 + m in units of the last bit, and m <= log2(1 + m) <= m + 0.0861.
    using whole = typename detail::vector_of<std::int32_t, N>::type;
    const auto bits = __builtin_convertvector(__builtin_bit_cast(whole, x.v), typename simd<T, N>::vector);
    return fma(simd<T, N>(bits), simd<T, N>(T(1.1920928955078125e-7)), simd<T, N>(T(0.0862 - 127)));
  } else {
    return log2(x);
  }
}

} // namespace sqs

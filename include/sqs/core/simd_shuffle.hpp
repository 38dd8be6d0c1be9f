// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What moves numbers between lanes: lists of set lanes, sums of many registers, transposition.

#include <sqs/core/simd.hpp>

namespace sqs {

/// Writes base + i for every lane i that is set to out, in order; returns how many. Up to N numbers past the last one
/// may be overwritten.
template <class T, int N, bool Register>
int store_indices(simd_mask<T, N, Register> m, std::int32_t base, std::int32_t* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (Register && N == 16) {
    const auto index = _mm512_add_epi32(_mm512_set1_epi32(base),
                                        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(m.v, index));
    return std::popcount(static_cast<unsigned>(m.v));
  }
#endif
  int n = 0;
  for (unsigned left = bits_of(m); left != 0; left &= left - 1) { out[n++] = base + std::countr_zero(left); }
  return n;
}

/// Writes the lanes that are set to out, in order. Up to N numbers past the last one may be overwritten.
template <class T, int N, bool Register>
SQS_INLINE void store_set(simd_mask<T, N, Register> m, const simd<T, N>& x, T* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (Register && N == 16 && sizeof(T) == 4) {
    _mm512_storeu_ps(out, _mm512_maskz_compress_ps(m.v, x.v));
    return;
  }
  if constexpr (Register && N == 8 && sizeof(T) == 8) {
    _mm512_storeu_pd(out, _mm512_maskz_compress_pd(m.v, x.v));
    return;
  }
#endif
  for (unsigned left = bits_of(m); left != 0; left &= left - 1) { *out++ = x[std::countr_zero(left)]; }
}

/// Writes base + i for every bit i < 16 that is set to out, in order; returns how many. Up to 16 numbers past the last one
/// may be overwritten.
inline int store_bits(unsigned bits, std::int32_t base, std::int32_t* out) {
#if defined(SQS_MASK_REGISTERS)
  return store_indices(simd_mask<float, 16, true>{static_cast<__mmask16>(bits)}, base, out);
#else
  int n = 0;
  for (; bits != 0; bits &= bits - 1) { out[n++] = base + std::countr_zero(bits); }
  return n;
#endif
}

/// Writes the lowest 16 bits of each number.
template <class T, int N> SQS_INLINE void store_low_words(simd<T, N> x, std::uint16_t* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(_mm512_castps_si512(x.v)));
    return;
  }
#endif
  using whole = typename detail::whole_number<sizeof(T)>::type;
  for (int i = 0; i < N; ++i) { out[i] = static_cast<std::uint16_t>(std::bit_cast<whole>(T(x.v[i]))); }
}

/// The sum of each of `count` vectors, to out[0 .. count-1]. Sixteen at a time: each step halves the lanes a sum is
/// spread over and puts two sums into one register, so that sixteen sums cost 45 instructions and not 16 x 8. Up to
/// fifteen numbers past the last one may be overwritten. Always in the same order.
template <class T, int N> void sums_of(const simd<T, N>* x, idx count, T* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    const auto halves = [](const simd<T, N>& a, const simd<T, N>& b) { // read one by one: that needs no shuffle
      const auto half = [](const simd<T, N>& of, int i) {
        return _mm256_loadu_ps(reinterpret_cast<const T*>(&of) + 8 * i);
      };
      const auto side_by_side = [](__m256 low, __m256 high) {
        return _mm512_castsi512_ps(
            _mm512_inserti64x4(_mm512_castps_si512(_mm512_castps256_ps512(low)), _mm256_castps_si256(high), 1));
      };
      return side_by_side(half(a, 0), half(b, 0)) + side_by_side(half(a, 1), half(b, 1));
    };
    const auto quarters = [](__m512 a, __m512 b) {
      return _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xDD);
    };
    const auto pairs = [](__m512 a, __m512 b) {
      const __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
      return _mm512_castpd_ps(_mm512_unpacklo_pd(c, d)) + _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    };
    const auto singles = [](__m512 a, __m512 b) {
      return _mm512_shuffle_ps(a, b, 0x88) + _mm512_shuffle_ps(a, b, 0xDD);
    };
    for (; count > 0; x += 16, out += 16, count -= 16) {
      if (count < 16) {
        for (idx i = 0; i < count; ++i) { out[i] = sum_of(x[i]); }
        break;
      }
      const auto q = [&](int i) { return quarters(halves(x[i], x[i + 4]), halves(x[i + 8], x[i + 12])); };
      const simd<T, N> sum = typename simd<T, N>::vector(singles(pairs(q(0), q(1)), pairs(q(2), q(3))));
      sum.store(out);
    }
    return;
  }
#endif
  for (idx i = 0; i < count; ++i) { out[i] = sum_of(x[i]); }
}

/// Reads four numbers from each of N places: lane j of out[i] is in(j)[i].
template <class T, int N, class In> SQS_INLINE void load_fours(In&& in, simd<T, N> (&out)[4]) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    // Quarter q of rows[r] holds the four numbers of place 4 q + r; the quarters are then transposed one like the other.
    __m512 rows[4];
    for (int r = 0; r < 4; ++r) {
      const auto quarter = [&](int q) { return _mm_loadu_ps(in(4 * q + r)); };
      rows[r] = _mm512_insertf32x4(
          _mm512_insertf32x4(_mm512_insertf32x4(_mm512_castps128_ps512(quarter(0)), quarter(1), 1), quarter(2), 2),
          quarter(3), 3);
    }
    const __m512 low = _mm512_unpacklo_ps(rows[0], rows[1]), high = _mm512_unpackhi_ps(rows[0], rows[1]);
    const __m512 low2 = _mm512_unpacklo_ps(rows[2], rows[3]), high2 = _mm512_unpackhi_ps(rows[2], rows[3]);
    out[0].v = _mm512_shuffle_ps(low, low2, 0x44), out[1].v = _mm512_shuffle_ps(low, low2, 0xEE);
    out[2].v = _mm512_shuffle_ps(high, high2, 0x44), out[3].v = _mm512_shuffle_ps(high, high2, 0xEE);
    return;
  }
#endif
  T column[4][N];
#if defined(__has_builtin) && !defined(__CUDACC__)
#if __has_builtin(__builtin_shufflevector)
  if constexpr (N % 4 == 0 && sizeof(T) == 4) {
    using v = simd<T, 4>;
    for (int j = 0; j < N; j += 4) {
      const auto a = v::load(in(j)).v, b = v::load(in(j + 1)).v, c = v::load(in(j + 2)).v, d = v::load(in(j + 3)).v;
      const auto low = __builtin_shufflevector(a, b, 0, 4, 1, 5), high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const auto low2 = __builtin_shufflevector(c, d, 0, 4, 1, 5), high2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      v(__builtin_shufflevector(low, low2, 0, 1, 4, 5)).store(column[0] + j);
      v(__builtin_shufflevector(low, low2, 2, 3, 6, 7)).store(column[1] + j);
      v(__builtin_shufflevector(high, high2, 0, 1, 4, 5)).store(column[2] + j);
      v(__builtin_shufflevector(high, high2, 2, 3, 6, 7)).store(column[3] + j);
    }
    for (int i = 0; i < 4; ++i) { out[i] = simd<T, N>::load(column[i]); }
    return;
  }
#endif
#endif
  for (int j = 0; j < N; ++j) {
    const T* const from = in(j);
    for (int i = 0; i < 4; ++i) { column[i][j] = from[i]; }
  }
  for (int i = 0; i < 4; ++i) { out[i] = simd<T, N>::load(column[i]); }
}

/// The way back: out(j)[i] = lane j of in[i].
template <class T, int N, class Out> SQS_INLINE void store_fours(const simd<T, N> (&in)[4], Out&& out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    const __m512 low = _mm512_unpacklo_ps(in[0].v, in[1].v), high = _mm512_unpackhi_ps(in[0].v, in[1].v);
    const __m512 low2 = _mm512_unpacklo_ps(in[2].v, in[3].v), high2 = _mm512_unpackhi_ps(in[2].v, in[3].v);
    const __m512 rows[4] = {_mm512_shuffle_ps(low, low2, 0x44), _mm512_shuffle_ps(low, low2, 0xEE),
                            _mm512_shuffle_ps(high, high2, 0x44), _mm512_shuffle_ps(high, high2, 0xEE)};
    for (int r = 0; r < 4; ++r) {
      _mm_storeu_ps(out(r), _mm512_castps512_ps128(rows[r]));
      _mm_storeu_ps(out(4 + r), _mm512_extractf32x4_ps(rows[r], 1));
      _mm_storeu_ps(out(8 + r), _mm512_extractf32x4_ps(rows[r], 2));
      _mm_storeu_ps(out(12 + r), _mm512_extractf32x4_ps(rows[r], 3));
    }
    return;
  }
#endif
  for (int j = 0; j < N; ++j) {
    T* const to = out(j);
    for (int i = 0; i < 4; ++i) { to[i] = in[i].v[j]; }
  }
}

/// The same from pointers and to memory: out[i][j] = in[j][i].
template <class T, int N> SQS_INLINE void transpose_fours(const T* const (&in)[N], T* const (&out)[4]) {
  simd<T, N> column[4];
  load_fours<T, N>([&](int j) { return in[j]; }, column);
  for (int i = 0; i < 4; ++i) { column[i].store(out[i]); }
}
/// out[j][i] = in[i][j].
template <class T, int N> SQS_INLINE void untranspose_fours(const simd<T, N> (&in)[4], T* const (&out)[N]) {
  store_fours<T, N>(in, [&](int j) { return out[j]; });
}

#if defined(SQS_MASK_REGISTERS)
namespace detail {
/// Sixteen numbers picked from the 48 of three registers, two of them first.
struct lane_choice {
  alignas(64) std::int32_t first[16], second[16];
  /// The numbers chosen from three registers: choice(i) in 0 .. 47 for lane i.
  template <class F> static constexpr lane_choice of(F choice) {
    lane_choice c{};
    for (int i = 0; i < 16; ++i) {
      const int from = choice(i);
      c.first[i] = from < 32 ? from : 0;
      c.second[i] = from < 32 ? i : from - 16; // those already there, or the third register's
    }
    return c;
  }
  SQS_INLINE __m512 operator()(__m512 a, __m512 b, __m512 c) const {
    return _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, _mm512_load_si512(first), b), _mm512_load_si512(second), c);
  }
};
} // namespace detail
#endif

/// Reads N triples that lie one after the other: out[c] gets number c of each.
template <class T, int N> SQS_INLINE void load_triples(const T* in, simd<T, N> (&out)[3]) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    static constexpr detail::lane_choice plane[3] = {detail::lane_choice::of([](int i) { return 3 * i; }),
                                                     detail::lane_choice::of([](int i) { return 3 * i + 1; }),
                                                     detail::lane_choice::of([](int i) { return 3 * i + 2; })};
    const __m512 a = _mm512_loadu_ps(in), b = _mm512_loadu_ps(in + 16), c = _mm512_loadu_ps(in + 32);
    for (int p = 0; p < 3; ++p) { out[p].v = plane[p](a, b, c); }
    return;
  }
#endif
  for (int c = 0; c < 3; ++c) { out[c] = simd<T, N>::strided(in + c, 3); }
}

/// The way back: number c of each triple is out of in[c].
template <class T, int N> SQS_INLINE void store_triples(const simd<T, N> (&in)[3], T* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    static constexpr detail::lane_choice part[3] = {
        detail::lane_choice::of([](int i) { return i % 3 * 16 + i / 3; }),
        detail::lane_choice::of([](int i) { return (i + 16) % 3 * 16 + (i + 16) / 3; }),
        detail::lane_choice::of([](int i) { return (i + 32) % 3 * 16 + (i + 32) / 3; })};
    for (int p = 0; p < 3; ++p) { _mm512_storeu_ps(out + 16 * p, part[p](in[0].v, in[1].v, in[2].v)); }
    return;
  }
#endif
  for (int i = 0; i < N; ++i) {
    for (int c = 0; c < 3; ++c) { out[3 * i + c] = in[c].v[i]; }
  }
}

/// out[4 j + i] = in[i][j], as whole numbers without their fraction. 0 <= in < 65536.
template <class T, int N> SQS_INLINE void store_words_of_four(const simd<T, N> (&in)[4], std::uint16_t* out) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    const auto pair = [](__m512 low, __m512 high) {
      return _mm512_or_si512(_mm512_cvttps_epi32(low), _mm512_slli_epi32(_mm512_cvttps_epi32(high), 16));
    };
    const __m512i front = pair(in[0].v, in[1].v), back = pair(in[2].v, in[3].v);
    const __m512i low = _mm512_unpacklo_epi32(front, back), high = _mm512_unpackhi_epi32(front, back);
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(low, last, high));
    return;
  }
#endif
  for (int j = 0; j < N; ++j) {
    for (int i = 0; i < 4; ++i) { out[4 * j + i] = static_cast<std::uint16_t>(in[i].v[j]); }
  }
}

/// Transposes the 4 x 4 blocks of N / 4 numbers that four registers consist of.
template <class T, int N> SQS_INLINE void transpose_quarters(simd<T, N> (&x)[4]) {
#if defined(SQS_MASK_REGISTERS)
  if constexpr (N == 16 && sizeof(T) == 4) {
    const __m512 a = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0x44), b = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0xEE);
    const __m512 c = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0x44), d = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0xEE);
    x[0].v = _mm512_shuffle_f32x4(a, c, 0x88), x[1].v = _mm512_shuffle_f32x4(a, c, 0xDD);
    x[2].v = _mm512_shuffle_f32x4(b, d, 0x88), x[3].v = _mm512_shuffle_f32x4(b, d, 0xDD);
    return;
  }
#endif
  constexpr int part = N / 4;
  simd<T, N> y[4];
  for (int r = 0; r < 4; ++r) {
    for (int i = 0; i < N; ++i) { y[r].v[i] = x[i / part].v[r * part + i % part]; }
  }
  for (int r = 0; r < 4; ++r) { x[r] = y[r]; }
}

} // namespace sqs

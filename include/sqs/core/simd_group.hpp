// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Several registers as one number.

#include <sqs/core/simd.hpp>

namespace sqs {

/// K registers as one number. Operations go register by register, so that the processor always finds K independent
/// instructions next to each other: one long chain after the other would fill its window and leave it waiting.
template <class V, int K> struct simd_group {
  V r[K];

  struct mask {
    typename V::mask r[K];
    friend bool any(const mask& a) {
      auto m = a.r[0];
      for (int i = 1; i < K; ++i) { m = m | a.r[i]; }
      return any(m);
    }
    friend SQS_INLINE mask operator&(const mask& a, const mask& b) {
      mask m;
      for (int i = 0; i < K; ++i) { m.r[i] = a.r[i] & b.r[i]; }
      return m;
    }
  };
  simd_group() = default;
  friend SQS_INLINE simd_group operator-(const simd_group& a) {
    return each(a, a, [](V x, V) { return -x; });
  }
  /// The same register K times.
  simd_group(V x) {
    for (V& v : r) { v = x; }
  }
  template <class S>
    requires std::is_arithmetic_v<S> simd_group(S s) : simd_group(V(s)) {}

    friend SQS_INLINE simd_group operator+(const simd_group& a, const simd_group& b) {
      return each(a, b, [](V x, V y) { return x + y; });
    }
    friend SQS_INLINE simd_group operator-(const simd_group& a, const simd_group& b) {
      return each(a, b, [](V x, V y) { return x - y; });
    }
    friend SQS_INLINE simd_group operator*(const simd_group& a, const simd_group& b) {
      return each(a, b, [](V x, V y) { return x * y; });
    }
    friend SQS_INLINE simd_group min(const simd_group& a, const simd_group& b) {
      return each(a, b, [](V x, V y) { return min(x, y); });
    }
    friend SQS_INLINE simd_group max(const simd_group& a, const simd_group& b) {
      return each(a, b, [](V x, V y) { return max(x, y); });
    }
    friend SQS_INLINE mask operator<(const simd_group& a, const simd_group& b) {
      return test(a, b, [](V x, V y) { return x < y; });
    }
    friend SQS_INLINE mask operator<=(const simd_group& a, const simd_group& b) {
      return test(a, b, [](V x, V y) { return x <= y; });
    }
    friend SQS_INLINE mask operator>(const simd_group& a, const simd_group& b) {
      return test(a, b, [](V x, V y) { return x > y; });
    }
    friend SQS_INLINE mask operator>=(const simd_group& a, const simd_group& b) {
      return test(a, b, [](V x, V y) { return x >= y; });
    }
    friend SQS_INLINE simd_group select(const mask& m, const simd_group& a, const simd_group& b) {
      simd_group c;
      SQS_UNROLL
      for (int i = 0; i < K; ++i) { c.r[i] = select(m.r[i], a.r[i], b.r[i]); }
      return c;
    }
    friend SQS_INLINE simd_group fma(const simd_group& a, const simd_group& b, const simd_group& c) {
      simd_group d;
      SQS_UNROLL
      for (int i = 0; i < K; ++i) { d.r[i] = fma(a.r[i], b.r[i], c.r[i]); }
      return d;
    }
    friend SQS_INLINE simd_group abs(const simd_group& a) {
      return each(a, a, [](V x, V) { return abs(x); });
    }
    friend SQS_INLINE simd_group reciprocal(const simd_group& a) {
      if constexpr (V::has_estimate) {
        const simd_group e = each(a, a, [](V x, V) { return V::estimate(x); });
        return e * (simd_group(2) - a * e);
      } else {
        return each(a, a, [](V x, V) { return V(1) / x; });
      }
    }
    friend SQS_INLINE simd_group exp2(const simd_group& a) {
      if constexpr (std::is_same_v<typename V::value_type, float>) {
        return detail::exp2_of(a, [](const simd_group& p, const simd_group& shifted) {
          return each(p, shifted, [](V x, V y) { return V::scaled_by_bits(x, y); });
        });
      } else {
        return each(a, a, [](V x, V) { return exp2(x); });
      }
    }

  private:
    template <class F> static SQS_INLINE simd_group each(const simd_group& a, const simd_group& b, F f) {
      simd_group c;
      SQS_UNROLL
      for (int i = 0; i < K; ++i) { c.r[i] = f(a.r[i], b.r[i]); }
      return c;
    }
    template <class F> static SQS_INLINE mask test(const simd_group& a, const simd_group& b, F f) {
      mask m;
      SQS_UNROLL
      for (int i = 0; i < K; ++i) { m.r[i] = f(a.r[i], b.r[i]); }
      return m;
    }
};

} // namespace sqs

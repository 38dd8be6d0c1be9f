// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Numbers of 16 bits, for storage: they are computed with as float.

#include <bit>
#include <cstdint>
#include <type_traits>

namespace sqs {

/// The upper half of a float: its range, 8 bits of its fraction (a relative step of 2^-8). Converts to float exactly and
/// from float to the nearest, ties to even; NaN stays NaN.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default; ///< not set, like a float
  explicit constexpr bfloat16(float x) : bits(0) {
    const auto f = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t rounded = f + 0x7fff + (f >> 16 & 1);
    const bool nan = (f & 0x7fffffff) > 0x7f800000;
    bits = static_cast<std::uint16_t>((nan ? f | 0x400000 : rounded) >> 16);
  }
  constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  /// Adds as float and rounds once.
  constexpr bfloat16& operator+=(bfloat16 o) {
    return *this = bfloat16(static_cast<float>(*this) + static_cast<float>(o));
  }
};
static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

/// The value of an IEEE 754 half-precision number, exactly.
constexpr float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half} >> 15 << 31, exponent = half >> 10 & 31, fraction = half & 1023u;
  if (exponent == 31) { return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13); }
  if (exponent > 0) { return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13); }
  const float small = static_cast<float>(fraction) * 0x1p-24f; // no leading one
  return sign != 0 ? -small : small;
}

/// The nearest half, ties to even; beyond 65504 infinity.
constexpr std::uint16_t half_of_float(float f) {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) { return static_cast<std::uint16_t>(sign | 0x7E00u); }
  if (magnitude >= 0x477FF000u) { return static_cast<std::uint16_t>(sign | 0x7C00u); } // rounds to 65536 or is more
  if (magnitude < 0x38800000u) { // below 2^-14: a multiple of 2^-24, rounded by the addition
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3F000000u));
  }
  const std::uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

/// IEEE 754 half precision: 10 bits of the fraction (a relative step of 2^-11), from 2^-14 (less exactly: 2^-24) to 65504.
/// Converts to float exactly and from float to the nearest, ties to even: beyond 65504 to infinity. NaN stays NaN.
struct float16 {
  std::uint16_t bits;

  float16() = default; ///< not set, like a float
  explicit constexpr float16(float x) : bits(narrowed(x)) {}
  constexpr operator float() const {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      float x;
      asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
      return x;
    }
#endif
    return float_of_half(bits);
  }
  /// Adds as float and rounds once.
  constexpr float16& operator+=(float16 o) {
    return *this = float16(static_cast<float>(*this) + static_cast<float>(o));
  }

private:
  static constexpr std::uint16_t narrowed(float x) {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      std::uint16_t h;
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
      return h;
    }
#endif
    return half_of_float(x);
  }
};
static_assert(sizeof(float16) == 2 && std::is_trivially_copyable_v<float16>);

/// Is T a type that features and gradients may be stored in?
template <class T> inline constexpr bool is_real_number =
    std::is_floating_point_v<T> || std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

} // namespace sqs

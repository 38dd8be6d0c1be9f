// SPDX-License-Identifier: Apache-2.0
// float16 against its definition: every number there is, rounding on both sides of every border between two of them.
#include "../support/check.hpp"

#include <sqs/core/bfloat16.hpp>

#include <cmath>
#include <limits>

namespace float16_test {

using sqs::float16;

float16 of_bits(std::uint32_t bits) { return std::bit_cast<float16>(static_cast<std::uint16_t>(bits)); }
/// The value of a number that is not negative, by its definition; the one behind the largest is 65536.
double value_of(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10), fraction = static_cast<int>(bits & 1023);
  return exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
}

TEST(float16, every_value_survives_float) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const float f = of_bits(i);
    if ((i & 0x7fff) > 0x7c00) {
      ASSERT_TRUE(std::isnan(f) && std::isnan(static_cast<float>(float16(f)))) << i;
    } else {
      ASSERT_EQ(float16(f).bits, i);
      ASSERT_EQ(std::signbit(f), i >= 0x8000);
      if ((i & 0x7fff) < 0x7c00) { ASSERT_EQ(std::abs(static_cast<double>(f)), value_of(i & 0x7fff)) << i; }
    }
  }
}

TEST(float16, rounds_to_the_nearest_and_ties_to_even_everywhere) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t i = 0; i < 0x7c00; ++i) {
    const auto middle = static_cast<float>((value_of(i) + value_of(i + 1)) / 2); // exact: one more bit
    const std::uint32_t even = i % 2 == 0 ? i : i + 1;
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const float s = sign == 0 ? 1.0f : -1.0f;
      ASSERT_EQ(float16(s * middle).bits, sign | even) << i;
      ASSERT_EQ(float16(s * std::nextafter(middle, 0.0f)).bits, sign | i) << i;
      ASSERT_EQ(float16(s * std::nextafter(middle, infinity)).bits, sign | (i + 1)) << i;
    }
  }
  EXPECT_EQ(float16(std::numeric_limits<float>::max()).bits, 0x7c00);
  EXPECT_EQ(float16(-infinity).bits, 0xfc00);
  EXPECT_EQ(float16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  float16 sum(2048.0f);
  sum += float16(1.0f);
  EXPECT_EQ(static_cast<float>(sum), 2048.0f) << "a tie: to even";
  sum += float16(3.0f);
  EXPECT_EQ(static_cast<float>(sum), 2052.0f) << "a tie: to even";
  constexpr float16 at_compile_time(1.5f);
  static_assert(at_compile_time.bits == 0x3e00 && static_cast<float>(at_compile_time) == 1.5f);
}

#if defined(__FLT16_MANT_DIG__) && defined(__SSE2__) && !defined(__clang__)
TEST(float16, is_that_of_the_compiler) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto theirs = std::bit_cast<_Float16>(static_cast<std::uint16_t>(i));
    const auto f = static_cast<float>(theirs);
    ASSERT_TRUE(std::isnan(f) ? std::isnan(static_cast<float>(of_bits(i))) : f == static_cast<float>(of_bits(i))) << i;
  }
  for (std::uint64_t i = 0; i <= 0xffffffff; i += 4099) { // a prime: all exponents, many fractions
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(i));
    if (std::isnan(x)) { continue; }
    ASSERT_EQ(float16(x).bits, std::bit_cast<std::uint16_t>(static_cast<_Float16>(x))) << i;
  }
}
#endif

} // namespace float16_test

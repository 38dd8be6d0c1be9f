// SPDX-License-Identifier: Apache-2.0
// 16-bit numbers against their definition: every half and every bfloat16 there is, rounding against the nearest of all.
#include "../support/check.hpp"

#include <sqs/core/bfloat16.hpp>

#include <cmath>
#include <limits>

namespace bfloat16_test {

using sqs::bfloat16;

TEST(bfloat16, every_value_survives_float) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto b = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(i));
    const float f = b;
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(f))));
    } else {
      ASSERT_EQ(bfloat16(f).bits, i);
    }
  }
}

TEST(bfloat16, rounds_to_the_nearest_and_ties_to_even) {
  const float step = 0x1p-7f; // of values in [1, 2)
  EXPECT_EQ(static_cast<float>(bfloat16(1 + step / 2)), 1.0f) << "a tie: 1 has the even fraction";
  EXPECT_EQ(static_cast<float>(bfloat16(1 + 3 * step / 2)), 1 + 2 * step) << "a tie: up to the even one";
  EXPECT_EQ(static_cast<float>(bfloat16(std::nextafter(1 + step / 2, 2.0f))), 1 + step);
  EXPECT_EQ(static_cast<float>(bfloat16(-(1 + 0.4f * step))), -1.0f);
  EXPECT_EQ(static_cast<float>(bfloat16(std::numeric_limits<float>::max())), std::numeric_limits<float>::infinity());
  EXPECT_EQ(static_cast<float>(bfloat16(0x1p-140f)), 0.0f) << "below half of the least";
  // Against the nearest of the two neighbours, found by their bits.
  for (std::uint32_t i = 1; i < 0x7f80; i += 7) {
    const float low = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(i)),
                high = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(i + 1));
    for (const double part : {0.1, 0.49, 0.51, 0.9}) {
      const auto x = static_cast<float>(low + part * (static_cast<double>(high) - low));
      if (std::isinf(high)) { continue; }
      ASSERT_EQ(static_cast<float>(bfloat16(x)), x - low < high - x ? low : high) << i << " " << part;
    }
  }
  bfloat16 sum(1.0f);
  sum += bfloat16(step);
  EXPECT_EQ(static_cast<float>(sum), 1 + step);
}

TEST(float_of_half, every_value_by_its_definition) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31), fraction = static_cast<int>(i & 1023);
    const double sign = i >> 15 != 0 ? -1 : 1;
    const float f = sqs::float_of_half(static_cast<std::uint16_t>(i));
    if (exponent == 31 && fraction != 0) {
      ASSERT_TRUE(std::isnan(f));
      continue;
    }
    const double value = exponent == 31  ? std::numeric_limits<double>::infinity()
                         : exponent == 0 ? std::ldexp(fraction, -24)
                                         : std::ldexp(1024 + fraction, exponent - 25);
    ASSERT_EQ(f, sign * value) << i;
    ASSERT_EQ(std::signbit(f), sign < 0) << i;
  }
}

} // namespace bfloat16_test

// SPDX-License-Identifier: Apache-2.0
// The arithmetic that official evaluators take from numpy, bit for bit. Numbers printed by numpy 1.26 on AVX-512.
#include <sqs/metric/detail/numpy.hpp>

#include <gtest/gtest.h>

namespace numpy_test {

using namespace sqs::metric::detail;

TEST(numpy, sums_run_in_its_order) {
  const std::pair<std::size_t, double> golden[] = {{7, 0x1.4be2be2be2be2p+1},   {8, 0x1.5be2be2be2be2p+1},
                                                   {9, 0x1.6a1ba1ba1ba1bp+1},   {127, 0x1.5b38ae9541ca6p+2},
                                                   {128, 0x1.5bb8ae9541ca7p+2}, {129, 0x1.5c37b09149ba9p+2},
                                                   {1000, 0x1.df11f45f4e61ap+2}};
  for (const auto& [n, want] : golden) {
    std::vector<double> x;
    for (std::size_t i = 1; i <= n; ++i) { x.push_back(1 / static_cast<double>(i)); }
    EXPECT_EQ(sum(x), want) << n;
  }
  EXPECT_TRUE(std::isnan(mean({})));
  const std::vector<double> holes{1, std::nan(""), 2}, none{std::nan("")};
  EXPECT_EQ(nan_mean(holes), 1.5);
  EXPECT_TRUE(std::isnan(nan_mean(none)));
}

TEST(numpy, arctangent_of_avx512) {
  const std::array<double, 3> golden[] = {{1.0, 3.0, 0x1.4978fa3269ee1p-2},
                                          {-2.5, 0.7, -0x1.4c3bcf48faef4p+0},
                                          {0.3, -0.4, 0x1.3fc176b7a8560p+1},
                                          {-1e-3, -5.0, -0x1.9219278b8981cp+1},
                                          {7.0, 7.0, 0x1.921fb54442d18p-1},
                                          {0.0, -1.0, 0x1.921fb54442d18p+1},
                                          {-0.0, 2.0, -0.0},
                                          {3.0, 0.0, 0x1.921fb54442d18p+0}};
  for (const auto& [y, x, want] : golden) { EXPECT_EQ(arctan2_avx512(y, x), want) << y << " " << x; }
  // Everywhere within a few units in the last place of the C library's.
  for (int i = -300; i <= 300; ++i) {
    for (int k = -300; k <= 300; k += 7) {
      const double y = i * 0.37, x = k * 0.11;
      EXPECT_NEAR(arctan2_avx512(y, x), std::atan2(y, x), 2e-15);
    }
  }
}

TEST(numpy, interpolation_between_points_and_at_steps) {
  const std::vector<double> xp{0, 1, 1, 2}, fp{10, 20, 30, 5};
  const std::pair<double, double> golden[] = {{-1, 10}, {0, 10}, {0.25, 12.5}, {1, 30}, {1.5, 17.5}, {2, 5}, {3, 0}};
  for (const auto& [x, want] : golden) { EXPECT_EQ(interpolate(x, xp, fp, 0), want) << x; }
  volatile std::size_t points = 1; // g++ 12 warns of bounds where it sees that there is one point
  const std::vector<double> one(points, 1.0), value(points, 4.0);
  EXPECT_EQ(interpolate(0.5, one, value, 0), 4);
  EXPECT_EQ(interpolate(1, one, value, 0), 4);
  EXPECT_EQ(interpolate(1.5, one, value, 0), 0);
}

TEST(numpy, remainders_are_never_negative) {
  EXPECT_EQ(modulo(-1, 2 * std::numbers::pi), 0x1.521fb54442d18p+2);
  EXPECT_EQ(modulo(7, std::numbers::pi), 0x1.6f0255dde9740p-1);
  EXPECT_EQ(modulo(0, 3), 0);
}

TEST(numpy, products_are_rounded_whatever_the_compiler_fuses) {
  const double a = 1 + 0x1p-30, b = 1 - 0x1p-30; // a b = 1 - 2^-60: rounds to 1
  EXPECT_EQ(product(a, b) - 1, 0);
  EXPECT_EQ(dot<2>({a, 1}, {b, -1}, false), 0);
  EXPECT_EQ(dot<2>({1, a}, {-1, b}, true), -0x1p-60);
}

} // namespace numpy_test

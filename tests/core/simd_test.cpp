// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/simd.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

using namespace sqs;

template <class V> class simd_widths : public ::testing::Test {};
using widths = ::testing::Types<simd<float, 4>, simd<double, 2>, simd<float, native_lanes<float>>,
                                simd<double, native_lanes<double>>>;
TYPED_TEST_SUITE(simd_widths, widths);

/// Lane i holds f(i).
template <class V, class F> V lanes_of(F f) {
  std::array<typename V::value_type, static_cast<std::size_t>(V::size)> x{};
  for (int i = 0; i < V::size; ++i) { x[static_cast<std::size_t>(i)] = static_cast<typename V::value_type>(f(i)); }
  return V::load(x.data());
}
template <class V> constexpr double digits = sizeof(typename V::value_type) == 4 ? 6e-8 : 1.2e-16;

TYPED_TEST(simd_widths, arithmetic_acts_per_lane) {
  using V = TypeParam;
  using T = typename V::value_type;
  const V a = lanes_of<V>([](int i) { return i - 1.5; }), b = lanes_of<V>([](int i) { return 2 + i; });
  for (int i = 0; i < V::size; ++i) {
    const T x = a[i], y = b[i];
    EXPECT_EQ((a + b)[i], x + y);
    EXPECT_EQ((a - b)[i], x - y);
    EXPECT_EQ((a * b)[i], x * y);
    EXPECT_EQ((a / b)[i], x / y);
    EXPECT_EQ((-a)[i], -x);
    EXPECT_EQ((T(2) - a)[i], 2 - x);
    EXPECT_EQ(abs(a)[i], std::abs(x));
    EXPECT_EQ(sqrt(b)[i], std::sqrt(y));
    EXPECT_EQ(min(a, V(T(0.5)))[i], std::min(x, T(0.5)));
    EXPECT_EQ(max(a, V(T(0.5)))[i], std::max(x, T(0.5)));
    EXPECT_EQ(select(a > V(0), a, b)[i], x > 0 ? x : y);
    EXPECT_EQ(((a > V(0)) & (b <= V(4)))[i], x > 0 && y <= 4);
    EXPECT_EQ(((a > V(0)) | (b <= V(2)))[i], x > 0 || y <= 2);
    EXPECT_EQ((!(a > V(0)))[i], !(x > 0));
  }
}

TYPED_TEST(simd_widths, sums_and_any) {
  using V = TypeParam;
  EXPECT_EQ(sum_of(iota<typename V::value_type, V::size>()), V::size * (V::size - 1) / 2);
  for (int only = 0; only < V::size; ++only) {
    const V x = lanes_of<V>([&](int i) { return i == only ? 1 : 0; });
    EXPECT_TRUE(any(x > V(0)));
    EXPECT_EQ(sum_of(x), 1);
  }
  EXPECT_FALSE(any(V(0) > V(0)));
}

TYPED_TEST(simd_widths, sums_of_many) {
  using V = TypeParam;
  for (const int count : {0, 1, 3, 9, 16, 21, 48}) {
    std::array<V, 48> x{};
    std::array<typename V::value_type, 64> sums{};
    for (int k = 0; k < count; ++k) {
      x[static_cast<std::size_t>(k)] = lanes_of<V>([&](int i) { return (i + 1) * (k + 1) + k * k; });
    }
    sums_of(x.data(), count, sums.data());
    for (int k = 0; k < count; ++k) {
      EXPECT_EQ(sums[static_cast<std::size_t>(k)], (k + 1) * V::size * (V::size + 1) / 2 + V::size * k * k)
          << count << " sums, number " << k;
    }
  }
}

TYPED_TEST(simd_widths, exp2_and_log2_and_reciprocal_are_as_exact_as_they_say) {
  using V = TypeParam;
  double worst_exp = 0, worst_log = 0, worst_reciprocal = 0;
  for (int step = 0; step < 20000; ++step) {
    const V x = lanes_of<V>([&](int i) { return -100 + 0.01 * step + 0.0007 * i; });
    const V y = lanes_of<V>([&](int i) { return 1e-4 + 1e-3 * step * (1 + 0.1 * i); });
    const V e = exp2(x), l = log2(y), r = reciprocal(y);
    for (int i = 0; i < V::size; ++i) {
      const double xi = x[i], yi = y[i];
      worst_exp = std::max(worst_exp, std::abs(e[i] / std::exp2(xi) - 1));
      worst_log = std::max(worst_log, std::abs(l[i] - std::log2(yi)) / std::max(1.0, std::abs(std::log2(yi))));
      worst_reciprocal = std::max(worst_reciprocal, std::abs(r[i] * yi - 1));
    }
  }
  EXPECT_LE(worst_exp, 4.2 * digits<V>);
  EXPECT_LE(worst_log, 4 * digits<V>);
  EXPECT_LE(worst_reciprocal, 3 * digits<V>);
  EXPECT_EQ(exp2(V(0))[0], 1);
  EXPECT_EQ(exp2(V(-3))[V::size - 1], 0.125);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/simd_group.hpp>
#include <sqs/core/simd_shuffle.hpp>

#include <gtest/gtest.h>

#include <array>

namespace simd_test {

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

TYPED_TEST(simd_widths, functions_are_as_exact_as_they_say) {
  using V = TypeParam;
  double worst_exp = 0, worst_log = 0, worst_reciprocal = 0, worst_root = 0, least_above = 1, most_above = 0;
  for (int step = 0; step < 20000; ++step) {
    const V x = lanes_of<V>([&](int i) { return -100 + 0.01 * step + 0.0007 * i; });
    const V y = lanes_of<V>([&](int i) { return 1e-4 + 1e-3 * step * (1 + 0.1 * i); });
    const V e = exp2(x), l = log2(y), r = reciprocal(y), root = rsqrt(y), above = log2_above(y);
    for (int i = 0; i < V::size; ++i) {
      const double xi = x[i], yi = y[i];
      worst_exp = std::max(worst_exp, std::abs(e[i] / std::exp2(xi) - 1));
      worst_log = std::max(worst_log, std::abs(l[i] - std::log2(yi)) / std::max(1.0, std::abs(std::log2(yi))));
      worst_reciprocal = std::max(worst_reciprocal, std::abs(r[i] * yi - 1));
      worst_root = std::max(worst_root, std::abs(root[i] * std::sqrt(yi) - 1));
      least_above = std::min(least_above, above[i] - std::log2(yi));
      most_above = std::max(most_above, above[i] - std::log2(yi));
    }
  }
  EXPECT_LE(worst_exp, 4.2 * digits<V>);
  EXPECT_LE(worst_log, 4 * digits<V>);
  EXPECT_LE(worst_reciprocal, 3 * digits<V>);
  EXPECT_LE(worst_root, 3 * digits<V>);
  EXPECT_GE(least_above, 0);
  EXPECT_LE(most_above, 0.0864);
  EXPECT_EQ(exp2(V(0))[0], 1);
  EXPECT_EQ(exp2(V(-3))[V::size - 1], 0.125);
}

// A group does register by register what a register does.
TYPED_TEST(simd_widths, groups_equal_their_registers) {
  using V = TypeParam;
  using group = simd_group<V, 3>;
  group a, b;
  for (int r = 0; r < 3; ++r) {
    a.r[r] = lanes_of<V>([&](int i) { return 0.25 * (i - 1) + r; });
    b.r[r] = lanes_of<V>([&](int i) { return 1.5 - 0.5 * i + 0.1 * r; });
  }
  const auto chosen = select(a < b, a, b), both = select((a < b) & (a > group(0)), a, b);
  const auto exponential = exp2(a), product = fma(a, b, a), inverse = reciprocal(b * b + group(1));
  for (int r = 0; r < 3; ++r) {
    const V x = a.r[r], y = b.r[r];
    for (int i = 0; i < V::size; ++i) {
      EXPECT_EQ(chosen.r[r][i], x[i] < y[i] ? x[i] : y[i]);
      EXPECT_EQ(both.r[r][i], x[i] < y[i] && x[i] > 0 ? x[i] : y[i]);
      EXPECT_EQ(exponential.r[r][i], exp2(x)[i]);
      EXPECT_EQ(product.r[r][i], fma(x, y, x)[i]);
      EXPECT_EQ(inverse.r[r][i], reciprocal(y * y + V(1))[i]);
      EXPECT_EQ(max(a, b).r[r][i], std::max(x[i], y[i]));
      EXPECT_EQ(abs(-a).r[r][i], std::abs(x[i]));
    }
  }
}

TYPED_TEST(simd_widths, lists_of_lanes_and_transposition) {
  using V = TypeParam;
  using T = typename V::value_type;
  std::array<std::int32_t, 2 * V::size + 16> list{};
  const auto odd = lanes_of<V>([](int i) { return i % 2; }) > V(0);
  ASSERT_EQ(store_indices(odd, 100, list.data()), V::size / 2);
  for (int i = 0; i < V::size / 2; ++i) { EXPECT_EQ(list[static_cast<std::size_t>(i)], 100 + 2 * i + 1); }
  std::array<std::int32_t, 32> bits{};
  ASSERT_EQ(store_bits(0x8005u, 16, bits.data()), 3);
  EXPECT_EQ(bits[0], 16);
  EXPECT_EQ(bits[1], 18);
  EXPECT_EQ(bits[2], 31);

  constexpr int n = V::size;
  T rows[n][4], columns[4][n], back[n][4];
  const T* in[n];
  T* out[n];
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < 4; ++i) { rows[j][i] = static_cast<T>(10 * j + i); }
    in[j] = rows[j], out[j] = back[j];
  }
  transpose_fours<T, n>(in, {columns[0], columns[1], columns[2], columns[3]});
  untranspose_fours<T, n>({V::load(columns[0]), V::load(columns[1]), V::load(columns[2]), V::load(columns[3])}, out);
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(columns[i][j], rows[j][i]);
      EXPECT_EQ(back[j][i], rows[j][i]);
    }
  }
  const T numbers[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                       17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
                       34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48};
  for (int i = 0; i < n; ++i) { EXPECT_EQ(V::strided(numbers, 3)[i], 3 * i); }
  V triples[3];
  load_triples(numbers, triples);
  for (int i = 0; i < n; ++i) {
    for (int c = 0; c < 3; ++c) { EXPECT_EQ(triples[c][i], 3 * i + c); }
  }
  T written[3 * n + 1];
  written[3 * n] = -7;
  store_triples(triples, written);
  for (int i = 0; i < 3 * n; ++i) { EXPECT_EQ(written[i], numbers[i]); }
  EXPECT_EQ(written[3 * n], -7);
  if constexpr (n % 4 == 0) {
    V x[4];
    for (int r = 0; r < 4; ++r) {
      x[r] = lanes_of<V>([&](int i) { return n * r + i; });
    }
    transpose_quarters(x);
    for (int r = 0; r < 4; ++r) { // quarter q of register r was quarter r of register q
      for (int i = 0; i < n; ++i) { EXPECT_EQ(x[r][i], n * (i / (n / 4)) + n / 4 * r + i % (n / 4)); }
    }
  }
}

TYPED_TEST(simd_widths, whole_parts_and_words_of_four) {
  using V = TypeParam;
  using T = typename V::value_type;
  const auto x = lanes_of<V>([](int i) { return (i % 2 == 0 ? -1 : 1) * (i * 1000.75); });
  for (int i = 0; i < V::size; ++i) { EXPECT_EQ(truncated(x)[i], std::trunc(x[i])); }
  const auto four = lanes_of<V>([](int i) { return 4 * i * i + 0.5; });
  for (int i = 0; i < V::size; ++i) { EXPECT_EQ(sqrt(four)[i], std::sqrt(four[i])); }
  const V in[4] = {abs(x), lanes_of<V>([](int i) { return 65535 - i; }), V(T(7)), four};
  std::uint16_t out[4 * V::size];
  store_words_of_four(in, out);
  for (int j = 0; j < V::size; ++j) {
    for (int i = 0; i < 4; ++i) { EXPECT_EQ(out[4 * j + i], static_cast<int>(in[i][j])) << j << " " << i; }
  }
}

TYPED_TEST(simd_widths, low_words) {
  using V = TypeParam;
  using T = typename V::value_type;
  const T base = static_cast<T>(idx{1} << (std::numeric_limits<T>::digits - 1)); // whole numbers show in the last bits
  std::array<std::uint16_t, V::size + 1> words{};
  words[V::size] = 7;
  store_low_words(lanes_of<V>([&](int i) { return base + static_cast<T>(1 << (i % 16)) + static_cast<T>(i % 2); }),
                  words.data());
  for (int i = 0; i < V::size; ++i) {
    EXPECT_EQ(words[static_cast<std::size_t>(i)], static_cast<std::uint16_t>((1 << (i % 16)) + i % 2)) << i;
  }
  EXPECT_EQ(words[V::size], 7);
}

} // namespace simd_test

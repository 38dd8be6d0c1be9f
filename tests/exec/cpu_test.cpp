// SPDX-License-Identifier: Apache-2.0
// The CPU executor: every index once, nesting, exceptions, deterministic reductions, scan, sort, matrix products.
#include "../support/check.hpp"

#include <sqs/exec/gemm.hpp>

#include <bit>
#include <numeric>

namespace cpu_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(parallel, every_index_once_also_nested) {
  for (const int threads : {1, 2, 5}) {
    cpu e{.threads = threads};
    std::vector<std::atomic<int>> seen(10007);
    parallel_for(e, 10007, 13, [&](idx begin, idx end) {
      parallel_for(e, end - begin, 1, [&](idx i, idx) { ++seen[static_cast<std::size_t>(begin + i)]; });
    });
    for (const auto& s : seen) { ASSERT_EQ(s, 1); }
    EXPECT_EQ(e.thread_count(), threads);
  }
}

TEST(parallel, exceptions_reach_the_caller_and_the_pool_survives) {
  cpu e{.threads = 3};
  for (int round = 0; round < 50; ++round) {
    EXPECT_THROW(parallel_for(e, 1000, 1, [](idx i, idx) { expects(i != 777, "planted"); }), precondition_error);
    std::atomic<idx> sum{0};
    parallel_for(e, 100, 1, [&](idx i, idx) { sum += i; });
    ASSERT_EQ(sum, 4950);
  }
  EXPECT_THAT(message_of([&] { parallel_for(e, 5, 0, [](idx, idx) {}); }), HasSubstr("grain is 0"));
  cpu bad{.threads = -2};
  EXPECT_THAT(message_of([&] { parallel_for(bad, 5, 1, [](idx, idx) {}); }), HasSubstr("sqs::cpu: threads is -2"));
}

TEST(parallel, reduce_is_bitwise_equal_for_any_thread_count) {
  const auto x = random_float<1>({100003}, 1);
  std::vector<float> sums;
  for (const int threads : {1, 2, 3, 7}) {
    cpu e{.threads = threads};
    sums.push_back(reduce(
        e, x.size(), 1000, 0.f, [&](idx b, idx en) { return std::accumulate(x.data() + b, x.data() + en, 0.f); },
        std::plus<>{}));
  }
  EXPECT_EQ(sums, std::vector<float>(4, sums[0]));
  EXPECT_NEAR(sums[0], std::accumulate(x.begin(), x.end(), 0.0), 0.05);
}

TEST(parallel, fill_sets_what_it_is_given_and_no_more) {
  const idx piece = (idx{1} << 18) / 4;
  for (const int threads : {1, 3}) {
    cpu e{.threads = threads};
    for (const idx n : {idx{0}, idx{1}, piece - 1, piece, piece + 1, 3 * piece + 5}) {
      std::vector<float> x(static_cast<std::size_t>(n) + 2, -1);
      fill(e, x.data() + 1, n, 2.5f);
      EXPECT_EQ(x.front(), -1) << n;
      EXPECT_EQ(x.back(), -1) << n;
      EXPECT_TRUE(std::all_of(x.begin() + 1, x.end() - 1, [](float v) { return v == 2.5f; })) << n;
    }
    std::vector<std::uint8_t> nested(6 << 18, 1); // a loop of three pieces in a loop
    parallel_for(e, 2, 1, [&](idx half, idx) { fill(e, nested.data() + half * (3 << 18), 3 << 18, std::uint8_t{3}); });
    EXPECT_TRUE(std::all_of(nested.begin(), nested.end(), [](int v) { return v == 3; }));
  }
  struct wide { // an element longer than a piece would be
    std::array<double, 40000> x;
  };
  std::vector<wide> two(2), value(1);
  value[0].x.fill(4);
  cpu e{.threads = 2};
  fill(e, two.data(), 2, value[0]);
  EXPECT_EQ(two[1].x[39999], 4);
}

TEST(parallel, scan) {
  cpu e{.threads = 3};
  std::vector<int> v{3, 1, 4, 1, 5};
  EXPECT_EQ(exclusive_scan(e, v.data(), v.data(), 5), 14);
  EXPECT_EQ(v, (std::vector<int>{0, 3, 4, 8, 9}));
}

/// Sorts key_of(i) with their numbers by their low bits, as std::stable_sort does.
template <class Key, class F> void expect_sorted(int threads, idx n, int bits, F key_of) {
  SCOPED_TRACE(concat(threads, " threads, ", n, " pairs, ", bits, " bits"));
  cpu e{.threads = threads};
  std::vector<Key> keys(static_cast<std::size_t>(n)), spare(keys.size());
  std::vector<std::int32_t> rows(keys.size()), spare_rows(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) { keys[i] = key_of(static_cast<idx>(i)); }
  std::iota(rows.begin(), rows.end(), 0);
  const auto given = keys;
  const auto low = [&](std::int32_t i) {
    const Key k = given[static_cast<std::size_t>(i)];
    return bits == 8 * int{sizeof(Key)} ? k : static_cast<Key>(k & ((Key{1} << bits) - 1));
  };
  auto expected = rows;
  std::stable_sort(expected.begin(), expected.end(), [&](auto a, auto b) { return low(a) < low(b); });
  radix_sort_pairs(e, keys.data(), rows.data(), spare.data(), spare_rows.data(), n, bits);
  EXPECT_EQ(rows, expected);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(keys[i], given[static_cast<std::size_t>(rows[i])]); // whole, with the bits above those sorted by
  }
}
TEST(parallel, radix_sort_of_few_and_many_by_any_bits) {
  for (const idx n : {idx{0}, idx{1}, idx{1000}, idx{40000}, (idx{1} << 17) - 1, idx{1} << 17, idx{200001}}) {
    for (const int bits : {0, 1, 11, 12, 13, 27, 28, 33, 64}) {
      const auto s = random_stream::of(5, bits, n);
      expect_sorted<std::uint64_t>(3, n, bits, [&](idx i) { return s.bits(i); });
      if (bits <= 32) {
        expect_sorted<std::uint32_t>(1, n, bits, [&](idx i) { return static_cast<std::uint32_t>(s.bits(i)); });
      }
    }
  }
}
/// Many pairs are split by their highest digit if that tells them apart: where it hardly does, and where parts are long.
TEST(parallel, radix_sort_of_uneven_keys) {
  const idx n = 180000;
  const auto s = random_stream::of(6);
  const auto uniform = [&](idx i) { return static_cast<std::uint32_t>(s.bits(i)); };
  for (const int threads : {1, 2}) {
    expect_sorted<std::uint32_t>(threads, n, 32, [&](idx) { return 7u; });
    expect_sorted<std::uint32_t>(threads, n, 32, [&](idx i) { return static_cast<std::uint32_t>(n - i); });
    expect_sorted<std::uint32_t>(threads, n, 32, [&](idx i) { return uniform(i) % 16 << 28 | (uniform(i) & 0xFFFFu); });
    expect_sorted<std::uint32_t>(threads, n, 29, [&](idx i) { return uniform(i) % 9 << 25 | uniform(i) % 3; });
    expect_sorted<std::uint32_t>(threads, n, 30, [&](idx i) { // bits of floats, as depths are
      return std::bit_cast<std::uint32_t>(static_cast<float>(s.uniform(i, 0.2, 80)));
    });
    // Ten long parts and many of a few pairs, whose bits above the lowest 24 are not to be looked at.
    expect_sorted<std::uint32_t>(
        threads, n, 24, [&](idx i) { return i % 8 == 0 ? uniform(i) : uniform(i) % 10 << 20 | uniform(i) % 99; });
  }
}
TEST(gemm, all_transposes_against_the_plain_loop) {
  cpu e{.threads = 2};
  const idx m = 150, n = 7, k = 11;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const bool add : {false, true}) {
        const auto a = random<2>({ta ? k : m, ta ? m : k}, 1), b = random<2>({tb ? n : k, tb ? k : n}, 2);
        auto c = make_tensor<double, 2>({m, n}, 1.5);
        gemm<double>(e, ta, tb, m, n, k, a.data(), a.extent(1), b.data(), b.extent(1), c.data(), n, add);
        for (idx i = 0; i < m; ++i) {
          for (idx j = 0; j < n; ++j) {
            double sum = add ? 1.5 : 0;
            for (idx p = 0; p < k; ++p) { sum += (ta ? a(p, i) : a(i, p)) * (tb ? b(j, p) : b(p, j)); }
            ASSERT_NEAR(c(i, j), sum, 1e-12);
          }
        }
      }
    }
  }
}

} // namespace cpu_test

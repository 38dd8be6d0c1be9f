// SPDX-License-Identifier: Apache-2.0
// The CPU executor: every index once, nesting, exceptions, deterministic reductions, scan, sort, matrix products.
#include "../support/check.hpp"

#include <sqs/exec/gemm.hpp>

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
    std::vector<std::uint8_t> nested(2 << 18, 1); // a loop in a loop
    parallel_for(e, 2, 1, [&](idx half, idx) { fill(e, nested.data() + (half << 18), idx{1} << 18, std::uint8_t{3}); });
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

TEST(parallel, scan_and_sort) {
  cpu e{.threads = 3};
  std::vector<int> v{3, 1, 4, 1, 5};
  EXPECT_EQ(exclusive_scan(e, v.data(), v.data(), 5), 14);
  EXPECT_EQ(v, (std::vector<int>{0, 3, 4, 8, 9}));
  for (const idx n : {0, 1, 1000, 200000}) {
    const auto s = random_stream::of(4, n);
    std::vector<std::uint64_t> keys(static_cast<std::size_t>(n)), spare(keys.size());
    std::vector<idx> rows(keys.size()), spare_rows(keys.size());
    for (idx i = 0; i < n; ++i) { keys[static_cast<std::size_t>(i)] = s.bits(i) & 0xFFFFFF0ull; }
    std::iota(rows.begin(), rows.end(), 0);
    auto expected = rows;
    std::stable_sort(expected.begin(), expected.end(), [&](idx a, idx b) {
      return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
    });
    radix_sort_pairs(e, keys.data(), rows.data(), spare.data(), spare_rows.data(), n, 28);
    EXPECT_EQ(rows, expected); // stable
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  }
}
TEST(parallel, radix_sort_looks_at_the_low_bits_only) {
  cpu e{.threads = 2};
  for (const int bits : {0, 1, 11, 12, 27, 33, 64}) {
    const idx n = 40000;
    const auto s = random_stream::of(5, bits);
    const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
    std::vector<std::uint64_t> keys(static_cast<std::size_t>(n)), spare(keys.size());
    std::vector<idx> rows(keys.size()), spare_rows(keys.size());
    for (idx i = 0; i < n; ++i) { keys[static_cast<std::size_t>(i)] = s.bits(i); }
    std::iota(rows.begin(), rows.end(), 0);
    auto expected = rows;
    std::stable_sort(expected.begin(), expected.end(), [&](idx a, idx b) {
      return (keys[static_cast<std::size_t>(a)] & mask) < (keys[static_cast<std::size_t>(b)] & mask);
    });
    radix_sort_pairs(e, keys.data(), rows.data(), spare.data(), spare_rows.data(), n, bits);
    EXPECT_EQ(rows, expected) << bits << " bits";
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

// SPDX-License-Identifier: Apache-2.0
// The kernels of team_kernels.hpp under the emulator, and the mistakes it must find.
#include "exec/team_kernels.hpp"

#include <sqs/exec/emulator.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

namespace team_test {

using namespace sqs::test;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <class Switch> struct team_test : ::testing::Test {};
#if defined(__x86_64__)
using switches = ::testing::Types<sqs::detail::asm_switch, sqs::detail::ucontext_switch>;
#else
using switches = ::testing::Types<sqs::detail::ucontext_switch>;
#endif
TYPED_TEST_SUITE(team_test, switches);

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::vector<float> numbers(int n) {
  std::vector<float> v(at(n));
  for (int i = 0; i < n; ++i) { v[at(i)] = static_cast<float>(i * 37 % 101 - 50); }
  return v;
}

TYPED_TEST(team_test, block_scan_matches_a_loop) {
  for (const int threads : {32, 96, 256, 1024}) {
    for (const int n : {1, threads - 1, threads, threads + 1, 3 * threads + 5}) {
      std::vector<int> in(at(n)), out(at(n), -1);
      for (int i = 0; i < n; ++i) { in[at(i)] = i * i % 17 - 5; }
      const int blocks = (n + threads - 1) / threads;
      sqs::emulator::launch<TypeParam>(blocks, threads, block_scan_kernel{in.data(), out.data(), n}, 1);
      for (int i = 0, sum = 0; i < n; ++i) {
        sum = i % threads == 0 ? in[at(i)] : sum + in[at(i)];
        ASSERT_EQ(out[at(i)], sum) << "at " << i << " of " << n << ", blocks of " << threads;
      }
    }
  }
}

TYPED_TEST(team_test, block_sum_has_the_same_bits_for_every_order) {
  std::vector<float> in = numbers(512);
  for (auto& v : in) { v *= 0.1f; }
  std::vector<float> first(2);
  sqs::emulator::launch<TypeParam>(2, 256, block_sum_kernel{in.data(), first.data(), 512}, 0);
  double expected = 0;
  for (int i = 0; i < 256; ++i) { expected += static_cast<double>(in[at(i)]); }
  EXPECT_NEAR(static_cast<double>(first[0]), expected, 1e-4);
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    std::vector<float> again(2);
    sqs::emulator::launch<TypeParam>(2, 256, block_sum_kernel{in.data(), again.data(), 512}, seed);
    EXPECT_EQ(again, first) << "seed " << seed;
  }
}

TYPED_TEST(team_test, shuffles_are_those_of_cuda) {
  constexpr int n = 64;
  std::vector<int> up(n), down(n), from_five(n), scan(n);
  std::vector<double> sum(n);
  sqs::emulator::launch<TypeParam>(1, n,
                                   shuffle_kernel{up.data(), down.data(), from_five.data(), scan.data(), sum.data()});
  for (int i = 0; i < n; ++i) {
    const int lane = i % 32, warp = i - lane;
    EXPECT_EQ(up[at(i)], lane >= 3 ? i - 3 : i);
    EXPECT_EQ(down[at(i)], lane < 2 ? i + 30 : i);
    EXPECT_EQ(from_five[at(i)], warp + 5);
    EXPECT_EQ(scan[at(i)], (lane + 1) * warp + lane * (lane + 1) / 2);
    EXPECT_EQ(sum[at(i)], 32 * warp + 31 * 16);
  }
}

template <bool Barrier, class Switch> std::vector<float> transposed(int rows, int columns, std::uint64_t seed) {
  const auto in = numbers(rows * columns);
  std::vector<float> out(in.size(), -1000);
  const int blocks = (rows + 15) / 16 * ((columns + 15) / 16);
  sqs::emulator::launch<Switch>(blocks, 256, transpose_kernel<Barrier>{in.data(), out.data(), rows, columns}, seed);
  return out;
}

std::vector<float> transposed_by_loop(int rows, int columns) {
  const auto in = numbers(rows * columns);
  std::vector<float> out(in.size());
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) { out[at(c * rows + r)] = in[at(r * columns + c)]; }
  }
  return out;
}

TYPED_TEST(team_test, tiled_transpose) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {16, 16}, {15, 17}, {33, 50}}) {
    const auto expected = transposed_by_loop(rows, columns);
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      EXPECT_EQ((transposed<true, TypeParam>(rows, columns, seed)), expected) << rows << " x " << columns;
    }
  }
}

TYPED_TEST(team_test, missing_barrier_shows_under_every_seed) {
  const auto expected = transposed_by_loop(33, 50);
  const auto first = transposed<false, TypeParam>(33, 50, 0);
  int different = 0;
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    const auto wrong = transposed<false, TypeParam>(33, 50, seed);
    EXPECT_NE(wrong, expected) << "seed " << seed;
    different += wrong != first ? 1 : 0;
  }
  EXPECT_GT(different, 0) << "the order of the threads does not depend on the seed";
  // And the same seed repeats, so that a failure can be looked at. NaN from unwritten memory compares unequal: bits.
  const auto again = transposed<false, TypeParam>(33, 50, 0);
  EXPECT_EQ(std::memcmp(again.data(), first.data(), first.size() * sizeof(float)), 0);
}

template <bool LastBarrier, class Switch> std::vector<float> product(int m, int n, int k, std::uint64_t seed) {
  const auto a = numbers(m * k), b = numbers(k * n);
  std::vector<float> c(at(m * n), -1);
  const int blocks = (m + 15) / 16 * ((n + 15) / 16);
  sqs::emulator::launch<Switch>(blocks, 256, matrix_product_kernel<LastBarrier>{a.data(), b.data(), c.data(), m, n, k},
                                seed);
  return c;
}

std::vector<float> product_by_loop(int m, int n, int k) {
  const auto a = numbers(m * k), b = numbers(k * n);
  std::vector<float> c(at(m * n));
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int l = 0; l < k; ++l) { c[at(i * n + j)] += a[at(i * k + l)] * b[at(l * n + j)]; }
    }
  }
  return c;
}

TYPED_TEST(team_test, tiled_matrix_product) { // integers below 2^24: exact in any order
  for (const auto& [m, n, k] : {std::array{1, 1, 1}, {16, 16, 16}, {17, 15, 33}, {40, 20, 48}}) {
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      EXPECT_EQ((product<true, TypeParam>(m, n, k, seed)), product_by_loop(m, n, k)) << m << " " << n << " " << k;
    }
  }
}

TYPED_TEST(team_test, missing_second_barrier_shows) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    wrong += product<false, TypeParam>(32, 32, 64, seed) != product_by_loop(32, 32, 64) ? 1 : 0;
  }
  EXPECT_EQ(wrong, 5);
}

TYPED_TEST(team_test, divergent_barrier_raises) {
  EXPECT_THAT([] { sqs::emulator::launch<TypeParam>(1, 32, divergent_kernel{7}); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("sqs::emulator: barrier divergence: 7 of 32 threads at sync, 25 exited, in block 0; every "
                            "thread of the block must reach every sync")));
  EXPECT_NO_THROW(sqs::emulator::launch<TypeParam>(1, 32, divergent_kernel{32}));
  EXPECT_NO_THROW(sqs::emulator::launch<TypeParam>(1, 32, divergent_kernel{0}));
}

TYPED_TEST(team_test, divergent_shuffle_raises) {
  const auto body = [](auto& t) {
    if (t.thread() % 2 == 0) { (void)t.shfl(t.thread(), 0); }
  };
  EXPECT_THAT([&] { sqs::emulator::launch<TypeParam>(1, 64, body); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("barrier divergence: 32 of 64 threads at a shuffle, 32 exited, in block 0")));
}

TYPED_TEST(team_test, sync_and_shuffle_do_not_open_each_other) {
  const auto body = [](auto& t) {
    if (t.thread() < 16) {
      t.sync();
    } else {
      (void)t.shfl(t.thread(), 0);
    }
  };
  EXPECT_THAT([&] { sqs::emulator::launch<TypeParam>(1, 32, body); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("16 of 32 threads at sync, 16 of 32 threads at a shuffle, 0 exited")));
}

TYPED_TEST(team_test, failure_in_one_thread_unwinds_all_and_is_rethrown) {
  int alive = 0;
  struct counted {
    int* n;
    explicit counted(int* count) : n(count) { ++*n; }
    ~counted() { --*n; }
  };
  const auto body = [&](auto& t) {
    const counted c(&alive);
    if (t.block() == 1 && t.thread() == 9) { throw std::runtime_error("thread nine"); }
    t.sync();
  };
  EXPECT_THAT([&] { sqs::emulator::launch<TypeParam>(3, 64, body); },
              ThrowsMessage<std::runtime_error>(::testing::StrEq("thread nine")));
  EXPECT_EQ(alive, 0);
}

TYPED_TEST(team_test, stack_overflow_raises) {
  const auto body = [](auto& t) {
    if (t.thread() == 3) {
      volatile char large[sqs::emulator::stack_bytes + 1024];
      for (std::size_t i = 0; i < sizeof(large); ++i) { large[i] = 1; }
    }
  };
  EXPECT_THAT([&] { sqs::emulator::launch<TypeParam>(1, 32, body); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("thread 3 of block 0 used more than its")));
}

TYPED_TEST(team_test, shared_memory_starts_random_and_arrays_are_separate) {
  std::vector<int> seen;
  const auto body = [&](auto& t) {
    int* const a = sqs::shared_array<struct array_a, int, 4>(t);
    int* const b = sqs::shared_array<struct array_b, int, 4>(t);
    if (t.thread() == 0) {
      EXPECT_NE(a, b);
      seen.insert(seen.end(), a, a + 4);
    }
  };
  sqs::emulator::launch<TypeParam>(8, 32, body);
  EXPECT_NE(std::count(seen.begin(), seen.end(), seen[0]), static_cast<std::ptrdiff_t>(seen.size()));
}

TYPED_TEST(team_test, refuses_wrong_sizes) {
  const auto body = [](auto&) {};
  EXPECT_THAT(
      [&] { sqs::emulator::launch<TypeParam>(1, 33, body); },
      ThrowsMessage<sqs::precondition_error>(HasSubstr("a block of 33 threads; give a multiple of 32 up to 1024")));
  EXPECT_THAT([&] { sqs::emulator::launch<TypeParam>(-1, 32, body); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("-1 blocks; give 0 or more")));
  EXPECT_NO_THROW(sqs::emulator::launch<TypeParam>(0, 32, body));
}

} // namespace team_test

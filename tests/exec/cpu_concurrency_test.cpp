// SPDX-License-Identifier: Apache-2.0
// The thread pool under load: for ThreadSanitizer.
#include <sqs/exec/parallel.hpp>

#include <gtest/gtest.h>

namespace cpu_concurrency_test {

using namespace sqs;

TEST(thread_pool_concurrency, many_short_loops_back_to_back) {
  cpu e{.threads = 4};
  for (int round = 0; round < 20000; ++round) {
    std::array<int, 7> seen{};
    const idx n = 1 + round % 7;
    parallel_for(e, n, 1, [&](idx i, idx) { ++seen[static_cast<std::size_t>(i)]; });
    for (idx i = 0; i < 7; ++i) { ASSERT_EQ(seen[static_cast<std::size_t>(i)], i < n ? 1 : 0) << "round " << round; }
  }
}

TEST(thread_pool_concurrency, pools_come_and_go_and_work_side_by_side) {
  std::vector<std::thread> hosts;
  std::atomic<idx> total{0};
  for (int h = 0; h < 3; ++h) {
    hosts.emplace_back([&] {
      for (int round = 0; round < 60; ++round) {
        cpu e{.threads = 3};
        parallel_for(e, 100, 3, [&](idx begin, idx end) { total += end - begin; });
      }
    });
  }
  for (auto& h : hosts) { h.join(); }
  EXPECT_EQ(total, 3 * 60 * 100);
}

} // namespace cpu_concurrency_test

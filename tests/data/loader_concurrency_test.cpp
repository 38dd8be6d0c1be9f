// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/loader.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

namespace loader_concurrency_test {

/// Takes a time that differs from sample to sample, so that threads overtake each other; counts what is alive.
struct slow_set {
  mutable std::atomic<int> in_work{0};
  sqs::idx size() const { return 37; }
  sqs::sample sample(sqs::idx i) const {
    ++in_work;
    std::this_thread::sleep_for(
        std::chrono::microseconds(static_cast<long>(sqs::mix_bits(static_cast<std::uint64_t>(i)) % 900)));
    --in_work;
    if (i % 11 == 10) { sqs::raise<sqs::file_error>("broken ", i); }
    sqs::sample s;
    s.timestamp_us = i;
    return s;
  }
};

std::vector<sqs::idx> run(int threads, int capacity, int count) {
  const slow_set set;
  sqs::loader l(set, {.seed = 3, .threads = threads, .capacity = capacity},
                [](const sqs::sample& s, sqs::loader_position p) { return s.timestamp_us * 1000 + p.step; });
  std::vector<sqs::idx> out;
  for (int k = 0; k < count; ++k) {
    try {
      out.push_back(l.next());
    } catch (const sqs::file_error&) { out.push_back(-1); }
  }
  return out;
}

TEST(loader_concurrency, the_order_does_not_depend_on_threads_or_capacity) {
  const auto one = run(1, 1, 200);
  EXPECT_GT(std::count(one.begin(), one.end(), -1), 10);
  for (const int threads : {1, 2, 3, 7, 16}) {
    for (const int capacity : {1, 2, 5}) { EXPECT_EQ(run(threads, capacity, 200), one) << threads << " " << capacity; }
  }
}

TEST(loader_concurrency, replacements_and_reports_do_not_depend_on_threads) {
  const auto run_replacing = [](int threads, int capacity) {
    const slow_set set;
    std::vector<sqs::idx> out;
    sqs::loader l(set,
                  {.seed = 3,
                   .threads = threads,
                   .capacity = capacity,
                   .corrupt = sqs::corrupt_policy::replace,
                   .report = [&](const sqs::corrupt_sample& c) { out.push_back(-1000 * c.index - c.step); }},
                  [](const sqs::sample& s, sqs::loader_position p) { return s.timestamp_us * 1000 + p.step; });
    for (int k = 0; k < 100; ++k) { out.push_back(l.next()); }
    return out;
  };
  const auto one = run_replacing(1, 1);
  EXPECT_EQ(one.size(), 103u); // samples 10, 21 and 32, once each
  for (const int threads : {2, 3, 7}) {
    for (const int capacity : {1, 5}) { EXPECT_EQ(run_replacing(threads, capacity), one) << threads; }
  }
}

/// The first two samples wait for each other: they arrive only if two threads load at once.
struct meeting_set {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  mutable int arrived = 0;
  mutable bool missed = false;
  mutable std::atomic<int> started{0};
  sqs::idx size() const { return 100; }
  sqs::sample sample(sqs::idx i) const {
    ++started;
    if (i < 2) {
      std::unique_lock lock(mutex);
      ++arrived;
      changed.notify_all();
      if (!changed.wait_for(lock, std::chrono::seconds(20), [&] { return arrived == 2; })) { missed = true; }
    }
    return {};
  }
};

TEST(loader_concurrency, loads_in_parallel_but_never_further_ahead_than_its_capacity) {
  const meeting_set set;
  sqs::loader l(set, {.shuffle = false, .threads = 4, .capacity = 3});
  for (int k = 0; k < 8; ++k) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5)); // gives a loader without a bound the time to run ahead
    EXPECT_LE(set.started, k + 3) << "step " << k;
    l.next();
  }
  EXPECT_FALSE(set.missed);
}

TEST(loader_concurrency, shuts_down_at_any_moment) {
  for (int taken = 0; taken < 60; ++taken) {
    const slow_set set;
    {
      sqs::loader l(set, {.seed = static_cast<std::uint64_t>(taken), .shuffle = true, .threads = 3, .capacity = 2});
      for (int k = 0; k < taken % 6; ++k) {
        try {
          l.next();
        } catch (const sqs::file_error&) {}
      }
    }
    EXPECT_EQ(set.in_work, 0);
  }
}

} // namespace loader_concurrency_test

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Clocks and numbers of the sparse benchmarks.

#include <sqs/core/random.hpp>
#include <sqs/tensor/tensor.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

namespace timing {

using namespace sqs;

inline int threads = std::min(2, static_cast<int>(std::thread::hardware_concurrency())); ///< `--threads=N`

template <class F> double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
/// The fastest of the calls so far.
struct fastest {
  double seconds = 1e30, last = 0;
  /// `more`: seconds that belong to this call, too.
  template <class F> double operator()(F&& f, double more = 0) {
    last = seconds_of(f) + more;
    seconds = std::min(seconds, last);
    return last;
  }
};

/// What two threads that only count get of the machine.
inline double free_cores() {
  std::array<idx, 2> counted{};
  const auto count = [](idx& n, double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    idx c = 0; // a number of its own: two counters in one cache line would slow each other down
    while (std::chrono::steady_clock::now() < end) { ++c; }
    n = c;
  };
  idx alone = 0;
  count(alone, 0.05);
  std::thread other([&] { count(counted[0], 0.05); });
  count(counted[1], 0.05);
  other.join();
  return static_cast<double>(counted[0] + counted[1]) / static_cast<double>(alone);
}

template <int R> tensor<float, R> numbers(extents<R> shape, std::uint64_t seed, double bound = 1) {
  auto t = make_tensor<float, R>(shape);
  const auto draw = random_stream::of(seed);
  for (idx i = 0; i < t.size(); ++i) { t.data()[i] = static_cast<float>(draw.uniform(i, -bound, bound)); }
  return t;
}

} // namespace timing

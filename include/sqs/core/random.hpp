// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Counter-based randomness: a number is a function of (seed, stream, index) and of nothing else. There is no state to
/// save, so a resumed run draws the same numbers, for any number of threads.

#include <sqs/core/config.hpp>

#include <cmath>
#include <numbers>

namespace sqs {

/// Mixes 64 bits (the finaliser of SplitMix64).
SQS_HD constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// A family of random numbers addressed by an index.
struct random_stream {
  std::uint64_t key = 0;

  /// A stream of its own for each (seed, a, b, ...): epoch, step, site.
  template <class... Id> SQS_HD static constexpr random_stream of(std::uint64_t seed, Id... id) {
    std::uint64_t k = mix_bits(seed);
    ((k = mix_bits(k ^ mix_bits(static_cast<std::uint64_t>(id)))), ...);
    return {k};
  }
  SQS_HD constexpr std::uint64_t bits(idx i) const { return mix_bits(key + mix_bits(static_cast<std::uint64_t>(i))); }
  /// Uniform in [0, 1).
  SQS_HD constexpr double uniform(idx i) const { return static_cast<double>(bits(i) >> 11) * 0x1.0p-53; }
  SQS_HD constexpr double uniform(idx i, double low, double high) const { return low + (high - low) * uniform(i); }
  /// Standard normal (Box-Muller over two uniforms of this index).
  double normal(idx i) const {
    const double u = 1.0 - uniform(2 * i), v = uniform(2 * i + 1);
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }
};

} // namespace sqs

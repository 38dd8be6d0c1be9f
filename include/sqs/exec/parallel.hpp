// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Loops, reductions, scans and sorts on the CPU executor. Work is cut into chunks whose size depends on the problem
/// and never on the number of threads, and partial results are combined in chunk order: so every result is bitwise
/// the same for any thread count.

#include <sqs/exec/cpu.hpp>

#include <algorithm>
#include <array>

namespace sqs {

/// Calls `f(begin, end)` for consecutive ranges of `grain` indices that cover [0, n).
///
/// Execution   Chunks run in any order, on any thread. A loop inside a loop runs serially.
/// Errors      precondition_error if grain < 1. What `f` throws is rethrown here once all threads have stopped.
template <class F> void parallel_for(cpu& e, idx n, idx grain, F&& f) {
  expects(grain > 0, "sqs::parallel_for: grain is ", grain, "; give at least 1");
  if (n <= 0) { return; }
  auto chunk = [&](idx c) {
    const idx begin = c * grain;
    f(begin, std::min(n, begin + grain));
  };
  e.state().team.run((n + grain - 1) / grain, chunk);
}

/// Combines `map(begin, end)` over at most 256 ranges of [0, n), in order: `combine(combine(init, r0), r1) ...`.
template <class R, class Map, class Combine> R reduce(cpu& e, idx n, idx grain, R init, Map&& map, Combine&& combine) {
  constexpr idx most = 256;
  const idx step = std::max(grain, (n + most - 1) / most);
  std::array<R, most> partial{};
  parallel_for(e, n, step,
               [&](idx begin, idx end) { partial[static_cast<std::size_t>(begin / step)] = map(begin, end); });
  for (idx c = 0; c * step < n; ++c) { init = combine(init, partial[static_cast<std::size_t>(c)]); }
  return init;
}

/// out[i] = in[0] + ... + in[i-1]; returns the total. `in` and `out` may be the same.
template <class T> T exclusive_scan(cpu&, const T* in, T* out, idx n) {
  T sum{};
  for (idx i = 0; i < n; ++i) {
    const T v = in[i];
    out[i] = sum;
    sum = static_cast<T>(sum + v);
  }
  return sum;
}

/// Sorts (key, value) pairs by the low `bits` of the unsigned keys; stable. The result is in `keys` and `values`;
/// the two scratch arrays have the same length.
///
/// Cost        ceil(bits / 11) passes over the data.
template <class Key, class Value>
void radix_sort_pairs(cpu& e, Key* keys, Value* values, Key* scratch_keys, Value* scratch_values, idx n, int bits) {
  constexpr int most_digit_bits = 11, most_chunks = 8;
  if (bits <= 0) { return; }
  const int passes = (bits + most_digit_bits - 1) / most_digit_bits;
  const int digit_bits = (bits + passes - 1) / passes; // few lists to write to at once: as few as the passes allow
  const std::size_t digits = std::size_t{1} << digit_bits;
  const idx step = std::max<idx>(1 << 14, (n + most_chunks - 1) / most_chunks);
  const idx chunks = (n + step - 1) / step;
  std::array<std::array<std::uint32_t, 1 << most_digit_bits>, most_chunks> count;
  expects(n < (idx{1} << 32), "sqs::radix_sort_pairs: ", n, " pairs; split them into ranges below 2^32");
  Key *from = keys, *to = scratch_keys;
  Value *from_value = values, *to_value = scratch_values;
  for (int shift = 0; shift < bits; shift += digit_bits) {
    const auto digit = [&](Key k) { return static_cast<std::size_t>((k >> shift) & Key(digits - 1)); };
    parallel_for(e, n, step, [&](idx begin, idx end) {
      auto& c = count[static_cast<std::size_t>(begin / step)];
      std::fill_n(c.begin(), digits, 0u);
      for (idx i = begin; i < end; ++i) { ++c[digit(from[i])]; }
    });
    std::uint32_t sum = 0;
    for (std::size_t d = 0; d < digits; ++d) {
      for (idx c = 0; c < chunks; ++c) { sum += std::exchange(count[static_cast<std::size_t>(c)][d], sum); }
    }
    parallel_for(e, n, step, [&](idx begin, idx end) {
      auto& c = count[static_cast<std::size_t>(begin / step)];
      for (idx i = begin; i < end; ++i) {
        const std::uint32_t target = c[digit(from[i])]++;
        to[target] = from[i];
        to_value[target] = from_value[i];
      }
    });
    std::swap(from, to);
    std::swap(from_value, to_value);
  }
  if (from != keys) {
    std::copy(from, from + n, keys);
    std::copy(from_value, from_value + n, values);
  }
}

} // namespace sqs

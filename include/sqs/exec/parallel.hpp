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

namespace detail {

template <class Key, class Value> struct radix_sorter {
  static constexpr int most_digit_bits = 11;
  static constexpr idx most_chunks = 8;
  static constexpr idx many = 1 << 17; ///< pairs that do not stay in the second-level cache
  using counts = std::array<std::uint32_t, 1 << most_digit_bits>;
  struct pairs {
    Key* key;
    Value* value;
  };
  cpu& e;
  const idx n;
  std::array<counts, most_chunks> count; // not cleared: few pairs use little of it

  radix_sorter(cpu& exec, idx pairs_to_sort) : e(exec), n(pairs_to_sort) {}
  idx step() const { return std::max<idx>(1 << 14, (n + most_chunks - 1) / most_chunks); }
  static std::size_t digit(Key k, int shift, int bits) {
    return static_cast<std::size_t>((k >> shift) & ((Key{1} << bits) - 1));
  }
  /// Counts one digit, chunk by chunk, and turns the counts into where each chunk's pairs of a digit go. Returns how many
  /// pairs have the most frequent one.
  idx find_places(const Key* key, int shift, int bits) {
    const std::size_t digits = std::size_t{1} << bits;
    const idx chunks = (n + step() - 1) / step();
    parallel_for(e, n, step(), [&](idx begin, idx end) {
      auto& c = count[static_cast<std::size_t>(begin / step())];
      std::fill_n(c.begin(), digits, 0u);
      for (idx i = begin; i < end; ++i) { ++c[digit(key[i], shift, bits)]; }
    });
    std::uint32_t sum = 0, most = 0;
    for (std::size_t d = 0; d < digits; ++d) {
      const std::uint32_t before = sum;
      for (idx c = 0; c < chunks; ++c) { sum += std::exchange(count[static_cast<std::size_t>(c)][d], sum); }
      most = std::max(most, sum - before);
    }
    return most;
  }
  void move(const pairs& from, const pairs& to, int shift, int bits) {
    parallel_for(e, n, step(), [&](idx begin, idx end) {
      auto* const place = count[static_cast<std::size_t>(begin / step())].data();
      n < many ? move<false>(place, from, to, begin, end, shift, bits)
               : move<true>(place, from, to, begin, end, shift, bits);
    });
  }
  /// `Far`: asks for the cache line behind the one that is written to, for writes wait for each other in order.
  template <bool Far>
  static void move(std::uint32_t* place, const pairs& from, const pairs& to, idx begin, idx end, int shift, int bits) {
    for (idx i = begin; i < end; ++i) {
      const std::uint32_t target = place[digit(from.key[i], shift, bits)]++;
      to.key[target] = from.key[i];
      to.value[target] = from.value[i];
      if constexpr (Far) {
        constexpr idx line = 64;
        __builtin_prefetch(to.key + target + line / idx{sizeof(Key)}, 1);
        __builtin_prefetch(to.value + target + line / idx{sizeof(Value)}, 1);
      }
    }
  }

  /// Pass after pass over everything, from the lowest digit on.
  void upwards(pairs from, pairs to, int bits) {
    const int passes = (bits + most_digit_bits - 1) / most_digit_bits;
    const int digit_bits = (bits + passes - 1) / passes; // few lists to write to at once: as few as the passes allow
    const Key* const wanted = from.key;
    for (int shift = 0; shift < bits; shift += digit_bits) {
      const int here = std::min(digit_bits, bits - shift);
      find_places(from.key, shift, here);
      move(from, to, shift, here);
      std::swap(from, to);
    }
    if (from.key != wanted) { copy(from, to, 0, n); }
  }
  static void copy(const pairs& from, const pairs& to, idx begin, idx end) {
    std::copy(from.key + begin, from.key + end, to.key + begin);
    std::copy(from.value + begin, from.value + end, to.value + begin);
  }

  /// Pairs [begin, end) of `from`, whose higher digits are equal, go to `to` in order of their low bits; both are
  /// written. Usually few enough to stay in the cache.
  static void sort_part(pairs from, pairs to, idx begin, idx end, int bits) {
    if (end - begin < 32) {
      const Key low = static_cast<Key>((Key{1} << bits) - 1);
      for (idx i = begin; i < end; ++i) {
        const Key key = from.key[i];
        idx j = i;
        for (; j > begin && (to.key[j - 1] & low) > (key & low); --j) {
          to.key[j] = to.key[j - 1], to.value[j] = to.value[j - 1];
        }
        to.key[j] = key, to.value[j] = from.value[i];
      }
      return;
    }
    constexpr int most_bits = 8;
    const int passes = std::max(1, (bits + most_bits - 1) / most_bits), digit_bits = (bits + passes - 1) / passes;
    const Key* const wanted = to.key;
    std::uint32_t place[1 << most_bits];
    for (int shift = 0; shift < bits; shift += digit_bits) {
      const int here = std::min(digit_bits, bits - shift);
      std::fill_n(place, 1 << here, 0u);
      for (idx i = begin; i < end; ++i) { ++place[digit(from.key[i], shift, here)]; }
      std::uint32_t sum = static_cast<std::uint32_t>(begin);
      for (int d = 0; d < 1 << here; ++d) { sum += std::exchange(place[d], sum); }
      move<false>(place, from, to, begin, end, shift, here);
      std::swap(from, to);
    }
    if (from.key != wanted) { copy(from, to, begin, end); }
  }
};

} // namespace detail

/// Sorts (key, value) pairs by the low `bits` of the unsigned keys; stable. The result is in `keys` and `values`;
/// the two scratch arrays have the same length.
///
/// Cost        many pairs whose highest digit tells most of them apart: one pass over all, then each part by itself in the
///             cache, parallel over parts. Else ceil(bits / 11) passes.
template <class Key, class Value>
void radix_sort_pairs(cpu& e, Key* keys, Value* values, Key* scratch_keys, Value* scratch_values, idx n, int bits) {
  if (bits <= 0) { return; }
  expects(n < (idx{1} << 32), "sqs::radix_sort_pairs: ", n, " pairs; split them into ranges below 2^32");
  using sorter = detail::radix_sorter<Key, Value>;
  sorter s(e, n);
  const typename sorter::pairs given{keys, values}, scratch{scratch_keys, scratch_values};
  const int top = std::min(bits, sorter::most_digit_bits), low = bits - top;
  if (n < sorter::many || s.find_places(keys, low, top) > n / 8) { return s.upwards(given, scratch, bits); }
  std::array<std::uint32_t, (1 << sorter::most_digit_bits) + 1> begin;
  std::copy_n(s.count[0].begin(), 1 << top, begin.begin());
  begin[std::size_t{1} << top] = static_cast<std::uint32_t>(n);
  s.move(given, scratch, low, top);
  parallel_for(e, 1 << top, 4, [&](idx first, idx last) {
    for (idx d = first; d < last; ++d) {
      const auto part = begin.begin() + d;
      sorter::sort_part(scratch, given, part[0], part[1], low);
    }
  });
}

} // namespace sqs

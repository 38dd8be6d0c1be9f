// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The cells a set of sites reaches through the taps of a relation. A kernel is a box, so it is done axis by axis, and
/// 64 cells of a row at a time.

#include <sqs/sparse/detail/words.hpp>
#include <sqs/sparse/geometry_relation.hpp>
#include <sqs/sparse/sites.hpp>

#include <array>
#include <bit>
#include <utility>

namespace sqs::sparse::detail {

/// Where one coordinate goes on one axis at a tap; -1 if nowhere. (From inputs to outputs: to_fine as for axis_rule,
/// with the roles of the ends exchanged.)
template <int D> axis_rule reach_rule(const relation<D>& r, std::size_t axis, idx output_extent, bool to_fine) {
  return rule_of(r, axis, output_extent, !to_fine);
}

/// Some cells of one word.
struct word_cells {
  key_type number;
  std::uint64_t mask;
};

/// Joins cells of a few words at a time, so that what falls into one word is seen once.
struct open_words {
  std::array<word_cells, 4> word{};
  std::size_t count = 0;

  template <class F> void add(const word_cells& c, F&& f) {
    for (std::size_t i = 0; i < count; ++i) {
      if (word[i].number == c.number) {
        word[i].mask |= c.mask;
        return;
      }
    }
    if (count == word.size()) { close(f); }
    word[count++] = c;
  }
  template <class F> void close(F&& f) {
    for (std::size_t i = 0; i < count; ++i) { f(word[i]); }
    count = 0;
  }
};

/// Where the coordinates of an axis go at a tap: `axis_rule::input` without a division where the stride is a power of two.
struct axis_reach {
  axis_rule rule;
  int shift;                ///< of a division by the stride, -1 if it is none
  std::uint64_t places = 0; ///< bits 0, stride, 2 stride, ...

  explicit axis_reach(const axis_rule& r)
      : rule(r),
        shift(std::has_single_bit(static_cast<std::uint64_t>(r.stride))
                  ? std::countr_zero(static_cast<std::uint64_t>(r.stride))
                  : -1) {
    for (idx i = 0; i < 64; i += r.stride) { places |= std::uint64_t{1} << i; }
  }
  /// a / stride, rounded down.
  idx quotient(idx a) const {
    if (shift >= 0) { return a >> shift; }
    return a >= 0 ? a / rule.stride : -((rule.stride - 1 - a) / rule.stride);
  }
  idx output(idx input, idx tap) const {
    if (!rule.to_fine) { return rule.input(input, tap); }
    const idx a = input + rule.pad - rule.dilation * tap, c = quotient(a);
    return c >= 0 && c < rule.extent && c * rule.stride == a ? c : -1;
  }
  /// The taps at which a coordinate can go anywhere are among this one and every `tap_step` on.
  idx first_tap(idx input) const {
    const idx a = input + rule.pad;
    return every_tap() ? 0 : a - quotient(a) * rule.stride;
  }
  idx tap_step() const { return every_tap() ? 1 : rule.stride; }
  bool every_tap() const { return !rule.to_fine || rule.dilation != 1; }
  /// Bits 0, stride, 2 stride, ... of m, side by side.
  std::uint64_t every(std::uint64_t m) const {
    if (shift < 0) {
      std::uint64_t bits = 0;
      for (m &= places; m != 0; m &= m - 1) { bits |= std::uint64_t{1} << (std::countr_zero(m) / rule.stride); }
      return bits;
    }
    for (int halvings = std::min(shift, 6); halvings > 0; --halvings) { // the bits at even places move together
      m &= 0x5555555555555555;
      m = (m | m >> 1) & 0x3333333333333333;
      m = (m | m >> 2) & 0x0f0f0f0f0f0f0f0f;
      m = (m | m >> 4) & 0x00ff00ff00ff00ff;
      m = (m | m >> 8) & 0x0000ffff0000ffff;
      m = (m | m >> 16) & 0x00000000ffffffff;
    }
    return m;
  }
};

/// Calls f(cells of a word of the output row) for every word that word `place` of an input row reaches along the row.
template <class F>
void reach_along_row(key_type row, idx place, std::uint64_t mask, const axis_reach& along, idx taps, F&& f) {
  const axis_rule& rule = along.rule;
  open_words open;
  // Cell `first` + i for every bit i.
  const auto add = [&](idx first, std::uint64_t bits) {
    if (first <= -64 || first >= rule.extent) { return; }
    if (first < 0) { bits >>= -first, first = 0; }
    if (rule.extent - first < 64) { bits &= (std::uint64_t{1} << (rule.extent - first)) - 1; }
    const key_type number = row | static_cast<key_type>(first >> 6);
    const std::uint64_t low = bits << (first & 63), high = (bits >> 1) >> (63 - (first & 63));
    if (low != 0) { open.add({number, low}, f); }
    if (high != 0) { open.add({number + 1, high}, f); }
  };
  idx coarse = 0;
  std::uint64_t together = 0; // what reaches cell `coarse` + i by any of the taps so far
  for (idx t = 0; t < taps; ++t) {
    if (rule.to_fine) {
      const idx a = 64 * place + rule.pad - rule.dilation * t, c = along.quotient(a + rule.stride - 1);
      const idx skip = c * rule.stride - a; // cells before the first that reaches one
      if (t > 0 && c != coarse) { add(coarse, std::exchange(together, 0)); }
      coarse = c;
      if (skip < 64) { together |= along.every(mask >> skip); }
      continue;
    }
    const idx first = rule.stride * 64 * place + rule.dilation * t - rule.pad;
    if (rule.stride == 1) {
      add(first, mask);
      continue;
    }
    for (std::uint64_t m = mask; m != 0; m &= m - 1) { add(first + rule.stride * std::countr_zero(m), 1); }
  }
  add(coarse, together);
  open.close(f);
}

/// Sorts words by their numbers, unless they ascend already.
inline void sort_words(cpu& e, tensor<key_type, 1>& number, tensor<std::uint64_t, 1>& mask, int number_bits) {
  const idx n = number.size();
  const key_type* const k = number.data();
  if (first_index(e, n, [k](idx i) { return i > 0 && k[i] < k[i - 1]; }) == n) { return; }
  auto other_number = empty<key_type, 1>(e, {n});
  auto other_mask = empty<std::uint64_t, 1>(e, {n});
  radix_sort_pairs(e, number.data(), mask.data(), other_number.data(), other_mask.data(), n, number_bits);
}

/// Replaces words by those that `each(word index, f)` yields: sorted, each number once, masks joined.
///
/// Cost        No sort where they come in ascending order.
template <class Each> word_list joined_words(cpu& e, idx words, int number_bits, Each&& each) {
  constexpr idx step = 1 << 10;
  auto first = empty<idx, 1>(e, {(words + step - 1) / step});
  parallel_for(e, words, step, [&](idx begin, idx end) {
    idx n = 0;
    key_type before = 0;
    for (idx i = begin; i < end; ++i) {
      each(i, [&](const word_cells& c) {
        n += n == 0 || c.number != before ? 1 : 0; // equal ones that follow each other become one
        before = c.number;
      });
    }
    first.data()[begin / step] = n;
  });
  const idx n = exclusive_scan(e, first.data(), first.data(), first.size());
  auto number = empty<key_type, 1>(e, {n});
  auto mask = empty<std::uint64_t, 1>(e, {n});
  parallel_for(e, words, step, [&](idx begin, idx end) {
    const idx from = first.data()[begin / step];
    idx at = from;
    for (idx i = begin; i < end; ++i) {
      each(i, [&](const word_cells& c) {
        if (at > from && number.data()[at - 1] == c.number) {
          mask.data()[at - 1] |= c.mask;
          return;
        }
        number.data()[at] = c.number;
        mask.data()[at++] = c.mask;
      });
    }
  });
  sort_words(e, number, mask, number_bits);
  const key_type* const k = number.data();
  const run_list runs(e, n, [k](idx i) { return i == 0 || k[i] != k[i - 1]; });
  auto w = empty_words(e, runs.count(), 0);
  runs.each(e, [&](idx run, idx begin, idx end) {
    std::uint64_t m = 0;
    for (idx i = begin; i < end; ++i) { m |= mask.data()[i]; }
    w.number.data()[run] = k[begin];
    w.mask.data()[run] = m;
  });
  return w;
}

/// The words of all cells of `layout` joined by some tap with a cell of `s` (to_fine: the cells sought are the fine ones).
///
/// Cost        Per axis: (words x taps that fit the stride) candidates, sorted.
template <int D>
word_list reached_words(cpu& e, const sites<D>& s, const key_layout<D>& layout, const relation<D>& r, bool to_fine) {
  constexpr std::size_t last = static_cast<std::size_t>(D);
  // The layout between the axes: those done have the extent of the outputs, the others still that of the inputs.
  auto grid = s.grid();
  grid[last - 1] = layout.grid[last - 1];
  key_layout<D> now(grid, s.batches());
  const axis_reach along(reach_rule(r, last - 1, grid[last - 1], to_fine));
  const key_type* number = s.words.number.data();
  const std::uint64_t* mask = s.words.mask.data();
  word_list w = joined_words(e, s.words.size(), now.word_number_bits(), [&](idx i, auto&& f) {
    const key_type row = (number[i] >> s.layout.word_bits) << now.word_bits;
    const auto place = static_cast<idx>(number[i] & ((key_type{1} << s.layout.word_bits) - 1));
    reach_along_row(row, place, mask[i], along, r.taps.extent[last - 1], f);
  });
  for (std::size_t a = last - 1; a-- > 0;) { // from the back: what is near stays near, so that little is to be sorted
    const key_layout<D> from = now;
    grid[a] = layout.grid[a];
    now = key_layout<D>(grid, s.batches());
    const axis_reach across(reach_rule(r, a, grid[a], to_fine));
    number = w.number.data(), mask = w.mask.data();
    word_list next = joined_words(e, w.size(), now.word_number_bits(), [&](idx i, auto&& f) {
      const key_type key = from.first_key(number[i]);
      const key_type place = number[i] & ((key_type{1} << from.word_bits) - 1);
      const idx here = from.coordinate(key, a + 1);
      for (idx t = across.first_tap(here); t < r.taps.extent[a]; t += across.tap_step()) {
        const idx c = across.output(here, t);
        if (c < 0) { continue; }
        key_type moved = now.part(c, a + 1);
        for (std::size_t o = 0; o < last; ++o) {
          if (o != a + 1) { moved |= now.part(from.coordinate(key, o), o); }
        }
        f(word_cells{now.row_of_key(moved) | place, mask[i]});
      }
    });
    w = std::move(next);
  }
  return w;
}

} // namespace sqs::sparse::detail

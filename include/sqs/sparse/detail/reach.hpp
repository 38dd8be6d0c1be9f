// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The cells a set of sites reaches through the taps of a relation. A kernel is a box, so it is done axis by axis, and
/// 64 cells of a row at a time.

#include <sqs/sparse/detail/words.hpp>
#include <sqs/sparse/geometry_relation.hpp>
#include <sqs/sparse/sites.hpp>

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

/// Calls f(cells of a word of the output row) for every word that word `w` of an input row reaches along the row.
template <class F>
void reach_along_row(key_type row, idx place, std::uint64_t mask, const axis_rule& rule, idx taps, F&& f) {
  for (idx t = 0; t < taps; ++t) {
    idx open = -1; // place of the word under construction
    std::uint64_t cells = 0;
    for (std::uint64_t m = mask; m != 0; m &= m - 1) {
      const idx c = rule.input(64 * place + std::countr_zero(m), t);
      if (c < 0) { continue; }
      if ((c >> 6) != open) {
        if (open >= 0) { f(word_cells{row | static_cast<key_type>(open), cells}); }
        open = c >> 6, cells = 0;
      }
      cells |= std::uint64_t{1} << (c & 63);
    }
    if (open >= 0) { f(word_cells{row | static_cast<key_type>(open), cells}); }
  }
}

/// Replaces words by those that `each(word index, f)` yields: sorted, each number once, masks joined.
template <class Each> word_list joined_words(cpu& e, idx words, int number_bits, Each&& each) {
  constexpr idx step = 1 << 10;
  auto first = empty<idx, 1>(e, {(words + step - 1) / step});
  parallel_for(e, words, step, [&](idx begin, idx end) {
    idx n = 0;
    for (idx i = begin; i < end; ++i) {
      each(i, [&](const word_cells&) { ++n; });
    }
    first.data()[begin / step] = n;
  });
  const idx n = exclusive_scan(e, first.data(), first.data(), first.size());
  auto number = empty<key_type, 1>(e, {n}), other_number = empty<key_type, 1>(e, {n});
  auto mask = empty<std::uint64_t, 1>(e, {n}), other_mask = empty<std::uint64_t, 1>(e, {n});
  parallel_for(e, words, step, [&](idx begin, idx end) {
    idx at = first.data()[begin / step];
    for (idx i = begin; i < end; ++i) {
      each(i, [&](const word_cells& c) {
        number.data()[at] = c.number;
        mask.data()[at++] = c.mask;
      });
    }
  });
  radix_sort_pairs(e, number.data(), mask.data(), other_number.data(), other_mask.data(), n, number_bits);
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
  const auto along = reach_rule(r, last - 1, grid[last - 1], to_fine);
  const key_type* number = s.words.number.data();
  const std::uint64_t* mask = s.words.mask.data();
  word_list w = joined_words(e, s.words.size(), now.word_number_bits(), [&](idx i, auto&& f) {
    const key_type row = (number[i] >> s.layout.word_bits) << now.word_bits;
    const auto place = static_cast<idx>(number[i] & ((key_type{1} << s.layout.word_bits) - 1));
    reach_along_row(row, place, mask[i], along, r.taps.extent[last - 1], f);
  });
  for (std::size_t a = 0; a + 1 < last; ++a) {
    const key_layout<D> from = now;
    grid[a] = layout.grid[a];
    now = key_layout<D>(grid, s.batches());
    const auto across = reach_rule(r, a, grid[a], to_fine);
    number = w.number.data(), mask = w.mask.data();
    word_list next = joined_words(e, w.size(), now.word_number_bits(), [&](idx i, auto&& f) {
      const key_type key = from.first_key(number[i]);
      const key_type place = number[i] & ((key_type{1} << from.word_bits) - 1);
      for (idx t = 0; t < r.taps.extent[a]; ++t) {
        const idx c = across.input(from.coordinate(key, a + 1), t);
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

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A sorted set of cells as words of 64 bits: what turns a neighbour's coordinate into its index.

#include <sqs/sparse/detail/key_layout.hpp>
#include <sqs/sparse/detail/runs.hpp>

namespace sqs::sparse::detail {

/// The occupied words in ascending order, and two more at the end that are empty and beyond all.
struct word_list {
  tensor<key_type, 1> number;     ///< [words + 2]
  tensor<std::uint64_t, 1> mask;  ///< [words + 2] bit i: cell i of the word is occupied
  tensor<std::int32_t, 1> before; ///< [words + 2] occupied cells in earlier words

  idx size() const { return std::max<idx>(number.size(), 2) - 2; }
};

inline word_list empty_words(cpu& e, idx count, idx cells) {
  word_list w{empty<key_type, 1>(e, {count + 2}), empty<std::uint64_t, 1>(e, {count + 2}),
              empty<std::int32_t, 1>(e, {count + 2})};
  for (idx i = count; i < count + 2; ++i) {
    w.number.data()[i] = ~key_type{0};
    w.mask.data()[i] = 0;
    w.before.data()[i] = static_cast<std::int32_t>(cells);
  }
  return w;
}

/// The words of ascending, unique keys.
template <int D> word_list words_of_keys(cpu& e, const key_layout<D>& layout, const key_type* key, idx n) {
  const run_list runs(e, n, [=](idx i) { return i == 0 || layout.word_of(key[i]) != layout.word_of(key[i - 1]); });
  auto w = empty_words(e, runs.count(), n);
  key_type* const number = w.number.data();
  std::uint64_t* const mask = w.mask.data();
  std::int32_t* const before = w.before.data();
  runs.each(e, [=](idx run, idx begin, idx end) {
    std::uint64_t m = 0;
    for (idx i = begin; i < end; ++i) { m |= std::uint64_t{1} << (layout.coordinate(key[i], layout.last) & 63); }
    number[run] = layout.word_of(key[begin]);
    mask[run] = m;
    before[run] = static_cast<std::int32_t>(begin);
  });
  return w;
}

/// The ascending keys of words whose `before` is set.
template <int D> tensor<key_type, 1> keys_of_words(cpu& e, const key_layout<D>& layout, const word_list& w) {
  const idx words = w.size();
  auto keys = empty<key_type, 1>(e, {w.before.data()[words]});
  parallel_for(e, words, 1 << 12, [&](idx begin, idx end) {
    key_type* out = keys.data() + w.before.data()[begin];
    for (idx i = begin; i < end; ++i) {
      const key_type first = layout.first_key(w.number.data()[i]);
      for (std::uint64_t m = w.mask.data()[i]; m != 0; m &= m - 1) {
        *out++ = first + static_cast<key_type>(std::countr_zero(m));
      }
    }
  });
  return keys;
}

/// The index of the occupied cell with this key, -1 if the cell is empty.
template <int D> idx find_cell(const key_layout<D>& layout, const word_list& w, key_type key) {
  if (w.size() == 0) { return -1; }
  const key_type word = layout.word_of(key);
  const idx i = std::lower_bound(w.number.data(), w.number.data() + w.size(), word) - w.number.data();
  const int bit = static_cast<int>(layout.coordinate(key, layout.last) & 63);
  if (w.number.data()[i] != word || (w.mask.data()[i] >> bit & 1) == 0) { return -1; }
  return w.before.data()[i] + std::popcount(w.mask.data()[i] & ((std::uint64_t{1} << bit) - 1));
}

} // namespace sqs::sparse::detail

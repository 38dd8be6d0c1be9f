// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Finding cells one after the other, when the next is likely to be near the last.

#include <sqs/sparse/detail/words.hpp>

namespace sqs::sparse::detail {

/// Finds words and cells in a word list. Remembers where the last one was and looks around it in widening steps, so that
/// a walk in ascending order costs next to nothing and a jump no more than a search of the whole list. What is found
/// does not depend on what was looked for before.
class cell_cursor {
public:
  explicit cell_cursor(const word_list& w) : w_(&w) {}

  /// The place of a word in the list, -1 if it is not there.
  idx word(key_type number) {
    const idx n = w_->size();
    if (n == 0) { return -1; }
    const key_type* const numbers = w_->number.data();
    idx low = at_, high = at_ + 1; // the place sought is kept in [low, high]
    for (idx step = 1; low > 0 && numbers[low] > number; step *= 2) {
      high = low;
      low = std::max<idx>(0, low - step);
    }
    for (idx step = 1; high < n && numbers[high] < number; step *= 2) {
      low = high;
      high = std::min(n, high + step);
    }
    at_ = std::lower_bound(numbers + low, numbers + high, number) - numbers;
    const bool found = at_ < n && numbers[at_] == number;
    at_ = std::min(at_, n - 1);
    return found ? at_ : -1;
  }
  /// The index of an occupied cell of word `place`, -1 if the cell is empty.
  idx cell(idx place, int bit) const {
    const std::uint64_t mask = w_->mask.data()[place];
    if ((mask >> bit & 1) == 0) { return -1; }
    return w_->before.data()[place] + std::popcount(mask & ((std::uint64_t{1} << bit) - 1));
  }

private:
  const word_list* w_;
  idx at_ = 0;
};

} // namespace sqs::sparse::detail

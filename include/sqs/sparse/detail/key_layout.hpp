// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Where the bits of a coordinate (b, x, y, z) stand in a 64-bit key.

#include <sqs/core/error.hpp>
#include <sqs/sparse/taps.hpp>

#include <bit>

namespace sqs::sparse::detail {

using key_type = std::uint64_t;

inline int bits_for(idx count) {
  return count <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count - 1)));
}

/// Packs b, x, ..., z into a key, b highest, each in as many bits as its range needs: ascending keys are coordinates in
/// lexicographic order. A word is 64 cells in a row along the last axis; its number holds one bit more for its place in
/// the row than it needs, so that the word behind the last one of a row is nobody's.
template <int D> struct key_layout {
  using position = std::array<idx, static_cast<std::size_t>(D)>;
  static constexpr std::size_t last = static_cast<std::size_t>(D); ///< of b, x, ..., z
  position grid{};
  idx batches = 1;
  std::array<int, last + 1> shift{}, bits{};
  int word_bits = 1; ///< of a word's place in its row

  key_layout() = default;
  key_layout(const position& g, idx batch_count) : grid(g), batches(batch_count) {
    expects(batches > 0 && batches <= (idx{1} << 31), "sqs::sparse::sites: batches is ", batches,
            "; give a number between 1 and 2^31");
    bits[0] = bits_for(batches);
    std::string text = concat("b ", bits[0]);
    int total = bits[0];
    for (std::size_t a = 1; a <= last; ++a) {
      expects(grid[a - 1] > 0 && grid[a - 1] <= (idx{1} << 31), "sqs::sparse::sites: the grid is ", extents_text(grid),
              "; every axis needs 1 to 2^31 cells");
      bits[a] = bits_for(grid[a - 1]);
      total += bits[a];
      text += concat(" + ", bits[a]);
    }
    word_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(words_of_row())));
    // The second bound is for words (and is the tighter one where the last axis is short).
    expects(total <= 63 && total - bits[last] + word_bits <= 62, "sqs::sparse::sites: coordinates in a grid of ",
            extents_text(grid), " with ", batches, " batches take ", text, " = ", total,
            " bits, a key has 63 (61 for all but the last axis); use a smaller grid or fewer batches");
    for (std::size_t a = last; a > 0; --a) { shift[a - 1] = shift[a] + bits[a]; }
  }

  int key_bits() const { return shift[0] + bits[0]; }
  int word_number_bits() const { return key_bits() - bits[last] + word_bits; }
  idx words_of_row() const { return (grid[last - 1] + 63) / 64; }

  /// Coordinate a (0 is b) of a key.
  idx coordinate(key_type key, std::size_t a) const {
    return static_cast<idx>((key >> shift[a]) & ((key_type{1} << bits[a]) - 1));
  }
  /// Adds coordinate a to a key.
  key_type part(idx c, std::size_t a) const { return static_cast<key_type>(c) << shift[a]; }

  key_type word_of(key_type key) const { return row_of_key(key) | (static_cast<key_type>(coordinate(key, last)) >> 6); }
  /// The number of the first word of the key's row.
  key_type row_of_key(key_type key) const { return (key >> bits[last]) << word_bits; }
  key_type row_of_word(key_type word) const { return (word >> word_bits) << word_bits; }
  /// The key of the word's first cell.
  key_type first_key(key_type word) const {
    return ((word >> word_bits) << bits[last]) | ((word & ((key_type{1} << word_bits) - 1)) << 6);
  }
};

} // namespace sqs::sparse::detail

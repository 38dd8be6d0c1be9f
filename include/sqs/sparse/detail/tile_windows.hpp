// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Up to three neighbouring taps of many outputs at once: which are occupied, and the indices of the cells.

#include <sqs/sparse/detail/words.hpp>
#include <sqs/sparse/geometry_relation.hpp>

namespace sqs::sparse::detail {

inline constexpr idx most_outputs_of_tile = 1024;
inline constexpr int taps_of_window = 3;

/// What an output sees at the taps of a window: the index of the first occupied cell not before the window, and what the
/// window knows of the taps.
struct sighting {
  std::int32_t first;
  std::uint32_t taps;
};

/// The windows a tile's outputs look through along the last axis: the same for every tap of the other axes. This kind is
/// for neighbouring taps: tap t looks at cell t of the window. Lives on the stack.
struct near_windows {
  std::array<std::int32_t, most_outputs_of_tile> word;  ///< place in the row of the word with the first cell
  std::array<std::uint8_t, most_outputs_of_tile> shift; ///< of the first cell in it
  std::array<std::uint8_t, most_outputs_of_tile> left;  ///< cells left of the row

  /// `last` are the outputs' coordinates; the window begins with tap `first`.
  void read(const std::int32_t* last, idx count, const axis_rule& rule, idx first, idx) {
    const idx end = (rule.extent + 63) / 64 * 64; // right of the row stands a word that is always empty
    for (idx i = 0; i < count; ++i) {
      const auto o = static_cast<std::size_t>(i);
      const idx low = rule.stride * last[i] + first - rule.pad, cell = std::clamp<idx>(low, 0, end);
      word[o] = static_cast<std::int32_t>(cell >> 6);
      shift[o] = static_cast<std::uint8_t>(cell & 63);
      left[o] = static_cast<std::uint8_t>(std::clamp<idx>(-low, 0, 63));
    }
  }
  /// `cells` are the 64 cells from the first one in the row on.
  sighting see(std::size_t output, std::uint64_t cells, idx first) const {
    return {static_cast<std::int32_t>(first), static_cast<std::uint32_t>(cells << left[output] & 7)};
  }
  static idx hit(sighting s, int tap) { return s.taps >> tap & 1; }
  static std::int32_t index(sighting s, int tap) {
    const std::uint32_t before = tap == 0 ? 0 : (tap == 1 ? s.taps & 1 : (s.taps & 1) + (s.taps >> 1 & 1));
    return s.first + static_cast<std::int32_t>(before);
  }
};

/// The same for taps anywhere within 64 cells, each where `bit` says; a sighting holds three hits, and per tap how many
/// occupied cells of the window come before its own.
struct far_windows {
  std::array<std::int32_t, most_outputs_of_tile> word;
  std::array<std::uint8_t, most_outputs_of_tile> shift;
  std::array<std::array<std::uint8_t, most_outputs_of_tile>, taps_of_window> bit;
  std::array<std::uint8_t, most_outputs_of_tile> valid; ///< bit t: tap t looks at a cell of the row

  void read(const std::int32_t* last, idx count, const axis_rule& rule, idx first, idx taps) {
    for (idx i = 0; i < count; ++i) {
      const auto o = static_cast<std::size_t>(i);
      std::array<idx, taps_of_window> cell{-1, -1, -1};
      idx low = rule.extent - 1;
      for (idx t = 0; t < taps; ++t) {
        const idx c = rule.input(last[i], first + t);
        cell[static_cast<std::size_t>(t)] = c;
        low = c >= 0 ? std::min(low, c) : low;
      }
      word[o] = static_cast<std::int32_t>(low >> 6);
      shift[o] = static_cast<std::uint8_t>(low & 63);
      unsigned inside = 0;
      for (std::size_t t = 0; t < taps_of_window; ++t) {
        inside |= (cell[t] >= 0 ? 1u : 0u) << t;
        bit[t][o] = static_cast<std::uint8_t>(cell[t] >= 0 ? cell[t] - low : 0);
      }
      valid[o] = static_cast<std::uint8_t>(inside);
    }
  }
  sighting see(std::size_t output, std::uint64_t cells, idx first) const {
    std::uint32_t taps = 0;
    SQS_UNROLL
    for (std::size_t t = 0; t < taps_of_window; ++t) {
      const unsigned b = bit[t][output];
      taps |= static_cast<std::uint32_t>(cells >> b & 1) << t;
      taps |= static_cast<std::uint32_t>(std::popcount(cells & ((std::uint64_t{1} << b) - 1))) << (3 + 7 * t);
    }
    return {static_cast<std::int32_t>(first), taps & (~std::uint32_t{7} | valid[output])};
  }
  static idx hit(sighting s, int tap) { return s.taps >> tap & 1; }
  static std::int32_t index(sighting s, int tap) {
    return s.first + static_cast<std::int32_t>(s.taps >> (3 + 7 * tap) & 127);
  }
};

/// Looks through the windows of a tile into the rows of cells that `cursor[run[i]]` name by their first occupied word;
/// the last but one word of the list stands for an empty row. Returns the hits of each tap.
///
/// Cost        No branch that depends on the cells, unless rows are longer than 128.
template <class Windows> std::array<idx, taps_of_window> look(const word_list& words, int word_bits, const Windows& w,
                                                              idx count, const std::int32_t* run,
                                                              const std::int32_t* cursor, sighting* seen) {
  const key_type* const number = words.number.data();
  const std::uint64_t* const mask = words.mask.data();
  const std::int32_t* const before = words.before.data();
  const key_type row = (~key_type{0} >> word_bits) << word_bits; // the bits of a number that tell the row
  idx hits0 = 0, hits1 = 0, hits2 = 0;
  for (idx i = 0; i < count; ++i) {
    const auto o = static_cast<std::size_t>(i);
    idx at = cursor[run[i]];
    const key_type sought = (number[at] & row) + static_cast<key_type>(w.word[o]);
    at += number[at] < sought ? 1 : 0;
    while (number[at] < sought) { ++at; }
    const idx here = number[at] == sought ? 1 : 0;
    const std::uint64_t low = mask[at] & (0 - static_cast<std::uint64_t>(here));
    const std::uint64_t high = number[at + here] == sought + 1 ? mask[at + here] : 0;
    const unsigned shift = w.shift[o];
    const std::uint64_t cells = (low >> shift) | ((high << 1) << (63 - shift));
    const sighting s = w.see(o, cells, before[at] + std::popcount(low & ((std::uint64_t{1} << shift) - 1)));
    seen[i] = s;
    hits0 += Windows::hit(s, 0), hits1 += Windows::hit(s, 1), hits2 += Windows::hit(s, 2);
  }
  return {hits0, hits1, hits2};
}

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sites and pairs of a sparse convolution the slow way: ordered maps of coordinates, every tap of every site. Shares no
// code with the library.

#include <sqs/sparse/pair_lists.hpp>

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace sqs::test {

using cell = std::vector<int>; // b, x, y, ...
struct tap_pair {
  idx tap, input, output;
  friend auto operator<=>(const tap_pair&, const tap_pair&) = default;
};

/// Distinct cells of a grid, in no particular order, from a small generator of its own.
struct random_cells {
  std::uint64_t state;
  int below(int n) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<int>((state >> 33) % static_cast<std::uint64_t>(n));
  }
  std::vector<cell> draw(int count, int batches, const std::vector<idx>& grid, bool distinct = true) {
    std::set<cell> seen;
    std::vector<cell> rows;
    for (int tries = 0; static_cast<int>(rows.size()) < count && tries < 20 * count; ++tries) {
      cell c{below(batches)};
      for (const idx g : grid) { c.push_back(below(static_cast<int>(g))); }
      if (seen.insert(c).second || !distinct) { rows.push_back(c); }
    }
    return rows;
  }
};

inline tensor<std::int32_t, 2> as_tensor(const std::vector<cell>& rows, int dimensions) {
  auto t = make_tensor<std::int32_t, 2>({static_cast<idx>(rows.size()), dimensions + 1});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t k = 0; k < rows[i].size(); ++k) { t(static_cast<idx>(i), static_cast<idx>(k)) = rows[i][k]; }
  }
  return t;
}
inline std::vector<cell> as_cells(const tensor<std::int32_t, 2>& t) {
  std::vector<cell> rows;
  for (idx i = 0; i < t.extent(0); ++i) {
    rows.emplace_back(t.data() + i * t.extent(1), t.data() + (i + 1) * t.extent(1));
  }
  return rows;
}

/// fine = stride coarse + dilation tap - pad, in as many dimensions as the vectors have.
struct plain_relation {
  std::vector<idx> kernel, stride, pad, dilation;

  std::vector<std::vector<idx>> taps() const { // in row-major order, by counting
    std::vector<std::vector<idx>> all{{}};
    for (const idx k : kernel) {
      std::vector<std::vector<idx>> longer;
      for (const auto& t : all) {
        for (idx i = 0; i < k; ++i) {
          longer.push_back(t);
          longer.back().push_back(i);
        }
      }
      all = longer;
    }
    return all;
  }
  bool joins(const cell& fine, const cell& coarse, const std::vector<idx>& tap) const {
    if (fine[0] != coarse[0]) { return false; }
    for (std::size_t a = 0; a < kernel.size(); ++a) {
      if (fine[a + 1] != stride[a] * coarse[a + 1] + dilation[a] * tap[a] - pad[a]) { return false; }
    }
    return true;
  }
  /// All (tap, fine row, coarse row), by looking at every pair of rows.
  std::set<tap_pair> pairs(const std::vector<cell>& fine, const std::vector<cell>& coarse) const {
    std::set<tap_pair> all;
    const auto t = taps();
    for (std::size_t c = 0; c < coarse.size(); ++c) {
      for (std::size_t k = 0; k < t.size(); ++k) {
        cell at{coarse[c][0]};
        for (std::size_t a = 0; a < kernel.size(); ++a) {
          at.push_back(static_cast<int>(stride[a] * coarse[c][a + 1] + dilation[a] * t[k][a] - pad[a]));
        }
        for (std::size_t f = 0; f < fine.size(); ++f) {
          if (fine[f] == at) { all.insert({static_cast<idx>(k), static_cast<idx>(f), static_cast<idx>(c)}); }
        }
      }
    }
    return all;
  }
  /// Every cell of `grid` that some tap joins with a row, sorted. `to_coarse`: rows are fine.
  std::vector<cell> reached(const std::vector<cell>& rows, const std::vector<idx>& grid, bool to_coarse) const {
    std::set<cell> all;
    std::vector<cell> candidates{{}};
    for (const idx g : grid) {
      std::vector<cell> longer;
      for (const auto& c : candidates) {
        for (int i = 0; i < g; ++i) {
          longer.push_back(c);
          longer.back().push_back(i);
        }
      }
      candidates = longer;
    }
    const auto t = taps();
    for (const auto& row : rows) {
      for (const auto& spot : candidates) {
        cell c{row[0]};
        c.insert(c.end(), spot.begin(), spot.end());
        for (const auto& tap : t) {
          if (to_coarse ? joins(row, c, tap) : joins(c, row, tap)) { all.insert(c); }
        }
      }
    }
    return {all.begin(), all.end()};
  }
};

/// The pairs of lists; checks on the way that they are well formed: a tile's outputs are its own, and stand in its order.
inline std::multiset<tap_pair> pairs_of(const sparse::pair_lists& p) {
  std::multiset<tap_pair> all;
  std::vector<idx> position(static_cast<std::size_t>(p.outputs), -1);
  for (idx i = 0; i < p.outputs; ++i) {
    const idx row = p.order ? p.order(i) : i;
    EXPECT_TRUE(row >= 0 && row < p.outputs && position[static_cast<std::size_t>(row)] == -1) << "order at " << i;
    position[static_cast<std::size_t>(row)] = i;
  }
  EXPECT_EQ(p.begin.size(), p.tiles() * p.taps + 1);
  EXPECT_EQ(p.begin(0), 0);
  EXPECT_EQ(p.begin(p.tiles() * p.taps), p.pairs());
  for (idx l = 0; l < p.tiles() * p.taps; ++l) {
    idx before = -1;
    for (idx i = p.begin(l); i < p.begin(l + 1); ++i) {
      const idx at = position[static_cast<std::size_t>(p.output(i))];
      EXPECT_EQ(at / p.tile, l / p.taps) << "output " << p.output(i) << " in the wrong tile";
      EXPECT_GE(at, before) << "outputs out of order in list " << l;
      before = at;
      EXPECT_TRUE(p.input(i) >= 0 && p.input(i) < p.inputs);
      all.insert({l % p.taps, p.input(i), p.output(i)});
    }
  }
  return all;
}
/// The same pairs with the ends exchanged.
template <class Set> std::multiset<tap_pair> exchanged(const Set& pairs) {
  std::multiset<tap_pair> all;
  for (const auto& p : pairs) { all.insert({p.tap, p.output, p.input}); }
  return all;
}

} // namespace sqs::test

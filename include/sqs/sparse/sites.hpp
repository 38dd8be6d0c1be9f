// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The places where a sparse tensor has rows.

#include <sqs/sparse/detail/words.hpp>

namespace sqs::sparse {

/// May several rows share a voxel?
enum class voxel_sharing {
  refused, ///< a coordinate given twice is an error
  allowed  ///< rows of a voxel are kept apart; what a kernel makes of them is said by `duplicate_rule`
};

/// N coordinates (b, x, y, z) in a grid. Rows keep the user's order; beside them stand the occupied voxels in ascending
/// order of their keys (lexicographic in b, x, y, z). A counted handle: copies are cheap and share everything.
///
/// Shapes      D = 1 to 4 axes beside the batch
template <int D = 3> struct sites {
  using position = std::array<idx, static_cast<std::size_t>(D)>;
  static constexpr int dimensions = D;

  detail::key_layout<D> layout;    ///< grid, batches, and how keys are packed
  idx rows = 0;                    ///< N
  tensor<detail::key_type, 1> key; ///< [voxels] ascending, unique
  tensor<std::int32_t, 1> order;   ///< [rows] rows by ascending key, equal keys by row; empty: 0, 1, 2, ...
  tensor<std::int32_t, 1> voxel;   ///< [rows] voxel of row order[i]; empty: no voxel is shared, it is i
  tensor<std::int32_t, 1> first;   ///< [voxels + 1] where a voxel's rows begin in `order`; empty: no voxel is shared
  detail::word_list words;         ///< the voxels again, for finding neighbours

  const position& grid() const { return layout.grid; }
  idx batches() const { return layout.batches; }
  idx voxels() const { return key.size(); }
  /// True if row i is the i-th in order of the keys: then no permutation is kept.
  bool sorted() const { return !order; }
  bool shared() const { return static_cast<bool>(voxel); }
  /// True if both are handles to the same sites.
  bool same(const sites& o) const {
    return rows == o.rows && key.data() == o.key.data() && order.data() == o.order.data();
  }

  /// The row at position i of the order.
  idx row_at(idx i) const { return order ? order.data()[i] : i; }
  idx voxel_at(idx i) const { return voxel ? voxel.data()[i] : i; }
  /// The lowest row of the voxel at (b, x, y, z), -1 if it is empty or outside the grid.
  idx find(const std::array<idx, static_cast<std::size_t>(D) + 1>& c) const {
    detail::key_type k = 0;
    for (std::size_t a = 0; a <= layout.last; ++a) {
      if (c[a] < 0 || c[a] >= (a == 0 ? batches() : grid()[a - 1])) { return -1; }
      k |= layout.part(c[a], a);
    }
    const idx v = detail::find_cell(layout, words, k);
    return v < 0 ? -1 : row_at(first ? first.data()[v] : v);
  }
  /// (b, x, y, z) of every row: [N, 1 + D].
  tensor<std::int32_t, 2> coordinates(cpu& e) const {
    auto c = empty<std::int32_t, 2>(e, {rows, D + 1});
    parallel_for(e, rows, 1 << 12, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        std::int32_t* const row = c.data() + row_at(i) * (D + 1);
        const auto k = key.data()[voxel_at(i)];
        for (std::size_t a = 0; a <= layout.last; ++a) { row[a] = static_cast<std::int32_t>(layout.coordinate(k, a)); }
      }
    });
    return c;
  }
};

namespace detail {

/// "(b 0, x 1, y 2, z 3)"
template <class C> std::string coordinate_text(const C* c, int dimensions) {
  std::string s = concat("(b ", c[0]);
  for (int a = 0; a < dimensions; ++a) { s += concat(", ", "xyzw"[a], " ", c[a + 1]); }
  return s + ")";
}

inline void check_row_count(idx n, const char* where) {
  expects(n < (idx{1} << 31), "sqs::sparse::", where, ": ", n, " rows do not fit 32-bit row numbers; split the batch");
}

/// [N] keys of coordinates.
template <int D>
tensor<key_type, 1> pack_keys(cpu& e, const key_layout<D>& layout, const tensor<std::int32_t, 2>& coordinates) {
  const idx n = coordinates.extent(0);
  auto keys = empty<key_type, 1>(e, {n});
  const std::int32_t* const c = coordinates.data();
  key_type* const out = keys.data();
  std::array<std::uint32_t, static_cast<std::size_t>(D) + 1> limit{};
  for (std::size_t a = 0; a <= layout.last; ++a) {
    limit[a] = static_cast<std::uint32_t>(a == 0 ? layout.batches : layout.grid[a - 1]);
  }
  // A negative number is a large one without its sign.
  const idx bad = first_index(e, n, [=](idx i) {
    key_type k = 0;
    bool outside = false;
    for (std::size_t a = 0; a <= layout.last; ++a) {
      const auto v = static_cast<std::uint32_t>(c[i * (D + 1) + static_cast<idx>(a)]);
      outside = outside || v >= limit[a];
      k |= static_cast<key_type>(v) << layout.shift[a];
    }
    out[i] = k;
    return outside;
  });
  if (bad < n) {
    raise<precondition_error>("sqs::sparse::make_sites: row ", bad, " has coordinates ",
                              coordinate_text(c + bad * (D + 1), D), " outside ", layout.batches,
                              " batches of a grid of ", extents_text(layout.grid), "; clip or drop it first");
  }
  return keys;
}

/// Sorts keys (and the numbers 0, 1, ... with them); the order is empty if they are ascending already.
template <class Layout> tensor<std::int32_t, 1> sort_keys(cpu& e, const Layout& layout, tensor<key_type, 1>& keys) {
  const idx n = keys.size();
  const key_type* const k = keys.data();
  if (first_index(e, n, [k](idx i) { return i > 0 && k[i] < k[i - 1]; }) == n) { return {}; }
  auto order = empty<std::int32_t, 1>(e, {n}), other_order = empty<std::int32_t, 1>(e, {n});
  auto other_keys = empty<key_type, 1>(e, {n});
  parallel_for(e, n, 1 << 14, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { order.data()[i] = static_cast<std::int32_t>(i); }
  });
  radix_sort_pairs(e, keys.data(), order.data(), other_keys.data(), other_order.data(), n, layout.key_bits());
  return order;
}

/// Sites of ascending keys, of which several may be equal.
template <int D> sites<D> sites_of_sorted_keys(cpu& e, const key_layout<D>& layout, tensor<key_type, 1> sorted,
                                               tensor<std::int32_t, 1> order) {
  const idx n = sorted.size();
  sites<D> s{layout, n, std::move(sorted), std::move(order), {}, {}, {}};
  const key_type* const k = s.key.data();
  const run_list runs(e, n, [k](idx i) { return i == 0 || k[i] != k[i - 1]; });
  if (runs.count() < n) {
    auto unique = empty<key_type, 1>(e, {runs.count()});
    s.voxel = empty<std::int32_t, 1>(e, {n});
    s.first = empty<std::int32_t, 1>(e, {runs.count() + 1});
    runs.each(e, [&](idx run, idx begin, idx end) {
      unique.data()[run] = k[begin];
      s.first.data()[run] = static_cast<std::int32_t>(begin);
      std::fill(s.voxel.data() + begin, s.voxel.data() + end, static_cast<std::int32_t>(run));
    });
    s.first.data()[runs.count()] = static_cast<std::int32_t>(n);
    s.key = std::move(unique);
  }
  s.words = words_of_keys(e, layout, s.key.data(), s.key.size());
  return s;
}

/// Sites of words, in order of the keys. Sets `before` of the words.
template <int D> sites<D> sites_of_words(cpu& e, const key_layout<D>& layout, word_list words) {
  idx cells = 0; // 64 bits: the sum may be beyond what a row number holds
  for (idx i = 0; i < words.size(); ++i) {
    words.before.data()[i] = static_cast<std::int32_t>(cells);
    cells += std::popcount(words.mask.data()[i]);
    check_row_count(cells, "sites");
  }
  for (idx i = words.size(); i < words.before.size(); ++i) {
    words.before.data()[i] = static_cast<std::int32_t>(cells);
  }
  sites<D> s{layout, cells, keys_of_words(e, layout, words), {}, {}, {}, {}};
  s.words = std::move(words);
  return s;
}

} // namespace detail

/// Sites at the given coordinates.
///
/// Shapes      coordinates [N, 1 + D] int32: (b, x, y, z), 0 <= b < batches, inside the grid
/// Errors      precondition_error for a coordinate outside, one given twice (unless sharing is allowed), N >= 2^31, or a
///             grid whose coordinates do not fit 63 bits; the message has the rows.
/// Execution   Parallel; the same for any thread count.
/// Cost        A radix sort of the bits in use (none if the rows ascend) and a few passes; about 30 bytes a row.
template <int D> sites<D> make_sites(cpu& e, const tensor<std::int32_t, 2>& coordinates,
                                     const std::array<idx, static_cast<std::size_t>(D)>& grid, idx batches = 1,
                                     voxel_sharing sharing = voxel_sharing::refused) {
  static_assert(D >= 1 && D <= 4, "sqs::sparse::make_sites: grids have 1 to 4 dimensions");
  const idx n = coordinates.extent(0);
  expects(coordinates.extent(1) == D + 1, "sqs::sparse::make_sites: coordinates have ", coordinates.extent(1),
          " columns; give ", D + 1, ": the batch and ", D, " coordinates");
  detail::check_row_count(n, "make_sites");
  const detail::key_layout<D> layout(grid, batches);
  auto keys = detail::pack_keys(e, layout, coordinates);
  auto order = detail::sort_keys(e, layout, keys);
  auto s = detail::sites_of_sorted_keys(e, layout, std::move(keys), std::move(order));
  if (s.shared() && sharing == voxel_sharing::refused) {
    const idx i = detail::first_index(e, n, [&](idx p) { return p > 0 && s.voxel_at(p) == s.voxel_at(p - 1); });
    const idx row = s.row_at(i);
    raise<precondition_error>("sqs::sparse::make_sites: rows ", s.row_at(i - 1), " and ", row, " are both at ",
                              detail::coordinate_text(coordinates.data() + row * (D + 1), D),
                              "; merge them first (voxelize does) or pass voxel_sharing::allowed");
  }
  return s;
}

} // namespace sqs::sparse

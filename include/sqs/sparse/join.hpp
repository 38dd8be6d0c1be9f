// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Union and intersection of sets of sites, and which rows meet there.

#include <sqs/sparse/detail/cell_cursor.hpp>
#include <sqs/sparse/detail/reach.hpp>
#include <sqs/sparse/sites.hpp>

namespace sqs::sparse {

/// Which rows of N inputs meet in a row of the output: all that the operators on several inputs know of sites.
template <std::size_t N> struct row_join {
  idx rows = 0;                ///< of the output
  std::array<idx, N> inputs{}; ///< rows of each input
  std::array<tensor<std::int32_t, 1>, N>
      row{}; ///< [rows] of each input: its row there, -1 if none. Empty: 0, 1, 2, ...
  std::array<tensor<std::int32_t, 1>, N>
      output{}; ///< [inputs] the way back: the output of each of its rows, -1 if none

  /// The row of an input that goes into an output row, -1 if none.
  idx source(std::size_t input, idx output_row) const {
    return row[input] ? row[input].data()[output_row] : output_row;
  }
  idx target(std::size_t input, idx input_row) const {
    return output[input] ? output[input].data()[input_row] : input_row;
  }
};

/// A join and the sites of its output.
template <int D, std::size_t N> struct site_join {
  sites<D> at;
  row_join<N> rows;
};

/// The join of N inputs that have the same sites: row i meets row i.
template <std::size_t N> row_join<N> join_of_equal_rows(idx rows) {
  row_join<N> j;
  j.rows = rows;
  j.inputs.fill(rows);
  return j;
}

namespace detail {

template <int D, std::size_t N> using site_pointers = std::array<const sites<D>*, N>;

template <int D, std::size_t N> void check_joinable(const site_pointers<D, N>& s, const char* where) {
  for (std::size_t i = 0; i < N; ++i) {
    expects(s[i]->grid() == s[0]->grid() && s[i]->batches() == s[0]->batches(), "sqs::sparse::", where, ": input ", i,
            " has ", s[i]->batches(), " batches of a grid of ", extents_text(s[i]->grid()), ", input 0 has ",
            s[0]->batches(), " of ", extents_text(s[0]->grid()), "; bring both to the same grid first");
    expects(!s[i]->shared(), "sqs::sparse::", where, ": rows of input ", i,
            " share voxels; merge them first (voxelize does)");
  }
}

/// The words occupied in any of the inputs.
template <int D, std::size_t N> word_list joined_sites(cpu& e, const site_pointers<D, N>& s) {
  std::array<idx, N + 1> first{};
  for (std::size_t i = 0; i < N; ++i) { first[i + 1] = first[i] + s[i]->words.size(); }
  return joined_words(e, first[N], s[0]->layout.word_number_bits(), [&](idx word, auto&& f) {
    std::size_t i = 0;
    while (word >= first[i + 1]) { ++i; }
    const auto& w = s[i]->words;
    f(word_cells{w.number.data()[word - first[i]], w.mask.data()[word - first[i]]});
  });
}

/// The words occupied in all of the inputs, of those of the first.
template <int D, std::size_t N> word_list common_words(cpu& e, const site_pointers<D, N>& s) {
  constexpr idx step = 1 << 10;
  const auto& of = s[0]->words;
  auto mask = empty<std::uint64_t, 1>(e, {of.size()});
  auto before = empty<idx, 1>(e, {(of.size() + step - 1) / step});
  parallel_for(e, of.size(), step, [&](idx begin, idx end) {
    idx n = 0;
    std::copy_n(of.mask.data() + begin, end - begin, mask.data() + begin);
    for (std::size_t i = 1; i < N; ++i) {
      cell_cursor find(s[i]->words);
      for (idx w = begin; w < end; ++w) {
        const idx place = find.word(of.number.data()[w]);
        mask.data()[w] &= place < 0 ? 0 : s[i]->words.mask.data()[place];
      }
    }
    for (idx w = begin; w < end; ++w) { n += mask.data()[w] != 0 ? 1 : 0; }
    before.data()[begin / step] = n;
  });
  auto words = empty_words(e, exclusive_scan(e, before.data(), before.data(), before.size()), 0);
  parallel_for(e, of.size(), step, [&](idx begin, idx end) {
    idx to = before.data()[begin / step];
    for (idx w = begin; w < end; ++w) {
      if (mask.data()[w] == 0) { continue; }
      words.number.data()[to] = of.number.data()[w];
      words.mask.data()[to++] = mask.data()[w];
    }
  });
  return words;
}

/// The rows of `in` at the sites of `out`, both ways.
template <int D> void meet(cpu& e, const sites<D>& out, const sites<D>& in, tensor<std::int32_t, 1>& row,
                           tensor<std::int32_t, 1>& back) {
  row = empty<std::int32_t, 1>(e, {out.rows});
  back = full<std::int32_t, 1>(e, {in.rows}, -1);
  const auto& w = out.words;
  parallel_for(e, w.size(), 1 << 10, [&](idx begin, idx end) {
    cell_cursor find(in.words);
    for (idx i = begin; i < end; ++i) {
      const idx place = find.word(w.number.data()[i]);
      idx to = w.before.data()[i];
      for (std::uint64_t m = w.mask.data()[i]; m != 0; m &= m - 1, ++to) {
        const idx cell = place < 0 ? -1 : find.cell(place, std::countr_zero(m));
        const idx r = cell < 0 ? -1 : in.row_at(cell);
        row.data()[to] = static_cast<std::int32_t>(r);
        if (r >= 0) { back.data()[r] = static_cast<std::int32_t>(to); }
      }
    }
  });
}

template <int D, std::size_t N, class Words>
site_join<D, N> join_sites(cpu& e, const site_pointers<D, N>& s, const char* where, Words&& words) {
  check_joinable<D, N>(s, where);
  if (std::all_of(s.begin(), s.end(), [&](const auto* o) { return o->same(*s[0]); })) {
    return {*s[0], join_of_equal_rows<N>(s[0]->rows)};
  }
  site_join<D, N> j{sites_of_words(e, s[0]->layout, words()), {}};
  j.rows.rows = j.at.rows;
  for (std::size_t i = 0; i < N; ++i) {
    j.rows.inputs[i] = s[i]->rows;
    meet(e, j.at, *s[i], j.rows.row[i], j.rows.output[i]);
  }
  return j;
}

} // namespace detail

/// The sites where any of the inputs has a row, in order of the keys. Handles to the same sites are given back as they
/// are, in the order they have, so that plans made for them stay good.
///
/// Errors      precondition_error if grids or batches differ, or rows of an input share voxels.
/// Execution   Parallel; the same for any thread count.
template <int D, class... More>
site_join<D, 1 + sizeof...(More)> unite(cpu& e, const sites<D>& s, const More&... more) {
  constexpr std::size_t n = 1 + sizeof...(More);
  const detail::site_pointers<D, n> all{&s, &more...};
  return detail::join_sites<D, n>(e, all, "unite", [&] { return detail::joined_sites<D, n>(e, all); });
}

/// The sites where all of the inputs have a row, in order of the keys; otherwise like `unite`.
template <int D, class... More>
site_join<D, 1 + sizeof...(More)> intersect(cpu& e, const sites<D>& s, const More&... more) {
  constexpr std::size_t n = 1 + sizeof...(More);
  const detail::site_pointers<D, n> all{&s, &more...};
  return detail::join_sites<D, n>(e, all, "intersect", [&] { return detail::common_words<D, n>(e, all); });
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Rows as weighted sums of other rows, forward and backward.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/key_layout.hpp>
#include <sqs/sparse/detail/row_math.hpp>
#include <sqs/sparse/detail/runs.hpp>

namespace sqs::sparse::detail {

/// Output i is the sum over k of weight[i, k] x[source[i, k]]; source -1 is nothing.
template <class T, class Index> struct mixture {
  tensor<Index, 2> source; ///< [outputs, K]
  tensor<T, 2> weight;     ///< [outputs, K]

  idx outputs() const { return source.extent(0); }
  idx terms() const { return source.extent(1); }
  /// A weight of zero is no term: what stands there may be infinite.
  bool counts(idx entry) const { return source.data()[entry] >= 0 && weight.data()[entry] != T(0); }
};

template <class T, class Index> mixture<T, Index> empty_mixture(cpu& e, idx outputs, idx terms) {
  return {empty<Index, 2>(e, {outputs, terms}), empty<T, 2>(e, {outputs, terms})};
}

inline constexpr idx mixed_rows_of_task = 1 << 8;

template <class T, class Index> tensor<T, 2> mixed_rows(cpu& e, const mixture<T, Index>& m, const T* x, idx c) {
  auto y = empty<T, 2>(e, {m.outputs(), c});
  const idx terms = m.terms();
  parallel_for(e, m.outputs(), mixed_rows_of_task, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      T* const to = y.data() + i * c;
      std::fill_n(to, c, T(0));
      for (idx n = i * terms; n < (i + 1) * terms; ++n) {
        if (m.counts(n)) { add_row_times(m.weight.data()[n], x + idx{m.source.data()[n]} * c, to, c); }
      }
    }
  });
  return y;
}

/// The terms of a mixture by their source, those of a source in order of the outputs: what makes the way back a sum in
/// a fixed order without locks.
template <class Index> struct terms_by_source {
  tensor<std::make_unsigned_t<Index>, 1> source; ///< ascending
  tensor<idx, 1> entry;                          ///< i * K + k
};

template <class T, class Index> terms_by_source<Index> group_terms(cpu& e, const mixture<T, Index>& m, idx inputs) {
  using key = std::make_unsigned_t<Index>;
  constexpr idx step = 1 << 14;
  const idx n = m.source.size();
  auto before = empty<idx, 1>(e, {(n + step - 1) / step});
  parallel_for(e, n, step, [&](idx begin, idx end) {
    idx count = 0;
    for (idx i = begin; i < end; ++i) { count += m.counts(i) ? 1 : 0; }
    before.data()[begin / step] = count;
  });
  const idx count = exclusive_scan(e, before.data(), before.data(), before.size());
  terms_by_source<Index> g{empty<key, 1>(e, {count}), empty<idx, 1>(e, {count})};
  parallel_for(e, n, step, [&](idx begin, idx end) {
    idx to = before.data()[begin / step];
    for (idx i = begin; i < end; ++i) {
      if (!m.counts(i)) { continue; }
      g.source.data()[to] = static_cast<key>(m.source.data()[i]);
      g.entry.data()[to++] = i;
    }
  });
  auto other_source = empty<key, 1>(e, {count});
  auto other_entry = empty<idx, 1>(e, {count});
  radix_sort_pairs(e, g.source.data(), g.entry.data(), other_source.data(), other_entry.data(), count,
                   bits_for(inputs));
  return g;
}

/// dx[j] = the sum over the terms with source j of weight dy[i]; zero where there is none.
template <class T, class Index> tensor<T, 2> unmixed_rows(cpu& e, const mixture<T, Index>& m,
                                                          const terms_by_source<Index>& g, const tensor<T, 2>& dy,
                                                          idx inputs) {
  const idx c = dy.extent(1), terms = m.terms();
  auto dx = empty<T, 2>(e, {inputs, c});
  parallel_for(e, dx.size(), 1 << 16, [&](idx begin, idx end) { std::fill(dx.data() + begin, dx.data() + end, T(0)); });
  const auto* const s = g.source.data();
  const run_list runs(e, g.source.size(), [s](idx i) { return i == 0 || s[i] != s[i - 1]; });
  runs.each(e, [&](idx, idx begin, idx end) {
    T* const to = dx.data() + static_cast<idx>(s[begin]) * c;
    for (idx i = begin; i < end; ++i) {
      const idx n = g.entry.data()[i];
      add_row_times(m.weight.data()[n], dy.data() + n / terms * c, to, c);
    }
  });
  return dx;
}

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The same pairs seen from the other end, without another search.

#include <sqs/sparse/pair_lists.hpp>
#include <sqs/sparse/sites.hpp>

#include <vector>

namespace sqs::sparse::detail {

/// The position of every row in the order of the sites; empty if the rows stand in it.
template <int D> tensor<std::int32_t, 1> positions_of_rows(cpu& e, const sites<D>& s) {
  if (s.sorted()) { return {}; }
  auto position = empty<std::int32_t, 1>(e, {s.rows});
  parallel_for(e, s.rows, 1 << 14, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { position.data()[s.row_at(i)] = static_cast<std::int32_t>(i); }
  });
  return position;
}

/// Exchanges the ends of lists whose outputs are coarse and inputs fine. At one tap fine = stride coarse + constant, so
/// inputs ascend as outputs do: the lists of a tap, one behind the other, only have to be cut at other places. (Where
/// rows share voxels at both ends they do not quite, and are sorted.)
///
/// Execution   Parallel over taps.
template <int D>
pair_lists exchanged_lists(cpu& e, const pair_lists& p, const sites<D>& fine, const sites<D>& coarse, idx tile) {
  pair_lists q;
  q.inputs = p.outputs, q.outputs = p.inputs, q.taps = p.taps, q.tile = tile, q.order = fine.order;
  const idx lists = q.tiles() * q.taps, pairs = p.pairs();
  q.begin = zeros<idx, 1>(e, {lists + 1});
  q.input = empty<std::int32_t, 1>(e, {pairs});
  q.output = empty<std::int32_t, 1>(e, {pairs});
  const auto position = positions_of_rows(e, fine);
  const auto position_of = [&](std::int32_t row) { return position ? position.data()[row] : row; };
  // Calls f(pair, tile) for every pair of a tap.
  const auto each_pair = [&](idx tap, auto&& f) {
    std::vector<idx> sorted;
    for (idx t = 0; t < p.tiles(); ++t) {
      const idx* const list = p.begin.data() + t * p.taps + tap;
      for (idx i = list[0]; i < list[1]; ++i) {
        if (fine.shared() && coarse.shared()) {
          sorted.push_back(i);
        } else {
          f(i, position_of(p.input.data()[i]) / tile);
        }
      }
    }
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](idx a, idx b) { return position_of(p.input.data()[a]) < position_of(p.input.data()[b]); });
    for (const idx i : sorted) { f(i, position_of(p.input.data()[i]) / tile); }
  };
  idx* const begin = q.begin.data();
  parallel_for(e, q.taps, 1, [&](idx tap, idx) {
    idx now = 0, count = 0; // tiles ascend: one at a time is counted
    const auto close = [&] {
      if (count > 0) { begin[now * q.taps + tap] = count; }
    };
    each_pair(tap, [&](idx, idx t) {
      if (t != now) {
        close();
        now = t, count = 0;
      }
      ++count;
    });
    close();
  });
  begin[lists] = exclusive_scan(e, begin, begin, lists);
  parallel_for(e, q.taps, 1, [&](idx tap, idx) {
    idx now = -1, to = 0;
    each_pair(tap, [&](idx i, idx t) {
      if (t != now) { now = t, to = begin[t * q.taps + tap]; }
      q.input.data()[to] = p.output.data()[i];
      q.output.data()[to++] = p.input.data()[i];
    });
  });
  return q;
}

} // namespace sqs::sparse::detail

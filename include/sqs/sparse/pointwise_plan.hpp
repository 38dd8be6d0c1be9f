// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The plan of 1 x 1 x 1 convolutions.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/pair_search.hpp>

#include <limits>

namespace sqs::sparse {

/// Plan of a convolution of one tap: row i meets row i, wherever its site is. `convolution_op` then is a product of
/// matrices with everything it does besides: bias, epilogue, groups, gradients, bfloat16.
///
/// Errors      precondition_error for a negative number of rows, or 2^31 and more.
/// Cost        One pass, no search: 4 bytes per row.
inline convolution_plan make_pointwise_plan(cpu& e, idx rows) {
  constexpr idx most = std::numeric_limits<std::int32_t>::max();
  expects(rows >= 0 && rows <= most, "sqs::sparse::make_pointwise_plan: ", rows, " rows; give 0 to ", most);
  pair_lists l;
  l.inputs = l.outputs = rows, l.taps = 1;
  l.tile = detail::tile_size(rows);
  l.input = empty<std::int32_t, 1>(e, {rows});
  l.begin = empty<idx, 1>(e, {l.tiles() + 1});
  for (idx t = 0; t <= l.tiles(); ++t) { l.begin.data()[t] = std::min(rows, t * l.tile); }
  std::int32_t* const row = l.input.data();
  parallel_for(e, rows, idx{1} << 16, [=](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { row[i] = static_cast<std::int32_t>(i); }
  });
  l.output = l.input;
  return {l, l, true};
}

} // namespace sqs::sparse

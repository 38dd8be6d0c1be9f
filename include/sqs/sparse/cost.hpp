// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a sparse convolution costs, counted from its plan: multiplications, padding, bytes.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse {

/// Cost of one pass of a layer, or of several added.
///
/// Papers that say "FLOPs" (spconv's users, SparseOcc's tables) mostly count `macs`: a multiplication and the addition
/// of its product as one. Benchmarks that compare with a processor's peak count `useful_flop`. Norms and activations are
/// in neither.
struct convolution_cost {
  double pairs = 0;
  double macs = 0;           ///< pairs Cin Cout / groups
  double useful_flop = 0;    ///< 2 macs
  double padded_flop = 0;    ///< of a product that multiplies a whole tile of outputs with a tap one of them has
  double bytes = 0;          ///< input rows, weights and the plan read once, output rows written once
  double gathered_bytes = 0; ///< input rows read once per pair, wherever they come from

  double padding() const { return useful_flop > 0 ? padded_flop / useful_flop : 1; }
  convolution_cost& operator+=(const convolution_cost& o) {
    pairs += o.pairs, macs += o.macs, useful_flop += o.useful_flop, padded_flop += o.padded_flop;
    bytes += o.bytes, gathered_bytes += o.gathered_bytes;
    return *this;
  }
  friend convolution_cost operator+(convolution_cost a, const convolution_cost& b) { return a += b; }
};

/// What a cost is counted for.
struct cost_config {
  idx groups = 1;
  idx tile_rows = 128;   ///< outputs of a tile of the masked implicit product: 128 is usual on GPUs, 16 of AMX
  idx element_bytes = 4; ///< of features and weights
};

namespace detail {
/// Rows that tiles of `tile_rows` outputs, in the order of the lists, multiply with the taps any of them has.
inline idx padded_rows(cpu& e, const pair_lists& l, idx tile_rows) {
  tensor<std::int32_t, 1> place; // of an output row in the order
  if (l.order.size() > 0) {
    place = empty<std::int32_t, 1>(e, {l.outputs});
    const std::int32_t* const order = l.order.data();
    for (idx i = 0; i < l.outputs; ++i) { place.data()[order[i]] = static_cast<std::int32_t>(i); }
  }
  const std::int32_t* const at = place.data();
  auto tiles = zeros<idx, 1>(e, {l.taps});
  parallel_for(e, l.taps, 1, [&](idx tap, idx) {
    idx last = -1, count = 0;
    for (idx t = 0; t < l.tiles(); ++t) {
      const idx* const bounds = l.begin.data() + t * l.taps + tap;
      for (idx p = bounds[0]; p < bounds[1]; ++p) { // places ascend along a tap
        const idx row = l.output.data()[p], tile = (at == nullptr ? row : at[row]) / tile_rows;
        count += tile != last ? 1 : 0;
        last = tile;
      }
    }
    tiles.data()[tap] = count;
  });
  idx all = 0;
  for (idx tap = 0; tap < l.taps; ++tap) { all += tiles.data()[tap]; }
  return all * tile_rows;
}
} // namespace detail

/// Cost of a convolution's forward pass. The gradient of x costs as much on `plan.backward`, that of the weights the
/// same useful work again.
///
/// Errors      precondition_error if the groups do not divide the channels or the tile has no rows.
/// Cost        One pass over the plan.
inline convolution_cost cost_of(cpu& e, const convolution_plan& plan, idx cin, idx cout, const cost_config& c = {}) {
  expects(c.groups > 0 && cin % c.groups == 0 && cout % c.groups == 0 && c.tile_rows > 0,
          "sqs::sparse::cost_of: ", c.groups, " groups of ", cin, " to ", cout, " channels in tiles of ", c.tile_rows,
          " rows; groups must divide both numbers of channels and a tile have at least one row");
  const auto number = [](idx n) { return static_cast<double>(n); };
  const pair_lists& l = plan.forward;
  const double products = number(cin / c.groups) * number(cout), size = number(c.element_bytes);
  convolution_cost cost;
  cost.pairs = number(l.pairs());
  cost.macs = cost.pairs * products;
  cost.useful_flop = 2 * cost.macs;
  cost.padded_flop = 2 * number(detail::padded_rows(e, l, c.tile_rows)) * products;
  const double features = number(l.inputs) * number(cin) + number(l.outputs) * number(cout);
  const double lists = number(l.begin.size()) * static_cast<double>(sizeof(idx)) +
                       (2 * cost.pairs + number(l.order.size())) * static_cast<double>(sizeof(std::int32_t));
  cost.bytes = (features + number(l.taps) * products) * size + lists;
  cost.gathered_bytes = cost.pairs * number(cin) * size;
  return cost;
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans of volumes that are almost full, such as those lifted from cameras: beside the lists of pairs a table of
/// neighbours, over which a convolution keeps its sums in registers from the first tap to the last.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse {

/// Are an operator's products taken over bricks (a few outputs that follow each other, times every tap any of them has,
/// with zeros where a neighbour is missing) instead of over the pairs? The results are equal as long as the weights are
/// finite.
enum class brick_policy {
  automatic, ///< where the plan's counts say that it costs less
  never,
  always
};

namespace detail {

inline constexpr idx counted_brick = 8; ///< outputs of the bricks that `pair_lists::brick_products` counts

/// Writes the table of one tile. Returns how many outputs times taps its bricks multiply: all outputs of a brick with each
/// tap one of them has; -1 if a tap meets two inputs at one output.
inline idx fill_neighbours(const pair_lists& l, idx t, const std::int32_t* place, std::int32_t* table) {
  const idx begin = t * l.tile, end = std::min(l.outputs, begin + l.tile), taps = l.taps;
  std::fill(table + begin * taps, table + end * taps, -1);
  idx products = 0, taken = 0;
  for (idx tap = 0; tap < taps; ++tap) {
    const idx* const bounds = l.begin.data() + t * taps + tap;
    idx last = -1;
    for (idx p = bounds[0]; p < bounds[1]; ++p) {
      const std::int32_t row = l.output.data()[p];
      const idx i = place == nullptr ? row : place[row], brick = begin + (i - begin) / counted_brick * counted_brick;
      std::int32_t& to = table[i * taps + tap];
      taken += to == -1 ? 0 : 1;
      to = l.input.data()[p];
      products += brick == last ? 0 : std::min(end, brick + counted_brick) - brick; // places ascend along a tap
      last = brick;
    }
  }
  return taken > 0 ? -1 : products;
}

/// Adds the table to `l`; false, and nothing is added, if a tap meets two inputs at one output.
inline bool add_bricks(cpu& e, pair_lists& l) {
  tensor<std::int32_t, 1> place; // of an output row in the order
  if (l.order.size() > 0) {
    place = empty<std::int32_t, 1>(e, {l.outputs});
    for (idx i = 0; i < l.outputs; ++i) { place.data()[l.order.data()[i]] = static_cast<std::int32_t>(i); }
  }
  auto table = empty<std::int32_t, 2>(e, {l.outputs, l.taps});
  const std::int32_t* const at = l.order.size() > 0 ? place.data() : nullptr;
  const auto add = [](idx a, idx b) { return a < 0 || b < 0 ? -1 : a + b; };
  const idx products = reduce<idx>(
      e, l.tiles(), 1, 0,
      [&](idx begin, idx end) {
        idx n = 0;
        for (idx t = begin; t < end; ++t) { n = add(n, fill_neighbours(l, t, at, table.data())); }
        return n;
      },
      add);
  if (products < 0) { return false; }
  l.neighbours = std::move(table);
  l.brick_products = products;
  return true;
}

/// True where bricks could pay for narrow layers, which have the most to gain: three quarters of all taps meet somebody.
inline bool mostly_full(const pair_lists& l) { return l.outputs > 0 && 4 * l.pairs() >= 3 * l.taps * l.outputs; }

/// The cost model: what a pair and a place of a brick cost besides their `depth` products with each vector of columns,
/// in such products. Measured; see docs/performance.md. Columns that do not fill their vectors are copied once per pair.
inline bool bricks_pay(const pair_lists& l, idx depth, idx columns, idx lanes) {
  constexpr double per_pair = 10, per_copy = 40, per_place = 4;
  const double products = static_cast<double>((columns + lanes - 1) / lanes * depth);
  return static_cast<double>(l.brick_products) * (products + per_place) <
         static_cast<double>(l.pairs()) * (products + per_pair + (columns % lanes != 0 ? per_copy : 0));
}

} // namespace detail

/// The plan with the tables that bricks need, in both directions. `automatic`: only where at least three quarters of all
/// taps meet somebody; `always`: in any case; `never`: without them. Worth it where several narrow layers (of 32 channels
/// or fewer) share the plan: every layer chooses for itself, by `convolution_op::bricks`.
///
/// Errors      precondition_error for `always` where several rows share a voxel: a table has room for one.
/// Cost        One pass over the pairs, half to two thirds of a search; 4 bytes per output and tap.
inline convolution_plan with_bricks(cpu& e, convolution_plan plan, brick_policy policy = brick_policy::automatic) {
  for (pair_lists* l : {&plan.forward, &plan.backward}) {
    l->neighbours = {}, l->brick_products = 0;
    if (policy == brick_policy::never || (policy == brick_policy::automatic && !detail::mostly_full(*l))) { continue; }
    if (plan.mirrored && l == &plan.backward) {
      *l = plan.forward;
      continue;
    }
    const bool made = detail::add_bricks(e, *l);
    expects(made || policy == brick_policy::automatic,
            "sqs::sparse::with_bricks: an output meets several rows at one tap, because rows share a voxel; leave the "
            "policy at automatic, or merge the rows of a voxel first (voxelize)");
  }
  return plan;
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans whose taps are taken in parts, each with the outputs in the order that suits it; and the choice how many.

#include <sqs/sparse/cuda/cost.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/plan.hpp>

namespace sqs::sparse {

namespace detail {

inline constexpr idx most_splits = 8;

/// The table with its taps in parts that follow each other in the order of the sums.
template <device_executor E> neighbour_table split_by_taps(E& e, const neighbour_table& n, idx parts) {
  neighbour_table s = n;
  s.splits.clear();
  for (idx p = 0; p < parts; ++p) {
    const idx first = p * n.taps / parts, taps = (p + 1) * n.taps / parts - first;
    neighbour_table some{n.inputs, n.outputs, taps, empty<std::int32_t, 2>(e, {taps, n.outputs}),
                         n.order,  n.status,  {}};
    launch(e, grid_blocks(some.input.size()), grid_threads,
           slice_taps_kernel{n.input.data(), n.outputs, first, taps, n.taps, some.input.data()});
    some = sorted_by_taps(e, some);
    s.splits.push_back({first, taps, std::move(some.input), std::move(some.order), std::move(some.used)});
  }
  return s;
}
/// Adds the products of a quarter tile with a tap to *count.
template <device_executor E> void count_products(E& e, const neighbour_table& n, idx* count) {
  const auto add = [&](const tensor<std::uint8_t, 2, device>& used) {
    launch(e, 1, grid_threads, count_products_kernel{used.data(), used.size(), count});
  };
  if (n.splits.empty()) { add(n.used); }
  for (const auto& s : n.splits) { add(s.used); }
}

/// The ways a table may be taken: as it is, sorted, in two and in three parts.
template <device_executor E> std::vector<neighbour_table> ways_to_split(E& e, const neighbour_table& n) {
  std::vector<neighbour_table> ways{n, sorted_by_taps(e, n)};
  ways[0].splits.clear();
  for (idx parts = 2; parts <= std::min<idx>(3, n.taps); ++parts) { ways.push_back(split_by_taps(e, n, parts)); }
  return ways;
}
/// The way that costs least; of equal ones the first.
inline std::size_t cheapest(const std::vector<neighbour_table>& ways, const idx* products, const device_cost& cost) {
  std::size_t best = 0;
  double least = 0;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const double more = static_cast<double>(ways[i].splits.empty() ? 0 : ways[i].splits.size() - 1);
    const double c = cost.of_rows(static_cast<double>(products[i] * device_quarter_rows)) +
                     more * cost.of_sums(static_cast<double>(ways[i].outputs));
    if (i == 0 || c < least) { best = i, least = c; }
  }
  return best;
}

} // namespace detail

/// The plan with the taps of each direction in `parts` parts. A part sees fewer taps, so that more outputs have the
/// same ones and the tiles of its product lack more of them; but sums go to memory and back between the parts. One part
/// is `sorted_by_taps`.
///
/// Results     The same bits as the plan as it was: parts follow each other in the order of the sums, and sums of
///             narrow features are kept as float between them. Weight gradients, pooling and depthwise layers use the
///             table as a whole.
/// Errors      precondition_error for fewer than 1 part, more than 8 or more than taps.
/// Execution   Nothing waits for the device.
/// Cost        A sort of the outputs and 4 bytes per output for every part, and the table once more.
/// Source      Mask splits: spconv, TorchSparse++.
template <device_executor E> device_plan split_by_taps(E& e, const device_plan& p, idx parts) {
  const auto asking = detail::memory_for(e, "sqs::sparse::split_by_taps");
  expects(parts >= 1 && parts <= std::min(detail::most_splits, p.forward.taps), "sqs::sparse::split_by_taps: ", parts,
          " parts of a kernel of ", p.forward.taps, " taps; give 1 to ", std::min(detail::most_splits, p.forward.taps));
  if (parts == 1) { return sorted_by_taps(e, p); }
  auto forward = detail::split_by_taps(e, p.forward, parts);
  auto backward = p.mirrored ? forward : detail::split_by_taps(e, p.backward, parts);
  return {std::move(forward), std::move(backward), p.mirrored, p.flipped, p.bricks};
}

/// The plan as it is, sorted, or in two or three parts, whatever costs least for layers like `cost`: all ways are made
/// and their products counted on the device.
///
/// Execution   Waits for the device, once: for plans that are used many times. `split_by_taps` does not.
/// Cost        That of `split_by_taps` with 1, 2 and 3 parts; what is not taken goes back to the pool.
template <device_executor E> device_plan with_best_splits(E& e, const device_plan& p, const device_cost& cost) {
  const auto asking = detail::memory_for(e, "sqs::sparse::with_best_splits");
  const auto forward = detail::ways_to_split(e, p.forward);
  const auto backward = p.mirrored ? std::vector<neighbour_table>{} : detail::ways_to_split(e, p.backward);
  auto counts = zeros<idx, 1>(e, {static_cast<idx>(forward.size() + backward.size())});
  idx* next = counts.data();
  for (const auto* ways : {&forward, &backward}) {
    for (const auto& n : *ways) { detail::count_products(e, n, next++); }
  }
  const auto products = to_host(e, counts);
  device_cost way_back = cost;
  std::swap(way_back.depth, way_back.columns);
  const auto& best = forward[detail::cheapest(forward, products.data(), cost)];
  if (p.mirrored) { return {best, best, true, p.flipped, p.bricks}; }
  return {best, backward[detail::cheapest(backward, products.data() + forward.size(), way_back)], false, p.flipped,
          p.bricks};
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans of sparse convolutions in device memory: the twin of plan_builder.hpp, with tables where that has lists.

#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/cuda/table_kernels.hpp>

#include <vector>

namespace sqs::sparse {

/// Some taps of a neighbour table, with the outputs in an order of their own: those that have the same of these taps
/// stand side by side.
struct tap_split {
  idx first = 0, taps = 0;               ///< steps of the sums
  tensor<std::int32_t, 2, device> input; ///< [taps, outputs]
  tensor<std::int32_t, 1, device> order; ///< [outputs]
  tensor<std::uint8_t, 2, device> used;  ///< [tiles, taps]
};

/// The input row that every output meets at every tap, or -1. Outputs stand in the order of their keys: neighbours in
/// space are neighbours in the table, and tiles of them lack the same taps.
struct neighbour_table {
  idx inputs = 0, outputs = 0, taps = 0; ///< inputs and outputs: rows there is room for
  tensor<std::int32_t, 2, device> input; ///< [taps, outputs]
  tensor<std::int32_t, 1, device> order; ///< [outputs] row of the i-th output; empty: 0, 1, 2, ...
  tensor<site_status, 1, device> status; ///< [1] of the outputs
  tensor<std::uint8_t, 2, device> used;  ///< [tiles, taps] bit q: some output of the tile's quarter q has the tap
  std::vector<tap_split> splits = {};    ///< the same pairs in parts; none: products take the table as a whole

  idx tiles() const { return (outputs + device_tile_rows - 1) / device_tile_rows; }
  /// For kernels. `flipped`: tap k belongs to the weights of tap taps - 1 - k.
  detail::packed_table packed(bool flipped) const {
    return {input.data(), order ? order.data() : nullptr, status.data(), used.data(), outputs, taps, flipped};
  }
  detail::packed_table packed(const tap_split& s, bool flipped) const {
    return {s.input.data(), s.order.data(), status.data(), s.used.data(), outputs, s.taps, flipped, s.first, taps};
  }
};

/// The sites of a submanifold plan in bricks of 4 x 4 x 4 cells: see `with_bricks`.
struct device_bricks {
  tensor<std::int32_t, 2, device> rows;  ///< [bricks, cells] row in every cell of a brick and around it, -1: none
  tensor<site_status, 1, device> status; ///< [1] of the bricks
  std::array<idx, 3> taps{}, dilation{};
  idx count = 0;    ///< of the bricks, if the host knows
  idx products = 0; ///< rows times taps that the table multiplies, if the host knows

  explicit operator bool() const { return static_cast<bool>(rows); }
};

/// What an operator needs: the table of the outputs and, for the way back, that of the inputs. `mirrored` and `flipped`
/// as in `convolution_plan`.
struct device_plan {
  neighbour_table forward, backward;
  bool mirrored = false;
  bool flipped = false;
  device_bricks bricks = {}; ///< the same pairs once more, for both directions

  bool forward_flipped() const { return flipped; }
  bool backward_flipped() const { return mirrored != flipped; }
  /// The plan of the adjoint: inputs and outputs change places, every pair keeps the weights of its tap.
  device_plan adjoint() const { return {backward, forward, mirrored, mirrored && !flipped, bricks}; }
};

/// A plan and the sites of its two ends. Copies share everything.
template <int D> struct device_site_plan {
  device_plan plan;
  device_sites<D> input, output;
};

namespace detail {

template <device_executor E> void find_used_taps(E& e, neighbour_table& n) {
  n.used = empty<std::uint8_t, 2>(e, {n.tiles(), n.taps});
  launch(e, grid_blocks(n.used.size() * warp_size), grid_threads,
         tile_taps_kernel{n.input.data(), n.outputs, n.taps, n.used.data()});
}
template <device_executor E> neighbour_table sorted_by_taps(E& e, const neighbour_table& n) {
  auto key = empty<key_type, 1>(e, {n.outputs}), other_key = empty<key_type, 1>(e, {n.outputs});
  auto number = empty<std::int32_t, 1>(e, {n.outputs}), other_number = empty<std::int32_t, 1>(e, {n.outputs});
  auto count = empty<std::int32_t, 1>(e, {n.taps}), rank = empty<std::int32_t, 1>(e, {n.taps});
  launch(e, n.taps, grid_threads, tap_counts_kernel{n.input.data(), n.outputs, count.data()});
  launch(e, grid_blocks(n.taps), grid_threads, tap_ranks_kernel{count.data(), n.taps, rank.data()});
  launch(e, grid_blocks(n.outputs), grid_threads,
         tap_keys_kernel{n.input.data(), rank.data(), n.status.data(), n.outputs, n.taps, key.data(), number.data()});
  radix_sort_pairs(e, key.data(), number.data(), other_key.data(), other_number.data(), n.outputs,
                   tap_keys_kernel::bits + 1);
  neighbour_table s = n;
  s.splits.clear();
  s.input = empty<std::int32_t, 2>(e, {n.taps, n.outputs});
  s.order = empty<std::int32_t, 1>(e, {n.outputs});
  launch(e, grid_blocks(n.input.size()), grid_threads,
         reorder_kernel{n.input.data(), n.order ? n.order.data() : nullptr, number.data(), n.outputs, n.taps,
                        s.input.data(), s.order.data()});
  find_used_taps(e, s);
  return s;
}

template <int D, device_executor E>
neighbour_table empty_table(E& e, idx inputs, const device_sites<D>& outputs, idx taps) {
  return {inputs,        outputs.capacity, taps, full<std::int32_t, 2>(e, {taps, outputs.capacity}, -1),
          outputs.order, outputs.status,   {}};
}
template <int D, device_executor E> void search(E& e, const device_sites<D>& fine, const device_sites<D>& coarse,
                                                const relation<D>& r, bool mirrored, neighbour_table& of_coarse,
                                                neighbour_table& of_fine) {
  const idx row_taps = r.taps.count() / r.taps.extent[D - 1], searched = mirrored ? row_taps / 2 + 1 : row_taps;
  const search_kernel<D> k{packed_layout<D>(fine.layout),
                           packed_layout<D>(coarse.layout),
                           packed_relation<D>(r),
                           fine.key.data(),
                           coarse.key.data(),
                           fine.order_data(),
                           coarse.order_data(),
                           fine.status.data(),
                           coarse.status.data(),
                           fine.capacity,
                           coarse.capacity,
                           row_taps,
                           searched,
                           mirrored,
                           of_coarse.input.data(),
                           of_fine.input.data()};
  launch(e, grid_blocks(searched * coarse.capacity), grid_threads, k);
}

} // namespace detail

/// Plan of a convolution from `fine` to `coarse`, two sets of sites that exist: see `make_plan_between`.
///
/// Errors      precondition_error if the numbers of batches differ or the relation is not sound.
/// Execution   Nothing waits for the device.
/// Cost        One search for both directions, a thread per coarse site and tap of the leading axes; two tables of 4
///             bytes per site and tap.
template <int D, device_executor E> device_plan make_device_plan_between(E& e, const device_sites<D>& fine,
                                                                         const device_sites<D>& coarse,
                                                                         const std::type_identity_t<relation<D>>& r) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_plan_between");
  r.check();
  expects(fine.batches() == coarse.batches(), "sqs::sparse::make_device_plan_between: the fine sites have ",
          fine.batches(), " batches, the coarse ones ", coarse.batches(), "; both must have the same");
  const idx taps = r.taps.count();
  device_plan p{detail::empty_table(e, fine.capacity, coarse, taps),
                detail::empty_table(e, coarse.capacity, fine, taps)};
  detail::search(e, fine, coarse, r, false, p.forward, p.backward);
  detail::find_used_taps(e, p.forward);
  detail::find_used_taps(e, p.backward);
  return p;
}

/// Plan of a submanifold convolution: see `make_submanifold_plan`. One table serves both directions.
///
/// Errors      precondition_error for an even kernel.
/// Execution   Nothing waits for the device.
/// Cost        Half of the taps are searched; 4 bytes per site and tap.
template <int D, device_executor E> device_plan make_device_submanifold_plan(
    E& e, const device_sites<D>& s, const std::type_identity_t<tap_set<D>>& taps,
    const std::array<idx, static_cast<std::size_t>(D)>& dilation = detail::filled<D>(1)) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_submanifold_plan");
  const auto r = submanifold_relation<D>(taps, dilation);
  auto table = detail::empty_table(e, s.capacity, s, taps.count());
  detail::search(e, s, s, r, true, table, table);
  detail::find_used_taps(e, table);
  return {table, table, true};
}

/// Plan of a (strided) convolution: an output lives wherever a tap reaches an input. Outputs stand in order of keys.
/// `capacity`: of the outputs; 0: as many as there can be.
///
/// Errors      precondition_error if the kernel does not fit the padded grid, or candidates are 2^31 or more; too
///             little capacity is told by `check_sites`, and the sites that do not fit are those of the largest keys.
/// Execution   Nothing waits for the device.
/// Cost        A sort of as many keys as there are sites times taps that fit the stride.
template <int D, device_executor E>
device_site_plan<D> make_device_convolution_plan(E& e, const device_sites<D>& input,
                                                 const std::type_identity_t<relation<D>>& r, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_convolution_plan");
  r.check();
  const detail::key_layout<D> layout(r.coarse_grid(input.grid()), input.batches());
  const auto output = detail::reached_sites(e, input, layout, r, false, capacity);
  return {make_device_plan_between(e, input, output, r), input, output};
}

/// Plan of a transposed, generative convolution: see `make_transposed_plan`. `capacity` as above.
template <int D, device_executor E>
device_site_plan<D> make_device_transposed_plan(E& e, const device_sites<D>& input,
                                                const std::type_identity_t<relation<D>>& r,
                                                const std::array<idx, static_cast<std::size_t>(D)>& output_padding = {},
                                                idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_transposed_plan");
  r.check();
  const detail::key_layout<D> layout(r.fine_grid(input.grid(), output_padding), input.batches());
  const auto output = detail::reached_sites(e, input, layout, r, true, capacity);
  return {make_device_plan_between(e, output, input, r).adjoint(), input, output};
}

/// Plan of the inverse of a convolution: from its outputs back to exactly its inputs, through the same pairs and taps.
///
/// Errors      precondition_error for a submanifold plan: it has nothing to go back to.
template <int D> device_site_plan<D> make_device_inverse_plan(const device_site_plan<D>& forward) {
  expects(!forward.plan.mirrored, "sqs::sparse::make_device_inverse_plan: a submanifold plan cannot be inverted; its "
                                  "outputs are its inputs, use the plan itself");
  return {forward.plan.adjoint(), forward.output, forward.input};
}

/// The plan of some taps of a submanifold plan, without a search: see `restricted_plan`.
///
/// Errors      precondition_error if the plan has another number of taps than `of`, is no submanifold plan, or `taps`
///             does not lie in the middle.
template <int D, device_executor E> device_plan restricted_device_plan(E& e, const device_plan& plan,
                                                                       const tap_set<D>& of,
                                                                       const std::type_identity_t<tap_set<D>>& taps) {
  const auto asking = detail::memory_for(e, "sqs::sparse::restricted_device_plan");
  expects(plan.mirrored && plan.forward.taps == of.count() && taps.inside(of),
          "sqs::sparse::restricted_device_plan: a plan of ", plan.forward.taps, " taps",
          plan.mirrored ? "" : ", not submanifold", ", for the kernel ", detail::extents_text(of.extent),
          ", to be restricted to ", detail::extents_text(taps.extent),
          "; give a submanifold plan, its kernel, and one shorter by an even number on every axis");
  neighbour_table n = plan.forward;
  n.splits.clear();
  n.taps = taps.count();
  n.input = empty<std::int32_t, 2>(e, {n.taps, n.outputs});
  detail::restrict_kernel<D> k{{}, {}, plan.forward.input.data(), n.outputs, n.taps, n.input.data()};
  std::copy(taps.extent.begin(), taps.extent.end(), k.kept);
  std::copy(of.extent.begin(), of.extent.end(), k.all);
  launch(e, detail::grid_blocks(n.input.size()), detail::grid_threads, k);
  detail::find_used_taps(e, n);
  return {n, n, true, plan.flipped};
}

/// Plan of convolutions of one tap (1 x 1 x 1): row i meets row i, as far as rows exist; see `make_pointwise_plan`.
///
/// Execution   Nothing waits for the device.
/// Cost        One pass, no search: 4 bytes per row.
template <int D, device_executor E> device_plan make_device_pointwise_plan(E& e, const device_sites<D>& s) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_pointwise_plan");
  neighbour_table n{s.capacity, s.capacity, 1, empty<std::int32_t, 2>(e, {1, s.capacity}), {}, s.status, {}};
  launch(e, detail::grid_blocks(s.capacity), detail::grid_threads,
         detail::pointwise_kernel{s.status.data(), s.capacity, n.input.data()});
  detail::find_used_taps(e, n);
  return {n, n, true};
}

/// The same plan with its outputs in another order: those that have the same taps stand together, so that the tiles of
/// the product lack more of them. Every result stays the same, bit for bit.
///
/// Execution   Nothing waits for the device.
/// Cost        A sort of the outputs and a copy of the tables. Worth it where a plan is used several times and the
///             product costs more than the rows: wide layers on sparse sites. Neighbours in space stand further apart
///             afterwards, so rows come from memory more often.
///             A LiDAR sweep of 125 565 voxels at 0.1 m, products (of 16 outputs at a time) per pair: 3x3x3 from 3.4 to
///             1.6, stride 2 from 6.5 to 1.7, its way back from 4.2 to 1.0.
/// Source      Sorted masks: spconv.
template <device_executor E> device_plan sorted_by_taps(E& e, const device_plan& p) {
  const auto asking = detail::memory_for(e, "sqs::sparse::sorted_by_taps");
  auto forward = detail::sorted_by_taps(e, p.forward);
  auto backward = p.mirrored ? forward : detail::sorted_by_taps(e, p.backward);
  return {std::move(forward), std::move(backward), p.mirrored, p.flipped, p.bricks};
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans of volumes that are almost full, such as those lifted from cameras: the twin of bricks.hpp.

#include <sqs/sparse/bricks.hpp>
#include <sqs/sparse/cuda/brick_kernels.hpp>
#include <sqs/sparse/cuda/cost.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/splits.hpp>

namespace sqs::sparse {

namespace detail {

inline packed_bricks packed(const device_bricks& b, bool flipped) {
  packed_bricks p{b.rows ? b.rows.data() : nullptr, b.status.data(), {}, {}, flipped};
  for (std::size_t a = 0; a < 3; ++a) {
    p.taps[a] = static_cast<int>(b.taps[a]), p.dilation[a] = static_cast<int>(b.dilation[a]);
  }
  return p;
}
/// Do bricks cost less than the table? Where the host does not know the counts, somebody asked for bricks.
inline bool bricks_pay(const device_bricks& b, const device_cost& cost) {
  if (b.count == 0) { return true; }
  const auto bricks = static_cast<double>(b.count);
  const packed_bricks p = packed(b, false);
  return cost.of_products(bricks * product_tile::rows * p.all_taps()) + cost.of_loads(bricks * p.cells()) <
         cost.of_rows(static_cast<double>(b.products));
}
/// The bricks that hold sites, and the rows in and around each.
template <device_executor E>
device_bricks make_bricks(E& e, const device_sites<3>& s, const tap_set<3>& taps, const std::array<idx, 3>& dilation) {
  std::array<idx, 3> grid{};
  idx cells = s.batches();
  for (std::size_t a = 0; a < 3; ++a) {
    grid[a] = (s.grid()[a] + brick_edge - 1) / brick_edge;
    cells = std::min(cells, s.capacity) * grid[a];
  }
  const key_layout<3> layout(grid, s.batches());
  const packed_layout<3> of_sites(s.layout), of_bricks(layout);
  auto keys = empty<key_type, 1>(e, {s.capacity});
  launch(e, grid_blocks(s.capacity), grid_threads,
         brick_keys_kernel{of_sites, of_bricks, s.key.data(), s.status.data(), s.capacity, keys.data()});
  const auto bricks = sites_of_any_keys<3>(e, layout, std::move(keys), std::max<idx>(1, std::min(cells, s.capacity)));
  device_bricks b{{}, bricks.status, taps.extent, dilation};
  const packed_bricks shape = packed(b, false);
  b.rows = empty<std::int32_t, 2>(e, {bricks.capacity, shape.cells()});
  launch(e, grid_blocks(bricks.capacity * shape.extent(0) * shape.extent(1)), grid_threads,
         brick_rows_kernel{of_sites, of_bricks, shape, s.key.data(), bricks.key.data(), s.order_data(), s.status.data(),
                           bricks.capacity, b.rows.data()});
  return b;
}

} // namespace detail

/// The submanifold plan of `s` and `taps` with its sites in bricks of 4 x 4 x 4 cells as well. A layer on bricks takes
/// the rows in and around a brick into shared memory once instead of once for every tap, and multiplies all cells of
/// the brick with all taps, whether there is a row or not.
///
/// Policy      `always`: all layers on this plan take bricks, unless `device_convolution_op::bricks` says `never`;
///             `automatic`: bricks and products are counted, and every layer takes what costs it less; `never`: none
/// Results     Those of the plan as it was where layers have at most 16 channels (of a group; 32 on tensor cores of
///             16-bit numbers), bit for bit; with more, sums run over 16 channels of all taps before the next 16.
///             Weight gradients, pooling and depthwise layers use the table.
/// Errors      precondition_error if the plan is not the submanifold plan of so many sites and taps, for a dilation below
///             1, or if a brick with what is around it has more than 256 cells (a kernel of 3 x 3 x 3 needs 216). Of rows that share a voxel,
///             which `check_sites` tells, only the lowest gets a sum; the others become zero.
/// Execution   `always` waits for nothing; `automatic` waits for the device.
/// Cost        A sort of the sites' keys; 864 bytes per brick for a kernel of 3 x 3 x 3.
template <device_executor E> device_plan with_bricks(E& e, device_plan plan, const device_sites<3>& s,
                                                     const tap_set<3>& taps,
                                                     brick_policy policy = brick_policy::automatic,
                                                     const std::array<idx, 3>& dilation = detail::filled<3>(1)) {
  const auto asking = detail::memory_for(e, "sqs::sparse::with_bricks");
  expects(plan.mirrored && plan.forward.taps == taps.count() && plan.forward.outputs == s.capacity,
          "sqs::sparse::with_bricks: a plan of ", plan.forward.taps, " taps and ", plan.forward.outputs, " outputs",
          plan.mirrored ? "" : ", not submanifold", ", for ", s.capacity, " sites and the kernel ",
          detail::extents_text(taps.extent), "; give a submanifold plan, its sites and its kernel");
  submanifold_relation<3>(taps, dilation).check();
  idx cells = 1;
  for (std::size_t a = 0; a < 3; ++a) {
    const idx reach = std::min<idx>((taps.extent[a] - 1) * std::min<idx>(dilation[a], 1 << 10), 1 << 10);
    cells *= detail::brick_edge + reach;
  }
  plan.bricks = {};
  if (policy == brick_policy::never) { return plan; }
  if (cells > detail::most_halo_cells && policy == brick_policy::automatic) { return plan; }
  expects(cells <= detail::most_halo_cells,
          "sqs::sparse::with_bricks: a brick and the cells around it that the kernel ",
          detail::extents_text(taps.extent), " with dilation ", detail::extents_text(dilation),
          " reaches are more than ", detail::most_halo_cells, "; use the plan without bricks");
  auto bricks = detail::make_bricks(e, s, taps, dilation);
  if (policy == brick_policy::automatic) {
    auto count = zeros<idx, 1>(e, {1});
    detail::count_products(e, plan.forward, count.data());
    bricks.products = to_host(e, count)(0) * device_quarter_rows;
    bricks.count = std::max<idx>(1, to_host(e, bricks.status)(0).rows);
    // Not even the rows that come from memory would be fewer.
    if (bricks.count * cells >= bricks.products) { return plan; }
  }
  plan.bricks = std::move(bricks);
  return plan;
}

} // namespace sqs::sparse

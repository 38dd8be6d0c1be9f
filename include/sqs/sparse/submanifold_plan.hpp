// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Which rows a submanifold convolution connects: built once from coordinates, shared by every layer on them.

#include <sqs/core/error.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

#include <bit>

namespace sqs::sparse {

/// What a tap sees where several rows share a voxel. Where voxels are unique, both are the ordinary convolution.
enum class duplicate_rule {
  symmetric,     ///< every row of the neighbouring voxel; the centre tap sees the row itself only
  representative ///< as spconv's native algorithm does: each voxel has a representative (here the lowest row); a row
                 ///< receives from the representatives of the first half of the taps, and a representative receives
                 ///< from all rows that scanned it. For parity with weights trained that way.
};

/// Pairs (input row, output row) for each of k*k*k taps, tap index = (kx * k + ky) * k + kz.
///
/// Shapes      offsets [taps + 1]; input, output [pairs]
struct submanifold_plan {
  idx rows = 0;
  idx kernel = 3;
  tensor<idx, 1> offsets;
  tensor<std::int32_t, 1> input, output;
  idx taps() const { return kernel * kernel * kernel; }
  idx pairs() const { return input.size(); }
};

namespace detail {

/// Voxel -> chain of rows, by open addressing. Rows are inserted in order, so chains and layout are deterministic.
class voxel_table {
public:
  template <executor E> voxel_table(E& e, const tensor<std::int32_t, 2>& coords, std::array<idx, 3> grid)
      : grid_(grid) {
    const idx n = coords.extent(0);
    const idx capacity = static_cast<idx>(std::bit_ceil(static_cast<std::uint64_t>(2 * n + 2)));
    mask_ = capacity - 1;
    keys_ = full<idx, 1>(e, {capacity}, -1);
    first_ = empty<std::int32_t, 1>(e, {capacity});
    last_ = empty<std::int32_t, 1>(e, {capacity});
    next_ = full<std::int32_t, 1>(e, {n}, -1);
    for (idx i = 0; i < n; ++i) { insert(i, coords); }
  }
  /// First row of the voxel, -1 if it is empty or outside the grid.
  std::int32_t first(idx b, idx x, idx y, idx z) const {
    if (x < 0 || y < 0 || z < 0 || x >= grid_[0] || y >= grid_[1] || z >= grid_[2]) { return -1; }
    const idx key = key_of(b, x, y, z);
    for (idx s = slot_of(key);; s = (s + 1) & mask_) {
      if (keys_.data()[s] == key) { return first_.data()[s]; }
      if (keys_.data()[s] == -1) { return -1; }
    }
  }
  /// Next row of the same voxel, -1 at the end.
  std::int32_t next(std::int32_t row) const { return next_.data()[row]; }

private:
  void insert(idx i, const tensor<std::int32_t, 2>& coords) {
    const auto c = [&](int d) { return static_cast<idx>(coords(i, d)); };
    expects(c(0) >= 0 && c(1) >= 0 && c(2) >= 0 && c(3) >= 0 && c(1) < grid_[0] && c(2) < grid_[1] && c(3) < grid_[2],
            "sqs::sparse: row ", i, " has coordinates (b ", c(0), ", x ", c(1), ", y ", c(2), ", z ", c(3),
            ") outside the grid of ", grid_[0], " x ", grid_[1], " x ", grid_[2], "; clip or drop it first");
    const idx key = key_of(c(0), c(1), c(2), c(3));
    idx s = slot_of(key);
    while (keys_.data()[s] != -1 && keys_.data()[s] != key) { s = (s + 1) & mask_; }
    const auto row = static_cast<std::int32_t>(i);
    if (keys_.data()[s] == -1) {
      keys_.data()[s] = key;
      first_.data()[s] = row;
    } else {
      next_.data()[last_.data()[s]] = row;
    }
    last_.data()[s] = row;
  }
  idx key_of(idx b, idx x, idx y, idx z) const { return ((b * grid_[0] + x) * grid_[1] + y) * grid_[2] + z; }
  idx slot_of(idx key) const {
    return static_cast<idx>((static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15ull) >> 20) & mask_;
  }
  std::array<idx, 3> grid_;
  idx mask_ = 0;
  tensor<idx, 1> keys_;
  tensor<std::int32_t, 1> first_, last_, next_;
};

/// Calls f(tap, input row, output row) for every pair of output row i's scan.
template <class F> void scan_row(const voxel_table& table, const tensor<std::int32_t, 2>& coords, idx kernel,
                                 duplicate_rule rule, idx i, F&& f) {
  const idx half = kernel / 2, taps = kernel * kernel * kernel, centre = taps / 2;
  const auto row = static_cast<std::int32_t>(i);
  f(centre, row, row);
  const idx last = rule == duplicate_rule::symmetric ? taps : centre;
  for (idx tap = 0; tap < last; ++tap) {
    if (tap == centre) { continue; }
    const idx dx = tap / (kernel * kernel) - half, dy = tap / kernel % kernel - half, dz = tap % kernel - half;
    std::int32_t other = table.first(coords(i, 0), coords(i, 1) + dx, coords(i, 2) + dy, coords(i, 3) + dz);
    if (rule == duplicate_rule::representative) {
      if (other >= 0) {
        f(tap, other, row);
        f(taps - 1 - tap, row, other);
      }
      continue;
    }
    for (; other >= 0; other = table.next(other)) { f(tap, other, row); }
  }
}

} // namespace detail

/// Builds the plan of a submanifold convolution with an odd cubic kernel.
///
/// Shapes      coords [N, 4] int32: (b, x, y, z); several rows may share a voxel
/// Errors      precondition_error for coordinates outside `grid`, an even kernel, or more than 2^31 rows.
/// Cost        N * kernel^3 look-ups; half of them with `representative`.
template <executor E> submanifold_plan make_submanifold_plan(E& e, const tensor<std::int32_t, 2>& coords,
                                                             std::array<idx, 3> grid, idx kernel,
                                                             duplicate_rule rule = duplicate_rule::symmetric) {
  const idx n = coords.extent(0);
  expects(coords.extent(1) == 4, "sqs::sparse: coordinates have ", coords.extent(1), " columns; give (b, x, y, z)");
  expects(kernel > 0 && kernel % 2 == 1, "sqs::sparse: kernel ", kernel, " is even; submanifold kernels are odd");
  expects(n < (idx{1} << 31), "sqs::sparse: ", n, " rows do not fit 32-bit row numbers; split the batch");
  const detail::voxel_table table(e, coords, grid);
  submanifold_plan plan{n, kernel, zeros<idx, 1>(e, {kernel * kernel * kernel + 1}), {}, {}};
  idx* const offset = plan.offsets.data();
  for (idx i = 0; i < n; ++i) {
    detail::scan_row(table, coords, kernel, rule, i, [&](idx tap, std::int32_t, std::int32_t) { ++offset[tap]; });
  }
  const idx pairs = exclusive_scan(e, offset, offset, plan.taps());
  offset[plan.taps()] = pairs;
  plan.input = empty<std::int32_t, 1>(e, {pairs});
  plan.output = empty<std::int32_t, 1>(e, {pairs});
  auto cursor = empty<idx, 1>(e, {plan.taps()});
  std::copy_n(offset, plan.taps(), cursor.data());
  for (idx i = 0; i < n; ++i) {
    detail::scan_row(table, coords, kernel, rule, i, [&](idx tap, std::int32_t in, std::int32_t out) {
      const idx p = cursor.data()[tap]++;
      plan.input.data()[p] = in;
      plan.output.data()[p] = out;
    });
  }
  return plan;
}

} // namespace sqs::sparse

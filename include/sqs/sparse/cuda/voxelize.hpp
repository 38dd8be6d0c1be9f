// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Points become voxels in device memory, and their features one row per voxel: the twin of voxelize.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/cuda/voxel_kernels.hpp>

namespace sqs::sparse {

/// Voxels that hold points, in order of their keys, and which points are in which.
template <int D> struct device_voxelization {
  device_sites<D> at;
  tensor<std::int32_t, 1, device> row_of_point; ///< [points] row of the sites, -1 outside the box
  tensor<std::int32_t, 1, device> point;        ///< [points] by voxel, ascending in each; those outside at the end
  tensor<std::int32_t, 1, device> begin;        ///< [capacity + 1] where a voxel's points begin in `point`
};

/// Finds the voxels that hold points. `capacity`: of the voxels; 0: as many as points.
///
/// Shapes      points [P, >= D], the first D columns are the position; batch [P] or empty (all in batch 0)
/// Errors      precondition_error for too few columns, another number of batch numbers, P >= 2^31, an empty box. Points
///             outside the box or in a batch item that does not exist are left out. Too little capacity is told by
///             `check_sites`; the voxels that do not fit are those of the largest keys.
/// Execution   Nothing waits for the device.
/// Cost        A sort of the points' keys.
template <class T, int D, device_executor E>
device_voxelization<D> voxelize(E& e, const tensor<T, 2, device>& points, const voxel_grid<T, D>& box,
                                const tensor<std::int32_t, 1, device>& batch = {}, idx batches = 1, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::voxelize");
  const idx n = points.extent(0);
  expects(points.extent(1) >= D, "sqs::sparse::voxelize: points have ", points.extent(1), " columns; the first ", D,
          " must be the position");
  expects(batch.size() == 0 || batch.size() == n, "sqs::sparse::voxelize: ", batch.size(), " batch numbers for ", n,
          " points; give one each");
  detail::check_row_count(n, "voxelize");
  const detail::key_layout<D> layout(box.extents(), batches);
  auto key = empty<detail::key_type, 1>(e, {n}), other_key = empty<detail::key_type, 1>(e, {n});
  device_voxelization<D> v;
  v.point = empty<std::int32_t, 1>(e, {n});
  v.row_of_point = empty<std::int32_t, 1>(e, {n});
  auto place = empty<std::int32_t, 1>(e, {n}), total = empty<std::int32_t, 1>(e, {1});
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::point_keys_kernel<T, D>(layout, box, points, batch, key.data(), v.point.data()));
  radix_sort_pairs(e, key.data(), v.point.data(), other_key.data(), place.data(), n, layout.key_bits() + 1);
  v.at = detail::sites_of_sorted_keys(e, layout, key, capacity > 0 ? capacity : n, place, total);
  v.begin = empty<std::int32_t, 1>(e, {v.at.capacity + 1});
  launch(e, detail::grid_blocks(std::max(n, v.at.capacity + 1)), detail::grid_threads,
         detail::voxel_bounds_kernel{key.data(), v.at.key.data(), v.point.data(), place.data(), total.data(),
                                     v.at.status.data(), detail::packed_layout<D>(layout).outside, n, v.at.capacity,
                                     v.begin.data(), v.row_of_point.data()});
  return v;
}

/// One row of features per voxel; see `voxel_features_op`.
///
/// Shapes      x [P, C] -> y [capacity, C]; rows that do not exist become zero
/// Gradient    x; zero for points outside
/// Errors      precondition_error if x has another number of rows than points were voxelised.
/// Execution   Nothing waits for the device, no atomics. A voxel adds its points in ascending order.
template <int D> struct device_voxel_features_op {
  device_voxelization<D> voxels;
  point_reduction reduction = point_reduction::mean;

  struct saved {
    tensor<std::int32_t, 2, device> source; ///< of `max`: the point each number came from
    idx channels = 0;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_voxel_features_op");
    const idx c = x.extent(1), rows = voxels.at.capacity;
    expects(x.extent(0) == voxels.row_of_point.size(), "sqs::sparse::device_voxel_features_op: x has ", x.extent(0),
            " rows for ", voxels.row_of_point.size(), " points; give one row per point");
    auto y = empty<T, 2>(e, {rows, c});
    saved s{{}, c};
    if (reduction == point_reduction::max) { s.source = empty<std::int32_t, 2>(e, {rows, c}); }
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::voxel_features_kernel<T>{x.data(), voxels.begin.data(), voxels.point.data(), rows, c, reduction,
                                            y.data(), s.source ? s.source.data() : nullptr});
    return result{std::move(y), std::move(s)};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_voxel_features_op (backward)");
    const idx n = voxels.row_of_point.size();
    detail::require_device_gradient("device_voxel_features_op", dy, voxels.at.capacity, s.channels);
    auto dx = empty<T, 2>(e, {n, s.channels});
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::voxel_gradient_kernel<T>{dy.data(), voxels.begin.data(), voxels.point.data(),
                                            voxels.row_of_point.data(), s.source ? s.source.data() : nullptr, n,
                                            s.channels, reduction, dx.data()});
    return dx;
  }
};

} // namespace sqs::sparse

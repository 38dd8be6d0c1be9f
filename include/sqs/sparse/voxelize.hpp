// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Points become voxels, and their features one row per voxel.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>
#include <sqs/sparse/sites.hpp>

#include <cmath>

namespace sqs::sparse {

/// A box of space cut into voxels. Units are those of the points. Where the size does not divide the box, the voxels are as
/// many as fit best, from `lower` on: the last may end beyond `upper` or before it.
template <class T, int D = 3> struct voxel_grid {
  using position = std::array<T, static_cast<std::size_t>(D)>;
  position lower{}, upper{}, size{};

  /// Voxels per axis: (upper - lower) / size, to the nearest whole number.
  ///
  /// Errors      precondition_error if the box or the voxels are empty.
  std::array<idx, static_cast<std::size_t>(D)> extents() const {
    std::array<idx, static_cast<std::size_t>(D)> n{};
    for (std::size_t a = 0; a < n.size(); ++a) {
      const double count = std::round((double(upper[a]) - double(lower[a])) / double(size[a]));
      expects(size[a] > 0 && count >= 1 && count < 2147483648.0, "sqs::sparse::voxel_grid: axis ", a, " goes from ",
              lower[a], " to ", upper[a], " in steps of ", size[a],
              "; give lower < upper and a size that cuts it in 1 to 2^31");
      n[a] = static_cast<idx>(count);
    }
    return n;
  }
  /// floor((p - lower) / size), computed in T: a point on a face belongs to the voxel above it, one on the upper end of
  /// the box to none. -1 outside and for NaN.
  idx cell(T p, std::size_t axis, idx extent) const {
    const T c = std::floor((p - lower[axis]) / size[axis]);
    return c >= 0 && c < static_cast<T>(extent) ? static_cast<idx>(c) : -1;
  }
};

/// Voxels that hold points, in order of their keys, and which points are in which.
template <int D> struct voxelization {
  sites<D> at;
  tensor<std::int32_t, 1> row_of_point; ///< [points] row of the sites, -1 outside the box
  tensor<std::int32_t, 1> point;        ///< [points inside] points by voxel, ascending in each
  tensor<std::int32_t, 1> begin;        ///< [voxels + 1] where a voxel's points begin in `point`
};

namespace detail {

/// The keys of the points inside the box and their numbers, in the order of the points.
template <class T, int D> struct keyed_points {
  tensor<key_type, 1> key;
  tensor<std::int32_t, 1> point;

  keyed_points(cpu& e, const key_layout<D>& layout, const voxel_grid<T, D>& box, const tensor<T, 2>& points,
               const tensor<std::int32_t, 1>& batch) {
    const idx n = points.extent(0);
    constexpr idx step = 1 << 12;
    constexpr key_type outside = ~key_type{0};
    auto all = empty<key_type, 1>(e, {n});
    auto before = empty<idx, 1>(e, {(n + step - 1) / step});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      idx inside = 0;
      for (idx i = begin; i < end; ++i) {
        key_type k = layout.part(batch.size() > 0 ? batch.data()[i] : 0, 0);
        for (std::size_t a = 0; a < layout.last; ++a) {
          const idx c = box.cell(points.data()[i * points.extent(1) + static_cast<idx>(a)], a, layout.grid[a]);
          k = c < 0 || k == outside ? outside : k | layout.part(c, a + 1);
        }
        all.data()[i] = k;
        inside += k != outside ? 1 : 0;
      }
      before.data()[begin / step] = inside;
    });
    const idx count = exclusive_scan(e, before.data(), before.data(), before.size());
    key = empty<key_type, 1>(e, {count});
    point = empty<std::int32_t, 1>(e, {count});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      idx to = before.data()[begin / step];
      for (idx i = begin; i < end; ++i) {
        if (all.data()[i] == outside) { continue; }
        key.data()[to] = all.data()[i];
        point.data()[to++] = static_cast<std::int32_t>(i);
      }
    });
  }
};

} // namespace detail

/// Finds the voxels that hold points.
///
/// Shapes      points [P, >= D], the first D columns are the position; batch [P] or empty (all in batch 0)
/// Errors      precondition_error for too few columns, a batch number out of range, P >= 2^31, an empty box. Points
///             outside the box are left out, not an error.
/// Execution   Parallel; the same for any thread count.
/// Cost        A sort of the points' keys.
template <class T, int D> voxelization<D> voxelize(cpu& e, const tensor<T, 2>& points, const voxel_grid<T, D>& box,
                                                   const tensor<std::int32_t, 1>& batch = {}, idx batches = 1) {
  const idx n = points.extent(0);
  expects(points.extent(1) >= D, "sqs::sparse::voxelize: points have ", points.extent(1), " columns; the first ", D,
          " must be the position");
  detail::check_row_count(n, "voxelize");
  const detail::key_layout<D> layout(box.extents(), batches);
  if (batch.size() > 0) {
    expects(batch.size() == n, "sqs::sparse::voxelize: ", batch.size(), " batch numbers for ", n,
            " points; give one each");
    const idx bad = detail::first_index(e, n, [&](idx i) { return batch.data()[i] < 0 || batch.data()[i] >= batches; });
    expects(bad == n, "sqs::sparse::voxelize: point ", bad, " is in batch ", bad < n ? batch.data()[bad] : 0, " of ",
            batches, "; give 0 <= batch < batches");
  }
  detail::keyed_points<T, D> keyed(e, layout, box, points, batch);
  const idx inside = keyed.key.size();
  auto other_keys = empty<detail::key_type, 1>(e, {inside});
  auto other_points = empty<std::int32_t, 1>(e, {inside});
  radix_sort_pairs(e, keyed.key.data(), keyed.point.data(), other_keys.data(), other_points.data(), inside,
                   layout.key_bits());
  const auto* const k = keyed.key.data();
  const detail::run_list runs(e, inside, [k](idx i) { return i == 0 || k[i] != k[i - 1]; });
  voxelization<D> v;
  v.at.layout = layout, v.at.rows = runs.count();
  v.at.key = empty<detail::key_type, 1>(e, {runs.count()});
  v.begin = empty<std::int32_t, 1>(e, {runs.count() + 1});
  v.row_of_point = full<std::int32_t, 1>(e, {n}, -1);
  runs.each(e, [&](idx run, idx begin, idx end) {
    v.at.key.data()[run] = k[begin];
    v.begin.data()[run] = static_cast<std::int32_t>(begin);
    for (idx i = begin; i < end; ++i) { v.row_of_point.data()[keyed.point.data()[i]] = static_cast<std::int32_t>(run); }
  });
  v.begin.data()[runs.count()] = static_cast<std::int32_t>(inside);
  v.point = std::move(keyed.point);
  v.at.words = detail::words_of_keys(e, layout, v.at.key.data(), v.at.rows);
  return v;
}

/// What a voxel keeps of the features of its points.
enum class point_reduction {
  mean,
  max,  ///< per channel; of equal ones the lowest point gets the gradient
  first ///< the features of the lowest point
};

/// One row of features per voxel.
///
/// Shapes      x [P, C] -> y [voxels, C]
/// Gradient    x; zero for points outside
/// Errors      precondition_error if x has another number of rows than points were voxelised.
/// Execution   Parallel over voxels; a voxel adds its points in ascending order.
template <int D> struct voxel_features_op {
  voxelization<D> voxels;
  point_reduction reduction = point_reduction::mean;

  struct saved {
    tensor<std::int32_t, 2> source; ///< of `max`: the point each number came from
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    const idx c = x.extent(1), rows = voxels.at.rows;
    expects(x.extent(0) == voxels.row_of_point.size(), "sqs::sparse::voxel_features_op: x has ", x.extent(0),
            " rows for ", voxels.row_of_point.size(), " points; give one row per point");
    auto y = empty<T, 2>(e, {rows, c});
    saved s;
    if (reduction == point_reduction::max) { s.source = empty<std::int32_t, 2>(e, {rows, c}); }
    each_voxel(e, [&](idx v, const std::int32_t* point, idx count) {
      T* const to = y.data() + v * c;
      std::copy_n(x.data() + point[0] * c, c, to);
      if (reduction == point_reduction::mean) {
        for (idx i = 1; i < count; ++i) { add(to, x.data() + point[i] * c, c); }
        for (idx j = 0; j < c; ++j) { to[j] /= static_cast<T>(count); }
      } else if (reduction == point_reduction::max) {
        std::int32_t* const from = s.source.data() + v * c;
        std::fill(from, from + c, point[0]);
        for (idx i = 1; i < count; ++i) { keep_largest(to, from, x.data() + point[i] * c, point[i], c); }
      }
    });
    return result{std::move(y), std::move(s)};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    const idx c = dy.extent(1);
    detail::require_gradient("voxel_features_op", dy, voxels.at.rows, s.source ? s.source.extent(1) : -1);
    auto dx = zeros<T, 2>(e, {voxels.row_of_point.size(), c});
    each_voxel(e, [&](idx v, const std::int32_t* point, idx count) {
      const T* const d = dy.data() + v * c;
      if (reduction == point_reduction::first) {
        std::copy_n(d, c, dx.data() + point[0] * c);
      } else if (reduction == point_reduction::max) {
        for (idx j = 0; j < c; ++j) { dx.data()[s.source.data()[v * c + j] * c + j] = d[j]; }
      } else {
        for (idx i = 0; i < count; ++i) {
          for (idx j = 0; j < c; ++j) { dx.data()[point[i] * c + j] = d[j] / static_cast<T>(count); }
        }
      }
    });
    return dx;
  }

private:
  template <class F> void each_voxel(cpu& e, F&& f) const {
    const std::int32_t *point = voxels.point.data(), *first = voxels.begin.data();
    parallel_for(e, voxels.at.rows, 1 << 10, [&](idx begin, idx end) {
      for (idx v = begin; v < end; ++v) { f(v, point + first[v], idx{first[v + 1]} - first[v]); }
    });
  }
  template <class T> static void add(T* to, const T* x, idx c) {
    for (idx j = 0; j < c; ++j) { to[j] += x[j]; }
  }
  /// A NaN is taken and stays.
  template <class T> static void keep_largest(T* to, std::int32_t* from, const T* x, std::int32_t point, idx c) {
    for (idx j = 0; j < c; ++j) {
      if (!(x[j] <= to[j]) && to[j] == to[j]) { to[j] = x[j], from[j] = point; }
    }
  }
};

} // namespace sqs::sparse

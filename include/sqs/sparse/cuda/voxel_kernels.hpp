// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels that make voxels of points on a device.

#include <sqs/sparse/cuda/site_kernels.hpp>
#include <sqs/sparse/voxelize.hpp>

#include <cmath>

namespace sqs::sparse::detail {

/// The key of the voxel every point is in, one above all others where it is in none; and the number of the point.
template <class T, int D> struct point_keys_kernel {
  static constexpr const char* name = "sqs::sparse::voxelize";
  packed_layout<D> layout;
  T lower[D], size[D];
  const T* points;
  const std::int32_t* batch; ///< null: all in item 0
  idx n, columns;
  key_type* key;
  std::int32_t* number;

  point_keys_kernel(const key_layout<D>& l, const voxel_grid<T, D>& box, const tensor<T, 2, device>& p,
                    const tensor<std::int32_t, 1, device>& b, key_type* keys, std::int32_t* numbers)
      : layout(l),
        points(p.data()),
        batch(b.size() > 0 ? b.data() : nullptr),
        n(p.extent(0)),
        columns(p.extent(1)),
        key(keys),
        number(numbers) {
    for (int a = 0; a < D; ++a) {
      lower[a] = box.lower[static_cast<std::size_t>(a)], size[a] = box.size[static_cast<std::size_t>(a)];
    }
  }
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::floor;
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const idx item = batch == nullptr ? 0 : batch[i];
    bool inside = layout.holds(item, 0);
    key_type k = layout.part(item, 0);
    for (int a = 0; a < D; ++a) {
      const T c = floor((points[i * columns + a] - lower[a]) / size[a]);
      inside = inside && c >= 0 && c < static_cast<T>(layout.extent[a + 1]); // not for NaN
      k |= inside ? layout.part(static_cast<idx>(c), a + 1) : 0;
    }
    key[i] = inside ? k : layout.outside;
    number[i] = static_cast<std::int32_t>(i);
  }
};

/// Where the points of every voxel begin, and the voxel of every point. A voxel begins where the one before it ends.
struct voxel_bounds_kernel {
  static constexpr const char* name = "sqs::sparse::voxelize";
  const key_type *key, *voxel;               ///< [n] of points, ascending; [capacity] of voxels
  const std::int32_t *point, *place, *total; ///< place: voxels that begin before this point
  const site_status* status;
  key_type outside;
  idx n, capacity;
  std::int32_t *begin, *row_of_point; ///< [capacity + 1], [n]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i <= capacity) {
      const idx before = i < status->rows ? i : status->rows;
      const idx first = before == 0 ? 0 : first_not_below(key, 0, n, voxel[before - 1] + 1);
      begin[i] = static_cast<std::int32_t>(first);
    }
    if (i >= n) { return; }
    const std::int32_t behind = i + 1 < n ? place[i + 1] : *total; // voxels that begin up to this point
    row_of_point[point[i]] = key[i] < outside && behind <= status->rows ? behind - 1 : -1;
  }
};

/// One thread per voxel and channel.
template <class T> struct voxel_features_kernel {
  static constexpr const char* name = "sqs::sparse::voxel_features";
  const T* x;
  const std::int32_t *begin, *point;
  idx voxels, channels;
  point_reduction reduction;
  T* y;
  std::int32_t* source; ///< of a maximum

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= voxels * channels) { return; }
    const idx v = i / channels, c = i % channels, first = begin[v], end = begin[v + 1];
    T value = first < end ? x[point[first] * channels + c] : T(0);
    std::int32_t from = first < end ? point[first] : -1;
    for (idx p = first + 1; p < end && reduction != point_reduction::first; ++p) {
      const T other = x[point[p] * channels + c];
      if (reduction == point_reduction::mean) {
        value += other;
      } else if (!(other <= value) && value == value) { // a NaN is taken and stays
        value = other;
        from = point[p];
      }
    }
    if (reduction == point_reduction::mean && first < end) { value /= static_cast<T>(end - first); }
    y[i] = value;
    if (source != nullptr) { source[i] = from; }
  }
};

/// One thread per point and channel.
template <class T> struct voxel_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::voxel_features_gradient";
  const T* dy;
  const std::int32_t *begin, *point, *row_of_point, *source;
  idx points, channels;
  point_reduction reduction;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= points * channels) { return; }
    const idx p = i / channels, c = i % channels, v = row_of_point[p];
    T d(0);
    if (v >= 0) {
      d = dy[v * channels + c];
      if (reduction == point_reduction::mean) {
        d /= static_cast<T>(begin[v + 1] - begin[v]);
      } else if ((reduction == point_reduction::first ? point[begin[v]] : source[v * channels + c]) != p) {
        d = T(0);
      }
    }
    dx[i] = d;
  }
};

} // namespace sqs::sparse::detail

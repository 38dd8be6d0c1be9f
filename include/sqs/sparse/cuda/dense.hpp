// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse tensors from dense ones and back, in device memory: the twin of dense.hpp. [B, X, Y, Z, C], channels last.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/sites.hpp>

namespace sqs::sparse {

namespace detail {

/// The number of a key's cell in [B, X, Y, Z], row by row.
template <int D> SQS_HD idx cell_number(const packed_layout<D>& layout, key_type key) {
  idx n = layout.coordinate(key, 0);
  for (int a = 1; a <= D; ++a) { n = n * layout.extent[a] + layout.coordinate(key, a); }
  return n;
}

/// dense[cell] = the sum of the rows of the voxel, in their order; other cells stay. One thread per place in the order
/// of the keys and channel.
template <class T, int D> struct put_cells_kernel {
  static constexpr const char* name = "sqs::sparse::put_cells";
  packed_layout<D> layout;
  const key_type* key;
  const std::int32_t* order; ///< null: 0, 1, 2, ...
  const site_status* status;
  const T* x;
  idx capacity, channels;
  T* dense;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity * channels) { return; }
    const idx at = i / channels, c = i % channels, rows = status->rows;
    if (at >= rows || key[at] >= layout.outside || (at > 0 && key[at - 1] == key[at])) { return; }
    T sum(0);
    for (idx p = at; p < rows && key[p] == key[at]; ++p) {
      const T v = x[(order == nullptr ? p : order[p]) * channels + c];
      sum = p == at ? v : sum + v;
    }
    dense[cell_number(layout, key[at]) * channels + c] = sum;
  }
};

/// x[row] = dense[cell]; zero for rows that are nowhere.
template <class T, int D> struct get_cells_kernel {
  static constexpr const char* name = "sqs::sparse::get_cells";
  packed_layout<D> layout;
  const key_type* key;
  const std::int32_t* order;
  const site_status* status;
  const T* dense;
  idx capacity, channels;
  T* x;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity * channels) { return; }
    const idx at = i / channels, c = i % channels, row = order == nullptr ? at : order[at];
    const bool there = at < status->rows && key[at] < layout.outside;
    x[row * channels + c] = there ? dense[cell_number(layout, key[at]) * channels + c] : T(0);
  }
};

/// flag[cell] = 1 where a channel is not zero (NaN is not).
template <class T> struct cell_flags_kernel {
  static constexpr const char* name = "sqs::sparse::sites_of_nonzero";
  const T* dense;
  idx cells, channels;
  std::int32_t* flag;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= cells) { return; }
    bool any = false;
    for (idx c = 0; c < channels; ++c) { any = any || dense[i * channels + c] != T(0); }
    flag[i] = any ? 1 : 0;
  }
};
/// The keys of flagged cells, as many as there is room for. `place` is the scan of the flags.
template <int D> struct keep_cells_kernel {
  static constexpr const char* name = "sqs::sparse::sites_of_nonzero";
  packed_layout<D> layout;
  const std::int32_t *place, *total;
  idx cells, capacity;
  key_type* key;
  site_status* status;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i == 0) { *status = {*total < capacity ? *total : static_cast<std::int32_t>(capacity), *total, 0, 0}; }
    if (i >= cells || place[i] >= capacity || (i + 1 < cells ? place[i + 1] : *total) == place[i]) { return; }
    key_type k = 0;
    idx rest = i;
    for (int a = D; a >= 0; --a) {
      k |= layout.part(rest % layout.extent[a], a);
      rest /= layout.extent[a];
    }
    key[place[i]] = k;
  }
};

template <int D> extents<D + 2> device_dense_shape(const device_sites<D>& s, idx channels) {
  extents<D + 2> shape{};
  shape[0] = s.batches();
  std::copy(s.grid().begin(), s.grid().end(), shape.begin() + 1);
  shape[static_cast<std::size_t>(D) + 1] = channels;
  return shape;
}
template <class T, int D, device_executor E>
tensor<T, D + 2, device> cells_of_rows(E& e, const device_sites<D>& s, const tensor<T, 2, device>& x) {
  auto y = zeros<T, D + 2>(e, device_dense_shape(s, x.extent(1)));
  launch(e, grid_blocks(x.size()), grid_threads,
         put_cells_kernel<T, D>{packed_layout<D>(s.layout), s.key.data(), s.order_data(), s.status.data(), x.data(),
                                s.capacity, x.extent(1), y.data()});
  return y;
}
template <class T, int D, device_executor E>
tensor<T, 2, device> rows_of_cells(E& e, const device_sites<D>& s, const tensor<T, D + 2, device>& dense) {
  const idx c = dense.extent(D + 1);
  auto x = empty<T, 2>(e, {s.capacity, c});
  launch(e, grid_blocks(x.size()), grid_threads,
         get_cells_kernel<T, D>{packed_layout<D>(s.layout), s.key.data(), s.order_data(), s.status.data(), dense.data(),
                                s.capacity, c, x.data()});
  return x;
}

/// Sites of the cells of [B, X, Y, Z] with a number in some channel that is not zero.
template <int D, device_executor E, class T>
device_sites<D> device_sites_where(E& e, const T* dense, const std::array<idx, std::size_t(D) + 1>& shape, idx channels,
                                   idx capacity, const char* where) {
  std::array<idx, static_cast<std::size_t>(D)> grid{};
  std::copy_n(shape.begin() + 1, D, grid.begin());
  const key_layout<D> layout(grid, shape[0]);
  const idx cells = element_count(shape), room = capacity > 0 ? capacity : cells;
  check_row_count(cells, where);
  auto place = empty<std::int32_t, 1>(e, {cells}), total = empty<std::int32_t, 1>(e, {1});
  launch(e, grid_blocks(cells), grid_threads, cell_flags_kernel<T>{dense, cells, channels, place.data()});
  exclusive_scan(e, place.data(), place.data(), cells, total.data());
  const packed_layout<D> packed(layout);
  device_sites<D> s{layout, room, full<key_type, 1>(e, {room}, packed.outside | 1), {}, empty<site_status, 1>(e, {1})};
  launch(e, grid_blocks(cells), grid_threads,
         keep_cells_kernel<D>{packed, place.data(), total.data(), cells, room, s.key.data(), s.status.data()});
  return s;
}

} // namespace detail

/// y[b, x, y, z] = the row at that site, zero where there is none; rows that share a voxel are added. See
/// `to_dense_op`.
///
/// Shapes      x [N, C] -> y [B, X, Y, Z, C] (as many axes as the sites have)
/// Gradient    x; zero in rows that do not exist
/// Errors      precondition_error if x has another number of rows than there is room for sites.
/// Execution   Nothing waits for the device, no atomics. So for all of this file.
template <int D> struct device_to_dense_op {
  device_sites<D> at;
  struct saved {
    idx channels;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_to_dense_op");
    expects(x.extent(0) == at.capacity, "sqs::sparse::device_to_dense_op: x has ", x.extent(0),
            " rows, the sites room for ", at.capacity, "; give one row per site");
    return result{detail::cells_of_rows(e, at, x), saved{x.extent(1)}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, D + 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_to_dense_op (backward)");
    const auto shape = detail::device_dense_shape(at, s.channels);
    expects(dy.shape() == shape, "sqs::sparse::device_to_dense_op: the gradient of y is [",
            detail::extents_text(dy.shape()), "], y [", detail::extents_text(shape), "]; give a gradient of y's shape");
    return detail::rows_of_cells(e, at, dy);
  }
};

/// y[i] = x[b, x, y, z] of site i. The transpose of `device_to_dense_op`.
///
/// Shapes      x [B, X, Y, Z, C] -> y [N, C]; rows that do not exist become zero
/// Gradient    x
/// Errors      precondition_error if x has other extents than the sites' grid.
template <int D> struct device_from_dense_op {
  device_sites<D> at;
  struct saved {
    idx channels;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, D + 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_from_dense_op");
    const auto shape = detail::device_dense_shape(at, x.extent(D + 1));
    expects(x.shape() == shape, "sqs::sparse::device_from_dense_op: x is [", detail::extents_text(x.shape()),
            "], the sites need [", detail::extents_text(shape), "]; give a volume of the sites' batches and grid");
    return result{detail::rows_of_cells(e, at, x), saved{x.extent(D + 1)}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_from_dense_op (backward)");
    detail::require_device_gradient("device_from_dense_op", dy, at.capacity, s.channels);
    return detail::cells_of_rows(e, at, dy);
  }
};

/// Sites where a volume has a channel that is not zero (NaN is not), in order of the keys. No gradient: sites are a
/// choice. `capacity`: of the sites; 0: as many as cells.
///
/// Shapes      volume [B, X, Y, Z, C]
/// Errors      precondition_error for 2^31 cells or more; too little capacity is told by `check_sites`.
/// Cost        A pass over the volume and a scan of its cells.
template <device_executor E, class T, int R>
device_sites<R - 2> sites_of_nonzero(E& e, const tensor<T, R, device>& volume, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::sites_of_nonzero");
  static_assert(R >= 3 && R <= 6, "sqs::sparse::sites_of_nonzero: give [B, 1 to 4 axes, C]");
  std::array<idx, static_cast<std::size_t>(R) - 1> shape{};
  std::copy_n(volume.shape().begin(), R - 1, shape.begin());
  return detail::device_sites_where<R - 2>(e, volume.data(), shape, volume.extent(R - 1), capacity, "sites_of_nonzero");
}
/// Sites where a mask is not zero, in order of the keys; see above.
///
/// Shapes      mask [B, X, Y, Z]
template <device_executor E, int R>
device_sites<R - 1> sites_of_mask(E& e, const tensor<std::uint8_t, R, device>& mask, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::sites_of_mask");
  static_assert(R >= 2 && R <= 5, "sqs::sparse::sites_of_mask: give [B, 1 to 4 axes]");
  return detail::device_sites_where<R - 1>(e, mask.data(), mask.shape(), 1, capacity, "sites_of_mask");
}

} // namespace sqs::sparse

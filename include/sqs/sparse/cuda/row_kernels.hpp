// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Rows copied by a table of where they come from: what taking, putting back, joining and stacking rows have in common.

#include <sqs/sparse/cuda/site_kernels.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

/// A copy of columns: row i of `to` is row map[i] of `from`, zero where there is none. One thread per number.
template <class T> struct map_rows_kernel {
  static constexpr const char* name = "sqs::sparse::map_rows";
  const std::int32_t* map;   ///< [rows]; null: i
  const site_status* status; ///< of the rows of `to` that exist; null: all
  const T* from;             ///< first column
  idx from_rows, from_stride;
  T* to; ///< first column
  idx rows, to_stride, channels;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= rows * channels) { return; }
    const idx row = i / channels, c = i % channels, source = map == nullptr ? row : map[row];
    const bool there = source >= 0 && source < from_rows && (status == nullptr || row < status->rows);
    to[row * to_stride + c] = there ? from[source * from_stride + c] : T(0);
  }
};

/// y[i] = x[map[i]], zero where there is none.
template <class T, device_executor E> tensor<T, 2, device> mapped_rows(E& e, const tensor<std::int32_t, 1, device>& map,
                                                                       const tensor<T, 2, device>& x, idx rows) {
  const idx c = x.extent(1);
  auto y = empty<T, 2>(e, {rows, c});
  launch(e, grid_blocks(y.size()), grid_threads,
         map_rows_kernel<T>{map.data(), nullptr, x.data(), x.extent(0), c, y.data(), rows, c, c});
  return y;
}

/// The inverse of a map that names no row twice: inverse[map[i]] = i.
struct invert_map_kernel {
  static constexpr const char* name = "sqs::sparse::invert_map";
  const std::int32_t* map;
  idx n, rows;
  std::int32_t* inverse; ///< [rows], -1 before

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < n && map[i] >= 0 && map[i] < rows) { inverse[map[i]] = static_cast<std::int32_t>(i); }
  }
};

/// The row every entry of a map names as a key, `rows` where it names none; and the number of the entry.
struct map_keys_kernel {
  static constexpr const char* name = "sqs::sparse::take_rows";
  const std::int32_t* map;
  idx n, rows;
  std::uint32_t* key;
  std::int32_t* entry;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const bool there = map[i] >= 0 && map[i] < rows;
    key[i] = there ? static_cast<std::uint32_t>(map[i]) : static_cast<std::uint32_t>(rows);
    entry[i] = static_cast<std::int32_t>(i);
  }
};

/// The first i in [0, n) with key[i] >= sought. Keys ascend.
SQS_HD inline idx first_key_of(const std::uint32_t* key, idx n, std::uint32_t sought) {
  idx first = 0, last = n;
  while (first < last) {
    const idx middle = first + (last - first) / 2;
    if (key[middle] < sought) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

/// dx[row] = the sum of dy over the entries that name the row, in their order.
template <class T> struct summed_rows_kernel {
  static constexpr const char* name = "sqs::sparse::take_rows_gradient";
  const std::uint32_t* key; ///< [n] ascending
  const std::int32_t* entry;
  const T* dy;
  idx n, rows, channels;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= rows * channels) { return; }
    const idx row = i / channels, c = i % channels;
    const auto sought = static_cast<std::uint32_t>(row);
    T sum(0);
    for (idx p = first_key_of(key, n, sought); p < n && key[p] == sought; ++p) { sum += dy[entry[p] * channels + c]; }
    dx[i] = sum;
  }
};

} // namespace sqs::sparse::detail

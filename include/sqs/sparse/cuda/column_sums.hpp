// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sums over the rows of a matrix on a device, column by column: ranges of rows have sums of their own, which are
/// joined in order and in double. The same bits in every run.

#include <sqs/sparse/cuda/site_kernels.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

inline constexpr idx device_range_rows = 256; ///< whose sums are kept apart
inline constexpr int device_block_rows = 32;  ///< of those, whose sum is taken first: fp32 stays accurate

/// How many rows exist: all of them where there is no status.
SQS_HD inline idx rows_of(const site_status* status, idx rows) { return status == nullptr ? rows : status->rows; }

/// Sums of `term(row, column)` over ranges of rows: one thread per range and column.
///
/// `Term` is a plain struct with `SQS_DEVICE T operator()(idx row, idx column) const`.
template <class T, class Term> struct column_sums_kernel {
  static constexpr const char* name = "sqs::sparse::column_sums";
  Term term;
  const site_status* status; ///< null: all rows exist
  idx rows, columns;
  T* partial; ///< [ranges, columns]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), range = i / columns, column = i % columns, existing = rows_of(status, rows);
    if (range * device_range_rows >= rows) { return; }
    T total = 0;
    for (idx first = range * device_range_rows, b = 0; b < device_range_rows; b += device_block_rows) {
      T sum = 0;
      for (idx r = first + b; r < first + b + device_block_rows && r < existing; ++r) { sum += term(r, column); }
      total += sum;
    }
    partial[i] = total;
  }
};

/// The ranges' sums in order, in double.
template <class T> struct join_sums_kernel {
  static constexpr const char* name = "sqs::sparse::join_sums";
  const T* partial; ///< [ranges, columns]
  idx ranges, columns;
  T* total; ///< [columns]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx j = thread_of_grid(t);
    if (j >= columns) { return; }
    double sum = 0;
    for (idx r = 0; r < ranges; ++r) { sum += static_cast<double>(partial[r * columns + j]); }
    total[j] = static_cast<T>(sum);
  }
};

/// sum[j] = the sum of term(row, j) over the rows that exist.
template <class T, device_executor E, class Term>
tensor<T, 1, device> column_sums(E& e, const Term& term, const site_status* status, idx rows, idx columns) {
  const idx ranges = (rows + device_range_rows - 1) / device_range_rows;
  auto partial = empty<T, 2>(e, {ranges, columns});
  auto total = empty<T, 1>(e, {columns});
  launch(e, grid_blocks(ranges * columns), grid_threads,
         column_sums_kernel<T, Term>{term, status, rows, columns, partial.data()});
  launch(e, grid_blocks(columns), grid_threads, join_sums_kernel<T>{partial.data(), ranges, columns, total.data()});
  return total;
}

/// d[row, column]
template <class X, class T> struct element_term {
  const X* d;
  idx columns;
  SQS_DEVICE T operator()(idx row, idx column) const { return static_cast<T>(d[row * columns + column]); }
};

} // namespace sqs::sparse::detail

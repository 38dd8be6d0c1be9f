// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels of norms on a device: moments of columns, maps from rows to rows, moments of a row by one warp.

#include <sqs/sparse/cuda/column_sums.hpp>

#include <cmath>

namespace sqs::sparse::detail {

/// Mean and sum of squared deviations of ranges of rows: one thread per range and column, rows read twice.
template <class T> struct range_moments_kernel {
  static constexpr const char* name = "sqs::sparse::batch_norm";
  const T* x;
  const site_status* status;
  idx rows, columns;
  T *mean, *square; ///< [ranges, columns]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), range = i / columns, column = i % columns, first = range * device_range_rows;
    if (first >= rows) { return; }
    const idx existing = rows_of(status, rows);
    const idx end = first + device_range_rows < existing ? first + device_range_rows : existing;
    const T count = static_cast<T>(end > first ? end - first : 1);
    const T middle = sum(first, end, column, T(0), false) / count;
    mean[i] = middle;
    square[i] = sum(first, end, column, middle, true);
  }

private:
  /// Of x - centre or of its square; sums of 32 rows first.
  SQS_DEVICE T sum(idx first, idx end, idx column, T centre, bool squared) const {
    T total = 0;
    for (; first < end; first += device_block_rows) {
      T part = 0;
      for (idx r = first; r < first + device_block_rows && r < end; ++r) {
        const T d = x[r * columns + column] - centre;
        part += squared ? d * d : d;
      }
      total += part;
    }
    return total;
  }
};

/// Joins the moments of ranges, in order and in double; and the factor of the norm.
///
/// Source      Chan, Golub, LeVeque 1979.
template <class T> struct join_moments_kernel {
  static constexpr const char* name = "sqs::sparse::batch_norm";
  const T *means, *squares, *gain;
  const site_status* status;
  idx rows, columns;
  T eps;
  T *mean, *variance, *scale; ///< [columns]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::sqrt;
    const idx j = thread_of_grid(t), existing = rows_of(status, rows);
    if (j >= columns) { return; }
    double count = 0, m = 0, s = 0;
    for (idx p = 0; p * device_range_rows < existing; ++p) {
      const idx left = existing - p * device_range_rows;
      const double more = static_cast<double>(left < device_range_rows ? left : device_range_rows);
      const double all = count + more, share = more / all, gap = static_cast<double>(means[p * columns + j]) - m;
      s += static_cast<double>(squares[p * columns + j]) + gap * gap * (count * share);
      m += gap * share;
      count = all;
    }
    const T v = static_cast<T>(s / (count > 1 ? count : 1));
    mean[j] = static_cast<T>(m);
    variance[j] = v;
    scale[j] = gain[j] / sqrt(v + eps);
  }
};

/// y = (x - centre) scale + shift in rows that exist, zero in the others; centre null: 0.
template <class T> struct scale_rows_kernel {
  static constexpr const char* name = "sqs::sparse::scale_rows";
  const T *x, *centre, *scale, *shift;
  const site_status* status;
  idx rows, columns;
  T* y;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= rows * columns) { return; }
    const idx j = i % columns;
    const T v = centre == nullptr ? x[i] : x[i] - centre[j], s = shift == nullptr ? T(0) : shift[j];
    y[i] = i / columns < rows_of(status, rows) ? v * scale[j] + s : T(0);
  }
};

/// d[row, j] (x[row, j] - centre[j]); centre null: 0.
template <class T> struct centred_product_term {
  const T *x, *d, *centre;
  idx columns;
  SQS_DEVICE T operator()(idx row, idx j) const {
    const T v = x[row * columns + j];
    return d[row * columns + j] * (centre == nullptr ? v : v - centre[j]);
  }
};

/// What the way back of a batch norm takes of x, of dy and as a constant; and the gradient of the gain.
template <class T> struct batch_norm_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::batch_norm_gradient";
  const T *gain, *variance, *sum, *product, *dmean, *dvariance; ///< sum of dy, of dy (x - mean)
  const site_status* status;
  idx rows, columns;
  T eps;
  T *dgain, *of_dy, *of_x, *constant;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::sqrt;
    const idx j = thread_of_grid(t), existing = rows_of(status, rows);
    if (j >= columns) { return; }
    const T n = static_cast<T>(existing > 1 ? existing : 1);
    const T factor = T(1) / sqrt(variance[j] + eps), scale = gain[j] * factor;
    dgain[j] = product[j] * factor;
    of_dy[j] = scale;
    of_x[j] = (2 * dvariance[j] - scale * factor * factor * product[j]) / n;
    constant[j] = (dmean[j] - scale * sum[j]) / n;
  }
};

/// y = of_d d + of_x (x - centre) + constant in rows that exist, zero in the others.
template <class T> struct combine_rows_kernel {
  static constexpr const char* name = "sqs::sparse::batch_norm_gradient";
  const T *x, *centre, *d, *of_x, *of_d, *constant;
  const site_status* status;
  idx rows, columns;
  T* y;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= rows * columns) { return; }
    const idx j = i % columns;
    y[i] = i / columns < rows_of(status, rows) ? of_d[j] * d[i] + of_x[j] * (x[i] - centre[j]) + constant[j] : T(0);
  }
};

/// The running statistics take a share of those of the batch, the variance without its bias.
template <class T> struct update_statistics_kernel {
  static constexpr const char* name = "sqs::sparse::update_statistics";
  const T *mean, *variance;
  const site_status* status;
  idx rows, columns;
  T momentum;
  T *running_mean, *running_variance;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx j = thread_of_grid(t), existing = rows_of(status, rows);
    if (j >= columns || existing == 0) { return; }
    running_mean[j] += momentum * (mean[j] - running_mean[j]);
    if (existing == 1) { return; }
    const T unbiased = static_cast<T>(existing) / static_cast<T>(existing - 1);
    running_variance[j] += momentum * (variance[j] * unbiased - running_variance[j]);
  }
};

/// scale = gain / sqrt(variance + eps), shift = bias - mean scale.
template <class T> struct fold_norm_kernel {
  static constexpr const char* name = "sqs::sparse::folded_batch_norm";
  const T *gain, *bias, *mean, *variance;
  idx columns;
  T eps;
  T *scale, *shift;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::sqrt;
    const idx j = thread_of_grid(t);
    if (j >= columns) { return; }
    scale[j] = gain[j] * (T(1) / sqrt(variance[j] + eps));
    shift[j] = bias[j] - mean[j] * scale[j];
  }
};

/// The way back to gain and bias. dbias is dshift.
template <class T> struct fold_norm_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::folded_batch_norm (backward)";
  const T *mean, *variance, *dscale, *dshift;
  idx columns;
  T eps;
  T* dgain;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::sqrt;
    const idx j = thread_of_grid(t);
    if (j >= columns) { return; }
    dgain[j] = (dscale[j] - mean[j] * dshift[j]) * (T(1) / sqrt(variance[j] + eps));
  }
};

/// Group norm of each row: one warp per row and group.
template <class T> struct row_norm_kernel {
  static constexpr const char* name = "sqs::sparse::voxel_group_norm";
  const T *x, *gain, *bias;
  const site_status* status;
  idx rows, columns, groups;
  T eps;
  T *y, *mean, *factor; ///< [rows, columns], [rows, groups] both

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    using std::sqrt;
    const idx task = thread_of_grid(t) / warp_size, row = task / groups, width = columns / groups;
    const int lane = t.thread() % warp_size;
    if (row >= rows) { return; } // the whole warp
    const idx first = task % groups * width;
    const T *const in = x + row * columns + first, n = static_cast<T>(width);
    T sum = 0, squares = 0;
    for (idx j = lane; j < width; j += warp_size) { sum += in[j]; }
    const T m = warp_sum(t, sum) / n;
    for (idx j = lane; j < width; j += warp_size) { squares += (in[j] - m) * (in[j] - m); }
    const T f = T(1) / sqrt(warp_sum(t, squares) / n + eps);
    const bool exists = row < rows_of(status, rows);
    for (idx j = lane; j < width; j += warp_size) {
      y[row * columns + first + j] = exists ? (in[j] - m) * f * gain[first + j] + bias[first + j] : T(0);
    }
    if (lane == 0) {
      mean[task] = m;
      factor[task] = f;
    }
  }
};
template <class T> struct row_norm_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::voxel_group_norm_gradient";
  const T *x, *gain, *mean, *factor, *dy;
  const site_status* status;
  idx rows, columns, groups;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx task = thread_of_grid(t) / warp_size, row = task / groups, width = columns / groups;
    const int lane = t.thread() % warp_size;
    if (row >= rows) { return; } // the whole warp
    const idx first = task % groups * width, at = row * columns + first;
    const T m = mean[task], f = factor[task], n = static_cast<T>(width);
    T sum = 0, product = 0; // of the gradient before the gain, and with the normalised input
    for (idx j = lane; j < width; j += warp_size) {
      const T d = dy[at + j] * gain[first + j];
      sum += d;
      product += d * ((x[at + j] - m) * f);
    }
    sum = warp_sum(t, sum) / n;
    product = warp_sum(t, product) / n;
    const bool exists = row < rows_of(status, rows);
    for (idx j = lane; j < width; j += warp_size) {
      const T d = f * (dy[at + j] * gain[first + j] - sum - (x[at + j] - m) * f * product);
      dx[at + j] = exists ? d : T(0);
    }
  }
};
/// dy times the normalised input.
template <class T> struct normalised_product_term {
  const T *x, *dy, *mean, *factor;
  idx columns, groups;
  SQS_DEVICE T operator()(idx row, idx j) const {
    const idx i = row * columns + j, g = row * groups + j / (columns / groups);
    return dy[i] * ((x[i] - mean[g]) * factor[g]);
  }
};

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels of interpolation on a device: the rows around a position and their weights, weighted sums of rows, and
/// both ways back.

#include <sqs/sparse/cuda/site_kernels.hpp>
#include <sqs/sparse/interpolate.hpp>

#include <cmath>

namespace sqs::sparse::detail {

/// The 2^D cells around a position; `corner_box` for kernels. Corner k is the cell base + (bits of k, the highest for
/// the first axis).
template <class T, int D> struct packed_corners {
  static constexpr int count = 1 << D;
  idx base[D];
  T part[D];   ///< position = base + part
  T slope[D];  ///< d position / d point
  bool inside; ///< some corner may be a cell of the grid

  SQS_HD static int bit(int k, int axis) { return k >> (D - 1 - axis) & 1; }
  SQS_HD T weight(int k) const { return product(k, D); }
  /// d weight / d point along one axis.
  SQS_HD T weight_slope(int k, int axis) const {
    return (bit(k, axis) == 1 ? slope[axis] : -slope[axis]) * product(k, axis);
  }

private:
  SQS_HD T product(int k, int but) const {
    T w(1);
    for (int a = 0; a < D; ++a) {
      if (a != but) { w *= bit(k, a) == 1 ? part[a] : T(1) - part[a]; }
    }
    return w;
  }
};

/// The cells that positions may be near.
template <int D> struct packed_box {
  idx extent[D];
  bool clamped; ///< positions beyond the middles of the outermost cells are moved there

  packed_box() = default;
  SQS_HD explicit packed_box(const packed_layout<D>& l) : clamped(false) {
    for (int a = 0; a < D; ++a) { extent[a] = l.extent[a + 1]; }
  }
};

/// `grid_map` for kernels.
template <int D> struct packed_map {
  double scale[D], shift[D];
  explicit packed_map(const grid_map<D>& m) {
    for (int a = 0; a < D; ++a) {
      scale[a] = m.scale[static_cast<std::size_t>(a)], shift[a] = m.shift[static_cast<std::size_t>(a)];
    }
  }
  /// In double, and what only rounding keeps from the middle of a cell is there: as on the host.
  template <class T, class P> SQS_DEVICE packed_corners<T, D> around(const P* point, const packed_box<D>& grid) const {
    using std::abs, std::floor, std::round;
    packed_corners<T, D> box{};
    box.inside = true;
    for (int a = 0; a < D && box.inside; ++a) {
      const auto most = static_cast<double>(grid.extent[a] - 1);
      double p = scale[a] * static_cast<double>(point[a]) + shift[a];
      box.slope[a] = static_cast<T>(scale[a]);
      if (grid.clamped && (p < 0 || p > most)) {
        p = p < 0 ? 0 : most;
        box.slope[a] = T(0);
      }
      const double middle = round(p);
      if (abs(p - middle) < 1e-14 * (1 + abs(p))) { p = middle; }
      const double below = floor(p);
      box.inside = below >= -1 && below <= most;
      if (!box.inside) { break; }
      box.base[a] = static_cast<idx>(below);
      box.part[a] = static_cast<T>(p - below);
    }
    return box;
  }
};

/// Rows and weights of every output: one thread each. P: the type of the coordinates.
template <class T, int D, class P> struct corner_terms_kernel {
  static constexpr const char* name = "sqs::sparse::interpolation";
  packed_layout<D> layout;
  packed_map<D> map;
  interpolation_rule rule;
  const key_type* key;
  const std::int32_t* order;
  const site_status* status;
  const P* point;            ///< coordinates of output i from point[i stride] on
  const std::int32_t* batch; ///< batch[i batch_stride]; null: 0
  idx stride, batch_stride, outputs;
  std::int32_t* source; ///< [outputs, terms]
  T* weight;            ///< [outputs, terms]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    constexpr int count = packed_corners<T, D>::count;
    const idx i = thread_of_grid(t);
    if (i >= outputs) { return; }
    const auto box = map.template around<T>(point + i * stride, packed_box<D>(layout));
    const idx item = batch == nullptr ? 0 : batch[i * batch_stride];
    T w[count] = {};
    std::int32_t row[count];
    for (int k = 0; k < count; ++k) { row[k] = -1; }
    if (box.inside && layout.holds(item, 0)) {
      for (int line = 0; line < count / 2; ++line) { find_line(item, box, line, row); }
      for (int k = 0; k < count; ++k) { w[k] = box.weight(k); }
      apply(w, row);
    }
    const int terms = rule.kind == interpolation::nearest ? 1 : count;
    for (int k = 0; k < terms; ++k) {
      source[i * terms + k] = row[k];
      weight[i * terms + k] = w[k];
    }
  }

private:
  /// The two corners of a line along the last axis.
  SQS_DEVICE void find_line(idx item, const packed_corners<T, D>& box, int line, std::int32_t* row) const {
    key_type first = layout.part(item, 0);
    for (int a = 0; a + 1 < D; ++a) {
      const idx c = box.base[a] + packed_corners<T, D>::bit(2 * line, a);
      if (!layout.holds(c, a + 1)) { return; }
      first |= layout.part(c, a + 1);
    }
    idx place = -1;
    for (int z = 0; z < 2; ++z) {
      const idx c = box.base[D - 1] + z;
      if (!layout.holds(c, D)) { continue; }
      const key_type sought = first | layout.part(c, D);
      place = place < 0 ? first_not_below(key, 0, status->rows, sought)
                        : first_not_below_near(key, place, status->rows, sought);
      if (place < status->rows && key[place] == sought) {
        row[2 * line + z] = order == nullptr ? static_cast<std::int32_t>(place) : order[place];
      }
    }
  }
  /// As `apply_rule` on the host.
  SQS_DEVICE void apply(T* w, std::int32_t* row) const {
    constexpr int count = packed_corners<T, D>::count;
    const bool present_only = rule.missing == missing_neighbours::renormalise;
    if (rule.kind == interpolation::nearest) {
      int best = count;
      for (int k = 0; k < count; ++k) {
        if (present_only && row[k] < 0) { continue; }
        if (best == count ? w[k] > T(0) : w[k] > w[best]) { best = k; }
      }
      row[0] = best < count ? row[best] : -1;
      w[0] = row[0] < 0 ? T(0) : T(1);
      return;
    }
    T sum(0);
    for (int k = 0; k < count; ++k) { sum += row[k] < 0 ? T(0) : w[k]; }
    for (int k = 0; k < count; ++k) {
      if (row[k] < 0) {
        w[k] = T(0);
      } else if (present_only && sum > T(0)) {
        w[k] /= sum;
      }
    }
  }
};

/// y[i] = the sum over the terms of output i of weight x[source]: one thread per output and channel.
template <class T> struct mixed_rows_kernel {
  static constexpr const char* name = "sqs::sparse::mixed_rows";
  const std::int32_t* source;
  const T *weight, *x;
  idx outputs, terms, channels;
  T* y;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= outputs * channels) { return; }
    const idx out = i / channels, c = i % channels;
    T sum(0);
    for (idx n = out * terms; n < (out + 1) * terms; ++n) { // a weight of zero is no term: x may be infinite there
      if (source[n] >= 0 && weight[n] != T(0)) { sum += weight[n] * x[source[n] * channels + c]; }
    }
    y[i] = sum;
  }
};

/// The source of every term as a key, `inputs` for what is no term; and the number of the term.
template <class T> struct term_keys_kernel {
  static constexpr const char* name = "sqs::sparse::group_terms";
  const std::int32_t* source;
  const T* weight;
  idx n, inputs;
  std::uint32_t* key;
  std::int32_t* entry;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const bool counts = source[i] >= 0 && weight[i] != T(0);
    key[i] = static_cast<std::uint32_t>(counts ? source[i] : static_cast<std::int32_t>(inputs));
    entry[i] = static_cast<std::int32_t>(i);
  }
};

/// dx[row] = the sum over the terms with this source of weight dy[out], in order of the outputs.
template <class T> struct unmixed_rows_kernel {
  static constexpr const char* name = "sqs::sparse::unmixed_rows";
  const std::uint32_t* key; ///< [n] ascending
  const std::int32_t* entry;
  const T *weight, *dy;
  idx n, inputs, terms, channels;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= inputs * channels) { return; }
    const idx row = i / channels, c = i % channels;
    T sum(0);
    for (idx p = first_of(static_cast<std::uint32_t>(row)); p < n && key[p] == static_cast<std::uint32_t>(row); ++p) {
      sum += weight[entry[p]] * dy[entry[p] / terms * channels + c];
    }
    dx[i] = sum;
  }

private:
  SQS_DEVICE idx first_of(std::uint32_t row) const {
    idx first = 0, last = n;
    while (first < last) {
      const idx middle = first + (last - first) / 2;
      if (key[middle] < row) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    return first;
  }
};

/// The gradient of points through the weights: one warp per point.
template <class T, int D> struct point_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::point_gradient";
  packed_box<D> grid;
  packed_map<D> map;
  bool shared; ///< weights were divided by their sum
  const std::int32_t* source;
  const T *weight, *x, *dy, *point;
  idx outputs, channels;
  T* dpoint; ///< [outputs, D]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    constexpr int count = packed_corners<T, D>::count;
    const idx i = thread_of_grid(t) / warp_size;
    const int lane = t.thread() % warp_size;
    if (i >= outputs) { return; } // the whole warp
    const auto box = map.template around<T>(point + i * D, grid);
    T dw[count] = {}, sum(0), mean(0), gradient[D] = {};
    for (int k = 0; k < count; ++k) {
      const std::int32_t row = box.inside ? source[i * count + k] : -1;
      T dot(0);
      for (idx c = lane; c < channels && row >= 0; c += warp_size) {
        dot += dy[i * channels + c] * x[row * channels + c];
      }
      dw[k] = warp_sum(t, dot);
      sum += row < 0 ? T(0) : box.weight(k);
      mean += row < 0 ? T(0) : weight[i * count + k] * dw[k];
    }
    for (int k = 0; k < count && !(shared && !(sum > T(0))); ++k) {
      if (!box.inside || source[i * count + k] < 0) { continue; }
      const T slope = shared ? (dw[k] - mean) / sum : dw[k];
      for (int a = 0; a < D; ++a) { gradient[a] += slope * box.weight_slope(k, a); }
    }
    if (lane == 0) {
      for (int a = 0; a < D; ++a) { dpoint[i * D + a] = gradient[a]; }
    }
  }
};

} // namespace sqs::sparse::detail

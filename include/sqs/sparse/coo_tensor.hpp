// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A sparse tensor: sites and a row of features at each; and rows taken from one.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/sites.hpp>

#include <algorithm>
#include <functional>

namespace sqs::sparse {

/// Features at sites. Copies share everything.
///
/// Shapes      features [N, C], row i at row i of the sites
template <class T, int D = 3> struct coo_tensor {
  sites<D> at;
  tensor<T, 2> features;

  idx rows() const { return at.rows; }
  idx channels() const { return features.extent(1); }
};

/// Joins sites and features.
///
/// Errors      precondition_error if their numbers of rows differ.
template <class T, int D> coo_tensor<T, D> make_coo_tensor(sites<D> at, tensor<T, 2> features) {
  expects(features.extent(0) == at.rows, "sqs::sparse::make_coo_tensor: ", features.extent(0), " rows of features for ",
          at.rows, " sites; give one row per site");
  return {std::move(at), std::move(features)};
}

namespace detail {
template <class T, class F> void copy_rows(cpu& e, const tensor<T, 2>& from, tensor<T, 2>& to, idx count, F&& which) {
  const idx c = from.extent(1);
  parallel_for(e, count, 1 << 10, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      const auto [source, target] = which(i);
      std::copy_n(from.data() + source * c, c, to.data() + target * c);
    }
  });
}
} // namespace detail

/// y[i] = x[rows[i]].
///
/// Shapes      x [N, C], rows [M] -> y [M, C]
/// Gradient    x: zero in the rows that were not taken; the sum where one was taken more than once
/// Errors      precondition_error if a row does not exist.
struct take_rows_op {
  tensor<std::int32_t, 1> rows;
  struct saved {
    idx count;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    const idx n = x.extent(0);
    const idx bad =
        detail::first_index(e, rows.size(), [&](idx i) { return rows.data()[i] < 0 || rows.data()[i] >= n; });
    expects(bad == rows.size(), "sqs::sparse::take_rows_op: row ", bad < rows.size() ? rows.data()[bad] : 0, " of ", n,
            " does not exist; give rows of x");
    auto y = empty<T, 2>(e, {rows.size(), x.extent(1)});
    detail::copy_rows(e, x, y, rows.size(), [&](idx i) { return std::pair{idx{rows.data()[i]}, i}; });
    return result{std::move(y), saved{n}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    expects(dy.extent(0) == rows.size(), "sqs::sparse::take_rows_op: the gradient of y has ", dy.extent(0), " rows, y ",
            rows.size(), "; give a gradient of y's shape");
    const idx c = dy.extent(1);
    auto dx = zeros<T, 2>(e, {s.count, c});
    const bool ascending = std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>{}) == rows.end();
    if (ascending) { // as selections are: no row twice
      detail::copy_rows(e, dy, dx, rows.size(), [&](idx i) { return std::pair{i, idx{rows.data()[i]}}; });
      return dx;
    }
    for (idx i = 0; i < rows.size(); ++i) {
      T* const to = dx.data() + rows.data()[i] * c;
      for (idx j = 0; j < c; ++j) { to[j] += dy.data()[i * c + j]; }
    }
    return dx;
  }
};

/// Some rows of a set of sites: the sites of their own, and which rows they were.
template <int D> struct site_selection {
  sites<D> at;
  tensor<std::int32_t, 1> rows; ///< [M] row of the whole set, ascending
};

/// The sites for which `keep(row)` holds, in the order they had. Features follow with `take_rows_op{selection.rows}`.
///
/// Execution   `keep` is called at most twice per row, on any thread.
template <int D, class Keep> site_selection<D> select_sites(cpu& e, const sites<D>& s, Keep&& keep) {
  constexpr idx step = 1 << 12;
  auto before = empty<idx, 1>(e, {(s.rows + step - 1) / step});
  parallel_for(e, s.rows, step, [&](idx begin, idx end) {
    idx n = 0;
    for (idx i = begin; i < end; ++i) { n += keep(i) ? 1 : 0; }
    before.data()[begin / step] = n;
  });
  const idx count = exclusive_scan(e, before.data(), before.data(), before.size());
  auto rows = empty<std::int32_t, 1>(e, {count});
  parallel_for(e, s.rows, step, [&](idx begin, idx end) {
    idx to = before.data()[begin / step];
    for (idx i = begin; i < end; ++i) {
      if (keep(i)) { rows.data()[to++] = static_cast<std::int32_t>(i); }
    }
  });
  const auto all = s.coordinates(e);
  auto some = empty<std::int32_t, 2>(e, {count, D + 1});
  detail::copy_rows(e, all, some, count, [&](idx i) { return std::pair{idx{rows.data()[i]}, i}; });
  const auto sharing = s.shared() ? voxel_sharing::allowed : voxel_sharing::refused;
  return {make_sites<D>(e, some, s.grid(), s.batches(), sharing), std::move(rows)};
}

/// The sites of one batch item. The batch number stays what it was.
///
/// Errors      precondition_error if there is no such item.
template <int D> site_selection<D> slice_batch(cpu& e, const sites<D>& s, idx batch) {
  expects(batch >= 0 && batch < s.batches(), "sqs::sparse::slice_batch: batch ", batch, " of ", s.batches(),
          " does not exist; give 0 <= batch < batches");
  const auto c = s.coordinates(e);
  return select_sites(e, s, [&](idx row) { return c.data()[row * (D + 1)] == batch; });
}

} // namespace sqs::sparse

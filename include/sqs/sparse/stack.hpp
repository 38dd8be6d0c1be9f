// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse tensors one behind the other as the items of a batch.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>
#include <sqs/sparse/sites.hpp>

#include <algorithm>
#include <span>

namespace sqs::sparse {

namespace detail {

struct stack_size {
  idx rows = 0, batches = 0;
};
/// All rows and batch items of sites that are to be stacked. `rows_of`: their rows; on a device, those there is room for.
///
/// Errors      precondition_error if there is none, grids differ, or the rows are more than 2^31.
template <class Sites, class RowsOf> stack_size size_of_stack(std::span<const Sites> items, const RowsOf& rows_of) {
  expects(!items.empty(), "sqs::sparse::stack_sites: no sites; give at least one");
  stack_size n;
  idx item = 0;
  for (const auto& s : items) {
    expects(s.grid() == items[0].grid(), "sqs::sparse::stack_sites: item ", item, " has a grid of ",
            extents_text(s.grid()), ", item 0 has ", extents_text(items[0].grid()), "; they must agree");
    n.rows += rows_of(s), n.batches += s.batches(), ++item;
  }
  check_row_count(n.rows, "stack_sites");
  return n;
}
/// The shape of rows that are to be stacked, on the host or a device.
///
/// Errors      precondition_error if there is none or channels differ.
template <class Rows> extents<2> shape_of_stack(std::span<const Rows> items) {
  expects(!items.empty(), "sqs::sparse::stack_rows: no rows; give at least one tensor");
  const idx c = items[0].extent(1);
  idx rows = 0, item = 0;
  for (const auto& x : items) {
    expects(x.extent(1) == c, "sqs::sparse::stack_rows: item ", item, " has ", x.extent(1), " channels, item 0 has ", c,
            "; they must agree");
    rows += x.extent(0), ++item;
  }
  return {rows, c};
}

} // namespace detail

/// The sites of all inputs: the batch items and the rows of each follow those of the one before. Features follow with
/// `stack_rows_op` (or `stack_rows` for any number of them).
///
/// Errors      precondition_error if there is none, grids differ, or the rows are more than 2^31.
/// Execution   No sort: the keys of an item are above those of the one before.
template <int D> sites<D> stack_sites(cpu& e, std::span<const sites<D>> items) {
  const auto [rows, batches] = detail::size_of_stack(items, [](const sites<D>& s) { return s.rows; });
  const bool sorted = std::all_of(items.begin(), items.end(), [](const sites<D>& s) { return s.sorted(); });
  const detail::key_layout<D> layout(items[0].grid(), batches);
  auto keys = empty<detail::key_type, 1>(e, {rows});
  tensor<std::int32_t, 1> order;
  if (!sorted) { order = empty<std::int32_t, 1>(e, {rows}); }
  idx first = 0, batch = 0;
  for (const auto& s : items) {
    // The batch stands above all: other coordinates are where they were.
    parallel_for(e, s.rows, 1 << 14, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        keys.data()[first + i] = s.key.data()[s.voxel_at(i)] + layout.part(batch, 0);
        if (!sorted) { order.data()[first + i] = static_cast<std::int32_t>(first + s.row_at(i)); }
      }
    });
    first += s.rows, batch += s.batches();
  }
  return detail::sites_of_sorted_keys(e, layout, std::move(keys), std::move(order));
}

/// The rows of all inputs, one behind the other. No gradient; see `stack_rows_op`.
///
/// Shapes      [N0, C], [N1, C], ... -> [N0 + N1 + ..., C]
/// Errors      precondition_error if there is none or channels differ.
template <class T> tensor<T, 2> stack_rows(cpu& e, std::span<const tensor<T, 2>> items) {
  auto y = empty<T, 2>(e, detail::shape_of_stack(items));
  T* to = y.data();
  for (const auto& x : items) {
    parallel_for(e, x.size(), 1 << 15,
                 [&](idx begin, idx end) { std::copy(x.data() + begin, x.data() + end, to + begin); });
    to += x.size();
  }
  return y;
}

/// The rows of N inputs, one behind the other.
///
/// Shapes      x0 [N0, C], x1 [N1, C], ... -> y [N0 + N1 + ..., C]
/// Gradient    all inputs: parts of dy, shared with it and not copied
/// Errors      precondition_error if channels differ.
template <std::size_t N> struct stack_rows_op {
  struct saved {
    std::array<idx, N> rows;
  };
  template <class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(cpu& e, const tensor<T, 2>& x, const More&... more) const {
    const std::array<tensor<T, 2>, N> all{x, more...};
    saved s{};
    for (std::size_t k = 0; k < N; ++k) { s.rows[k] = all[k].extent(0); }
    return result{stack_rows<T>(e, all), s};
  }
  template <class T> auto backward(cpu&, const saved& s, const tensor<T, 2>& dy) const {
    idx rows = 0;
    for (const idx r : s.rows) { rows += r; }
    detail::require_gradient("stack_rows_op", dy, rows);
    std::array<tensor<T, 2>, N> dx;
    idx first = 0;
    for (std::size_t k = 0; k < N; first += s.rows[k++]) { dx[k] = dy.rows(first, first + s.rows[k]); }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }
};

} // namespace sqs::sparse

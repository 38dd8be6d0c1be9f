// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse tensors one behind the other as the items of a batch, in device memory: the twin of stack.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/row_kernels.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/stack.hpp>

#include <algorithm>
#include <span>
#include <tuple>

namespace sqs::sparse {

/// Sites of several inputs as one set, and where the rows of each begin: how many there are only the device knows.
template <int D> struct device_stacked_sites {
  device_sites<D> at;
  tensor<std::int32_t, 1, device> first; ///< [inputs + 1] row of the whole
};

namespace detail {

/// How many rows, and how many in the grid, stand before each input: by one thread, input after input.
struct stack_counts_kernel {
  static constexpr const char* name = "sqs::sparse::stack_sites";
  const site_status* status; ///< of input `item`
  idx item;
  std::int32_t *first, *inside; ///< [inputs + 1]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (thread_of_grid(t) != 0) { return; }
    if (item == 0) { first[0] = inside[0] = 0; }
    first[item + 1] = first[item] + status->rows;
    inside[item + 1] = inside[item] + status->rows - status->outside;
  }
};

/// The keys and rows of one input at their places: rows outside the grid stand behind all others.
struct stack_keys_kernel {
  static constexpr const char* name = "sqs::sparse::stack_sites";
  const key_type* key;
  const std::int32_t* order; ///< null: 0, 1, 2, ...
  const site_status* status;
  key_type added, outside; ///< the batch items before; above the keys of the whole
  idx capacity, item, items;
  const std::int32_t *first, *inside;
  key_type* to_key;
  std::int32_t* to_order; ///< null where no input has an order

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity || i >= status->rows) { return; }
    const idx mine = inside[item + 1] - inside[item];
    const bool in_grid = i < mine;
    const idx before_outside = inside[items] + (first[item] - inside[item]);
    const idx place = in_grid ? inside[item] + i : before_outside + (i - mine);
    to_key[place] = in_grid ? key[i] + added : outside;
    if (to_order != nullptr) {
      to_order[place] = first[item] + (order == nullptr ? static_cast<std::int32_t>(i) : order[i]);
    }
  }
};
/// The room behind the rows that exist, and the status: the sum of those of the inputs.
struct stack_rest_kernel {
  static constexpr const char* name = "sqs::sparse::stack_sites";
  const std::int32_t *first, *inside;
  idx capacity, items;
  key_type past;
  key_type* key;
  std::int32_t* order;
  site_status* status;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    const std::int32_t rows = first[items];
    if (i == 0) { *status = {rows, rows, rows - inside[items], 0}; }
    if (i >= capacity || i < rows) { return; }
    key[i] = past;
    if (order != nullptr) { order[i] = static_cast<std::int32_t>(i); }
  }
};
/// status->shared and status->wanted with what an input adds to them: by one thread.
struct stack_status_kernel {
  static constexpr const char* name = "sqs::sparse::stack_sites";
  const site_status* of;
  site_status* status;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (thread_of_grid(t) != 0) { return; }
    status->shared += of->shared;
    status->wanted += of->wanted - of->rows;
  }
};

/// Copies the rows of one input to their places in the whole, or back: zero in what does not exist.
template <class T> struct stack_rows_kernel {
  static constexpr const char* name = "sqs::sparse::stack_rows";
  const std::int32_t* first; ///< of this input and of the next
  const T* from;
  T* to;
  idx rows, channels; ///< of the input
  bool back;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= rows * channels) { return; }
    const bool there = i / channels < first[1] - first[0];
    const idx at = first[0] * channels + i;
    if (back) {
      to[i] = there ? from[at] : T(0);
    } else if (there) {
      to[at] = from[i];
    }
  }
};

} // namespace detail

/// The sites of all inputs: the batch items and the rows of each follow those of the one before, without gaps; there is
/// room for all the inputs have room for. Features follow with `device_stack_rows_op`.
///
/// Errors      precondition_error if there is none, grids differ, or there is room for 2^31 rows or more.
/// Execution   Nothing waits for the device. So for all of this file.
/// Cost        No sort: the keys of an item are above those of the one before. Two passes for every input.
template <int D, device_executor E> device_stacked_sites<D> stack_sites(E& e, std::span<const device_sites<D>> items) {
  const auto asking = detail::memory_for(e, "sqs::sparse::stack_sites");
  const auto [rows, batches] = detail::size_of_stack(items, [](const device_sites<D>& s) { return s.capacity; });
  const idx inputs = static_cast<idx>(items.size());
  const bool ordered = std::any_of(items.begin(), items.end(), [](const device_sites<D>& s) { return bool(s.order); });
  const detail::key_layout<D> layout(items[0].grid(), batches);
  const auto outside = detail::packed_layout<D>(layout).outside;
  device_stacked_sites<D> all{{layout, rows, empty<detail::key_type, 1>(e, {rows}), {}, empty<site_status, 1>(e, {1})},
                              empty<std::int32_t, 1>(e, {inputs + 1})};
  if (ordered) { all.at.order = empty<std::int32_t, 1>(e, {rows}); }
  auto inside = empty<std::int32_t, 1>(e, {inputs + 1});
  std::int32_t* const order = ordered ? all.at.order.data() : nullptr;
  for (idx i = 0; i < inputs; ++i) {
    launch(e, 1, warp_size,
           detail::stack_counts_kernel{items[static_cast<std::size_t>(i)].status.data(), i, all.first.data(),
                                       inside.data()});
  }
  launch(e, detail::grid_blocks(std::max<idx>(rows, 1)), detail::grid_threads,
         detail::stack_rest_kernel{all.first.data(), inside.data(), rows, inputs, outside | 1, all.at.key.data(), order,
                                   all.at.status.data()});
  idx batch = 0, i = 0;
  for (const auto& s : items) {
    // The batch stands above all: other coordinates are where they were.
    launch(e, detail::grid_blocks(s.capacity), detail::grid_threads,
           detail::stack_keys_kernel{s.key.data(), s.order_data(), s.status.data(), layout.part(batch, 0), outside,
                                     s.capacity, i++, inputs, all.first.data(), inside.data(), all.at.key.data(),
                                     order});
    launch(e, 1, warp_size, detail::stack_status_kernel{s.status.data(), all.at.status.data()});
    batch += s.batches();
  }
  return all;
}

/// The rows of all inputs, one behind the other as `first` of `device_stacked_sites` says; zero behind them. No
/// gradient; see `device_stack_rows_op`.
///
/// Shapes      [N0, C], [N1, C], ... -> [N0 + N1 + ..., C]
/// Errors      precondition_error if there is none, there are others than were stacked, or channels differ.
template <class T, device_executor E> tensor<T, 2, device> stack_rows(E& e, std::span<const tensor<T, 2, device>> items,
                                                                      const tensor<std::int32_t, 1, device>& first) {
  const auto asking = detail::memory_for(e, "sqs::sparse::stack_rows");
  const idx inputs = static_cast<idx>(items.size());
  const auto shape = detail::shape_of_stack(items);
  expects(first.size() == inputs + 1, "sqs::sparse::stack_rows: ", inputs, " tensors, but ", first.size() - 1,
          " sets of sites were stacked; give one each");
  auto y = zeros<T, 2>(e, shape);
  idx item = 0;
  for (const auto& x : items) {
    launch(e, detail::grid_blocks(x.size()), detail::grid_threads,
           detail::stack_rows_kernel<T>{first.data() + item++, x.data(), y.data(), x.extent(0), shape[1], false});
  }
  return y;
}

/// The rows of N inputs, one behind the other: see `stack_rows`.
///
/// Shapes      x0 [N0, C], x1 [N1, C], ... -> y [N0 + N1 + ..., C]; rows that do not exist become zero
/// Gradient    all inputs; skips those nobody wants
/// Errors      precondition_error if channels differ or N is not the number of sets of sites.
template <std::size_t N> struct device_stack_rows_op {
  tensor<std::int32_t, 1, device> first; ///< of `device_stacked_sites`

  struct saved {
    std::array<idx, N> rows;
    idx channels;
  };
  template <device_executor E, class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(E& e, const tensor<T, 2, device>& x, const More&... more) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_stack_rows_op");
    const std::array<tensor<T, 2, device>, N> all{x, more...};
    saved s{{}, x.extent(1)};
    for (std::size_t k = 0; k < N; ++k) { s.rows[k] = all[k].extent(0); }
    return result{stack_rows<T>(e, std::span<const tensor<T, 2, device>>(all), first), s};
  }
  template <device_executor E, class T>
  auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy, const std::array<bool, N>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_stack_rows_op (backward)");
    idx rows = 0;
    for (const idx r : s.rows) { rows += r; }
    detail::require_device_gradient("device_stack_rows_op", dy, rows, s.channels);
    std::array<tensor<T, 2, device>, N> dx;
    for (std::size_t k = 0; k < N; ++k) {
      if (!needs[k]) { continue; }
      dx[k] = empty<T, 2>(e, {s.rows[k], s.channels});
      launch(e, detail::grid_blocks(dx[k].size()), detail::grid_threads,
             detail::stack_rows_kernel<T>{first.data() + k, dy.data(), dx[k].data(), s.rows[k], s.channels, true});
    }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Union and intersection of sets of sites in device memory, and what becomes of the rows that meet: the twins of
/// join.hpp and combine.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/join_kernels.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/row_kernels.hpp>
#include <sqs/sparse/cuda/sites.hpp>

#include <tuple>

namespace sqs::sparse {

/// Which rows of N inputs meet in a row of the output; see `row_join`.
template <std::size_t N> struct device_row_join {
  idx rows = 0;                                         ///< of the output: there is room for
  std::array<idx, N> inputs{};                          ///< the same of the inputs
  std::array<tensor<std::int32_t, 1, device>, N> row{}; ///< [rows] row of each input, -1 if none. Empty: 0, 1, 2, ...
  std::array<tensor<std::int32_t, 1, device>, N> output{}; ///< [inputs] the way back, -1 if none
  tensor<site_status, 1, device> status;                   ///< of the output; not set: all rows exist

  detail::packed_join<N> packed() const {
    detail::packed_join<N> j{{}, status ? status.data() : nullptr};
    for (std::size_t k = 0; k < N; ++k) { j.row[k] = row[k] ? row[k].data() : nullptr; }
    return j;
  }
};

/// A join and the sites of its output.
template <int D, std::size_t N> struct device_site_join {
  device_sites<D> at;
  device_row_join<N> rows;
};

namespace detail {

template <int D> packed_sites packed(const device_sites<D>& s) {
  return {s.key.data(), s.order_data(), s.status.data(), packed_layout<D>(s.layout).outside};
}
template <int D, std::size_t N> using device_site_pointers = std::array<const device_sites<D>*, N>;

template <int D, std::size_t N> void check_joinable(const device_site_pointers<D, N>& s, const char* where) {
  for (std::size_t i = 0; i < N; ++i) {
    expects(s[i]->grid() == s[0]->grid() && s[i]->batches() == s[0]->batches(), "sqs::sparse::", where, ": input ", i,
            " has ", s[i]->batches(), " batches of a grid of ", extents_text(s[i]->grid()), ", input 0 has ",
            s[0]->batches(), " of ", extents_text(s[0]->grid()), "; bring both to the same grid first");
  }
}
template <int D, std::size_t N> bool same_handles(const device_site_pointers<D, N>& s) {
  return std::all_of(s.begin(), s.end(), [&](const auto* o) {
    return o->key.data() == s[0]->key.data() && o->capacity == s[0]->capacity && o->order_data() == s[0]->order_data();
  });
}
/// The rows of all inputs at the sites `at`.
template <int D, std::size_t N, device_executor E>
device_site_join<D, N> met(E& e, device_sites<D> at, const device_site_pointers<D, N>& s) {
  device_site_join<D, N> j{std::move(at), {}};
  j.rows.rows = j.at.capacity, j.rows.status = j.at.status;
  for (std::size_t i = 0; i < N; ++i) {
    j.rows.inputs[i] = s[i]->capacity;
    j.rows.row[i] = empty<std::int32_t, 1>(e, {j.at.capacity});
    j.rows.output[i] = full<std::int32_t, 1>(e, {s[i]->capacity}, -1);
    launch(e, grid_blocks(j.at.capacity), grid_threads,
           meet_kernel{j.at.key.data(), j.at.status.data(), packed(*s[i]), j.at.capacity, j.rows.row[i].data(),
                       j.rows.output[i].data()});
  }
  return j;
}
template <int D, std::size_t N> device_site_join<D, N> join_of_same_handles(const device_sites<D>& s) {
  device_site_join<D, N> j{s, {}};
  j.rows.rows = s.capacity, j.rows.status = s.status;
  j.rows.inputs.fill(s.capacity);
  return j;
}
/// The least room that is enough for all cells.
template <int D> idx room_of(const device_sites<D>& s, idx rows) {
  idx cells = std::min(s.batches(), rows);
  for (const idx g : s.grid()) { cells = std::min(cells * g, rows); }
  return cells;
}

template <class T, std::size_t N> void check_joined(const device_row_join<N>& j,
                                                    const std::array<tensor<T, 2, device>, N>& x, bool same_channels,
                                                    const char* where) {
  for (std::size_t i = 0; i < N; ++i) {
    expects(x[i].extent(0) == j.inputs[i], "sqs::sparse::", where, ": input ", i, " has ", x[i].extent(0),
            " rows, the join was made for ", j.inputs[i], "; give the features of the sites that were joined");
    expects(!same_channels || x[i].extent(1) == x[0].extent(1), "sqs::sparse::", where, ": input ", i, " has ",
            x[i].extent(1), " channels, input 0 has ", x[0].extent(1), "; they must agree");
  }
}

} // namespace detail

/// The sites where any of the inputs has a row, in order of the keys; see `unite`. Handles to the same sites are given
/// back as they are. There is room for all rows of the inputs, but not for more than the grid has cells. Rows outside
/// the grid meet nobody; of rows that share a voxel the lowest is taken.
///
/// Errors      precondition_error if grids or batches differ, or there is room for 2^31 rows or more.
/// Execution   Nothing waits for the device. So for all of this file.
/// Cost        A sort of the keys of all inputs, and a search of every output in each of them.
template <int D, device_executor E, class... More>
device_site_join<D, 1 + sizeof...(More)> unite(E& e, const device_sites<D>& s, const More&... more) {
  const auto asking = detail::memory_for(e, "sqs::sparse::unite");
  constexpr std::size_t n = 1 + sizeof...(More);
  const detail::device_site_pointers<D, n> all{&s, &more...};
  detail::check_joinable<D, n>(all, "unite");
  if (detail::same_handles<D, n>(all)) { return detail::join_of_same_handles<D, n>(s); }
  idx rows = 0;
  for (const auto* o : all) { rows += o->capacity; }
  detail::check_row_count(rows, "unite");
  auto keys = empty<detail::key_type, 1>(e, {rows});
  idx first = 0;
  for (const auto* o : all) {
    launch(e, detail::grid_blocks(o->capacity), detail::grid_threads,
           detail::gather_keys_kernel{detail::packed(*o), o->capacity, keys.data() + first});
    first += o->capacity;
  }
  return detail::met<D, n>(e, detail::sites_of_any_keys<D>(e, s.layout, std::move(keys), detail::room_of(s, rows)),
                           all);
}

/// The sites where all of the inputs have a row, in order of the keys; otherwise like `unite`. There is room for the
/// rows of the smallest input.
///
/// Cost        A search of every site of the first input in the others, and one of every output.
template <int D, device_executor E, class... More>
device_site_join<D, 1 + sizeof...(More)> intersect(E& e, const device_sites<D>& s, const More&... more) {
  const auto asking = detail::memory_for(e, "sqs::sparse::intersect");
  constexpr std::size_t n = 1 + sizeof...(More);
  const detail::device_site_pointers<D, n> all{&s, &more...};
  detail::check_joinable<D, n>(all, "intersect");
  if (detail::same_handles<D, n>(all)) { return detail::join_of_same_handles<D, n>(s); }
  detail::common_flags_kernel<n> k{{}, s.capacity, nullptr};
  idx room = s.capacity;
  for (std::size_t i = 0; i < n; ++i) {
    k.of[i] = detail::packed(*all[i]);
    room = std::min(room, all[i]->capacity);
  }
  auto place = empty<std::int32_t, 1>(e, {s.capacity}), total = empty<std::int32_t, 1>(e, {1});
  k.flag = place.data();
  launch(e, detail::grid_blocks(s.capacity), detail::grid_threads, k);
  exclusive_scan(e, place.data(), place.data(), s.capacity, total.data());
  device_sites<D> at{
      s.layout, room, full<detail::key_type, 1>(e, {room}, k.of[0].outside | 1), {}, empty<site_status, 1>(e, {1})};
  launch(e, detail::grid_blocks(std::max<idx>(s.capacity, 1)), detail::grid_threads,
         detail::keep_keys_kernel{s.key.data(), place.data(), total.data(), s.capacity, room, at.key.data(),
                                  at.status.data()});
  return detail::met<D, n>(e, std::move(at), all);
}

/// The join of N inputs that have the same sites: row i meets row i. With the status of the sites, rows that do not
/// exist become zero.
template <std::size_t N>
device_row_join<N> device_join_of_equal_rows(idx rows, tensor<site_status, 1, device> status = {}) {
  device_row_join<N> j;
  j.rows = rows, j.status = std::move(status);
  j.inputs.fill(rows);
  return j;
}

/// y[i] = the sum, mean or product of the rows of N inputs that meet at output i; see `combine_op`.
///
/// Shapes      x0 [N0, C], x1 [N1, C], ... -> y [rows, C]; rows that do not exist become zero
/// Gradient    all inputs; skips those nobody wants
/// Errors      precondition_error if an input has other rows than were joined, or channels differ.
template <std::size_t N> struct device_combine_op {
  device_row_join<N> join;
  combination how = combination::sum;

  template <class T> struct saved {
    std::array<tensor<T, 2, device>, N> x; ///< of a product
    idx channels;
  };
  template <device_executor E, class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(E& e, const tensor<T, 2, device>& x, const More&... more) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_combine_op");
    const std::array<tensor<T, 2, device>, N> all{x, more...};
    detail::check_joined(join, all, true, "device_combine_op");
    const idx c = x.extent(1);
    auto y = empty<T, 2>(e, {join.rows, c});
    detail::combine_kernel<T, N> k{join.packed(), how, {}, join.rows, c, y.data()};
    for (std::size_t i = 0; i < N; ++i) { k.x[i] = all[i].data(); }
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads, k);
    saved<T> s{{}, c};
    if (how == combination::product) { s.x = all; }
    return result{std::move(y), std::move(s)};
  }
  template <device_executor E, class T>
  auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy, const std::array<bool, N>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_combine_op (backward)");
    detail::require_device_gradient("device_combine_op", dy, join.rows, s.channels);
    std::array<tensor<T, 2, device>, N> dx;
    for (std::size_t i = 0; i < N; ++i) {
      if (!needs[i]) { continue; }
      dx[i] = empty<T, 2>(e, {join.inputs[i], s.channels});
      detail::combine_gradient_kernel<T, N> k{
          join.packed(),  how,        {},          dy.data(), join.output[i] ? join.output[i].data() : nullptr, i,
          join.inputs[i], s.channels, dx[i].data()};
      for (std::size_t n = 0; n < N; ++n) { k.x[n] = s.x[n] ? s.x[n].data() : nullptr; }
      launch(e, detail::grid_blocks(dx[i].size()), detail::grid_threads, k);
    }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }
};

/// y[i] = the rows of N inputs that meet at output i, side by side; zero for one that is absent. See
/// `concatenate_channels_op`.
///
/// Shapes      x0 [N0, C0], x1 [N1, C1], ... -> y [rows, C0 + C1 + ...]
/// Gradient    all inputs; skips those nobody wants
/// Errors      precondition_error if an input has other rows than were joined.
template <std::size_t N> struct device_concatenate_channels_op {
  device_row_join<N> join;

  struct saved {
    std::array<idx, N> channels;
  };
  template <device_executor E, class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(E& e, const tensor<T, 2, device>& x, const More&... more) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_concatenate_channels_op");
    const std::array<tensor<T, 2, device>, N> all{x, more...};
    detail::check_joined(join, all, false, "device_concatenate_channels_op");
    saved s{};
    idx c = 0, first = 0;
    for (std::size_t k = 0; k < N; ++k) { c += s.channels[k] = all[k].extent(1); }
    auto y = empty<T, 2>(e, {join.rows, c});
    for (std::size_t k = 0; k < N; first += s.channels[k++]) {
      copy(e, join.row[k], all[k].data(), join.inputs[k], s.channels[k], y.data() + first, join.rows, c, s.channels[k]);
    }
    return result{std::move(y), s};
  }
  template <device_executor E, class T>
  auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy, const std::array<bool, N>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_concatenate_channels_op (backward)");
    idx channels = 0, first = 0;
    for (const idx c : s.channels) { channels += c; }
    detail::require_device_gradient("device_concatenate_channels_op", dy, join.rows, channels);
    std::array<tensor<T, 2, device>, N> dx;
    for (std::size_t k = 0; k < N; first += s.channels[k++]) {
      if (!needs[k]) { continue; }
      dx[k] = empty<T, 2>(e, {join.inputs[k], s.channels[k]});
      copy(e, join.output[k], dy.data() + first, join.rows, channels, dx[k].data(), join.inputs[k], s.channels[k],
           s.channels[k]);
    }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }

private:
  /// Columns by a map; without one row i is row i, as far as rows exist.
  template <class E, class T> void copy(E& e, const tensor<std::int32_t, 1, device>& map, const T* from, idx from_rows,
                                        idx from_stride, T* to, idx rows, idx to_stride, idx channels) const {
    const site_status* const status = !map && join.status ? join.status.data() : nullptr;
    launch(e, detail::grid_blocks(rows * channels), detail::grid_threads,
           detail::map_rows_kernel<T>{map ? map.data() : nullptr, status, from, from_rows, from_stride, to, rows,
                                      to_stride, channels});
  }
};

} // namespace sqs::sparse

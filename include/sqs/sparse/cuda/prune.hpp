// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Fewer rows in device memory: the twin of prune.hpp, and of the rows taken in coo_tensor.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/row_kernels.hpp>
#include <sqs/sparse/cuda/selection_kernels.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/prune.hpp>

namespace sqs::sparse {

/// Some rows of a set of sites: the sites of their own, and which rows they were.
template <int D> struct device_site_selection {
  device_sites<D> at;
  tensor<std::int32_t, 1, device> rows; ///< [capacity] row of the whole set, ascending; -1: room that is left
  tensor<std::int32_t, 1, device> kept; ///< [capacity of the whole set] the row it became, -1 if it was left out
};

namespace detail {

/// The rows for which `keep` holds, in the order they had; `shift` is taken from their coordinates.
template <int D, device_executor E, class Keep>
device_site_selection<D> select_device_sites(E& e, const device_sites<D>& s, const Keep& keep, idx capacity,
                                             const key_layout<D>& layout,
                                             const std::array<idx, std::size_t(D)>& shift) {
  const idx n = s.capacity, room = capacity > 0 ? capacity : n;
  const packed_layout<D> from(s.layout), to(layout);
  auto place = empty<std::int32_t, 1>(e, {n}), total = empty<std::int32_t, 1>(e, {1});
  launch(e, grid_blocks(n), grid_threads,
         keep_flags_kernel<Keep>{keep, s.key.data(), s.order_data(), s.status.data(), from.outside, n, place.data()});
  exclusive_scan(e, place.data(), place.data(), n, total.data());
  tensor<std::int32_t, 1, device> position, order;
  auto unused = empty<std::int32_t, 1>(e, {1});
  if (s.order) {
    position = empty<std::int32_t, 1>(e, {n}), order = empty<std::int32_t, 1>(e, {room});
    launch(e, grid_blocks(n), grid_threads,
           order_flags_kernel{place.data(), total.data(), s.order_data(), n, room, position.data()});
    exclusive_scan(e, position.data(), position.data(), n, unused.data());
  }
  device_site_selection<D> k{
      {layout, room, empty<key_type, 1>(e, {room}), std::move(order), empty<site_status, 1>(e, {1})},
      empty<std::int32_t, 1>(e, {room}),
      empty<std::int32_t, 1>(e, {n})};
  select_kernel<D> move{from,
                        to,
                        {},
                        place.data(),
                        total.data(),
                        s.order ? position.data() : nullptr,
                        s.order_data(),
                        s.key.data(),
                        n,
                        room,
                        k.rows.data(),
                        k.kept.data(),
                        k.at.key.data(),
                        s.order ? k.at.order.data() : nullptr};
  std::copy(shift.begin(), shift.end(), move.shift);
  launch(e, grid_blocks(std::max(n, room)), grid_threads, move);
  auto flag = empty<std::int32_t, 1>(e, {room});
  launch(e, grid_blocks(room), grid_threads, key_flags_kernel{k.at.key.data(), room, to.outside, true, flag.data()});
  exclusive_scan(e, flag.data(), flag.data(), room, unused.data());
  launch(e, 1, warp_size, selected_status_kernel{total.data(), unused.data(), room, k.at.status.data()});
  return k;
}

} // namespace detail

/// The sites for which `mask` is not zero, in the order they had. Features follow with
/// `device_take_rows_op{selection.rows, selection.kept}`. `capacity`: of what is kept; 0: as much as there was.
///
/// Shapes      mask [capacity of s]; what it says of rows that do not exist or lie outside the grid does not matter:
///             they are left out
/// Errors      precondition_error if the mask has another number of elements than there is room for sites. Too little
///             capacity is told by `check_sites`; the rows of the largest numbers do not fit.
/// Execution   Nothing waits for the device. So for all of this file.
/// Cost        Three scans, no sort: the order of the keys stays.
template <int D, device_executor E> device_site_selection<D> prune(E& e, const device_sites<D>& s,
                                                                   const tensor<std::uint8_t, 1, device>& mask,
                                                                   idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::prune");
  expects(mask.size() == s.capacity, "sqs::sparse::prune: the mask has ", mask.size(), " elements, the sites room for ",
          s.capacity, "; give one per row");
  return detail::select_device_sites(e, s, detail::keep_masked{mask.data()}, capacity, s.layout, {});
}

/// The sites with lower <= (x, y, z) < upper, in the order they had; see `crop`.
///
/// Errors      precondition_error if the box has no cells, or one that is to be the grid more than 2^31 along an axis.
template <int D, device_executor E>
device_site_selection<D> crop(E& e, const device_sites<D>& s,
                              const std::type_identity_t<std::array<idx, static_cast<std::size_t>(D)>>& lower,
                              const std::type_identity_t<std::array<idx, static_cast<std::size_t>(D)>>& upper,
                              crop_grid grid = crop_grid::kept, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::crop");
  detail::keep_inside<D> inside{detail::packed_layout<D>(s.layout), {}, {}};
  std::array<idx, static_cast<std::size_t>(D)> extent{};
  inside.upper[0] = s.batches();
  for (std::size_t a = 0; a < lower.size(); ++a) {
    constexpr idx most = idx{1} << 31;
    expects(lower[a] < upper[a], "sqs::sparse::crop: axis ", a, " goes from ", lower[a], " to ", upper[a],
            "; give lower < upper in cells");
    expects(grid == crop_grid::kept || (lower[a] >= -most && upper[a] <= most), "sqs::sparse::crop: axis ", a,
            " of the new grid would go from ", lower[a], " to ", upper[a], "; give a box of at most 2^31 cells");
    inside.lower[a + 1] = lower[a], inside.upper[a + 1] = upper[a];
    extent[a] = grid == crop_grid::kept ? s.grid()[a] : upper[a] - lower[a];
  }
  if (grid == crop_grid::kept) { return detail::select_device_sites(e, s, inside, capacity, s.layout, {}); }
  return detail::select_device_sites(e, s, inside, capacity, detail::key_layout<D>(extent, s.batches()), lower);
}

/// The sites of one batch item. The batch number stays what it was.
///
/// Errors      precondition_error if there is no such item.
template <int D, device_executor E>
device_site_selection<D> slice_batch(E& e, const device_sites<D>& s, idx batch, idx capacity = 0) {
  const auto asking = detail::memory_for(e, "sqs::sparse::slice_batch");
  expects(batch >= 0 && batch < s.batches(), "sqs::sparse::slice_batch: batch ", batch, " of ", s.batches(),
          " does not exist; give 0 <= batch < batches");
  detail::keep_inside<D> inside{detail::packed_layout<D>(s.layout), {}, {}};
  inside.lower[0] = batch, inside.upper[0] = batch + 1;
  std::copy(s.grid().begin(), s.grid().end(), inside.upper + 1);
  return detail::select_device_sites(e, s, inside, capacity, s.layout, {});
}

/// The k rows of each batch item with the highest scores (all, where it has fewer), in the order they had; see `top_k`.
/// There is room for k rows of each item.
///
/// Shapes      score [capacity of s]
/// Errors      precondition_error for a negative k or another number of scores than there is room for sites.
/// Cost        A sort of the scores: one for float, two for double.
template <class T, int D, device_executor E>
device_site_selection<D> top_k(E& e, const device_sites<D>& s, const tensor<T, 1, device>& score, idx k) {
  const auto asking = detail::memory_for(e, "sqs::sparse::top_k");
  static_assert(std::is_floating_point_v<T>, "sqs::sparse::top_k: scores are float or double");
  const idx n = s.capacity;
  expects(k >= 0, "sqs::sparse::top_k: k is ", k, "; give 0 or more");
  expects(score.size() == n, "sqs::sparse::top_k: ", score.size(), " scores, the sites have room for ", n,
          "; give one per row");
  auto batch = empty<std::uint32_t, 1>(e, {n});
  auto key = empty<std::uint64_t, 1>(e, {n}), other_key = empty<std::uint64_t, 1>(e, {n});
  auto row = empty<std::int32_t, 1>(e, {n}), other_row = empty<std::int32_t, 1>(e, {n});
  const int batch_bits = detail::bits_for(s.batches() + 1);
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::row_batch_kernel<D>{detail::packed_layout<D>(s.layout), s.key.data(), s.order_data(), s.status.data(),
                                     n, batch.data()});
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::score_keys_kernel<T>{score.data(), batch.data(), n, key.data(), row.data()});
  constexpr bool at_once = sizeof(T) == 4;
  radix_sort_pairs(e, key.data(), row.data(), other_key.data(), other_row.data(), n, at_once ? 32 + batch_bits : 64);
  if (!at_once) { // the sort is stable: a second one leaves the scores in order within each item
    launch(e, detail::grid_blocks(n), detail::grid_threads,
           detail::batch_keys_kernel{batch.data(), row.data(), n, key.data()});
    radix_sort_pairs(e, key.data(), row.data(), other_key.data(), other_row.data(), n, batch_bits);
  }
  auto mask = empty<std::uint8_t, 1>(e, {n});
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::best_rows_kernel{batch.data(), row.data(), n, k, s.batches(), mask.data()});
  return prune(e, s, mask, std::clamp<idx>(std::min(k, n) * s.batches(), 1, std::max<idx>(n, 1)));
}

/// y[i] = x[rows[i]]; zero where there is no such row.
///
/// Shapes      x [N, C], rows [M] -> y [M, C]
/// Gradient    x: zero in the rows that were not taken; the sum in the order of i where one was taken more than once
/// Cost        The way back is a copy where `kept` (of a selection) says which row each became; without it, a sort.
struct device_take_rows_op {
  tensor<std::int32_t, 1, device> rows;
  tensor<std::int32_t, 1, device> kept = {}; ///< [N] the one i with rows[i] = row, -1 for none; not set: unknown

  struct saved {
    idx count, channels;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_take_rows_op");
    expects(!kept || kept.size() == x.extent(0), "sqs::sparse::device_take_rows_op: x has ", x.extent(0),
            " rows, the selection was made of ", kept.size(), "; give the features of those sites");
    return result{detail::mapped_rows(e, rows, x, rows.size()), saved{x.extent(0), x.extent(1)}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_take_rows_op (backward)");
    const idx n = rows.size();
    detail::require_device_gradient("device_take_rows_op", dy, n, s.channels);
    if (kept) { return detail::mapped_rows(e, kept, dy, s.count); }
    auto key = empty<std::uint32_t, 1>(e, {n}), other_key = empty<std::uint32_t, 1>(e, {n});
    auto entry = empty<std::int32_t, 1>(e, {n}), other_entry = empty<std::int32_t, 1>(e, {n});
    launch(e, detail::grid_blocks(n), detail::grid_threads,
           detail::map_keys_kernel{rows.data(), n, s.count, key.data(), entry.data()});
    radix_sort_pairs(e, key.data(), entry.data(), other_key.data(), other_entry.data(), n,
                     detail::bits_for(s.count + 1));
    auto dx = empty<T, 2>(e, {s.count, s.channels});
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::summed_rows_kernel<T>{key.data(), entry.data(), dy.data(), n, s.count, s.channels, dx.data()});
    return dx;
  }
};

/// y[rows[i]] = x[i], zero elsewhere: the way back of `device_take_rows_op`.
///
/// Shapes      x [M, C], rows [M], no row twice (not checked), -1 for none -> y [count, C]
/// Gradient    x
/// Errors      precondition_error if x has another number of rows.
struct device_put_rows_op {
  tensor<std::int32_t, 1, device> rows;
  idx count = 0;
  tensor<std::int32_t, 1, device> kept = {}; ///< [count] as in `device_take_rows_op`; not set: it is made

  struct saved {
    idx channels;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_put_rows_op");
    expects(x.extent(0) == rows.size(), "sqs::sparse::device_put_rows_op: x has ", x.extent(0), " rows for ",
            rows.size(), " places; give one place per row");
    expects(!kept || kept.size() == count, "sqs::sparse::device_put_rows_op: the way back has ", kept.size(),
            " rows, y is to have ", count, "; give the number of rows the selection was made of");
    auto back = kept;
    if (!back) {
      back = full<std::int32_t, 1>(e, {count}, -1);
      launch(e, detail::grid_blocks(rows.size()), detail::grid_threads,
             detail::invert_map_kernel{rows.data(), rows.size(), count, back.data()});
    }
    return result{detail::mapped_rows(e, back, x, count), saved{x.extent(1)}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_put_rows_op (backward)");
    detail::require_device_gradient("device_put_rows_op", dy, count, s.channels);
    return detail::mapped_rows(e, rows, dy, rows.size());
  }
};

} // namespace sqs::sparse

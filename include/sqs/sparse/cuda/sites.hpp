// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sites in device memory: the twin of sites.hpp. How many there are only the device knows, so that making them never
/// waits for it; the host knows for how many there is room.

#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/site_kernels.hpp>
#include <sqs/sparse/sites.hpp>
#include <sqs/tensor/copy.hpp>

namespace sqs::sparse {

/// Coordinates (b, x, y, z) in a grid, at most `capacity` of them. A counted handle: copies share everything.
///
/// Features at such sites are [capacity, C]; operators write zeros into the rows behind those that exist.
template <int D = 3> struct device_sites {
  detail::key_layout<D> layout;
  idx capacity = 0;                        ///< rows there is room for
  tensor<detail::key_type, 1, device> key; ///< [capacity] ascending; first the rows that exist
  tensor<std::int32_t, 1, device> order;   ///< [capacity] rows by ascending key; empty: 0, 1, 2, ...
  tensor<site_status, 1, device> status;   ///< [1]

  const std::array<idx, static_cast<std::size_t>(D)>& grid() const { return layout.grid; }
  idx batches() const { return layout.batches; }
  /// For kernels: null where rows stand in order of their keys.
  const std::int32_t* order_data() const { return order ? order.data() : nullptr; }

  /// (b, x, y, z) of every row, -1 in rows that do not exist: [capacity, 1 + D].
  template <device_executor E> tensor<std::int32_t, 2, device> coordinates(E& e) const {
    auto c = empty<std::int32_t, 2>(e, {capacity, D + 1});
    launch(
        e, detail::grid_blocks(capacity), detail::grid_threads,
        detail::unpack_keys_kernel<D>{detail::packed_layout<D>(layout), key.data(), order_data(), capacity, c.data()});
    return c;
  }
};

namespace detail {

/// Sites of ascending keys that may occur more than once: each once, at most `capacity`. Keys from `outside` on do not
/// count. Leaves behind how many sites begin before each key, and in all.
template <int D, device_executor E>
device_sites<D> sites_of_sorted_keys(E& e, const key_layout<D>& layout, const tensor<key_type, 1, device>& keys,
                                     idx capacity, tensor<std::int32_t, 1, device>& place,
                                     tensor<std::int32_t, 1, device>& total) {
  const idx n = keys.size();
  const key_type outside = key_type{1} << layout.key_bits();
  launch(e, grid_blocks(n), grid_threads, key_flags_kernel{keys.data(), n, outside, false, place.data()});
  exclusive_scan(e, place.data(), place.data(), n, total.data());
  device_sites<D> s{layout, capacity, full<key_type, 1>(e, {capacity}, outside | 1), {}, empty<site_status, 1>(e, {1})};
  launch(e, grid_blocks(std::max<idx>(n, 1)), grid_threads,
         keep_keys_kernel{keys.data(), place.data(), total.data(), n, capacity, s.key.data(), s.status.data()});
  return s;
}
/// The same of keys in any order.
template <int D, device_executor E>
device_sites<D> sites_of_any_keys(E& e, const key_layout<D>& layout, tensor<key_type, 1, device> keys, idx capacity) {
  const idx n = keys.size();
  auto other = empty<key_type, 1>(e, {n});
  radix_sort_keys(e, keys.data(), other.data(), n, layout.key_bits() + 1);
  auto place = empty<std::int32_t, 1>(e, {n}), total = empty<std::int32_t, 1>(e, {1});
  return sites_of_sorted_keys(e, layout, keys, capacity, place, total);
}

/// All cells of `layout` that `s` reaches: candidates for every way out of every site, of which each cell stays once.
template <int D, device_executor E> device_sites<D> reached_sites(E& e, const device_sites<D>& s,
                                                                  const key_layout<D>& layout, const relation<D>& r,
                                                                  bool to_fine, idx capacity) {
  const packed_relation<D> packed(r);
  reach_kernel<D> k{packed_layout<D>(s.layout),
                    packed_layout<D>(layout),
                    packed,
                    to_fine,
                    {},
                    1,
                    s.key.data(),
                    s.status.data(),
                    s.capacity,
                    nullptr};
  for (int a = 0; a < D; ++a) { k.all_ways *= k.ways[a] = to_fine ? packed.taps[a] : packed.most_coarse(a); }
  expects(s.capacity == 0 || k.all_ways < (idx{1} << 31) / s.capacity, "sqs::sparse::device_sites: ", s.capacity,
          " sites reach up to ", k.all_ways, " cells each, more than 2^31 together; split the batch");
  idx most = k.all_ways * s.capacity, cells = layout.batches;
  for (const idx g : layout.grid) { cells = std::min(most, cells) * g; }
  most = std::min(most, cells);
  auto keys = empty<key_type, 1>(e, {k.all_ways * s.capacity});
  k.reached = keys.data();
  launch(e, grid_blocks(keys.size()), grid_threads, k);
  return sites_of_any_keys<D>(e, layout, std::move(keys), capacity > 0 ? capacity : most);
}

} // namespace detail

/// Sites at the given coordinates. `count`, if it has an element, says in device memory how many of the rows exist.
///
/// Shapes      coordinates [capacity, 1 + D] int32: (b, x, y, z); count [1] or empty
/// Errors      precondition_error for the shape, 2^31 rows, or a grid whose coordinates do not fit 63 bits. What only
///             the device can see, `check_sites` reports: a row outside the grid meets nobody, and of rows in one voxel
///             the others see the lowest.
/// Execution   Nothing waits for the device.
/// Cost        A radix sort of the bits in use; 12 bytes a row, as much again while it is made.
template <int D, device_executor E>
device_sites<D> make_device_sites(E& e, const tensor<std::int32_t, 2, device>& coordinates,
                                  const std::array<idx, static_cast<std::size_t>(D)>& grid, idx batches = 1,
                                  const tensor<std::int32_t, 1, device>& count = {}) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_sites");
  const idx n = coordinates.extent(0);
  expects(coordinates.extent(1) == D + 1, "sqs::sparse::make_device_sites: coordinates have ", coordinates.extent(1),
          " columns; give ", D + 1, ": the batch and ", D, " coordinates");
  detail::check_row_count(n, "make_device_sites");
  const detail::key_layout<D> layout(grid, batches);
  const detail::packed_layout<D> packed(layout);
  const std::int32_t* const rows = count.size() > 0 ? count.data() : nullptr;
  device_sites<D> s{layout, n, empty<detail::key_type, 1>(e, {n}), empty<std::int32_t, 1>(e, {n}),
                    empty<site_status, 1>(e, {1})};
  auto other = empty<detail::key_type, 1>(e, {n});
  auto flag = empty<std::int32_t, 1>(e, {n}), shared = empty<std::int32_t, 1>(e, {1});
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::pack_keys_kernel<D>{packed, coordinates.data(), rows, n, s.key.data(), s.order.data()});
  radix_sort_pairs(e, s.key.data(), s.order.data(), other.data(), flag.data(), n, layout.key_bits() + 1);
  launch(e, detail::grid_blocks(n), detail::grid_threads,
         detail::key_flags_kernel{s.key.data(), n, packed.outside, true, flag.data()});
  exclusive_scan(e, flag.data(), flag.data(), n, shared.data());
  launch(e, 1, warp_size,
         detail::given_status_kernel{s.key.data(), rows, shared.data(), n, packed.outside, s.status.data()});
  return s;
}

/// Sites of the host on the device: the same rows in the same order.
///
/// Errors      precondition_error where rows share voxels: device kernels see one row per voxel.
template <device_executor E, int D> device_sites<D> to_device(E& e, const sites<D>& s) {
  const auto asking = detail::memory_for(e, "sqs::sparse::to_device");
  expects(!s.shared(), "sqs::sparse::to_device: ", s.rows, " rows are in ", s.voxels(),
          " voxels; merge those that share one first (voxelize does)");
  auto status = make_tensor<site_status, 1>({1});
  const auto rows = static_cast<std::int32_t>(s.rows);
  status(0) = {rows, rows, 0, 0};
  return {s.layout, s.rows, sqs::to_device(e, s.key), sqs::to_device(e, s.order), sqs::to_device(e, status)};
}

/// The status of sites, on the host.
///
/// Execution   Waits for the device.
template <int D, device_executor E> site_status status_of(E& e, const device_sites<D>& s) {
  return to_host(e, s.status)(0);
}

/// Raises if something was wrong with sites that only the device could see. For the end of a step, or for tests.
///
/// Errors      precondition_error if there was not room for all rows, or rows lie outside the grid or share a voxel.
/// Execution   Waits for the device.
template <int D, device_executor E> void check_sites(E& e, const device_sites<D>& s) {
  const auto status = status_of(e, s);
  expects(status.wanted <= status.rows, "sqs::sparse::check_sites: ", status.wanted, " sites do not fit the room for ",
          s.capacity, "; give a larger capacity");
  expects(status.outside == 0, "sqs::sparse::check_sites: ", status.outside, " of ", status.rows, " rows lie outside ",
          s.batches(), " batches of a grid of ", detail::extents_text(s.grid()), "; clip or drop them first");
  expects(status.shared == 0, "sqs::sparse::check_sites: ", status.shared, " of ", status.rows,
          " rows are in the voxel of another row; merge them first");
}

/// The same sites without the room that is left, sharing their memory: then features have as many rows as there are.
///
/// Execution   Waits for the device.
template <int D, device_executor E> device_sites<D> fitted(E& e, const device_sites<D>& s) {
  const idx rows = status_of(e, s).rows;
  return {s.layout, rows, s.key.rows(0, rows), s.order ? s.order.rows(0, rows) : s.order, s.status};
}

} // namespace sqs::sparse

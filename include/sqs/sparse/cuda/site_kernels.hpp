// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels that make sites on a device: coordinates to keys, keys that occur once, what is wrong with them.

#include <sqs/sparse/cuda/packed.hpp>

namespace sqs::sparse {

/// What a device knows of its sites and the host does not.
struct site_status {
  std::int32_t rows;    ///< that exist; those behind them are room that is left
  std::int32_t wanted;  ///< that there should be: more than `rows` where the room did not suffice
  std::int32_t outside; ///< rows outside the grid: they meet nobody
  std::int32_t shared;  ///< rows in the voxel of another row
};

namespace detail {

/// Keys of coordinates and the numbers of their rows. Rows outside the grid get a key above all others, rows that do
/// not exist the one above that.
template <int D> struct pack_keys_kernel {
  static constexpr const char* name = "sqs::sparse::make_device_sites";
  packed_layout<D> layout;
  const std::int32_t* coordinates; ///< [capacity, 1 + D]
  const std::int32_t* count;       ///< null: all rows exist
  idx capacity;
  key_type* key;
  std::int32_t* row;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    row[i] = static_cast<std::int32_t>(i);
    if (count != nullptr && i >= *count) {
      key[i] = layout.outside | 1;
      return;
    }
    key_type k = 0;
    bool inside = true;
    for (int a = 0; a <= D; ++a) {
      const idx c = coordinates[i * (D + 1) + a];
      inside = inside && layout.holds(c, a);
      k |= layout.part(c, a);
    }
    key[i] = inside ? k : layout.outside;
  }
};

/// flag[i] = 1 where key i is valid and the same as (`repeated`), or another than, the one before it.
struct key_flags_kernel {
  static constexpr const char* name = "sqs::sparse::key_flags";
  const key_type* key;
  idx n;
  key_type outside;
  bool repeated;
  std::int32_t* flag;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const bool same = i > 0 && key[i] == key[i - 1];
    flag[i] = key[i] < outside && same == repeated ? 1 : 0;
  }
};

/// The status of sites that were given: by one thread.
struct given_status_kernel {
  static constexpr const char* name = "sqs::sparse::make_device_sites";
  const key_type* key;
  const std::int32_t *count, *shared; ///< count null: all rows exist
  idx capacity;
  key_type outside;
  site_status* status;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (thread_of_grid(t) != 0) { return; }
    const idx wanted = count == nullptr ? capacity : (*count < 0 ? 0 : *count);
    const idx rows = wanted < capacity ? wanted : capacity;
    const idx inside = first_not_below(key, 0, capacity, outside);
    *status = {static_cast<std::int32_t>(rows), static_cast<std::int32_t>(wanted),
               static_cast<std::int32_t>(rows - inside), *shared};
  }
};

/// Keeps flagged keys, as many as there is room for. `place` is the scan of the flags.
struct keep_keys_kernel {
  static constexpr const char* name = "sqs::sparse::keep_keys";
  const key_type* key;
  const std::int32_t *place, *total;
  idx n, capacity;
  key_type* kept;
  site_status* status;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i == 0) {
      const std::int32_t rows = *total < capacity ? *total : static_cast<std::int32_t>(capacity);
      *status = {rows, *total, 0, 0};
    }
    if (i >= n) { return; }
    const std::int32_t next = i + 1 < n ? place[i + 1] : *total;
    if (next != place[i] && place[i] < capacity) { kept[place[i]] = key[i]; }
  }
};

/// Coordinates of all rows; -1 in those that are outside or do not exist.
template <int D> struct unpack_keys_kernel {
  static constexpr const char* name = "sqs::sparse::device_sites::coordinates";
  packed_layout<D> layout;
  const key_type* key;
  const std::int32_t* order;
  idx capacity;
  std::int32_t* coordinates; ///< [capacity, 1 + D]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    std::int32_t* const to = coordinates + (order == nullptr ? i : order[i]) * (D + 1);
    for (int a = 0; a <= D; ++a) {
      to[a] = key[i] < layout.outside ? static_cast<std::int32_t>(layout.coordinate(key[i], a)) : -1;
    }
  }
};

/// Keys of all cells that `from` reaches through some tap; one thread per site and way, and a key above all others
/// where a way leads nowhere.
template <int D> struct reach_kernel {
  static constexpr const char* name = "sqs::sparse::reach";
  packed_layout<D> from, to;
  packed_relation<D> relation;
  bool to_fine;
  idx ways[D]; ///< per axis: taps, or the taps that may fit the stride
  idx all_ways;
  const key_type* key;
  const site_status* status;
  idx capacity;
  key_type* reached; ///< [all_ways, capacity]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= all_ways * capacity) { return; }
    const idx site = i % capacity;
    key_type k = to.outside;
    if (site < status->rows && key[site] < from.outside) { k = end_of(key[site], i / capacity); }
    reached[i] = k;
  }

private:
  SQS_DEVICE key_type end_of(key_type start, idx way) const {
    key_type k = to.part(from.coordinate(start, 0), 0);
    for (int a = D - 1; a >= 0; --a) {
      const idx c = step(from.coordinate(start, a + 1), way % ways[a], a);
      if (!to.holds(c, a + 1)) { return to.outside; }
      k |= to.part(c, a + 1);
      way /= ways[a];
    }
    return k;
  }
  /// The coordinate at the end of way number `way` of an axis, -1 if there is none.
  SQS_DEVICE idx step(idx c, idx way, int a) const {
    if (to_fine) { return relation.fine(c, way, a); }
    for (idx tap = 0; tap < relation.taps[a]; ++tap) {
      const idx coarse = relation.coarse(c, tap, a);
      if (coarse >= 0 && way-- == 0) { return coarse; }
    }
    return -1;
  }
};

} // namespace detail

} // namespace sqs::sparse

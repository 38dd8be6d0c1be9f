// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels that take some sites out of a set: which rows stay, where they go, the best of each batch item.

#include <sqs/sparse/cuda/site_kernels.hpp>

#include <bit>
#include <type_traits>

namespace sqs::sparse::detail {

/// flag[row] = 1 where keep(row, key) holds for a row that exists and lies in the grid. One thread per place in the
/// order of the keys.
///
/// `Keep` is a plain struct with `SQS_DEVICE bool operator()(idx row, key_type key) const`.
template <class Keep> struct keep_flags_kernel {
  static constexpr const char* name = "sqs::sparse::keep_flags";
  Keep keep;
  const key_type* key;
  const std::int32_t* order; ///< null: 0, 1, 2, ...
  const site_status* status;
  key_type outside;
  idx capacity;
  std::int32_t* flag;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    const idx row = order == nullptr ? i : order[i];
    flag[row] = i < status->rows && key[i] < outside && keep(row, key[i]) ? 1 : 0;
  }
};

/// Where mask[row] is not zero.
struct keep_masked {
  const std::uint8_t* mask;
  SQS_DEVICE bool operator()(idx row, key_type) const { return mask[row] != 0; }
};
/// Where lower <= coordinate < upper on every axis, the batch among them.
template <int D> struct keep_inside {
  packed_layout<D> layout;
  idx lower[D + 1], upper[D + 1];
  SQS_DEVICE bool operator()(idx, key_type key) const {
    bool inside = true;
    for (int a = 0; a <= D; ++a) {
      const idx c = layout.coordinate(key, a);
      inside = inside && c >= lower[a] && c < upper[a];
    }
    return inside;
  }
};

/// The flag whose scan is `place`.
SQS_HD inline bool scanned_flag(const std::int32_t* place, const std::int32_t* total, idx n, idx i) {
  return (i + 1 < n ? place[i + 1] : *total) != place[i];
}

/// flag[i] = 1 where the row at place i in the order of the keys stays and there is room for it.
struct order_flags_kernel {
  static constexpr const char* name = "sqs::sparse::select_sites";
  const std::int32_t *place, *total, *order;
  idx capacity, room;
  std::int32_t* flag;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    flag[i] = scanned_flag(place, total, capacity, order[i]) && place[order[i]] < room ? 1 : 0;
  }
};

/// Moves rows that stay to their places, their keys to those in the order of the keys; fills the room that is left.
template <int D> struct select_kernel {
  static constexpr const char* name = "sqs::sparse::select_sites";
  packed_layout<D> from, to;
  idx shift[D];              ///< what is taken from every coordinate
  const std::int32_t *place, ///< of every row among those that stay
      *total,
      *position, ///< of every place of the order among those that stay; null: `place`
      *order;    ///< null: 0, 1, 2, ...
  const key_type* key;
  idx capacity, room;
  std::int32_t *rows, *kept; ///< [room] row that came here; [capacity] where a row went; -1: none
  key_type* new_key;         ///< [room]
  std::int32_t* new_order;   ///< [room] null where `order` is

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < room && i >= *total) {
      rows[i] = -1;
      new_key[i] = to.outside | 1;
      if (new_order != nullptr) { new_order[i] = static_cast<std::int32_t>(i); }
    }
    if (i >= capacity) { return; }
    const idx row = order == nullptr ? i : order[i];
    const std::int32_t at = place[row];
    const bool stays = scanned_flag(place, total, capacity, row) && at < room;
    kept[row] = stays ? at : -1;
    if (!stays) { return; }
    const idx q = position == nullptr ? at : position[i];
    rows[at] = static_cast<std::int32_t>(row);
    new_key[q] = moved(key[i]);
    if (new_order != nullptr) { new_order[q] = at; }
  }

private:
  SQS_DEVICE key_type moved(key_type k) const {
    key_type to_key = to.part(from.coordinate(k, 0), 0);
    for (int a = 0; a < D; ++a) { to_key |= to.part(from.coordinate(k, a + 1) - shift[a], a + 1); }
    return to_key;
  }
};

/// The status of sites taken from others: by one thread.
struct selected_status_kernel {
  static constexpr const char* name = "sqs::sparse::select_sites";
  const std::int32_t *total, *shared;
  idx room;
  site_status* status;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (thread_of_grid(t) != 0) { return; }
    *status = {*total < room ? *total : static_cast<std::int32_t>(room), *total, 0, *shared};
  }
};

/// A number that is smaller the better the score: equal scores are equal (also 0 and -0), a NaN is the worst.
template <class T> SQS_HD auto falling_key(T score) {
  using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr bits sign = bits{1} << (8 * sizeof(T) - 1);
  if (score != score) { return ~bits{0}; }
  const bits b = std::bit_cast<bits>(score == T(0) ? T(0) : score);
  return static_cast<bits>((b & sign) != 0 ? b : ~(b | sign));
}

/// The batch item of every row as a number; `batches` for rows that are nowhere.
template <int D> struct row_batch_kernel {
  static constexpr const char* name = "sqs::sparse::top_k";
  packed_layout<D> layout;
  const key_type* key;
  const std::int32_t* order;
  const site_status* status;
  idx capacity;
  std::uint32_t* batch; ///< [capacity]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    const bool there = i < status->rows && key[i] < layout.outside;
    batch[order == nullptr ? i : order[i]] =
        static_cast<std::uint32_t>(there ? layout.coordinate(key[i], 0) : layout.extent[0]);
  }
};

/// Keys that bring the rows of each batch item together, the best first: of floats in one sort, of doubles by score
/// only.
template <class T> struct score_keys_kernel {
  static constexpr const char* name = "sqs::sparse::top_k";
  const T* score;
  const std::uint32_t* batch;
  idx n;
  std::uint64_t* key;
  std::int32_t* row;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    key[i] = falling_key(score[i]);
    if constexpr (sizeof(T) == 4) { key[i] |= std::uint64_t{batch[i]} << 32; }
    row[i] = static_cast<std::int32_t>(i);
  }
};
/// key[i] = the batch item of row[i].
struct batch_keys_kernel {
  static constexpr const char* name = "sqs::sparse::top_k";
  const std::uint32_t* batch;
  const std::int32_t* row;
  idx n;
  std::uint64_t* key;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i < n) { key[i] = batch[row[i]]; }
  }
};
/// mask[row] = 1 for the first k rows of each batch item.
struct best_rows_kernel {
  static constexpr const char* name = "sqs::sparse::top_k";
  const std::uint32_t* batch;
  const std::int32_t* row; ///< [n] by batch item, the best first
  idx n, k, batches;
  std::uint8_t* mask;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= n) { return; }
    const std::uint32_t own = batch[row[i]];
    const bool best = own < batches && k > 0 && (i < k || batch[row[i - k]] != own);
    mask[row[i]] = best ? 1 : 0;
  }
};

} // namespace sqs::sparse::detail

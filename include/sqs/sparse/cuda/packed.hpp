// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Keys and geometric relations as kernels take them: plain numbers, functions that run on a device.

#include <sqs/exec/team.hpp>
#include <sqs/sparse/detail/key_layout.hpp>
#include <sqs/sparse/geometry_relation.hpp>

#include <numeric>

namespace sqs::sparse::detail {

/// The number of this thread in the whole grid.
template <team Team> SQS_DEVICE idx thread_of_grid(Team& t) {
  return static_cast<idx>(t.block()) * t.size() + t.thread();
}
inline constexpr int grid_threads = 256; ///< of a block of kernels whose threads work alone
inline idx grid_blocks(idx threads) { return (threads + grid_threads - 1) / grid_threads; }

/// `key_layout` for kernels. Axis 0 is the batch.
template <int D> struct packed_layout {
  int shift[D + 1], bits[D + 1];
  idx extent[D + 1];
  key_type outside; ///< above all keys

  explicit packed_layout(const key_layout<D>& l) : outside(key_type{1} << l.key_bits()) {
    for (int a = 0; a <= D; ++a) {
      const auto i = static_cast<std::size_t>(a);
      shift[a] = l.shift[i], bits[a] = l.bits[i];
      extent[a] = a == 0 ? l.batches : l.grid[i - 1];
    }
  }
  SQS_HD idx coordinate(key_type key, int a) const {
    return static_cast<idx>((key >> shift[a]) & ((key_type{1} << bits[a]) - 1));
  }
  SQS_HD key_type part(idx c, int a) const { return static_cast<key_type>(c) << shift[a]; }
  SQS_HD bool holds(idx c, int a) const { return c >= 0 && c < extent[a]; }
};

/// `relation` for kernels. Axis 0 is x.
template <int D> struct packed_relation {
  idx taps[D], stride[D], pad[D], dilation[D];

  explicit packed_relation(const relation<D>& r) {
    for (int a = 0; a < D; ++a) {
      const auto i = static_cast<std::size_t>(a);
      taps[a] = r.taps.extent[i], stride[a] = r.stride[i], pad[a] = r.pad[i], dilation[a] = r.dilation[i];
    }
  }
  SQS_HD idx fine(idx coarse, idx tap, int a) const { return stride[a] * coarse + dilation[a] * tap - pad[a]; }
  /// -1 where there is none.
  SQS_HD idx coarse(idx fine, idx tap, int a) const {
    const idx scaled = fine + pad[a] - dilation[a] * tap;
    return scaled < 0 || scaled % stride[a] != 0 ? -1 : scaled / stride[a];
  }
  /// How many taps of an axis may join one fine coordinate with coarse ones.
  idx most_coarse(int a) const {
    const idx period = stride[a] / std::gcd(stride[a], dilation[a]);
    return (taps[a] + period - 1) / period;
  }
};

/// The first i in [first, n) with key[i] >= sought; n if there is none. Keys ascend.
SQS_HD inline idx first_not_below(const key_type* key, idx first, idx n, key_type sought) {
  while (first < n) {
    const idx middle = first + (n - first) / 2;
    if (key[middle] < sought) {
      first = middle + 1;
    } else {
      n = middle;
    }
  }
  return first;
}
/// The same where it is probably near.
SQS_HD inline idx first_not_below_near(const key_type* key, idx first, idx n, key_type sought) {
  for (int i = 0; i < 4; ++i, ++first) {
    if (first >= n || key[first] >= sought) { return first; }
  }
  return first_not_below(key, first, n, sought);
}

} // namespace sqs::sparse::detail

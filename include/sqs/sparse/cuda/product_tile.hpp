// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A small matrix product by one block of threads: panels in shared memory, sums in registers.

#include <sqs/exec/team.hpp>

#include <utility>

namespace sqs::sparse::detail {

/// 64 x 32 sums by 128 threads, each of which holds 4 x 4; both factors come in chunks of 16 along the axis summed
/// over.
struct product_tile {
  static constexpr int rows = 64, columns = 32, chunk = 16, threads = 128, own = 4;
  static constexpr int pitch = rows + 4; ///< of the left factor: keeps what lanes write in different banks
};

/// The panels of one block, and which sums are this thread's.
template <class T> struct product_panels {
  T* left;  ///< [chunk][pitch]
  T* right; ///< [chunk][columns]
  int row, column;

  template <team Team> SQS_DEVICE static product_panels of(Team& t) {
    return {shared_array<struct product_left, T, product_tile::chunk * product_tile::pitch>(t),
            shared_array<struct product_right, T, product_tile::chunk * product_tile::columns>(t),
            t.thread() / (product_tile::columns / product_tile::own) * product_tile::own,
            t.thread() % (product_tile::columns / product_tile::own) * product_tile::own};
  }
  /// sum += left^T right. Between barriers.
  SQS_DEVICE void add_product(T (&sum)[product_tile::own][product_tile::own]) const {
    for (int k = 0; k < product_tile::chunk; ++k) {
      const T *const a = left + k * product_tile::pitch + row, *const b = right + k * product_tile::columns + column;
      SQS_UNROLL
      for (int r = 0; r < product_tile::own; ++r) {
        SQS_UNROLL
        for (int c = 0; c < product_tile::own; ++c) { sum[r][c] += a[r] * b[c]; }
      }
    }
  }
};

/// Calls f(row, column, sum) for a thread's sums, written out: a loop the compiler keeps would send them through
/// memory.
template <class T, class F, int... I>
SQS_DEVICE void each_sum(T (&sum)[product_tile::own][product_tile::own], F&& f, std::integer_sequence<int, I...>) {
  (f(I / product_tile::own, I % product_tile::own, sum[I / product_tile::own][I % product_tile::own]), ...);
}
template <class T, class F> SQS_DEVICE void each_sum(T (&sum)[product_tile::own][product_tile::own], F&& f) {
  each_sum(sum, f, std::make_integer_sequence<int, product_tile::own * product_tile::own>{});
}

/// How many bits are set.
SQS_HD inline int bits_set(unsigned v) {
#if defined(__CUDA_ARCH__)
  return __popc(v);
#else
  return __builtin_popcount(v);
#endif
}

} // namespace sqs::sparse::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Kernels for the tests of the team: written once, run by the emulator in team_test.cpp and by a device in team_test.cu.

#include <sqs/exec/team.hpp>

namespace sqs::test {

/// out[i] = sum of in over the block's segment up to i.
struct block_scan_kernel {
  const int* in;
  int* out;
  int n;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int i = t.block() * t.size() + t.thread();
    const int sum = block_inclusive_scan(t, i < n ? in[i] : 0);
    if (i < n) { out[i] = sum; }
  }
};

/// out[block] = sum of in over the block's segment; every thread checks that it got the same.
struct block_sum_kernel {
  const float* in;
  float* out;
  int n;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int i = t.block() * t.size() + t.thread();
    const float sum = block_sum(t, i < n ? in[i] : 0.0f);
    if (t.thread() == t.size() / 2) { out[t.block()] = sum; }
  }
};

/// out [columns, rows] = transpose of in [rows, columns], by tiles of 16 x 16 through shared memory; 256 threads, one
/// tile per block. Without `Barrier` it is wrong: a thread reads what another has not written yet.
template <bool Barrier> struct transpose_kernel {
  static constexpr int tile = 16;
  const float* in;
  float* out;
  int rows, columns;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    float* const shared = shared_array<struct transpose_tile, float, tile*(tile + 1)>(t); // + 1: no bank conflicts
    const int tiles = (columns + tile - 1) / tile;
    const int row = t.block() / tiles * tile, column = t.block() % tiles * tile;
    const int x = t.thread() % tile, y = t.thread() / tile;
    if (row + y < rows && column + x < columns) { shared[y * (tile + 1) + x] = in[(row + y) * columns + column + x]; }
    if constexpr (Barrier) { t.sync(); }
    if (column + y < columns && row + x < rows) { out[(column + y) * rows + row + x] = shared[x * (tile + 1) + y]; }
  }
};

/// c [m, n] = a [m, k] b [k, n] by tiles of 16 x 16; 256 threads, one tile of c per block. Without `LastBarrier` a fast
/// thread overwrites the tile that a slow one still reads.
template <bool LastBarrier> struct matrix_product_kernel {
  static constexpr int tile = 16;
  const float *a, *b;
  float* c;
  int m, n, k;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    float* const tile_a = shared_array<struct product_tile_a, float, tile * tile>(t);
    float* const tile_b = shared_array<struct product_tile_b, float, tile * tile>(t);
    const int tiles = (n + tile - 1) / tile;
    const int x = t.thread() % tile, y = t.thread() / tile;
    const int row = t.block() / tiles * tile + y, column = t.block() % tiles * tile + x;
    float sum = 0;
    for (int first = 0; first < k; first += tile) {
      tile_a[t.thread()] = row < m && first + x < k ? a[row * k + first + x] : 0.0f;
      tile_b[t.thread()] = column < n && first + y < k ? b[(first + y) * n + column] : 0.0f;
      t.sync();
      for (int i = 0; i < tile; ++i) { sum += tile_a[y * tile + i] * tile_b[i * tile + x]; }
      if constexpr (LastBarrier) { t.sync(); }
    }
    if (row < m && column < n) { c[row * n + column] = sum; }
  }
};

/// Threads below `most` go to a barrier, the others leave: an error on any device.
struct divergent_kernel {
  int most;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (t.thread() < most) { t.sync(); }
  }
};

/// What every lane sees of the others: [warps * 32] each.
struct shuffle_kernel {
  int *up, *down, *from_five, *scan;
  double* sum;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int i = t.thread();
    up[i] = t.shfl_up(i, 3);
    down[i] = t.shfl_down(i, 30);
    from_five[i] = t.shfl(i, 5);
    scan[i] = warp_inclusive_scan(t, i);
    sum[i] = warp_sum(t, static_cast<double>(i));
  }
};

} // namespace sqs::test

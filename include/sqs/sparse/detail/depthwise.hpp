// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse convolutions of each channel with itself: products of rows, channel by channel.

#include <sqs/core/simd.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/pair_lists.hpp>

namespace sqs::sparse::detail {

/// to += a b, channel by channel.
template <class T> SQS_INLINE void add_scaled(const T* a, const T* b, T* to, idx channels) {
  using vector = simd<T, native_lanes<T>>;
  constexpr idx lanes = native_lanes<T>;
  idx c = 0;
  for (; c + lanes <= channels; c += lanes) {
    fma(vector::load(a + c), vector::load(b + c), vector::load(to + c)).store(to + c);
  }
  for (; c < channels; ++c) { to[c] += a[c] * b[c]; }
}

/// y[out] += x[in] w[tap] over the pairs of tile t, channel by channel. `mirrored`: tap k reads weight taps - 1 - k.
template <class T>
void depthwise_tile(const pair_lists& l, idx t, bool mirrored, const T* w, const T* x, T* y, idx channels) {
  for (idx tap = 0; tap < l.taps; ++tap) {
    const idx* const bounds = l.begin.data() + t * l.taps + tap;
    const T* const weight = w + (mirrored ? l.taps - 1 - tap : tap) * channels;
    for (idx p = bounds[0]; p < bounds[1]; ++p) {
      add_scaled(x + l.input.data()[p] * channels, weight, y + l.output.data()[p] * channels, channels);
    }
  }
}

/// dw[tap] = sum over the tap's pairs of x[in] d[out], channel by channel; each tap a task, its pairs in order.
/// `flipped`: list k belongs to tap taps - 1 - k.
template <class T>
void depthwise_weight_gradient(cpu& e, const pair_lists& l, bool flipped, const T* x, const T* d, T* dw, idx channels) {
  parallel_for(e, l.taps, 1, [&](idx tap, idx) {
    T* const sum = dw + (flipped ? l.taps - 1 - tap : tap) * channels;
    std::fill_n(sum, channels, T(0));
    for (idx t = 0; t < l.tiles(); ++t) {
      const idx* const bounds = l.begin.data() + t * l.taps + tap;
      for (idx p = bounds[0]; p < bounds[1]; ++p) {
        add_scaled(x + l.input.data()[p] * channels, d + l.output.data()[p] * channels, sum, channels);
      }
    }
  });
}

} // namespace sqs::sparse::detail

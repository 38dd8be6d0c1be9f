// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sums over rows: the gradient of everything that is shared by all rows.

#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::nn {

/// s[j] = sum_i x[i, j]: the gradient of a bias. Partial sums over fixed row ranges, added in order.
template <class T> tensor<T, 1> column_sums(cpu& e, const tensor<T, 2>& x) {
  const idx n = x.extent(0), c = x.extent(1);
  const idx step = std::max<idx>(256, (n + 63) / 64), parts = n == 0 ? 0 : (n + step - 1) / step;
  auto partial = zeros<T, 2>(e, {parts, c});
  parallel_for(e, n, step, [&](idx begin, idx end) {
    T* sum = partial.data() + begin / step * c;
    for (idx i = begin; i < end; ++i) {
      const T* row = x.data() + i * c;
      for (idx j = 0; j < c; ++j) { sum[j] += row[j]; }
    }
  });
  auto total = zeros<T, 1>(e, {c});
  for (idx p = 0; p < parts; ++p) {
    for (idx j = 0; j < c; ++j) { total.data()[j] += partial.data()[p * c + j]; }
  }
  return total;
}

} // namespace sqs::nn

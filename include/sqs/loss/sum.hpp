// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Weighted sums of scalar losses.

#include <sqs/autodiff/apply.hpp>

namespace sqs::loss {

/// weights[0] a + weights[1] b + ... of rank-0 tensors.
template <std::size_t N> struct weighted_sum_op {
  std::array<double, N> weights;
  struct saved {};
  template <class T, class... Rest> auto forward(cpu& e, const tensor<T, 0>& first, const Rest&... rest) const {
    static_assert(1 + sizeof...(Rest) == N, "sqs::loss::weighted_sum: give one weight per loss");
    std::size_t i = 1;
    auto sum = full<T, 0>(e, {}, T(weights[0]) * *first.data());
    ((*sum.data() += T(weights[i++]) * *rest.data()), ...);
    return result{std::move(sum), saved{}};
  }
  template <class T> auto backward(cpu& e, const saved&, const tensor<T, 0>& d) const {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple{full<T, 0>(e, {}, T(weights[I]) * *d.data())...};
    }
    (std::make_index_sequence<N>{});
  }
};

} // namespace sqs::loss

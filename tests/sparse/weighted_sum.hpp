// SPDX-License-Identifier: Apache-2.0
#pragma once
// A loss for tests of layers: fixed weights times rows, summed to one number.

#include <sqs/autodiff/apply.hpp>

#include <cmath>

namespace sqs::test {

/// sum_i sin(1 + 3 i) x_i: no symmetry that would hide a wrong gradient.
struct weighted_sum_op {
  struct saved {
    extents<2> shape;
  };
  static double weight(idx i) { return std::sin(1 + 3 * static_cast<double>(i)); }
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    auto sum = zeros<T, 0>(e, {});
    for (idx i = 0; i < x.size(); ++i) { *sum.data() += T(weight(i)) * x.data()[i]; }
    return result{std::move(sum), saved{x.shape()}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 0>& d) const {
    auto dx = empty<T, 2>(e, s.shape);
    for (idx i = 0; i < dx.size(); ++i) { dx.data()[i] = T(weight(i)) * *d.data(); }
    return dx;
  }
};

} // namespace sqs::test

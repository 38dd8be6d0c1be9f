// SPDX-License-Identifier: Apache-2.0
#pragma once
// Plans in parts on a device: the same bits as the plan as a whole. Written once, run on the emulated device by
// cuda_splits_test.cpp and on a real one by cuda_parts_test.cu.

#include "cuda_convolution_cases.hpp"

#include <sqs/sparse/cuda/splits.hpp>

namespace sqs::test {

/// Forward pass and gradient of x have the same bits, and the weight gradient is the same.
template <class X, class T, class E>
void expect_same_in_parts(E& e, const sparse::device_plan& whole, const sparse::device_plan& parts,
                          const convolution_shape& c, sparse::product_precision precision) {
  const auto stored = [](const tensor<T, 2>& t) {
    auto n = make_tensor<X, 2>(t.shape());
    std::transform(t.begin(), t.end(), n.begin(), [](T v) { return X(v); });
    return n;
  };
  const auto x = stored(numbers<T, 2>({whole.forward.inputs, c.cin}, 1)),
             dy = stored(numbers<T, 2>({whole.forward.outputs, c.cout}, 2));
  const auto w = numbers<T, 3>({whole.forward.taps, c.cin / c.groups, c.cout}, 3);
  const auto b = numbers<T, 1>({c.cout}, 4);
  const auto first = on_device(e, sparse::device_convolution_op{whole, c.groups, precision}, x, w, b, dy);
  const auto again = on_device(e, sparse::device_convolution_op{parts, c.groups, precision}, x, w, b, dy);
  const auto what = concat(c.cin, " to ", c.cout, ", ", parts.forward.splits.size(), " parts");
  EXPECT_TRUE(same_bits(std::get<0>(again), std::get<0>(first))) << what;
  EXPECT_TRUE(same_bits(std::get<1>(again), std::get<1>(first))) << what;
  EXPECT_LE(relative_gap(std::get<2>(again), std::get<2>(first)), parity_bound<T>) << what;
  EXPECT_TRUE(same_bits(std::get<3>(again), std::get<3>(first))) << what;
}

template <class E> void expect_same_of_all_splits(E& e, int rows, std::uint64_t seed) {
  using sparse::product_precision;
  for (const auto& plan : some_plans(e, rows, seed)) {
    const auto& p = plan.device;
    for (const idx parts : {1, 2, 8}) {
      const auto split = sparse::split_by_taps(e, p, parts);
      EXPECT_EQ(split.forward.splits.size(), parts == 1 ? 0u : static_cast<std::size_t>(parts));
      expect_same_in_parts<double, double>(e, p, split, {7, 5}, product_precision::full);
    }
    if (p.forward.taps < 27 || p.flipped) { continue; } // the others see nothing new
    const auto split = sparse::split_by_taps(e, p, 3);
    expect_same_in_parts<double, double>(e, p, split, {6, 6, 6}, product_precision::full);
    expect_same_in_parts<float, float>(e, p, split, {8, 6, 2}, product_precision::full);
    expect_same_in_parts<float16, float>(e, p, split, {7, 5}, product_precision::full);
    if (!p.mirrored) { continue; }
    expect_same_in_parts<bfloat16, float>(e, p, split, {7, 5}, product_precision::bfloat16);
  }
}

} // namespace sqs::test

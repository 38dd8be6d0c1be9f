// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sparse convolution on a device against the engine of the host: written once, run on the emulated device by
// cuda_convolution_test.cpp and on a real one by cuda_sparse_test.cu.

#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>

namespace sqs::test {

/// The largest difference, relative to the largest number of `b`; NaN stays.
template <class T, int R> double relative_gap(const tensor<T, R>& a, const tensor<T, R>& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double gap = 0, scale = 1e-300;
  for (idx i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    gap = d <= gap ? gap : d;
    scale = std::max(scale, std::abs(static_cast<double>(b.data()[i])));
  }
  return gap / scale;
}
template <class T> inline constexpr double parity_bound = std::is_same_v<T, double> ? 1e-12 : 1e-5;
template <class T, int R> tensor<T, R> numbers(extents<R> shape, std::uint64_t seed) {
  return persistent_copy<T>(random<R>(shape, seed));
}

/// One plan on both sides.
struct plan_pair {
  sparse::convolution_plan host;
  sparse::device_plan device;
};
inline const sparse::relation<3> halving{sparse::taps<3, 3, 3>{}, {2, 2, 2}, {1, 1, 1}};

/// The plans of random sites: submanifold, strided, the inverse of that, transposed.
template <class E> std::vector<plan_pair> some_plans(E& e, int rows, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto at = as_tensor(random_cells{seed}.draw(rows, 2, {7, 7, 7}), 3);
  const auto s = sparse::make_sites<3>(host, at, {7, 7, 7}, 2);
  const auto d = sparse::make_device_sites<3>(e, to_device(e, at), {7, 7, 7}, 2);
  const auto strided = sparse::make_convolution_plan<3>(host, s, halving);
  // A tight capacity: then both sides have the same shapes.
  const auto on_device = sparse::make_device_convolution_plan<3>(e, d, halving, std::max<idx>(strided.output.rows, 1));
  const sparse::relation<3> doubling{sparse::taps<2, 2, 2>{}, {2, 2, 2}};
  const auto transposed = sparse::make_transposed_plan<3>(host, s, doubling);
  const auto generated =
      sparse::make_device_transposed_plan<3>(e, d, doubling, {}, std::max<idx>(transposed.output.rows, 1));
  std::vector<plan_pair> all{{sparse::make_submanifold_plan<3>(host, s, sparse::taps<3, 3, 3>{}),
                              sparse::make_device_submanifold_plan<3>(e, d, sparse::taps<3, 3, 3>{})}};
  if (rows > 0) { // where nothing is, the least room is one row
    all.push_back({strided.plan, on_device.plan});
    all.push_back({strided.plan.adjoint(), on_device.plan.adjoint()});
    all.push_back({transposed.plan, generated.plan});
    all.push_back({all[0].host.adjoint(), all[0].device.adjoint()});
  }
  return all;
}

struct convolution_shape {
  idx cin, cout, groups = 1;
};

/// Forward pass and all gradients on a device, brought to the host.
template <class E, class X, class T> auto on_device(E& e, const sparse::device_convolution_op& op,
                                                    const tensor<X, 2>& x, const tensor<T, 3>& w, const tensor<T, 1>& b,
                                                    const tensor<X, 2>& dy) {
  const auto r = op.forward(e, to_device(e, x), to_device(e, w), to_device(e, b));
  const auto [dx, dw, db] = op.backward(e, r.saved, to_device(e, dy), {true, true, true});
  return std::tuple{to_host(e, r.value), to_host(e, dx), to_host(e, dw), to_host(e, db)};
}

template <class T, class E>
void expect_same_convolution(E& e, const plan_pair& plan, const convolution_shape& c, std::uint64_t seed) {
  cpu host{.threads = 1};
  const idx inputs = plan.host.forward.inputs, outputs = plan.host.forward.outputs, taps = plan.host.forward.taps;
  const auto x = numbers<T, 2>({inputs, c.cin}, seed), dy = numbers<T, 2>({outputs, c.cout}, seed + 1);
  const auto w = numbers<T, 3>({taps, c.cin / c.groups, c.cout}, seed + 2);
  const auto b = numbers<T, 1>({c.cout}, seed + 3);
  const sparse::convolution_op op{plan.host, c.groups};
  const auto r = op.forward(host, x, w, b);
  const auto [dx, dw, db] = op.backward(host, r.saved, dy, {true, true, true});
  const auto [y2, dx2, dw2, db2] = on_device(e, sparse::device_convolution_op{plan.device, c.groups}, x, w, b, dy);
  const auto what = concat(c.cin, " to ", c.cout, " in ", c.groups, " groups, ", inputs, " to ", outputs);
  EXPECT_LE(relative_gap(y2, r.value), parity_bound<T>) << what;
  EXPECT_LE(relative_gap(dx2, dx), parity_bound<T>) << what;
  EXPECT_LE(relative_gap(dw2, dw), parity_bound<T>) << what;
  EXPECT_LE(relative_gap(db2, db), parity_bound<T>) << what;
}

/// Many widths on all plans, then sizes around a tile.
template <class T, class E> void expect_convolutions_of_many_shapes(E& e, int rows, std::uint64_t seed) {
  const auto plans = some_plans(e, rows, seed);
  for (const auto& c : std::vector<convolution_shape>{
           {1, 1}, {7, 33}, {33, 7}, {65, 3}, {16, 16, 4}, {12, 8, 4}, {9, 9, 9}, {40, 40, 40}}) {
    for (const auto& plan : plans) { expect_same_convolution<T>(e, plan, c, seed); }
  }
  for (const int n : {0, 1, 63, 64, 65}) {
    for (const auto& plan : some_plans(e, n, seed)) { expect_same_convolution<T>(e, plan, {7, 5}, seed); }
  }
}

template <class T, class E> void expect_same_epilogue(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  for (const auto& plan : some_plans(e, 100, seed)) {
    const idx outputs = plan.host.forward.outputs, taps = plan.host.forward.taps;
    for (const auto& [c, groups] : {std::pair<idx, idx>{6, 1}, {6, 6}}) {
      const auto x = numbers<T, 2>({plan.host.forward.inputs, c}, seed);
      const auto w = numbers<T, 3>({taps, c / groups, c}, seed + 1);
      const auto b = numbers<T, 1>({c}, seed + 2);
      const auto scale = numbers<T, 1>({c}, seed + 3), shift = numbers<T, 1>({c}, seed + 4);
      const auto residual = numbers<T, 2>({outputs, c}, seed + 5);
      for (const auto kind :
           {sparse::activation_kind::identity, sparse::activation_kind::relu, sparse::activation_kind::leaky_relu}) {
        const sparse::activation act{kind, 0.1};
        const auto y = sparse::convolution_op{plan.host, groups}.finished(host, x, w, b, {scale, shift, residual, act});
        const auto z = sparse::device_convolution_op{plan.device, groups}.finished(
            e, to_device(e, x), to_device(e, w), to_device(e, b),
            {to_device(e, scale), to_device(e, shift), to_device(e, residual), act});
        EXPECT_LE(relative_gap(to_host(e, z), y), parity_bound<T>) << static_cast<int>(kind);
      }
    }
  }
}

/// Different orders of threads, the same bits: of an emulated device only.
template <class T, class E> void expect_same_bits_for_every_order() {
  const auto run = [](std::uint64_t seed) {
    E e{.seed = seed};
    const auto plan = some_plans(e, 140, 5)[1];
    const idx outputs = plan.host.forward.outputs;
    return on_device(e, sparse::device_convolution_op{plan.device}, numbers<T, 2>({140, 20}, 1),
                     numbers<T, 3>({27, 20, 35}, 2), numbers<T, 1>({35}, 3), numbers<T, 2>({outputs, 35}, 4));
  };
  const auto first = run(1);
  for (const std::uint64_t seed : {17u, 4711u}) {
    const auto again = run(seed);
    EXPECT_TRUE(same_bits(std::get<0>(again), std::get<0>(first)));
    EXPECT_TRUE(same_bits(std::get<1>(again), std::get<1>(first)));
    EXPECT_TRUE(same_bits(std::get<2>(again), std::get<2>(first)));
    EXPECT_TRUE(same_bits(std::get<3>(again), std::get<3>(first)));
  }
}

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Interpolation on a device against the operators of the host: written once, run on the emulated device by
// cuda_interpolate_test.cpp and on a real one by cuda_sparse_test.cu.

#include "cuda_convolution_cases.hpp"

#include <sqs/sparse/cuda/interpolate.hpp>
#include <sqs/sparse/interpolate.hpp>

namespace sqs::test {

/// Points in and around a grid of 7 x 5 x 9; some on sites, on borders, far away, no numbers.
template <class T> tensor<T, 2> points_around(idx n, std::uint64_t seed) {
  auto p = make_tensor<T, 2>({n, 3});
  const auto s = random_stream::of(seed);
  for (idx i = 0; i < p.size(); ++i) {
    p.data()[i] = static_cast<T>(s.uniform(i) * 11 - 1.5);
    if (i / 3 % 4 == 1) { p.data()[i] = std::round(p.data()[i]); }
    if (i / 3 % 4 == 2) { p.data()[i] = std::round(p.data()[i]) + T(0.5); }
  }
  if (n > 3) {
    p(0, 1) = std::numeric_limits<T>::quiet_NaN(), p(1, 0) = T(1e30), p(2, 2) = -std::numeric_limits<T>::infinity();
  }
  return p;
}

template <class T, class E> void expect_same_interpolation(E& e, std::uint64_t seed) {
  using sparse::interpolation, sparse::missing_neighbours;
  cpu host{.threads = 1};
  const auto rows = as_tensor(random_cells{seed}.draw(160, 2, {7, 5, 9}), 3);
  const auto fine = sparse::make_sites<3>(host, rows, {7, 5, 9}, 2);
  const auto d = sparse::make_device_sites<3>(e, to_device(e, rows), {7, 5, 9}, 2);
  const auto coarse = sparse::make_convolution_plan<3>(host, fine, halving).output;
  const auto c = sparse::make_device_convolution_plan<3>(e, d, halving).output;
  const auto x = numbers<T, 2>({coarse.rows, 5}, seed), dy = numbers<T, 2>({fine.rows, 5}, seed + 1);
  auto room = make_tensor<T, 2>({c.capacity, 5}, std::numeric_limits<T>::quiet_NaN());
  std::copy(x.begin(), x.end(), room.begin());
  const auto up = sparse::grid_map<3>{{0.5, 0.5, 0.5}, {}};
  auto batch = make_tensor<std::int32_t, 1>({90});
  for (idx i = 0; i < 90; ++i) { batch(i) = static_cast<std::int32_t>(i * 5 % 2); }
  const auto p = points_around<T>(90, seed + 2);
  const auto at = numbers<T, 2>({90, 5}, seed + 3), xf = numbers<T, 2>({fine.rows, 5}, seed + 4);
  const sparse::grid_map<3> stretched{{0.9, 1, 1.1}, {0.1, 0, -0.2}};
  for (const auto kind : {interpolation::linear, interpolation::nearest}) {
    for (const auto missing : {missing_neighbours::zero, missing_neighbours::renormalise}) {
      const sparse::interpolation_rule rule{kind, missing};
      const sparse::interpolate_op<T> op{sparse::make_interpolation_plan<T, 3>(host, coarse, fine, up, rule)};
      const sparse::device_interpolate_op<T> on{sparse::make_device_interpolation_plan<T, 3>(e, c, d, up, rule)};
      const auto s = on.forward(e, to_device(e, room));
      EXPECT_LE(relative_gap(to_host(e, s.value), op.forward(host, x).value), parity_bound<T>);
      const auto back = to_host(e, on.backward(e, s.saved, to_device(e, dy)));
      EXPECT_LE(relative_gap(back.rows(0, coarse.rows), op.backward(host, {}, dy)), parity_bound<T>);
      EXPECT_THAT(back.rows(coarse.rows, c.capacity).span(), testing::Each(T(0)));

      const sparse::interpolate_at_op<3> points{fine, stretched, rule};
      const sparse::device_interpolate_at_op<3> device_points{d, stretched, rule};
      const auto r = points.forward(host, xf, p, batch);
      const auto q = device_points.forward(e, to_device(e, xf), to_device(e, p), to_device(e, batch));
      const std::array<bool, 2> both{true, true};
      const auto [dx, dp] = points.backward(host, r.saved, at, both);
      const auto [dx2, dp2] = device_points.backward(e, q.saved, to_device(e, at), both);
      EXPECT_LE(relative_gap(to_host(e, q.value), r.value), parity_bound<T>);
      EXPECT_LE(relative_gap(to_host(e, dx2), dx), parity_bound<T>);
      EXPECT_LE(relative_gap(to_host(e, dp2), dp), parity_bound<T>);
    }
  }
}

} // namespace sqs::test

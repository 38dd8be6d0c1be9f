// SPDX-License-Identifier: Apache-2.0
#pragma once
// Pooling, norms and activations on a device against the operators of the host: written once, run on the emulated
// device by cuda_rows_test.cpp and on a real one by cuda_sparse_test.cu.

#include "cuda_convolution_cases.hpp"

#include <sqs/nn/activation.hpp>
#include <sqs/nn/normalization.hpp>
#include <sqs/sparse/cuda/activation.hpp>
#include <sqs/sparse/cuda/global_pooling.hpp>
#include <sqs/sparse/cuda/normalization.hpp>
#include <sqs/sparse/cuda/pooling.hpp>
#include <sqs/sparse/global_pooling.hpp>
#include <sqs/sparse/normalization.hpp>
#include <sqs/sparse/pooling.hpp>

namespace sqs::test {

template <class T, class E> void expect_same_pooling(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  for (const int rows : {1, 64, 130}) {
    for (const auto& plan : some_plans(e, rows, seed)) {
      const idx inputs = plan.host.forward.inputs, outputs = plan.host.forward.outputs;
      auto x = numbers<T, 2>({inputs, 5}, seed);
      const auto dy = numbers<T, 2>({outputs, 5}, seed + 1);
      for (idx i = 0; i < x.size(); i += 3) { x.data()[i] = T(1); } // ties
      for (const auto kind : {sparse::pooling::max, sparse::pooling::mean, sparse::pooling::sum}) {
        const sparse::pooling_op op{plan.host, kind};
        const sparse::device_pooling_op on{plan.device, kind};
        const auto r = op.forward(host, x);
        const auto s = on.forward(e, to_device(e, x));
        EXPECT_LE(relative_gap(to_host(e, s.value), r.value), parity_bound<T>);
        const auto dx = to_host(e, on.backward(e, s.saved, to_device(e, dy)));
        EXPECT_LE(relative_gap(dx, op.backward(host, r.saved, dy)), parity_bound<T>);
        if (kind == sparse::pooling::max) {
          EXPECT_TRUE(same_bits(to_host(e, s.value), r.value));
          EXPECT_TRUE(same_bits(to_host(e, s.saved.winner), r.saved.winner));
        }
      }
    }
  }
}

/// `n` rows that exist in room for `room`; the others hold NaN.
template <class T> tensor<T, 2> with_room(const tensor<T, 2>& x, idx room) {
  auto t = make_tensor<T, 2>({room, x.extent(1)}, std::numeric_limits<T>::quiet_NaN());
  std::copy(x.begin(), x.end(), t.begin());
  return t;
}
template <class T> void expect_zero_behind(const tensor<T, 2>& x, idx n) {
  for (idx i = n * x.extent(1); i < x.size(); ++i) { ASSERT_EQ(x.data()[i], T(0)) << i; }
}
/// Batch item 2 of 4 has no row; rows beyond `n` do not exist and hold NaN.
template <class T, class E> void expect_same_global_pooling(E& e, int n, idx room, std::uint64_t seed) {
  cpu host{.threads = 1};
  auto cells = random_cells{seed}.draw(n, 3, {9, 9, 9});
  for (auto& c : cells) { c[0] = c[0] == 2 ? 3 : c[0]; }
  const auto rows = static_cast<idx>(cells.size());
  const auto at = sparse::make_sites<3>(host, as_tensor(cells, 3), {9, 9, 9}, 4);
  cells.resize(static_cast<std::size_t>(rows + room), cell(4, 0));
  const auto s =
      sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), {9, 9, 9}, 4,
                                   to_device(e, make_tensor<std::int32_t, 1>({1}, static_cast<std::int32_t>(rows))));
  auto x = numbers<T, 2>({rows, 3}, seed);
  const auto dy = numbers<T, 2>({4, 3}, seed + 1);
  for (idx i = 0; i < x.size(); i += 2) { x.data()[i] = T(2); } // ties
  const auto on = to_device(e, with_room(x, rows + room)), d = to_device(e, dy);
  for (const auto kind : {sparse::pooling::max, sparse::pooling::mean, sparse::pooling::sum}) {
    const sparse::global_pooling_op<3> op{at, kind};
    const sparse::device_global_pooling_op<3> device_op{s, kind};
    const auto r = op.forward(host, x);
    const auto q = device_op.forward(e, on);
    EXPECT_LE(relative_gap(to_host(e, q.value), r.value), parity_bound<T>) << n;
    const auto dx = to_host(e, device_op.backward(e, q.saved, d));
    EXPECT_LE(relative_gap(dx.rows(0, rows), op.backward(host, r.saved, dy)), parity_bound<T>) << n;
    expect_zero_behind(dx, rows);
    if (kind == sparse::pooling::max) { EXPECT_TRUE(same_bits(to_host(e, q.saved.winner), r.saved.winner)); }
  }
}

template <class E> sparse::device_rows rows_on(E& e, idx n) {
  auto s = make_tensor<sparse::site_status, 1>({1});
  s(0) = {static_cast<std::int32_t>(n), static_cast<std::int32_t>(n), 0, 0};
  return to_device(e, s);
}

template <class T, class E> void expect_same_batch_norm(E& e, idx n, idx room, idx c, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto x = numbers<T, 2>({n, c}, seed), dy = numbers<T, 2>({n, c}, seed + 1);
  const auto gain = numbers<T, 1>({c}, seed + 2), bias = numbers<T, 1>({c}, seed + 3);
  const auto dm = numbers<T, 1>({c}, seed + 4), dv = numbers<T, 1>({c}, seed + 5);
  const sparse::batch_norm_op op{1e-3};
  const auto r = op.forward(host, x, gain, bias);
  const auto [dx, dgain, dbias] = op.backward(host, r.saved, dy, dm, dv);
  const sparse::device_batch_norm_op on{n == room ? sparse::device_rows{} : rows_on(e, n), 1e-3};
  const auto s = on.forward(e, to_device(e, with_room(x, room)), to_device(e, gain), to_device(e, bias));
  const auto [dx2, dgain2, dbias2] =
      on.backward(e, s.saved, to_device(e, with_room(dy, room)), to_device(e, dm), to_device(e, dv));
  const auto y2 = to_host(e, std::get<0>(s.value)), back = to_host(e, dx2);
  const double bound = parity_bound<T>;
  EXPECT_LE(relative_gap(y2.rows(0, n), std::get<0>(r.value)), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, std::get<1>(s.value)), std::get<1>(r.value)), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, std::get<2>(s.value)), std::get<2>(r.value)), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(back.rows(0, n), dx), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, dgain2), dgain), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, dbias2), dbias), bound) << n << " x " << c;
  expect_zero_behind(y2, n);
  expect_zero_behind(back, n);
}
template <class T, class E> void expect_same_group_norm(E& e, idx n, idx room, idx c, idx groups, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto x = numbers<T, 2>({n, c}, seed), dy = numbers<T, 2>({n, c}, seed + 1);
  const auto gain = numbers<T, 1>({c}, seed + 2), bias = numbers<T, 1>({c}, seed + 3);
  const sparse::voxel_group_norm_op op{groups, 1e-4};
  const auto r = op.forward(host, x, gain, bias);
  const auto [dx, dgain, dbias] = op.backward(host, r.saved, dy);
  const sparse::device_voxel_group_norm_op on{n == room ? sparse::device_rows{} : rows_on(e, n), groups, 1e-4};
  const auto s = on.forward(e, to_device(e, with_room(x, room)), to_device(e, gain), to_device(e, bias));
  const auto [dx2, dgain2, dbias2] = on.backward(e, s.saved, to_device(e, with_room(dy, room)));
  const auto y2 = to_host(e, s.value), back = to_host(e, dx2);
  const double bound = parity_bound<T>;
  EXPECT_LE(relative_gap(y2.rows(0, n), r.value), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(back.rows(0, n), dx), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, dgain2), dgain), bound) << n << " x " << c;
  EXPECT_LE(relative_gap(to_host(e, dbias2), dbias), bound) << n << " x " << c;
  expect_zero_behind(y2, n);
  expect_zero_behind(back, n);
  if (groups > 1) { return; }
  const auto layer = nn::layer_norm_op{1e-4}.forward(host, x, gain, bias);
  EXPECT_LE(relative_gap(y2.rows(0, n), layer.value), bound) << n << " x " << c;
}
template <class T, class E> void expect_same_affine(E& e, idx n, idx room, idx c, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto x = numbers<T, 2>({n, c}, seed), dy = numbers<T, 2>({n, c}, seed + 1);
  const auto gain = numbers<T, 1>({c}, seed + 2), bias = numbers<T, 1>({c}, seed + 3),
             mean = numbers<T, 1>({c}, seed + 4);
  const auto variance = make_tensor<T, 1>({c}, T(0.7));
  const auto folded = sparse::folded_batch_norm_op{}.forward(host, gain, bias, mean, variance);
  const sparse::device_folded_batch_norm_op fold;
  const auto there =
      fold.forward(e, to_device(e, gain), to_device(e, bias), to_device(e, mean), to_device(e, variance));
  const auto [scale, shift] = there.value;
  const auto r = sparse::row_affine_op{}.forward(host, x, std::get<0>(folded.value), std::get<1>(folded.value));
  const auto [dx, dscale, dshift] = sparse::row_affine_op{}.backward(host, r.saved, dy);
  const sparse::device_row_affine_op on{rows_on(e, n)};
  const auto s = on.forward(e, to_device(e, with_room(x, room)), scale, shift);
  const auto [dx2, dscale2, dshift2] = on.backward(e, s.saved, to_device(e, with_room(dy, room)));
  const auto y2 = to_host(e, s.value), back = to_host(e, dx2);
  EXPECT_LE(relative_gap(y2.rows(0, n), r.value), parity_bound<T>);
  EXPECT_LE(relative_gap(back.rows(0, n), dx), parity_bound<T>);
  EXPECT_LE(relative_gap(to_host(e, dscale2), dscale), parity_bound<T>);
  EXPECT_LE(relative_gap(to_host(e, dshift2), dshift), parity_bound<T>);
  expect_zero_behind(y2, n);
  expect_zero_behind(back, n);
  // On to gain and bias.
  const auto [dgain, dbias] = sparse::folded_batch_norm_op{}.backward(host, folded.saved, dscale, dshift);
  const auto [dgain2, dbias2] = fold.backward(e, there.saved, dscale2, dshift2);
  EXPECT_LE(relative_gap(to_host(e, dgain2), dgain), parity_bound<T>);
  EXPECT_LE(relative_gap(to_host(e, dbias2), dbias), parity_bound<T>);
}
template <class T, class E> void expect_same_norms(E& e, std::uint64_t seed) {
  for (const idx n : {0, 1, 2, 256, 257, 600}) {
    for (const idx c : {1, 9}) { expect_same_batch_norm<T>(e, n, n, c, seed); }
    expect_same_batch_norm<T>(e, n, n + 300, 3, seed);
    expect_same_affine<T>(e, n, n + 5, 6, seed);
  }
  for (const idx n : {0, 1, 40}) {
    for (const auto& [c, groups] : {std::pair<idx, idx>{2, 1}, {6, 3}, {33, 1}, {70, 1}, {64, 2}}) {
      expect_same_group_norm<T>(e, n, n, c, groups, seed);
      expect_same_group_norm<T>(e, n, n + 9, c, groups, seed);
    }
  }
}

template <class T, class E> void expect_same_activations(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  auto x = numbers<T, 2>({37, 9}, seed);
  const auto dy = numbers<T, 2>({37, 9}, seed + 1);
  x(0, 0) = 0, x(1, 0) = std::numeric_limits<T>::quiet_NaN();
  const auto same = [&](const auto& op, sparse::activation act) {
    const sparse::device_activation_op on{act};
    const auto r = op.forward(host, x);
    const auto s = on.forward(e, to_device(e, x));
    EXPECT_TRUE(same_bits(to_host(e, s.value), r.value));
    EXPECT_TRUE(same_bits(to_host(e, on.backward(e, s.saved, to_device(e, dy))), op.backward(host, r.saved, dy)));
  };
  same(nn::relu_op{}, {sparse::activation_kind::relu});
  same(nn::leaky_relu_op{0.2}, {sparse::activation_kind::leaky_relu, 0.2});
  const auto sum = sparse::device_add_op{}.forward(e, to_device(e, x), to_device(e, dy));
  EXPECT_TRUE(same_bits(to_host(e, sum.value), nn::add_op{}.forward(host, x, dy).value));
}

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Dense volumes, samples of them, dropout and casts on a device against the operators of the host: written once, run on
// the emulated device by cuda_dense_test.cpp and on a real one by cuda_rows_test.cu.

#include "cuda_interpolate_cases.hpp"
#include "cuda_select_cases.hpp"

#include <sqs/nn/activation.hpp>
#include <sqs/nn/cast.hpp>
#include <sqs/sparse/cuda/activation.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/cuda/sample_volume.hpp>
#include <sqs/sparse/dense.hpp>
#include <sqs/sparse/pointwise_plan.hpp>
#include <sqs/sparse/sample_volume.hpp>

namespace sqs::test {

template <class T, class E> void expect_same_dense(E& e, int rows, idx room, std::uint64_t seed, bool ordered) {
  cpu host{.threads = 1};
  const auto s = some_sites(e, rows, room, seed, ordered);
  const idx capacity = s.device.capacity;
  const auto x = numbers<T, 2>({s.host.rows, 3}, seed);
  const auto volume = numbers<T, 5>({3, 9, 8, 11, 3}, seed + 1);
  const auto on_x = to_device(e, in_room(x, capacity));
  const auto on_volume = to_device(e, volume);
  const sparse::to_dense_op<3> to{s.host};
  const sparse::device_to_dense_op<3> device_to{s.device};
  const auto q = device_to.forward(e, on_x);
  EXPECT_TRUE(same_bits(to_host(e, q.value), to.forward(host, x).value));
  expect_rows(to_host(e, device_to.backward(e, q.saved, on_volume)), to.backward(host, {}, volume));
  const sparse::from_dense_op<3> from{s.host};
  const sparse::device_from_dense_op<3> device_from{s.device};
  const auto p = device_from.forward(e, on_volume);
  expect_rows(to_host(e, p.value), from.forward(host, volume).value);
  EXPECT_TRUE(same_bits(to_host(e, device_from.backward(e, p.saved, on_x)), from.backward(host, {}, x)));
}

template <class T, class E> void expect_same_sites_of_volumes(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  auto volume = numbers<T, 5>({3, 9, 8, 11, 2}, seed);
  auto mask = make_tensor<std::uint8_t, 4>({3, 9, 8, 11});
  for (idx i = 0; i < mask.size(); ++i) {
    mask.data()[i] = i * 7 % 5 < 2 ? 0 : 9;
    if (i % 3 != 0) { volume.data()[2 * i] = volume.data()[2 * i + 1] = i % 2 == 0 ? T(0) : -T(0); }
    if (i % 3 == 0 && i % 2 == 0) { volume.data()[2 * i] = T(0); }
    if (i % 50 == 1) { volume.data()[2 * i] = std::numeric_limits<T>::quiet_NaN(); }
  }
  const auto on_volume = to_device(e, volume);
  const auto on_mask = to_device(e, mask);
  expect_same_sites(e, sparse::sites_of_nonzero(e, on_volume), host, sparse::sites_of_nonzero(host, volume));
  expect_same_sites(e, sparse::sites_of_mask(e, on_mask), host, sparse::sites_of_mask(host, mask));
  const auto few = sparse::status_of(e, sparse::sites_of_mask(e, on_mask, 17));
  EXPECT_EQ(few.rows, 17);
  EXPECT_EQ(few.wanted, sparse::sites_of_mask(host, mask).rows);
}

template <class T, class E> void expect_same_samples(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto volume = numbers<T, 5>({2, 7, 5, 9, 4}, seed);
  const auto points = points_around<T>(90, seed + 1);
  const auto dy = numbers<T, 2>({90, 4}, seed + 2);
  auto batch = make_tensor<std::int32_t, 1>({90});
  for (idx i = 0; i < 90; ++i) { batch(i) = static_cast<std::int32_t>(i * 5 % 2); }
  const auto on_volume = to_device(e, volume);
  const auto on_points = to_device(e, points), on_dy = to_device(e, dy);
  const auto on_batch = to_device(e, batch);
  const std::array<bool, 2> both{true, true};
  for (const auto outside : {sparse::outside_volume::zero, sparse::outside_volume::border}) {
    const sparse::sample_volume_op<3> op{{{0.9, 1, 1.1}, {0.1, 0, -0.2}}, outside};
    const sparse::device_sample_volume_op<3> on{{{0.9, 1, 1.1}, {0.1, 0, -0.2}}, outside};
    const auto r = op.forward(host, volume, points, batch);
    const auto q = on.forward(e, on_volume, on_points, on_batch);
    EXPECT_LE(relative_gap(to_host(e, q.value), r.value), parity_bound<T>);
    const auto [dv, dp] = op.backward(host, r.saved, dy, both);
    const auto [dv2, dp2] = on.backward(e, q.saved, on_dy, both);
    EXPECT_LE(relative_gap(to_host(e, dv2), dv), parity_bound<T>);
    EXPECT_LE(relative_gap(to_host(e, dp2), dp), parity_bound<T>);
  }
  const auto flat = numbers<T, 4>({1, 6, 7, 3}, seed + 3);
  const auto at = numbers<T, 2>({40, 2}, seed + 4);
  const auto map = sparse::grid_map<2>::of_unit_box({6, 7}, false);
  EXPECT_LE(
      relative_gap(
          to_host(e, sparse::device_sample_volume_op<2>{map}.forward(e, to_device(e, flat), to_device(e, at)).value),
          sparse::sample_volume_op<2>{map}.forward(host, flat, at).value),
      parity_bound<T>);
}

template <class T, class E> void expect_same_dropout_and_casts(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto x = numbers<T, 2>({37, 9}, seed);
  const auto on = to_device(e, x);
  for (const double rate : {0.0, 0.3, 0.99}) {
    const nn::dropout_op op{rate, random_stream::of(seed, 5)};
    const sparse::device_dropout_op device_op{rate, random_stream::of(seed, 5)};
    const auto q = device_op.forward(e, on);
    EXPECT_TRUE(same_bits(to_host(e, q.value), op.forward(host, x).value));
    EXPECT_TRUE(same_bits(to_host(e, device_op.backward(e, q.saved, on)), op.backward(host, {}, x)));
  }
  const auto r = nn::cast_op<bfloat16>{}.forward(host, persistent_copy<float>(x));
  const auto q = sparse::device_cast_op<bfloat16>{}.forward(e, to_device(e, persistent_copy<float>(x)));
  EXPECT_TRUE(same_bits(to_host(e, q.value), r.value));
  const auto back = sparse::device_cast_op<bfloat16>{}.backward(e, q.saved, q.value);
  EXPECT_TRUE(same_bits(to_host(e, back), nn::cast_op<bfloat16>{}.backward(host, r.saved, r.value)));
}

/// A convolution of one tap, with room behind the rows.
template <class T, class E> void expect_same_pointwise(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  for (const bool ordered : {false, true}) {
    const auto s = some_sites(e, 70, 30, seed, ordered);
    const auto x = numbers<T, 2>({s.host.rows, 6}, seed), dy = numbers<T, 2>({s.host.rows, 5}, seed + 1);
    const auto w = numbers<T, 3>({1, 6, 5}, seed + 2);
    const auto b = numbers<T, 1>({5}, seed + 3);
    const sparse::convolution_op op{sparse::make_pointwise_plan(host, s.host.rows)};
    const sparse::device_convolution_op on{sparse::make_device_pointwise_plan(e, s.device)};
    const auto r = op.forward(host, x, w, b);
    const auto [dx, dw, db] = op.backward(host, r.saved, dy, {true, true, true});
    const idx room = s.device.capacity;
    const auto [y2, dx2, dw2, db2] = on_device(e, on, in_room(x, room), w, b, in_room(dy, room));
    EXPECT_LE(relative_gap(y2.rows(0, s.host.rows), r.value), parity_bound<T>);
    EXPECT_LE(relative_gap(dx2.rows(0, s.host.rows), dx), parity_bound<T>);
    EXPECT_LE(relative_gap(dw2, dw), parity_bound<T>);
    EXPECT_LE(relative_gap(db2, db), parity_bound<T>);
    EXPECT_THAT(y2.rows(s.host.rows, room).span(), testing::Each(T(0)));
  }
}

} // namespace sqs::test

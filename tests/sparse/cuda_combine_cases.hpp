// SPDX-License-Identifier: Apache-2.0
#pragma once
// Several sparse tensors become one on a device, against the operators of the host: written once, run on the emulated
// device by cuda_combine_test.cpp and on a real one by cuda_rows_test.cu.

#include "cuda_select_cases.hpp"

#include <sqs/sparse/combine.hpp>
#include <sqs/sparse/cuda/combine.hpp>
#include <sqs/sparse/cuda/stack.hpp>
#include <sqs/sparse/stack.hpp>

namespace sqs::test {

/// Three tensors of other sites, all with room behind their rows.
template <class T> struct three_inputs {
  std::array<sites_pair, 3> at;
  std::array<tensor<T, 2>, 3> x;          ///< of the host
  std::array<tensor<T, 2, device>, 3> on; ///< with room
};
template <class T, class E> three_inputs<T> some_inputs(E& e, const std::array<int, 3>& rows,
                                                        const std::array<idx, 3>& channels, idx room,
                                                        std::uint64_t seed) {
  three_inputs<T> in;
  for (std::size_t k = 0; k < 3; ++k) {
    in.at[k] = some_sites(e, rows[k], room + static_cast<idx>(k), seed + k, k == 1);
    in.x[k] = numbers<T, 2>({in.at[k].host.rows, channels[k]}, seed + 10 + k);
    in.on[k] = to_device(e, in_room(in.x[k], in.at[k].device.capacity));
  }
  return in;
}

template <class T, class E, class Host, class Device>
void expect_same_join(E& e, const three_inputs<T>& in, const Host& host_op, const Device& device_op,
                      std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto r = host_op.forward(host, in.x[0], in.x[1], in.x[2]);
  const auto q = device_op.forward(e, in.on[0], in.on[1], in.on[2]);
  const auto y = to_host(e, q.value);
  expect_rows(y, r.value);
  const auto dy = numbers<T, 2>(r.value.shape(), seed);
  const auto on_dy = to_device(e, in_room(dy, y.extent(0)));
  const std::array<bool, 3> all{true, true, true};
  const auto [d0, d1, d2] = host_op.backward(host, r.saved, dy, all);
  const auto [e0, e1, e2] = device_op.backward(e, q.saved, on_dy, all);
  expect_rows(to_host(e, e0), d0);
  expect_rows(to_host(e, e1), d1);
  expect_rows(to_host(e, e2), d2);
  const auto [n0, n1, n2] = device_op.backward(e, q.saved, on_dy, std::array<bool, 3>{false, true, false});
  EXPECT_TRUE(!n0 && n1 && !n2);
}

template <class T, class E> void expect_same_joins(E& e, const std::array<int, 3>& rows, idx room, std::uint64_t seed) {
  cpu host{.threads = 1};
  using sparse::combination;
  const auto equal = some_inputs<T>(e, rows, {3, 3, 3}, room, seed);
  const auto& [a, b, c] = equal.at;
  auto uneven = equal;
  uneven.x[1] = numbers<T, 2>({b.host.rows, 5}, seed + 3);
  uneven.on[1] = to_device(e, in_room(uneven.x[1], b.device.capacity));
  const auto both = [&](const auto& wanted, const auto& got) {
    expect_same_sites(e, got.at, host, wanted.at, seed == 1);
    for (const auto how : {combination::sum, combination::mean, combination::product}) {
      expect_same_join<T>(e, equal, sparse::combine_op<3>{wanted.rows, how},
                          sparse::device_combine_op<3>{got.rows, how}, seed);
    }
    expect_same_join<T>(e, uneven, sparse::concatenate_channels_op<3>{wanted.rows},
                        sparse::device_concatenate_channels_op<3>{got.rows}, seed);
  };
  both(sparse::unite(host, a.host, b.host, c.host), sparse::unite(e, a.device, b.device, c.device));
  both(sparse::intersect(host, a.host, b.host, c.host), sparse::intersect(e, a.device, b.device, c.device));
}

/// Handles to the same sites: rows stay where they are.
template <class T, class E> void expect_same_join_of_equal_sites(E& e, std::uint64_t seed) {
  cpu host{.threads = 1};
  auto in = some_inputs<T>(e, {50, 50, 50}, {4, 4, 4}, 7, seed);
  for (std::size_t k = 1; k < 3; ++k) {
    in.at[k] = in.at[0];
    in.on[k] = to_device(e, in_room(in.x[k], in.at[0].device.capacity));
  }
  const auto& s = in.at[0];
  const auto joined = sparse::unite(e, s.device, s.device, s.device);
  EXPECT_EQ(joined.at.key.data(), s.device.key.data());
  EXPECT_EQ(joined.at.order.data(), s.device.order.data());
  EXPECT_EQ(sparse::intersect(e, s.device, s.device, s.device).at.key.data(), s.device.key.data());
  const auto wanted = sparse::unite(host, s.host, s.host, s.host).rows;
  using sparse::combination;
  for (const auto how : {combination::sum, combination::mean, combination::product}) {
    expect_same_join<T>(e, in, sparse::combine_op<3>{wanted, how}, sparse::device_combine_op<3>{joined.rows, how},
                        seed);
  }
  expect_same_join<T>(e, in, sparse::concatenate_channels_op<3>{wanted},
                      sparse::device_concatenate_channels_op<3>{joined.rows}, seed);
  expect_same_join<T>(
      e, in, sparse::combine_op<3>{sparse::join_of_equal_rows<3>(s.host.rows)},
      sparse::device_combine_op<3>{sparse::device_join_of_equal_rows<3>(s.device.capacity, s.device.status)}, seed);
}

/// The stack of the host; its gradients are made whether wanted or not.
struct host_stack {
  sparse::stack_rows_op<3> op;
  template <class... X> auto forward(cpu& e, const X&... x) const { return op.forward(e, x...); }
  template <class S, class T> auto backward(cpu& e, const S& s, const T& dy, const std::array<bool, 3>&) const {
    return op.backward(e, s, dy);
  }
};
template <class T, class E> void expect_same_stack(E& e, const std::array<int, 3>& rows, idx room, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto in = some_inputs<T>(e, rows, {3, 3, 3}, room, seed);
  const std::array hosts{in.at[0].host, in.at[1].host, in.at[2].host};
  const std::array devices{in.at[0].device, in.at[1].device, in.at[2].device};
  const auto wanted = sparse::stack_sites<3>(host, std::span<const sparse::sites<3>>(hosts));
  const auto got = sparse::stack_sites<3>(e, std::span<const sparse::device_sites<3>>(devices));
  expect_same_sites(e, got.at, host, wanted);
  expect_same_join<T>(e, in, host_stack{}, sparse::device_stack_rows_op<3>{got.first}, seed);
}

/// Keys alone, by their low bits; equal ones in the order they had.
template <class E> void expect_sorted_keys(E& e) {
  for (const idx n : {0, 1, 1000}) {
    auto keys = make_tensor<std::uint64_t, 1>({n});
    for (idx i = 0; i < n; ++i) { keys(i) = random_stream::of(7).bits(i) % 5000 | static_cast<std::uint64_t>(i) << 40; }
    auto wanted = persistent_copy<std::uint64_t>(keys);
    std::stable_sort(wanted.begin(), wanted.end(), [](auto a, auto b) { return a % 4096 < b % 4096; });
    auto on = to_device(e, keys);
    auto scratch = empty<std::uint64_t, 1>(e, {n});
    radix_sort_keys(e, on.data(), scratch.data(), n, 12);
    EXPECT_TRUE(same_bits(to_host(e, on), wanted)) << n;
  }
}

} // namespace sqs::test

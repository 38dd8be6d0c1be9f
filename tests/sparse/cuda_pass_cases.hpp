// SPDX-License-Identifier: Apache-2.0
#pragma once
// A training step of a small sparse network on a device, from points to the gradients of everything: written once for
// cuda_pass_test.cpp, which captures and replays it on the emulated device, and cuda_pass_test.cu, which does so on a
// real one.

#include "cuda_rows_cases.hpp"

#include <sqs/sparse/cuda/bricks.hpp>
#include <sqs/sparse/cuda/combine.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/cuda/prune.hpp>
#include <sqs/sparse/cuda/voxelize.hpp>
#include <sqs/sparse/voxelize.hpp>

namespace sqs::test {

enum class pass_plan { plain, sorted, parts, bricks };
struct pass_case {
  pass_plan plan = pass_plan::plain;
  sparse::product_precision precision = sparse::product_precision::full;
};
inline constexpr pass_case pass_cases[] = {{pass_plan::plain, sparse::product_precision::full},
                                           {pass_plan::sorted, sparse::product_precision::tf32},
                                           {pass_plan::parts, sparse::product_precision::bfloat16},
                                           {pass_plan::bricks, sparse::product_precision::float16}};

inline constexpr idx pass_channels = 9, pass_kept = 20;

/// What goes into a pass; as many points in each, in more or fewer voxels.
template <class T, class Space = host> struct pass_inputs {
  tensor<T, 2, Space> points, features; ///< [P, 3], [P, 4]
  tensor<T, 3, Space> weight;
  tensor<T, 1, Space> bias, gain, shift;
  tensor<T, 2, Space> d_pooled;         ///< [P, C]: the pooled rows have room for as many
  tensor<std::uint8_t, 1, Space> stays; ///< [P] which voxels are kept
  tensor<T, 1, Space> score;            ///< [2 P]
};
/// Calls f with every member of `a` and the same of `b`.
template <class A, class B, class F> void each_of_both(A& a, B& b, F&& f) {
  f(a.points, b.points), f(a.features, b.features), f(a.weight, b.weight), f(a.bias, b.bias), f(a.gain, b.gain);
  f(a.shift, b.shift), f(a.d_pooled, b.d_pooled), f(a.stays, b.stays), f(a.score, b.score);
}
/// Points fill a box of so many cells a side.
template <class T> pass_inputs<T> inputs_of_pass(idx points, double cells, std::uint64_t seed) {
  pass_inputs<T> in{make_tensor<T, 2>({points, 3}),
                    numbers<T, 2>({points, 4}, seed + 1),
                    numbers<T, 3>({27, 4, pass_channels}, seed + 2),
                    numbers<T, 1>({pass_channels}, seed + 3),
                    numbers<T, 1>({pass_channels}, seed + 4),
                    numbers<T, 1>({pass_channels}, seed + 5),
                    numbers<T, 2>({points, pass_channels}, seed + 6),
                    make_tensor<std::uint8_t, 1>({points}),
                    numbers<T, 1>({2 * points}, seed + 7)};
  const auto draw = random_stream::of(seed);
  for (idx i = 0; i < in.points.size(); ++i) { in.points.data()[i] = static_cast<T>(draw.uniform(i, -0.2, cells)); }
  for (idx i = 0; i < points; ++i) { in.stays(i) = draw.bits(3 * points + i) % 3 == 0 ? 0 : 1; }
  return in;
}
template <class T, class E> pass_inputs<T, device> on_device(E& e, const pass_inputs<T>& in) {
  pass_inputs<T, device> there;
  each_of_both(in, there, [&](const auto& from, auto& to) { to = to_device(e, from); });
  return there;
}
/// New numbers where the old ones are.
template <class T, class E> void overwrite(E& e, pass_inputs<T, device>& there, const pass_inputs<T>& in) {
  each_of_both(in, there, [&](const auto& from, auto& to) {
    upload(e, to.data(), from.data(), static_cast<std::size_t>(from.size()) * sizeof(*from.data()));
  });
}

template <class T> sparse::voxel_grid<T, 3> box_of_pass() {
  return {{T(0), T(0), T(0)}, {T(8), T(8), T(8)}, {T(1), T(1), T(1)}};
}
template <class E>
sparse::device_plan plan_of_pass(E& e, const sparse::device_sites<3>& at, pass_plan way, const sparse::tap_set<3>& t) {
  auto plan = sparse::make_device_submanifold_plan<3>(e, at, t);
  switch (way) {
  case pass_plan::plain:
    return plan;
  case pass_plan::sorted:
    return sparse::sorted_by_taps(e, plan);
  case pass_plan::parts:
    return sparse::split_by_taps(e, plan, 2);
  default:
    return sparse::with_bricks(e, plan, at, t, sparse::brick_policy::always);
  }
}

/// Every number of a pass: of both directions, and what inference makes of the same layer. The order is that of
/// `host_pass` for the first nine.
template <class T, class E> auto device_pass(E& e, const pass_inputs<T, device>& in, const pass_case& c) {
  const auto relu = sparse::activation{sparse::activation_kind::relu};
  const idx room = in.points.extent(0);
  const auto voxels = sparse::voxelize(e, in.points, box_of_pass<T>(), {}, 1, room);
  const auto& at = voxels.at;
  const sparse::device_voxel_features_op<3> gather{voxels};
  const auto x = gather.forward(e, in.features);
  const sparse::device_convolution_op convolve{plan_of_pass(e, at, c.plan, sparse::taps<3, 3, 3>{}), 1, c.precision};
  const auto y = convolve.forward(e, x.value, in.weight, in.bias);
  const sparse::device_batch_norm_op norm{at.status};
  const auto normed = norm.forward(e, y.value, in.gain, in.shift);
  const auto& [z, mean, variance] = normed.value;
  const sparse::device_activation_op activate{relu};
  const auto active = activate.forward(e, z);
  const auto down = sparse::make_device_convolution_plan<3>(e, at, {sparse::taps<2, 2, 2>{}, {2, 2, 2}}, room);
  const sparse::device_pooling_op pool{down.plan};
  const auto pooled = pool.forward(e, active.value);

  const auto [scale, shift] = sparse::device_folded_batch_norm_op{}.forward(e, in.gain, in.shift, mean, variance).value;
  auto finished = convolve.finished(e, x.value, in.weight, in.bias, {scale, shift, active.value, relu});

  const auto dz = activate.backward(e, active.saved, pool.backward(e, pooled.saved, in.d_pooled));
  auto [dy, d_gain, d_shift] = norm.backward(e, normed.saved, dz, in.bias, in.shift); // else the bias has no gradient
  auto [dx, d_weight, d_bias] = convolve.backward(e, y.saved, dy, {true, true, true});
  return std::tuple{pooled.value,
                    std::move(finished),
                    mean,
                    variance,
                    gather.backward(e, x.saved, dx),
                    std::move(d_weight),
                    std::move(d_bias),
                    std::move(d_gain),
                    std::move(d_shift),
                    at.status,
                    down.output.status,
                    down.output.coordinates(e)};
}

/// The first nine results of `device_pass` by the host.
template <class T> auto host_pass(const pass_inputs<T>& in) {
  cpu e{.threads = 1};
  const auto voxels = sparse::voxelize(e, in.points, box_of_pass<T>());
  const sparse::voxel_features_op<3> gather{voxels};
  const auto x = gather.forward(e, in.features);
  const sparse::convolution_op convolve{sparse::make_submanifold_plan<3>(e, voxels.at, sparse::taps<3, 3, 3>{})};
  const auto y = convolve.forward(e, x.value, in.weight, in.bias);
  const sparse::batch_norm_op norm{};
  const auto normed = norm.forward(e, y.value, in.gain, in.shift);
  const auto& [z, mean, variance] = normed.value;
  const auto active = nn::relu_op{}.forward(e, z);
  const auto down = sparse::make_convolution_plan<3>(e, voxels.at, {sparse::taps<2, 2, 2>{}, {2, 2, 2}});
  const sparse::pooling_op pool{down.plan};
  const auto pooled = pool.forward(e, active.value);
  // z is what the folded norm makes of y.
  auto finished = nn::relu_op{}.forward(e, nn::add_op{}.forward(e, z, active.value).value).value;

  const auto d_pooled = in.d_pooled.rows(0, pooled.value.extent(0));
  const auto dz = nn::relu_op{}.backward(e, active.saved, pool.backward(e, pooled.saved, d_pooled));
  auto [dy, d_gain, d_shift] = norm.backward(e, normed.saved, dz, in.bias, in.shift);
  auto [dx, d_weight, d_bias] = convolve.backward(e, y.saved, dy, {true, true, true});
  return std::tuple{pooled.value, finished, mean,   variance, gather.backward(e, x.saved, dx),
                    d_weight,     d_bias,   d_gain, d_shift};
}
/// The rows of `wanted` within the bound, and zero behind them.
template <class T, int R> void expect_close(const tensor<T, R>& got, const tensor<T, R>& wanted) {
  ASSERT_GE(got.extent(0), wanted.extent(0));
  EXPECT_LE(relative_gap(got.rows(0, wanted.extent(0)), wanted), 10 * parity_bound<T>);
  for (idx i = wanted.size(); i < got.size(); ++i) { ASSERT_EQ(got.data()[i], T(0)) << i; }
}
template <class T, class E> void expect_pass_of_host(E& e, const pass_inputs<T>& in, const pass_case& c) {
  const auto got = device_pass(e, on_device(e, in), c);
  const auto wanted = host_pass(in);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (expect_close(to_host(e, std::get<I>(got)), std::get<I>(wanted)), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<decltype(wanted)>>{});
}

/// Joined, chosen, dense rows and back, on the sites of a pass: what `device_pass` leaves out.
template <class T, class E> auto device_rows_pass(E& e, const pass_inputs<T, device>& in) {
  const auto voxels = sparse::voxelize(e, in.points, box_of_pass<T>());
  const sparse::device_voxel_features_op<3> gather{voxels};
  const auto x = gather.forward(e, in.features);
  const auto some = sparse::prune(e, voxels.at, in.stays);
  const sparse::device_take_rows_op take{some.rows, some.kept};
  const auto taken = take.forward(e, x.value);
  const auto both = sparse::unite(e, voxels.at, some.at);
  const sparse::device_combine_op<2> combine{both.rows};
  const auto sum = combine.forward(e, x.value, taken.value);
  const auto best = sparse::top_k(e, both.at, in.score.rows(0, both.at.capacity), pass_kept);
  const sparse::device_take_rows_op choose{best.rows, best.kept};
  const auto chosen = choose.forward(e, sum.value);
  const sparse::device_to_dense_op<3> scatter{best.at};
  const auto volume = scatter.forward(e, chosen.value);
  const auto d_chosen = scatter.backward(e, volume.saved, volume.value);
  const auto [dx, d_taken] = combine.backward(e, sum.saved, choose.backward(e, chosen.saved, d_chosen), {true, true});
  const auto d_x = sparse::device_add_op{}.forward(e, dx, take.backward(e, taken.saved, d_taken)).value;
  return std::tuple{volume.value, gather.backward(e, x.saved, d_x), some.at.status, both.at.status, best.at.status};
}

/// All results on the host.
template <class E, class... X> auto results_on_host(E& e, const std::tuple<X...>& results) {
  return std::apply([&](const auto&... x) { return std::tuple{to_host(e, x)...}; }, results);
}
template <class... X> bool same_bits_of_all(const std::tuple<X...>& a, const std::tuple<X...>& b) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return (same_bits(std::get<I>(a), std::get<I>(b)) && ...); }
  (std::index_sequence_for<X...>{});
}
/// Bytes that no result may be left with.
template <class E, class... X> void spoil(E& e, const std::tuple<X...>& results) {
  const auto one = [&](auto x) {
    const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(x.size()) * sizeof(*x.data()), 0xff);
    upload(e, x.data(), bytes.data(), bytes.size());
  };
  std::apply([&](const auto&... x) { (one(x), ...); }, results);
}

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
// Plans with bricks on a device against the host and against the same plan without: written once, run on the emulated
// device by cuda_bricks_test.cpp and on a real one by cuda_parts_test.cu.

#include "cuda_mma_cases.hpp"

#include <sqs/sparse/cuda/bricks.hpp>

namespace sqs::test {

struct brick_case {
  std::array<idx, 3> grid;
  int rows, batches = 1;
  sparse::tap_set<3> taps = sparse::taps<3, 3, 3>{};
  std::array<idx, 3> dilation = {1, 1, 1};
};
/// A plan of both sides, with bricks on the device.
template <class E> plan_pair plan_with_bricks(E& e, const brick_case& c, std::uint64_t seed,
                                              sparse::brick_policy policy = sparse::brick_policy::always) {
  cpu host{.threads = 1};
  const auto cells = random_cells{seed}.draw(c.rows, c.batches, {c.grid[0], c.grid[1], c.grid[2]});
  const auto at = sparse::make_sites<3>(host, as_tensor(cells, 3), c.grid, c.batches);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), c.grid, c.batches);
  auto plan = sparse::make_device_submanifold_plan<3>(e, s, c.taps, c.dilation);
  return {sparse::make_submanifold_plan<3>(host, at, c.taps, c.dilation),
          sparse::with_bricks(e, std::move(plan), s, c.taps, policy, c.dilation)};
}
inline std::vector<brick_case> brick_cases() {
  return {{{4, 4, 4}, 64},
          {{5, 7, 4}, 170, 2},
          {{5, 5, 9}, 60},
          {{6, 5, 4}, 70, 1, sparse::taps<5, 5, 1>{}},
          {{5, 4, 7}, 90, 1, sparse::taps<1, 3, 3>{}, {1, 1, 2}},
          {{3, 3, 3}, 1}};
}
template <class T, class E> void expect_same_in_bricks(E& e, std::uint64_t seed) {
  for (const auto& c : brick_cases()) {
    const auto plan = plan_with_bricks(e, c, seed);
    for (const auto& shape : std::vector<convolution_shape>{{7, 33}, {20, 5}, {6, 4, 2}}) {
      expect_same_convolution<T>(e, plan, shape, seed);
      expect_same_convolution<T>(e, {plan.host.adjoint(), plan.device.adjoint()}, shape, seed + 1);
    }
  }
}
template <class Words, class E> void expect_same_in_bricks_on_tensor_cores(E& e, std::uint64_t seed) {
  for (const auto& c : {brick_cases()[2], brick_cases()[3]}) {
    const auto plan = plan_with_bricks(e, c, seed);
    for (const auto& shape : std::vector<convolution_shape>{{7, 65}, {34, 5}}) {
      expect_same_on_tensor_cores<Words>(e, plan, shape, seed);
    }
  }
}
/// Of few channels: the same bits with bricks and without.
template <class X, class T, class E>
void expect_same_bits_in_bricks(E& e, sparse::product_precision precision, idx channels) {
  for (const auto& c : {brick_cases()[4], brick_cases()[5]}) {
    const auto plan = plan_with_bricks(e, c, 5).device;
    const auto stored = [](const tensor<T, 2>& t) {
      auto n = make_tensor<X, 2>(t.shape());
      std::transform(t.begin(), t.end(), n.begin(), [](T v) { return X(v); });
      return n;
    };
    const auto x = stored(numbers<T, 2>({plan.forward.inputs, channels}, 1)),
               dy = stored(numbers<T, 2>({plan.forward.outputs, channels}, 2));
    const auto w = numbers<T, 3>({plan.forward.taps, channels, channels}, 3);
    const auto b = numbers<T, 1>({channels}, 4);
    using sparse::brick_policy;
    const auto with =
        on_device(e, sparse::device_convolution_op{plan, 1, precision, brick_policy::always}, x, w, b, dy);
    const auto without =
        on_device(e, sparse::device_convolution_op{plan, 1, precision, brick_policy::never}, x, w, b, dy);
    EXPECT_TRUE(same_bits(std::get<0>(with), std::get<0>(without)));
    EXPECT_TRUE(same_bits(std::get<1>(with), std::get<1>(without)));
    EXPECT_TRUE(same_bits(std::get<2>(with), std::get<2>(without)));
  }
}

/// A kernel with a barrier or a channel left out: the comparison must see it, and nothing where nothing is left out.
/// `kernel_of<mode>(...)` makes the kernel of numbers T, to be run in blocks of so many threads.
template <class T, class E, class KernelOf>
void expect_planted_faults_found(E& e, idx depth, int threads, const KernelOf& kernel_of) {
  using sparse::detail::planted_fault, sparse::detail::product_mode;
  const auto plan = plan_with_bricks(e, {{5, 7, 4}, 120}, 2).device;
  const idx n = plan.forward.outputs, columns = 30;
  const auto x = to_device(e, numbers<T, 2>({n, depth}, 1));
  const auto w = to_device(e, numbers<T, 3>({27, depth, columns}, 2));
  auto y = empty<T, 2>(e, {n, columns});
  const auto run = [&]<product_mode Mode>() {
    const auto k =
        kernel_of.template operator()<Mode>(sparse::detail::packed(plan.bricks, false), plan.bricks.rows.extent(0),
                                            x.data(), w.data(), nullptr, y.data(), idx{1}, depth, columns);
    launch(e, k.blocks(), threads, k);
    return to_host(e, y);
  };
  const auto right = run.template operator()<product_mode{}>();
  EXPECT_TRUE(same_bits(run.template operator()<product_mode{}>(), right));
  EXPECT_FALSE((same_bits(run.template operator()<product_mode{.fault = planted_fault::no_first_barrier}>(), right)));
  EXPECT_FALSE((same_bits(run.template operator()<product_mode{.fault = planted_fault::no_last_barrier}>(), right)));
  EXPECT_FALSE((same_bits(run.template operator()<product_mode{.fault = planted_fault::one_channel_less}>(), right)));
}

} // namespace sqs::test

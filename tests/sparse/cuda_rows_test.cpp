// SPDX-License-Identifier: Apache-2.0
// Pooling, norms and activations on the emulated device: the numbers of the host, the same bits for every order of
// threads.
#include "cuda_rows_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_rows_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

template <class T> struct cuda_rows : ::testing::Test {};
using scalars = ::testing::Types<double, float>;
TYPED_TEST_SUITE(cuda_rows, scalars);

TYPED_TEST(cuda_rows, pool_as_on_the_host) {
  for (const std::uint64_t seed : {1u, 2u}) {
    emulator::gpu e{.seed = 50 * seed};
    expect_same_pooling<TypeParam>(e, seed);
  }
}
TYPED_TEST(cuda_rows, are_normalised_as_on_the_host) {
  emulator::gpu e{.seed = 50};
  expect_same_norms<TypeParam>(e, 1);
  expect_same_batch_norm<TypeParam>(e, 255, 255, 33, 2);
  expect_same_group_norm<TypeParam>(e, 65, 70, 35, 5, 2);
}
TYPED_TEST(cuda_rows, of_a_batch_item_pool_as_on_the_host) {
  for (const int n : {0, 1, 255, 600}) {
    emulator::gpu e{.seed = static_cast<std::uint64_t>(n)};
    expect_same_global_pooling<TypeParam>(e, n, 0, 1);
    expect_same_global_pooling<TypeParam>(e, n, 70, 2);
  }
}
TYPED_TEST(cuda_rows, are_activated_as_on_the_host) {
  emulator::gpu e;
  expect_same_activations<TypeParam>(e, 1);
}

TEST(cuda_rows, of_a_line_are_pooled_by_hand) {
  // Sites 0, 1, 3, 7, kernel 3, stride 2, pad 1: outputs see {0, 1}, {1, 3}, {3}, {7}. The numbers of the host's test.
  emulator::gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 0}, {0, 1}, {0, 3}, {0, 7}}, 1)), {8});
  const auto plan = sparse::make_device_convolution_plan<1>(e, s, {sparse::taps<3>{}, {2}, {1}});
  const auto column = [&](std::initializer_list<double> v) {
    auto t = make_tensor<double, 2>({4, 1});
    std::copy(v.begin(), v.end(), t.begin());
    return to_device(e, t);
  };
  const auto run = [&](sparse::pooling kind) {
    const sparse::device_pooling_op op{plan.plan, kind};
    const auto r = op.forward(e, column({-6, -2, -4, -8}));
    const auto y = to_host(e, r.value), dx = to_host(e, op.backward(e, r.saved, column({1, 10, 100, 1000})));
    std::vector<double> all(y.begin(), y.end());
    all.insert(all.end(), dx.begin(), dx.end());
    return all;
  };
  using testing::ElementsAre;
  EXPECT_THAT(run(sparse::pooling::max), ElementsAre(-2, -2, -4, -8, 0, 11, 100, 1000));
  EXPECT_THAT(run(sparse::pooling::mean), ElementsAre(-4, -3, -4, -8, 0.5, 5.5, 105, 1000));
  EXPECT_THAT(run(sparse::pooling::sum), ElementsAre(-8, -6, -4, -8, 1, 11, 110, 1000));
}

TEST(cuda_rows, update_the_running_statistics_as_on_the_host) {
  for (const idx n : {0, 1, 40}) {
    emulator::gpu e;
    cpu host{.threads = 1};
    initializer init{3};
    auto norm = sparse::batch_norm<double>::make(4, init);
    auto mean = to_device(e, norm.running_mean.value), variance = to_device(e, norm.running_var.value);
    const auto x = random<2>({n, 4}, 1);
    training_graph g{host};
    norm(g, g.input(x));
    const auto r = sparse::device_batch_norm_op{rows_on(e, n), norm.eps}.forward(
        e, to_device(e, with_room(x, n + 3)), to_device(e, norm.weight.value), to_device(e, norm.bias.value));
    sparse::update_running_statistics(e, rows_on(e, n), n + 3, std::get<1>(r.value), std::get<2>(r.value),
                                      norm.momentum, mean, variance);
    EXPECT_LE(relative_gap(to_host(e, mean), norm.running_mean.value), 1e-12) << n;
    EXPECT_LE(relative_gap(to_host(e, variance), norm.running_var.value), 1e-12) << n;
  }
}

TEST(cuda_rows, repeat_bit_for_bit) {
  const auto run = [](std::uint64_t seed) {
    emulator::gpu e{.seed = seed};
    const auto x = to_device(e, random_float<2>({700, 9}, 1)), dy = to_device(e, random_float<2>({700, 9}, 2));
    const auto gain = to_device(e, random_float<1>({9}, 3)), bias = to_device(e, random_float<1>({9}, 4));
    const auto r = sparse::device_batch_norm_op{}.forward(e, x, gain, bias);
    const auto [dx, dgain, dbias] = sparse::device_batch_norm_op{}.backward(e, r.saved, dy, gain, bias);
    const auto s = sparse::device_voxel_group_norm_op{{}, 3}.forward(e, x, gain, bias);
    const auto [dx2, dgain2, dbias2] = sparse::device_voxel_group_norm_op{{}, 3}.backward(e, s.saved, dy);
    return std::array{to_host(e, std::get<0>(r.value)),
                      to_host(e, dx),
                      to_host(e, s.value),
                      to_host(e, dx2),
                      to_host(e, dgain).reshaped<2>({1, 9}),
                      to_host(e, dgain2).reshaped<2>({1, 9})};
  };
  const auto first = run(1), again = run(99);
  for (std::size_t i = 0; i < first.size(); ++i) { EXPECT_TRUE(same_bits(again[i], first[i])) << i; }
}

TEST(cuda_rows, misuse_is_told) {
  emulator::gpu e;
  const auto plan = some_plans(e, 30, 1)[0].device;
  const auto x = zeros<double, 2>(e, {31, 4}), y = zeros<double, 2>(e, {30, 4});
  const auto three = zeros<double, 1>(e, {3}), four = zeros<double, 1>(e, {4});
  EXPECT_THAT(
      message_of([&] { sparse::device_pooling_op{plan}.forward(e, x); }),
      HasSubstr("sqs::sparse::device_pooling_op: x has 31 rows, the plan 30; use the plan made for these sites"));
  const auto r = sparse::device_pooling_op{plan}.forward(e, y);
  EXPECT_THAT(message_of([&] { sparse::device_pooling_op{plan}.backward(e, r.saved, x); }),
              HasSubstr("sqs::sparse::device_pooling_op: the gradient of y is [31, 4], y is [30, 4]; give a gradient"));
  EXPECT_THAT(
      message_of([&] { sparse::device_batch_norm_op{}.forward(e, x, three, four); }),
      HasSubstr("sqs::sparse::device_batch_norm_op: x has 4 channels, the first vector 3, the second 4; they must"));
  EXPECT_THAT(message_of([&] {
                sparse::device_voxel_group_norm_op{{}, 3}.forward(e, x, four, four);
              }),
              HasSubstr("sqs::sparse::device_voxel_group_norm_op: 4 channels in 3 groups; choose a divisor"));
  EXPECT_THAT(
      message_of([&] { sparse::device_add_op{}.forward(e, x, y); }),
      HasSubstr("sqs::sparse::device_add_op: the shapes differ (124 and 120 elements); add has no broadcasting"));
}

} // namespace cuda_rows_test

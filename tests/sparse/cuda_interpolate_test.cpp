// SPDX-License-Identifier: Apache-2.0
// Interpolation on the emulated device: numbers by hand, those of the host, misuse.
#include "cuda_interpolate_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_interpolate_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_interpolate, is_that_of_the_host) {
  for (const std::uint64_t seed : {1u, 2u}) {
    emulator::gpu e{.seed = 10 * seed};
    expect_same_interpolation<double>(e, seed);
    expect_same_interpolation<float>(e, seed + 10);
  }
}

TEST(cuda_interpolate, a_line_by_hand) {
  // Sites 0, 1, 4 (not in order) of 6 hold 10, 20, 40. The numbers of the host's test.
  emulator::gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 4}, {0, 0}, {0, 1}}, 1)), {6});
  auto x = make_tensor<double, 2>({3, 1}), p = make_tensor<double, 2>({6, 1});
  x(0, 0) = 40, x(1, 0) = 10, x(2, 0) = 20;
  p(0, 0) = 0.25, p(1, 0) = 1, p(2, 0) = 1.5, p(3, 0) = 3.75, p(4, 0) = -0.25, p(5, 0) = 2.5;
  const auto run = [&](sparse::missing_neighbours missing) {
    const sparse::device_interpolate_at_op<1> op{s, {}, {sparse::interpolation::linear, missing}};
    return to_host(e, op.forward(e, to_device(e, x), to_device(e, p)).value);
  };
  EXPECT_THAT(run(sparse::missing_neighbours::zero).span(), ElementsAre(12.5, 20, 10, 30, 7.5, 0));
  EXPECT_THAT(run(sparse::missing_neighbours::renormalise).span(), ElementsAre(12.5, 20, 20, 40, 10, 0));
}

TEST(cuda_interpolate, misuse_is_told) {
  emulator::gpu e;
  const auto rows = to_device(e, as_tensor({{0, 4}, {0, 0}, {0, 1}}, 1));
  const auto one = sparse::make_device_sites<1>(e, rows, {6}), two = sparse::make_device_sites<1>(e, rows, {6}, 2);
  EXPECT_THAT(
      message_of([&] { sparse::make_device_interpolation_plan<double>(e, one, two); }),
      HasSubstr("sqs::sparse::make_device_interpolation_plan: features have 1 batches, the sites wanted 2; both"));
  const sparse::device_interpolate_op<double> op{sparse::make_device_interpolation_plan<double>(e, one, one)};
  EXPECT_THAT(message_of([&] {
                op.forward(e, zeros<double, 2>(e, {4, 2}));
              }),
              HasSubstr("sqs::sparse::device_interpolate_op: x has 4 rows, the plan 3; use the plan made for these"));
  const auto x = zeros<double, 2>(e, {3, 2}), p = zeros<double, 2>(e, {5, 2});
  EXPECT_THAT(message_of([&] { sparse::device_interpolate_at_op<1>{one}.forward(e, x, p); }),
              HasSubstr("points are [5, 2] with 0 batch numbers; give 1 columns, and one batch number each or none"));
}

} // namespace cuda_interpolate_test

// SPDX-License-Identifier: Apache-2.0
// Dense volumes on the emulated device: the numbers of the host, numbers by hand, misuse.
#include "cuda_dense_cases.hpp"
#include "test_gpu.hpp"

namespace cuda_dense_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_dense, volumes_are_those_of_the_host) {
  for (const bool ordered : {false, true}) {
    test_gpu e{.seed = 3};
    expect_same_dense<float>(e, 100, 40, 2, ordered);
    if (ordered) { continue; }
    expect_same_dense<double>(e, 200, 0, 1, ordered);
    expect_same_dense<double>(e, 1, 3, 3, ordered);
  }
}
TEST(cuda_dense, sites_of_volumes_are_those_of_the_host) {
  test_gpu e{.seed = 4};
  expect_same_sites_of_volumes<double>(e, 1);
  expect_same_sites_of_volumes<float>(e, 2);
}
TEST(cuda_dense, samples_are_those_of_the_host) {
  test_gpu e{.seed = 5};
  expect_same_samples<double>(e, 1);
  expect_same_samples<float>(e, 2);
}
TEST(cuda_dense, dropout_and_casts_are_those_of_the_host) {
  test_gpu e{.seed = 6};
  expect_same_dropout_and_casts<double>(e, 1);
  expect_same_dropout_and_casts<float>(e, 2);
}
TEST(cuda_dense, products_of_rows_are_those_of_the_host) {
  test_gpu e{.seed = 7};
  expect_same_pointwise<double>(e, 1);
}

TEST(cuda_dense, rows_that_share_a_voxel_are_added) {
  test_gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 2}, {0, 9}, {0, 0}, {0, 2}}, 1)), {4});
  auto x = make_tensor<double, 2>({4, 1});
  x(0, 0) = 1, x(1, 0) = 10, x(2, 0) = 100, x(3, 0) = 1000;
  const sparse::device_to_dense_op<1> op{s};
  const auto r = op.forward(e, to_device(e, x));
  EXPECT_THAT(to_host(e, r.value).span(), ElementsAre(100, 0, 1001, 0));
  EXPECT_THAT(to_host(e, op.backward(e, r.saved, r.value)).span(), ElementsAre(1001, 0, 100, 1001));
}

TEST(cuda_dense, a_line_is_sampled_by_hand) {
  // The numbers of the host's test.
  test_gpu e;
  auto v = make_tensor<double, 3>({1, 4, 1});
  v.data()[0] = 1, v.data()[1] = 3, v.data()[2] = 7, v.data()[3] = 15;
  auto p = make_tensor<double, 2>({6, 1});
  const std::array<double, 6> at{-1, -0.5, 0, 1, 1.25, -3};
  std::copy(at.begin(), at.end(), p.begin());
  const auto run = [&](bool align, sparse::outside_volume o) {
    const sparse::device_sample_volume_op<1> op{sparse::grid_map<1>::of_unit_box({4}, align), o};
    return to_host(e, op.forward(e, to_device(e, v), to_device(e, p)).value);
  };
  EXPECT_THAT(run(true, sparse::outside_volume::zero).span(), ElementsAre(1, 2.5, 5, 15, 9.375, 0));
  EXPECT_THAT(run(true, sparse::outside_volume::border).span(), ElementsAre(1, 2.5, 5, 15, 15, 1));
  EXPECT_THAT(run(false, sparse::outside_volume::zero).span(), ElementsAre(0.5, 2, 5, 7.5, 0, 0));
  EXPECT_THAT(run(false, sparse::outside_volume::border).span(), ElementsAre(1, 2, 5, 15, 15, 1));
}

TEST(cuda_dense, slopes_at_the_border_by_hand) {
  // Cells 1, 3, 7, 15; points at 1.5, on the last cell, behind it, on the first, before it.
  test_gpu e;
  auto v = make_tensor<double, 3>({1, 4, 1});
  v.data()[0] = 1, v.data()[1] = 3, v.data()[2] = 7, v.data()[3] = 15;
  auto p = make_tensor<double, 2>({5, 1});
  p(0, 0) = 1.5, p(1, 0) = 3, p(2, 0) = 3.5, p(3, 0) = 0, p(4, 0) = -0.5;
  const auto run = [&](sparse::outside_volume o) {
    const sparse::device_sample_volume_op<1> op{{}, o};
    const auto r = op.forward(e, to_device(e, v), to_device(e, p));
    const auto [dv, dp] =
        op.backward(e, r.saved, to_device(e, make_tensor<double, 2>({5, 1}, 1.0)), std::array{true, true});
    return std::pair{to_host(e, dv), to_host(e, dp)};
  };
  const auto [zero_cells, zero_points] = run(sparse::outside_volume::zero);
  EXPECT_THAT(zero_points.span(), ElementsAre(4, -15, -15, 2, 1));
  EXPECT_THAT(zero_cells.span(), ElementsAre(1.5, 0.5, 0.5, 1.5));
  const auto [border_cells, border_points] = run(sparse::outside_volume::border);
  EXPECT_THAT(border_points.span(), ElementsAre(4, 0, 0, 2, 0));
  EXPECT_THAT(border_cells.span(), ElementsAre(2, 0.5, 0.5, 2));
}

TEST(cuda_dense, a_volume_without_cells_is_its_outside) {
  test_gpu e;
  for (const auto outside : {sparse::outside_volume::zero, sparse::outside_volume::border}) {
    const sparse::device_sample_volume_op<2> op{{}, outside};
    const auto r = op.forward(e, zeros<double, 4>(e, {1, 0, 2, 1}), zeros<double, 2>(e, {1, 2}));
    EXPECT_THAT(to_host(e, r.value).span(), ElementsAre(0));
  }
}

TEST(cuda_dense, misuse_is_told) {
  test_gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 2}, {0, 0}}, 1)), {4});
  const auto x = zeros<double, 2>(e, {3, 2});
  const auto v = zeros<double, 3>(e, {1, 5, 2});
  const sparse::device_to_dense_op<1> to{s};
  const sparse::device_from_dense_op<1> from{s};
  EXPECT_THAT(message_of([&] { to.forward(e, x); }),
              HasSubstr("sqs::sparse::device_to_dense_op: x has 3 rows, the sites room for 2; give one row per site"));
  EXPECT_THAT(message_of([&] { to.backward(e, {2}, v); }),
              HasSubstr("sqs::sparse::device_to_dense_op: the gradient of y is [1 x 5 x 2], y [1 x 4 x 2]; give a"));
  EXPECT_THAT(message_of([&] { from.forward(e, v); }),
              HasSubstr("sqs::sparse::device_from_dense_op: x is [1 x 5 x 2], the sites need [1 x 4 x 2]; give a"));
  EXPECT_THAT(message_of([&] { from.backward(e, {2}, x); }),
              HasSubstr("sqs::sparse::device_from_dense_op: the gradient of y is [3, 2], y is [2, 2]; give a"));
  EXPECT_THAT(
      message_of([&] { sparse::device_sample_volume_op<1>{}.forward(e, v, x); }),
      HasSubstr("sqs::sparse::device_sample_volume_op: points are [3, 2] with 0 batch numbers; give 1 columns"));
  EXPECT_THAT(message_of([&] { sparse::device_dropout_op{1.0}.forward(e, x); }),
              HasSubstr("sqs::sparse::device_dropout_op: rate is 1; give 0 <= rate < 1"));
}

} // namespace cuda_dense_test

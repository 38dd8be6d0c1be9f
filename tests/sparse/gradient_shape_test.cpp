// SPDX-License-Identifier: Apache-2.0
// Every way back refuses a gradient of another shape than y, and says which it wants.
#include "../support/check.hpp"

#include <sqs/sparse/combine.hpp>
#include <sqs/sparse/dense.hpp>
#include <sqs/sparse/interpolate.hpp>
#include <sqs/sparse/normalization.hpp>
#include <sqs/sparse/prune.hpp>
#include <sqs/sparse/sample_volume.hpp>
#include <sqs/sparse/stack.hpp>
#include <sqs/sparse/voxelize.hpp>

namespace gradient_shape_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

const std::array<bool, 2> both{true, true};

tensor<std::int32_t, 2> two_sites() {
  auto c = make_tensor<std::int32_t, 2>({2, 2});
  c(1, 1) = 2;
  return c;
}

struct gradient_shape : testing::Test {
  cpu e{.threads = 1};
  sparse::sites<1> at = sparse::make_sites<1>(e, two_sites(), {4});
  tensor<double, 2> x = random<2>({2, 3}, 1), longer = random<2>({3, 3}, 2), wider = random<2>({2, 4}, 3);
  tensor<double, 1> per_channel = random<1>({3}, 4);

  template <class F> void expect_refused(const char* op, F&& f, const char* wanted) {
    EXPECT_THAT(message_of(f), testing::AllOf(HasSubstr(op), HasSubstr("the gradient of y is ["), HasSubstr(wanted),
                                              HasSubstr("give a gradient of y's shape")))
        << op;
  }
};

TEST_F(gradient_shape, of_joined_rows) {
  const auto join = sparse::join_of_equal_rows<2>(2);
  const sparse::combine_op<2> sum{join}, product{join, sparse::combination::product};
  const auto s = sum.forward(e, x, x).saved;
  const auto p = product.forward(e, x, x).saved;
  expect_refused(
      "combine_op", [&] { (void)sum.backward(e, s, longer, both); }, "y has 2 rows");
  expect_refused(
      "combine_op", [&] { (void)product.backward(e, p, wider, both); }, "y has 2 rows of 3 channels");
  const sparse::concatenate_channels_op<2> beside{join};
  const auto c = beside.forward(e, x, wider).saved;
  expect_refused(
      "concatenate_channels_op", [&] { (void)beside.backward(e, c, x, both); }, "y has 2 rows of 7 channels");
  const sparse::stack_rows_op<2> behind;
  const auto k = behind.forward(e, x, longer).saved;
  expect_refused(
      "stack_rows_op", [&] { (void)behind.backward(e, k, x); }, "y has 5 rows");
  const sparse::put_rows_op put{make_tensor<std::int32_t, 1>({1}, 1), 3};
  expect_refused(
      "put_rows_op", [&] { (void)put.backward(e, {}, x); }, "y has 3 rows");
}

TEST_F(gradient_shape, of_norms) {
  const sparse::row_affine_op affine;
  const auto a = affine.forward(e, x, per_channel, per_channel).saved;
  expect_refused(
      "row_affine_op", [&] { (void)affine.backward(e, a, longer); }, "y has 2 rows of 3 channels");
  const sparse::batch_norm_op norm;
  const auto b = norm.forward(e, x, per_channel, per_channel).saved;
  expect_refused(
      "batch_norm_op", [&] { (void)norm.backward(e, b, wider, per_channel, per_channel); },
      "y has 2 rows of 3 channels");
  const sparse::voxel_group_norm_op group;
  const auto g = group.forward(e, x, per_channel, per_channel).saved;
  expect_refused(
      "voxel_group_norm_op", [&] { (void)group.backward(e, g, longer); }, "y has 2 rows of 3 channels");
}

TEST_F(gradient_shape, of_volumes) {
  const sparse::to_dense_op<1> dense{at};
  expect_refused(
      "to_dense_op",
      [&] {
        (void)dense.backward(e, {}, random<3>({1, 5, 3}, 1));
      },
      "y [1 x 4 x 3]");
  const sparse::from_dense_op<1> from{at};
  expect_refused(
      "from_dense_op", [&] { (void)from.backward(e, {}, longer); }, "y has 2 rows");
  const auto points = random<2>({5, 1}, 5);
  const sparse::sample_volume_op<1> sample;
  const auto s = sample.forward(e, random<3>({1, 4, 3}, 6), points).saved;
  expect_refused(
      "sample_volume_op", [&] { (void)sample.backward(e, s, x, both); }, "y has 5 rows of 3 channels");
  const sparse::interpolate_at_op<1> between{at};
  const auto i = between.forward(e, x, points).saved;
  expect_refused(
      "interpolate_at_op", [&] { (void)between.backward(e, i, x, both); }, "y has 5 rows of 3 channels");
  const auto plan = sparse::make_interpolation_plan<double>(e, at, at);
  const sparse::interpolate_op<double> to_sites{plan};
  expect_refused(
      "interpolate_op", [&] { (void)to_sites.backward(e, {}, longer); }, "y has 2 rows");
}

TEST_F(gradient_shape, of_voxels) {
  const auto points = random<2>({6, 1}, 5);
  const sparse::voxel_grid<double, 1> box{{-2}, {2}, {1}};
  const auto v = sparse::voxelize(e, points, box);
  const sparse::voxel_features_op<1> op{v, sparse::point_reduction::max};
  const auto s = op.forward(e, random<2>({6, 3}, 7)).saved;
  expect_refused(
      "voxel_features_op",
      [&] {
        (void)op.backward(e, s, random<2>({v.at.rows, 2}, 8));
      },
      "rows of 3 channels");
}

} // namespace gradient_shape_test

// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/sparse.md, compiled and run; and that the page shows these lines and no others.
#include "../support/guide.hpp"

#include <sqs/core/random.hpp>
#include <sqs/sparse.hpp>

namespace guide_test {

using namespace sqs;
using sparse::taps;

tensor<float, 2> cloud(idx n) {
  auto p = make_tensor<float, 2>({n, 3});
  const auto draw = random_stream::of(12);
  for (idx i = 0; i < 3 * n; ++i) { p.data()[i] = static_cast<float>(draw.uniform(i, -2, 2)); }
  return p;
}

TEST(guide, sparse) {
  cpu exec;
  const auto points = cloud(3000);
  const sparse::voxel_grid<float, 3> space{{-24, -24, -2}, {24, 24, 2}, {0.4f, 0.4f, 0.4f}};
  const auto voxels = sparse::voxelize(exec, points, space);
  const auto features = sparse::voxel_features_op<3>{voxels, sparse::point_reduction::mean}.forward(exec, points).value;
  ASSERT_EQ(features.extent(0), voxels.at.rows);

  const auto cube = sparse::make_submanifold_plan(exec, voxels.at, taps<3, 3, 3>{});
  const auto plane = sparse::restricted_plan(exec, cube, taps<3, 3, 3>{}, taps<3, 3, 1>{});
  const auto down = sparse::make_convolution_plan(exec, voxels.at, {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}});
  const auto up = sparse::make_inverse_plan(down);
  sparse::plan_cache<3> plans; // one per rig
  const auto again = plans.submanifold(exec, voxels.at, taps<3, 3, 3>{});
  EXPECT_EQ(again.forward.pairs(), cube.forward.pairs());
  EXPECT_EQ(plane.forward.pairs(), sparse::make_submanifold_plan(exec, voxels.at, taps<3, 3, 1>{}).forward.pairs());
  EXPECT_EQ(up.output.rows, voxels.at.rows);
  EXPECT_LT(down.output.rows, voxels.at.rows);

  initializer init(1);
  training_graph g{exec};
  const auto layer = sparse::convolution<float>::make(3, 16, 27, true, init);
  auto y = nn::relu(g, layer(g, g.input(features), cube));
  EXPECT_EQ(y.value().shape(), (extents<2>{voxels.at.rows, 16}));
}
TEST(guide, shows_what_is_compiled_here) { guide::expect_shown("sparse.md", "sparse/guide_test.cpp", 4); }

} // namespace guide_test

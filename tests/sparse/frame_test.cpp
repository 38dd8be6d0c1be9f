// SPDX-License-Identifier: Apache-2.0
// A real LiDAR sweep: the numbers of voxels and pairs that others have counted in it.
#include "../support/check.hpp"

#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/voxelize.hpp>
#include <sqs/tensor/npz.hpp>

#include <cstdlib>
#include <filesystem>

namespace frame_test {

using namespace sqs;
using sparse::taps;

TEST(frame, has_the_published_numbers_of_voxels_and_pairs) {
  const char* given = std::getenv("SQS_DATA_DIR");
  const auto path =
      std::filesystem::path(given != nullptr ? given : SQS_TEST_DATA_DIR) / "spconv-benchmark-frame/benchmark-pc.npz";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is absent"; }
  cpu e{.threads = 2};
  const auto cloud = to_tensor<float, 2>(read_npz(path).at("pc"), "pc");
  ASSERT_EQ(cloud.shape(), (extents<2>{198130, 3}));
  const sparse::voxel_grid<double, 3> box{{-80, -80, -2}, {80, 80, 6}, {0.1, 0.1, 0.1}};
  const auto v = sparse::voxelize(e, persistent_copy<double>(cloud), box);
  EXPECT_EQ(v.at.rows, 125565);
  const auto cube = sparse::make_submanifold_plan(e, v.at, taps<3, 3, 3>{});
  EXPECT_EQ(cube.forward.pairs(), 788961);
  // Per voxel 3.18, 2.76 and 3.03 pairs in the three planes.
  const auto per_voxel = [&](const sparse::tap_set<3>& t) {
    return static_cast<double>(sparse::restricted_plan(e, cube, taps<3, 3, 3>{}, t).forward.pairs()) / 125565;
  };
  EXPECT_NEAR(per_voxel(taps<3, 3, 1>{}), 3.18, 0.005);
  EXPECT_NEAR(per_voxel(taps<1, 3, 3>{}), 2.76, 0.005);
  EXPECT_NEAR(per_voxel(taps<3, 1, 3>{}), 3.03, 0.005);
  const auto strided =
      sparse::make_convolution_plan(e, v.at, {.taps = taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}});
  EXPECT_EQ(strided.output.rows, 137000);
  const auto halved = sparse::make_convolution_plan(e, v.at, {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}});
  EXPECT_EQ(halved.output.rows, 67099);
  EXPECT_EQ(halved.plan.forward.pairs(), 125565);
}

} // namespace frame_test

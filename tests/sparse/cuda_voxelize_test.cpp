// SPDX-License-Identifier: Apache-2.0
// Voxels of points on the emulated device: by hand, those of the host, too little room, misuse.
#include "cuda_voxelize_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_voxelize_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_voxelize, finds_the_voxels_of_the_host) {
  for (const idx n : {0, 1, 300, 1000}) {
    emulator::gpu e{.seed = static_cast<std::uint64_t>(n)};
    expect_same_voxels<double>(e, n, 1);
    expect_same_voxels<float>(e, n, 2);
  }
}

/// Cells 2, 0, none, 2, 5 of a line of 6.
struct line {
  emulator::gpu e;
  tensor<double, 2, device> points = [this] {
    auto p = make_tensor<double, 2>({5, 1});
    p(0, 0) = 2.5, p(1, 0) = 0, p(2, 0) = 6, p(3, 0) = 2, p(4, 0) = 5.9;
    return to_device(e, p);
  }();
  sparse::voxel_grid<double, 1> box{{0}, {6}, {1}};
};

TEST(cuda_voxelize, a_line_by_hand) {
  line l;
  const auto v = sparse::voxelize(l.e, l.points, l.box);
  EXPECT_THAT(to_host(l.e, v.row_of_point).span(), ElementsAre(1, 0, -1, 1, 2));
  EXPECT_THAT(to_host(l.e, v.point).span(), ElementsAre(1, 0, 3, 4, 2));
  EXPECT_THAT(to_host(l.e, v.begin).span(), ElementsAre(0, 1, 3, 4, 4, 4));
  const auto y = sparse::device_voxel_features_op<1>{v}.forward(l.e, l.points).value;
  EXPECT_THAT(to_host(l.e, y).span(), ElementsAre(0, 2.25, 5.9, 0, 0));
}

TEST(cuda_voxelize, voxels_that_do_not_fit_lose_their_points) {
  line l;
  const auto v = sparse::voxelize(l.e, l.points, l.box, {}, 1, 2);
  EXPECT_THAT(message_of([&] { sparse::check_sites(l.e, v.at); }),
              HasSubstr("sqs::sparse::check_sites: 3 sites do not fit the room for 2; give a larger capacity"));
  EXPECT_THAT(to_host(l.e, v.row_of_point).span(), ElementsAre(1, 0, -1, 1, -1));
  EXPECT_THAT(to_host(l.e, v.begin).span(), ElementsAre(0, 1, 3));
}

TEST(cuda_voxelize, misuse_is_told) {
  line l;
  const sparse::voxel_grid<double, 2> flat{{0, 0}, {6, 6}, {1, 1}};
  EXPECT_THAT(message_of([&] { sparse::voxelize(l.e, l.points, flat); }),
              HasSubstr("sqs::sparse::voxelize: points have 1 columns; the first 2 must be the position"));
  EXPECT_THAT(message_of([&] { sparse::voxelize(l.e, l.points, l.box, zeros<std::int32_t, 1>(l.e, {4})); }),
              HasSubstr("sqs::sparse::voxelize: 4 batch numbers for 5 points; give one each"));
  const auto v = sparse::voxelize(l.e, l.points, l.box);
  EXPECT_THAT(message_of([&] {
                sparse::device_voxel_features_op<1>{v}.forward(l.e, zeros<double, 2>(l.e, {4, 1}));
              }),
              HasSubstr("sqs::sparse::device_voxel_features_op: x has 4 rows for 5 points; give one row per point"));
}

} // namespace cuda_voxelize_test

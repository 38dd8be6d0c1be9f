// SPDX-License-Identifier: Apache-2.0
// Depth images as the published pipelines make them: rules by hand, a chain written down a second time.
#include <sqs/sensor/augment_image.hpp>
#include <sqs/sensor/lidar_depth.hpp>

#include "../support/check.hpp"

namespace depth_map_test {

using sqs::depth_map_options;
using sqs::mat3;
using sqs::vec3;

// ref is the camera frame; u = 10 x / z + 4, v = 10 y / z + 2.
const sqs::mat4<double> projection{{10, 0, 4, 0, 0, 10, 2, 0, 0, 0, 1, 0, 0, 0, 0, 1}};

std::vector<float> depths(const std::vector<vec3<float>>& p, const depth_map_options& o,
                          const mat3<double>& m = mat3<double>::identity()) {
  return sqs::depth_map(p, projection, m, 5, 9, 5, 9, o);
}
/// The pixel that holds the only return, or -1.
int only(const std::vector<float>& d) {
  int at = -1;
  for (std::size_t i = 0; i < d.size(); ++i) {
    if (d[i] > 0) {
      EXPECT_EQ(at, -1);
      at = static_cast<int>(i);
    }
  }
  return at;
}
/// A point 10 m away at pixel (u, v).
vec3<float> at(double u, double v) { return {static_cast<float>(u - 4), static_cast<float>(v - 2), 10}; }

TEST(depth_map, pixels_are_found_by_the_rule_of_the_pipeline) {
  const auto floor = depth_map_options{}, nearest = depth_map_options::semantic_kitti();
  const depth_map_options cut{.pixel = sqs::pixel_rule::truncate};
  EXPECT_EQ(only(depths({at(2.75, 1.75)}, floor)), 1 * 9 + 2);
  EXPECT_EQ(only(depths({at(2.75, 1.75)}, nearest)), 2 * 9 + 3);
  EXPECT_EQ(only(depths({at(2.5, 1.5)}, nearest)), 2 * 9 + 2); // ties to even
  EXPECT_EQ(only(depths({at(3.5, 0.5)}, nearest)), 0 * 9 + 4);
  EXPECT_EQ(only(depths({at(-0.5, 1)}, floor)), -1);
  EXPECT_EQ(only(depths({at(-0.5, 1)}, nearest)), 9); // -0.5 is nearest to -0
  EXPECT_EQ(only(depths({at(-0.75, 1)}, nearest)), -1);
  EXPECT_EQ(only(depths({at(-0.75, 1)}, cut)), 9);
  EXPECT_EQ(only(depths({at(8.75, 1)}, floor)), 9 + 8);
  EXPECT_EQ(only(depths({at(8.75, 1)}, nearest)), -1);
}

TEST(depth_map, limits_and_winners) {
  const auto bev = depth_map_options::bev_depth();
  EXPECT_EQ(only(depths({{0, 0, 2}}, bev)), 2 * 9 + 4);
  EXPECT_EQ(only(depths({{0, 0, 1.99f}}, bev)), -1);
  EXPECT_EQ(only(depths({{0, 0, 42}}, bev)), -1);
  EXPECT_EQ(only(depths({{0, 0, 41.9f}}, bev)), 2 * 9 + 4);
  EXPECT_EQ(only(depths({{0, 0, -3}}, depth_map_options{})), -1);
  EXPECT_EQ(only(depths({{NAN, 0, 3}}, depth_map_options{})), -1);
  const std::vector<vec3<float>> order{{0, 0, 30}, {0, 0, 10}, {0, 0, 20}};
  EXPECT_EQ(depths(order, {})[2 * 9 + 4], 10);
  EXPECT_EQ(depths(order, depth_map_options::open_occupancy())[2 * 9 + 4], 20); // the last
  const auto border = depth_map_options::open_occupancy();
  EXPECT_EQ(only(depths({at(1, 2)}, border)), -1); // more than one pixel inside
  EXPECT_EQ(only(depths({at(1.01, 2)}, border)), 2 * 9 + 1);
  EXPECT_EQ(only(depths({at(2, 4)}, border)), -1);
  EXPECT_EQ(only(depths({at(4.2, 2.2)}, {.ego_radius = 1})), -1);
}

TEST(depth_map, the_augmentation_of_images_moves_points_as_the_reference_does) {
  const sqs::mat4<double> k{{120, 0, 80, 0, 0, 120, 45, 0, 0, 0, 1, 0, 0, 0, 0, 1}};
  const sqs::image_augmentation a{
      .resize = 0.47, .crop_x = 3, .crop_y = 10, .height = 32, .width = 64, .flip = true, .rotation = 5.4};
  std::vector<vec3<float>> points;
  const auto r = sqs::random_stream::of(3);
  for (int i = 0; i < 3000; ++i) {
    const double z = r.uniform(3 * i, 1, 50);
    points.push_back({static_cast<float>(r.uniform(3 * i + 1, -0.7, 0.7) * z),
                      static_cast<float>(r.uniform(3 * i + 2, -0.4, 0.4) * z), static_cast<float>(z)});
  }
  const auto ours = sqs::depth_map(points, k, image_matrix(a), 90, 160, 32, 64, depth_map_options::open_occupancy());
  // OpenOccupancy's steps, one by one: scale, crop, mirror, turn about the middle, cut to integers, later ones win.
  std::vector<float> theirs(32 * 64, 0.0f);
  int kept = 0;
  for (const auto& p : points) {
    const double z = double{p.z}, u = 120 * double{p.x} / z + 80, v = 120 * double{p.y} / z + 45;
    if (!(u > 1 && u < 159 && v > 1 && v < 89)) { continue; }
    double x = u * 0.47 - 3, y = v * 0.47 - 10;
    x = 64 - x;
    const double h = 5.4 / 180 * std::acos(-1.0);
    x -= 32, y -= 16;
    const double tx = std::cos(h) * x + std::sin(h) * y, ty = -std::sin(h) * x + std::cos(h) * y;
    const int column = static_cast<int>(tx + 32), row = static_cast<int>(ty + 16);
    if (tx + 32 <= -1 || ty + 16 <= -1 || column < 0 || row < 0 || column >= 64 || row >= 32) { continue; }
    theirs[static_cast<std::size_t>(row * 64 + column)] = p.z;
    ++kept;
  }
  EXPECT_GT(kept, 500);
  EXPECT_EQ(ours, theirs);
}

TEST(depth_map, blocks_keep_their_smallest_depth) {
  std::vector<float> d(4 * 6, 0.0f);
  d[0 * 6 + 0] = 9, d[1 * 6 + 1] = 7, d[3 * 6 + 4] = 5;
  EXPECT_EQ(sqs::block_minimum(d, 4, 6, 2), (std::vector<float>{7, 0, 0, 0, 0, 5}));
  EXPECT_THAT(sqs::test::message_of([&] { sqs::block_minimum(d, 4, 6, 4); }),
              ::testing::HasSubstr("in blocks of 4; the size must be a multiple of the block"));
}

TEST(depth_map, bins_of_both_conventions) {
  const std::vector<float> d{0, 1.99f, 2, 2.49f, 2.5f, 41.99f, 42, 100};
  EXPECT_EQ(sqs::depth_bins(d, 1.5, 0.5, 80), (std::vector<int>{-1, -1, 0, 0, 1, 79, -1, -1})); // VoxelSplat
  const std::vector<float> s{1.74f, 1.75f, 2.24f, 2.25f, 2.74f, 2.75f, 58.24f, 58.25f};
  EXPECT_EQ(sqs::depth_bins(s, 1.75, 0.5, 112), (std::vector<int>{-1, -1, -1, 0, 0, 1, 111, -1})); // SparseOcc
}

} // namespace depth_map_test

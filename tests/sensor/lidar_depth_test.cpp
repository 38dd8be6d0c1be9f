// SPDX-License-Identifier: Apache-2.0
#include <sqs/sensor/lidar_depth.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace lidar_depth_test {

// A camera in the origin of ref that looks along +y: x right, z up.
const sqs::se3<double> looking_forward{{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}};
const sqs::pinhole_camera<double> camera{10, 10, 4, 2, 8, 4};

TEST(lidar_depth, floor_pixel_and_z_by_hand) {
  // u = 10 * 1/10 + 4 = 5, v = 10 * (-0.55)/10 + 2 = 1.45: row 1, column 5, depth 10.
  const auto d = sqs::lidar_depth({{1.0f, 10.0f, 0.55f}}, camera, looking_forward);
  ASSERT_EQ(d.size(), 32u);
  for (std::size_t i = 0; i < 32; ++i) { EXPECT_EQ(d[i], i == 1 * 8 + 5 ? 10.0f : 0.0f) << i; }
}

TEST(lidar_depth, nearest_wins_in_any_order) {
  const sqs::vec3<float> near{0, 10, 0}, far{0, 40, 0};
  EXPECT_EQ(sqs::lidar_depth({near, far}, camera, looking_forward)[2 * 8 + 4], 10.0f);
  EXPECT_EQ(sqs::lidar_depth({far, near}, camera, looking_forward)[2 * 8 + 4], 10.0f);
}

TEST(lidar_depth, drops_what_is_out_of_range_behind_outside_or_on_the_own_vehicle) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<sqs::vec3<float>> dropped{{0, 60.1f, 0},  {0, 3.4f, 0}, {0, -10, 0},  {-4.01f, 10, 0}, {4, 10, 0},
                                              {0, 10, 2.01f}, {0, 10, -2},  {nan, 10, 0}, {0, inf, 0},     {0, nan, 0}};
  for (const auto& p : dropped) {
    for (const float d : sqs::lidar_depth({p}, camera, looking_forward)) { EXPECT_EQ(d, 0.0f) << p.x << " " << p.y; }
  }
  const std::vector<sqs::vec3<float>> kept{{0, 60, 0}, {0, 3.5f, 0}, {-4, 10, 0}, {3.99f, 10, 0}, {0, 10, 2}};
  for (const auto& p : kept) {
    float most = 0;
    for (const float d : sqs::lidar_depth({p}, camera, looking_forward)) { most = std::max(most, d); }
    EXPECT_EQ(most, p.y) << p.x << " " << p.y;
  }
}

TEST(lidar_depth, the_ego_radius_is_measured_in_the_plane_of_the_sensor) {
  // 1 m beside and 3 m ahead: 3.16 m away. Raised by 5 m it still stands over the vehicle.
  const sqs::pinhole_camera<double> wide{1, 1, 4, 2, 8, 4};
  for (const float z : {0.0f, 5.0f}) {
    const std::vector<sqs::vec3<float>> p{{1, 3, z}};
    float most = 0, free_of_ego = 0;
    for (const float d : sqs::lidar_depth(p, wide, looking_forward)) { most = std::max(most, d); }
    for (const float d : sqs::lidar_depth(p, wide, looking_forward, {.ego_radius = 3.1})) {
      free_of_ego = std::max(free_of_ego, d);
    }
    EXPECT_EQ(most, 0.0f);
    EXPECT_EQ(free_of_ego, 3.0f);
  }
}

TEST(lidar_depth, a_mirrored_camera_mirrors_the_image) {
  auto mirrored = sqs::transformed(camera, sqs::image_transform<double>{-1, 1, 8, 0}, 8, 4);
  EXPECT_EQ(mirrored.fx, -10);
  const auto d = sqs::lidar_depth({{1.05f, 10.0f, 0.55f}}, mirrored, looking_forward);
  EXPECT_EQ(d[1 * 8 + 2], 10.0f); // u = 8 - 5.05 = 2.95
}

TEST(lidar_depth, no_points_give_an_empty_image_and_a_broken_camera_an_error) {
  for (const float d : sqs::lidar_depth({}, camera, looking_forward)) { EXPECT_EQ(d, 0.0f); }
  EXPECT_THAT(
      [] {
        sqs::lidar_depth({}, {0, 10, 4, 2, 8, 4}, looking_forward);
      },
      ::testing::ThrowsMessage<sqs::precondition_error>(
          ::testing::HasSubstr("the camera of a depth image has singular intrinsics (fx 0")));
}

} // namespace lidar_depth_test

// SPDX-License-Identifier: Apache-2.0
#include <sqs/sensor/sample.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numbers>

namespace sample_test {

constexpr double pi = std::numbers::pi;

void expect_near(sqs::vec3<double> a, sqs::vec3<double> b, double tolerance = 1e-12) {
  EXPECT_NEAR(a.x, b.x, tolerance);
  EXPECT_NEAR(a.y, b.y, tolerance);
  EXPECT_NEAR(a.z, b.z, tolerance);
}

TEST(image, stores_rgb_rows_from_the_top) {
  sqs::image i(2, 3);
  EXPECT_EQ(i.pixels.size(), 18u);
  i.at(1, 2)[0] = 9;
  EXPECT_EQ(i.pixels[15], 9);
  EXPECT_THAT([] { sqs::image(-1, 3); }, ::testing::ThrowsMessage<sqs::precondition_error>(
                                             "sqs::image: size -1 x 3 is negative; give height and width in pixels"));
}

// The vehicle drives 2 m forward along global x between the LiDAR's time and the exposure. A point 10 m ahead of the
// LiDAR is then 8 m ahead of the camera that sits where the LiDAR sits.
TEST(sample, the_pose_respects_the_time_of_exposure) {
  const sqs::se3<double> T_global_ego_lidar{sqs::mat3<double>::identity(), {100, 200, 0}};
  const sqs::se3<double> T_global_ego_camera{sqs::mat3<double>::identity(), {102, 200, 0}};
  // ref: x right, y forward. ego: x forward, y left.
  const sqs::se3<double> T_ego_ref = sqs::yaw_rotation(-pi / 2);
  const sqs::se3<double> T_ego_cam{{{0, 0, 1, -1, 0, 0, 0, -1, 0}}, {}}; // x right, y down, z forward
  const auto T = sqs::pose_through_global(T_global_ego_camera, T_ego_cam, T_global_ego_lidar * T_ego_ref);
  expect_near(T * sqs::vec3<double>{1, 10, 3}, {1, -3, 8});
}

TEST(sample, turning_the_reference_frame_leaves_what_cameras_see) {
  sqs::sample s;
  s.views.push_back(
      {.name = "a", .picture = {}, .camera = {}, .T_cam_ref = {{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {.1, .2, .3}}});
  s.lidar.points = {{3, 4, 5}};
  s.T_global_ref = {sqs::mat3<double>::identity(), {7, 8, 9}};
  s.boxes.push_back(
      {.center = {3, 4, 5}, .size = {4, 2, 1}, .yaw = 3.0, .velocity = {1, 0}, .category = "c", .instance = "i"});
  const sqs::sample r = sqs::rotated(s, pi / 2);
  expect_near(sqs::vec3<double>(r.lidar.points[0]), {-4, 3, 5}, 1e-6);
  expect_near(r.boxes[0].center, {-4, 3, 5});
  EXPECT_NEAR(r.boxes[0].velocity.x, 0, 1e-12);
  EXPECT_NEAR(r.boxes[0].velocity.y, 1, 1e-12);
  EXPECT_NEAR(r.boxes[0].yaw, 3.0 + pi / 2 - 2 * pi, 1e-12);
  expect_near(r.views[0].T_cam_ref * r.boxes[0].center, s.views[0].T_cam_ref * s.boxes[0].center);
  expect_near(r.T_global_ref * r.boxes[0].center, s.T_global_ref * s.boxes[0].center);
  EXPECT_EQ(s.boxes[0].yaw, 3.0);
}

} // namespace sample_test

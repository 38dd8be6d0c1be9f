// SPDX-License-Identifier: Apache-2.0
#include <sqs/geometry/camera.hpp>

#include <gmock/gmock.h>

#include <limits>

namespace camera_test {

using namespace sqs;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(any_camera, six_numbers_are_a_pinhole) {
  const any_camera<float> c{100, 110, 32, 24, 64, 48};
  EXPECT_EQ(c.model, camera_model::pinhole);
  EXPECT_EQ(c.fy, 110);
  EXPECT_EQ(c.height, 48);
  for (const float d : c.distortion) { EXPECT_EQ(d, 0); }
}

TEST(any_camera, a_pinhole_converts_and_comes_back) {
  const pinhole_camera<double> p{100, 110, 32, 24, 64, 48};
  const any_camera<double> c = p; // implicitly
  EXPECT_EQ(c.model, camera_model::pinhole);
  const auto back = as_pinhole(c, "CAM_FRONT");
  EXPECT_EQ(back.fx, 100);
  EXPECT_EQ(back.cy, 24);
  EXPECT_EQ(back.width, 64);
  const auto in_float = pinhole_camera<float>(c);
  EXPECT_EQ(in_float.fy, 110.f);
  EXPECT_EQ(in_float.height, 48);
}

TEST(any_camera, other_scalars_keep_everything) {
  const any_camera<double> c{1, 2, 3, 4, 5, 6, camera_model::fisheye, {.1, .2, .3, .4, 5, 6, 7, 8}};
  const auto f = any_camera<float>(c);
  EXPECT_EQ(f.model, camera_model::fisheye);
  EXPECT_EQ(f.width, 5);
  EXPECT_EQ(f.cy, 4.f);
  EXPECT_EQ(f.distortion[3], .4f);
  EXPECT_EQ(f.distortion[7], 8.f);
}

TEST(any_camera, a_camera_with_distortion_is_no_pinhole) {
  const any_camera<float> c{1, 1, 1, 1, 4, 4, camera_model::opencv, {.1f}};
  EXPECT_THAT(
      [&] { as_pinhole(c, "CAM_LEFT"); },
      ThrowsMessage<precondition_error>(
          "sqs::as_pinhole: CAM_LEFT is a camera of the model opencv, which no pinhole describes; undistort its "
          "pictures first, or use an op that takes any camera"));
  EXPECT_THAT([&] { (void)pinhole_camera<double>(c); }, ThrowsMessage<precondition_error>(HasSubstr("opencv")));
}

TEST(any_camera, transforms_leave_the_distortion_alone) {
  const any_camera<double> c{100, 110, 32, 24, 64, 48, camera_model::opencv, {1, 2, 3, 4, 5, 6, 7, 8}};
  // Half the size, cut 4 px at the top, then mirrored.
  const auto t = transformed(c, image_transform<double>{-.5, .5, 32, -4}, 32, 20);
  EXPECT_EQ(t.fx, -50);
  EXPECT_EQ(t.fy, 55);
  EXPECT_EQ(t.cx, 16);
  EXPECT_EQ(t.cy, 8);
  EXPECT_EQ(t.width, 32);
  EXPECT_EQ(t.height, 20);
  EXPECT_EQ(t.model, camera_model::opencv);
  EXPECT_EQ(t.distortion, c.distortion);
}

TEST(any_camera, bad_numbers_are_named) {
  any_camera<float> c{100, 110, 32, 24, 64, 48, camera_model::fisheye, {}};
  EXPECT_NO_THROW(checked(c, "a"));
  c.distortion[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT([&] { checked(c, "CAM_BACK"); },
              ThrowsMessage<precondition_error>(
                  "sqs::any_camera: CAM_BACK has distortion[2] = nan; check the calibration of this sensor"));
  c.distortion[2] = 0, c.fx = 0;
  EXPECT_THAT([&] { checked(c, "CAM_BACK"); },
              ThrowsMessage<precondition_error>(AllOf(HasSubstr("CAM_BACK"), HasSubstr("singular intrinsics"))));
  c.fx = 1, c.width = 0;
  EXPECT_THAT([&] { checked(c, "CAM_BACK"); }, ThrowsMessage<precondition_error>(HasSubstr("empty image of 48 x 0")));
}

TEST(camera_model, has_names) {
  EXPECT_STREQ(name_of(camera_model::pinhole), "pinhole");
  EXPECT_STREQ(name_of(camera_model::opencv), "opencv");
  EXPECT_STREQ(name_of(camera_model::fisheye), "fisheye");
  EXPECT_STREQ(name_of(camera_model::orthographic), "orthographic");
}

} // namespace camera_test

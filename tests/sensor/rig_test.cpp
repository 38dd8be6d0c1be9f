// SPDX-License-Identifier: Apache-2.0
#include <sqs/sensor/rig.hpp>

#include <gmock/gmock.h>

#include <limits>

namespace rig_test {

using namespace sqs;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(camera_rig, takes_every_model) {
  const pinhole_camera<float> front{10, 10, 4, 3, 8, 6};
  const camera_rig<float> rig{{front, {}}, {{10, 10, 5, 3, 10, 6, camera_model::fisheye, {.1f}}, {}}};
  EXPECT_EQ(rig.size(), 2);
  EXPECT_EQ(rig[0].camera.model, camera_model::pinhole);
  EXPECT_EQ(rig[1].camera.model, camera_model::fisheye);
  EXPECT_EQ(rig[1].camera.distortion[0], .1f);
  const auto in_double = camera_rig<double>(rig);
  EXPECT_EQ(in_double[1].camera.model, camera_model::fisheye);
  EXPECT_EQ(in_double[1].camera.distortion[0], double(.1f));
  EXPECT_EQ(in_double[1].camera.width, 10);
}

TEST(camera_rig, counts_the_pixels_of_views_of_different_sizes) {
  camera_rig<float> rig;
  EXPECT_EQ(rig.pixel_count(), 0);
  EXPECT_TRUE(rig.uniform());
  rig.add({1, 1, 0, 0, 8, 6}, {});
  rig.add({1, 1, 0, 0, 8, 6}, {});
  EXPECT_TRUE(rig.uniform());
  rig.add({1, 1, 0, 0, 6, 8}, {}); // as many pixels, another shape
  EXPECT_FALSE(rig.uniform());
  rig.add({1, 1, 0, 0, 5, 2}, {});
  EXPECT_EQ(rig.first_pixel(0), 0);
  EXPECT_EQ(rig.first_pixel(1), 48);
  EXPECT_EQ(rig.first_pixel(3), 144);
  EXPECT_EQ(rig.pixel_count(), 154);
}

TEST(camera_rig, does_not_overflow_its_pixel_count) {
  camera_rig<double> rig;
  for (int i = 0; i < 3; ++i) { rig.add({1, 1, 0, 0, 60000, 50000}, {}); }
  EXPECT_EQ(rig.pixel_count(), idx{9000000000});
}

TEST(camera_rig, refuses_distortion_that_is_not_finite) {
  any_camera<float> c{10, 10, 5, 3, 10, 6, camera_model::opencv, {}};
  c.distortion[4] = std::numeric_limits<float>::infinity();
  camera_rig<float> rig;
  EXPECT_THAT([&] { rig.add(c, {}); },
              ThrowsMessage<precondition_error>(HasSubstr("camera 0 of the rig has distortion[4] = inf")));
}

} // namespace rig_test

// SPDX-License-Identifier: Apache-2.0
#include <sqs/sensor/network_input.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace network_input_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

sqs::sample one_view() {
  sqs::sample s;
  s.token = "tok";
  s.views.push_back({.name = "CAM_FRONT",
                     .picture = sqs::image(4, 8),
                     .camera = {10, 10, 4, 2, 8, 4},
                     .T_cam_ref = {{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}}});
  s.views[0].picture.at(1, 5)[0] = 255; // red
  s.lidar.points = {{1.0f, 10.0f, 0.55f}};
  return s;
}

TEST(network_input, by_hand) {
  const auto in = sqs::make_network_input<double>(one_view(), {.scale = 1, .height = 4, .width = 8});
  EXPECT_EQ(in.token, "tok");
  EXPECT_EQ(in.images.shape(), (sqs::extents<4>{1, 4, 8, 3}));
  EXPECT_NEAR(in.images(0, 1, 5, 0), (255 - 123.675) / 58.395, 1e-12);
  EXPECT_NEAR(in.images(0, 1, 5, 1), -116.28 / 57.12, 1e-12);
  EXPECT_NEAR(in.images(0, 0, 0, 2), -103.53 / 57.375, 1e-12);
  EXPECT_EQ(in.rgb(0, 1, 5, 0), 1.0);
  EXPECT_EQ(in.rgb(0, 1, 5, 1), 0.0);
  EXPECT_EQ(in.depth(0, 1, 5), 10.0);
  EXPECT_EQ(in.depth(0, 1, 4), 0.0);
  const auto& m = in.lidar2img[0];
  const double w = m(2, 0) * 1 + m(2, 1) * 10 + m(2, 2) * 0.55 + m(2, 3);
  EXPECT_NEAR(w, 10, 1e-12);
  EXPECT_NEAR((m(0, 0) * 1 + m(0, 1) * 10 + m(0, 2) * 0.55 + m(0, 3)) / w, 5, 1e-12);
}

TEST(network_input, a_flip_moves_picture_depth_and_camera_together) {
  const auto in = sqs::make_network_input<float>(one_view(), {.scale = 1, .height = 4, .width = 8, .flip = true});
  EXPECT_EQ(in.rgb(0, 1, 2, 0), 1.0f);
  EXPECT_EQ(in.cameras[0].fx, -10.0f);
  // u = 5 exactly: mirrored to 3.0, whose floor is the neighbouring pixel. Pixel edges are not mirrored, centres are.
  EXPECT_EQ(in.depth(0, 1, 3), 10.0f);
}

TEST(network_input, errors_name_the_sample) {
  auto s = one_view();
  const sqs::image_plan plan{.scale = 1, .height = 4, .width = 8};
  s.lidar.points.clear();
  EXPECT_THAT([&] { sqs::make_network_input<float>(s, plan); },
              ThrowsMessage<sqs::precondition_error>(
                  "sqs::make_network_input: none of the 0 LiDAR points of sample tok falls into any of its 1 views; "
                  "check the LiDAR file and the calibration"));
  s = one_view();
  s.views[0].camera.width = 9;
  EXPECT_THAT([&] { sqs::make_network_input<float>(s, plan); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("CAM_FRONT of sample tok is 4 x 8 pixels but its camera has 4 x 9")));
  s = one_view();
  s.views[0].T_cam_ref.translation.x = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT([&] { sqs::make_network_input<float>(s, plan); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("CAM_FRONT contains NaN or Inf")));
  s = one_view();
  s.views[0].camera.fx = 0;
  EXPECT_THAT([&] { sqs::make_network_input<float>(s, plan); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("CAM_FRONT has singular intrinsics")));
  s.views.clear();
  EXPECT_THAT([&] { sqs::make_network_input<float>(s, plan); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sample tok has no views")));
}

} // namespace network_input_test

// SPDX-License-Identifier: Apache-2.0
#include <sqs/sensor/preprocess.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preprocess_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// A black image with a soft white dot whose centre of mass is (u, v).
sqs::image dot(int height, int width, double u, double v, double sigma) {
  sqs::image i(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double d = ((x + 0.5 - u) * (x + 0.5 - u) + (y + 0.5 - v) * (y + 0.5 - v)) / (2 * sigma * sigma);
      std::fill_n(i.at(y, x), 3, static_cast<std::uint8_t>(std::lround(255 * std::exp(-d))));
    }
  }
  return i;
}

sqs::vec2<double> centre_of_mass(const sqs::image& i) {
  double sum = 0, u = 0, v = 0;
  for (int y = 0; y < i.height; ++y) {
    for (int x = 0; x < i.width; ++x) {
      const double w = *i.at(y, x);
      sum += w, u += w * (x + 0.5), v += w * (y + 0.5);
    }
  }
  return {u / sum, v / sum};
}

TEST(preprocess, the_fitting_plan_covers_the_target_from_below) {
  const auto a = sqs::fitting_plan(900, 1600, 176, 320);
  EXPECT_DOUBLE_EQ(a.scale, 0.2);
  EXPECT_EQ(a.crop_y, 4);
  EXPECT_EQ(a.crop_x, 0);
  const auto b = sqs::fitting_plan(900, 1600, 256, 704);
  EXPECT_DOUBLE_EQ(b.scale, 0.44);
  EXPECT_EQ(b.crop_y, 396 - 256);
  EXPECT_EQ(b.crop_x, 0);
  const auto c = sqs::fitting_plan(900, 1600, 864, 1600); // GaussianFormer: the top 36 rows go
  EXPECT_DOUBLE_EQ(c.scale, 1);
  EXPECT_EQ(c.crop_y, 36);
  const auto d = sqs::fitting_plan(900, 1600, 450, 400); // columns cut on both sides
  EXPECT_DOUBLE_EQ(d.scale, 0.5);
  EXPECT_EQ(d.crop_x, 200);
  for (int w = 1; w < 1600; ++w) { // never a pixel short
    const auto p = sqs::fitting_plan(900, 1600, 9, w);
    EXPECT_NO_THROW(
        sqs::prepared(sqs::image(900, 1600),
                      {.scale = p.scale, .crop_x = p.crop_x + w - 1, .crop_y = p.crop_y, .height = 1, .width = 1}))
        << w;
    if (w > 40) { w += 97; }
  }
}

TEST(preprocess, the_identity_plan_changes_nothing) {
  const sqs::image i = dot(20, 30, 11.3, 7.1, 3);
  const auto p = sqs::prepared(i, {.scale = 1, .height = 20, .width = 30});
  EXPECT_EQ(p.picture, i);
  EXPECT_EQ(p.transform.ax, 1.0);
  EXPECT_EQ(p.transform.bx, 0.0);
}

TEST(preprocess, a_constant_image_stays_constant_and_halving_averages) {
  sqs::image i(12, 18);
  std::fill(i.pixels.begin(), i.pixels.end(), std::uint8_t{137});
  for (const auto v : sqs::prepared(i, {.scale = 0.25, .height = 3, .width = 4}).picture.pixels) { EXPECT_EQ(v, 137); }
  // By hand: halving a row 0 0 0 0 80 0 0 0 with the triangle of radius 2 pixels. Output 2 has its centre at 5.0:
  // weights .25 .75 .75 .25 for pixels 3..6, sum 2; pixel 4 counts 0.75 / 2. Output 1 (centre 3): pixel 4, .25 / 2.
  sqs::image row(1, 8);
  std::fill_n(row.at(0, 4), 3, std::uint8_t{80});
  const auto h = sqs::detail::triangle_taps(8, 2.0, 1, 3);
  const auto weight_of_4 = [&](std::size_t k) { return h[k].weight.at(static_cast<std::size_t>(4 - h[k].first)); };
  EXPECT_FLOAT_EQ(weight_of_4(0), 0.125f);
  EXPECT_FLOAT_EQ(weight_of_4(1), 0.375f);
}

TEST(preprocess, the_picture_moves_as_the_transform_says) {
  const sqs::image i = dot(90, 160, 83.7, 52.2, 6);
  for (const double scale : {1.0, 0.5, 0.2, 0.44}) {
    for (const bool flip : {false, true}) {
      const int height = static_cast<int>(90 * scale) - 2, width = static_cast<int>(160 * scale) - 3;
      const auto p =
          sqs::prepared(i, {.scale = scale, .crop_x = 1, .crop_y = 2, .height = height, .width = width, .flip = flip});
      const auto c = centre_of_mass(p.picture);
      EXPECT_NEAR(c.x, p.transform.ax * 83.7 + p.transform.bx, 0.02) << scale << flip;
      EXPECT_NEAR(c.y, p.transform.ay * 52.2 + p.transform.by, 0.02) << scale << flip;
      EXPECT_EQ(p.transform.ax < 0, flip);
    }
  }
}

TEST(preprocess, the_camera_follows_the_picture) {
  sqs::camera_view v{.name = "CAM",
                     .picture = sqs::image(900, 1600),
                     .camera = {1266, 1266, 816, 491, 1600, 900},
                     .T_cam_ref = {},
                     .timestamp_us = 5};
  const sqs::vec3<double> p{3, 1, 20};
  const auto before = v.camera.project(p);
  auto plan = sqs::fitting_plan(900, 1600, 176, 320);
  const auto plain = sqs::prepared(v, plan);
  EXPECT_EQ(plain.camera.width, 320);
  EXPECT_EQ(plain.camera.height, 176);
  EXPECT_NEAR(plain.camera.fx, 253.2, 1e-9);
  EXPECT_NEAR(plain.camera.cy, 491 * 0.2 - 4, 1e-9);
  EXPECT_NEAR(plain.camera.project(p).x, before.x * 0.2, 1e-9);
  EXPECT_NEAR(plain.camera.project(p).y, before.y * 0.2 - 4, 1e-9);
  plan.flip = true;
  const auto flipped = sqs::prepared(v, plan);
  EXPECT_LT(flipped.camera.fx, 0);
  EXPECT_NEAR(flipped.camera.project(p).x, 320 - before.x * 0.2, 1e-9);
  EXPECT_EQ(flipped.timestamp_us, 5);
}

TEST(preprocess, impossible_plans_say_what_does_not_fit) {
  const sqs::image i(90, 160);
  EXPECT_THAT([&] { sqs::prepared(i, {.scale = 0.5, .crop_y = 2, .height = 45, .width = 80}); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("the crop of 45 x 80 at row 2, column 0 leaves the resized image of 45 x 80 pixels")));
  EXPECT_THROW(sqs::prepared(i, {}), sqs::precondition_error);
  EXPECT_THROW(sqs::prepared(sqs::image(), {.scale = 1, .height = 1, .width = 1}), sqs::precondition_error);
  EXPECT_THAT([&] { sqs::fitting_plan(900, 1600, 0, 320); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("from 900 x 1600 to 0 x 320 pixels")));
}

} // namespace preprocess_test

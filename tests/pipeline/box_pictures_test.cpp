// SPDX-License-Identifier: Apache-2.0
// Boxes on pictures and from above: corners, cuts at the camera's plane, places in the picture.
#include "../support/check.hpp"

#include <sqs/pipeline/box_pictures.hpp>

namespace box_pictures_test {

using namespace sqs;
using namespace sqs::pipeline;
using testing::HasSubstr;

const pinhole_camera<double> camera{100, 100, 50, 40, 100, 80};
box3d box(double x, double y, double z, double yaw = 0) {
  box3d b;
  b.center = {x, y, z}, b.size = {4, 2, 1.5}, b.yaw = yaw, b.category = "vehicle.car";
  return b;
}
bool painted(const image& p, int row, int column) {
  const auto* at = p.at(row, column);
  return at[0] + at[1] + at[2] > 0;
}
int painted_pixels(const image& p) {
  int n = 0;
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) { n += painted(p, y, x) ? 1 : 0; }
  }
  return n;
}

TEST(box_pictures, corners_by_hand) {
  const auto c = box_corners(box(10, 0, 1, 3.141592653589793 / 2)); // its x axis points along y
  EXPECT_NEAR(c[0].x, 9, 1e-12);                                    // front left
  EXPECT_NEAR(c[0].y, 2, 1e-12);
  EXPECT_NEAR(c[0].z, 0.25, 1e-12);
  EXPECT_NEAR(c[6].x, 11, 1e-12); // rear right, top
  EXPECT_NEAR(c[6].y, -2, 1e-12);
  EXPECT_NEAR(c[6].z, 1.75, 1e-12);
}

TEST(box_pictures, lines_are_cut_at_the_camera) {
  EXPECT_FALSE(project_segment(camera, {0, 0, -1}, {1, 0, 0.05}).has_value());
  const auto s = project_segment(camera, {1, 0, -0.8}, {1, 0, 1}); // crosses z = 0.1 at half its length
  ASSERT_TRUE(s.has_value());
  EXPECT_NEAR((*s)[0].x, 50 + 100 * 1 / 0.1, 1e-9);
  EXPECT_NEAR((*s)[1].x, 150, 1e-9);
}

TEST(box_pictures, boxes_on_a_picture) {
  // Camera frame = ref: x right, y down, z ahead. The box is 2 m wide in y, 4 m in x, 1.5 m in z.
  image p(80, 100);
  const std::vector<box3d> ahead{box(0, 0, 10)}, behind{box(0, 0, -10)}, around{box(0, 0, 0)};
  draw_boxes(p, camera, {}, ahead);
  EXPECT_TRUE(painted(p, 40 - 11, 50)); // the near edge at 9.25 m: 100 / 9.25 = 10.8 px above the middle
  EXPECT_FALSE(painted(p, 10, 10));
  image q(80, 100);
  draw_boxes(q, camera, {}, behind);
  EXPECT_EQ(painted_pixels(q), 0);
  draw_boxes(q, camera, {}, around); // half of it behind the camera: no line is drawn across infinity
  EXPECT_LT(painted_pixels(q), 8000);
  EXPECT_THAT(test::message_of([&] {
                image wrong(10, 10);
                draw_boxes(wrong, camera, {}, ahead);
              }),
              HasSubstr("a picture of 10 x 10 for a camera of 80 x 100"));
}

TEST(box_pictures, from_above) {
  bird_eye_view v(50, 200);
  EXPECT_NEAR(v.pixel({0, 50}).y, 0, 1e-12); // ahead is up
  EXPECT_NEAR(v.pixel({50, 0}).x, 200, 1e-12);
  const std::vector<vec3<float>> points{{10.2f, 20.2f, 0}, {1e9f, 0, 0}};
  draw_points(v, points);
  EXPECT_LT(v.picture.at(59, 120)[0], 200);
  const std::vector<box3d> boxes{box(-20, -20, 0)};
  draw_boxes(v, boxes, 2, colour{255, 0, 0});
  const auto* side = v.picture.at(140, 64); // its front: x = -18
  EXPECT_GT(side[0], 200);
  EXPECT_LT(side[1], 150);
  EXPECT_THAT(test::message_of([] { bird_eye_view(0, 10); }), HasSubstr("give positive numbers"));
}

TEST(box_pictures, colours) {
  EXPECT_EQ(category_colour("vehicle.car"), occupancy_class_colours[4]);
  EXPECT_EQ(category_colour("human.pedestrian.adult"), occupancy_class_colours[7]);
  EXPECT_EQ(category_colour("traffic_cone"), occupancy_class_colours[8]);
  EXPECT_EQ(category_colour("static_object.bicycle_rack"), (colour{128, 128, 128}));
}

TEST(drawing, lines_far_outside_do_not_take_for_ever) {
  image p(50, 50);
  draw_segment(p, {-1e12, 25}, {1e12, 25}, {255, 255, 255}, 2);
  EXPECT_TRUE(painted(p, 25, 10));
  EXPECT_FALSE(painted(p, 10, 10));
  draw_segment(p, {std::nan(""), 0}, {10, 10}, {255, 0, 0});
  draw_segment(p, {1e300, 1e300}, {-1e300, -1e300}, {255, 0, 0});
  EXPECT_FALSE(painted(p, 10, 10));
}

TEST(drawing, pictures_beside_each_other) {
  const image a = plain_picture(10, 20, {1, 2, 3}), b = plain_picture(8, 30, {4, 5, 6});
  const image both = beside(a, b, 4);
  EXPECT_EQ(both.height, 10);
  EXPECT_EQ(both.width, 30 + 4 + 30);
  EXPECT_EQ(both.at(9, 19)[2], 3);
  EXPECT_EQ(both.at(0, 34)[0], 4);
  EXPECT_EQ(both.at(9, 40)[0], 255);
  const std::vector<image> three{a, b, a};
  EXPECT_EQ(beside(three, 2, 4).height, 24);
  EXPECT_EQ(beside(std::span<const image>{}).width, 0);
}

} // namespace box_pictures_test

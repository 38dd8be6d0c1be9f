// SPDX-License-Identifier: Apache-2.0
// The scene turned, mirrored and scaled: voxels by permutations, boxes by their corners, projections by pixels.
#include <sqs/sensor/augment_scene.hpp>

#include "../support/check.hpp"

namespace augment_scene_test {

using sqs::occupancy_labels;
using sqs::scene_augmentation;
using sqs::vec3;

occupancy_labels pattern(const sqs::occupancy_grid& g) {
  auto o = occupancy_labels::empty(g, 17);
  const auto n = o.semantics.size();
  o.mask_lidar.resize(n), o.mask_camera.resize(n), o.flow.resize(n);
  const auto draw = sqs::random_stream::of(2);
  for (std::size_t i = 0; i < n; ++i) {
    const auto b = draw.bits(static_cast<sqs::idx>(i));
    o.semantics[i] = static_cast<std::uint8_t>(b % 18);
    o.mask_lidar[i] = b >> 8 & 1, o.mask_camera[i] = b >> 9 & 1;
    o.flow[i] = {static_cast<float>(b >> 10 & 7), static_cast<float>(b >> 13 & 7)};
  }
  return o;
}

TEST(augment_scene, mirrors_and_quarter_turns_are_permutations_of_the_voxels) {
  const sqs::occupancy_grid g{{-4, -4, -1}, {0.4, 0.4, 0.4}, {20, 20, 16}};
  const auto o = pattern(g);
  const auto expect = [&](const scene_augmentation& a, auto&& source, auto&& velocity) {
    const auto out = augmented(o, a);
    for (sqs::idx i = 0; i < g.count(); ++i) {
      const auto c = g.cell(i);
      const auto from = static_cast<std::size_t>(source(c[0], c[1], c[2])), to = static_cast<std::size_t>(i);
      ASSERT_EQ(out.semantics[to], o.semantics[from]);
      ASSERT_EQ(out.mask_lidar[to], o.mask_lidar[from]);
      ASSERT_EQ(out.mask_camera[to], o.mask_camera[from]);
      const auto v = velocity(o.flow[from]);
      ASSERT_NEAR(out.flow[to].x, v.x, 1e-6);
      ASSERT_NEAR(out.flow[to].y, v.y, 1e-6);
    }
  };
  using v2 = sqs::vec2<float>;
  expect(
      {}, [&](int x, int y, int z) { return g.index(x, y, z); }, [](v2 v) { return v; });
  expect(
      {.flip_x = true}, [&](int x, int y, int z) { return g.index(19 - x, y, z); },
      [](v2 v) {
        return v2{-v.x, v.y};
      });
  expect(
      {.flip_y = true}, [&](int x, int y, int z) { return g.index(x, 19 - y, z); },
      [](v2 v) {
        return v2{v.x, -v.y};
      });
  // A quarter turn takes (x, y) to (-y, x).
  expect(
      {.rotation = std::acos(-1.0) / 2}, [&](int x, int y, int z) { return g.index(y, 19 - x, z); },
      [](v2 v) {
        return v2{-v.y, v.x};
      });
  // First turned, then mirrored: (x, y) -> (y, x).
  expect(
      {.rotation = std::acos(-1.0) / 2, .flip_x = true}, [&](int x, int y, int z) { return g.index(y, x, z); },
      [](v2 v) {
        return v2{v.y, v.x};
      });
}

TEST(augment_scene, kitti_mirrors_about_the_middle_of_its_range) {
  const sqs::occupancy_grid g{{0, -25.6, -2}, {3.2, 3.2, 0.4}, {16, 16, 16}};
  const auto o = pattern(g);
  const auto out = augmented(o, {.flip_x = true, .flip_y = true, .flip_z = true, .centre = {25.6, 0, 1.2}});
  for (sqs::idx i = 0; i < g.count(); ++i) {
    ASSERT_EQ(out.semantics[static_cast<std::size_t>(i)], o.semantics[static_cast<std::size_t>(g.count() - 1 - i)]);
  }
}

TEST(augment_scene, what_comes_from_outside_is_ignored) {
  const sqs::occupancy_grid g{{-4, -4, -1}, {0.4, 0.4, 0.4}, {20, 20, 16}};
  const auto o = pattern(g);
  const auto out = augmented(o, {.rotation = std::acos(-1.0) / 4});
  const auto corner = static_cast<std::size_t>(g.index(0, 0, 3)), middle = static_cast<std::size_t>(g.index(10, 10, 3));
  EXPECT_EQ(out.semantics[corner], occupancy_labels::ignore);
  EXPECT_EQ(out.mask_camera[corner], 0);
  EXPECT_EQ(out.flow[corner].x, 0);
  EXPECT_NE(out.semantics[middle], occupancy_labels::ignore);
  // Each voxel has the label of the one that holds its turned-back centre.
  const double c = std::cos(-std::acos(-1.0) / 4), s = std::sin(-std::acos(-1.0) / 4);
  for (sqs::idx i = 0; i < g.count(); ++i) {
    const auto k = g.cell(i);
    const auto p = g.center(k[0], k[1], k[2]);
    const sqs::idx from = g.index_of({c * p.x - s * p.y, s * p.x + c * p.y, p.z});
    ASSERT_EQ(out.semantics[static_cast<std::size_t>(i)],
              from < 0 ? occupancy_labels::ignore : o.semantics[static_cast<std::size_t>(from)]);
  }
}

/// The corners of a box, as a set whose order does not matter.
std::vector<std::array<double, 3>> corners(const sqs::box3d& b) {
  std::vector<std::array<double, 3>> out;
  for (int k = 0; k < 8; ++k) {
    const double x = ((k & 1) != 0 ? 0.5 : -0.5) * b.size.x, y = ((k & 2) != 0 ? 0.5 : -0.5) * b.size.y;
    const double z = ((k & 4) != 0 ? 0.5 : -0.5) * b.size.z, c = std::cos(b.yaw), s = std::sin(b.yaw);
    out.push_back({b.center.x + c * x - s * y, b.center.y + s * x + c * y, b.center.z + z});
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(augment_scene, boxes_points_and_projections_move_together) {
  for (int i = 0; i < 200; ++i) {
    const auto r = sqs::random_stream::of(8, i);
    const auto a =
        sqs::draw_scene_augmentation({.scale_low = 0.95, .scale_high = 1.05, .flip_z = true, .centre = {1, 2, 3}}, r);
    std::vector<sqs::box3d> boxes(1);
    boxes[0].center = {r.uniform(20, -9, 9), r.uniform(21, -9, 9), r.uniform(22, -2, 2)};
    boxes[0].size = {4, 2, 1.5};
    boxes[0].yaw = r.uniform(23, -3, 3);
    boxes[0].velocity = {3 * std::cos(boxes[0].yaw), 3 * std::sin(boxes[0].yaw)}; // along its heading
    auto expected = corners(boxes[0]);
    for (auto& c : expected) {
      const auto p = a({c[0], c[1], c[2]});
      c = {p.x, p.y, p.z};
    }
    std::sort(expected.begin(), expected.end());
    std::vector<vec3<float>> points{vec3<float>(boxes[0].center)};
    // A projection before and behind, of the same point.
    const sqs::mat4<double> projection{{500, 20, 300, 1, -3, 400, 200, 2, 0.1, 0.2, 1, 30, 0, 0, 0, 1}};
    const auto pixel = [](const sqs::mat4<double>& m, const vec3<double>& p) {
      double v[3];
      for (int k = 0; k < 3; ++k) { v[k] = m(k, 0) * p.x + m(k, 1) * p.y + m(k, 2) * p.z + m(k, 3); }
      return std::array<double, 3>{v[0] / v[2], v[1] / v[2], v[2]};
    };
    const auto before = pixel(projection, boxes[0].center);
    augment(boxes, a);
    augment(points, a);
    const auto after = pixel(augmented(projection, a), boxes[0].center);
    for (std::size_t k = 0; k < 3; ++k) { EXPECT_NEAR(after[k], before[k], 1e-8); }
    EXPECT_NEAR(points[0].x, boxes[0].center.x, 1e-5);
    const auto found = corners(boxes[0]);
    for (std::size_t k = 0; k < 8; ++k) {
      for (std::size_t d = 0; d < 3; ++d) { ASSERT_NEAR(found[k][d], expected[k][d], 1e-9) << i; }
    }
    EXPECT_NEAR(boxes[0].velocity.x, 3 * a.scale * std::cos(boxes[0].yaw), 1e-9); // still along its heading
    EXPECT_NEAR(boxes[0].velocity.y, 3 * a.scale * std::sin(boxes[0].yaw), 1e-9);
    const auto m = a.matrix4();
    const auto p = a({5, 6, 7});
    EXPECT_NEAR(m(0, 0) * 5 + m(0, 1) * 6 + m(0, 2) * 7 + m(0, 3), p.x, 1e-12);
    EXPECT_NEAR(m(2, 0) * 5 + m(2, 1) * 6 + m(2, 2) * 7 + m(2, 3), p.z, 1e-12);
  }
}

TEST(augment_scene, a_turn_alone_is_what_rotated_does) {
  sqs::sample s;
  s.boxes.resize(1);
  s.boxes[0].center = {3, 4, 1};
  s.boxes[0].yaw = 0.5;
  s.boxes[0].velocity = {1, -2};
  s.lidar.points = {{1, 2, 3}};
  const auto turned = sqs::rotated(s, 0.3);
  auto boxes = s.boxes;
  augment(boxes, {.rotation = 0.3});
  EXPECT_NEAR(boxes[0].center.x, turned.boxes[0].center.x, 1e-12);
  EXPECT_NEAR(boxes[0].yaw, turned.boxes[0].yaw, 1e-12);
  EXPECT_NEAR(boxes[0].velocity.y, turned.boxes[0].velocity.y, 1e-12);
}

TEST(augment_scene, wrong_calls_are_named) {
  EXPECT_THAT(sqs::test::message_of([] { sqs::draw_scene_augmentation({.scale_low = 2, .scale_high = 1}, {}); }),
              ::testing::HasSubstr("scales of 2 to 1; give positive ones in order"));
  EXPECT_THAT(sqs::test::message_of([] { augmented(occupancy_labels{}, scene_augmentation{}); }), "no error");
  occupancy_labels short_one = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {2, 2, 2}}, 17);
  short_one.semantics.pop_back();
  EXPECT_THAT(sqs::test::message_of([&] { augmented(short_one, scene_augmentation{}); }),
              ::testing::HasSubstr("7 labels for a grid of 8 voxels"));
}

} // namespace augment_scene_test

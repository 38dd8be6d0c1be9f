// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/procedural.hpp>
#include <sqs/sensor/lidar_depth.hpp>
#include <sqs/sensor/network_input.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace procedural_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// A scene of one solid, 5 m ahead of the origin along x.
sqs::street_scene with(sqs::solid s) {
  sqs::street_scene scene;
  s.colour = {1, 1, 1};
  scene.solids = {s};
  return scene;
}
sqs::ray_hit cast(const sqs::street_scene& scene, sqs::vec3<double> from, sqs::vec3<double> d) {
  return sqs::ray_bundle(scene, from, sqs::normalized(d), 0.01).cast(d);
}

TEST(ray_caster, meets_a_turned_box_where_geometry_says) {
  // A cube of half width 1, turned by 45 degrees: its edge points to the viewer, at 5 - sqrt(2).
  const double r = std::sqrt(0.5);
  const auto scene = with({.center = {5, 0, 1}, .half = {1, 1, 1}, .cosine = r, .sine = r});
  const auto hit = cast(scene, {0, 0.001, 1}, {1, 0, 0});
  ASSERT_NE(hit.what, nullptr);
  EXPECT_NEAR(hit.t, 5 - std::sqrt(2.0) + 0.001, 1e-9);
  EXPECT_NEAR(cast(scene, {0, 0.001, 1}, {2, 0, 0}).t, hit.t / 2, 1e-9); // t counts in lengths of d
  EXPECT_EQ(cast(scene, {0, 1.5, 1}, {1, 0, 0}).what, nullptr);
  EXPECT_TRUE(std::isinf(cast(scene, {0, 1.5, 1}, {1, 0, 0}).t));
  const auto above = cast(scene, {5, 0, 4}, {0, 0, -1});
  EXPECT_NEAR(above.t, 2, 1e-12);
  EXPECT_EQ(above.normal.z, 1);
}

TEST(ray_caster, meets_a_cylinder_and_an_ellipsoid_where_geometry_says) {
  const auto post = with({.shape = sqs::solid_shape::cylinder, .center = {5, 0, 1}, .half = {0.5, 0.5, 1}});
  EXPECT_NEAR(cast(post, {0, 0.3, 1}, {1, 0, 0}).t, 5 - 0.4, 1e-12);
  EXPECT_NEAR(cast(post, {0, 0.3, 1}, {1, 0, 0}).normal.y, 0.6, 1e-12);
  EXPECT_EQ(cast(post, {0, 0, 2.1}, {1, 0, 0}).what, nullptr);
  EXPECT_NEAR(cast(post, {5.2, 0, 4}, {0, 0, -1}).t, 2, 1e-12); // its lid
  EXPECT_EQ(cast(post, {5.2, 0, 4}, {0, 0, -1}).normal.z, 1);
  const auto egg = with({.shape = sqs::solid_shape::ellipsoid, .center = {5, 0, 3}, .half = {2, 1, 1}});
  EXPECT_NEAR(cast(egg, {0, 0, 3}, {1, 0, 0}).t, 3, 1e-12);
  EXPECT_NEAR(cast(egg, {0, 0.6, 3}, {1, 0, 0}).t, 5 - 1.6, 1e-12);
}

TEST(ray_caster, meets_the_ground_and_misses_the_sky) {
  const sqs::street_scene empty;
  EXPECT_NEAR(cast(empty, {0, 0, 2}, {1, 0, -0.5}).t, 4, 1e-12);
  EXPECT_TRUE(std::isinf(cast(empty, {0, 0, 2}, {1, 0, 0.1}).t));
}

TEST(procedural, has_the_shape_of_every_data_set) {
  const sqs::procedural_dataset set({.seed = 3, .scenes = 2, .samples_per_scene = 2, .height = 44, .width = 80});
  EXPECT_EQ(set.size(), 4);
  const auto s = set.sample(3);
  EXPECT_EQ(s.token, "street-3-1-1");
  ASSERT_EQ(s.views.size(), 6u);
  for (std::size_t v = 0; v < 6; ++v) {
    EXPECT_EQ(s.views[v].name, sqs::camera_names[v]);
    EXPECT_EQ(s.views[v].picture.height, 44);
    EXPECT_EQ(s.views[v].camera.width, 80);
    EXPECT_EQ(s.exact_depth[v].size(), 44u * 80u);
    sqs::checked(s.views[v].T_cam_ref, "view");
  }
  EXPECT_NEAR(s.views[0].camera.fx, 1266 * 0.05, 1e-9);
  EXPECT_NEAR(s.views[3].camera.fx, 809 * 0.05, 1e-9);
  EXPECT_GT(s.lidar.points.size(), 20'000u);
  EXPECT_LE(s.lidar.points.size(), 32u * 1084u);
  const auto in = sqs::make_network_input<float>(s, {.scale = 1, .height = 44, .width = 80});
  EXPECT_EQ(in.rgb.extent(0), 6);
}

TEST(procedural, cameras_look_where_their_names_say) {
  const auto s = sqs::procedural_dataset({.height = 44, .width = 80}).sample(0);
  // x right, y forward: 20 m in each direction must be in front of its camera, near the middle.
  const std::array<sqs::vec3<double>, 6> ahead{
      {{0, 20, 0}, {16.6, 11.2, 0}, {-16.4, 11.5, 0}, {0, -20, 0}, {-19, -6.2, 0}, {18.8, -6.8, 0}}};
  for (std::size_t v = 0; v < 6; ++v) {
    const auto p = s.views[v].T_cam_ref * ahead[v];
    EXPECT_GT(p.z, 17) << s.views[v].name;
    EXPECT_LT(std::abs(p.x), 2) << s.views[v].name;
  }
  // The ground under the LiDAR is 1.84 m below it: a pixel of bare road in the front image lies there.
  EXPECT_NEAR((s.T_global_ref * sqs::vec3<double>{}).z, 1.84, 1e-12);
}

TEST(procedural, exact_depth_agrees_with_the_lidar) {
  // The LiDAR sits elsewhere than the cameras, so what it sees may be hidden from them, never the reverse: where a
  // return falls, the exact depth is the return's or less, and nearly always the same.
  const auto s = sqs::procedural_dataset({.seed = 5, .height = 176, .width = 320}).sample(2);
  int pixels = 0, same = 0, farther = 0;
  for (std::size_t v = 0; v < 6; ++v) {
    const auto& view = s.views[v];
    const auto lidar = sqs::lidar_depth(s.lidar.points, view.camera, view.T_cam_ref);
    for (std::size_t i = 0; i < lidar.size(); ++i) {
      if (lidar[i] == 0) { continue; }
      const float exact = s.exact_depth[v][i];
      ++pixels;
      same += std::abs(exact - lidar[i]) < 0.03f * lidar[i];
      farther += exact == 0 || exact > 1.1f * lidar[i];
    }
  }
  EXPECT_GT(pixels, 6000);
  EXPECT_GT(same, pixels * 85 / 100);
  EXPECT_LT(farther, pixels * 6 / 100); // pixels at silhouettes, whose centre sees past the edge
}

TEST(procedural, lidar_points_on_the_ground_lie_on_it_and_on_boxes_inside_them) {
  const auto s = sqs::procedural_dataset({.height = 8, .width = 16}).sample(1);
  int ground = 0;
  for (const auto& p : s.lidar.points) {
    EXPECT_GT(p.z, -1.8401f);
    ground += p.z < -1.8399f;
  }
  EXPECT_GT(ground, 5000);
  int seen = 0;
  for (const auto& b : s.boxes) {
    int inside = 0;
    for (const auto& p : s.lidar.points) {
      const auto d = sqs::yaw_rotation(-b.yaw) * (sqs::vec3<double>(p) - b.center);
      // Axles stick out 1 % to the sides; a foot's width around the rest.
      inside += std::abs(d.x) < b.size.x / 2 + 0.1 && std::abs(d.y) < b.size.y / 2 + 0.1 &&
                std::abs(d.z) < b.size.z / 2 + 0.1;
    }
    EXPECT_GE(inside, b.lidar_points) << b.category;
    seen += b.lidar_points > 0;
  }
  EXPECT_GT(seen, 10);
}

TEST(procedural, road_users_move_with_their_velocity) {
  const sqs::procedural_dataset set({.scenes = 1, .samples_per_scene = 2, .height = 8, .width = 16});
  const auto a = set.sample(0), b = set.sample(1);
  EXPECT_NEAR(1e-6 * static_cast<double>(b.timestamp_us - a.timestamp_us), 0.5, 1e-12);
  int moving = 0;
  for (const auto& first : a.boxes) {
    for (const auto& second : b.boxes) {
      if (first.instance != second.instance || std::hypot(first.velocity.x, first.velocity.y) < 0.1) { continue; }
      const auto moved = b.T_global_ref * second.center - a.T_global_ref * first.center;
      const auto expected = a.T_global_ref.rotation * sqs::vec3<double>{first.velocity.x, first.velocity.y, 0};
      EXPECT_NEAR(moved.x, 0.5 * expected.x, 1e-9) << first.instance;
      EXPECT_NEAR(moved.y, 0.5 * expected.y, 1e-9) << first.instance;
      ++moving;
    }
  }
  EXPECT_GE(moving, 3);
}

TEST(procedural, repeats_bit_for_bit_with_any_number_of_threads) {
  const sqs::procedural_options o{.seed = 9, .scenes = 3, .height = 44, .width = 80};
  const auto a = sqs::procedural_dataset(o).sample(2);
  for (const int threads : {1, 2, 3}) {
    auto more = o;
    more.threads = threads;
    const auto b = sqs::procedural_dataset(more).sample(2);
    for (std::size_t v = 0; v < 6; ++v) {
      EXPECT_EQ(a.views[v].picture, b.views[v].picture);
      EXPECT_EQ(a.exact_depth[v], b.exact_depth[v]);
    }
    ASSERT_EQ(a.lidar.points.size(), b.lidar.points.size());
    for (std::size_t i = 0; i < a.lidar.points.size(); ++i) { ASSERT_EQ(a.lidar.points[i].x, b.lidar.points[i].x); }
  }
}

double difference(const sqs::sample& a, const sqs::sample& b) {
  double sum = 0, n = 0;
  for (std::size_t v = 0; v < 6; ++v) {
    for (std::size_t i = 0; i < a.views[v].picture.pixels.size(); ++i, ++n) {
      sum += std::abs(a.views[v].picture.pixels[i] - b.views[v].picture.pixels[i]);
    }
  }
  return sum / n;
}

TEST(procedural, seeds_and_scenes_give_clearly_different_streets) {
  const sqs::procedural_options o{.seed = 1, .scenes = 4, .height = 44, .width = 80};
  auto p = o;
  p.seed = 2;
  const sqs::procedural_dataset first(o), second(p);
  for (sqs::idx i = 0; i < 4; ++i) {
    EXPECT_GT(difference(first.sample(i), second.sample(i)), 15) << i;
    EXPECT_GT(difference(first.sample(i), first.sample((i + 1) % 4)), 15) << i;
    EXPECT_NE(first.sample(i).boxes.front().center.y, second.sample(i).boxes.front().center.y);
  }
}

TEST(procedural, misuse_is_explained) {
  EXPECT_THAT([] { sqs::procedural_dataset({.height = 0}); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("8 scenes of 1 samples, 0 x 1600 pixels of 2 rays; all must be positive")));
  EXPECT_THAT([] { sqs::procedural_dataset({.scenes = 2}).sample(2); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sample 2 of 2; give 0 .. size() - 1")));
}

} // namespace procedural_test

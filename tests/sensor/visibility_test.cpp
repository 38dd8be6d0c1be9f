// SPDX-License-Identifier: Apache-2.0
// Boxes and voxels as seen: by hand, and against small steps along the ray.
#include <sqs/sensor/visibility.hpp>

#include "../support/check.hpp"

#include <set>

namespace visibility_test {

using sqs::vec3;

TEST(visibility, points_in_boxes_count_faces_too) {
  std::vector<sqs::box3d> boxes(2);
  boxes[0].center = {10, 0, 0};
  boxes[0].size = {4, 2, 2};
  boxes[1].center = {0, 10, 0};
  boxes[1].size = {4, 2, 2};
  boxes[1].yaw = std::acos(-1.0) / 2; // along y
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<vec3<float>> points{{12, 1, 1},    {12.01f, 0, 0}, {8, -1, -1},    {0, 11.9f, 0},
                                        {1.5f, 10, 0}, {0, 10, 1.1f},  {nan, 10.0f, 0}};
  for (const int threads : {1, 2, 3}) {
    sqs::cpu exec{.threads = threads};
    EXPECT_EQ(sqs::points_in_boxes(exec, boxes, points), (std::vector<int>{2, 1}));
  }
}

TEST(visibility, a_box_behind_a_larger_one_is_hidden) {
  sqs::camera_view v;
  v.camera = {100, 100, 100, 50, 200, 100};
  v.T_cam_ref = {{{0, -1, 0, 0, 0, -1, 1, 0, 0}}, {}}; // looks along x
  std::vector<sqs::box3d> boxes(3);
  boxes[0].center = {20, 0, 0}, boxes[0].size = {2, 2, 2};
  boxes[1].center = {10, 0, 0}, boxes[1].size = {2, 4, 4};
  boxes[2].center = {-20, 0, 0}, boxes[2].size = {2, 2, 2};
  for (const int threads : {1, 2, 3}) {
    sqs::cpu exec{.threads = threads};
    EXPECT_EQ(sqs::visible_share(exec, boxes, std::span(&v, 1)), (std::vector<double>{0, 1, 0}));
  }
  sqs::cpu exec;
  boxes[1].center.y = 5; // aside
  EXPECT_EQ(sqs::visible_share(exec, boxes, std::span(&v, 1))[0], 1);
  // In the lower half of the way the screen covers y > 0: of five layers in y the upper two go, the middle is on the
  // edge.
  boxes[1].center = {10, 2.001, 0}, boxes[1].size = {0.2, 4, 9};
  EXPECT_NEAR(sqs::visible_share(exec, boxes, std::span(&v, 1), 1)[0], 0.6, 1e-12);
  // Boxes block by 0.85 of their size: 2 m on, this one covers y > 0.3 at 10 m, 0.1 if it were 0.95. The five layers
  // in y pass there at about -0.4, -0.2, 0, 0.2 and 0.4.
  boxes[1].center = {10, 2, 0};
  EXPECT_NEAR(sqs::visible_share(exec, boxes, std::span(&v, 1))[0], 0.8, 1e-12);
  EXPECT_NEAR(sqs::visible_share(exec, boxes, std::span(&v, 1), 0.95)[0], 0.6, 1e-12);
  EXPECT_EQ(sqs::visibility_level(0.39), 1);
  EXPECT_EQ(sqs::visibility_level(0.4), 2);
  EXPECT_EQ(sqs::visibility_level(0.7), 3);
  EXPECT_EQ(sqs::visibility_level(1), 4);
}

TEST(visibility, a_walk_passes_the_voxels_that_small_steps_find) {
  const sqs::occupancy_grid g{{-3, -2, -1}, {0.5, 0.4, 0.25}, {12, 10, 8}};
  int walked = 0;
  for (int i = 0; i < 400; ++i) {
    const auto r = sqs::random_stream::of(4, i);
    const vec3<double> a{r.uniform(0, -5, 5), r.uniform(1, -4, 4), r.uniform(2, -2, 2)};
    const vec3<double> b{r.uniform(3, -5, 5), r.uniform(4, -4, 4), r.uniform(5, -2, 2)};
    std::vector<sqs::idx> cells;
    sqs::walk_voxels(g, a, b, [&](sqs::idx c) {
      cells.push_back(c);
      return true;
    });
    std::set<sqs::idx> stepped;
    for (int k = 0; k <= 20000; ++k) {
      const sqs::idx c = g.index_of(a + (k / 20000.0) * (b - a));
      if (c >= 0) { stepped.insert(c); }
    }
    const std::set<sqs::idx> once(cells.begin(), cells.end());
    EXPECT_EQ(once.size(), cells.size()); // none twice
    // Steps may miss a cut corner; a walk may not miss what a step found.
    for (const auto c : stepped) { EXPECT_TRUE(once.contains(c)) << i; }
    for (const auto c : once) {
      if (stepped.contains(c)) { continue; }
      const auto k = g.cell(c); // then the ray comes within a step of this voxel
      const auto m = g.center(k[0], k[1], k[2]);
      double least = 1e9;
      for (int s = 0; s <= 20000; ++s) {
        const auto p = a + (s / 20000.0) * (b - a);
        least = std::min(least,
                         std::max({std::abs(p.x - m.x) / 0.5, std::abs(p.y - m.y) / 0.4, std::abs(p.z - m.z) / 0.25}));
      }
      EXPECT_LT(least, 0.505) << i;
    }
    walked += !cells.empty();
    for (std::size_t k = 1; k < cells.size(); ++k) { // neighbours share a face
      const auto p = g.cell(cells[k - 1]), q = g.cell(cells[k]);
      EXPECT_EQ(std::abs(p[0] - q[0]) + std::abs(p[1] - q[1]) + std::abs(p[2] - q[2]), 1);
    }
  }
  EXPECT_GT(walked, 150);
  int visits = 0;
  const auto count = [&](const vec3<double>& a, const vec3<double>& b) {
    visits = 0;
    sqs::walk_voxels(g, a, b, [&](sqs::idx) { return ++visits < 1000; });
    return visits;
  };
  EXPECT_EQ(count({0, 0, 0}, {0, 0, 0}), 1);
  EXPECT_EQ(count({-9, 0.1, 0.1}, {9, 0.1, 0.1}), 12);
  EXPECT_EQ(count({9, 0.1, 0.1}, {-9, 0.1, 0.1}), 12);
  EXPECT_EQ(count({-9, 9, 0}, {9, 9, 0}), 0);
  EXPECT_EQ(count({NAN, 0, 0}, {1, 1, 1}), 0);
  EXPECT_EQ(count({0, 0, 0}, {INFINITY, 1, 1}), 0);
}

TEST(visibility, rays_see_up_to_the_first_occupied_voxel) {
  auto o = sqs::occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {6, 3, 1}}, 17);
  o.semantics[static_cast<std::size_t>(o.grid.index(3, 1, 0))] = 4;
  o.semantics[static_cast<std::size_t>(o.grid.index(1, 1, 0))] = sqs::occupancy_labels::ignore;
  const std::vector<vec3<double>> ends{{5.5, 1.5, 0.5}};
  const auto m = sqs::ray_mask(o, {0.5, 1.5, 0.5}, ends);
  for (int x = 0; x < 6; ++x) { EXPECT_EQ(m[static_cast<std::size_t>(o.grid.index(x, 1, 0))], x <= 3) << x; }
  EXPECT_EQ(std::count(m.begin(), m.end(), 1), 4);
}

} // namespace visibility_test

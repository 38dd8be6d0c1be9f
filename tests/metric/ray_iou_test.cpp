// SPDX-License-Identifier: Apache-2.0
// RayIoU: the ray set, the walk through voxels against boxes cut one by one, scenes by hand, flow in both definitions.
#include "../support/check.hpp"

#include <sqs/metric/ray_iou.hpp>

namespace ray_iou_test {

using namespace sqs;
using namespace sqs::metric;
using testing::HasSubstr;

constexpr occupancy_grid small{{-2, -2.4, -1}, {0.4, 0.4, 0.4}, {10, 12, 6}};

TEST(ray_iou, the_official_ray_set) {
  const auto up = ray_elevations();
  ASSERT_EQ(up.size(), 39u);
  const double first[] = {-0.785398, -0.463648, -0.321751, -0.244979, -0.197396,
                          -0.165149, -0.141897, -0.124355, -0.110657, -0.099669};
  for (std::size_t i = 0; i < 10; ++i) { EXPECT_NEAR(up[i], first[i], 5e-7); }
  EXPECT_NEAR(up[37], 0.208011, 1e-6);
  EXPECT_NEAR(up[38], 0.219000, 1e-6);
  const auto rays = ray_directions();
  ASSERT_EQ(rays.size(), 14'040u);
  EXPECT_FLOAT_EQ(rays[90].y, 0.70710678f);
  for (const auto& r : rays) { EXPECT_NEAR(r.x * r.x + r.y * r.y + r.z * r.z, 1, 1e-6); }
}

TEST(ray_iou, origins_along_the_drive) {
  // Twenty frames, one each 5 m along global y; the LiDAR looks along y, 1 m ahead of the ego point and 2 m up.
  std::vector<se3<double>> scene;
  for (int i = 0; i < 20; ++i) {
    scene.push_back(yaw_rotation(1.5707963267948966));
    scene.back().translation = {100, 5.0 * i, 3};
  }
  const se3<double> T_ego_lidar{mat3<double>::identity(), {1, 0, 2}};
  // From frame 4: its own at x = 1, others at 1 + 5 (i - 4). Those within 39 m: i = 0 .. 11, twelve; eight are taken at
  // round(11 k / 7) = 0 2 3 5 6 8 9 11.
  const auto o = ray_origins(scene, 4, T_ego_lidar);
  ASSERT_EQ(o.size(), 8u);
  const double frames[] = {0, 2, 3, 5, 6, 8, 9, 11};
  for (std::size_t k = 0; k < 8; ++k) {
    EXPECT_NEAR(o[k].x, 1 + 5 * (frames[k] - 4), 1e-5) << k;
    EXPECT_NEAR(o[k].y, 0, 1e-5);
    EXPECT_NEAR(o[k].z, 2, 1e-5);
  }
  EXPECT_EQ(ray_origins(std::span(scene).first(3), 1, T_ego_lidar).size(), 3u);
  EXPECT_THAT(test::message_of([&] { ray_origins(scene, 20, T_ego_lidar); }), HasSubstr("frame 20 of a scene of 20"));
}

TEST(ray_iou, origins_lie_within_39_m_on_both_axes) {
  // Metres ahead and to the left of frame 0.
  const vec2<double> at[] = {{0, 0}, {38.9, 0}, {39.1, 0}, {0, 38.9}, {0, 39.1}, {0, -38.9}, {0, -39.1}, {-38.9, 38.9}};
  std::vector<se3<double>> scene;
  for (const auto& p : at) {
    scene.push_back(yaw_rotation(0.0));
    scene.back().translation = {p.x, p.y, 0};
  }
  const auto o = ray_origins(scene, 0, se3<double>{mat3<double>::identity(), {0, 0, 0}});
  ASSERT_EQ(o.size(), 5u);
  const std::size_t kept[] = {0, 1, 3, 5, 7};
  for (std::size_t k = 0; k < 5; ++k) {
    EXPECT_NEAR(o[k].x, at[kept[k]].x, 1e-5);
    EXPECT_NEAR(o[k].y, at[kept[k]].y, 1e-5);
  }
}

TEST(ray_iou, every_origin_counts) {
  // Eight places in eight rooms of one voxel each, told apart by the class of their walls: each adds its own rays.
  auto truth = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {24, 3, 3}}, occupancy_free);
  std::vector<vec3<double>> origins;
  for (int room = 0; room < 8; ++room) {
    for (int i = 0; i < 27; ++i) {
      if (i == 13) { continue; } // the middle
      truth.semantics[static_cast<std::size_t>(truth.grid.index(3 * room + i / 9, i / 3 % 3, i % 3))] =
          static_cast<std::uint8_t>(room + 1);
    }
    origins.push_back({3 * room + 1.4, 1.45, 1.55});
  }
  cpu exec;
  for (std::size_t n = 1; n <= 8; ++n) {
    ray_counts counts(occupancy_free);
    add_rays(exec, counts, truth, truth, std::span(origins).first(n), occ3d_rays());
    for (std::size_t c = 0; c < 17; ++c) {
      EXPECT_EQ(counts.truth[c], c >= 1 && c <= n ? 14'040 : 0) << n << " origins, class " << c;
      EXPECT_EQ(counts.right[0][c], counts.truth[c]);
    }
  }
}

/// Enters and leaves the box of a voxel at these distances; leaves before it enters if the ray misses it.
std::pair<long double, long double> cut(const std::array<int, 3>& cell, const vec3<double>& o, const vec3<double>& d) {
  const long double from[] = {o.x, o.y, o.z}, along[] = {d.x, d.y, d.z};
  long double in = 0, out = 1e30L;
  for (std::size_t a = 0; a < 3; ++a) {
    const long double l = (cell[a] - from[a]) / along[a], h = (cell[a] + 1 - from[a]) / along[a];
    in = std::max(in, std::min(l, h)), out = std::min(out, std::max(l, h));
  }
  return {in, out};
}

TEST(ray_iou, walks_the_voxels_that_the_ray_cuts) {
  const auto draw = random_stream::of(8);
  idx at = 0, visited = 0;
  for (int ray = 0; ray < 300; ++ray) {
    const auto number = [&](double a, double b) { return draw.uniform(at++, a, b); };
    const vec3<double> o{number(0, 10), number(0, 12), number(0, 6)};
    vec3<double> d{number(-1, 1), number(-1, 1), number(-1, 1)};
    d = normalized(d);
    std::vector<std::pair<long double, std::array<int, 3>>> expected; // by entry
    std::vector<long double> exits;
    for (idx i = 0; i < small.count(); ++i) {
      const auto [in, out] = cut(small.cell(i), o, d);
      if (out > in + 1e-12L) { expected.push_back({in, small.cell(i)}); }
    }
    std::sort(expected.begin(), expected.end());
    std::size_t n = 0;
    walk_ray(small.size, o, o + d, 1001, [&](int x, int y, int z, double exit) {
      EXPECT_LT(n, expected.size());
      if (n >= expected.size()) { return true; }
      EXPECT_EQ((std::array{x, y, z}), expected[n].second) << ray;
      EXPECT_NEAR(exit, static_cast<double>(cut({x, y, z}, o, d).second), 1e-11);
      ++n, ++visited;
      return false;
    });
    EXPECT_EQ(n, expected.size()) << ray;
  }
  EXPECT_GT(visited, 1000);
}

std::vector<std::array<int, 3>> path(const vec3<double>& o, const vec3<double>& to, int steps = 1001) {
  std::vector<std::array<int, 3>> p;
  walk_ray({3, 3, 3}, o, to, steps, [&](int x, int y, int z, double) { return p.push_back({x, y, z}), false; });
  return p;
}
TEST(ray_iou, ties_and_axes) {
  using cells = std::vector<std::array<int, 3>>;
  // Through the edges of the diagonal: y goes before x.
  EXPECT_EQ(path({0.5, 0.5, 0.5}, {1.5, 1.5, 0.5}), (cells{{0, 0, 0}, {0, 1, 0}, {1, 1, 0}, {1, 2, 0}, {2, 2, 0}}));
  // Through corners: z before both.
  EXPECT_EQ(path({0.5, 0.5, 0.5}, {1, 1, 1}),
            (cells{{0, 0, 0}, {0, 0, 1}, {0, 1, 1}, {1, 1, 1}, {1, 1, 2}, {1, 2, 2}, {2, 2, 2}}));
  EXPECT_EQ(path({2.5, 1.5, 1.5}, {1.5, 1.5, 1.5}), (cells{{2, 1, 1}, {1, 1, 1}, {0, 1, 1}}));
  // Truncated towards zero: half a voxel outside counts as inside.
  EXPECT_EQ(path({-0.5, 1.5, 1.5}, {0.5, 1.5, 1.5}).size(), 3u);
  EXPECT_EQ(path({-5, 1.5, 1.5}, {0, 1.5, 1.5}).size(), 3u); // enters later
  EXPECT_EQ(path({-5, 1.5, 1.5}, {-6, 1.5, 1.5}).size(), 0u);
  EXPECT_EQ(path({1.5, 1.5, 1.5}, {2.5, 1.5, 1.5}, 1).size(), 1u);
}

occupancy_labels wall(int x, std::uint8_t label) {
  auto o = occupancy_labels::empty(occ3d_grid, 16);
  for (int y = 0; y < 200; ++y) {
    for (int z = 0; z < 16; ++z) { o.semantics[static_cast<std::size_t>(o.grid.index(x, y, z))] = label; }
  }
  return o;
}
ray_scores judge(const occupancy_labels& truth, const occupancy_labels& found,
                 ray_iou_config config = open_occ_rays()) {
  cpu exec{.threads = 1};
  ray_counts counts(16);
  const std::vector<vec3<double>> origins{{0.1, 0.1, 1.9}};
  add_rays(exec, counts, truth, found, origins, config);
  return score_rays(counts, config);
}

TEST(ray_iou, walls_by_hand) {
  const auto truth = wall(125, 3);
  const auto same = judge(truth, truth);
  EXPECT_EQ(same.ray_iou, 1);
  EXPECT_TRUE(std::isnan(same.iou[0][0]));
  EXPECT_EQ(judge(truth, wall(125, 4)).ray_iou, 0); // both classes count, 0 each
  // A wall four voxels (1.6 m) behind: beyond 1 m for all rays, within 2 m for those nearly straight, 4 m for most.
  const auto behind = judge(truth, wall(129, 3));
  EXPECT_EQ(behind.at[0], 0);
  EXPECT_GT(behind.at[1], 0.3);
  EXPECT_LT(behind.at[1], behind.at[2]);
  EXPECT_DOUBLE_EQ(behind.ray_iou, (behind.at[0] + behind.at[1] + behind.at[2]) / 3);
  const auto nothing = judge(wall(125, 16), truth); // no ray meets anything that is there
  EXPECT_TRUE(std::isnan(nothing.ray_iou) && std::isnan(nothing.mave_tp));
}

TEST(ray_iou, nothing_predicted_leaves_the_grid) {
  cpu exec{.threads = 1};
  ray_counts counts(16);
  const std::vector<vec3<double>> origins{{0.1, 0.1, 1.9}};
  add_rays(exec, counts, wall(125, 3), wall(125, 16), origins, open_occ_rays());
  EXPECT_GT(counts.truth[3], 1000);
  for (const auto n : counts.predicted) { EXPECT_EQ(n, 0); }
  EXPECT_EQ(score_rays(counts, open_occ_rays()).ray_iou, 0);
}

TEST(ray_iou, without_flow_there_is_no_error_of_it) {
  auto truth = wall(125, 3), found = truth;
  truth.flow.clear(), found.flow.clear();
  const auto s = judge(truth, found);
  EXPECT_EQ(s.ray_iou, 1);
  EXPECT_TRUE(std::isnan(s.ave_tp[3]) && std::isnan(s.ave_all[3]) && std::isnan(s.mave_tp) && std::isnan(s.mave_all));
}

TEST(ray_iou, flow_errors_in_both_definitions) {
  auto truth = wall(125, 3), found = truth;
  for (std::size_t i = 0; i < truth.semantics.size() / 2; ++i) { truth.semantics[i] = 16; }
  // A second wall of a class that is never right, behind the origin.
  for (int y = 0; y < 200; ++y) {
    for (int z = 0; z < 16; ++z) {
      const auto i = static_cast<std::size_t>(truth.grid.index(60, y, z));
      truth.semantics[i] = 12, found.semantics[i] = 13;
    }
  }
  truth.flow.assign(truth.semantics.size(), {0, 0});
  found.flow.assign(truth.semantics.size(), {0, 0});
  for (std::size_t i = 0; i < truth.semantics.size(); ++i) {
    if (truth.semantics[i] == 3) { found.flow[i] = {3, 4}; }
  }
  const auto s = judge(truth, found);
  EXPECT_DOUBLE_EQ(s.mave_tp, 5);
  EXPECT_LT(s.mave_all, 4); // thinned by the rays that meet the other wall
  EXPECT_GT(s.mave_all, 1);
  EXPECT_TRUE(std::isnan(s.ave_tp[0]) && std::isnan(s.ave_tp[12]));
}

TEST(ray_iou, half_precision) {
  using metric::detail::rounded_to_half;
  EXPECT_EQ(rounded_to_half(1.0f), 1.0f);
  EXPECT_EQ(rounded_to_half(2049.0f), 2048.0f); // ties to even
  EXPECT_EQ(rounded_to_half(2051.0f), 2052.0f);
  EXPECT_EQ(rounded_to_half(0.1f), 0.0999755859375f);
  EXPECT_EQ(rounded_to_half(-65504.0f), -65504.0f);
  EXPECT_EQ(rounded_to_half(65519.0f), 65504.0f);
  EXPECT_TRUE(std::isinf(rounded_to_half(65520.0f)));
  EXPECT_EQ(rounded_to_half(0x1p-24f), 0x1p-24f);
  EXPECT_EQ(rounded_to_half(0x1p-25f), 0.0f);
  EXPECT_EQ(rounded_to_half(0x1.8p-24f), 0x1p-23f);
  EXPECT_TRUE(std::isnan(rounded_to_half(std::nanf(""))));
}

TEST(ray_iou, occ_score) {
  EXPECT_NEAR(occ_score(0.3714, 0.312), 0.40306, 1e-12);
  EXPECT_DOUBLE_EQ(occ_score(0.5, 1.5), 0.45);
  // Published rows, nuScenes val (FB-Occ-flow, with VoxelSplat, SparseOcc): RayIoU is the mean of those at 1, 2, 4 m.
  const double rows[3][4] = {{27.3, 34.3, 38.9, 33.5}, {30.2, 37.8, 42.7, 36.9}, {29.1, 35.8, 40.3, 35.1}};
  for (const auto& r : rows) { EXPECT_NEAR((r[0] + r[1] + r[2]) / 3, r[3], 0.05) << r[3]; }
}

TEST(ray_iou, says_what_is_wrong) {
  cpu exec{.threads = 1};
  ray_counts counts(16);
  const auto a = wall(125, 3);
  auto b = a;
  const std::vector<vec3<double>> origins{{0, 0, 1}}, far{{1e9, 0, 0}};
  b.semantics.pop_back();
  EXPECT_THAT(test::message_of([&] { add_rays(exec, counts, a, b, origins, open_occ_rays()); }),
              HasSubstr("640000 true and 639999 predicted voxels"));
  b = a, b.free = 17;
  EXPECT_THAT(test::message_of([&] { add_rays(exec, counts, a, b, origins, open_occ_rays()); }),
              HasSubstr("free is 16 in truth, 17 in the prediction"));
  b = a, b.flow.resize(7);
  EXPECT_THAT(test::message_of([&] { add_rays(exec, counts, a, b, origins, open_occ_rays()); }),
              HasSubstr("7 flow vectors"));
  EXPECT_THAT(test::message_of([&] { add_rays(exec, counts, a, a, far, open_occ_rays()); }),
              HasSubstr("a ray starts at"));
  EXPECT_THAT(test::message_of([&] { counts.merge(ray_counts(17)); }), HasSubstr("one numbering"));
  EXPECT_THAT(test::message_of([&] {
                score_rays(counts, {.within = {1, 2, 4}, .flow_classes = {16}});
              }),
              HasSubstr("flow class 16 of 16"));
}

} // namespace ray_iou_test

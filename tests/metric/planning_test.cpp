// SPDX-License-Identifier: Apache-2.0
// Planning: distances by hand, collisions against shapely, scikit-image and OpenCV.
#include "../support/check.hpp"

#include <sqs/core/file.hpp>
#include <sqs/metric/planning.hpp>
#include <sqs/tensor/json.hpp>

#include <set>

namespace planning_test {

using namespace sqs;
using namespace sqs::metric;
using testing::HasSubstr;
using path = std::vector<vec2<double>>;

path straight(double step) {
  path p;
  for (int t = 1; t <= 6; ++t) { p.push_back({step * t, 0}); }
  return p;
}

TEST(planning, distances_in_both_protocols) {
  planning_counts c;
  // 0.1 m more at each step: means 0.15, 0.25, 0.35, last ones 0.2, 0.4, 0.6.
  add_plan(c, {straight(1.1), straight(1)});
  const auto one = score_planning(c);
  const double mean[] = {0.15, 0.25, 0.35}, last[] = {0.2, 0.4, 0.6};
  for (std::size_t h = 0; h < 3; ++h) {
    EXPECT_NEAR(one.l2_average.at[h], mean[h], 1e-12);
    EXPECT_NEAR(one.l2_final.at[h], last[h], 1e-12);
  }
  EXPECT_NEAR(one.l2_average.mean, 0.25, 1e-12);
  EXPECT_TRUE(std::isnan(one.collision_any.mean)); // nothing to collide with was given
  planning_counts other;
  add_plan(other, {straight(1), straight(1)});
  c.merge(other);
  EXPECT_NEAR(score_planning(c).l2_final.mean, 0.2, 1e-12);
  EXPECT_TRUE(std::isnan(score_planning({}).l2_average.mean));
}

TEST(planning, published_row) {
  // SparseOccVLA: 0.14, 0.22, 0.32 m at 1, 2, 3 s.
  planning_counts c;
  c.samples = 1;
  const double up_to[] = {0.14, 0.22, 0.32};
  double sum = 0;
  for (std::size_t h = 0; h < 3; ++h) {
    const double step = (up_to[h] * static_cast<double>(2 * h + 2) - sum) / 2;
    c.distance[2 * h] = c.distance[2 * h + 1] = step;
    sum += 2 * step;
  }
  EXPECT_NEAR(score_planning(c).l2_average.at[2], 0.32, 1e-12);
  EXPECT_NEAR(score_planning(c).l2_average.mean, 0.2267, 5e-5);
}

TEST(planning, collisions_by_hand) {
  // A car stands 10 m ahead; 2 m a step. The front, 2.542 m ahead of the point, meets its rear at 8 m from the third
  // step on: 6 + 2.542.
  const std::vector<std::vector<planning_obstacle>> parked(6, {{{10, 0}, 4, 2, 0, true}});
  const std::vector<bool> want{false, false, true, true, true, true};
  EXPECT_EQ(collisions(straight(2), parked, collision_protocol::polygons), want);
  planning_counts c;
  add_plan(c, {straight(2), straight(0.5), parked});
  add_plan(c, {straight(0.5), straight(0.5), parked});
  const auto s = score_planning(c);
  EXPECT_NEAR(s.collision_any.at[0], 0, 1e-12);
  EXPECT_NEAR(s.collision_any.at[1], 0.5, 1e-12);
  EXPECT_NEAR(s.collision_steps.at[1], 0.25, 1e-12); // two of four steps of one of two samples
  EXPECT_NEAR(s.collision_steps.at[2], 4.0 / 6 / 2, 1e-12);
  // Where the driven path collides as well, nothing counts.
  planning_counts both;
  add_plan(both, {straight(2), straight(2), parked});
  EXPECT_EQ(score_planning(both).collision_any.mean, 0);
  EXPECT_EQ(both.judged, 1);
}

TEST(planning, touching_counts_and_standing_plans_look_ahead) {
  // Front at 0.5 + 2.042; a box that begins there touches.
  const path still(6, {0, 0});
  const auto at = [](double x, bool vehicle) {
    return std::vector<std::vector<planning_obstacle>>(6, {{{x, 0}, 2, 2, 0, vehicle}});
  };
  EXPECT_TRUE(collisions(still, at(0.5 + 2.042 + 1, true), collision_protocol::polygons)[0]);
  EXPECT_FALSE(collisions(still, at(0.5 + 2.042 + 1.001, true), collision_protocol::polygons)[0]);
  EXPECT_TRUE(collisions(still, at(1, false), collision_protocol::st_p3)[0]);
  EXPECT_FALSE(collisions(still, at(1, false), collision_protocol::omni_drive)[0]); // vehicles only
  EXPECT_TRUE(collisions(still, at(1, true), collision_protocol::omni_drive)[0]);
  EXPECT_TRUE(collisions({}, {}, collision_protocol::st_p3).empty());
}

// A plan that ends less than half a metre from where it begins has no direction of its own.
TEST(planning, a_plan_that_hardly_moves_looks_ahead) {
  using metric::detail::path_headings;
  for (const double yaw : path_headings({{0, 0}, {0, 0.2}, {0, 0.49}})) { EXPECT_EQ(yaw, 0); }
  for (const double yaw : path_headings({{0, 0}, {0, 0.2}, {0, 0.51}})) { EXPECT_NEAR(yaw, std::acos(0.0), 1e-12); }
}

json_value golden() {
  const std::filesystem::path file = std::string(SQS_TEST_SOURCE_DIR) + "/metric/golden/planning.json";
  const auto bytes = read_file(file);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
}
double number(const json_value& v) {
  return v.as<double>() != nullptr ? *v.as<double>() : static_cast<double>(*v.as<std::int64_t>());
}
const json_value::array& list(const json_value& v, const char* name) { return *v.find(name)->as<json_value::array>(); }

TEST(planning, collisions_as_the_originals_find_them) {
  const auto g = golden();
  for (const auto& scene : list(g, "scenes")) {
    path p;
    for (const auto& at : list(scene, "path")) {
      const auto& xy = *at.as<json_value::array>();
      p.push_back({number(xy[0]), number(xy[1])});
    }
    std::vector<std::vector<planning_obstacle>> obstacles;
    for (const auto& step : list(scene, "obstacles")) {
      obstacles.emplace_back();
      for (const auto& o : *step.as<json_value::array>()) {
        const auto& n = *o.as<json_value::array>();
        obstacles.back().push_back(
            {{number(n[0]), number(n[1])}, number(n[2]), number(n[3]), number(n[4]), *n[5].as<bool>()});
      }
    }
    const std::pair<const char*, collision_protocol> protocols[] = {{"polygons", collision_protocol::polygons},
                                                                    {"st_p3", collision_protocol::st_p3},
                                                                    {"omni_drive", collision_protocol::omni_drive}};
    for (const auto& [name, how] : protocols) {
      std::vector<bool> want;
      for (const auto& v : list(scene, name)) { want.push_back(*v.as<bool>()); }
      EXPECT_EQ(collisions(p, obstacles, how), want) << name << " " << (&scene - list(g, "scenes").data());
    }
  }
}

TEST(planning, polygons_are_filled_as_opencv_fills_them) {
  const auto g = golden();
  for (const auto& f : list(g, "filled")) {
    std::array<metric::detail::raster_cell, 4> corner{};
    for (std::size_t i = 0; i < 4; ++i) {
      const auto& xy = *list(f, "corners")[i].as<json_value::array>();
      // OpenCV's x runs along our y.
      corner[i] = {static_cast<int>(number(xy[1])), static_cast<int>(number(xy[0]))};
    }
    std::set<std::pair<int, int>> cells;
    metric::detail::fill_polygon(corner, [&](int x, int y) { cells.insert({y, x}); });
    std::array<std::int64_t, 4> sums{};
    for (const auto& [x, y] : cells) { sums[0] += 1, sums[1] += x, sums[2] += y, sums[3] += x * y; }
    for (std::size_t i = 0; i < 4; ++i) { EXPECT_EQ(sums[i], *list(f, "sums")[i].as<std::int64_t>()); }
  }
}

TEST(planning, boundary_by_hand) {
  // The vehicle reaches from 1.485793 - 2.04 behind to 3.525793 m ahead: cells 494 to 535 at the origin.
  // All rows up to x < 5.55 (column 555) are drivable: 2 m a step is outside from the second step on (4 + 3.526).
  const auto area = make_drivable_area([](double x, double) { return x < 5.55; });
  EXPECT_EQ(outside(straight(1), area), (std::vector<bool>{false, false, false, true, true, true, true}));
  EXPECT_EQ(outside(straight(2), area), (std::vector<bool>{false, false, true, true, true, true, true}));
  // Just wide enough: 1.85 m are 0.925 to each side, rows 491 to 509. Without one of the outer rows it is outside.
  const auto lane = [](double low, double high) {
    return make_drivable_area([=](double, double y) { return y > low && y < high; });
  };
  EXPECT_FALSE(outside(straight(1), lane(-0.95, 0.95))[1]);
  EXPECT_TRUE(outside(straight(1), lane(-0.95, 0.85))[1]);
  EXPECT_TRUE(outside(straight(1), lane(-0.85, 0.95))[1]);
  // Beyond the raster nothing is known; a turn of 90 degrees swings the vehicle about its centre, not about the point.
  EXPECT_FALSE(outside(straight(60), lane(-1, 1))[1]);
  EXPECT_EQ(outside({{0, 1e-3}}, lane(-2.1, 2.1)), (std::vector<bool>{false, false}));
  EXPECT_EQ(outside({{0, 1e-3}}, lane(-1.9, 2.1)), (std::vector<bool>{false, true}));

  // The boundary's vehicle is 4.08 m long, not the 4.084 m of collisions: its front is at 4.049 m, in column 540.
  const auto short_of = make_drivable_area([](double x, double) { return x < 4.05; });
  EXPECT_EQ(outside({{0.523207, 0}}, short_of), (std::vector<bool>{false, false}));
  EXPECT_EQ(outside({{0.525207, 0}}, short_of), (std::vector<bool>{false, true}));

  planning_counts c;
  add_plan(c, {straight(1), straight(1), {}, area}); // leaves at step 3
  add_plan(c, {straight(0), straight(1), {}, area}); // stays
  add_plan(c, {straight(1), straight(1)});           // no map
  auto begins_outside = area;
  begins_outside.cells[500 * 1000 + 515] = 0; // under the vehicle now, and only now for a plan that leaves
  add_plan(c, {straight(3), straight(1), {}, begins_outside});
  const auto s = score_planning(c);
  EXPECT_EQ(c.on_maps, 3);
  EXPECT_DOUBLE_EQ(s.boundary.at[0], 0);
  EXPECT_DOUBLE_EQ(s.boundary.at[1], 1.0 / 3);
  EXPECT_DOUBLE_EQ(s.boundary.at[2], 1.0 / 3);
  EXPECT_DOUBLE_EQ(s.boundary.mean, 2.0 / 9);
  EXPECT_TRUE(std::isnan(s.collision_any.mean));
  planning_counts twice = c;
  twice.merge(c);
  EXPECT_EQ(twice.outside_until, (std::array<std::int64_t, 3>{0, 2, 2}));
  EXPECT_EQ(twice.on_maps, 6);
  EXPECT_TRUE(std::isnan(score_planning({}).boundary.mean));
}

TEST(planning, boundaries_as_opencv_draws_them) {
  const auto g = golden();
  int left = 0;
  for (const auto& scene : list(g, "boundary")) {
    path p;
    for (const auto& at : list(scene, "path")) {
      const auto& xy = *at.as<json_value::array>();
      p.push_back({number(xy[0]), number(xy[1])});
    }
    std::array<int, 4> strip{};
    for (std::size_t i = 0; i < 4; ++i) { strip[i] = static_cast<int>(number(list(scene, "strip")[i])); }
    drivable_area area;
    for (int r = 0; r < 1000; ++r) {
      for (int c = 0; c < 1000; ++c) {
        const int at = strip[0] * r + strip[1] * c;
        area.cells.push_back(at >= strip[2] && at <= strip[3] ? 1 : 0);
      }
    }
    std::vector<bool> want;
    for (const auto& v : list(scene, "outside")) { want.push_back(*v.as<bool>()); }
    EXPECT_EQ(outside(p, area), want) << &scene - list(g, "boundary").data();
    left += std::find(want.begin(), want.end(), true) != want.end() && !want[0] ? 1 : 0;
  }
  EXPECT_GT(left, 10); // the strips part plans that stay from plans that leave
}

TEST(planning, says_what_is_wrong) {
  planning_counts c;
  EXPECT_THAT(test::message_of([&] { add_plan(c, {path(5), path(6)}); }), HasSubstr("5 planned and 6 driven points"));
  auto lost = straight(1);
  lost[2].x = std::nan("");
  EXPECT_THAT(test::message_of([&] { add_plan(c, {lost, straight(1)}); }), HasSubstr("the points of step 2 are nan m"));
  EXPECT_THAT(test::message_of([&] { collisions(straight(1), {}, collision_protocol::st_p3); }),
              HasSubstr("a path of 6 steps, obstacles at 0"));
  EXPECT_THAT(test::message_of([&] { outside(straight(1), {{1, 1}}); }), HasSubstr("2 cells; an area has 1000 x 1000"));
  EXPECT_THAT(test::message_of([&] { outside(lost, make_drivable_area([](double, double) { return true; })); }),
              HasSubstr("step 2 of a path is (nan, 0)"));
  EXPECT_EQ(c.samples, 0);
}

} // namespace planning_test

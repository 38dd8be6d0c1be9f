// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/town/scene.hpp>

#include <gtest/gtest.h>

namespace town_traffic_test {

using namespace sqs::town;

constexpr std::uint64_t seed = 7002;
constexpr int scenes = 6;
const scene& made(int k) {
  static const auto all = [] {
    std::vector<std::unique_ptr<scene>> out;
    for (int i = 0; i < scenes; ++i) { out.push_back(std::make_unique<scene>(seed, i, 8.0)); }
    return out;
  }();
  return *all[static_cast<std::size_t>(k)];
}
std::array<point, 4> corners(const state& s, point size) {
  const double c = std::cos(s.yaw), n = std::sin(s.yaw), l = size.x / 2, w = size.y / 2;
  std::array<point, 4> out;
  for (std::size_t k = 0; k < 4; ++k) {
    const double a = k % 3 == 0 ? l : -l, b = k < 2 ? w : -w;
    out[k] = {s.x + c * a - n * b, s.y + n * a + c * b, 0};
  }
  return out;
}
/// Do two rectangles meet? By clipping one at the sides of the other: shares nothing with `overlap`.
bool meet_by_clipping(const state& a, point size_a, const state& b, point size_b) {
  std::vector<point> polygon;
  for (const point& p : corners(a, size_a)) { polygon.push_back(p); }
  const auto clip = corners(b, size_b);
  for (std::size_t k = 0; k < 4; ++k) {
    const point from = clip[k], to = clip[(k + 1) % 4];
    const auto inside = [&](point p) { return (to.x - from.x) * (p.y - from.y) - (to.y - from.y) * (p.x - from.x); };
    std::vector<point> next;
    for (std::size_t i = 0; i < polygon.size(); ++i) {
      const point p = polygon[i], q = polygon[(i + 1) % polygon.size()];
      const double u = inside(p), v = inside(q);
      if (u >= 0) { next.push_back(p); }
      if ((u > 0 && v < 0) || (u < 0 && v > 0)) { next.push_back(p + (u / (u - v)) * (q - p)); }
    }
    polygon = next;
    if (polygon.empty()) { return false; }
  }
  double area = 0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const point p = polygon[i], q = polygon[(i + 1) % polygon.size()];
    area += 0.5 * (p.x * q.y - q.x * p.y);
  }
  return std::abs(area) > 1e-9;
}

TEST(town_traffic, overlap_is_that_of_rectangles) {
  const sqs::random_stream r{3};
  int meeting = 0;
  for (sqs::idx i = 0; i < 3000; ++i) {
    const state a{.x = r.uniform(8 * i, -3, 3), .y = r.uniform(8 * i + 1, -3, 3), .yaw = r.uniform(8 * i + 2, -4, 4)};
    const state b{.yaw = r.uniform(8 * i + 3, -4, 4)};
    const point u{r.uniform(8 * i + 4, 0.5, 5), r.uniform(8 * i + 5, 0.3, 2), 1},
        v{r.uniform(8 * i + 6, 0.5, 5), r.uniform(8 * i + 7, 0.3, 2), 1};
    ASSERT_EQ(overlap(footprint_of(a, u), footprint_of(b, v)), meet_by_clipping(a, u, b, v)) << i;
    meeting += meet_by_clipping(a, u, b, v) ? 1 : 0;
  }
  EXPECT_GT(meeting, 500);
  EXPECT_LT(meeting, 2500);
}

TEST(town_traffic, nobody_drives_into_anybody) {
  for (int k = 0; k < scenes; ++k) {
    const auto& tracks = made(k).tracks();
    for (double t = 0; t <= 11; t += 0.25) {
      for (std::size_t a = 0; a < tracks.size(); ++a) {
        for (std::size_t b = a + 1; b < tracks.size(); ++b) {
          const state x = made(k).at(a, t), y = made(k).at(b, t);
          if (std::hypot(x.x - y.x, x.y - y.y) > 16) { continue; } // half diagonals are at most 7.2
          ASSERT_FALSE(meet_by_clipping(x, tracks[a].body.size, y, tracks[b].body.size))
              << "scene " << k << ", " << t << " s: " << a << " and " << b << " at " << x.x << ", " << x.y;
        }
      }
    }
  }
}

TEST(town_traffic, trailers_are_as_long_as_real_ones) {
  // The mean of nuScenes' boxes is 12.3 x 2.9 x 3.9 m.
  double least = 100, most = 0;
  point sum{};
  constexpr int n = 4000;
  for (int i = 0; i < n; ++i) {
    const design d = draw_design(kind::trailer, sqs::random_stream{static_cast<std::uint64_t>(i)});
    least = std::min(least, d.size.x), most = std::max(most, d.size.x);
    sum = sum + (1.0 / n) * d.size;
    const double axle = 0.2 * d.size.x + 1.35 * (d.size.x > 11 ? 2 : 1);
    ASSERT_LT(axle + 0.5, d.size.x / 2); // its wheels stay below it
  }
  EXPECT_GE(least, 8);
  EXPECT_LE(most, 14);
  EXPECT_LT(least, 8.1);
  EXPECT_GT(most, 13.9);
  EXPECT_NEAR(sum.x, 12.3, 0.15);
  EXPECT_NEAR(sum.y, 2.9, 0.02);
  EXPECT_NEAR(sum.z, 3.87, 0.02);
}

TEST(town_traffic, trailers_follow_their_trucks_straight_on) {
  int towed = 0;
  for (int k = 0; k < scenes; ++k) {
    const auto& tracks = made(k).tracks();
    for (std::size_t a = 0; a < tracks.size(); ++a) {
      if (tracks[a].body.what != kind::trailer || tracks[a].parked) { continue; }
      ++towed;
      // One truck stands 0.7 m before it, and stays there.
      int trucks = 0;
      for (std::size_t b = 0; b < tracks.size(); ++b) {
        if (tracks[b].body.what != kind::truck || tracks[b].parked) { continue; }
        const double hitch = 0.5 * (tracks[a].body.size.x + tracks[b].body.size.x) + 0.7;
        bool before = true;
        for (double t = 0; t <= 11; t += 0.25) {
          const state x = made(k).at(a, t), y = made(k).at(b, t);
          const double c = std::cos(x.yaw), n = std::sin(x.yaw);
          before = before && std::abs((y.x - x.x) * c + (y.y - x.y) * n - hitch) < 1e-3 &&
                   std::abs((y.y - x.y) * c - (y.x - x.x) * n) < 1e-3;
        }
        trucks += before ? 1 : 0;
      }
      EXPECT_EQ(trucks, 1) << "scene " << k << ", trailer " << a;
    }
  }
  EXPECT_GE(towed, 4);
}

TEST(town_traffic, parked_trailers_leave_lanes_and_crossings_free) {
  int parked = 0;
  for (int k = 0; k < scenes; ++k) {
    const street_map& map = made(k).map();
    for (const track& t : made(k).tracks()) {
      if (t.body.what != kind::trailer || !t.parked) { continue; }
      ++parked;
      const state& s = t.states.front();
      const bool x = std::abs(std::cos(s.yaw)) > 0.5;
      const street& own = x ? map.horizontal(map.nearest_horizontal(s.y)) : map.vertical(map.nearest_vertical(s.x));
      for (const point& p : corners(s, t.body.size)) {
        // Buses are at most 3.05 m wide; whatever drives keeps to the middle of its lane.
        const double across = std::abs((x ? p.y : p.x) - own.at);
        EXPECT_GT(across, (own.lanes - 0.5) * lane_width + 1.53) << "scene " << k << " at " << s.x << ", " << s.y;
        for (int n = 0; n < street_map::count; ++n) {
          const street& cross = x ? map.vertical(n) : map.horizontal(n);
          EXPECT_GT(std::abs((x ? p.x : p.y) - cross.at), cross.half() + stop_line) << "scene " << k;
        }
        for (const auto& z : map.zebras()) { EXPECT_FALSE(z.contains(p.x, p.y)) << "scene " << k; }
      }
    }
  }
  EXPECT_GE(parked, 3);
}

TEST(town_traffic, moves_as_bodies_can) {
  double fastest = 0, hardest = 0;
  for (int k = 0; k < scenes; ++k) {
    for (const track& t : made(k).tracks()) {
      for (std::size_t i = 0; i + 1 < t.states.size(); ++i) {
        const state &a = t.states[i], &b = t.states[i + 1];
        ASSERT_GE(a.speed, 0);
        ASSERT_LE(a.speed, facts_of(t.body.what).most_speed + 0.3);
        const double acceleration = (b.speed - a.speed) / traffic::step;
        ASSERT_LE(acceleration, traffic::most_acceleration + 1e-9);
        ASSERT_GE(acceleration, traffic::least_acceleration - 1e-9);
        // It goes where it looks, as far as its speed says.
        const double moved = std::hypot(b.x - a.x, b.y - a.y);
        ASSERT_NEAR(moved, 0.5 * (a.speed + b.speed) * traffic::step, 0.02);
        ASSERT_LE(std::abs(std::remainder(b.yaw - a.yaw, 6.283185307179586)), 0.06);
        fastest = std::max(fastest, a.speed), hardest = std::min(hardest, acceleration);
      }
    }
  }
  EXPECT_GT(fastest, 8);
  EXPECT_LT(hardest, -1);
}

TEST(town_traffic, drivers_keep_to_their_lanes_on_the_right) {
  int checked = 0, turning = 0;
  for (int k = 0; k < scenes; ++k) {
    const street_map& map = made(k).map();
    for (const track& t : made(k).tracks()) {
      if (t.walker || t.parked) { continue; }
      for (std::size_t i = 0; i < t.states.size(); i += 5) {
        const state& s = t.states[i];
        if (std::max(std::abs(s.x), std::abs(s.y)) > 170) { continue; }
        const double quarter = s.yaw / 1.5707963267948966, off = std::abs(quarter - std::round(quarter));
        if (off > 1e-6) {
          ++turning;
          for (const point& p : corners(s, t.body.size)) {
            ASSERT_TRUE(map.on_road(p.x, p.y)) << k << " " << p.x << " " << p.y;
          }
          continue;
        }
        const bool x = std::abs(std::cos(s.yaw)) > 0.5;
        const double sign = (x ? std::cos(s.yaw) : std::sin(s.yaw)) > 0 ? 1 : -1;
        const street& own = x ? map.horizontal(map.nearest_horizontal(s.y)) : map.vertical(map.nearest_vertical(s.x));
        // Metres to the right of the street's middle: right is -y for those who drive along +x, +x along +y.
        const double right = x ? sign * (own.at - s.y) : sign * (s.x - own.at);
        const double lane = std::floor(right / lane_width);
        ASSERT_GE(lane, 0) << "scene " << k << " at " << s.x << ", " << s.y;
        ASSERT_LT(lane, own.lanes);
        const double aside = right - (lane + 0.5) * lane_width;
        ASSERT_NEAR(aside, t.body.what == kind::bicycle ? 1.2 : 0.0, 1e-6);
        ASSERT_LE(std::abs(aside) + t.body.size.y / 2, lane_width / 2 + 0.001);
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 5000);
  EXPECT_GT(turning, 100);
}

TEST(town_traffic, nobody_starts_into_a_red_light) {
  // Who passes a stop line while its signal is red could not have stopped before it.
  int passed = 0;
  for (int k = 0; k < scenes; ++k) {
    const scene& s = made(k);
    const street_map& map = s.map();
    for (const track& t : s.tracks()) {
      if (t.walker || t.parked) { continue; }
      for (std::size_t i = 0; i + 1 < t.states.size(); ++i) {
        const state &a = t.states[i], &b = t.states[i + 1];
        const double quarter = a.yaw / 1.5707963267948966;
        if (std::abs(quarter - std::round(quarter)) > 1e-6 || t.body.what == kind::trailer) { continue; }
        const direction d = static_cast<direction>(((static_cast<int>(std::round(quarter)) % 4) + 4) % 4);
        const point u = unit(d);
        for (int n = 0; n < street_map::count; ++n) {
          const street& cross = along_x(d) ? map.vertical(n) : map.horizontal(n);
          const double sign = u.x + u.y, line = cross.at - sign * (cross.half() + stop_line);
          const auto front = [&](const state& q) {
            return sign * ((along_x(d) ? q.x : q.y) - line) + t.body.size.x / 2;
          };
          if (!(front(a) < 0 && front(b) >= 0)) { continue; }
          const int i_of = along_x(d) ? n : map.nearest_vertical(a.x),
                    j_of = along_x(d) ? map.nearest_horizontal(a.y) : n;
          ++passed;
          const double seconds = static_cast<double>(i) * traffic::step;
          // One that drives at v when yellow ends needs v / 7 seconds and more.
          bool recently = false;
          for (double back = 0; back <= 2.0; back += 0.05) {
            recently = recently || s.signals().is_green(i_of, j_of, d, seconds - back);
          }
          EXPECT_TRUE(recently) << "scene " << k << " crossing " << i_of << ", " << j_of << " at " << seconds << " s, "
                                << a.speed << " m/s";
        }
      }
    }
  }
  EXPECT_GT(passed, 20);
}

/// An empty part of a town to put agents into.
struct proving_ground {
  street_map map{seed, 40, 40};
  signal_plan signals{seed, &map};
  agent car(int street_index, double along, double speed) {
    agent a;
    a.body = draw_design(kind::car, sqs::random_stream{5});
    a.route.emplace(map, direction::north, street_index, 0, along);
    a.wheelbase = 2.7;
    a.now.speed = a.cruise = speed;
    return a;
  }
};

TEST(town_traffic, stops_behind_what_stands) {
  proving_ground g;
  // Between two crossings, out of reach of signals: a car stands 40 m ahead.
  const double start = g.map.horizontal(4).at + g.map.horizontal(4).half() + stop_line + 1;
  const double other = start + 40;
  agent standing = g.car(4, other, 0);
  standing.parked = true;
  const auto at = standing.route->way().end();
  standing.now = {.x = at.x, .y = at.y, .yaw = at.yaw};
  traffic t(g.map, g.signals, {g.car(4, start, 8), standing});
  for (int k = 0; k < 300; ++k) { t.advance(0.05 * k); }
  const agent& a = t.agents()[0];
  const double gap = t.agents()[1].now.y - a.now.y - 0.5 * (a.body.size.x + standing.body.size.x);
  EXPECT_LT(a.now.speed, 0.1);
  EXPECT_GT(gap, 0.3);
  EXPECT_LT(gap, 5);
}

TEST(town_traffic, waits_for_people_on_a_zebra) {
  // A zebra half way between two crossings.
  proving_ground g;
  int street_index = -1, j = -1;
  for (int i = 2; i < 7 && street_index < 0; ++i) {
    for (int k = 2; k < 6; ++k) {
      if (std::isfinite(g.map.zebra_between(false, i, k))) { street_index = i, j = k; }
    }
  }
  ASSERT_GE(street_index, 0);
  const double y = g.map.zebra_between(false, street_index, j);
  const street& s = g.map.vertical(street_index);
  agent walker;
  walker.walker = true;
  walker.body = draw_design(kind::pedestrian, sqs::random_stream{6});
  walker.cruise = walker.now.speed = 1.4;
  walker.walk.start({s.at + s.half() + 1, y, 3.141592653589793});
  walker.walk.add(2 * s.half() + 4, 0, 2);
  int zebra_index = -1;
  for (std::size_t z = 0; z < g.map.zebras().size(); ++z) {
    if (g.map.zebras()[z].contains(s.at, y)) { zebra_index = static_cast<int>(z); }
  }
  ASSERT_GE(zebra_index, 0);
  walker.walk.add_gate({1, 1 + 2 * s.half(), zebra_index, 0, 0, direction::east});
  const double start = g.map.horizontal(j).at + g.map.horizontal(j).half() + stop_line + 1;
  traffic t(g.map, g.signals, {g.car(street_index, start, 6), walker});
  bool crossed_before_car = false, car_waited = false;
  for (int k = 0; k < 500; ++k) {
    t.advance(0.05 * k);
    const agent &car = t.agents()[0], &person = t.agents()[1];
    ASSERT_FALSE(overlap(footprint_of(car.now, car.body.size), footprint_of(person.now, person.body.size)));
    const bool on_road = std::abs(person.now.x - s.at) < s.half();
    const bool before = car.now.y + car.body.size.x / 2 < y - 1.6;
    if (on_road && before && car.now.speed < 0.2) { car_waited = true; }
    if (on_road && car_waited) { EXPECT_TRUE(before); } // it stays there as long as somebody is on it
    if (person.now.x < s.at - s.half() && before) { crossed_before_car = true; }
  }
  EXPECT_TRUE(car_waited);
  EXPECT_TRUE(crossed_before_car);
  EXPECT_GT(t.agents()[0].now.y, y + 3); // and then goes on
}

TEST(town_traffic, is_a_function_of_seed_and_scene) {
  const scene again(seed, 2, 8.0);
  ASSERT_EQ(again.tracks().size(), made(2).tracks().size());
  for (std::size_t a = 0; a < again.tracks().size(); ++a) {
    const state x = again.tracks()[a].states.back(), y = made(2).tracks()[a].states.back();
    ASSERT_EQ(x.x, y.x);
    ASSERT_EQ(x.y, y.y);
    ASSERT_EQ(x.speed, y.speed);
  }
  const scene other(seed + 1, 2, 1.0);
  EXPECT_NE(other.at(0, 0).x, made(2).at(0, 0).x);
}

TEST(town_street_map, does_not_depend_on_where_one_looks_from) {
  const street_map a(seed, 40, 40), b(seed, 42, 39);
  // Crossing (42, 40) seen from both.
  const auto from_a = a.origin(), from_b = b.origin();
  EXPECT_NEAR(from_a.x + a.vertical(6).at, from_b.x + b.vertical(4).at, 1e-9);
  EXPECT_EQ(a.vertical(6).lanes, b.vertical(4).lanes);
  EXPECT_EQ(a.horizontal(4).walk, b.horizontal(5).walk);
  EXPECT_EQ(a.joined(6, 4), b.joined(4, 5));
  EXPECT_EQ(a.kind(6, 4), b.kind(4, 5));
}

} // namespace town_traffic_test

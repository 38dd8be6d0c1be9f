// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/town/bvh.hpp>

#include <gtest/gtest.h>

namespace town_solid_test {

using namespace sqs::town;
using sqs::random_stream;

point drawn(const random_stream& r, sqs::idx i, double size) {
  return {r.uniform(3 * i, -size, size), r.uniform(3 * i + 1, -size, size), r.uniform(3 * i + 2, -size, size)};
}
hit cast(const solid& s, point from, point d) {
  hit h;
  meet(s, from, d, h);
  return h;
}

/// One solid of each shape, turned and moved.
solid example(shape form, std::uint64_t k) {
  const random_stream r{k};
  solid s;
  s.form = form;
  s.center = drawn(r, 0, 2);
  s.half = {r.uniform(10, 0.3, 2), r.uniform(11, 0.3, 2), r.uniform(12, 0.3, 2)};
  const double yaw = r.uniform(13, -3, 3);
  s.cosine = std::cos(yaw), s.sine = std::sin(yaw);
  if (form == shape::prism) { s.lean = {r.uniform(14, 0, 0.5), r.uniform(15, 0, 0.4), r.uniform(16, 0, 0.25)}; }
  if (form == shape::cone) { s.lean[0] = r.uniform(14, 0.1, 1.2); }
  if (form == shape::wheel) { s.lean[0] = 0; }
  if (form == shape::capsule) { s.axis = drawn(r, 7, 1.5); }
  return s;
}
constexpr shape all_shapes[] = {shape::prism, shape::cone, shape::wheel, shape::ellipsoid, shape::capsule};

TEST(town_solid, is_entered_where_geometry_says) {
  const solid box{.center = {5, 0, 1}, .half = {1, 1, 1}};
  EXPECT_EQ(cast(box, {0, 0, 1}, {1, 0, 0}).t, 4);
  EXPECT_EQ(cast(box, {0, 0, 1}, {2, 0, 0}).t, 2); // t counts in lengths of d
  EXPECT_EQ(cast(box, {0, 1.01, 1}, {1, 0, 0}).what, nullptr);
  EXPECT_EQ(cast(box, {5, 0, 1}, {1, 0, 0}).what, nullptr); // from inside
  EXPECT_EQ(cast(box, {9, 0, 1}, {1, 0, 0}).what, nullptr); // behind
  solid roof = box;
  roof.lean = {1, 0, 0}; // the front wall leans from x = 6 at the foot to x = 5 at the top
  EXPECT_NEAR(cast(roof, {9, 0, 1}, {-1, 0, 0}).t, 3.5, 1e-12);
  EXPECT_NEAR(cast(roof, {9, 0, 1}, {-1, 0, 0}).normal.z, 1 / std::sqrt(5.0), 1e-12);
  solid post{.form = shape::cone, .center = {5, 0, 1}, .half = {0.5, 0.5, 1}};
  post.lean[0] = 1;
  EXPECT_NEAR(cast(post, {0, 0.3, 1}, {1, 0, 0}).t, 4.6, 1e-12);
  EXPECT_NEAR(cast(post, {5.2, 0, 4}, {0, 0, -1}).t, 2, 1e-12); // its lid
  post.lean[0] = 0.5;                                           // radius 0.375 half way up
  EXPECT_NEAR(cast(post, {0, 0, 1}, {1, 0, 0}).t, 5 - 0.375, 1e-12);
  const solid egg{.form = shape::ellipsoid, .center = {5, 0, 3}, .half = {2, 1, 1}};
  EXPECT_NEAR(cast(egg, {0, 0.6, 3}, {1, 0, 0}).t, 5 - 1.6, 1e-12);
  solid tyre{.form = shape::wheel, .center = {5, 0, 1}, .half = {1, 0.1, 1}};
  tyre.lean[0] = 0.8;
  EXPECT_NEAR(cast(tyre, {5, -3, 1.9}, {0, 1, 0}).t, 2.9, 1e-12);
  EXPECT_EQ(cast(tyre, {5, -3, 1.5}, {0, 1, 0}).what, nullptr); // through the spokes
  const solid bar{.form = shape::capsule, .center = {5, 0, 1}, .half = {0.2, 0.2, 0.2}, .axis = {0, 0, 1}};
  EXPECT_NEAR(cast(bar, {0, 0, 1.5}, {1, 0, 0}).t, 4.8, 1e-12);
  EXPECT_NEAR(cast(bar, {5, 0, 4}, {0, 0, -1}).t, 1.8, 1e-12); // its round end
}

TEST(town_solid, is_entered_where_its_distance_becomes_zero) {
  // A second way to the same answer: steps along the ray until the distance is not positive.
  int met = 0;
  for (const shape form : all_shapes) {
    for (std::uint64_t k = 0; k < 60; ++k) {
      const solid s = example(form, 100 * k + static_cast<std::uint64_t>(form));
      const random_stream r{7 * k + 1};
      const point from = 9.0 * sqs::normalized(drawn(r, 40, 1)), to = s.center + drawn(r, 41, 1.2);
      const point d = sqs::normalized(to - from);
      const hit h = cast(s, from, d);
      double t = 0;
      while (t < 20 && distance_to(s, from + t * d) > 1e-4) { t += std::max(0.5 * distance_to(s, from + t * d), 1e-4); }
      ASSERT_EQ(h.what != nullptr, t < 20) << static_cast<int>(form) << " " << k;
      if (h.what == nullptr) { continue; }
      ++met;
      EXPECT_NEAR(h.t, t, 0.02) << static_cast<int>(form) << " " << k;
      EXPECT_NEAR(distance_to(s, from + h.t * d), 0, 1e-9);
      EXPECT_NEAR(sqs::length(h.normal), 1, 1e-9);
      EXPECT_LE(sqs::dot(from_own(s, h.normal), d), 1e-9); // it faces the viewer
      const point outside = from + h.t * d + 1e-3 * from_own(s, h.normal);
      EXPECT_GT(distance_to(s, outside), 0);
    }
  }
  EXPECT_GT(met, 150);
}

TEST(town_solid, lies_in_its_bounds_and_not_nearer_than_its_distance) {
  for (const shape form : all_shapes) {
    for (std::uint64_t k = 0; k < 20; ++k) {
      const solid s = example(form, 31 * k + static_cast<std::uint64_t>(form));
      const bounds b = bounds_of(s);
      const random_stream r{k + 5};
      std::vector<point> inside;
      for (sqs::idx i = 0; i < 3000; ++i) {
        const point p = s.center + drawn(r, i + 10, 4.5);
        if (distance_to(s, p) <= 0) {
          inside.push_back(p);
          EXPECT_TRUE(p.x >= b.low.x && p.x <= b.high.x && p.y >= b.low.y && p.y <= b.high.y && p.z >= b.low.z &&
                      p.z <= b.high.z);
        }
      }
      for (sqs::idx i = 0; i < 20; ++i) {
        const point p = s.center + drawn(r, i + 9000, 5);
        for (const point& q : inside) {
          ASSERT_LE(distance_to(s, p), sqs::length(p - q) + 1e-9) << static_cast<int>(form);
        }
      }
    }
  }
}

std::vector<solid> heap(int count, std::uint64_t seed) {
  std::vector<solid> out;
  for (int i = 0; i < count; ++i) {
    solid s = example(all_shapes[i % 5], seed + static_cast<std::uint64_t>(i));
    s.center = s.center + drawn(random_stream{seed + 1}, i, 40);
    if (i % 5 == 3 && i % 2 == 0) { s.surface = look::foliage; }
    out.push_back(s);
  }
  return out;
}

TEST(town_solid_tree, finds_what_a_loop_over_all_solids_finds) {
  for (const int count : {0, 1, 2, 7, 300}) {
    const auto solids = heap(count, 50);
    const solid_tree tree(solids);
    ASSERT_EQ(tree.solids().size(), solids.size());
    int met = 0;
    for (sqs::idx i = 0; i < 3000; ++i) {
      const random_stream r{99};
      point from = drawn(r, 2 * i, 50), d = drawn(r, 2 * i + 1, 1);
      if (i % 10 == 0) { d = {0, 0, 1}; } // along an axis
      if (i % 10 == 1) { d.y = 0; }
      hit plain, fast;
      plain.t = fast.t = i % 3 == 0 ? 15 : 1e30;
      for (const solid& s : solids) { meet(s, from, d, plain); }
      tree.meet(from, d, fast);
      ASSERT_EQ(plain.t, fast.t) << i; // bit for bit
      ASSERT_EQ(plain.what == nullptr, fast.what == nullptr);
      EXPECT_EQ(tree.blocked(from, d, i % 3 == 0 ? 15 : 1e30), plain.what != nullptr);
      met += plain.what != nullptr ? 1 : 0;
    }
    if (count == 300) { EXPECT_GT(met, 200); }
  }
}

TEST(town_solid_tree, holds_many_solids_in_one_place) {
  std::vector<solid> same(500);
  for (auto& s : same) { s.half = {1, 1, 1}; }
  const solid_tree tree(same);
  hit h;
  tree.meet({-5, 0, 0}, {1, 0, 0}, h);
  EXPECT_EQ(h.t, 4);
}

} // namespace town_solid_test

// SPDX-License-Identifier: Apache-2.0
// Rotations, projections, clamps, random streams: numbers by hand and derivatives by differences.
#include "../support/check.hpp"

#include <sqs/core/profile.hpp>
#include <sqs/geometry/camera.hpp>

#include <numbers>

namespace math_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(quaternion, thirty_degrees_of_yaw) {
  const double a = std::numbers::pi / 6;
  const quaternion<double> q{std::cos(a / 2), 0, 0, std::sin(a / 2)};
  const vec3<double> x = rotation_matrix(q) * vec3<double>{1, 0, 0};
  EXPECT_NEAR(x.x, std::cos(a), 1e-15);
  EXPECT_NEAR(x.y, std::sin(a), 1e-15);
  const auto r = rotation_matrix(q * q), y = yaw_rotation(2 * a).rotation;
  for (int i = 0; i < 9; ++i) { EXPECT_NEAR(r.a[i], y.a[i], 1e-15); }
}

TEST(quaternion, of_any_length_is_the_normalised_one) {
  // A third of a turn about (1,1,1): x goes to y, y to z, z to x. Exact, however long the quaternion.
  for (const double length : {1.0, 1e-6, 1e6}) {
    const auto r = rotation_matrix_of_any_length(quaternion<double>{length, length, length, length});
    const double expected[9] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
    for (int i = 0; i < 9; ++i) { EXPECT_NEAR(r.a[i], expected[i], 1e-15); }
  }
  const auto draw = random_stream::of(3);
  for (int trial = 0; trial < 200; ++trial) {
    const double scale =
        std::pow(10.0, draw.uniform(5 * trial, -14, 14)); // the shortest are below normalized()'s limit
    const auto number = [&](int i) { return scale * draw.uniform(5 * trial + i, -1, 1); };
    const quaternion<double> q{number(1), number(2), number(3), number(4)};
    const auto r = rotation_matrix_of_any_length(q), n = rotation_matrix(normalized(q));
    for (int i = 0; i < 9; ++i) { EXPECT_NEAR(r.a[i], n.a[i], 2e-15); }
  }
  const auto none = rotation_matrix_of_any_length(quaternion<float>{0, 0, 0, 0});
  for (int i = 0; i < 9; ++i) { EXPECT_EQ(none.a[i], i % 4 == 0 ? 1.0f : 0.0f); }
}

TEST(quaternion, derivatives_match_differences) {
  const double raw[4] = {0.9, -0.4, 0.3, 0.7};
  mat3<double> weight;
  for (int i = 0; i < 9; ++i) { weight.a[i] = random_stream::of(1).uniform(i, -1, 1); }
  const auto value = [&](const double* v) {
    const auto r = rotation_matrix(normalized(quaternion<double>{v[0], v[1], v[2], v[3]}));
    double s = 0;
    for (int i = 0; i < 9; ++i) { s += weight.a[i] * r.a[i]; }
    return s;
  };
  const quaternion<double> q{raw[0], raw[1], raw[2], raw[3]};
  const auto d = normalized_backward(q, rotation_matrix_backward(normalized(q), weight));
  const double analytic[4] = {d.w, d.x, d.y, d.z};
  for (int k = 0; k < 4; ++k) {
    double up[4], down[4];
    std::copy_n(raw, 4, up), std::copy_n(raw, 4, down);
    up[k] += 1e-6, down[k] -= 1e-6;
    EXPECT_NEAR(analytic[k], (value(up) - value(down)) / 2e-6, 1e-9);
  }
  EXPECT_TRUE(std::isfinite(normalized(quaternion<double>{0, 0, 0, 0}).w));
}

TEST(vec3, scaled_and_added) {
  const auto x = fma(2.0, vec3<double>{1, -2, 0.5}, vec3<double>{10, 20, 30});
  EXPECT_EQ(x.x, 12);
  EXPECT_EQ(x.y, 16);
  EXPECT_EQ(x.z, 31);
  EXPECT_EQ(rsqrt(4.0), 0.5);
  EXPECT_EQ(rsqrt(0.0f), std::numeric_limits<float>::infinity());
}

TEST(camera, project_and_transform) {
  const pinhole_camera<double> c{100, 110, 32, 24, 64, 48};
  const auto p = c.project({0.5, -0.25, 2});
  EXPECT_NEAR(p.x, 57, 1e-12);
  EXPECT_NEAR(p.y, 10.25, 1e-12);
  const auto back = c.unproject(p, 2);
  EXPECT_NEAR(back.x, 0.5, 1e-12);
  // A flip keeps its sign: u' = 64 - u.
  const auto flipped = transformed(c, image_transform<double>{-1, 1, 64, 0}, 64, 48);
  EXPECT_NEAR(flipped.project({0.5, -0.25, 2}).x, 64 - p.x, 1e-12);
  EXPECT_LT(flipped.fx, 0);
  const se3<double> T{yaw_rotation(0.3).rotation, {1, 2, 3}};
  const auto m = projection_matrix(c, T);
  const vec3<double> x{0.1, 0.2, 4}, y = T * x;
  EXPECT_NEAR((m(0, 0) * x.x + m(0, 1) * x.y + m(0, 2) * x.z + m(0, 3)) / y.z, c.project(y).x, 1e-12);
  EXPECT_THAT(message_of([] {
                checked(pinhole_camera<double>{0, 1, 1, 1, 4, 4}, "CAM_FRONT");
              }),
              HasSubstr("CAM_FRONT has singular intrinsics (fx 0"));
  EXPECT_THAT(message_of([] {
                checked(se3<double>{{}, {std::nan(""), 0, 0}}, "ego pose");
              }),
              HasSubstr("ego pose contains NaN or Inf"));
  EXPECT_THAT(message_of([] {
                checked(se3<double>{mat3<double>::diagonal({1, 1, -1}), {}}, "ego pose");
              }),
              HasSubstr("determinant -1"));
}

TEST(se3, inverse_and_product) {
  const se3<double> a = make_se3(quaternion<double>{1, 2, 3, 4}, {5, 6, 7});
  const vec3<double> x{1, -2, 3}, y = inverse(a) * (a * x), z = (inverse(a) * a) * x;
  EXPECT_NEAR(length(y - x), 0, 1e-14);
  EXPECT_NEAR(length(z - x), 0, 1e-14);
}

TEST(random, streams_are_functions_of_their_address) {
  EXPECT_EQ(random_stream::of(1, 2, 3).bits(9), random_stream::of(1, 2, 3).bits(9));
  EXPECT_NE(random_stream::of(1, 2, 3).bits(9), random_stream::of(1, 3, 2).bits(9));
  const auto s = random_stream::of(5);
  double mean = 0, squares = 0, normal = 0, normal_squares = 0;
  for (idx i = 0; i < 100000; ++i) {
    mean += s.uniform(i) / 1e5;
    squares += s.uniform(i) * s.uniform(i) / 1e5;
    normal += s.normal(i) / 1e5;
    normal_squares += s.normal(i) * s.normal(i) / 1e5;
  }
  EXPECT_NEAR(mean, 0.5, 0.005);
  EXPECT_NEAR(squares, 1.0 / 3, 0.005);
  EXPECT_NEAR(normal, 0, 0.015);
  EXPECT_NEAR(normal_squares, 1, 0.03);
}

TEST(profiler, totals_and_trace) {
  cpu e{.threads = 1};
  { profile_scope off(e, "a", "forward"); }
  EXPECT_EQ(e.profile().begin(), e.profile().end());
  e.profile().enabled = true;
  e.profile().record_events(8);
  for (int i = 0; i < 2; ++i) {
    profile_scope on(e, "a", "forward");
    const auto t = empty<char, 1>(e, {1000});
  }
  ASSERT_EQ(e.profile().end() - e.profile().begin(), 1);
  EXPECT_EQ(e.profile().begin()->calls, 2);
  EXPECT_EQ(e.profile().begin()->peak_bytes, 1024u);
  EXPECT_THAT(e.profile().chrome_trace(), HasSubstr("\"name\":\"a/forward\",\"ph\":\"X\""));
}

} // namespace math_test

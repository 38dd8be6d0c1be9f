// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/random.hpp>
#include <sqs/geometry/camera_projection.hpp>

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace camera_projection_test {

using namespace sqs;

/// The published formulas once more, plainly: intrinsics k are fx fy cx cy and then the distortion.
struct pixel {
  double u, v;
};
pixel plain(camera_model model, const double* k, const double* p) {
  const double fx = k[0], fy = k[1], cx = k[2], cy = k[3], *d = k + 4;
  if (model == camera_model::orthographic) { return {fx * p[0] + cx, fy * p[1] + cy}; }
  double x = p[0] / p[2], y = p[1] / p[2];
  if (model == camera_model::opencv) {
    const double r = std::hypot(x, y), r2 = std::pow(r, 2), r4 = std::pow(r, 4), r6 = std::pow(r, 6);
    const double radial = (1 + d[0] * r2 + d[1] * r4 + d[4] * r6) / (1 + d[5] * r2 + d[6] * r4 + d[7] * r6);
    const double xd = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x);
    const double yd = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y;
    return {fx * xd + cx, fy * yd + cy};
  }
  if (model == camera_model::fisheye) {
    const double r = std::hypot(p[0], p[1]);
    if (r == 0) { return {cx, cy}; }
    const double theta = std::acos(p[2] / std::hypot(r, p[2]));
    const double bent = theta + d[0] * std::pow(theta, 3) + d[1] * std::pow(theta, 5) + d[2] * std::pow(theta, 7) +
                        d[3] * std::pow(theta, 9);
    return {fx * bent * p[0] / r + cx, fy * bent * p[1] / r + cy};
  }
  return {fx * x + cx, fy * y + cy};
}

any_camera<double> camera_of(camera_model model) {
  any_camera<double> c{310, -290, 161, 117, 320, 240, model, {}};
  if (model == camera_model::opencv) { c.distortion = {-.28, .09, 1.3e-3, -2.1e-3, -.012, .04, -.02, .003}; }
  if (model == camera_model::fisheye) { c.distortion = {-.031, .012, -.0041, .0007, 0, 0, 0, 0}; }
  return c;
}
constexpr camera_model models[] = {camera_model::pinhole, camera_model::opencv, camera_model::fisheye,
                                   camera_model::orthographic};

/// u, v and the six entries of the Jacobian.
template <camera_model M> std::array<double, 8> numbers(const camera_constants<double>& c, vec3<double> p) {
  const auto q = project_point<M>(c, p);
  return {q.u, q.v, q.du.x, q.du.y, q.du.z, q.dv.x, q.dv.y, q.dv.z};
}
template <class F> double slope(F f, double& x, double h) {
  const double kept = x;
  const auto at = [&](double v) {
    x = v;
    return f();
  };
  const double p1 = at(kept + h), m1 = at(kept - h), p2 = at(kept + 2 * h), m2 = at(kept - 2 * h);
  x = kept;
  return (8 * (p1 - m1) - (p2 - m2)) / (12 * h);
}
std::vector<vec3<double>> points(camera_model model) {
  std::vector<vec3<double>> list{{.3, -.2, 2}, {-1.4, .9, 3}, {.01, .02, 1.5}, {.4, .4, .9}, {0, .6, 1.1}};
  if (model == camera_model::fisheye) {
    for (const vec3<double> p : {vec3<double>{0, 0, 2},
                                 {1e-7, -2e-7, 1},
                                 {.099, 0, 1},
                                 {.0705, .0705, 1},
                                 {.0709, .0709, 1},
                                 {3, 2, .4},
                                 {2, 1, 0},
                                 {-1, 2, -.7}}) {
      list.push_back(p);
    }
  }
  return list;
}

TEST(project_point, is_the_published_formula) {
  for (const auto model : models) {
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      const auto camera = camera_of(M);
      const auto c = make_camera_constants(camera, 10.0); // so wide that nothing is clamped
      double k[12] = {camera.fx, camera.fy, camera.cx, camera.cy};
      std::copy(camera.distortion.begin(), camera.distortion.end(), k + 4);
      for (const auto& at : points(M)) {
        double p[3] = {at.x, at.y, at.z};
        const auto got = project_point<M>(c, at);
        EXPECT_TRUE(got.valid);
        const bool on_axis = M == camera_model::fisheye && std::hypot(p[0], p[1]) < 1e-3; // acos is too coarse there
        EXPECT_NEAR(got.u, plain(M, k, p).u, on_axis ? 1e-6 : 1e-10);
        EXPECT_NEAR(got.v, plain(M, k, p).v, on_axis ? 1e-6 : 1e-10);
        if (on_axis) { continue; }
        const double rows[2][3] = {{got.du.x, got.du.y, got.du.z}, {got.dv.x, got.dv.y, got.dv.z}};
        for (int i = 0; i < 3; ++i) {
          EXPECT_NEAR(rows[0][i], slope([&] { return plain(M, k, p).u; }, p[i], 1e-4), 2e-7) << name_of(M);
          EXPECT_NEAR(rows[1][i], slope([&] { return plain(M, k, p).v; }, p[i], 1e-4), 2e-7) << name_of(M);
        }
      }
    });
  }
}

TEST(project_point, numbers_by_hand) {
  const auto pin = make_camera_constants(any_camera<double>{100, 50, 8, 6, 16, 12}, .3);
  const auto a = project_point<camera_model::pinhole>(pin, vec3<double>{.1, -.2, 2});
  EXPECT_DOUBLE_EQ(a.u, 13);
  EXPECT_DOUBLE_EQ(a.v, 1);
  EXPECT_DOUBLE_EQ(a.du.x, 50);
  EXPECT_DOUBLE_EQ(a.du.z, -2.5);
  EXPECT_DOUBLE_EQ(a.dv.y, 25);
  EXPECT_DOUBLE_EQ(a.dv.z, 2.5);
  // Half the image is 8 px of 100 px/unit, and .3 of that again: the Jacobian is taken at x/z = .104.
  const auto far = project_point<camera_model::pinhole>(pin, vec3<double>{3, 0, 1});
  EXPECT_DOUBLE_EQ(far.u, 308);
  EXPECT_NEAR(far.du.z, -10.4, 1e-12);
  // k1 = .5 at r2 = .04 + .01: radial 1.025; p1 adds 2 p1 x y = .0004 to x and p1 (r2 + 2 y2) = .0007 to y.
  const any_camera<double> cv{100, 100, 0, 0, 100, 100, camera_model::opencv, {.5, 0, .01}};
  const auto b = project_point<camera_model::opencv>(make_camera_constants(cv, .3), vec3<double>{.2, .1, 1});
  EXPECT_NEAR(b.u, 100 * (.205 + .0004), 1e-12);
  EXPECT_NEAR(b.v, 100 * (.1025 + .0007), 1e-12);
  // 45 degrees to the right: theta = pi/4, k1 = .1.
  const any_camera<double> fish{100, 100, 50, 50, 100, 100, camera_model::fisheye, {.1}};
  const auto f = project_point<camera_model::fisheye>(make_camera_constants(fish, .3), vec3<double>{3, 0, 3});
  const double theta = std::numbers::pi / 4;
  EXPECT_NEAR(f.u, 50 + 100 * (theta + .1 * theta * theta * theta), 1e-12);
  EXPECT_DOUBLE_EQ(f.v, 50);
  const any_camera<double> flat{10, 20, 1, 2, 100, 100, camera_model::orthographic, {}};
  const auto o = project_point<camera_model::orthographic>(make_camera_constants(flat, .3), vec3<double>{3, 4, -5});
  EXPECT_DOUBLE_EQ(o.u, 31);
  EXPECT_DOUBLE_EQ(o.v, 82);
  EXPECT_DOUBLE_EQ(o.du.x, 10);
  EXPECT_DOUBLE_EQ(o.du.z, 0);
}

TEST(project_point, on_the_axis_a_fisheye_is_a_pinhole) {
  const any_camera<double> fish{100, 120, 50, 40, 100, 80, camera_model::fisheye, {.1, .2, .3, .4}};
  const auto c = make_camera_constants(fish, .3);
  const auto f = project_point<camera_model::fisheye>(c, vec3<double>{0, 0, 4});
  EXPECT_DOUBLE_EQ(f.u, 50);
  EXPECT_DOUBLE_EQ(f.v, 40);
  EXPECT_DOUBLE_EQ(f.du.x, 25);
  EXPECT_DOUBLE_EQ(f.dv.y, 30);
  EXPECT_DOUBLE_EQ(f.du.y, 0);
  EXPECT_DOUBLE_EQ(f.du.z, 0);
  EXPECT_TRUE(f.valid);
}

template <camera_model M> void check_gradient_of(any_camera<double> camera, vec3<double> p, double margin) {
  auto c = make_camera_constants(camera, margin);
  const auto w = random_stream::of(3, 1);
  std::array<double, 8> d;
  for (std::size_t i = 0; i < 8; ++i) { d[i] = w.uniform(static_cast<idx>(i), -1, 1); }
  vec3<double> d_p;
  double d_k[12];
  project_point_backward<M>(c, p, d[0], d[1], {d[2], d[3], d[4]}, {d[5], d[6], d[7]}, d_p, d_k);
  const auto loss = [&] {
    const auto y = numbers<M>(c, p);
    double sum = 0;
    for (std::size_t i = 0; i < 8; ++i) { sum += d[i] * y[i]; }
    return sum;
  };
  const auto check = [&](double analytic, double& x, const char* name, int i) {
    const double numeric = slope(loss, x, 2e-4);
    EXPECT_NEAR(analytic, numeric, 1e-7 * std::max({1.0, std::abs(numeric), std::abs(loss())}))
        << name_of(M) << " " << name << i << " at " << p.x << " " << p.y << " " << p.z;
  };
  check(d_p.x, p.x, "p", 0);
  check(d_p.y, p.y, "p", 1);
  check(d_p.z, p.z, "p", 2);
  check(d_k[0], c.fx, "intrinsics", 0);
  check(d_k[1], c.fy, "intrinsics", 1);
  check(d_k[2], c.cx, "intrinsics", 2);
  check(d_k[3], c.cy, "intrinsics", 3);
  for (int i = 0; i < 8; ++i) { check(d_k[4 + i], c.distortion[i], "distortion", i); }
}

TEST(project_point, gradient_of_the_position_and_of_the_jacobian) {
  for (const auto model : models) {
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      for (const auto& p : points(M)) { check_gradient_of<M>(camera_of(M), p, 10); }
    });
  }
}

TEST(project_point, gradient_where_the_clamp_acts) {
  for (const vec3<double> p : {vec3<double>{1.5, .1, 2}, {-.1, 1.4, 2}, {-2, -1.5, 2}, {2, -1.5, 2.2}}) {
    check_gradient_of<camera_model::pinhole>(camera_of(camera_model::pinhole), p, .1);
    check_gradient_of<camera_model::opencv>(camera_of(camera_model::opencv), p, .1);
  }
}

TEST(project_point, vectors_equal_scalars) {
  constexpr int lanes = native_lanes<float>;
  using many = simd<float, lanes>;
  const auto draw = random_stream::of(8, 2);
  for (const auto model : models) {
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      const auto c = make_camera_constants(any_camera<float>(camera_of(M)), .3f);
      for (idx round = 0; round < 20; ++round) {
        float in[11][lanes];
        for (idx i = 0; i < 11; ++i) {
          for (idx j = 0; j < lanes; ++j) {
            in[i][j] = float(draw.uniform((round * 11 + i) * lanes + j, -1, 1));
            if (i == 2) { in[i][j] += 1.5f; }
          }
        }
        in[0][3] = in[1][3] = 0; // on the axis
        const auto row = [&](int i) { return many::load(in[i]); };
        const vec3<many> p{row(0), row(1), row(2)};
        const auto y = project_point<M>(c, p);
        vec3<many> d_p;
        many d_k[12];
        project_point_backward<M>(c, p, row(3), row(4), {row(5), row(6), row(7)}, {row(8), row(9), row(10)}, d_p, d_k);
        for (int j = 0; j < lanes; ++j) {
          const vec3<float> p1{in[0][j], in[1][j], in[2][j]};
          const auto y1 = project_point<M>(c, p1);
          vec3<float> d_p1;
          float d_k1[12];
          project_point_backward<M>(c, p1, in[3][j], in[4][j], {in[5][j], in[6][j], in[7][j]},
                                    {in[8][j], in[9][j], in[10][j]}, d_p1, d_k1);
          const auto close = [&](float a, float b) { EXPECT_NEAR(a, b, 2e-4f * std::max(1.f, std::abs(b))); };
          close(y.u[j], y1.u);
          close(y.v[j], y1.v);
          close(y.du.x[j], y1.du.x);
          close(y.du.z[j], y1.du.z);
          close(y.dv.x[j], y1.dv.x);
          close(y.dv.y[j], y1.dv.y);
          close(d_p.x[j], d_p1.x);
          close(d_p.z[j], d_p1.z);
          for (int i = 0; i < 12; ++i) { close(d_k[i][j], d_k1[i]); }
          if constexpr (camera_traits<M>::always_valid) {
            EXPECT_TRUE(y1.valid);
          } else {
            EXPECT_EQ(y.valid[j], y1.valid);
          }
        }
      }
    });
  }
}

/// How far float is from double, in units of what the pixel's size makes of the point.
TEST(project_point, float_is_double_to_rounding_near_the_axis) {
  const auto camera = camera_of(camera_model::fisheye);
  const auto c = make_camera_constants(camera, .3);
  const auto cf = make_camera_constants(any_camera<float>(camera), .3f);
  for (const double t : {0.0, 1e-6, 1e-3, .03, .0999, .1001, .3, 1.0, 3.0}) {
    const vec3<double> p{double(float(.6 * t)), double(float(.8 * t)), 1};
    const auto a = numbers<camera_model::fisheye>(c, p);
    const auto q = project_point<camera_model::fisheye>(cf, vec3<float>(p));
    const float b[8] = {q.u, q.v, q.du.x, q.du.y, q.du.z, q.dv.x, q.dv.y, q.dv.z};
    for (std::size_t i = 0; i < 8; ++i) { EXPECT_NEAR(b[i], a[i], 310 * 6e-7) << i << " at " << t; }
    vec3<double> d;
    vec3<float> df;
    double k[12];
    float kf[12];
    project_point_backward<camera_model::fisheye>(c, p, 0., 0., {1, 1, 1}, {1, 1, 1}, d, k);
    project_point_backward<camera_model::fisheye>(cf, vec3<float>(p), 0.f, 0.f, {1, 1, 1}, {1, 1, 1}, df, kf);
    for (const double gap : {df.x - d.x, df.y - d.y, df.z - d.z}) { EXPECT_NEAR(gap, 0, 310 * 6e-6) << t; }
    for (int i = 0; i < 8; ++i) { EXPECT_NEAR(kf[i], k[i], 6e-6 * std::max(310., std::abs(k[i]))) << i << " at " << t; }
  }
}

TEST(project_point, rows_without_the_zeros_are_the_full_product) {
  const mat3<double> m{{1, 2, 3, -4, 5, 6, 7, -8, 9}};
  for (const auto model : models) {
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      const auto j = project_point<M>(make_camera_constants(camera_of(M), .3), vec3<double>{.3, -.2, 2});
      const auto r = times<M>(j, m);
      for (const auto& [row, full] : {std::pair{r.u, transposed(m) * j.du}, std::pair{r.v, transposed(m) * j.dv}}) {
        EXPECT_NEAR(row.x, full.x, 1e-11);
        EXPECT_NEAR(row.y, full.y, 1e-11);
        EXPECT_NEAR(row.z, full.z, 1e-11);
      }
    });
  }
}

TEST(project_point, a_flipped_camera_mirrors_the_image) {
  for (const auto model : models) {
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      const auto camera = camera_of(M);
      const auto flipped = transformed(camera, image_transform<double>{.ax = -1, .bx = 320}, 320, 240);
      EXPECT_LT(flipped.fx, 0);
      const auto a = make_camera_constants(camera, .1), b = make_camera_constants(flipped, .1);
      EXPECT_DOUBLE_EQ(a.low_x, b.low_x);
      EXPECT_DOUBLE_EQ(a.high_x, b.high_x);
      for (const vec3<double> p : {vec3<double>{.3, -.2, 2}, {2, .1, 2}}) {
        const auto x = project_point<M>(a, p), y = project_point<M>(b, p);
        EXPECT_NEAR(y.u, 320 - x.u, 1e-10);
        EXPECT_NEAR(y.v, x.v, 1e-10);
        EXPECT_NEAR(y.du.x, -x.du.x, 1e-10);
        EXPECT_NEAR(y.du.z, -x.du.z, 1e-10);
      }
    });
  }
}

TEST(camera_constants, limits_without_distortion_are_those_of_the_image) {
  auto camera = camera_of(camera_model::opencv);
  camera.distortion = {};
  const auto a = make_camera_constants(camera, .3);
  camera.model = camera_model::pinhole;
  const auto b = make_camera_constants(camera, .3);
  const double half = .3 * .5 * 320 / 310;
  EXPECT_NEAR(b.low_x, -161. / 310 - half, 1e-15);
  EXPECT_NEAR(b.high_x, 159. / 310 + half, 1e-15);
  EXPECT_NEAR(b.low_y, (240 - 117.) / -290 - .15 * 240 / 290, 1e-15);
  EXPECT_EQ(a.low_x, b.low_x);
  EXPECT_EQ(a.high_y, b.high_y);
  EXPECT_TRUE(std::isinf(a.valid));
}

TEST(camera_constants, limits_with_distortion_are_those_of_the_undistorted_border) {
  const auto camera = camera_of(camera_model::opencv);
  const auto c = make_camera_constants(camera, 0.0);
  const double k[12] = {1, 1, 0, 0, -.28, .09, 1.3e-3, -2.1e-3, -.012, .04, -.02, .003};
  double low_x = 9, high_x = -9, low_y = 9, high_y = -9;
  const auto add = [&](double u, double v) { // the fixed point of p = p + (wanted - distorted(p))
    const double wanted[2] = {(u - 161) / 310, (v - 117) / -290};
    double p[3] = {wanted[0], wanted[1], 1};
    for (int i = 0; i < 200; ++i) {
      const auto at = plain(camera_model::opencv, k, p);
      p[0] += wanted[0] - at.u, p[1] += wanted[1] - at.v;
    }
    low_x = std::min(low_x, p[0]), high_x = std::max(high_x, p[0]);
    low_y = std::min(low_y, p[1]), high_y = std::max(high_y, p[1]);
  };
  for (int i = 0; i <= 320; ++i) { add(i, 0), add(i, 240); }
  for (int i = 0; i <= 240; ++i) { add(0, i), add(320, i); }
  EXPECT_LT(low_x, -161. / 310 - .01); // barrel distortion: the image sees more than a pinhole's
  EXPECT_NEAR(c.low_x, low_x, 1e-4);
  EXPECT_NEAR(c.high_x, high_x, 1e-4);
  EXPECT_NEAR(c.low_y, low_y, 1e-4);
  EXPECT_NEAR(c.high_y, high_y, 1e-4);
}

TEST(camera_constants, validity_ends_where_two_points_share_a_pixel) {
  // r - .2 r^3 grows up to r^2 = 1 / .6.
  any_camera<double> cv{100, 100, 50, 50, 100, 100, camera_model::opencv, {-.2}};
  const auto c = make_camera_constants(cv, .3);
  EXPECT_NEAR(c.valid, 1 / .6, 1e-9);
  EXPECT_TRUE(project_point<camera_model::opencv>(c, vec3<double>{1.29, 0, 1}).valid);
  EXPECT_FALSE(project_point<camera_model::opencv>(c, vec3<double>{1.3, 0, 1}).valid);
  // A pole: 1 / (1 - .25 r^2) at r = 2, and r / (1 - .25 r^2) grows all the way there.
  cv.distortion = {0, 0, 0, 0, 0, -.25, 0, 0};
  EXPECT_NEAR(make_camera_constants(cv, .3).valid, 4, 1e-9);
  // theta - .1 theta^3 grows up to theta^2 = 1 / .3.
  any_camera<double> fish{100, 100, 50, 50, 100, 100, camera_model::fisheye, {-.1}};
  EXPECT_NEAR(make_camera_constants(fish, .3).valid, std::sqrt(1 / .3), 1e-9);
  fish.distortion = {};
  EXPECT_DOUBLE_EQ(make_camera_constants(fish, .3).valid, std::numbers::pi);
  const auto behind = make_camera_constants(any_camera<float>(fish), .3f);
  EXPECT_FALSE(project_point<camera_model::fisheye>(behind, vec3<float>{0, 0, -1}).valid);
  EXPECT_TRUE(project_point<camera_model::fisheye>(behind, vec3<float>{.1f, 0, -1}).valid);
}

TEST(camera_constants, a_border_beyond_the_validity_ends_at_it) {
  // The image is wider than r - .2 r^3 ever reaches (.86): the limits are the last valid radius.
  const any_camera<double> cv{50, 50, 50, 50, 100, 100, camera_model::opencv, {-.2}};
  const auto c = make_camera_constants(cv, 0.0);
  EXPECT_NEAR(c.high_x, std::sqrt(1 / .6), .01);
  EXPECT_NEAR(c.low_y, -std::sqrt(1 / .6), .01);
}

} // namespace camera_projection_test

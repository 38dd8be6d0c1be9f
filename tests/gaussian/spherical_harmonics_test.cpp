// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/random.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

namespace spherical_harmonics_test {

using namespace sqs;

TEST(sh_basis, is_orthonormal_over_the_sphere) {
  // Simpson's rule in z, equal steps in the angle: the integrands are polynomials.
  constexpr int rows = 400, columns = 16, n = sh_count(4);
  double gram[n][n] = {};
  for (int i = 0; i <= rows; ++i) {
    const double z = -1 + 2. * i / rows, r = std::sqrt(std::max(0., 1 - z * z));
    const double weight = (i == 0 || i == rows ? 1 : (i % 2 == 1 ? 4 : 2)) * 2. / (3 * rows);
    for (int j = 0; j < columns; ++j) {
      const double phi = 2 * std::numbers::pi * (j + .3) / columns;
      double b[n];
      sh_basis<4>(vec3<double>{r * std::cos(phi), r * std::sin(phi), z}, b);
      for (int k = 0; k < n; ++k) {
        for (int l = 0; l < n; ++l) { gram[k][l] += b[k] * b[l] * weight * 2 * std::numbers::pi / columns; }
      }
    }
  }
  for (int k = 0; k < n; ++k) {
    for (int l = 0; l < n; ++l) { EXPECT_NEAR(gram[k][l], k == l ? 1 : 0, 1e-6) << k << " " << l; }
  }
}

/// The basis of 3DGS's files, as such files' readers write it down: not the recurrence of the library.
void written_out(double x, double y, double z, double (&b)[25]) {
  const double xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
  const double values[25] = {0.28209479177387814,
                             -0.4886025119029199 * y,
                             0.4886025119029199 * z,
                             -0.4886025119029199 * x,
                             1.0925484305920792 * xy,
                             -1.0925484305920792 * yz,
                             0.31539156525252005 * (2 * zz - xx - yy),
                             -1.0925484305920792 * xz,
                             0.5462742152960396 * (xx - yy),
                             -0.5900435899266435 * y * (3 * xx - yy),
                             2.890611442640554 * xy * z,
                             -0.4570457994644658 * y * (4 * zz - xx - yy),
                             0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
                             -0.4570457994644658 * x * (4 * zz - xx - yy),
                             1.445305721320277 * z * (xx - yy),
                             -0.5900435899266435 * x * (xx - 3 * yy),
                             2.5033429417967046 * xy * (xx - yy),
                             -1.7701307697799304 * yz * (3 * xx - yy),
                             0.9461746957575601 * xy * (7 * zz - 1),
                             -0.6690465435572892 * yz * (7 * zz - 3),
                             0.10578554691520431 * (zz * (35 * zz - 30) + 3),
                             -0.6690465435572892 * xz * (7 * zz - 3),
                             0.47308734787878004 * (xx - yy) * (7 * zz - 1),
                             -1.7701307697799304 * xz * (xx - 3 * yy),
                             0.6258357354491761 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy))};
  std::copy(values, values + 25, b);
}

vec3<double> direction(idx i) {
  const auto draw = random_stream::of(5, 3);
  return normalized(
      vec3<double>{draw.uniform(3 * i, -1, 1), draw.uniform(3 * i + 1, -1, 1), draw.uniform(3 * i + 2, -1, 1)});
}

TEST(sh_basis, has_the_signs_of_3dgs_files) {
  double b[25], expected[25];
  sh_basis<4>(vec3<double>{0, 1, 0}, b);
  EXPECT_DOUBLE_EQ(b[0], 0.28209479177387814);
  EXPECT_DOUBLE_EQ(b[1], -0.4886025119029199);
  EXPECT_DOUBLE_EQ(b[2], 0);
  sh_basis<4>(vec3<double>{1, 0, 0}, b);
  EXPECT_DOUBLE_EQ(b[3], -0.4886025119029199);
  for (idx i = 0; i < 50; ++i) {
    const auto d = direction(i);
    sh_basis<4>(d, b);
    written_out(d.x, d.y, d.z, expected);
    for (int k = 0; k < 25; ++k) { EXPECT_NEAR(b[k], expected[k], 1e-14) << k; }
  }
}

template <int Degree> void check_degree() {
  constexpr int n = sh_count(Degree);
  const auto draw = random_stream::of(5, 4);
  for (idx i = 0; i < 20; ++i) {
    const auto d = direction(i);
    double b[n], all[25], g[n];
    sh_basis<Degree>(d, b);
    sh_basis<4>(d, all);
    for (int k = 0; k < n; ++k) {
      EXPECT_EQ(b[k], all[k]); // a lower degree is the beginning of a higher one
      g[k] = draw.uniform(i * n + k, -1, 1);
    }
    const auto loss = [&](vec3<double> v) {
      double y[n], sum = 0;
      sh_basis<Degree>(v, y);
      for (int k = 0; k < n; ++k) { sum += g[k] * y[k]; }
      return sum;
    };
    const auto out = sh_basis_backward<Degree>(d, g);
    const double h = 1e-4;
    const auto slope = [&](vec3<double> e) {
      return (8 * (loss(d + h * e) - loss(d - h * e)) - (loss(d + 2 * h * e) - loss(d - 2 * h * e))) / (12 * h);
    };
    EXPECT_NEAR(out.x, slope({1, 0, 0}), 1e-9);
    EXPECT_NEAR(out.y, slope({0, 1, 0}), 1e-9);
    EXPECT_NEAR(out.z, slope({0, 0, 1}), 1e-9);
  }
}

TEST(sh_basis, gradient_of_every_degree) {
  check_degree<0>();
  check_degree<1>();
  check_degree<2>();
  check_degree<3>();
  check_degree<4>();
}

TEST(sh_basis, gradient_through_the_normalisation) {
  const vec3<double> v{.7, -1.2, .4};
  const auto w = vec3<double>{.3, .9, -.5};
  const auto out = unit_backward(normalized(v), 1 / length(v), w);
  const double h = 1e-5;
  const auto slope = [&](vec3<double> e) {
    return (dot(w, normalized(v + h * e)) - dot(w, normalized(v - h * e))) / (2 * h);
  };
  EXPECT_NEAR(out.x, slope({1, 0, 0}), 1e-9);
  EXPECT_NEAR(out.y, slope({0, 1, 0}), 1e-9);
  EXPECT_NEAR(out.z, slope({0, 0, 1}), 1e-9);
}

TEST(sh_basis, vectors_equal_scalars) {
  using many = simd<float, native_lanes<float>>;
  float x[many::size], y[many::size], z[many::size];
  for (int j = 0; j < many::size; ++j) {
    const auto d = direction(j);
    x[j] = float(d.x), y[j] = float(d.y), z[j] = float(d.z);
  }
  const vec3<many> d{many::load(x), many::load(y), many::load(z)};
  many b[25];
  sh_basis<4>(d, b);
  const auto back = sh_basis_backward<4>(d, b);
  const many c = sh_colour<4>(b, [](int k) { return many(.1f * float(k % 5) - .2f); });
  for (int j = 0; j < many::size; ++j) {
    const vec3<float> d1{x[j], y[j], z[j]};
    float b1[25];
    sh_basis<4>(d1, b1);
    for (int k = 0; k < 25; ++k) { EXPECT_NEAR(b[k][j], b1[k], 1e-6f); }
    EXPECT_NEAR(back.x[j], sh_basis_backward<4>(d1, b1).x, 1e-5f);
    EXPECT_NEAR(back.z[j], sh_basis_backward<4>(d1, b1).z, 1e-5f);
    EXPECT_NEAR(c[j], sh_colour<4>(b1, [](int k) { return .1f * float(k % 5) - .2f; }), 1e-5f);
  }
}

TEST(sh_colour, is_one_half_at_zero_and_never_negative) {
  double b[4];
  sh_basis<1>(vec3<double>{0, 0, 1}, b);
  EXPECT_DOUBLE_EQ(sh_colour<1>(b, [](int) { return 0.; }), .5);
  const double bright = sh_colour<1>(b, [](int k) { return k == 2 ? 1. : 0.; });
  EXPECT_DOUBLE_EQ(bright, .5 + 0.4886025119029199);
  EXPECT_EQ(sh_colour_slope(bright), 1);
  const double dark = sh_colour<1>(b, [](int k) { return k == 2 ? -2. : 0.; });
  EXPECT_EQ(dark, 0);
  EXPECT_EQ(sh_colour_slope(dark), 0);
}

TEST(sh_colour, of_degree_zero_is_the_colour) {
  EXPECT_NEAR(rgb_to_sh(1.f), 1.7724539f, 1e-6f); // .5 / (1/2 sqrt(1/pi)) = sqrt(pi)
  EXPECT_NEAR(sh_to_rgb(rgb_to_sh(.3)), .3, 1e-15);
  double b[1];
  sh_basis<0>(vec3<double>{0, 0, 1}, b);
  EXPECT_NEAR(sh_colour<0>(b, [](int) { return rgb_to_sh(.8); }), .8, 1e-15);
}

} // namespace spherical_harmonics_test

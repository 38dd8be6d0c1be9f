// SPDX-License-Identifier: Apache-2.0
#include <sqs/gaussian/covariance.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace covariance_test {

using namespace sqs;
constexpr auto standard = covariance_convention::r_s2_rt;
constexpr auto turned = covariance_convention::rt_s2_r;

/// A quaternion turning by `angle` about z, of length 1.7.
quaternion<double> about_z(double angle) { return {1.7 * std::cos(angle / 2), 0, 0, 1.7 * std::sin(angle / 2)}; }

TEST(covariance, by_hand_at_30_degrees) {
  // Long axis 2 along x, turned by +30 degrees: xy = (4 - 1) sin 30 cos 30 > 0; the other convention turns by -30.
  const vec3<double> scale{2, 1, 3};
  const double angle = std::acos(-1.0) / 6, c2 = 0.75, s2 = 0.25, cs = std::sqrt(0.1875);
  const auto a = covariance<standard>(scale, about_z(angle));
  EXPECT_NEAR(a.xx, 4 * c2 + s2, 1e-14);
  EXPECT_NEAR(a.yy, 4 * s2 + c2, 1e-14);
  EXPECT_NEAR(a.zz, 9, 1e-14);
  EXPECT_NEAR(a.xy, 3 * cs, 1e-14);
  EXPECT_NEAR(a.xz, 0, 1e-14);
  const auto b = covariance<turned>(scale, about_z(angle));
  EXPECT_NEAR(b.xx, a.xx, 1e-14);
  EXPECT_NEAR(b.xy, -3 * cs, 1e-14);
}

template <covariance_convention Convention> double worst_gradient_error(std::array<double, 7> x) {
  const symmetric3<double> d{0.3, -0.7, 1.1, 0.4, -1.3, 0.9};
  const auto loss = [&](const std::array<double, 7>& v) {
    const auto c = covariance<Convention>(vec3<double>{v[0], v[1], v[2]}, quaternion<double>{v[3], v[4], v[5], v[6]});
    return d.xx * c.xx + d.xy * c.xy + d.xz * c.xz + d.yy * c.yy + d.yz * c.yz + d.zz * c.zz;
  };
  const auto g =
      covariance_backward<Convention>(vec3<double>{x[0], x[1], x[2]}, quaternion<double>{x[3], x[4], x[5], x[6]}, d);
  const double analytic[7] = {g.scale.x, g.scale.y, g.scale.z, g.rotation.w, g.rotation.x, g.rotation.y, g.rotation.z};
  double worst = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    const double h = 1e-4, kept = x[i];
    const auto at = [&](double v) {
      x[i] = v;
      return loss(x);
    };
    const double numeric = (8 * (at(kept + h) - at(kept - h)) - (at(kept + 2 * h) - at(kept - 2 * h))) / (12 * h);
    x[i] = kept;
    EXPECT_GT(std::abs(analytic[i]), 1e-3); // a check of zeros would prove nothing
    worst = std::max(worst, std::abs(analytic[i] - numeric) / std::abs(numeric));
  }
  return worst;
}

TEST(covariance, gradient_in_both_conventions) {
  EXPECT_LE(worst_gradient_error<standard>({0.5, 1.2, 0.7, 0.8, 0.25, -0.6, 0.45}), 1e-9);
  EXPECT_LE(worst_gradient_error<turned>({0.5, 1.2, 0.7, 0.8, 0.25, -0.6, 0.45}), 1e-9);
}

TEST(covariance, conventions_are_each_others_conjugate) {
  const vec3<double> scale{0.5, 1.2, 0.8};
  const quaternion<double> q{0.9, 0.3, -0.5, 0.4};
  const auto a = covariance<standard>(scale, q), b = covariance<turned>(scale, conjugate(q));
  EXPECT_NEAR(a.xy, b.xy, 1e-14);
  EXPECT_NEAR(a.xz, b.xz, 1e-14);
  EXPECT_NEAR(a.yz, b.yz, 1e-14);
  EXPECT_GT(std::abs(a.yz - covariance<turned>(scale, q).yz), 1e-2);
}

TEST(covariance, is_finite_for_a_zero_quaternion) {
  const quaternion<float> zero{0, 0, 0, 0};
  const auto c = covariance(vec3<float>{1, 2, 3}, zero);
  EXPECT_EQ(c.xx, 1);
  EXPECT_EQ(c.yy, 4);
  EXPECT_EQ(c.xy, 0);
  const auto g = covariance_backward(vec3<float>{1, 2, 3}, zero, symmetric3<float>{1, 1, 1, 1, 1, 1});
  EXPECT_EQ(g.rotation.w, 0);
  EXPECT_EQ(g.rotation.x, 0);
}

} // namespace covariance_test

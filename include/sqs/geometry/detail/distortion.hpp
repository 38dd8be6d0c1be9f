// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The distortion formulas of the camera models with first and second derivatives, and where they stop being one to
/// one. Generic in the number R like camera_projection.hpp.

#include <sqs/core/simd.hpp>
#include <sqs/geometry/camera.hpp>

#include <algorithm>
#include <limits>

namespace sqs::detail {

/// The radial factor f(s) = n(s)/m(s) of s = x^2 + y^2, the point (x, y) after distortion and its symmetric Jacobian.
template <class R> struct distorted {
  R s, f, f1, f2; ///< f and its derivatives
  R per_m, m1;    ///< 1/m and m'
  R x, y;         ///< x f + 2 p1 x y + p2 (s + 2 x^2), y f + p1 (s + 2 y^2) + 2 p2 x y
  R xx, xy, yy;   ///< d(x, y) / d(undistorted x, y)
};
/// `k` is k1 k2 p1 p2 k3 k4 k5 k6.
template <class T, class R> SQS_HD distorted<R> distort(const T* k, R x, R y) {
  const R one(1), two(2), three(3), six(6);
  const R k1(k[0]), k2(k[1]), p1(k[2]), p2(k[3]), k3(k[4]), k4(k[5]), k5(k[6]), k6(k[7]);
  const R s = x * x + y * y;
  const R n = one + s * (k1 + s * (k2 + s * k3)), m = one + s * (k4 + s * (k5 + s * k6));
  const R n1 = k1 + s * (two * k2 + three * s * k3), m1 = k4 + s * (two * k5 + three * s * k6);
  const R n2 = two * k2 + six * s * k3, m2 = two * k5 + six * s * k6;
  const R per_m = one / m, f = n * per_m;
  const R f1 = (n1 - f * m1) * per_m, f2 = (n2 - two * f1 * m1 - f * m2) * per_m;
  return {s,
          f,
          f1,
          f2,
          per_m,
          m1,
          x * f + two * p1 * x * y + p2 * (s + two * x * x),
          y * f + p1 * (s + two * y * y) + two * p2 * x * y,
          f + two * x * x * f1 + two * p1 * y + six * p2 * x,
          two * x * y * f1 + two * p1 * x + two * p2 * y,
          f + two * y * y * f1 + six * p1 * y + two * p2 * x};
}

/// dL/d(what `distort` returns).
template <class R> struct distortion_gradient { R x, y, xx, xy, yy; };

/// Adds dL/d(k1 k2 p1 p2 k3 k4 k5 k6).
template <class R> SQS_HD void distort_parameters_backward(const distorted<R>& at, R x, R y,
                                                           const distortion_gradient<R>& d, R (&d_k)[8]) {
  const R two(2), three(3), six(6), s = at.s;
  d_k[2] += two * x * y * d.x + (s + two * y * y) * d.y + two * y * d.xx + two * x * d.xy + six * y * d.yy;
  d_k[3] += (s + two * x * x) * d.x + two * x * y * d.y + six * x * d.xx + two * y * d.xy + two * x * d.yy;
  // f1 = (n1 - f m1) / m first, then f = n / m.
  const R d_f1 = two * (x * x * d.xx + x * y * d.xy + y * y * d.yy);
  const R d_n1 = at.per_m * d_f1, d_m1 = -at.f * d_n1;
  const R d_f = x * d.x + y * d.y + d.xx + d.yy - at.m1 * d_n1;
  const R d_n = at.per_m * d_f, d_m = -at.f * d_n - at.f1 * d_n1;
  d_k[0] += s * d_n + d_n1;
  d_k[1] += s * (s * d_n + two * d_n1);
  d_k[4] += s * s * (s * d_n + three * d_n1);
  d_k[5] += s * d_m + d_m1;
  d_k[6] += s * (s * d_m + two * d_m1);
  d_k[7] += s * s * (s * d_m + three * d_m1);
}

/// dL/d(undistorted x, y) through the Jacobian's entries xx, xy, yy.
template <class T, class R>
SQS_HD vec2<R> distort_slopes_backward(const distorted<R>& at, const T* k, R x, R y, const distortion_gradient<R>& d) {
  const R two(2), four(4), six(6), p1(k[2]), p2(k[3]);
  const R xxx = x * (six * at.f1 + four * x * x * at.f2) + six * p2;
  const R xxy = y * (two * at.f1 + four * x * x * at.f2) + two * p1;
  const R xyy = x * (two * at.f1 + four * y * y * at.f2) + two * p2;
  const R yyy = y * (six * at.f1 + four * y * y * at.f2) + six * p1;
  return {xxx * d.xx + xxy * d.xy + xyy * d.yy, xxy * d.xx + xyy * d.xy + yyy * d.yy};
}

/// Largest s = x^2 + y^2 below which the radial distortion grows with the radius and has no pole; infinite if that
/// holds to 89 degrees from the axis. The tangential part, small in any real lens, is left out.
SQS_HD inline double opencv_limit(const std::array<double, 8>& k) {
  const auto grows = [&k](double s) {
    const double n = 1 + s * (k[0] + s * (k[1] + s * k[4])), m = 1 + s * (k[5] + s * (k[6] + s * k[7]));
    const double n1 = k[0] + s * (2 * k[1] + 3 * s * k[4]), m1 = k[5] + s * (2 * k[6] + 3 * s * k[7]);
    return m > 0 && n * m + 2 * s * (n1 * m - n * m1) > 0;
  };
  double low = 0;
  for (double high = 1e-4; high < 3300; high *= 1.02) {
    if (!grows(high)) {
      for (int i = 0; i < 50; ++i) {
        const double middle = 0.5 * (low + high);
        (grows(middle) ? low : high) = middle;
      }
      return low;
    }
    low = high;
  }
  return std::numeric_limits<double>::infinity();
}

/// Largest angle to the axis below which the distorted angle grows; pi if it always does.
SQS_HD inline double fisheye_limit(const std::array<double, 8>& k) {
  const auto grows = [&k](double angle) {
    const double q = angle * angle;
    return 1 + q * (3 * k[0] + q * (5 * k[1] + q * (7 * k[2] + q * 9 * k[3]))) > 0;
  };
  constexpr double pi = 3.14159265358979323846;
  constexpr int steps = 1024;
  for (int step = 1; step <= steps; ++step) {
    double low = pi * (step - 1) / steps, high = pi * step / steps;
    if (!grows(high)) {
      for (int i = 0; i < 50; ++i) {
        const double middle = 0.5 * (low + high);
        (grows(middle) ? low : high) = middle;
      }
      return low;
    }
  }
  return pi;
}

/// The point that `distort` takes to (x, y), by Newton's method; about the last valid one of its direction if there is
/// none inside `limit`.
SQS_HD inline vec2<double> undistort(const std::array<double, 8>& k, double x, double y, double limit) {
  const auto inside = [limit](vec2<double> p) { // a little, so that the slope is not zero
    const double s = p.x * p.x + p.y * p.y, most = 0.998 * limit;
    return s > most ? std::sqrt(most / s) * p : p;
  };
  vec2<double> p = inside({x, y});
  for (int i = 0; i < 20; ++i) {
    const auto at = distort(k.data(), p.x, p.y);
    const double ex = x - at.x, ey = y - at.y, det = at.xx * at.yy - at.xy * at.xy;
    if (!(std::abs(ex) + std::abs(ey) > 1e-14) || !(det > 1e-9)) { break; }
    p = inside(p + vec2<double>{(at.yy * ex - at.xy * ey) / det, (at.xx * ey - at.xy * ex) / det});
  }
  return p;
}

/// The image's sides as limits of x/z and y/z.
struct sides {
  double low_x, high_x, low_y, high_y;
};
/// For pinhole and opencv; nine points of each side, whose distorted course is smooth.
SQS_HD inline sides image_sides(const any_camera<double>& c, double limit) {
  const double x0 = -c.cx / c.fx, x1 = (c.width - c.cx) / c.fx, y0 = -c.cy / c.fy, y1 = (c.height - c.cy) / c.fy;
  if (c.model == camera_model::pinhole) {
    return {std::min(x0, x1), std::max(x0, x1), std::min(y0, y1), std::max(y0, y1)};
  }
  constexpr double infinite = std::numeric_limits<double>::infinity();
  sides s{infinite, -infinite, infinite, -infinite};
  const auto add = [&](double x, double y) {
    const vec2<double> p = undistort(c.distortion, x, y, limit);
    s = {std::min(s.low_x, p.x), std::max(s.high_x, p.x), std::min(s.low_y, p.y), std::max(s.high_y, p.y)};
  };
  for (int i = 0; i <= 8; ++i) {
    const double x = x0 + (x1 - x0) * i / 8, y = y0 + (y1 - y0) * i / 8;
    add(x, y0), add(x, y1), add(x0, y), add(x1, y);
  }
  return s;
}

/// The fisheye's scale: the distorted angle over r = sqrt(w), w = x^2 + y^2, and its slopes. The scale is
/// e (1 + k1 q + k2 q^2 + k3 q^3 + k4 q^4) with e = theta / r and q = theta^2.
template <class R> struct fisheye_scaled {
  R value, w, z;              ///< the scale, d/dw, d/dz
  R theta;                    ///< angle to the axis
  R e, e_w, e_ww, e_z;        ///< theta / r and its slopes
  R q, q_w, q_z;              ///< theta^2 and its slopes
  R per_rho2;                 ///< 1 / (w + z^2)
  R radial, radial1, radial2; ///< the polynomial of q and its derivatives
};
template <class T, class R> SQS_HD fisheye_scaled<R> fisheye_scale(const T* k, vec3<R> p) {
  using std::atan2;
  using std::sqrt;
  const R one(1), two(2), three(3), z = p.z;
  const R w = p.x * p.x + p.y * p.y, r = sqrt(w);
  fisheye_scaled<R> s;
  s.theta = atan2(r, z);
  s.per_rho2 = one / (w + z * z);
  // Near the axis theta / r is 0 / 0 and its slopes cancel: there atan(t) / t as a series in m = t^2 = w / z^2.
  const R per_z = one / z, per_z2 = per_z * per_z, m = w * per_z2;
  R a(0), a1(0), a2(0);
  for (int i = 10; i >= 0; --i) { // Horner's rule for value, slope and half the curvature in -m
    a2 = a1 - m * a2;
    a1 = a - m * a1;
    a = R(T(1) / T(2 * i + 1)) - m * a;
  }
  const auto near_axis = (z > R(0)) & (m < R(T(0.01)));
  const R half = R(T(0.5)) / w;
  const R e_far = s.theta / r, e_w_far = half * (z * s.per_rho2 - e_far);
  s.e = select(near_axis, per_z * a, e_far);
  s.e_w = select(near_axis, -per_z * per_z2 * a1, e_w_far);
  s.e_ww =
      select(near_axis, two * per_z * per_z2 * per_z2 * a2, -half * (z * s.per_rho2 * s.per_rho2 + three * e_w_far));
  s.e_z = -s.per_rho2;
  s.q = s.theta * s.theta;
  s.q_w = s.e * z * s.per_rho2;
  s.q_z = -two * s.e * w * s.per_rho2;
  const R k1(k[0]), k2(k[1]), k3(k[2]), k4(k[3]);
  s.radial = one + s.q * (k1 + s.q * (k2 + s.q * (k3 + s.q * k4)));
  s.radial1 = k1 + s.q * (two * k2 + s.q * (three * k3 + s.q * R(4) * k4));
  s.radial2 = two * k2 + s.q * (R(6) * k3 + s.q * R(12) * k4);
  s.value = s.e * s.radial;
  s.w = s.e_w * s.radial + s.e * s.radial1 * s.q_w;
  s.z = s.e_z * s.radial + s.e * s.radial1 * s.q_z;
  return s;
}

/// The scale's second derivatives.
template <class R> struct fisheye_curved { R ww, wz, zz; };
template <class R> SQS_HD fisheye_curved<R> fisheye_curvature(vec3<R> p, const fisheye_scaled<R>& s) {
  const R two(2), z = p.z, w = p.x * p.x + p.y * p.y;
  const R per_rho4 = s.per_rho2 * s.per_rho2, e_zz = two * z * per_rho4;
  const R q_ww = z * (s.e_w * s.per_rho2 - s.e * per_rho4);
  const R q_wz = (s.e * (w - z * z) - z) * per_rho4, q_zz = two * w * (R(1) + two * z * s.e) * per_rho4;
  return {s.e_ww * s.radial + two * s.e_w * s.radial1 * s.q_w + s.e * (s.radial2 * s.q_w * s.q_w + s.radial1 * q_ww),
          per_rho4 * s.radial + s.radial1 * (s.e_w * s.q_z + s.e_z * s.q_w) +
              s.e * (s.radial2 * s.q_w * s.q_z + s.radial1 * q_wz),
          e_zz * s.radial + two * s.e_z * s.radial1 * s.q_z + s.e * (s.radial2 * s.q_z * s.q_z + s.radial1 * q_zz)};
}

/// Sets dL/d(k1 .. k4) from the gradients of the scale and of its slopes.
template <class R>
SQS_HD void fisheye_parameters_backward(const fisheye_scaled<R>& s, R d_value, R d_w, R d_z, R (&d_k)[4]) {
  const R level = s.e * d_value + s.e_w * d_w + s.e_z * d_z, slope = s.e * (s.q_w * d_w + s.q_z * d_z);
  R power(1); // q^(i - 1)
  for (int i = 1; i <= 4; ++i) {
    d_k[i - 1] = power * (s.q * level + R(i) * slope);
    power *= s.q;
  }
}

} // namespace sqs::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The oracle's cameras and spherical harmonics. Jacobians are complex-step derivatives of the plain projection, the
/// harmonics come from the standard library's Legendre functions: no derivative or polynomial is written out here.

#include <sqs/sensor/rig.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

namespace oracle {

/// The distortion of the opencv model; C is a real or a complex number.
template <class T, class C> std::array<C, 2> bend(const std::array<T, 8>& d, C x, C y) {
  const C r2 = x * x + y * y, one(1);
  const C f = (one + d[0] * r2 + d[1] * r2 * r2 + d[4] * r2 * r2 * r2) /
              (one + d[5] * r2 + d[6] * r2 * r2 + d[7] * r2 * r2 * r2);
  return {x * f + T(2) * d[2] * x * y + d[3] * (r2 + T(2) * x * x),
          y * f + d[2] * (r2 + T(2) * y * y) + T(2) * d[3] * x * y};
}

/// The pixel that sees the point (x, y, z) of the camera frame.
template <class T, class C> std::array<C, 2> pixel_of(const sqs::any_camera<T>& c, C x, C y, C z) {
  using std::atan;
  using std::sqrt;
  switch (c.model) {
  case sqs::camera_model::orthographic:
    return {c.fx * x + c.cx, c.fy * y + c.cy};
  case sqs::camera_model::pinhole:
    return {c.fx * x / z + c.cx, c.fy * y / z + c.cy};
  case sqs::camera_model::opencv: {
    const auto b = bend(c.distortion, C(x / z), C(y / z));
    return {c.fx * b[0] + c.cx, c.fy * b[1] + c.cy};
  }
  case sqs::camera_model::fisheye:
    break;
  }
  const C r = sqrt(x * x + y * y);
  if (r == C(0)) { return {c.fx * x / z + c.cx, c.fy * y / z + c.cy}; }
  const C angle = std::real(z) > std::abs(r) ? atan(r / z) : std::numbers::pi_v<T> / 2 - atan(z / r);
  C power = angle, sum = angle;
  for (std::size_t i = 0; i < 4; ++i) {
    power *= angle * angle;
    sum += c.distortion[i] * power;
  }
  return {c.fx * sum * x / r + c.cx, c.fy * sum * y / r + c.cy};
}

/// Whether the lens maps the point one to one: walks from the axis to the point.
template <class T> bool inside_lens(const sqs::any_camera<T>& c, const T* p) {
  if (c.model == sqs::camera_model::pinhole || c.model == sqs::camera_model::orthographic) { return true; }
  const bool fisheye = c.model == sqs::camera_model::fisheye;
  const auto& d = c.distortion;
  const T r = std::hypot(p[0], p[1]), end = fisheye ? std::atan2(r, p[2]) : r / p[2];
  if (fisheye && !(end < std::numbers::pi_v<T>)) { return false; }
  if (r == 0) { return true; }
  T before = 0;
  for (int i = 1; i <= 4000; ++i) {
    const T a = end * T(i) / 4000, q = a * a;
    const T m = fisheye ? T(1) : 1 + q * (d[5] + q * (d[6] + q * d[7]));
    const T f =
        fisheye ? 1 + q * (d[0] + q * (d[1] + q * (d[2] + q * d[3]))) : (1 + q * (d[0] + q * (d[1] + q * d[4]))) / m;
    if (!(m > 0) || !(a * f > before)) { return false; }
    before = a * f;
  }
  return true;
}

/// Limits of x/z and y/z: low x, high x, low y, high y.
template <class T> std::array<T, 4> jacobian_limits(const sqs::any_camera<T>& c, T margin) {
  const T x0 = (0 - c.cx) / c.fx, x1 = (T(c.width) - c.cx) / c.fx, y0 = (0 - c.cy) / c.fy,
          y1 = (T(c.height) - c.cy) / c.fy;
  std::array<T, 4> l{std::min(x0, x1), std::max(x0, x1), std::min(y0, y1), std::max(y0, y1)};
  if (c.model == sqs::camera_model::opencv) {
    l = {T(1e9), T(-1e9), T(1e9), T(-1e9)};
    for (int i = 0; i <= 8; ++i) { // nine points of each side, straightened by fixed-point iteration
      const T x = x0 + (x1 - x0) * T(i) / 8, y = y0 + (y1 - y0) * T(i) / 8;
      const T border[4][2] = {{x, y0}, {x, y1}, {x0, y}, {x1, y}};
      for (const auto& b : border) {
        T p = b[0], q = b[1];
        for (int step = 0; step < 300; ++step) {
          const auto at = bend(c.distortion, p, q);
          p += b[0] - at[0], q += b[1] - at[1];
        }
        l = {std::min(l[0], p), std::max(l[1], p), std::min(l[2], q), std::max(l[3], q)};
      }
    }
  }
  const T mx = margin * (l[1] - l[0]) / 2, my = margin * (l[3] - l[2]) / 2;
  return {l[0] - mx, l[1] + mx, l[2] - my, l[3] + my};
}

/// d(u, v) / d(x, y, z), at the clamped point for pinhole and opencv.
template <class T>
std::array<std::array<T, 3>, 2> jacobian_of(const sqs::any_camera<T>& c, const T* p, const std::array<T, 4>& limits) {
  T at[3] = {p[0], p[1], p[2]};
  if (c.model == sqs::camera_model::pinhole || c.model == sqs::camera_model::opencv) {
    at[0] = p[2] * std::clamp(p[0] / p[2], limits[0], limits[1]);
    at[1] = p[2] * std::clamp(p[1] / p[2], limits[2], limits[3]);
  }
  std::array<std::array<T, 3>, 2> j{};
  const T h = T(1e-20); // no difference is taken, so no digit is lost
  for (std::size_t k = 0; k < 3; ++k) {
    std::complex<T> q[3] = {at[0], at[1], at[2]};
    q[k] += std::complex<T>(0, h);
    const auto uv = pixel_of(c, q[0], q[1], q[2]);
    j[0][k] = uv[0].imag() / h, j[1][k] = uv[1].imag() / h;
  }
  return j;
}

/// Real spherical harmonic of degree l and order m at a unit vector. The complex one's phase (-1)^m stays: 3DGS's sign.
template <class T> T harmonic(int l, int m, const T* d) {
  const unsigned n = static_cast<unsigned>(l), k = static_cast<unsigned>(std::abs(m));
  const T phi = std::atan2(d[1], d[0]), y = std::sph_legendre(n, k, std::acos(std::clamp(d[2], T(-1), T(1))));
  if (m == 0) { return y; }
  return std::numbers::sqrt2_v<T> * y * (m > 0 ? std::cos(T(m) * phi) : std::sin(T(-m) * phi));
}

/// The colour of one Gaussian in one view: harmonics of the direction from the camera to it make the first three
/// channels, then come the columns that are channels as they are.
template <class T>
std::vector<T> colour_of(int degree, const T* columns, sqs::idx count, const T* mean, const sqs::se3<T>& T_cam_ref) {
  if (degree < 0) { return {columns, columns + count}; }
  T d[3], length = 0;
  const T t[3] = {T_cam_ref.translation.x, T_cam_ref.translation.y, T_cam_ref.translation.z};
  for (int i = 0; i < 3; ++i) { // the camera stands at -R^T t
    d[i] = mean[i];
    for (int j = 0; j < 3; ++j) { d[i] += T_cam_ref.rotation(j, i) * t[j]; }
    length += d[i] * d[i];
  }
  for (T& x : d) { x /= std::sqrt(length); }
  std::vector<T> out(3, T(0.5));
  int k = 0;
  for (int l = 0; l <= degree; ++l) {
    for (int m = -l; m <= l; ++m, ++k) {
      for (int c = 0; c < 3; ++c) { out[static_cast<std::size_t>(c)] += harmonic(l, m, d) * columns[3 * k + c]; }
    }
  }
  for (T& x : out) { x = std::max(x, T(0)); }
  out.insert(out.end(), columns + 3 * k, columns + count);
  return out;
}

} // namespace oracle

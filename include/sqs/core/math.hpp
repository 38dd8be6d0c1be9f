// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Small fixed-size algebra that also runs in CUDA kernels: vectors, matrices, quaternions (w,x,y,z).
/// Everything is templated on the scalar, so `double` gives reference values. Matrices are row-major.

#include <sqs/core/config.hpp>

#include <cmath>
#include <type_traits>

namespace sqs {

/// `m ? a : b`; for `simd` numbers lane by lane (core/simd.hpp). Code that is to run on both says `select`.
template <class T> SQS_HD constexpr T select(bool m, T a, T b) { return m ? a : b; }

/// 1 / sqrt x, which is inf for 0.
template <class T>
  requires std::is_floating_point_v<T> SQS_HD T rsqrt(T x) {
    using std::sqrt;
    return T(1) / sqrt(x);
  }

/// 1 / x.
template <class T>
  requires std::is_floating_point_v<T> SQS_HD T reciprocal(T x) { return T(1) / x; }

template <class T> struct vec2 { T x{}, y{}; };
template <class T> struct vec3 {
  T x{}, y{}, z{};
  template <class U> SQS_HD constexpr explicit operator vec3<U>() const { return {U(x), U(y), U(z)}; }
};

template <class T> SQS_HD constexpr vec2<T> operator+(vec2<T> a, vec2<T> b) { return {a.x + b.x, a.y + b.y}; }
template <class T> SQS_HD constexpr vec2<T> operator-(vec2<T> a, vec2<T> b) { return {a.x - b.x, a.y - b.y}; }
template <class T> SQS_HD constexpr vec2<T> operator*(T s, vec2<T> a) { return {s * a.x, s * a.y}; }

template <class T> SQS_HD constexpr vec3<T> operator+(vec3<T> a, vec3<T> b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}
template <class T> SQS_HD constexpr vec3<T> operator-(vec3<T> a, vec3<T> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
template <class T> SQS_HD constexpr vec3<T> operator-(vec3<T> a) { return {-a.x, -a.y, -a.z}; }
template <class T> SQS_HD constexpr vec3<T> operator*(T s, vec3<T> a) { return {s * a.x, s * a.y, s * a.z}; }
/// s a + b, each number rounded once where the processor does so.
template <class T> SQS_HD vec3<T> fma(T s, vec3<T> a, vec3<T> b) {
  using std::fma;
  return {fma(s, a.x, b.x), fma(s, a.y, b.y), fma(s, a.z, b.z)};
}
/// Componentwise product.
template <class T> SQS_HD constexpr vec3<T> scaled(vec3<T> a, vec3<T> b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
template <class T> SQS_HD constexpr T dot(vec3<T> a, vec3<T> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T> SQS_HD constexpr vec3<T> cross(vec3<T> a, vec3<T> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
template <class T> SQS_HD T length(vec3<T> a) {
  using std::sqrt;
  return sqrt(dot(a, a));
}
template <class T> SQS_HD vec3<T> normalized(vec3<T> a) { return (T(1) / length(a)) * a; }

/// 3x3 matrix, row-major: `m(r, c)`.
template <class T> struct mat3 {
  T a[9]{};
  SQS_HD constexpr T& operator()(int r, int c) { return a[3 * r + c]; }
  SQS_HD constexpr const T& operator()(int r, int c) const { return a[3 * r + c]; }
  SQS_HD static constexpr mat3 identity() { return {{1, 0, 0, 0, 1, 0, 0, 0, 1}}; }
  SQS_HD static constexpr mat3 diagonal(vec3<T> d) { return {{d.x, 0, 0, 0, d.y, 0, 0, 0, d.z}}; }
  template <class U> SQS_HD constexpr explicit operator mat3<U>() const {
    mat3<U> r;
    for (int i = 0; i < 9; ++i) { r.a[i] = U(a[i]); }
    return r;
  }
};

template <class T> SQS_HD constexpr mat3<T> operator*(const mat3<T>& x, const mat3<T>& y) {
  mat3<T> r;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) { r(i, j) = x(i, 0) * y(0, j) + x(i, 1) * y(1, j) + x(i, 2) * y(2, j); }
  }
  return r;
}
template <class T> SQS_HD constexpr vec3<T> operator*(const mat3<T>& m, vec3<T> v) {
  return {m(0, 0) * v.x + m(0, 1) * v.y + m(0, 2) * v.z, m(1, 0) * v.x + m(1, 1) * v.y + m(1, 2) * v.z,
          m(2, 0) * v.x + m(2, 1) * v.y + m(2, 2) * v.z};
}
template <class T> SQS_HD constexpr mat3<T> operator+(const mat3<T>& x, const mat3<T>& y) {
  mat3<T> r;
  for (int i = 0; i < 9; ++i) { r.a[i] = x.a[i] + y.a[i]; }
  return r;
}
template <class T> SQS_HD constexpr mat3<T> transposed(const mat3<T>& m) {
  return {{m(0, 0), m(1, 0), m(2, 0), m(0, 1), m(1, 1), m(2, 1), m(0, 2), m(1, 2), m(2, 2)}};
}
template <class T> SQS_HD constexpr T determinant(const mat3<T>& m) {
  return m(0, 0) * (m(1, 1) * m(2, 2) - m(1, 2) * m(2, 1)) - m(0, 1) * (m(1, 0) * m(2, 2) - m(1, 2) * m(2, 0)) +
         m(0, 2) * (m(1, 0) * m(2, 1) - m(1, 1) * m(2, 0));
}
/// Inverse by cofactors. The caller makes sure the determinant is not zero.
template <class T> SQS_HD constexpr mat3<T> inverse(const mat3<T>& m) {
  const T s = T(1) / determinant(m);
  return {{s * (m(1, 1) * m(2, 2) - m(1, 2) * m(2, 1)), s * (m(0, 2) * m(2, 1) - m(0, 1) * m(2, 2)),
           s * (m(0, 1) * m(1, 2) - m(0, 2) * m(1, 1)), s * (m(1, 2) * m(2, 0) - m(1, 0) * m(2, 2)),
           s * (m(0, 0) * m(2, 2) - m(0, 2) * m(2, 0)), s * (m(0, 2) * m(1, 0) - m(0, 0) * m(1, 2)),
           s * (m(1, 0) * m(2, 1) - m(1, 1) * m(2, 0)), s * (m(0, 1) * m(2, 0) - m(0, 0) * m(2, 1)),
           s * (m(0, 0) * m(1, 1) - m(0, 1) * m(1, 0))}};
}

/// 4x4 matrix, row-major: `m(r, c)`. Used for projection matrices (`lidar2img`).
template <class T> struct mat4 {
  T a[16]{};
  SQS_HD constexpr T& operator()(int r, int c) { return a[4 * r + c]; }
  SQS_HD constexpr const T& operator()(int r, int c) const { return a[4 * r + c]; }
  SQS_HD static constexpr mat4 identity() { return {{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}}; }
  template <class U> SQS_HD constexpr explicit operator mat4<U>() const {
    mat4<U> r;
    for (int i = 0; i < 16; ++i) { r.a[i] = U(a[i]); }
    return r;
  }
};
template <class T> SQS_HD constexpr mat4<T> operator*(const mat4<T>& x, const mat4<T>& y) {
  mat4<T> r;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      r(i, j) = x(i, 0) * y(0, j) + x(i, 1) * y(1, j) + x(i, 2) * y(2, j) + x(i, 3) * y(3, j);
    }
  }
  return r;
}

/// Quaternion in the order (w, x, y, z): everywhere in the library and in every file it reads or writes.
template <class T> struct quaternion {
  T w{1}, x{}, y{}, z{};
  template <class U> SQS_HD constexpr explicit operator quaternion<U>() const { return {U(w), U(x), U(y), U(z)}; }
};
template <class T> SQS_HD constexpr quaternion<T> conjugate(quaternion<T> q) { return {q.w, -q.x, -q.y, -q.z}; }
template <class T> SQS_HD constexpr quaternion<T> operator*(quaternion<T> a, quaternion<T> b) {
  return {a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z, a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
          a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x, a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w};
}
/// `q / max(|q|, 1e-12)`.
template <class T> SQS_HD quaternion<T> normalized(quaternion<T> q) {
  const T n2 = q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z;
  const T s = rsqrt(select(n2 > T(1e-24), n2, T(1e-24)));
  return {s * q.w, s * q.x, s * q.y, s * q.z};
}
/// The standard (local to world) rotation matrix of a unit quaternion.
template <class T> SQS_HD constexpr mat3<T> rotation_matrix(quaternion<T> q) {
  const T x = q.x + q.x, y = q.y + q.y, z = q.z + q.z;
  const T xx = q.x * x, yy = q.y * y, zz = q.z * z, xy = q.x * y, xz = q.x * z, yz = q.y * z;
  const T wx = q.w * x, wy = q.w * y, wz = q.w * z;
  return {{T(1) - (yy + zz), xy - wz, xz + wy, xy + wz, T(1) - (xx + zz), yz - wx, xz - wy, yz + wx, T(1) - (xx + yy)}};
}
/// The rotation matrix of a quaternion of any length: `rotation_matrix(normalized(q))` with fewer steps. Its gradient is
/// `normalized_backward(q, rotation_matrix_backward(normalized(q), d))`.
template <class T> SQS_HD mat3<T> rotation_matrix_of_any_length(quaternion<T> q) {
  using std::fma;
  using std::max;
  const T n2 = fma(q.w, q.w, fma(q.x, q.x, fma(q.y, q.y, q.z * q.z)));
  const T s = T(2) * reciprocal(max(n2, T(1e-24)));
  const T x = s * q.x, y = s * q.y, z = s * q.z;
  const T wx = q.w * x, wy = q.w * y, wz = q.w * z;
  const T no_y = fma(-q.y, y, T(1)), no_z = fma(-q.z, z, T(1));
  return {{fma(-q.y, y, no_z), fma(q.x, y, -wz), fma(q.x, z, wy), fma(q.x, y, wz), fma(-q.x, x, no_z), fma(q.y, z, -wx),
           fma(q.x, z, -wy), fma(q.y, z, wx), fma(-q.x, x, no_y)}};
}
/// Gradient of `rotation_matrix` with respect to the unit quaternion's four numbers, given dL/dR.
template <class T> SQS_HD constexpr quaternion<T> rotation_matrix_backward(quaternion<T> q, const mat3<T>& d) {
  return {T(2) * (q.x * (d(2, 1) - d(1, 2)) + q.y * (d(0, 2) - d(2, 0)) + q.z * (d(1, 0) - d(0, 1))),
          T(2) * (q.w * (d(2, 1) - d(1, 2)) + q.y * (d(0, 1) + d(1, 0)) + q.z * (d(0, 2) + d(2, 0)) -
                  T(2) * q.x * (d(1, 1) + d(2, 2))),
          T(2) * (q.w * (d(0, 2) - d(2, 0)) + q.x * (d(0, 1) + d(1, 0)) + q.z * (d(1, 2) + d(2, 1)) -
                  T(2) * q.y * (d(0, 0) + d(2, 2))),
          T(2) * (q.w * (d(1, 0) - d(0, 1)) + q.x * (d(0, 2) + d(2, 0)) + q.y * (d(1, 2) + d(2, 1)) -
                  T(2) * q.z * (d(0, 0) + d(1, 1)))};
}
/// Gradient of `normalized(quaternion)` with respect to its argument, given the gradient of the result.
template <class T> SQS_HD quaternion<T> normalized_backward(quaternion<T> q, quaternion<T> d) {
  using std::sqrt;
  const T n = sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z);
  const auto proper = n > T(1e-12);
  const T s = select(proper, T(1) / n, T(1e12));
  const quaternion<T> u{s * q.w, s * q.x, s * q.y, s * q.z};
  const T p = select(proper, u.w * d.w + u.x * d.x + u.y * d.y + u.z * d.z, T(0));
  return {s * (d.w - p * u.w), s * (d.x - p * u.x), s * (d.y - p * u.y), s * (d.z - p * u.z)};
}

/// Logistic function.
template <class T> SQS_HD T sigmoid(T x) {
  using std::exp;
  return T(1) / (T(1) + exp(-x));
}
/// Inverse of `sigmoid` on (0, 1).
template <class T> SQS_HD T logit(T p) {
  using std::log;
  return log(p / (T(1) - p));
}
/// `sigmoid` of an argument clamped to +-9.21: the result stays in [1e-4, 0.9999] and so inside any grid.
/// The gradient is zero outside the clamp.
template <class T> SQS_HD T safe_sigmoid(T x) {
  const T limit = T(9.21);
  return sigmoid(x < -limit ? -limit : (x > limit ? limit : x));
}
/// d safe_sigmoid / dx, given x and y = safe_sigmoid(x).
template <class T> SQS_HD T safe_sigmoid_slope(T x, T y) {
  return (x < T(-9.21) || x > T(9.21)) ? T(0) : y * (T(1) - y);
}
/// Inverse of `safe_sigmoid`: p is clamped to [1e-4, 0.9999] first.
template <class T> SQS_HD T safe_logit(T p) { return logit(p < T(1e-4) ? T(1e-4) : (p > T(0.9999) ? T(0.9999) : p)); }

} // namespace sqs

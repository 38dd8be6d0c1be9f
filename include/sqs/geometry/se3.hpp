// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Rigid transforms. `T_a_b` maps coordinates of frame b to frame a; so `T_a_c = T_a_b * T_b_c`.

#include <sqs/core/error.hpp>
#include <sqs/core/math.hpp>

namespace sqs {

/// A rigid transform x -> R x + t. Metres.
///
/// Invariant   `rotation` is orthonormal with determinant +1 (checked by `checked`, not by the constructor).
template <class T> struct se3 {
  mat3<T> rotation = mat3<T>::identity();
  vec3<T> translation{};

  SQS_HD constexpr vec3<T> operator*(vec3<T> x) const { return rotation * x + translation; }
  SQS_HD constexpr se3 operator*(const se3& b) const {
    return {rotation * b.rotation, rotation * b.translation + translation};
  }
  template <class U> SQS_HD constexpr explicit operator se3<U>() const {
    // No functional casts: nvcc takes them for a list of members.
    return {static_cast<mat3<U>>(rotation), static_cast<vec3<U>>(translation)};
  }
};

/// The inverse transform: maps a to b when `x` maps b to a.
template <class T> SQS_HD constexpr se3<T> inverse(const se3<T>& x) {
  const mat3<T> r = transposed(x.rotation);
  return {r, -(r * x.translation)};
}
/// From a quaternion (w,x,y,z; normalised here) and a translation.
template <class T> SQS_HD se3<T> make_se3(quaternion<T> q, vec3<T> t) { return {rotation_matrix(normalized(q)), t}; }
/// Rotation by `angle` radians about z.
template <class T> SQS_HD se3<T> yaw_rotation(T angle) {
  using std::cos;
  using std::sin;
  const T c = cos(angle), s = sin(angle);
  return {{{c, -s, 0, s, c, 0, 0, 0, 1}}, {}};
}
template <class T> SQS_HD constexpr mat4<T> matrix(const se3<T>& x) {
  const auto& r = x.rotation;
  const auto& t = x.translation;
  return {{r(0, 0), r(0, 1), r(0, 2), t.x, r(1, 0), r(1, 1), r(1, 2), t.y, r(2, 0), r(2, 1), r(2, 2), t.z, 0, 0, 0, 1}};
}

/// The nearest use of a pose whose rotation has drifted, as under an optimiser: its rows made orthonormal one after the
/// other, the first kept in direction (Gram-Schmidt). The rows must not be parallel.
template <class T> se3<T> orthonormalized(const se3<T>& x) {
  const auto row = [&](int i) { return vec3<T>{x.rotation(i, 0), x.rotation(i, 1), x.rotation(i, 2)}; };
  const vec3<T> a = normalized(row(0)), b = normalized(row(1) - dot(a, row(1)) * a), c = cross(a, b);
  return {{{a.x, a.y, a.z, b.x, b.y, b.z, c.x, c.y, c.z}}, x.translation};
}

/// Returns `x` if it is finite and its rotation is proper to 1e-3; raises otherwise.
///
/// Errors      precondition_error, naming `what`, for NaN, Inf, a reflection, a scaled or a sheared rotation.
template <class T> se3<T> checked(const se3<T>& x, const char* what) {
  T sum = x.translation.x + x.translation.y + x.translation.z;
  for (const T v : x.rotation.a) { sum += v; }
  expects(std::isfinite(sum), "sqs::se3: ", what, " contains NaN or Inf; check the pose in the data set");
  const T far = T(1e7); // beyond any drive: metres in float would be worthless
  expects(std::abs(x.translation.x) < far && std::abs(x.translation.y) < far && std::abs(x.translation.z) < far,
          "sqs::se3: ", what, " has a translation of (", x.translation.x, ", ", x.translation.y, ", ", x.translation.z,
          ") m; check the pose in the data set");
  const T det = determinant(x.rotation);
  expects(std::abs(det - T(1)) < T(1e-3), "sqs::se3: ", what, " has a rotation of determinant ", det,
          " instead of 1; check that the quaternion is (w,x,y,z) and not zero");
  const mat3<T> unit = x.rotation * transposed(x.rotation);
  for (int i = 0; i < 9; ++i) {
    expects(std::abs(unit.a[i] - (i % 4 == 0 ? T(1) : T(0))) < T(1e-2), "sqs::se3: ", what,
            " has a rotation whose rows are not orthogonal; see orthonormalized");
  }
  return x;
}

} // namespace sqs

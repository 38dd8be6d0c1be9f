// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The covariance of a Gaussian from its three standard deviations and its quaternion, in both conventions in use.
/// Pointwise functions that also run in CUDA kernels.

#include <sqs/core/math.hpp>

namespace sqs {

/// How scale S and rotation R make a covariance. Both are "the" convention somewhere, and weights trained with one look
/// wrong under the other as soon as a rotation is not the identity.
enum class covariance_convention {
  r_s2_rt, ///< R S^2 R^T: 3D Gaussian splatting and its files
  rt_s2_r, ///< R^T S^2 R: GaussianFormer, whose effective rotation is the conjugate quaternion
};

/// The six distinct entries of a symmetric 3x3 matrix.
template <class T> struct symmetric3 { T xx{}, xy{}, xz{}, yy{}, yz{}, zz{}; };

/// Gradients with respect to scale and (unnormalised) quaternion.
template <class T> struct scale_rotation_gradient {
  vec3<T> scale{};
  quaternion<T> rotation{T(0), T(0), T(0), T(0)};
};

namespace detail {
template <covariance_convention Convention, class T> SQS_HD mat3<T> effective_rotation(const mat3<T>& r) {
  return Convention == covariance_convention::r_s2_rt ? r : transposed(r);
}
} // namespace detail

/// The 3x3 factor M with covariance = M M^T: rotation times scale.
///
/// Units       `scale` is one standard deviation per axis in metres; `q` is (w,x,y,z) of any length, normalised inside.
/// Gradient    `covariance_factor_backward`.
template <covariance_convention Convention = covariance_convention::r_s2_rt, class T>
SQS_HD mat3<T> covariance_factor(vec3<T> scale, quaternion<T> q) {
  mat3<T> m = detail::effective_rotation<Convention>(rotation_matrix_of_any_length(q));
  for (int r = 0; r < 3; ++r) {
    m(r, 0) *= scale.x;
    m(r, 1) *= scale.y;
    m(r, 2) *= scale.z;
  }
  return m;
}

/// Gradient of `covariance_factor`, given `d(r, c)` = dL/dM(r, c).
template <covariance_convention Convention = covariance_convention::r_s2_rt, class T>
SQS_HD scale_rotation_gradient<T> covariance_factor_backward(vec3<T> scale, quaternion<T> q, const mat3<T>& d) {
  const quaternion<T> unit = normalized(q);
  const mat3<T> r = detail::effective_rotation<Convention>(rotation_matrix(unit));
  scale_rotation_gradient<T> out;
  mat3<T> dr;
  for (int i = 0; i < 3; ++i) {
    out.scale.x += r(i, 0) * d(i, 0);
    out.scale.y += r(i, 1) * d(i, 1);
    out.scale.z += r(i, 2) * d(i, 2);
    dr(i, 0) = d(i, 0) * scale.x;
    dr(i, 1) = d(i, 1) * scale.y;
    dr(i, 2) = d(i, 2) * scale.z;
  }
  if (Convention == covariance_convention::rt_s2_r) { dr = transposed(dr); }
  out.rotation = normalized_backward(q, rotation_matrix_backward(unit, dr));
  return out;
}

/// The covariance matrix.
///
/// Units       as for `covariance_factor`; the result is in square metres.
/// Source      Kerbl et al. 2023, equation 6 (r_s2_rt).
template <covariance_convention Convention = covariance_convention::r_s2_rt, class T>
SQS_HD symmetric3<T> covariance(vec3<T> scale, quaternion<T> q) {
  const mat3<T> m = covariance_factor<Convention>(scale, q);
  const auto entry = [&](int i, int j) { return m(i, 0) * m(j, 0) + m(i, 1) * m(j, 1) + m(i, 2) * m(j, 2); };
  return {entry(0, 0), entry(0, 1), entry(0, 2), entry(1, 1), entry(1, 2), entry(2, 2)};
}

/// Gradient of `covariance`, given dL/d(entry) for each of the six numbers (so `d.xy` counts both places xy stands in).
template <covariance_convention Convention = covariance_convention::r_s2_rt, class T>
SQS_HD scale_rotation_gradient<T> covariance_backward(vec3<T> scale, quaternion<T> q, const symmetric3<T>& d) {
  // L changes by sum_ij G_ij dCov_ij with G symmetric, and dCov = dM M^T + M dM^T: so dL/dM = 2 G M.
  const mat3<T> twice_g{{T(2) * d.xx, d.xy, d.xz, d.xy, T(2) * d.yy, d.yz, d.xz, d.yz, T(2) * d.zz}};
  return covariance_factor_backward<Convention>(scale, q, twice_g * covariance_factor<Convention>(scale, q));
}

} // namespace sqs

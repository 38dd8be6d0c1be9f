// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Colours that depend on the direction of view: real spherical harmonics up to degree 4 in the signs and the order of
/// 3D Gaussian splatting's files. Pointwise functions that also run in CUDA kernels; R is a scalar or `simd<T, N>`.

#include <sqs/core/math.hpp>
#include <sqs/core/simd.hpp>

namespace sqs {

/// Highest degree there is code for.
inline constexpr int sh_degree_max = 4;
/// Basis functions up to a degree: 1, 4, 9, 16, 25.
constexpr int sh_count(int degree) { return (degree + 1) * (degree + 1); }

namespace detail {

/// Normalisations, degree by degree: with them the integral of a squared basis function over the sphere is 1.
template <class T> struct sh_constants {
  static constexpr T c0 = T(0.28209479177387814);  // 1/2 sqrt(1/pi)
  static constexpr T c1 = T(0.4886025119029199);   // 1/2 sqrt(3/pi)
  static constexpr T c2 = T(1.0925484305920792);   // 1/2 sqrt(15/pi)
  static constexpr T c20 = T(0.31539156525252005); // 1/4 sqrt(5/pi)
  static constexpr T c22 = T(0.5462742152960396);  // 1/4 sqrt(15/pi)
  static constexpr T c30 = T(0.3731763325901154);  // 1/4 sqrt(7/pi)
  static constexpr T c31 = T(0.4570457994644658);  // 1/4 sqrt(21/(2 pi))
  static constexpr T c32 = T(2.890611442640554);   // 1/2 sqrt(105/pi)
  static constexpr T c33 = T(0.5900435899266435);  // 1/4 sqrt(35/(2 pi))
  static constexpr T c40 = T(0.10578554691520431); // 3/16 sqrt(1/pi)
  static constexpr T c41 = T(0.6690465435572892);  // 3/4 sqrt(5/(2 pi))
  static constexpr T c42 = T(0.47308734787878004); // 3/8 sqrt(5/pi)
  static constexpr T c43 = T(1.7701307697799304);  // 3/4 sqrt(35/(2 pi))
  static constexpr T c44 = T(0.6258357354491761);  // 3/16 sqrt(35/pi)
};
template <class R> struct scalar_of { using type = R; };
template <class R>
  requires requires { typename R::value_type; }
struct scalar_of<R> {
  using type = typename R::value_type;
};
/// The constants as numbers of R's scalar.
template <class R> using sh_constants_of = sh_constants<typename scalar_of<R>::type>;

} // namespace detail

/// The basis functions at a unit direction, in the order m = -l .. l of each degree l.
///
/// Signs       those of 3DGS: (-1)^m times the ones without the Condon-Shortley phase, so degree 1 is c1 (-y, z, -x).
/// Gradient    `sh_basis_backward`.
/// Source      Sloan 2013, "Efficient Spherical Harmonic Evaluation" (the recurrence in m); Kerbl et al. 2023 (signs).
template <int Degree, class R> SQS_HD void sh_basis(vec3<R> d, R (&basis)[sh_count(Degree)]) {
  static_assert(Degree >= 0 && Degree <= sh_degree_max, "sqs::sh_basis: the degree must be 0 to 4");
  using k = detail::sh_constants_of<R>;
  const R x = d.x, y = d.y, z = d.z;
  basis[0] = R(k::c0);
  if constexpr (Degree >= 1) {
    basis[1] = -k::c1 * y;
    basis[2] = k::c1 * z;
    basis[3] = -k::c1 * x;
  }
  // r^m cos(m phi) and r^m sin(m phi) as polynomials of x and y.
  const R zz = z * z, cos2 = x * x - y * y, sin2 = R(2) * x * y;
  if constexpr (Degree >= 2) {
    basis[4] = k::c22 * sin2;
    basis[5] = -k::c2 * y * z;
    basis[6] = k::c20 * (R(3) * zz - R(1));
    basis[7] = -k::c2 * x * z;
    basis[8] = k::c22 * cos2;
  }
  const R cos3 = x * cos2 - y * sin2, sin3 = x * sin2 + y * cos2;
  if constexpr (Degree >= 3) {
    const R ring = -k::c31 * (R(5) * zz - R(1));
    basis[9] = -k::c33 * sin3;
    basis[10] = R(0.5) * k::c32 * sin2 * z;
    basis[11] = ring * y;
    basis[12] = k::c30 * z * (R(5) * zz - R(3));
    basis[13] = ring * x;
    basis[14] = R(0.5) * k::c32 * cos2 * z;
    basis[15] = -k::c33 * cos3;
  }
  if constexpr (Degree >= 4) {
    const R cos4 = x * cos3 - y * sin3, sin4 = x * sin3 + y * cos3;
    const R ring1 = -k::c41 * z * (R(7) * zz - R(3)), ring2 = k::c42 * (R(7) * zz - R(1)), ring3 = -k::c43 * z;
    basis[16] = k::c44 * sin4;
    basis[17] = ring3 * sin3;
    basis[18] = ring2 * sin2;
    basis[19] = ring1 * y;
    basis[20] = k::c40 * (zz * (R(35) * zz - R(30)) + R(3));
    basis[21] = ring1 * x;
    basis[22] = ring2 * cos2;
    basis[23] = ring3 * cos3;
    basis[24] = k::c44 * cos4;
  }
}

/// Gradient of `sh_basis` with respect to the direction's three numbers, taken as free: the caller's normalisation
/// projects it onto the sphere (`unit_backward`).
template <int Degree, class R> SQS_HD vec3<R> sh_basis_backward(vec3<R> d, const R (&g)[sh_count(Degree)]) {
  static_assert(Degree >= 0 && Degree <= sh_degree_max, "sqs::sh_basis: the degree must be 0 to 4");
  using k = detail::sh_constants_of<R>;
  const R x = d.x, y = d.y, z = d.z;
  vec3<R> out{R(0), R(0), R(0)};
  if constexpr (Degree >= 1) { out = {-k::c1 * g[3], -k::c1 * g[1], k::c1 * g[2]}; }
  const R two(2), zz = z * z, cos2 = x * x - y * y, sin2 = two * x * y;
  // d(cos m phi r^m) = m (cos(m-1), -sin(m-1)) and d(sin) = m (sin(m-1), cos(m-1)): gradients of the pairs collect
  // here and meet x and y once.
  if constexpr (Degree >= 2) {
    const R of_sin = k::c22 * g[4], of_cos = k::c22 * g[8];
    out.x += two * (of_sin * y + of_cos * x) - k::c2 * z * g[7];
    out.y += two * (of_sin * x - of_cos * y) - k::c2 * z * g[5];
    out.z += R(6) * k::c20 * z * g[6] - k::c2 * (y * g[5] + x * g[7]);
  }
  if constexpr (Degree >= 3) {
    const R three(3), ring = -k::c31 * (R(5) * zz - R(1)), half = R(0.5) * k::c32;
    const R of_sin3 = -k::c33 * g[9], of_cos3 = -k::c33 * g[15], of_sin2 = half * z * g[10], of_cos2 = half * z * g[14];
    out.x += three * (of_sin3 * sin2 + of_cos3 * cos2) + two * (of_sin2 * y + of_cos2 * x) + ring * g[13];
    out.y += three * (of_sin3 * cos2 - of_cos3 * sin2) + two * (of_sin2 * x - of_cos2 * y) + ring * g[11];
    out.z += half * (sin2 * g[10] + cos2 * g[14]) - R(10) * k::c31 * z * (y * g[11] + x * g[13]) +
             k::c30 * (R(15) * zz - three) * g[12];
  }
  if constexpr (Degree >= 4) {
    const R three(3), four(4), cos3 = x * cos2 - y * sin2, sin3 = x * sin2 + y * cos2;
    const R ring1 = -k::c41 * z * (R(7) * zz - three), ring2 = k::c42 * (R(7) * zz - R(1)), ring3 = -k::c43 * z;
    const R of_sin4 = k::c44 * g[16], of_cos4 = k::c44 * g[24], of_sin3 = ring3 * g[17], of_cos3 = ring3 * g[23];
    const R of_sin2 = ring2 * g[18], of_cos2 = ring2 * g[22];
    out.x += four * (of_sin4 * sin3 + of_cos4 * cos3) + three * (of_sin3 * sin2 + of_cos3 * cos2) +
             two * (of_sin2 * y + of_cos2 * x) + ring1 * g[21];
    out.y += four * (of_sin4 * cos3 - of_cos4 * sin3) + three * (of_sin3 * cos2 - of_cos3 * sin2) +
             two * (of_sin2 * x - of_cos2 * y) + ring1 * g[19];
    out.z += -k::c43 * (sin3 * g[17] + cos3 * g[23]) + R(14) * k::c42 * z * (sin2 * g[18] + cos2 * g[22]) -
             k::c41 * (R(21) * zz - three) * (y * g[19] + x * g[21]) + k::c40 * z * (R(140) * zz - R(60)) * g[20];
  }
  return out;
}

/// Gradient of v / |v| with respect to v, given the unit vector, 1 / |v| and the unit vector's gradient.
template <class R> SQS_HD vec3<R> unit_backward(vec3<R> unit, R per_length, vec3<R> d_unit) {
  return per_length * (d_unit - dot(unit, d_unit) * unit);
}

/// One channel: max(0, sum_k basis[k] coefficient(k) + 1/2).
///
/// `coefficient` is called with k and returns what R can multiply. `sh_colour_slope` is 1 where the maximum passes the
/// gradient on and 0 where it does not.
template <int Degree, class R, class F> SQS_HD R sh_colour(const R (&basis)[sh_count(Degree)], F&& coefficient) {
  R sum(0.5);
  for (int k = 0; k < sh_count(Degree); ++k) { sum += basis[k] * coefficient(k); }
  return select(sum > R(0), sum, R(0));
}
/// d sh_colour / d sum, from the colour.
template <class R> SQS_HD R sh_colour_slope(R colour) { return select(colour > R(0), R(1), R(0)); }

/// The degree-0 coefficient of a colour that is the same from everywhere, and back.
template <class R> SQS_HD R rgb_to_sh(R colour) {
  return (colour - R(0.5)) * R(typename detail::scalar_of<R>::type(1) / detail::sh_constants_of<R>::c0);
}
template <class R> SQS_HD R sh_to_rgb(R coefficient) {
  return coefficient * R(detail::sh_constants_of<R>::c0) + R(0.5);
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Points through camera models, with the Jacobian that splatting needs and the exact way back through both. Generic
/// in the number: R is a scalar or `simd<T, N>`. The model is a template parameter; `with_model` picks it at run time.

#include <sqs/core/simd.hpp>
#include <sqs/geometry/camera.hpp>
#include <sqs/geometry/detail/distortion.hpp>

#include <limits>
#include <utility>

namespace sqs {

/// What comparing two R gives: bool or `simd_mask`.
template <class R> using mask_of = decltype(std::declval<R>() < std::declval<R>());

/// What the code that uses a model may leave out.
template <camera_model M> struct camera_traits {
  /// du.y and dv.x are not zero.
  static constexpr bool mixed = M == camera_model::opencv || M == camera_model::fisheye;
  /// du.z and dv.z are not zero.
  static constexpr bool deep = M != camera_model::orthographic;
  /// Every point in front of the camera has an image: `image_point::valid` need not be looked at.
  static constexpr bool always_valid = !mixed;
};

/// Calls f(std::integral_constant<camera_model, M>{}) for the model `m`.
template <class F> SQS_HD decltype(auto) with_model(camera_model m, F&& f) {
  switch (m) {
  case camera_model::opencv:
    return f(std::integral_constant<camera_model, camera_model::opencv>{});
  case camera_model::fisheye:
    return f(std::integral_constant<camera_model, camera_model::fisheye>{});
  case camera_model::orthographic:
    return f(std::integral_constant<camera_model, camera_model::orthographic>{});
  case camera_model::pinhole:
    break;
  }
  return f(std::integral_constant<camera_model, camera_model::pinhole>{});
}

/// A camera with what projecting derives from it once.
template <class T> struct camera_constants {
  T fx{}, fy{}, cx{}, cy{};
  T distortion[8]{};
  T low_x{}, high_x{}, low_y{}, high_y{}; ///< limits of x/z and y/z for the Jacobian (pinhole, opencv)
  /// opencv: largest (x/z)^2 + (y/z)^2 up to which the radial distortion grows; fisheye: largest angle to the axis up
  /// to which the distorted angle grows, in radians; infinite for the others. Beyond it two directions share a pixel.
  T valid{};
};

/// Derives the constants of a camera.
///
/// `margin` widens the limits of the Jacobian by that share of half the image on each side: the linearisation explodes
/// for centres far outside the image. The sides are those of the image, wherever the principal point lies and whatever
/// the sign of fx; for opencv those of the image without distortion.
///
/// Execution   computed in double, so that every scalar type gets the same limits.
/// Cost        opencv: about 10 us with distortion on a CPU; the others nothing worth counting.
template <class T> SQS_HD camera_constants<T> make_camera_constants(const any_camera<T>& camera, T margin) {
  const auto c = static_cast<any_camera<double>>(camera);
  constexpr double infinite = std::numeric_limits<double>::infinity();
  double valid = infinite;
  detail::sides s{-infinite, infinite, -infinite, infinite};
  if (c.model == camera_model::pinhole || c.model == camera_model::opencv) {
    if (c.model == camera_model::opencv) { valid = detail::opencv_limit(c.distortion); }
    s = detail::image_sides(c, valid);
    const double x = 0.5 * double(margin) * (s.high_x - s.low_x), y = 0.5 * double(margin) * (s.high_y - s.low_y);
    s = {s.low_x - x, s.high_x + x, s.low_y - y, s.high_y + y};
  } else if (c.model == camera_model::fisheye) {
    valid = detail::fisheye_limit(c.distortion);
  }
  camera_constants<T> r{.fx = camera.fx,
                        .fy = camera.fy,
                        .cx = camera.cx,
                        .cy = camera.cy,
                        .low_x = T(s.low_x),
                        .high_x = T(s.high_x),
                        .low_y = T(s.low_y),
                        .high_y = T(s.high_y),
                        .valid = T(valid)};
  for (std::size_t i = 0; i < 8; ++i) { r.distortion[i] = camera.distortion[i]; }
  return r;
}

/// A point in the image and the Jacobian of the projection there.
template <class R> struct image_point {
  R u, v;         ///< pixels
  vec3<R> du, dv; ///< rows of d(u, v) / d(x, y, z), at the clamped point (see `project_point`)
  mask_of<R> valid;
};

/// J m, row by row, without the entries of J that the model leaves zero.
template <class R> struct image_rows { vec3<R> u, v; };
template <camera_model M, class R> SQS_HD image_rows<R> times(const image_point<R>& j, const mat3<R>& m) {
  const vec3<R> m0{m(0, 0), m(0, 1), m(0, 2)}, m1{m(1, 0), m(1, 1), m(1, 2)}, m2{m(2, 0), m(2, 1), m(2, 2)};
  image_rows<R> r{j.du.x * m0, j.dv.y * m1};
  if constexpr (camera_traits<M>::mixed) { r = {fma(j.du.y, m1, r.u), fma(j.dv.x, m0, r.v)}; }
  if constexpr (camera_traits<M>::deep) { r = {fma(j.du.z, m2, r.u), fma(j.dv.z, m2, r.v)}; }
  return r;
}

namespace detail {

/// x/z and y/z, clamped for the Jacobian.
template <class R> struct clamped {
  R w;                   ///< 1/z
  R x, y;                ///< x/z, y/z
  R kx, ky;              ///< the same inside the limits
  mask_of<R> in_x, in_y; ///< where the clamp does not act
};
template <class T, class R> SQS_HD clamped<R> clamp_for(const camera_constants<T>& c, vec3<R> p) {
  using std::max;
  using std::min;
  const R w = R(1) / p.z, x = p.x * w, y = p.y * w;
  const R low_x(c.low_x), high_x(c.high_x), low_y(c.low_y), high_y(c.high_y);
  return {w,
          x,
          y,
          min(max(x, low_x), high_x),
          min(max(y, low_y), high_y),
          !((x < low_x) | (x > high_x)),
          !((y < low_y) | (y > high_y))};
}

} // namespace detail

/// Projects a point of the camera frame.
///
/// The Jacobian of pinhole and opencv is taken at (x/z, y/z) clamped to the constants' limits (position and depth are
/// not clamped); that of fisheye, whose Jacobian is bounded, and of orthographic at the point itself.
///
/// Units       p_cam in m; u, v in pixels.
/// Gradient    `project_point_backward`.
/// Errors      none: z <= 0 (but for fisheye) gives numbers without meaning, without a trap. `valid` is false beyond
///             the constants' limit of validity, and for NaN where the model has one; it knows nothing of z.
/// Source      OpenCV, calib3d (see `any_camera`); Zwicker et al. 2002 for the Jacobian.
template <camera_model M, class T, class R>
SQS_HD image_point<R> project_point(const camera_constants<T>& c, vec3<R> p_cam) {
  // Rounded once: hundreds of pixels from the corner the last bit of u is what is left of a pixel.
  const R zero(0), fx(c.fx), fy(c.fy), cx(c.cx), cy(c.cy);
  if constexpr (M == camera_model::pinhole) {
    const auto k = detail::clamp_for(c, p_cam);
    const R jx = fx * k.w, jy = fy * k.w;
    return {rounded_once(fx, k.x, cx),
            rounded_once(fy, k.y, cy),
            {jx, zero, -jx * k.kx},
            {zero, jy, -jy * k.ky},
            zero <= R(1)};
  } else if constexpr (M == camera_model::opencv) {
    const auto k = detail::clamp_for(c, p_cam);
    const auto at = detail::distort(c.distortion, k.x, k.y), j = detail::distort(c.distortion, k.kx, k.ky);
    const R jx = fx * k.w, jy = fy * k.w;
    return {rounded_once(fx, at.x, cx),
            rounded_once(fy, at.y, cy),
            {jx * j.xx, jx * j.xy, -jx * (j.xx * k.kx + j.xy * k.ky)},
            {jy * j.xy, jy * j.yy, -jy * (j.xy * k.kx + j.yy * k.ky)},
            k.x * k.x + k.y * k.y <= R(c.valid)};
  } else if constexpr (M == camera_model::fisheye) {
    const auto s = detail::fisheye_scale(c.distortion, p_cam);
    const R x = p_cam.x, y = p_cam.y, mixed = R(2) * x * y * s.w;
    return {fx * x * s.value + cx,
            fy * y * s.value + cy,
            {fx * (s.value + R(2) * x * x * s.w), fx * mixed, fx * x * s.z},
            {fy * mixed, fy * (s.value + R(2) * y * y * s.w), fy * y * s.z},
            s.theta < R(c.valid)};
  } else {
    return {fx * p_cam.x + cx, fy * p_cam.y + cy, {fx, zero, zero}, {zero, fy, zero}, zero <= R(1)};
  }
}

namespace detail {

template <class T, class R> SQS_HD void pinhole_backward(const camera_constants<T>& c, vec3<R> p, R d_u, R d_v,
                                                         vec3<R> d_du, vec3<R> d_dv, vec3<R>& d_p,
                                                         R (&d_intrinsics)[12]) {
  const R fx(c.fx), fy(c.fy), zero(0);
  const auto k = clamp_for(c, p);
  const R along_x = k.w * (d_du.x - k.kx * d_du.z), along_y = k.w * (d_dv.y - k.ky * d_dv.z);
  d_intrinsics[0] = d_u * k.x + along_x, d_intrinsics[1] = d_v * k.y + along_y;
  d_intrinsics[2] = d_u, d_intrinsics[3] = d_v;
  for (int i = 4; i < 12; ++i) { d_intrinsics[i] = zero; }
  // With respect to x/z and y/z, through the position and, where the clamp does not act, through J.
  const R gx = fx * (d_u - select(k.in_x, k.w * d_du.z, zero)), gy = fy * (d_v - select(k.in_y, k.w * d_dv.z, zero));
  d_p = {k.w * gx, k.w * gy, -k.w * (k.x * gx + k.y * gy + fx * along_x + fy * along_y)};
}

template <class T, class R> SQS_HD void opencv_backward(const camera_constants<T>& c, vec3<R> p, R d_u, R d_v,
                                                        vec3<R> d_du, vec3<R> d_dv, vec3<R>& d_p,
                                                        R (&d_intrinsics)[12]) {
  const R fx(c.fx), fy(c.fy), zero(0);
  const auto k = clamp_for(c, p);
  const auto at = distort(c.distortion, k.x, k.y), j = distort(c.distortion, k.kx, k.ky);
  // The position: through the distortion's first derivatives at the point.
  distortion_gradient<R> d{fx * d_u, fy * d_v, zero, zero, zero};
  R gx = at.xx * d.x + at.xy * d.y, gy = at.xy * d.x + at.yy * d.y;
  R d_k[8];
  for (auto& x : d_k) { x = zero; }
  distort_parameters_backward(at, k.x, k.y, d, d_k);
  // The Jacobian: rows fx w (D, -D k), D = [[xx, xy], [xy, yy]] at the clamped point.
  const R ux = d_du.x - k.kx * d_du.z, uy = d_du.y - k.ky * d_du.z;
  const R vx = d_dv.x - k.kx * d_dv.z, vy = d_dv.y - k.ky * d_dv.z;
  const R row_u = j.xx * ux + j.xy * uy, row_v = j.xy * vx + j.yy * vy;
  const R wx = fx * k.w, wy = fy * k.w;
  d = {zero, zero, wx * ux, wx * uy + wy * vx, wy * vy};
  distort_parameters_backward(j, k.kx, k.ky, d, d_k);
  const vec2<R> through = distort_slopes_backward(j, c.distortion, k.kx, k.ky, d);
  gx += select(k.in_x, through.x - wx * j.xx * d_du.z - wy * j.xy * d_dv.z, zero);
  gy += select(k.in_y, through.y - wx * j.xy * d_du.z - wy * j.yy * d_dv.z, zero);
  d_intrinsics[0] = d_u * at.x + k.w * row_u, d_intrinsics[1] = d_v * at.y + k.w * row_v;
  d_intrinsics[2] = d_u, d_intrinsics[3] = d_v;
  for (int i = 0; i < 8; ++i) { d_intrinsics[4 + i] = d_k[i]; }
  d_p = {k.w * gx, k.w * gy, -k.w * (k.x * gx + k.y * gy + wx * row_u + wy * row_v)};
}

template <class T, class R> SQS_HD void fisheye_backward(const camera_constants<T>& c, vec3<R> p, R d_u, R d_v,
                                                         vec3<R> d_du, vec3<R> d_dv, vec3<R>& d_p,
                                                         R (&d_intrinsics)[12]) {
  const R fx(c.fx), fy(c.fy), two(2), x = p.x, y = p.y;
  const auto s = fisheye_scale(c.distortion, p);
  const auto second = fisheye_curvature(p, s);
  // u - cx and the rows of J are linear in the scale s(w = x^2 + y^2, z) and its slopes s.w, s.z.
  const R u_value = x * d_u + d_du.x, v_value = y * d_v + d_dv.y;
  const R u_w = two * x * (x * d_du.x + y * d_du.y), v_w = two * y * (x * d_dv.x + y * d_dv.y);
  const R u_z = x * d_du.z, v_z = y * d_dv.z;
  d_intrinsics[0] = s.value * u_value + s.w * u_w + s.z * u_z;
  d_intrinsics[1] = s.value * v_value + s.w * v_w + s.z * v_z;
  d_intrinsics[2] = d_u, d_intrinsics[3] = d_v;
  const R d_value = fx * u_value + fy * v_value, d_w = fx * u_w + fy * v_w, d_z = fx * u_z + fy * v_z;
  R d_k[4];
  fisheye_parameters_backward(s, d_value, d_w, d_z, d_k);
  for (int i = 0; i < 4; ++i) { d_intrinsics[4 + i] = d_k[i], d_intrinsics[8 + i] = R(0); }
  const R through_w = two * (s.w * d_value + second.ww * d_w + second.wz * d_z);
  d_p.x = x * through_w + fx * (s.value * d_u + two * s.w * (two * x * d_du.x + y * d_du.y) + s.z * d_du.z) +
          fy * two * s.w * y * d_dv.x;
  d_p.y = y * through_w + fy * (s.value * d_v + two * s.w * (x * d_dv.x + two * y * d_dv.y) + s.z * d_dv.z) +
          fx * two * s.w * x * d_du.y;
  d_p.z = s.z * d_value + second.wz * d_w + second.zz * d_z;
}

} // namespace detail

/// Backward pass of `project_point`: through the position and through the entries of the Jacobian.
///
/// Shapes      d_intrinsics is fx fy cx cy distortion[8]; it and d_p are set, not added to, so that lanes of points
///             that were not drawn can be masked (they may hold NaN).
/// Gradient    exact where the projection is smooth, except that the limits of the clamp count as constants although
///             they follow from the intrinsics.
template <camera_model M, class T, class R>
SQS_HD void project_point_backward(const camera_constants<T>& c, vec3<R> p_cam, R d_u, R d_v, vec3<R> d_du,
                                   vec3<R> d_dv, vec3<R>& d_p, R (&d_intrinsics)[12]) {
  if constexpr (M == camera_model::pinhole) {
    detail::pinhole_backward(c, p_cam, d_u, d_v, d_du, d_dv, d_p, d_intrinsics);
  } else if constexpr (M == camera_model::opencv) {
    detail::opencv_backward(c, p_cam, d_u, d_v, d_du, d_dv, d_p, d_intrinsics);
  } else if constexpr (M == camera_model::fisheye) {
    detail::fisheye_backward(c, p_cam, d_u, d_v, d_du, d_dv, d_p, d_intrinsics);
  } else {
    const R fx(c.fx), fy(c.fy), zero(0);
    d_p = {fx * d_u, fy * d_v, zero};
    d_intrinsics[0] = p_cam.x * d_u + d_du.x, d_intrinsics[1] = p_cam.y * d_v + d_dv.y;
    d_intrinsics[2] = d_u, d_intrinsics[3] = d_v;
    for (int i = 4; i < 12; ++i) { d_intrinsics[i] = zero; }
  }
}

} // namespace sqs

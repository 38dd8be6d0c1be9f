// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One Gaussian seen by one camera: the maths of the projection in both directions, point by point. Generic in the number:
/// R is a scalar, as in CUDA kernels, or a register of them, as on the CPU.

#include <sqs/gaussian/covariance.hpp>
#include <sqs/geometry/camera_projection.hpp>
#include <sqs/splat/record.hpp>

namespace sqs::splat {

/// A camera with what projecting derives from it once.
template <class T> struct view_constants {
  mat3<T> rotation;
  vec3<T> translation;
  vec3<T> centre; ///< of the camera, in ref
  camera_constants<T> camera;
  camera_model model;
  T width, height;
};
template <raster_config Config, class T> SQS_HD view_constants<T> make_view_constants(const posed_camera<T>& p) {
  return {p.T_cam_ref.rotation,
          p.T_cam_ref.translation,
          -(transposed(p.T_cam_ref.rotation) * p.T_cam_ref.translation),
          make_camera_constants(p.camera, raster_constants<Config, T>::clamp_margin),
          p.camera.model,
          T(p.camera.width),
          T(p.camera.height)};
}
template <raster_config Config, class T>
std::array<view_constants<T>, camera_rig<T>::capacity> make_view_constants(const camera_rig<T>& rig) {
  std::array<view_constants<T>, camera_rig<T>::capacity> views{};
  std::transform(rig.begin(), rig.end(), views.begin(), [](const auto& p) { return make_view_constants<Config>(p); });
  return views;
}

/// What is summed over the pixels of a projected Gaussian. With g = dL/d(log alpha) and d = pixel - centre:
/// 0 .. 5  g, g dx, g dy, g dx^2, g dx dy, g dy^2: the gradients of centre, conic and opacity follow from them
/// then    |dL/d(centre)| in x and y with raster_config::absgrad; z's gradient with a depth kind; the channels'.
template <raster_config Config> struct moment_plan {
  using k = raster_constants<Config, float>;
  static constexpr int absgrad = 6, depth = absgrad + (k::absgrad ? 2 : 0), colours = depth + (k::depth != 0 ? 1 : 0),
                       count = colours + k::channels;
  /// Numbers a record has in memory: long rows begin with a cache line.
  static constexpr int row = count <= 16 ? count : (count + 15) / 16 * 16;
};

namespace detail {

inline constexpr double ln2 = 0.69314718055994530942;

/// First and past-the-last pixel of an axis with its centre closer than `radius` to `centre`: whole numbers and a fraction
/// without meaning.
template <class R> SQS_HD void pixel_range(R centre, R radius, R pixels, R& first, R& last) {
  using std::max;
  using std::min;
  // Pixel j has its centre at j + 0.5. Clamped before any cast: extents may exceed every integer.
  // In this order NaN becomes a number too.
  const R pixel = centre + R(0.5);
  first = max(min(pixel - radius, pixels), R(0));
  last = max(min(pixel + radius, pixels), R(0));
}

template <class R, class T> SQS_HD vec3<R> to_camera(const view_constants<T>& v, const vec3<R>& x) {
  using std::fma;
  const auto row = [&](int i, T t) {
    return fma(R(v.rotation(i, 0)), x.x, fma(R(v.rotation(i, 1)), x.y, fma(R(v.rotation(i, 2)), x.z, R(t))));
  };
  return {row(0, v.translation.x), row(1, v.translation.y), row(2, v.translation.z)};
}
/// a . b and a x b with fewer roundings where the processor multiplies and adds in one step.
template <class R> SQS_HD R fused_dot(const vec3<R>& a, const vec3<R>& b) {
  using std::fma;
  return fma(a.x, b.x, fma(a.y, b.y, a.z * b.z));
}
template <class R> SQS_HD vec3<R> fused_cross(const vec3<R>& a, const vec3<R>& b) {
  using std::fma;
  return {fma(a.y, b.z, -(a.z * b.y)), fma(a.z, b.x, -(a.x * b.z)), fma(a.x, b.y, -(a.y * b.x))};
}
/// The row a M.
template <class R> SQS_HD vec3<R> row_times(const vec3<R>& a, const mat3<R>& m) {
  const vec3<R> first{m(0, 0), m(0, 1), m(0, 2)}, second{m(1, 0), m(1, 1), m(1, 2)}, third{m(2, 0), m(2, 1), m(2, 2)};
  return fma(a.x, first, fma(a.y, second, a.z * third));
}

/// The 2D covariance of a Gaussian and what forward and backward need of it.
/// `Pinhole` knows what its Jacobian leaves zero; the other models share one piece of code, which is compiled once.
template <class K, bool Pinhole, class R> struct flat_gaussian {
  vec3<R> p;              ///< centre in the camera frame
  R u, v;                 ///< and in the image
  mask_of<R> valid;       ///< see `image_point`
  image_rows<R> jacobian; ///< J
  image_rows<R> turned;   ///< J W: how the image moves with the centre in ref
  image_rows<R> rows;     ///< J W F with covariance = F F^T
  R raw_det, det, xx, xy, yy;
  R rho; ///< antialias compensation of the opacity

  template <class T> SQS_HD flat_gaussian(const view_constants<T>& view, const vec3<R>& p_cam, const mat3<R>& factor)
      : p(p_cam) {
    using std::fma;
    const mat3<R> w = static_cast<mat3<R>>(view.rotation);
    const auto take = [&](const image_point<R>& at) {
      u = at.u, v = at.v, valid = at.valid;
      jacobian.u = at.du, jacobian.v = at.dv;
    };
    if constexpr (Pinhole) {
      const auto at = project_point<camera_model::pinhole>(view.camera, p);
      take(at);
      turned = times<camera_model::pinhole>(at, w);
    } else {
      take(with_model(view.model, [&](auto model) { return project_point<decltype(model)::value>(view.camera, p); }));
      turned = {row_times(jacobian.u, w), row_times(jacobian.v, w)};
    }
    rows = {row_times(turned.u, factor), row_times(turned.v, factor)};
    const R raw_xx = fused_dot(rows.u, rows.u), raw_yy = fused_dot(rows.v, rows.v);
    xy = fused_dot(rows.u, rows.v);
    // det(N N^T) is the squared area of N's rows: a sum of squares, where xx yy - xy^2 would cancel for needles.
    const vec3<R> area = fused_cross(rows.u, rows.v);
    raw_det = fused_dot(area, area);
    xx = raw_xx + R(K::low_pass), yy = raw_yy + R(K::low_pass);
    det = fma(R(K::low_pass), xx + raw_yy, raw_det);
    rho = R(1);
    if constexpr (K::mip) {
      using std::max;
      using std::sqrt;
      rho = sqrt(max(raw_det / det, R(K::mip_floor * K::mip_floor)));
    }
  }
};

/// What the blend needs of a flat Gaussian, and how far it reaches.
template <class K, bool Pinhole, class R> struct footprint {
  R log2_opacity, radius; ///< larger half extent, px
  R radius_x, radius_y; ///< half extents with slack for rounding here and in the blend: never cut what alpha_cut keeps
  R lx, ly, k, shear;
  mask_of<R> wanted; ///< in front of the camera and dense enough
  mask_of<R> sound;  ///< nothing overflowed

  SQS_HD footprint(const flat_gaussian<K, Pinhole, R>& f, const R& given_opacity) {
    using std::fma;
    using std::log2;
    using std::max;
    using std::sqrt;
    using T = std::remove_cv_t<decltype(K::low_pass)>;
    const R opacity = given_opacity * f.rho;
    log2_opacity = log2(max(opacity, R(std::numeric_limits<T>::min())));
    // Standard deviations along the axes of the image, and how many of them it reaches.
    const R per_x = rsqrt(f.xx), per_y = rsqrt(f.yy), sigma_x = f.xx * per_x, sigma_y = f.yy * per_y;
    const R reach = sqrt(max(fma(R(T(2 * ln2)), log2_opacity, R(T(-2 * ln2) * K::log2_cut)), R(0)));
    const R extent_x = reach * sigma_x, extent_y = reach * sigma_y;
    radius = max(extent_x, extent_y);
    radius_x = fma(R(T(1.0001)), extent_x, R(T(0.01))), radius_y = fma(R(T(1.0001)), extent_y, R(T(0.01)));
    constexpr T root_half_log2e = T(0.84932180028801904272);
    lx = root_half_log2e * (sigma_y * rsqrt(f.det)), ly = root_half_log2e * per_y;
    const R minus_xy = -f.xy;
    k = minus_xy * (per_y * per_y), shear = minus_xy * (per_x * per_x);
    wanted = (f.p.z > R(K::near)) & (f.p.z < R(K::far)) & (opacity >= R(K::alpha_cut));
    if constexpr (!Pinhole) { wanted = wanted & f.valid; }
    // The radii need no look: where xx or yy overflowed, det did too, and lx is not above zero.
    const R sum = (f.u + f.v) + (lx + (k + shear));
    sound = (sum - sum == R(0)) & (lx > R(0)) & (ly > R(0));
  }
  SQS_HD mask_of<R> drawn() const {
    if constexpr (K::radius_clip > 0) {
      return wanted & sound & (radius > R(K::radius_clip));
    } else {
      return wanted & sound;
    }
  }
};

/// What a flat Gaussian passes back to its parameters and to its camera.
template <class R> struct projection_gradient {
  vec3<R> mean, scale;
  quaternion<R> rotation;
  R opacity, centre_x, centre_y;
  R pose[12], intrinsics[12]; ///< as the rows of `scene_gradients`
};

/// M p for a scalar M.
template <class R, class T> SQS_HD vec3<R> turned(const mat3<T>& m, const vec3<R>& p) {
  const auto row = [&](int i) { return m(i, 0) * p.x + m(i, 1) * p.y + m(i, 2) * p.z; };
  return {row(0), row(1), row(2)};
}

/// The way back through `flat_gaussian` and `footprint` from the moments of the blend, moment(i) being number i of
/// `moment_plan`.
template <raster_config Config, class T, class R, class F>
SQS_HD projection_gradient<R> projection_backward(const view_constants<T>& v, const vec3<R>& mean, const vec3<R>& scale,
                                                  const quaternion<R>& rotation, const R& opacity, F&& moment) {
  using k = raster_constants<Config, T>;
  using plan = moment_plan<Config>;
  projection_gradient<R> out;
  const mat3<R> factor = covariance_factor<k::convention>(scale, rotation);
  const flat_gaussian<k, false, R> f(v, to_camera(v, mean), factor);
  const R inverse = T(1) / f.det, a = f.yy * inverse, b = -(f.xy * inverse), c = f.xx * inverse;
  out.centre_x = a * moment(1) + b * moment(2), out.centre_y = b * moment(1) + c * moment(2);
  // dL/dCov2 = -Q V Q, V = [[va, vb], [vb, vc]].
  const R va = T(-0.5) * moment(3), vb = T(-0.5) * moment(4), vc = T(-0.5) * moment(5);
  const R qv00 = a * va + b * vb, qv01 = a * vb + b * vc, qv10 = b * va + c * vb, qv11 = b * vb + c * vc;
  R g00 = -(qv00 * a + qv01 * b), g01 = -(qv00 * b + qv01 * c), g11 = -(qv10 * b + qv11 * c);
  out.opacity = moment(0) / opacity;
  if constexpr (k::mip) { // rho^2 = det before / det after; its gradient is (1 - rho^2) Q - low_pass det(Q) 1
    const R rho2 = f.rho * f.rho;
    const R d_rho2 = select(f.raw_det * inverse > R(k::mip_floor * k::mip_floor), moment(0) / (T(2) * rho2), R(0));
    const R more = d_rho2 * (T(1) - rho2), less = d_rho2 * k::low_pass * inverse;
    g00 += more * a - less, g01 += more * b, g11 += more * c - less;
  }
  // Cov2 = N N^T with N = J W F: dL/dN = 2 G N, dL/dF = (J W)^T dL/dN, dL/d(J W) = dL/dN F^T.
  const auto along = [&](R x, R y) {
    return vec3<R>{T(2) * (x * f.rows.u.x + y * f.rows.v.x), T(2) * (x * f.rows.u.y + y * f.rows.v.y),
                   T(2) * (x * f.rows.u.z + y * f.rows.v.z)};
  };
  const vec3<R> du = along(g00, g01), dv = along(g01, g11);
  const auto transposed_times = [](const image_rows<R>& j, const vec3<R>& u, const vec3<R>& w) { // J^T (u, w)
    const R ju[3] = {j.u.x, j.u.y, j.u.z}, jv[3] = {j.v.x, j.v.y, j.v.z};
    mat3<R> m;
    for (int r = 0; r < 3; ++r) {
      m(r, 0) = ju[r] * u.x + jv[r] * w.x;
      m(r, 1) = ju[r] * u.y + jv[r] * w.y;
      m(r, 2) = ju[r] * u.z + jv[r] * w.z;
    }
    return m;
  };
  const vec3<R> d_turned_u = factor * du, d_turned_v = factor * dv;
  const mat3<R> d_w = transposed_times(f.jacobian, d_turned_u, d_turned_v);
  vec3<R> d_p;
  const vec3<R> d_du = turned(v.rotation, d_turned_u), d_dv = turned(v.rotation, d_turned_v);
  with_model(v.model, [&](auto model) {
    project_point_backward<decltype(model)::value>(v.camera, f.p, out.centre_x, out.centre_y, d_du, d_dv, d_p,
                                                   out.intrinsics);
  });
  if constexpr (k::depth != 0) { d_p.z += moment(plan::depth); }
  const auto sr = covariance_factor_backward<k::convention>(scale, rotation, transposed_times(f.turned, du, dv));
  out.scale = sr.scale, out.rotation = sr.rotation;
  out.mean = turned(transposed(v.rotation), d_p);
  const R x[3] = {mean.x, mean.y, mean.z}, p[3] = {d_p.x, d_p.y, d_p.z};
  for (int r = 0; r < 3; ++r) {
    for (int i = 0; i < 3; ++i) { out.pose[3 * r + i] = p[r] * x[i] + d_w(r, i); }
    out.pose[9 + r] = p[r];
  }
  return out;
}

} // namespace detail
} // namespace sqs::splat

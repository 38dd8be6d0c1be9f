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
template <raster_config Config, class T> view_constants<T> make_view_constants(const posed_camera<T>& p) {
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
};

namespace detail {

inline constexpr double ln2 = 0.69314718055994530942;

/// First and past-the-last pixel of an axis whose centre lies in (low, high), as numbers.
template <class R> SQS_HD void pixel_range(R low, R high, R pixels, R& first, R& last) {
  using std::max;
  using std::min;
  // Pixel j has its centre at j + 0.5. Clamped before any cast: extents may exceed every integer.
  // In this order NaN becomes a number too.
  first = max(min(low + R(0.5), pixels), R(0));
  last = max(min(high + R(0.5), pixels), R(0));
}

template <class R, class T> SQS_HD vec3<R> to_camera(const view_constants<T>& v, const vec3<R>& x) {
  using std::fma;
  const auto row = [&](int i, T t) {
    return fma(R(v.rotation(i, 0)), x.x, fma(R(v.rotation(i, 1)), x.y, fma(R(v.rotation(i, 2)), x.z, R(t))));
  };
  return {row(0, v.translation.x), row(1, v.translation.y), row(2, v.translation.z)};
}
/// W m for the scalar rotation W.
template <class R, class T> SQS_HD mat3<R> turned(const mat3<T>& w, const mat3<R>& m) {
  using std::fma;
  mat3<R> out;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) { out(i, j) = fma(R(w(i, 0)), m(0, j), fma(R(w(i, 1)), m(1, j), w(i, 2) * m(2, j))); }
  }
  return out;
}

/// The 2D covariance of a Gaussian and what forward and backward need of it.
/// `Pinhole` knows what its Jacobian leaves zero; the other models share one piece of code, which is compiled once.
template <class K, bool Pinhole, class R> struct flat_gaussian {
  vec3<R> p;            ///< centre in the camera frame
  image_point<R> point; ///< and in the image
  mat3<R> in_camera;    ///< W F with covariance = F F^T
  image_rows<R> rows;   ///< J W F
  vec3<R> area;         ///< cross product of the rows: its square is det before the low pass
  R raw_det, det, xx, xy, yy;
  R rho; ///< antialias compensation of the opacity

  template <class T> SQS_HD flat_gaussian(const view_constants<T>& v, const vec3<R>& mean, const mat3<R>& factor) {
    using std::fma;
    p = to_camera(v, mean);
    in_camera = turned(v.rotation, factor);
    if constexpr (Pinhole) {
      point = project_point<camera_model::pinhole>(v.camera, p);
      rows = times<camera_model::pinhole>(point, in_camera);
    } else {
      point = with_model(v.model, [&](auto model) { return project_point<decltype(model)::value>(v.camera, p); });
      const auto row = [&](const vec3<R>& j) {
        const auto column = [&](int c) {
          return fma(j.x, in_camera(0, c), fma(j.y, in_camera(1, c), j.z * in_camera(2, c)));
        };
        return vec3<R>{column(0), column(1), column(2)};
      };
      rows = {row(point.du), row(point.dv)};
    }
    const R raw_xx = dot(rows.u, rows.u), raw_yy = dot(rows.v, rows.v);
    xy = dot(rows.u, rows.v);
    // det(N N^T) is the squared area of N's rows: a sum of squares, where xx yy - xy^2 would cancel for needles.
    area = cross(rows.u, rows.v);
    raw_det = dot(area, area);
    det = raw_det + K::low_pass * (raw_xx + raw_yy) + R(K::low_pass * K::low_pass);
    xx = raw_xx + R(K::low_pass), yy = raw_yy + R(K::low_pass);
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
    using std::log2;
    using std::max;
    using std::sqrt;
    using T = std::remove_cv_t<decltype(K::low_pass)>;
    const R opacity = given_opacity * f.rho;
    log2_opacity = log2(max(opacity, R(std::numeric_limits<T>::min())));
    const R reach = T(2 * ln2) * (log2_opacity - K::log2_cut), inverse = T(1) / f.det;
    const R extent_x = sqrt(max(reach * f.xx, R(0))), extent_y = sqrt(max(reach * f.yy, R(0)));
    radius = max(extent_x, extent_y);
    radius_x = T(1.0001) * extent_x + T(0.01), radius_y = T(1.0001) * extent_y + T(0.01);
    constexpr T half_log2e = T(0.72134752044448170368);
    lx = sqrt(half_log2e * f.yy * inverse), ly = sqrt(half_log2e / f.yy);
    k = -(f.xy / f.yy), shear = -(f.xy / f.xx);
    wanted = (f.p.z > R(K::near)) & (f.p.z < R(K::far)) & (opacity >= R(K::alpha_cut));
    if constexpr (!Pinhole) { wanted = wanted & f.point.valid; }
    const R sum = f.point.u + f.point.v + lx + ly + k + shear + radius_x + radius_y;
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
  const flat_gaussian<k, false, R> f(v, mean, factor);
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
  // Cov2 = N N^T with N = J (W F): dL/dN = 2 G N, dL/d(W F) = J^T dL/dN, dL/dJ = dL/dN (W F)^T.
  const auto along = [&](R x, R y) {
    return vec3<R>{T(2) * (x * f.rows.u.x + y * f.rows.v.x), T(2) * (x * f.rows.u.y + y * f.rows.v.y),
                   T(2) * (x * f.rows.u.z + y * f.rows.v.z)};
  };
  const vec3<R> du = along(g00, g01), dv = along(g01, g11);
  mat3<R> d_turned;
  const R ju[3] = {f.point.du.x, f.point.du.y, f.point.du.z}, jv[3] = {f.point.dv.x, f.point.dv.y, f.point.dv.z};
  for (int r = 0; r < 3; ++r) {
    d_turned(r, 0) = ju[r] * du.x + jv[r] * dv.x;
    d_turned(r, 1) = ju[r] * du.y + jv[r] * dv.y;
    d_turned(r, 2) = ju[r] * du.z + jv[r] * dv.z;
  }
  vec3<R> d_p;
  const vec3<R> d_du = f.in_camera * du, d_dv = f.in_camera * dv;
  with_model(v.model, [&](auto model) {
    project_point_backward<decltype(model)::value>(v.camera, f.p, out.centre_x, out.centre_y, d_du, d_dv, d_p,
                                                   out.intrinsics);
  });
  if constexpr (k::depth != 0) { d_p.z += moment(plan::depth); }
  const mat3<T> back = transposed(v.rotation);
  const auto sr = covariance_factor_backward<k::convention>(scale, rotation, turned(back, d_turned));
  out.scale = sr.scale, out.rotation = sr.rotation;
  out.mean = turned(back, d_p);
  const R x[3] = {mean.x, mean.y, mean.z}, p[3] = {d_p.x, d_p.y, d_p.z};
  for (int r = 0; r < 3; ++r) {
    for (int i = 0; i < 3; ++i) {
      out.pose[3 * r + i] =
          p[r] * x[i] + d_turned(r, 0) * factor(i, 0) + d_turned(r, 1) * factor(i, 1) + d_turned(r, 2) * factor(i, 2);
    }
    out.pose[9 + r] = p[r];
  }
  return out;
}

} // namespace detail
} // namespace sqs::splat

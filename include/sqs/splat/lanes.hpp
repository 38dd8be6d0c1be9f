// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A register of Gaussians: read from a scene, seen by a camera, flattened to the image. What projecting and its way back
/// share.

#include <sqs/core/simd_shuffle.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>
#include <sqs/geometry/camera_projection.hpp>
#include <sqs/splat/scene.hpp>

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

namespace detail {

/// Are these `native_lanes` rows next to each other? `index` ascends; its last number may be repeated.
template <class T> bool are_neighbours(const std::int32_t* index) {
  constexpr int n = native_lanes<T>;
  return index[n - 1] - index[0] == n - 1 && index[n - 1] > index[n - 2];
}

/// The first three columns of rows of a matrix.
template <class T> SQS_INLINE vec3<simd<T, native_lanes<T>>> three_columns(const tensor<T, 2>& x,
                                                                           const std::int32_t* index, bool neighbours) {
  constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  const idx columns = x.extent(1);
  number c[4];
  if (neighbours && columns == 3) {
    number three[3];
    load_triples(x.data() + 3 * idx{index[0]}, three);
    return {three[0], three[1], three[2]};
  }
  if (columns > 3 || index[n - 1] + 1 < x.extent(0)) { // four numbers of each row, the last perhaps of the next one
    load_fours<T, n>([&](int l) { return x.data() + index[l] * columns; }, c);
  } else {
    for (int i = 0; i < 3; ++i) { c[i] = number::gather(x.data() + i, index, static_cast<int>(columns)); }
  }
  return {c[0], c[1], c[2]};
}

/// A register of Gaussians. `index` ascends; its last number may be repeated.
template <class T> struct gaussian_lanes {
  static constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  vec3<number> mean, scale;
  quaternion<number> rotation;
  number opacity;

  gaussian_lanes(const scene<T>& s, const std::int32_t* index) {
    const bool neighbours = are_neighbours<T>(index);
    mean = three_columns(s.means, index, neighbours), scale = three_columns(s.scales, index, neighbours);
    const T* const quaternions = s.rotations.data();
    number q[4];
    if (neighbours) {
      const T* const first = quaternions + 4 * idx{index[0]};
      load_fours<T, n>([=](int l) { return first + 4 * l; }, q);
      opacity = number::load(s.opacities.data() + index[0]);
    } else {
      load_fours<T, n>([=](int l) { return quaternions + 4 * idx{index[l]}; }, q);
      opacity = number::gather(s.opacities.data(), index, 1);
    }
    rotation = {q[0], q[1], q[2], q[3]};
  }
};

template <class R, class T> vec3<R> to_camera(const view_constants<T>& v, const vec3<R>& x) {
  const auto row = [&](int i, T t) {
    return fma(R(v.rotation(i, 0)), x.x, fma(R(v.rotation(i, 1)), x.y, fma(R(v.rotation(i, 2)), x.z, R(t))));
  };
  return {row(0, v.translation.x), row(1, v.translation.y), row(2, v.translation.z)};
}
/// W m for the scalar rotation W.
template <class R, class T> mat3<R> turned(const mat3<T>& w, const mat3<R>& m) {
  mat3<R> out;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) { out(i, j) = fma(R(w(i, 0)), m(0, j), fma(R(w(i, 1)), m(1, j), w(i, 2) * m(2, j))); }
  }
  return out;
}

/// The 2D covariance of a register of Gaussians and what forward and backward need of it.
/// `Pinhole` knows what its Jacobian leaves zero; the other models share one piece of code, which is compiled once.
template <class K, bool Pinhole, class R> struct flat_gaussian {
  vec3<R> p;            ///< centre in the camera frame
  image_point<R> point; ///< and in the image
  mat3<R> in_camera;    ///< W F with covariance = F F^T
  image_rows<R> rows;   ///< J W F
  vec3<R> area;         ///< cross product of the rows: its square is det before the low pass
  R raw_det, det, xx, xy, yy;
  R rho; ///< antialias compensation of the opacity

  template <class T> flat_gaussian(const view_constants<T>& v, const vec3<R>& mean, const mat3<R>& factor) {
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

/// Spherical harmonics of a register of Gaussians, seen from a camera's centre.
template <class K, class T> struct sh_lanes {
  using number = simd<T, native_lanes<T>>;
  static constexpr int degree = K::sh_degree < 0 ? 0 : K::sh_degree;
  vec3<number> unit;
  number per_length, basis[sh_count(degree)], colour[3];

  sh_lanes(const scene<T>& s, const view_constants<T>& v, const vec3<number>& mean, const std::int32_t* index) {
    const vec3<number> d{mean.x - v.centre.x, mean.y - v.centre.y, mean.z - v.centre.z};
    per_length = T(1) / sqrt(max(dot(d, d), number(std::numeric_limits<T>::min())));
    unit = {d.x * per_length, d.y * per_length, d.z * per_length};
    sh_basis<degree>(unit, basis);
    for (int c = 0; c < 3; ++c) {
      colour[c] = sh_colour<degree>(basis, [&](int k) {
        T coefficient[native_lanes<T>];
        for (int l = 0; l < native_lanes<T>; ++l) {
          coefficient[l] = s.colours.data()[idx{index[l]} * K::columns + 3 * k + c];
        }
        return number::load(coefficient);
      });
    }
  }
};

} // namespace detail
} // namespace sqs::splat

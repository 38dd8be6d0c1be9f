// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The 3D points at which a query looks at the images.

#include <sqs/autodiff/apply.hpp>
#include <sqs/query/anchor.hpp>

namespace sqs::query {

/// Seven fixed points (the centre and +-0.45 scales along each axis) and `learned` ones.
///
/// kp = mean + R(q)^T (offset * scale), offset = safe_sigmoid(raw) - 0.5 for the learned ones.
///
/// Shapes      anchors [Q, D], raw_offsets [Q, 3 * learned] -> points [Q, 7 + learned, 3], metres, reference frame
/// Gradient    anchors (position, scale, rotation columns), raw_offsets
/// Source      GaussianFormer, SparseGaussian3DKeyPointsGenerator (fixed order: origin, +x, -x, +y, -y, +z, -z).
struct key_points_op {
  anchor_config config;
  idx learned = 2;
  static constexpr idx fixed = 7;

  template <class T> struct saved { tensor<T, 2> anchors, raw_offsets; };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& anchors, const tensor<T, 2>& raw_offsets) const {
    const idx n = anchors.extent(0);
    expects(anchors.extent(1) == config.width() && raw_offsets.extent(0) == n && raw_offsets.extent(1) == 3 * learned,
            "sqs::query::key_points: anchors are [", n, ", ", anchors.extent(1), "], offsets [", raw_offsets.extent(0),
            ", ", raw_offsets.extent(1), "]; expected [Q, ", config.width(), "] and [Q, ", 3 * learned, "]");
    auto points = empty<T, 3>(e, {n, fixed + learned, 3});
    parallel_for(e, n, 128, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const auto g = decode_geometry(config, &anchors(i, 0));
        for (idx p = 0; p < fixed + learned; ++p) {
          const vec3<T> x = g.mean + g.local_to_ref * scaled(offset(raw_offsets, i, p), g.scale);
          points(i, p, 0) = x.x;
          points(i, p, 1) = x.y;
          points(i, p, 2) = x.z;
        }
      }
    });
    return result{std::move(points), saved<T>{anchors, raw_offsets}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 3>& d) const {
    const idx n = s.anchors.extent(0);
    auto da = zeros<T, 2>(e, s.anchors.shape());
    auto doff = zeros<T, 2>(e, s.raw_offsets.shape());
    parallel_for(e, n, 128, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const auto g = decode_geometry(config, &s.anchors(i, 0));
        vec3<T> d_mean, d_scale;
        mat3<T> d_rotation;
        for (idx p = 0; p < fixed + learned; ++p) {
          const vec3<T> dp{d(i, p, 0), d(i, p, 1), d(i, p, 2)}, o = offset(s.raw_offsets, i, p),
                                                                os = scaled(o, g.scale);
          const vec3<T> d_os = transposed(g.local_to_ref) * dp;
          d_mean = d_mean + dp;
          d_scale = d_scale + scaled(d_os, o);
          d_rotation = d_rotation + mat3<T>{{dp.x * os.x, dp.x * os.y, dp.x * os.z, dp.y * os.x, dp.y * os.y,
                                             dp.y * os.z, dp.z * os.x, dp.z * os.y, dp.z * os.z}};
          if (p >= fixed) {
            const vec3<T> d_o = scaled(d_os, g.scale);
            const T dv[3] = {d_o.x, d_o.y, d_o.z};
            for (idx k = 0; k < 3; ++k) {
              const T raw = s.raw_offsets(i, 3 * (p - fixed) + k);
              doff(i, 3 * (p - fixed) + k) = dv[k] * safe_sigmoid_slope(raw, safe_sigmoid(raw));
            }
          }
        }
        decode_geometry_backward(config, &s.anchors(i, 0), g, d_mean, d_scale, d_rotation, &da(i, 0));
      }
    });
    return std::tuple{std::move(da), std::move(doff)};
  }

private:
  template <class T> static vec3<T> offset(const tensor<T, 2>& raw, idx i, idx p) {
    const T r = T(0.45);
    switch (p) {
    case 0:
      return {0, 0, 0};
    case 1:
      return {r, 0, 0};
    case 2:
      return {-r, 0, 0};
    case 3:
      return {0, r, 0};
    case 4:
      return {0, -r, 0};
    case 5:
      return {0, 0, r};
    case 6:
      return {0, 0, -r};
    default:
      break;
    }
    const T* o = &raw(i, 3 * (p - fixed));
    return {safe_sigmoid(o[0]) - T(0.5), safe_sigmoid(o[1]) - T(0.5), safe_sigmoid(o[2]) - T(0.5)};
  }
};

} // namespace sqs::query

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// First stage of the rasterizer: every Gaussian seen by every camera as a 2D Gaussian (EWA splatting), and the way
/// back. A pair of stages can be used without the others: the records are plain data.

#include <sqs/exec/parallel.hpp>
#include <sqs/splat/config.hpp>
#include <sqs/splat/scene.hpp>

namespace sqs::splat {

/// One Gaussian in one image. Pixels; pixel centres lie at integer + 0.5.
template <class T> struct projected_gaussian {
  T x{}, y{};      ///< centre
  T depth{};       ///< camera-frame z of the centre, m
  T a{}, b{}, c{}; ///< inverse 2D covariance [[a, b], [b, c]], 1/px^2
  T opacity{};
  T radius_x{}, radius_y{}; ///< half extents of the ellipse inside which alpha reaches alpha_cut
  /// The same ellipse column by column: at x + d it spans y + shear d -+ half_height sqrt(1 - (d / radius_x)^2), and it
  /// reaches its lowest row (greatest y) at x + crest.
  T shear{}, half_height{}, crest{};
  std::int32_t tile_x0{}, tile_y0{}, tile_x1{}, tile_y1{}; ///< half-open range of tiles; empty when culled

  SQS_HD constexpr bool visible() const { return tile_x0 < tile_x1; }
  SQS_HD constexpr idx tile_count() const { return idx{tile_x1 - tile_x0} * (tile_y1 - tile_y0); }
};

/// What happened to the Gaussians of a call.
struct raster_counts {
  idx rejected = 0;      ///< Gaussians with NaN or Inf in any parameter: drawn nowhere, gradient zero
  idx degenerate = 0;    ///< (view, Gaussian) pairs whose finite parameters overflowed the scalar type: not drawn
  idx visible = 0;       ///< (view, Gaussian) pairs drawn
  idx intersections = 0; ///< (tile, Gaussian) pairs; set by `bin`
};

/// Output of `project`.
template <class T> struct projection {
  tensor<projected_gaussian<T>, 2> records; ///< [V,G]
  raster_counts counts;
};

/// A camera with what projecting derives from it once.
template <class T> struct view_constants {
  mat3<T> rotation;
  vec3<T> translation;
  T fx, fy, cx, cy;
  T low_x, high_x, low_y, high_y; ///< limits of x/z and y/z for the Jacobian
  int width, height;
};

/// Limits of x/z: the sides of the image, wherever the principal point lies and whatever the sign of fx, and a margin.
template <raster_config Config, class T> view_constants<T> make_view_constants(const posed_camera<T>& p) {
  using k = raster_constants<Config, T>;
  const auto& c = p.camera;
  const T left = -c.cx / c.fx, right = (T(c.width) - c.cx) / c.fx;
  const T top = -c.cy / c.fy, bottom = (T(c.height) - c.cy) / c.fy;
  const T margin_x = k::clamp_margin * T(0.5) * std::abs(right - left);
  const T margin_y = k::clamp_margin * T(0.5) * std::abs(bottom - top);
  return {p.T_cam_ref.rotation,
          p.T_cam_ref.translation,
          c.fx,
          c.fy,
          c.cx,
          c.cy,
          std::min(left, right) - margin_x,
          std::max(left, right) + margin_x,
          std::min(top, bottom) - margin_y,
          std::max(top, bottom) + margin_y,
          c.width,
          c.height};
}

namespace detail {

template <class T> vec3<T> row3(const tensor<T, 2>& x, idx i) {
  const T* p = x.data() + 3 * i;
  return {p[0], p[1], p[2]};
}
template <class T> quaternion<T> row4(const tensor<T, 2>& x, idx i) {
  const T* p = x.data() + 4 * i;
  return {p[0], p[1], p[2], p[3]};
}

/// The 2x3 Jacobian of the projection: [[fx/z, 0, -fx tx/z^2], [0, fy/z, -fy ty/z^2]] with tx/z, ty/z clamped, because
/// the linearisation explodes for centres far outside the image.
template <class T> struct jacobian {
  T xx, xz, yy, yz;    ///< the entries that are not zero
  T tx, ty;            ///< the clamped camera coordinates
  bool free_x, free_y; ///< false where the clamp acts: tx then depends on z alone
};
template <class T> SQS_HD jacobian<T> make_jacobian(const view_constants<T>& v, vec3<T> p) {
  const T inverse = T(1) / p.z, ux = p.x * inverse, uy = p.y * inverse;
  const T kx = ux < v.low_x ? v.low_x : (ux > v.high_x ? v.high_x : ux);
  const T ky = uy < v.low_y ? v.low_y : (uy > v.high_y ? v.high_y : uy);
  return {v.fx * inverse, -v.fx * kx * inverse, v.fy * inverse, -v.fy * ky * inverse, kx * p.z, ky * p.z, kx == ux,
          ky == uy};
}

/// The two rows of a 2x3 matrix.
template <class T> struct rows2 { vec3<T> x, y; };
/// J m: J has four entries that are not zero.
template <class T> SQS_HD rows2<T> times(const jacobian<T>& j, const mat3<T>& m) {
  const vec3<T> m0{m(0, 0), m(0, 1), m(0, 2)}, m1{m(1, 0), m(1, 1), m(1, 2)}, m2{m(2, 0), m(2, 1), m(2, 2)};
  return {j.xx * m0 + j.xz * m2, j.yy * m1 + j.yz * m2};
}

/// First tile whose pixels reach `low`, and one past the last that reaches `high`, along one axis.
template <int Tile, class T>
SQS_HD void tile_range(T low, T high, int pixels, std::int32_t& first, std::int32_t& last) {
  // Pixel j has its centre at j + 0.5. Clamped before the cast: radii may exceed any integer.
  using std::ceil;
  using std::floor;
  const T limit = T(pixels);
  const T from = ceil(low - T(0.5)), to = floor(high - T(0.5)) + T(1);
  const int j0 = static_cast<int>(from < T(0) ? T(0) : (from > limit ? limit : from));
  const int j1 = static_cast<int>(to < T(0) ? T(0) : (to > limit ? limit : to));
  first = j0 / Tile;
  last = j0 < j1 ? (j1 - 1) / Tile + 1 : first;
}

/// Projects one Gaussian into one view. Returns false if the numbers overflowed.
template <raster_config Config, class T> bool project_one(const view_constants<T>& v, vec3<T> mean,
                                                          const mat3<T>& factor, T opacity,
                                                          projected_gaussian<T>& out) {
  using k = raster_constants<Config, T>;
  out = {};
  const vec3<T> p = v.rotation * mean + v.translation;
  if (!(p.z > k::near) || !(opacity >= k::alpha_cut)) { return true; }
  const rows2<T> n = times(make_jacobian(v, p), v.rotation * factor);
  const T raw_xx = dot(n.x, n.x), raw_yy = dot(n.y, n.y), xy = dot(n.x, n.y);
  // det(N N^T) is the squared area of N's rows: a sum of squares, where xx yy - xy^2 would cancel for needles.
  const vec3<T> area = cross(n.x, n.y);
  const T det = dot(area, area) + k::low_pass * (raw_xx + raw_yy) + k::low_pass * k::low_pass;
  const T xx = raw_xx + k::low_pass, yy = raw_yy + k::low_pass;
  const T reach = T(2) * std::log(opacity / k::alpha_cut);
  // The slack covers rounding here and in the blend, so that the box never cuts what alpha_cut keeps.
  const T slack = T(1.0001), inverse = T(1) / det;
  projected_gaussian<T> r{.x = v.fx * p.x / p.z + v.cx,
                          .y = v.fy * p.y / p.z + v.cy,
                          .depth = p.z,
                          .a = yy * inverse,
                          .b = -xy * inverse,
                          .c = xx * inverse,
                          .opacity = opacity,
                          .radius_x = slack * std::sqrt(reach * xx) + T(0.01),
                          .radius_y = slack * std::sqrt(reach * yy) + T(0.01)};
  r.shear = -r.b / r.c;
  r.half_height = slack * std::sqrt(reach / r.c);
  r.crest = -r.b / r.a * r.radius_y;
  if (!std::isfinite(r.x + r.y + r.a + r.b + r.c + r.radius_x + r.radius_y + r.shear + r.half_height + r.crest) ||
      !(r.a > T(0)) || !(r.c > T(0))) {
    return false;
  }
  tile_range<k::tile>(r.x - r.radius_x, r.x + r.radius_x, v.width, r.tile_x0, r.tile_x1);
  tile_range<k::tile>(r.y - r.radius_y, r.y + r.radius_y, v.height, r.tile_y0, r.tile_y1);
  if (r.tile_x0 < r.tile_x1 && r.tile_y0 < r.tile_y1) { out = r; }
  return true;
}

template <class T> bool all_finite(const T* p, idx n) {
  // x - x is 0 for a finite number and NaN otherwise; a sum could overflow on its own.
  T sum{};
  for (idx i = 0; i < n; ++i) { sum += p[i] - p[i]; }
  return sum == T(0);
}
template <class T> bool finite_gaussian(const scene<T>& s, idx g) {
  const idx channels = s.colours.extent(1);
  return all_finite(s.means.data() + 3 * g, 3) && all_finite(s.scales.data() + 3 * g, 3) &&
         all_finite(s.rotations.data() + 4 * g, 4) && all_finite(s.opacities.data() + g, 1) &&
         all_finite(s.colours.data() + channels * g, channels);
}

} // namespace detail

/// Projects G Gaussians into V views.
///
/// Shapes      see `scene`; the result has one record per (view, Gaussian).
/// Execution   parallel over Gaussians; memory from the executor's pool.
/// Errors      precondition_error for shapes that do not match, see `check_scene` and `check_rig`.
/// Cost        O(V G), about 200 flop each.
/// Source      Zwicker et al. 2002 (EWA); Kerbl et al. 2023.
template <raster_config Config, class T> projection<T> project(cpu& e, const scene<T>& s, const camera_rig<T>& rig) {
  using k = raster_constants<Config, T>;
  check_scene(s, k::channels);
  check_rig(rig);
  const idx n = s.count(), views = rig.size();
  std::array<view_constants<T>, camera_rig<T>::capacity> view{};
  std::transform(rig.begin(), rig.end(), view.begin(), make_view_constants<Config, T>);
  projection<T> out{empty<projected_gaussian<T>, 2>(e, {views, n}), {}};
  projected_gaussian<T>* records = out.records.data();
  const auto range = [&](idx begin, idx end) {
    raster_counts c;
    for (idx g = begin; g < end; ++g) {
      if (!detail::finite_gaussian(s, g)) {
        ++c.rejected;
        for (idx v = 0; v < views; ++v) { records[v * n + g] = {}; }
        continue;
      }
      const vec3<T> mean = detail::row3(s.means, g);
      const mat3<T> factor = covariance_factor<k::convention>(detail::row3(s.scales, g), detail::row4(s.rotations, g));
      for (idx v = 0; v < views; ++v) {
        auto& r = records[v * n + g];
        c.degenerate +=
            detail::project_one<Config>(view[static_cast<std::size_t>(v)], mean, factor, s.opacities(g), r) ? 0 : 1;
        c.visible += r.visible() ? 1 : 0;
      }
    }
    return c;
  };
  out.counts = reduce(e, n, 128, raster_counts{}, range, [](raster_counts a, const raster_counts& b) {
    return raster_counts{a.rejected + b.rejected, a.degenerate + b.degenerate, a.visible + b.visible, 0};
  });
  return out;
}

/// dL/d(record): gradients with respect to the numbers of a `projected_gaussian` (b counts both off-diagonal places).
template <class T> struct projected_gradient { T x{}, y{}, depth{}, a{}, b{}, c{}, opacity{}; };

/// Gradients of a scene's geometry; colours never pass through the projection.
template <class T> struct geometry_gradients {
  tensor<T, 2> means, scales, rotations;
  tensor<T, 1> opacities;
};

namespace detail {

/// Gradients of one Gaussian, summed over views.
template <class T> struct gaussian_gradient {
  vec3<T> mean{};
  mat3<T> factor{};
  T opacity{};
};

/// Adds the gradient that arrives through one view.
template <raster_config Config, class T>
void project_one_backward(const view_constants<T>& v, vec3<T> mean, const mat3<T>& factor,
                          const projected_gaussian<T>& r, const projected_gradient<T>& d, gaussian_gradient<T>& out) {
  const vec3<T> p = v.rotation * mean + v.translation;
  const jacobian<T> j = make_jacobian(v, p);
  const mat3<T> turned = v.rotation * factor;
  const rows2<T> n = times(j, turned);
  // dL/dCov2 = -Q V Q, V = [[da, db/2], [db/2, dc]].
  const T h = T(0.5) * d.b;
  const T qv00 = r.a * d.a + r.b * h, qv01 = r.a * h + r.b * d.c, qv10 = r.b * d.a + r.c * h,
          qv11 = r.b * h + r.c * d.c;
  const T g00 = -(qv00 * r.a + qv01 * r.b), g01 = -(qv00 * r.b + qv01 * r.c), g11 = -(qv10 * r.b + qv11 * r.c);
  // Cov2 = N N^T with N = J (W M): dL/dN = 2 G N, dL/d(W M) = J^T dL/dN, dL/dJ = dL/dN (W M)^T.
  const vec3<T> dn0 = T(2) * (g00 * n.x + g01 * n.y), dn1 = T(2) * (g01 * n.x + g11 * n.y);
  const vec3<T> row0 = j.xx * dn0, row1 = j.yy * dn1, row2 = j.xz * dn0 + j.yz * dn1;
  const mat3<T> d_turned{{row0.x, row0.y, row0.z, row1.x, row1.y, row1.z, row2.x, row2.y, row2.z}};
  out.factor = out.factor + transposed(v.rotation) * d_turned;
  const vec3<T> dj0 = turned * dn0, dj1 = turned * dn1; // dL/dJ, rows
  const T w = T(1) / p.z, w2 = w * w;
  vec3<T> g{v.fx * w * d.x, v.fy * w * d.y, d.depth - w2 * (v.fx * p.x * d.x + v.fy * p.y * d.y)};
  // J depends on z through fx/z and through tx/z^2, where tx is x, or z times a limit once the clamp acts.
  g.z -= w2 * (v.fx * dj0.x + v.fy * dj1.y);
  g.x -= j.free_x ? v.fx * w2 * dj0.z : T(0);
  g.y -= j.free_y ? v.fy * w2 * dj1.z : T(0);
  g.z += w2 * w * ((j.free_x ? T(2) : T(1)) * v.fx * j.tx * dj0.z + (j.free_y ? T(2) : T(1)) * v.fy * j.ty * dj1.z);
  out.mean = out.mean + transposed(v.rotation) * g;
  out.opacity += d.opacity;
}

} // namespace detail

/// Backward pass of `project`.
///
/// Shapes      d [V,G]; results as the tensors of the scene.
/// Gradient    exact for means, scales, rotations and opacities; zero for what was not drawn. The extents only decide
///             which pixels are looked at and have none.
/// Execution   parallel over Gaussians, views summed in order: bitwise the same for any thread count.
template <raster_config Config, class T>
geometry_gradients<T> project_backward(cpu& e, const scene<T>& s, const camera_rig<T>& rig,
                                       const tensor<projected_gaussian<T>, 2>& records,
                                       const tensor<projected_gradient<T>, 2>& d) {
  using k = raster_constants<Config, T>;
  const idx n = s.count(), views = rig.size();
  std::array<view_constants<T>, camera_rig<T>::capacity> view{};
  std::transform(rig.begin(), rig.end(), view.begin(), make_view_constants<Config, T>);
  geometry_gradients<T> out{zeros<T, 2>(e, {n, 3}), zeros<T, 2>(e, {n, 3}), zeros<T, 2>(e, {n, 4}),
                            zeros<T, 1>(e, {n})};
  parallel_for(e, n, 128, [&](idx begin, idx end) {
    for (idx g = begin; g < end; ++g) {
      detail::gaussian_gradient<T> sum;
      bool drawn = false;
      const vec3<T> mean = detail::row3(s.means, g), scale = detail::row3(s.scales, g);
      const quaternion<T> q = detail::row4(s.rotations, g);
      const mat3<T> factor = covariance_factor<k::convention>(scale, q);
      for (idx v = 0; v < views; ++v) {
        const auto& r = records.data()[v * n + g];
        if (!r.visible()) { continue; }
        drawn = true;
        detail::project_one_backward<Config>(view[static_cast<std::size_t>(v)], mean, factor, r, d.data()[v * n + g],
                                             sum);
      }
      if (!drawn) { continue; }
      const auto sr = covariance_factor_backward<k::convention>(scale, q, sum.factor);
      T *dm = out.means.data() + 3 * g, *ds = out.scales.data() + 3 * g, *dq = out.rotations.data() + 4 * g;
      dm[0] = sum.mean.x, dm[1] = sum.mean.y, dm[2] = sum.mean.z;
      ds[0] = sr.scale.x, ds[1] = sr.scale.y, ds[2] = sr.scale.z;
      dq[0] = sr.rotation.w, dq[1] = sr.rotation.x, dq[2] = sr.rotation.y, dq[3] = sr.rotation.z;
      out.opacities.data()[g] = sum.opacity;
    }
  });
  return out;
}

} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The way back through the projection: from the moments of the blend to Gaussians, colours and cameras, a register of
/// records at a time.

#include <sqs/splat/blend_backward.hpp>
#include <sqs/splat/project.hpp>

namespace sqs::splat {

/// Gradients of what a call was given.
template <class T> struct scene_gradients {
  tensor<T, 2> means, scales, rotations;
  tensor<T, 1> opacities;
  tensor<T, 2> colours;
  tensor<T, 2> poses;      ///< [V,12]: T_cam_ref's rotation row by row, then its translation, all taken as free
  tensor<T, 2> intrinsics; ///< [V,12]: fx fy cx cy, then the eight distortion numbers
};

namespace detail {

/// Sums over the records of a view: T_cam_ref's 12 numbers and the 12 intrinsics.
template <class T> struct camera_gradient {
  T pose[12]{}, intrinsics[12]{};
  friend camera_gradient operator+(camera_gradient a, const camera_gradient& b) {
    for (int i = 0; i < 12; ++i) { a.pose[i] += b.pose[i], a.intrinsics[i] += b.intrinsics[i]; }
    return a;
  }
};

/// The backward pass of a register of records of one view.
template <raster_config Config, class T> struct project_backward_lanes {
  using k = raster_constants<Config, T>;
  using plan = moment_plan<Config>;
  using lanes = gaussian_lanes<T>;
  using number = typename lanes::number;
  static constexpr int n = lanes::n;

  const view_constants<T>& v;
  lanes g;
  typename number::mask drawn;
  T moment[plan::count < 16 ? plan::count : 16][n]; ///< transposed; of the channels only the first few are needed
  projection_gradient<number> out;

  project_backward_lanes(const scene<T>& s, const view_constants<T>& view, const std::int32_t* index,
                         const T* const* moments, unsigned real)
      : v(view),
        g(s, index) {
    T flag[n];
    for (int l = 0; l < n; ++l) {
      const bool on = ((real >> l) & 1u) != 0;
      flag[l] = on ? T(1) : T(0);
      for (int m = 0; m < plan::count && m < 16; ++m) { moment[m][l] = on ? moments[l][m] : T(0); }
    }
    drawn = number::load(flag) > number(0);
    out = projection_backward<Config>(v, g.mean, g.scale, g.rotation, g.opacity, [&](int m) { return at(m); });
  }
  /// Lanes with a gradient: what was drawn and did not overflow on the way back. One absurd Gaussian must not become the
  /// camera's NaN.
  unsigned sound() {
    number sum = out.opacity + out.centre_x + out.centre_y + out.mean.x + out.mean.y + out.mean.z + out.scale.x +
                 out.scale.y + out.scale.z + out.rotation.w + out.rotation.x + out.rotation.y + out.rotation.z;
    for (int j = 0; j < 12; ++j) { sum += out.pose[j] + out.intrinsics[j]; }
    drawn = drawn & (sum - sum == number(0));
    return bits_of(drawn);
  }
  number at(int m) const { return number::load(moment[m]); }

  /// Spherical harmonics: adds to their columns, to the means and, through the camera's centre, to the pose.
  void colours_backward(const scene<T>& s, const std::int32_t* index, unsigned real, T* d_colours) {
    constexpr int count = sh_count(k::sh_degree < 0 ? 0 : k::sh_degree), degree = k::sh_degree < 0 ? 0 : k::sh_degree;
    const sh_lanes<k, T> sh(s, v, g.mean, index);
    number d_colour[3], d_basis[count];
    for (int c = 0; c < 3; ++c) { d_colour[c] = at(plan::colours + c) * sh_colour_slope(sh.colour[c]); }
    for (int b = 0; b < count; ++b) {
      T coefficient[3][n];
      for (int l = 0; l < n; ++l) {
        const T* from = s.colours.data() + idx{index[l]} * k::columns + 3 * b;
        for (int c = 0; c < 3; ++c) { coefficient[c][l] = from[c]; }
      }
      d_basis[b] = number();
      for (int c = 0; c < 3; ++c) {
        d_basis[b] += number::load(coefficient[c]) * d_colour[c];
        const number d = sh.basis[b] * d_colour[c];
        for (int l = 0; l < n; ++l) {
          if (((real >> l) & 1u) != 0) { d_colours[idx{index[l]} * k::columns + 3 * b + c] += d[l]; }
        }
      }
    }
    const vec3<number> d_x = unit_backward(sh.unit, sh.per_length, sh_basis_backward<degree>(sh.unit, d_basis));
    out.mean = out.mean + d_x;
    // The centre is -R^T t.
    const number d_centre[3] = {-d_x.x, -d_x.y, -d_x.z};
    const T t[3] = {v.translation.x, v.translation.y, v.translation.z};
    for (int r = 0; r < 3; ++r) {
      for (int i = 0; i < 3; ++i) {
        out.pose[3 * r + i] -= t[r] * d_centre[i];
        out.pose[9 + r] -= v.rotation(r, i) * d_centre[i];
      }
    }
  }
};

} // namespace detail

/// Backward pass of `project` and of the colours.
///
/// Shapes      `blend` of `blend_backward`; results as the tensors of the scene, and per view.
/// Gradient    exact, but for the limits of the Jacobian's clamp, which count as constants; zero for what was not drawn
///             and for Gaussians whose gradient overflows the scalar type (not where NaN or Inf came in: that is passed
///             on). The extents only decide which pixels are looked at and have none.
/// Execution   view by view, parallel over records: bitwise the same for any thread count.
template <raster_config Config, class T>
scene_gradients<T> project_backward(cpu& e, const scene<T>& s, const camera_rig<T>& rig, const projection<T>& p,
                                    const blend_gradients<T>& blend, const raster_options<T>& options = {}) {
  using k = raster_constants<Config, T>;
  using plan = moment_plan<Config>;
  constexpr int n = native_lanes<T>, sh = k::sh_columns, first = k::sh_degree < 0 ? 0 : 3;
  const idx count = s.count();
  const auto view = make_view_constants<Config>(rig);
  scene_gradients<T> d{zeros<T, 2>(e, {count, 3}),          zeros<T, 2>(e, {count, 3}),
                       zeros<T, 2>(e, {count, 4}),          zeros<T, 1>(e, {count}),
                       zeros<T, 2>(e, {count, k::columns}), zeros<T, 2>(e, {rig.size(), 12}),
                       zeros<T, 2>(e, {rig.size(), 12})};
  auto centres = options.centre_gradients, absolutes = options.centre_absgradients;
  fill(e, centres.data(), centres.size(), T(0));
  fill(e, absolutes.data(), absolutes.size(), T(0));

  // Lanes [i, i + here) of view v; adds to their Gaussians, which no other record of the view shares.
  const auto one_register = [&](idx v, idx i, int here, detail::camera_gradient<T>& sum) {
    std::int32_t index[n];
    const T* moment[n];
    unsigned real = 0;
    for (int l = 0; l < n; ++l) {
      const idx r = i + std::min(l, here - 1);
      index[l] = p.records.data()[r].gaussian;
      moment[l] = blend.moments.data() + r * plan::row;
      if (l < here && p.boxes.data()[r].visible()) { real |= 1u << l; }
    }
    if (real == 0) { return; }
    detail::project_backward_lanes<Config, T> lanes(s, view[static_cast<std::size_t>(v)], index, moment, real);
    if (blend.finite) { real &= lanes.sound(); }
    if constexpr (k::sh_degree >= 0) { lanes.colours_backward(s, index, real, d.colours.data()); }
    const auto& o = lanes.out;
    for (int l = 0; l < here; ++l) {
      if (((real >> l) & 1u) == 0) { continue; }
      const idx g = index[l];
      T *dm = d.means.data() + 3 * g, *ds = d.scales.data() + 3 * g, *dq = d.rotations.data() + 4 * g;
      dm[0] += o.mean.x[l], dm[1] += o.mean.y[l], dm[2] += o.mean.z[l];
      ds[0] += o.scale.x[l], ds[1] += o.scale.y[l], ds[2] += o.scale.z[l];
      dq[0] += o.rotation.w[l], dq[1] += o.rotation.x[l], dq[2] += o.rotation.y[l], dq[3] += o.rotation.z[l];
      d.opacities.data()[g] += o.opacity[l];
      T* const dc = d.colours.data() + g * k::columns + sh;
      for (int c = first; c < k::channels; ++c) { dc[c - first] += moment[l][plan::colours + c]; }
      if (centres) { centres(v, g, 0) = o.centre_x[l], centres(v, g, 1) = o.centre_y[l]; }
      if constexpr (k::absgrad) {
        if (absolutes) {
          absolutes(v, g, 0) = moment[l][plan::absgrad], absolutes(v, g, 1) = moment[l][plan::absgrad + 1];
        }
      }
    }
    for (int j = 0; j < 12; ++j) {
      sum.pose[j] += sum_of(select(lanes.drawn, o.pose[j], typename decltype(lanes)::number(0)));
      sum.intrinsics[j] += sum_of(select(lanes.drawn, o.intrinsics[j], typename decltype(lanes)::number(0)));
    }
  };
  for (idx v = 0; v < rig.size(); ++v) {
    const idx begin = p.first[static_cast<std::size_t>(v)], size = p.first[static_cast<std::size_t>(v) + 1] - begin;
    const auto sum = reduce(
        e, (size + n - 1) / n, 16, detail::camera_gradient<T>{},
        [&](idx first_register, idx last_register) {
          detail::camera_gradient<T> part;
          for (idx r = first_register; r < last_register; ++r) {
            one_register(v, begin + r * n, static_cast<int>(std::min<idx>(n, size - r * n)), part);
          }
          return part;
        },
        [](const auto& a, const auto& b) { return a + b; });
    std::copy_n(sum.pose, 12, d.poses.data() + 12 * v);
    std::copy_n(sum.intrinsics, 12, d.intrinsics.data() + 12 * v);
  }
  return d;
}

} // namespace sqs::splat

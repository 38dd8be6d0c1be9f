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

/// A configuration without what the projection's way back does not look at: those that differ only there share its code.
constexpr raster_config projection_backward_config(raster_config c) {
  constexpr raster_config usual;
  const bool depth = c.depth != no_depth, absgrad = c.absgrad;
  c = projection_config(c);
  c.near = usual.near, c.far = usual.far, c.radius_clip = usual.radius_clip;
  c.depth = depth ? accumulated_depth : no_depth, c.absgrad = absgrad; // they decide which moments there are
  return c;
}

/// What records pass to their camera, lane by lane: T_cam_ref's 12 numbers, then the 12 intrinsics.
template <class T> struct camera_sums {
  static constexpr int count = 24;
  using number = simd<T, native_lanes<T>>;
  number sum[count]{};

  void add(const projection_gradient<number>& d, typename number::mask drawn) {
    for (int j = 0; j < 12; ++j) {
      sum[j] += select(drawn, d.pose[j], number(0)), sum[12 + j] += select(drawn, d.intrinsics[j], number(0));
    }
  }
  void store(T* out) const {
    for (int j = 0; j < count; ++j) { out[j] = sum_of(sum[j]); }
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
  static constexpr int kept = plan::count < 16 ? plan::count : 16; ///< of the channels only the first few are needed
  T moment[kept][n];                                               ///< transposed
  projection_gradient<number> out;

  project_backward_lanes(const scene<T>& s, const view_constants<T>& view, const std::int32_t* index,
                         const T* const* moments, unsigned real)
      : v(view),
        g(s, index) {
    T flag[n];
    for (int l = 0; l < n; ++l) { flag[l] = T((real >> l) & 1u); }
    drawn = number::load(flag) > number(0);
    for (int first = 0; first < kept; first += 4) {
      number column[4]{};
      if (first + 4 <= kept) {
        load_fours<T, n>([=](int l) { return moments[l] + first; }, column);
      } else {
        for (int m = first; m < kept; ++m) {
          for (int l = 0; l < n; ++l) { column[m - first].v[l] = moments[l][m]; }
        }
      }
      for (int m = first; m < kept && m < first + 4; ++m) {
        select(drawn, column[m - first], number(0)).store(moment[m]);
      }
    }
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

/// Adds what records pass back to the gradients of their Gaussians.
template <raster_config Config, class T> struct records_backward {
  using k = raster_constants<Config, T>;
  using plan = moment_plan<Config>;
  static constexpr int n = native_lanes<T>;

  const scene<T>& s;
  const std::array<view_constants<T>, camera_rig<T>::capacity>& views;
  const projection<T>& p;
  const blend_gradients<T>& blend;
  scene_gradients<T>& d;
  T *centres, *absolutes; ///< [V,G,2], raster_options::centre_gradients and centre_absgradients, or null

  /// The first record of view v whose Gaussian is not before `gaussian`.
  idx first_record(idx v, idx gaussian) const {
    const auto* const records = p.records.data();
    const auto view = static_cast<std::size_t>(v);
    return std::partition_point(records + p.first[view], records + p.first[view + 1],
                                [=](const auto& r) { return r.gaussian < gaussian; }) -
           records;
  }
  /// Goes through the records of view v from record i to Gaussian `end`; returns the first one left.
  idx operator()(idx v, idx i, idx end, camera_sums<T>& camera) const {
    const idx last = p.first[static_cast<std::size_t>(v) + 1];
    const auto* const records = p.records.data();
    for (int here = n; here == n; i += here) {
      here = 0;
      while (here < n && i + here < last && records[i + here].gaussian < end) { ++here; }
      if (here > 0) { one_register(v, i, here, camera); }
    }
    return i;
  }

private:
  void one_register(idx v, idx i, int here, camera_sums<T>& camera) const {
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
    project_backward_lanes<Config, T> lanes(s, views[static_cast<std::size_t>(v)], index, moment, real);
    if (blend.finite) { real &= lanes.sound(); }
    if constexpr (k::sh_degree >= 0) { lanes.colours_backward(s, index, real, d.colours.data()); }
    const auto& o = lanes.out;
    camera.add(o, lanes.drawn);
    constexpr int first = k::sh_degree < 0 ? 0 : 3;
    for (unsigned left = real; left != 0; left &= left - 1) { // no other record of the view has the same Gaussian
      const int l = std::countr_zero(left);
      const idx g = index[l];
      T *dm = d.means.data() + 3 * g, *ds = d.scales.data() + 3 * g, *dq = d.rotations.data() + 4 * g;
      dm[0] += o.mean.x[l], dm[1] += o.mean.y[l], dm[2] += o.mean.z[l];
      ds[0] += o.scale.x[l], ds[1] += o.scale.y[l], ds[2] += o.scale.z[l];
      dq[0] += o.rotation.w[l], dq[1] += o.rotation.x[l], dq[2] += o.rotation.y[l], dq[3] += o.rotation.z[l];
      d.opacities.data()[g] += o.opacity[l];
      T* const dc = d.colours.data() + g * k::columns + k::sh_columns;
      for (int c = first; c < k::channels; ++c) { dc[c - first] += moment[l][plan::colours + c]; }
      const idx pair = 2 * (v * s.count() + g);
      if (centres != nullptr) { centres[pair] = o.centre_x[l], centres[pair + 1] = o.centre_y[l]; }
      if constexpr (k::absgrad) {
        if (absolutes != nullptr) {
          absolutes[pair] = moment[l][plan::absgrad], absolutes[pair + 1] = moment[l][plan::absgrad + 1];
        }
      }
    }
  }
};

/// Gaussians whose gradients are worked on at a time, for all views: in the second-level cache, and work for many threads.
inline idx backward_chunk(idx gaussians) { return std::clamp<idx>(gaussians / 64, 128, 1024); }
inline constexpr idx backward_ranges = 32; ///< of chunks, at most: what threads take at a time

} // namespace detail

/// Backward pass of `project` and of the colours.
///
/// Shapes      `blend` of `blend_backward`; results as the tensors of the scene, and per view.
/// Gradient    exact, but for the limits of the Jacobian's clamp, which count as constants; zero for what was not drawn
///             and for Gaussians whose gradient overflows the scalar type (not where NaN or Inf came in: that is passed
///             on). The extents only decide which pixels are looked at and have none.
/// Execution   parallel over chunks of Gaussians, each for all views: bitwise the same for any thread count.
template <raster_config Config, class T>
scene_gradients<T> project_backward(cpu& e, const scene<T>& s, const camera_rig<T>& rig, const projection<T>& p,
                                    const blend_gradients<T>& blend, const raster_options<T>& options = {}) {
  using k = raster_constants<Config, T>;
  using sums = detail::camera_sums<T>;
  const idx count = s.count(), views = rig.size(), size = detail::backward_chunk(count),
            chunks = (count + size - 1) / size;
  const auto view = make_view_constants<Config>(rig);
  auto centres = options.centre_gradients, absolutes = options.centre_absgradients;
  fill(e, centres.data(), centres.size(), T(0));
  fill(e, absolutes.data(), absolutes.size(), T(0));
  scene_gradients<T> d{empty<T, 2>(e, {count, 3}), empty<T, 2>(e, {count, 3}),          empty<T, 2>(e, {count, 4}),
                       empty<T, 1>(e, {count}),    empty<T, 2>(e, {count, k::columns}), empty<T, 2>(e, {views, 12}),
                       empty<T, 2>(e, {views, 12})};
  const detail::records_backward<detail::projection_backward_config(Config), T> pass{
      s, view, p, blend, d, centres ? centres.data() : nullptr, absolutes ? absolutes.data() : nullptr};
  auto cameras = empty<T, 3>(e, {chunks, views, sums::count});
  const idx chunks_of_range = std::max<idx>(1, (chunks + detail::backward_ranges - 1) / detail::backward_ranges);
  parallel_for(e, chunks, chunks_of_range, [&](idx begin, idx end) {
    std::array<idx, camera_rig<T>::capacity> next{}; // the next record of each view
    for (idx v = 0; v < views; ++v) { next[static_cast<std::size_t>(v)] = pass.first_record(v, begin * size); }
    for (idx c = begin; c < end; ++c) {
      const idx first = c * size, last = std::min(first + size, count);
      const auto clear = [&](auto& rows, idx columns) {
        std::fill_n(rows.data() + first * columns, (last - first) * columns, T(0));
      };
      clear(d.means, 3), clear(d.scales, 3), clear(d.rotations, 4), clear(d.opacities, 1);
      clear(d.colours, k::columns);
      for (idx v = 0; v < views; ++v) {
        sums camera;
        idx& i = next[static_cast<std::size_t>(v)];
        i = pass(v, i, last, camera);
        camera.store(cameras.data() + (c * views + v) * sums::count);
      }
    }
  });
  for (idx v = 0; v < views; ++v) {
    double sum[sums::count]{};
    for (idx c = 0; c < chunks; ++c) {
      for (int j = 0; j < sums::count; ++j) { sum[j] += static_cast<double>(cameras(c, v, j)); }
    }
    for (int j = 0; j < 12; ++j) {
      d.poses.data()[12 * v + j] = static_cast<T>(sum[j]),
                              d.intrinsics.data()[12 * v + j] = static_cast<T>(sum[12 + j]);
    }
  }
  return d;
}

} // namespace sqs::splat

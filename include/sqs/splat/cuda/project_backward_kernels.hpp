// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The way back through the projection on a device: entries are added up by pair, pairs by Gaussian, Gaussians by camera,
/// all in a fixed order.

#include <sqs/splat/cuda/blend_backward_kernels.hpp>

namespace sqs::splat::detail {

/// moments[pair] = sum of its entries' slots, or plus that. A thread for each number of each pair that was drawn.
template <int Width, class T> struct add_entries_kernel {
  static constexpr const char* name = "sqs::splat::project_backward (entries)";
  const std::int32_t* pairs; ///< in order of depth
  const tile_box* boxes;
  const std::uint64_t* coverage;
  const idx* first; ///< entry of each, in order of depth
  idx count, capacity;
  const T* slots;
  T* moments; ///< [V G, Width]; set where drawn
  bool more;  ///< add to what is there: bands one after the other give the sum of all entries to the last bit

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx number = static_cast<idx>(t.block()) * t.size() + t.thread(), j = number / Width, m = number % Width;
    if (j >= count) { return; }
    const std::int32_t i = pairs[j];
    const tile_box box = boxes[i];
    if (!box.visible()) { return; }
    const idx last = first[j] + covered(box, coverage[i]), end = last < capacity ? last : capacity;
    T sum = more ? moments[idx{i} * Width + m] : T{};
    for (idx e = first[j]; e < end; ++e) { sum += slots[e * Width + m]; }
    moments[idx{i} * Width + m] = sum;
  }
};

/// sums[view, column] = sum over the rows of each view, in their order; a block takes a view.
template <class T> struct add_rows_kernel {
  static constexpr const char* name = "sqs::splat (sums over a view)";
  const T* rows;                          ///< [rows, columns]
  idx first[camera_rig<T>::capacity + 1]; ///< row of each view
  int columns;
  T* sums;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    for (int c = t.thread(); c < columns; c += t.size()) {
      T sum{};
      for (idx r = first[t.block()]; r < first[t.block() + 1]; ++r) { sum += rows[r * columns + c]; }
      sums[idx{t.block()} * columns + c] = sum;
    }
  }
};

/// Rows of 24 numbers become poses and intrinsics.
template <class T> struct split_camera_kernel {
  static constexpr const char* name = "sqs::splat::project_backward (cameras)";
  const T* cameras;
  T *poses, *intrinsics;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int v = t.block(), i = t.thread();
    if (i < 12) { poses[12 * v + i] = cameras[24 * v + i], intrinsics[12 * v + i] = cameras[24 * v + 12 + i]; }
  }
};

/// Gradients of a scene in device memory; all but `colours` are set, that one is added to.
template <class T> struct scene_gradient_pointers {
  T *means, *scales, *rotations, *opacities, *colours;
  T *centres, *absolutes; ///< [V G, 2], may be null
};

/// A thread takes a Gaussian through all views.
template <raster_config Config, class T> struct project_backward_kernel {
  static constexpr const char* name = "sqs::splat::project_backward";
  using K = raster_constants<Config, T>;
  using plan = moment_plan<Config>;
  static constexpr int threads = 128, warps = threads / warp_size, camera_numbers = 24;

  scene_pointers<T> s;
  view_list<T> views;
  int view_count;
  const tile_box* boxes;
  const T* moments;
  const idx* infinite; ///< how many tiles had NaN or Inf come in
  scene_gradient_pointers<T> d;
  T* cameras; ///< [V, blocks, 24]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx g = static_cast<idx>(t.block()) * t.size() + t.thread();
    T* const partial = shared_array<struct camera_partial, T, warps * camera_numbers>(t);
    projection_gradient<T> total{};
    total.rotation = {T(0), T(0), T(0), T(0)};
    for (int v = 0; v < view_count; ++v) {
      const idx i = v * s.count + g;
      T camera[warp_size]{};
      const bool seen = g < s.count && boxes[i].visible();
      if (seen) { one(views[v], g, i, camera, total); }
      if (g < s.count && !seen) { centres(i, T(0), T(0), T(0), T(0)); }
      T* const out = cameras + (idx{v} * t.blocks() + t.block()) * camera_numbers;
      if (!t.sync_any(seen)) {
        if (t.thread() < camera_numbers) { out[t.thread()] = T(0); }
        continue;
      }
      int place;
      const T sum = warp_sums(t, camera, place);
      if (place < camera_numbers) { partial[t.thread() / warp_size * camera_numbers + place] = sum; }
      t.sync();
      if (t.thread() < camera_numbers) {
        T of_block{};
        for (int w = 0; w < t.size() / warp_size; ++w) { of_block += partial[w * camera_numbers + t.thread()]; }
        out[t.thread()] = of_block;
      }
      t.sync();
    }
    if (g >= s.count) { return; }
    const auto store = [](T* to, const vec3<T>& x) { to[0] = x.x, to[1] = x.y, to[2] = x.z; };
    store(d.means + 3 * g, total.mean), store(d.scales + 3 * g, total.scale);
    d.rotations[4 * g] = total.rotation.w, d.rotations[4 * g + 1] = total.rotation.x;
    d.rotations[4 * g + 2] = total.rotation.y, d.rotations[4 * g + 3] = total.rotation.z;
    d.opacities[g] = total.opacity;
  }

private:
  SQS_DEVICE void centres(idx i, const T& x, const T& y, const T& abs_x, const T& abs_y) const {
    if (d.centres != nullptr) { d.centres[2 * i] = x, d.centres[2 * i + 1] = y; }
    if (d.absolutes != nullptr) { d.absolutes[2 * i] = abs_x, d.absolutes[2 * i + 1] = abs_y; }
  }

  /// One view: adds to the sums of the Gaussian, sets those of the camera.
  SQS_DEVICE void one(const view_constants<T>& v, idx g, idx i, T (&camera)[warp_size],
                      projection_gradient<T>& total) const {
    const T* const moment = moments + i * plan::count;
    const loaded_gaussian<T> x(s, g);
    auto out = projection_backward<Config>(v, x.mean, x.scale, x.rotation, x.opacity, [&](int m) { return moment[m]; });
    if (*infinite == 0 && !finite(out)) { // one absurd Gaussian must not become the camera's NaN
      centres(i, T(0), T(0), T(0), T(0));
      return;
    }
    if constexpr (K::sh_degree >= 0) { colours_backward(v, g, moment, x.mean, out); }
    T* const features = d.colours + g * K::columns + K::sh_columns;
    constexpr int first = K::sh_degree < 0 ? 0 : 3;
    for (int c = first; c < K::channels; ++c) { features[c - first] += moment[plan::colours + c]; }
    if constexpr (K::absgrad) {
      centres(i, out.centre_x, out.centre_y, moment[plan::absgrad], moment[plan::absgrad + 1]);
    } else {
      centres(i, out.centre_x, out.centre_y, T(0), T(0));
    }
    for (int j = 0; j < 12; ++j) { camera[j] = out.pose[j], camera[12 + j] = out.intrinsics[j]; }
    total.mean = total.mean + out.mean, total.scale = total.scale + out.scale;
    total.rotation.w += out.rotation.w, total.rotation.x += out.rotation.x;
    total.rotation.y += out.rotation.y, total.rotation.z += out.rotation.z;
    total.opacity += out.opacity;
  }
  SQS_DEVICE static bool finite(const projection_gradient<T>& o) {
    T sum = o.opacity + o.centre_x + o.centre_y + o.mean.x + o.mean.y + o.mean.z + o.scale.x + o.scale.y + o.scale.z +
            o.rotation.w + o.rotation.x + o.rotation.y + o.rotation.z;
    for (int j = 0; j < 12; ++j) { sum += o.pose[j] + o.intrinsics[j]; }
    return sum - sum == T(0);
  }
  /// Spherical harmonics: adds to their columns, to the mean and, through the camera's centre, to the pose.
  SQS_DEVICE void colours_backward(const view_constants<T>& v, idx g, const T* moment, const vec3<T>& mean,
                                   projection_gradient<T>& out) const {
    using colours = seen_colour<K, T>;
    const T* const coefficients = s.colours + K::columns * g;
    T* const to = d.colours + K::columns * g;
    const colours seen(coefficients, v, mean);
    T d_colour[3], d_basis[colours::count];
    for (int c = 0; c < 3; ++c) { d_colour[c] = moment[plan::colours + c] * sh_colour_slope(seen.colour[c]); }
    for (int b = 0; b < colours::count; ++b) {
      d_basis[b] = T(0);
      for (int c = 0; c < 3; ++c) {
        d_basis[b] += coefficients[3 * b + c] * d_colour[c];
        to[3 * b + c] += seen.basis[b] * d_colour[c];
      }
    }
    const vec3<T> d_x =
        unit_backward(seen.unit, seen.per_length, sh_basis_backward<colours::degree>(seen.unit, d_basis));
    out.mean = out.mean + d_x;
    // The centre is -R^T t.
    const T d_centre[3] = {-d_x.x, -d_x.y, -d_x.z};
    const T at[3] = {v.translation.x, v.translation.y, v.translation.z};
    for (int r = 0; r < 3; ++r) {
      for (int i = 0; i < 3; ++i) {
        out.pose[3 * r + i] -= at[r] * d_centre[i];
        out.pose[9 + r] -= v.rotation(r, i) * d_centre[i];
      }
    }
  }
};

} // namespace sqs::splat::detail

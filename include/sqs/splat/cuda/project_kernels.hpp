// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// First stage on a device: every (view, Gaussian) pair, one thread each, with the tiles it covers. What is written
/// here once, the counts, the lists and the way back use: nothing is decided twice.

#include <sqs/gaussian/spherical_harmonics.hpp>
#include <sqs/splat/cuda/coverage.hpp>
#include <sqs/splat/flatten.hpp>

#include <cstring>

namespace sqs::splat::detail {

/// The elements of a scene in device memory.
template <class T> struct scene_pointers {
  const T *means, *scales, *rotations, *opacities, *colours;
  idx count;
};

/// One Gaussian of it.
template <class T> struct loaded_gaussian {
  vec3<T> mean, scale;
  quaternion<T> rotation;
  T opacity;
  SQS_DEVICE loaded_gaussian(const scene_pointers<T>& s, idx g)
      : mean{s.means[3 * g], s.means[3 * g + 1], s.means[3 * g + 2]},
        scale{s.scales[3 * g], s.scales[3 * g + 1], s.scales[3 * g + 2]},
        rotation{s.rotations[4 * g], s.rotations[4 * g + 1], s.rotations[4 * g + 2], s.rotations[4 * g + 3]},
        opacity(s.opacities[g]) {}
};

/// Spherical harmonics of one Gaussian, seen from a camera's centre.
template <class K, class T> struct seen_colour {
  static constexpr int degree = K::sh_degree < 0 ? 0 : K::sh_degree, count = sh_count(degree);
  vec3<T> unit;
  T per_length, basis[count], colour[3];
  SQS_DEVICE seen_colour(const T* coefficients, const view_constants<T>& v, const vec3<T>& mean) {
    using std::max;
    using std::sqrt;
    const vec3<T> d = mean - v.centre;
    per_length = T(1) / sqrt(max(dot(d, d), std::numeric_limits<T>::min()));
    unit = per_length * d;
    sh_basis<degree>(unit, basis);
    for (int c = 0; c < 3; ++c) {
      colour[c] = sh_colour<degree>(basis, [&](int b) { return coefficients[3 * b + c]; });
    }
  }
};

/// The least value of a record's form over a rectangle, whose sides are given relative to the record's centre. It lies
/// at the centre, if the rectangle contains it, or else on a side that faces it.
template <class T>
SQS_HD T least_form(const projected_gaussian<T>& r, const T& left, const T& right, const T& top, const T& bottom) {
  using std::max;
  using std::min;
  const T near_x = max(left, min(right, T(0))), near_y = max(top, min(bottom, T(0)));
  const T dy = max(top, min(bottom, -r.shear * near_x)), dx = max(left, min(right, -r.k * near_y));
  const T a1 = r.lx * (near_x + r.k * dy), d1 = r.ly * dy, a2 = r.lx * (dx + r.k * near_y), d2 = r.ly * near_y;
  return min(a1 * a1 + d1 * d1, a2 * a2 + d2 * d2);
}
/// Whether a record may reach the cut at a pixel of the rectangle of `width` x `height` pixels from (x, y) on.
template <class K, class T> SQS_HD bool reaches(const projected_gaussian<T>& r, int x, int y, int width, int height) {
  const T left = T(x) + T(0.5) - r.x, top = T(y) + T(0.5) - r.y;
  return !(least_form(r, left, left + T(width - 1), top, top + T(height - 1)) > reach_of<K>(r));
}

/// What the projection of all pairs is on a device: number v G + g is that of Gaussian g in view v.
template <class T> struct pair_pointers {
  using key = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  static constexpr key not_drawn = ~key{0}; ///< sorts behind everything
  projected_gaussian<T>* records;           ///< set where drawn, like the coverage
  tile_box* boxes;                          ///< empty where not drawn
  std::uint64_t* coverage;
  key* keys;           ///< bits of the depth, which are ordered as it is
  std::int32_t* pairs; ///< their own number: what is sorted
};

inline constexpr int pair_threads = 256;

/// sound[g]: all numbers of the Gaussian are finite. Counts those that are not, by block.
template <class K, class T> struct find_sound_kernel {
  static constexpr const char* name = "sqs::splat::project (finite numbers)";
  scene_pointers<T> s;
  std::uint8_t* sound;
  std::int32_t* rejected;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx g = static_cast<idx>(t.block()) * t.size() + t.thread();
    int bad = 0;
    if (g < s.count) {
      // x - x is 0 for a finite number and NaN otherwise; a sum could overflow on its own.
      T sum = s.opacities[g] - s.opacities[g];
      const auto add = [&](const T* from, int n) {
        for (int i = 0; i < n; ++i) { sum += from[i] - from[i]; }
      };
      add(s.means + 3 * g, 3), add(s.scales + 3 * g, 3), add(s.rotations + 4 * g, 4);
      add(s.colours + K::columns * g, K::columns);
      bad = sum == T(0) ? 0 : 1;
      sound[g] = static_cast<std::uint8_t>(1 - bad);
    }
    const int sum = block_sum(t, bad);
    if (t.thread() == 0) { rejected[t.block()] = sum; }
  }
};

/// Adds up integers, each list in one block: what blocks counted.
struct add_counts_kernel {
  static constexpr const char* name = "sqs::splat (counts)";
  static constexpr int most = 4;
  const std::int32_t* lists[most];
  idx length[most];
  idx* sums; ///< one for each list
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    idx sum = 0;
    for (idx i = t.thread(); i < length[t.block()]; i += t.size()) { sum += lists[t.block()][i]; }
    const idx all = block_sum(t, sum);
    if (t.thread() == 0) { sums[t.block()] = all; }
  }
};

/// The views of a call, in a kernel's arguments or, where the cameras are tensors, in memory.
template <class T> struct view_list {
  view_constants<T> known[camera_rig<T>::capacity];
  const view_constants<T>* made; ///< null if they are known
  SQS_DEVICE const view_constants<T>& operator[](idx v) const { return made != nullptr ? made[v] : known[v]; }
};

/// Derives the constants of cameras whose numbers are tensors. A block, of which one thread works, for each.
template <raster_config Config, class T> struct make_views_kernel {
  static constexpr const char* name = "sqs::splat::project (cameras)";
  posed_camera<T> views[camera_rig<T>::capacity]; ///< sizes and models
  const T *poses, *intrinsics;                    ///< [V,12] as those of `camera_poses` and `camera_intrinsics`
  view_constants<T>* out;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (t.thread() != 0) { return; }
    posed_camera<T> p = views[t.block()];
    const T *const pose = poses + 12 * idx{t.block()}, *const numbers = intrinsics + 12 * idx{t.block()};
    for (int i = 0; i < 9; ++i) { p.T_cam_ref.rotation.a[i] = pose[i]; }
    p.T_cam_ref.translation = vec3<T>{pose[9], pose[10], pose[11]};
    p.camera.fx = numbers[0], p.camera.fy = numbers[1], p.camera.cx = numbers[2], p.camera.cy = numbers[3];
    for (std::size_t i = 0; i < 8; ++i) { p.camera.distortion[i] = numbers[4 + i]; }
    out[t.block()] = make_view_constants<Config>(p);
  }
};

/// Projects all pairs. A block belongs to one view.
template <class K, class T> struct project_kernel {
  static constexpr const char* name = "sqs::splat::project";
  scene_pointers<T> s;
  view_list<T> views;
  int blocks_of_view;
  const std::uint8_t* sound;
  pair_pointers<T> out;
  T* radii;                           ///< may be null
  std::int32_t *degenerate, *visible; ///< by block

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int v = t.block() / blocks_of_view;
    const idx g = static_cast<idx>(t.block() % blocks_of_view) * t.size() + t.thread(), i = v * s.count + g;
    state now;
    if (g < s.count) {
      if (sound[g] != 0 && s.opacities[g] >= K::alpha_cut) {
        now = views[v].model == camera_model::pinhole ? one<true>(views[v], g, i) : one<false>(views[v], g, i);
      }
      if (!now.visible) { out.boxes[i] = tile_box{}, out.keys[i] = pair_pointers<T>::not_drawn; }
      out.pairs[i] = static_cast<std::int32_t>(i);
      if (radii != nullptr) { radii[i] = now.visible ? now.radius : T(0); }
    }
    const int overflown = block_sum(t, now.degenerate ? 1 : 0), seen = block_sum(t, now.visible ? 1 : 0);
    if (t.thread() == 0) { degenerate[t.block()] = overflown, visible[t.block()] = seen; }
  }

private:
  struct state {
    bool visible = false, degenerate = false;
    T radius{};
  };

  template <bool Pinhole> SQS_DEVICE state one(const view_constants<T>& v, idx g, idx i) const {
    state now;
    const loaded_gaussian<T> x(s, g);
    const vec3<T> p = to_camera(v, x.mean);
    if (!(p.z > K::near && p.z < K::far)) { return now; }
    const flat_gaussian<K, Pinhole, T> f(v, p, covariance_factor<K::convention>(x.scale, x.rotation));
    const footprint<K, Pinhole, T> at(f, x.opacity);
    now.degenerate = at.wanted && !at.sound;
    if (!at.drawn()) { return now; }
    T x0, x1, y0, y1;
    pixel_range(f.u, at.radius_x, v.width, x0, x1);
    pixel_range(f.v, at.radius_y, v.height, y0, y1);
    const int low_x = static_cast<int>(x0), low_y = static_cast<int>(y0), high_x = static_cast<int>(x1),
              high_y = static_cast<int>(y1);
    if (low_x >= high_x || low_y >= high_y) { return now; }
    const auto first = [](int pixel) { return static_cast<std::uint16_t>(pixel / K::tile); };
    const auto past = [](int pixel) { return static_cast<std::uint16_t>((pixel + K::tile - 1) / K::tile); };
    const tile_box box{first(low_x), first(low_y), past(high_x), past(high_y)};
    projected_gaussian<T> r;
    r.x = f.u, r.y = f.v, r.lx = at.lx, r.k = at.k, r.ly = at.ly, r.log2_opacity = at.log2_opacity;
    r.shear = at.shear, r.depth = f.p.z, r.gaussian = static_cast<std::int32_t>(g);
    colour_of(v, x.mean, g, r.colour);
    out.records[i] = r, out.boxes[i] = box;
    out.coverage[i] = coverage_of<K>(r, box);
    out.keys[i] = depth_bits(r.depth);
    now.visible = true, now.radius = at.radius;
    return now;
  }
  SQS_DEVICE void colour_of(const view_constants<T>& v, const vec3<T>& mean, idx g, T (&colour)[3]) const {
    const T* const columns = s.colours + K::columns * g;
    if constexpr (K::sh_degree >= 0) {
      const seen_colour<K, T> seen(columns, v, mean);
      for (int c = 0; c < 3; ++c) { colour[c] = seen.colour[c]; }
    } else {
      for (int c = 0; c < 3; ++c) { colour[c] = c < K::channels ? columns[c] : T(0); }
    }
  }
  SQS_DEVICE static typename pair_pointers<T>::key depth_bits(T depth) {
    typename pair_pointers<T>::key bits;
    static_assert(sizeof(bits) == sizeof(depth));
    memcpy(&bits, &depth, sizeof(bits));
    return bits;
  }
};

} // namespace sqs::splat::detail

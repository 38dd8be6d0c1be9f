// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The rasterizer's oracle: for every pixel, every Gaussian, sorted by depth, from the formulas of the paper. It shares
/// no arithmetic with the library and takes no short cut: no tiles, no boxes, no early exit of a tile.

#include "oracle_view.hpp"

#include <sqs/splat/scene.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace oracle {

using sqs::idx;

struct numbers {
  double alpha_max = 0.99, alpha_cut = 1.0 / 255, stop = 1e-4, near = 0.2, low_pass = 0.3, margin = 0.3;
  bool exclusive = true, transposed = false;
  double far = 0;         ///< 0: none
  double radius_clip = 0; ///< px
  double cut_width = 0;   ///< > 0: alpha fades in over it
  int sh_degree = -1;
  bool mip = false;
  double mip_floor = 0.005;
  std::vector<std::uint8_t> mask{}; ///< per pixel of all views in order, 0: not drawn; empty: all drawn
};

/// All views one after the other, whatever their sizes; every kind of depth.
template <class T> struct picture {
  std::vector<T> image, depth, transmittance;
  std::vector<T> expected{}, inverse{}, median{};
};

/// v rotated by the quaternion (w, x, y, z): v + 2w (u x v) + 2 u x (u x v), after normalising.
template <class T> std::array<T, 3> rotate(const T* q, const std::array<T, 3>& v, bool inverse) {
  const T n = std::max(std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]), T(1e-12));
  const T w = q[0] / n, sign = inverse ? T(-1) : T(1);
  const std::array<T, 3> u{sign * q[1] / n, sign * q[2] / n, sign * q[3] / n};
  const auto times = [](const std::array<T, 3>& a, const std::array<T, 3>& b) {
    return std::array<T, 3>{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
  };
  const auto once = times(u, v), twice = times(u, once);
  return {v[0] + 2 * w * once[0] + 2 * twice[0], v[1] + 2 * w * once[1] + 2 * twice[1],
          v[2] + 2 * w * once[2] + 2 * twice[2]};
}

template <class T> struct flat {
  T u, v, z, q00, q01, q11, opacity;
  std::vector<T> colour;
};

template <class T>
std::vector<flat<T>> flatten(const numbers& k, const sqs::splat::scene<T>& s, const sqs::posed_camera<T>& view) {
  std::vector<flat<T>> out;
  const sqs::any_camera<T> c = view.camera;
  const auto limits = jacobian_limits(c, T(k.margin));
  for (idx g = 0; g < s.count(); ++g) {
    T p[3];
    for (int i = 0; i < 3; ++i) {
      p[i] = i == 0 ? view.T_cam_ref.translation.x
                    : (i == 1 ? view.T_cam_ref.translation.y : view.T_cam_ref.translation.z);
      for (int j = 0; j < 3; ++j) { p[i] += view.T_cam_ref.rotation(i, j) * s.means(g, j); }
    }
    if (!(p[2] > T(k.near)) || (k.far > 0 && p[2] > T(k.far)) || !inside_lens(c, p)) { continue; }
    const auto pixel = pixel_of(c, p[0], p[1], p[2]);
    const auto jacobian = jacobian_of(c, p, limits);
    T cov[2][2] = {};
    for (int axis = 0; axis < 3; ++axis) { // the covariance is the sum of s^2 r r^T over the Gaussian's axes r
      std::array<T, 3> unit{};
      unit[static_cast<std::size_t>(axis)] = 1;
      const auto r = rotate(&s.rotations(g, 0), unit, k.transposed);
      T image_axis[2] = {0, 0};
      for (std::size_t row = 0; row < 2; ++row) {
        for (int i = 0; i < 3; ++i) {
          for (int j = 0; j < 3; ++j) {
            image_axis[row] += jacobian[row][static_cast<std::size_t>(i)] * view.T_cam_ref.rotation(i, j) *
                               r[static_cast<std::size_t>(j)];
          }
        }
      }
      for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
          cov[i][j] += s.scales(g, axis) * s.scales(g, axis) * image_axis[i] * image_axis[j];
        }
      }
    }
    const T sharp = cov[0][0] * cov[1][1] - cov[0][1] * cov[1][0];
    cov[0][0] += T(k.low_pass), cov[1][1] += T(k.low_pass);
    const T det = cov[0][0] * cov[1][1] - cov[0][1] * cov[1][0];
    const T factor = k.mip ? std::max(T(k.mip_floor), std::sqrt(std::max(sharp, T(0)) / det)) : T(1);
    const T opacity = s.opacities(g) * factor;
    if (k.radius_clip > 0) {
      const T reach = 2 * std::log(opacity / T(k.alpha_cut));
      const T radius = std::sqrt(std::max(reach, T(0)) * std::max(cov[0][0], cov[1][1]));
      if (radius <= T(k.radius_clip)) { continue; }
    }
    const idx columns = s.colours.extent(1);
    out.push_back(
        {pixel[0], pixel[1], p[2], cov[1][1] / det, -cov[0][1] / det, cov[0][0] / det, opacity,
         colour_of(k.sh_degree, s.colours.data() + columns * g, columns, s.means.data() + 3 * g, view.T_cam_ref)});
  }
  std::stable_sort(out.begin(), out.end(), [](const flat<T>& a, const flat<T>& b) { return a.z < b.z; });
  return out;
}

/// 6 t^5 - 15 t^4 + 10 t^3: 0 and 1 at the ends, with two derivatives that vanish there.
template <class T> T fade(T t) {
  t = std::clamp(t, T(0), T(1));
  return t * t * t * (10 + t * (6 * t - 15));
}

template <class T> picture<T> render(const numbers& k, const sqs::splat::scene<T>& s,
                                     const sqs::tensor<T, 2>& background, const sqs::camera_rig<T>& rig) {
  picture<T> out;
  const idx channels = background.extent(1);
  std::size_t pixel = 0;
  for (int view = 0; view < rig.size(); ++view) {
    const auto list = flatten(k, s, rig[view]);
    for (int y = 0; y < rig[view].camera.height; ++y) {
      for (int x = 0; x < rig[view].camera.width; ++x, ++pixel) {
        std::vector<T> colour(static_cast<std::size_t>(channels), T(0));
        T t = 1, depth = 0, inverse = 0, median = 0;
        const bool drawn = k.mask.empty() || k.mask[pixel] != 0;
        for (const auto& f : list) {
          if (!drawn) { break; }
          const T dx = T(x) + T(0.5) - f.u, dy = T(y) + T(0.5) - f.v;
          const T power = -(f.q00 * dx * dx + 2 * f.q01 * dx * dy + f.q11 * dy * dy) / 2;
          T alpha = std::min(T(k.alpha_max), f.opacity * std::exp(power));
          if (power > 0 || alpha < T(k.alpha_cut)) { continue; }
          if (k.cut_width > 0) { alpha *= fade((alpha - T(k.alpha_cut)) / T(k.cut_width)); }
          const T after = t * (1 - alpha);
          if (k.exclusive && after <= T(k.stop)) { break; }
          for (std::size_t c = 0; c < colour.size(); ++c) { colour[c] += alpha * t * f.colour[c]; }
          depth += alpha * t * f.z;
          inverse += alpha * t / f.z;
          if (t >= T(0.5) && after < T(0.5)) { median = f.z; }
          t = after;
          if (t <= T(k.stop)) { break; }
        }
        for (idx c = 0; c < channels; ++c) {
          out.image.push_back(colour[static_cast<std::size_t>(c)] + t * background(view, c));
        }
        out.depth.push_back(depth);
        out.transmittance.push_back(t);
        out.expected.push_back(depth / std::max(1 - t, T(1e-8)));
        out.inverse.push_back(inverse);
        out.median.push_back(median);
      }
    }
  }
  return out;
}

} // namespace oracle

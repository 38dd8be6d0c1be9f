// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Projection for the baselines: one Gaussian after the other, scalar, from the formulas. It shares nothing with the
/// library but the meaning of the numbers, so that what the benchmarks compare with is a second opinion as well.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace plain {

/// World to camera: rotation row-major. Pixel centres at integer + 0.5.
struct camera {
  float rotation[9], translation[3];
  float fx, fy, cx, cy;
  int width, height;
};

/// Arrays of `count` Gaussians: means, scales (m), quaternions (w, x, y, z), opacities, `channels` colours each.
struct scene {
  std::int64_t count = 0;
  const float *means = nullptr, *scales = nullptr, *quaternions = nullptr, *opacities = nullptr, *colours = nullptr;
};

/// The definition of the image. Three channels.
struct numbers {
  float near = 0.2f, low_pass = 0.3f, margin = 0.3f, alpha_max = 0.99f, alpha_cut = 1.0f / 255, stop = 1e-4f;
  float radius_clip = 0; ///< px
};

/// One Gaussian in one image; not drawn if `extent_x` is 0.
struct splat {
  float x, y, z, a, b, c, opacity;
  float extent_x, extent_y; ///< half sizes of the box in which alpha reaches the cut
  float sigma_x, sigma_y;   ///< standard deviations along the axes of the image
  float reach;              ///< exponent at which alpha meets the cut: log(opacity / cut)
  bool visible() const { return extent_x > 0; }
};
struct splat_gradient {
  float x, y, a, b, c, opacity;
};

/// Gradients of a scene.
struct gradients {
  std::vector<float> means, scales, quaternions, opacities, colours, background;
  gradients(std::int64_t n, std::size_t views)
      : means(size(3 * n)),
        scales(size(3 * n)),
        quaternions(size(4 * n)),
        opacities(size(n)),
        colours(size(3 * n)),
        background(3 * views) {}

private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
};

/// What projecting computes on the way, kept for the way back.
struct projected {
  float p[3];           ///< centre in the camera frame
  float q[4], length;   ///< normalised quaternion and what it was divided by
  float r[3][3];        ///< rotation of the Gaussian
  float wm[3][3];       ///< W R S
  float n[2][3];        ///< J W R S
  float xx, xz, yy, yz; ///< entries of J
  float tx, ty;         ///< clamped camera coordinates
  bool free_x, free_y;  ///< the clamp did not act
  float cov[3];         ///< xx, xy, yy with the low pass
};

inline void rotation_of(const float* q, float (&r)[3][3]) {
  const float w = q[0], x = q[1], y = q[2], z = q[3];
  r[0][0] = 1 - 2 * (y * y + z * z), r[0][1] = 2 * (x * y - w * z), r[0][2] = 2 * (x * z + w * y);
  r[1][0] = 2 * (x * y + w * z), r[1][1] = 1 - 2 * (x * x + z * z), r[1][2] = 2 * (y * z - w * x);
  r[2][0] = 2 * (x * z - w * y), r[2][1] = 2 * (y * z + w * x), r[2][2] = 1 - 2 * (x * x + y * y);
}

/// False if the Gaussian is behind the near plane or too faint.
inline bool project_one(const scene& s, const camera& c, const numbers& k, std::int64_t g, projected& o) {
  const float* m = s.means + 3 * g;
  for (int i = 0; i < 3; ++i) {
    const float* row = c.rotation + 3 * i;
    o.p[i] = row[0] * m[0] + row[1] * m[1] + row[2] * m[2] + c.translation[i];
  }
  if (!(o.p[2] > k.near) || !(s.opacities[g] >= k.alpha_cut)) { return false; }
  const float* raw = s.quaternions + 4 * g;
  o.length = std::sqrt(raw[0] * raw[0] + raw[1] * raw[1] + raw[2] * raw[2] + raw[3] * raw[3]);
  for (int i = 0; i < 4; ++i) { o.q[i] = raw[i] / o.length; }
  rotation_of(o.q, o.r);
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      float sum = 0;
      for (int l = 0; l < 3; ++l) { sum += c.rotation[3 * i + l] * o.r[l][j]; }
      o.wm[i][j] = sum * s.scales[3 * g + j];
    }
  }
  const float z = o.p[2], ux = o.p[0] / z, uy = o.p[1] / z;
  const float x0 = -c.cx / c.fx, x1 = (static_cast<float>(c.width) - c.cx) / c.fx;
  const float y0 = -c.cy / c.fy, y1 = (static_cast<float>(c.height) - c.cy) / c.fy;
  const float mx = k.margin * 0.5f * std::abs(x1 - x0), my = k.margin * 0.5f * std::abs(y1 - y0);
  const float kx = std::clamp(ux, std::min(x0, x1) - mx, std::max(x0, x1) + mx);
  const float ky = std::clamp(uy, std::min(y0, y1) - my, std::max(y0, y1) + my);
  o.free_x = kx == ux, o.free_y = ky == uy;
  o.tx = kx * z, o.ty = ky * z;
  o.xx = c.fx / z, o.xz = -c.fx * kx / z, o.yy = c.fy / z, o.yz = -c.fy * ky / z;
  for (int j = 0; j < 3; ++j) {
    o.n[0][j] = o.xx * o.wm[0][j] + o.xz * o.wm[2][j];
    o.n[1][j] = o.yy * o.wm[1][j] + o.yz * o.wm[2][j];
  }
  const auto dot = [](const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; };
  o.cov[0] = dot(o.n[0], o.n[0]) + k.low_pass;
  o.cov[1] = dot(o.n[0], o.n[1]);
  o.cov[2] = dot(o.n[1], o.n[1]) + k.low_pass;
  return true;
}

/// All Gaussians in one camera.
inline std::vector<splat> project(const scene& s, const camera& c, const numbers& k) {
  std::vector<splat> out(static_cast<std::size_t>(s.count));
  for (std::int64_t g = 0; g < s.count; ++g) {
    splat& o = out[static_cast<std::size_t>(g)];
    o.extent_x = 0;
    projected p;
    if (!project_one(s, c, k, g, p)) { continue; }
    const float det = p.cov[0] * p.cov[2] - p.cov[1] * p.cov[1];
    if (!(det > 0)) { continue; }
    o.x = c.fx * p.p[0] / p.p[2] + c.cx;
    o.y = c.fy * p.p[1] / p.p[2] + c.cy;
    o.z = p.p[2];
    o.a = p.cov[2] / det, o.b = -p.cov[1] / det, o.c = p.cov[0] / det;
    o.opacity = s.opacities[g];
    o.reach = std::log(o.opacity / k.alpha_cut);
    o.sigma_x = std::sqrt(p.cov[0]), o.sigma_y = std::sqrt(p.cov[2]);
    const float reach = std::sqrt(2 * o.reach), ex = reach * o.sigma_x + 0.01f, ey = reach * o.sigma_y + 0.01f;
    const bool outside = o.x + ex < 0 || o.x - ex > static_cast<float>(c.width) || o.y + ey < 0 ||
                         o.y - ey > static_cast<float>(c.height);
    if (outside || (ex <= k.radius_clip && ey <= k.radius_clip)) { continue; }
    o.extent_x = ex, o.extent_y = ey;
  }
  return out;
}

/// Adds the gradients that arrive through one camera.
inline void project_backward(const scene& s, const camera& c, const numbers& k, const std::vector<splat>& splats,
                             const std::vector<splat_gradient>& d, gradients& out) {
  for (std::int64_t g = 0; g < s.count; ++g) {
    const splat& f = splats[static_cast<std::size_t>(g)];
    projected p;
    if (!f.visible() || !project_one(s, c, k, g, p)) { continue; }
    const splat_gradient& v = d[static_cast<std::size_t>(g)];
    // G = -Q V Q for the inverse Q = [[a, b], [b, c]].
    const float h = 0.5f * v.b;
    const float m00 = f.a * v.a + f.b * h, m01 = f.a * h + f.b * v.c, m10 = f.b * v.a + f.c * h,
                m11 = f.b * h + f.c * v.c;
    const float g00 = -(m00 * f.a + m01 * f.b), g01 = -(m00 * f.b + m01 * f.c), g11 = -(m10 * f.b + m11 * f.c);
    float dn[2][3], dm[3][3];
    for (int j = 0; j < 3; ++j) {
      dn[0][j] = 2 * (g00 * p.n[0][j] + g01 * p.n[1][j]);
      dn[1][j] = 2 * (g01 * p.n[0][j] + g11 * p.n[1][j]);
    }
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) {
        dm[i][j] = c.rotation[i] * p.xx * dn[0][j] + c.rotation[3 + i] * p.yy * dn[1][j] +
                   c.rotation[6 + i] * (p.xz * dn[0][j] + p.yz * dn[1][j]);
      }
    }
    float j00 = 0, j02 = 0, j11 = 0, j12 = 0; // dL/dJ
    for (int j = 0; j < 3; ++j) {
      j00 += dn[0][j] * p.wm[0][j], j02 += dn[0][j] * p.wm[2][j];
      j11 += dn[1][j] * p.wm[1][j], j12 += dn[1][j] * p.wm[2][j];
    }
    const float z = p.p[2], z2 = z * z, z3 = z2 * z;
    float t[3] = {c.fx / z * v.x, c.fy / z * v.y, -(c.fx * p.p[0] * v.x + c.fy * p.p[1] * v.y) / z2};
    t[2] -= (c.fx * j00 + c.fy * j11) / z2;
    if (p.free_x) { t[0] -= c.fx / z2 * j02; }
    if (p.free_y) { t[1] -= c.fy / z2 * j12; }
    t[2] += ((p.free_x ? 2.0f : 1.0f) * c.fx * p.tx * j02 + (p.free_y ? 2.0f : 1.0f) * c.fy * p.ty * j12) / z3;
    float dr[3][3];
    for (int j = 0; j < 3; ++j) {
      float sum = 0;
      for (int i = 0; i < 3; ++i) {
        sum += dm[i][j] * p.r[i][j];
        dr[i][j] = dm[i][j] * s.scales[3 * g + j];
      }
      out.scales[static_cast<std::size_t>(3 * g + j)] += sum;
      out.means[static_cast<std::size_t>(3 * g + j)] +=
          c.rotation[j] * t[0] + c.rotation[3 + j] * t[1] + c.rotation[6 + j] * t[2];
    }
    const float w = p.q[0], x = p.q[1], y = p.q[2], u = p.q[3];
    const float dq[4] = {2 * (-u * dr[0][1] + y * dr[0][2] + u * dr[1][0] - x * dr[1][2] - y * dr[2][0] + x * dr[2][1]),
                         2 * (y * (dr[0][1] + dr[1][0]) + u * (dr[0][2] + dr[2][0]) - 2 * x * (dr[1][1] + dr[2][2]) +
                              w * (dr[2][1] - dr[1][2])),
                         2 * (x * (dr[0][1] + dr[1][0]) + u * (dr[1][2] + dr[2][1]) - 2 * y * (dr[0][0] + dr[2][2]) +
                              w * (dr[0][2] - dr[2][0])),
                         2 * (x * (dr[0][2] + dr[2][0]) + y * (dr[1][2] + dr[2][1]) - 2 * u * (dr[0][0] + dr[1][1]) +
                              w * (dr[1][0] - dr[0][1]))};
    const float along = dq[0] * w + dq[1] * x + dq[2] * y + dq[3] * u;
    for (int i = 0; i < 4; ++i) {
      out.quaternions[static_cast<std::size_t>(4 * g + i)] += (dq[i] - p.q[i] * along) / p.length;
    }
    out.opacities[static_cast<std::size_t>(g)] += v.opacity;
  }
}

} // namespace plain

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Rays against the solids of a street: what they hit, how far away, in which colour.

#include <sqs/data/procedural_scene.hpp>

#include <limits>

namespace sqs {

/// Where a ray o + t d first meets the scene. Beyond `far` it sees the sky.
struct ray_hit {
  double t = std::numeric_limits<double>::infinity();
  const solid* what = nullptr;  ///< null for the ground and the sky
  vec3<double> local;           ///< the point in the solid's own axes, for the ground in the street's
  vec3<double> normal{0, 0, 1}; ///< in the same axes, unit length
};

namespace detail {

/// Turns street axes to those of a solid.
inline vec3<double> to_local(const solid& s, vec3<double> v) {
  return {s.cosine * v.x + s.sine * v.y, s.cosine * v.y - s.sine * v.x, v.z};
}

/// Enters [near, far] of a slab |o + t d| <= h; returns false when it is missed.
inline bool clip_slab(double o, double d, double h, double& near, double& far) {
  const double inverse_d = 1 / d; // +-inf for a parallel ray: the comparisons below then do the right thing
  const double a = (-h - o) * inverse_d, b = (h - o) * inverse_d;
  near = std::max(near, std::min(a, b));
  far = std::min(far, std::max(a, b));
  return near <= far;
}

/// t in (0, hit.t) at which the ray enters the solid, if it does.
inline void meet(const solid& s, vec3<double> origin, vec3<double> direction, ray_hit& hit) {
  const vec3<double> o = to_local(s, origin - s.center), d = to_local(s, direction);
  double near = 0, far = hit.t;
  vec3<double> normal{};
  if (s.shape == solid_shape::box) {
    double before = near;
    if (!clip_slab(o.x, d.x, s.half.x, near, far)) { return; }
    if (near > before) { normal = {d.x < 0 ? 1.0 : -1.0, 0, 0}; }
    before = near;
    if (!clip_slab(o.y, d.y, s.half.y, near, far)) { return; }
    if (near > before) { normal = {0, d.y < 0 ? 1.0 : -1.0, 0}; }
    before = near;
    if (!clip_slab(o.z, d.z, s.half.z, near, far)) { return; }
    if (near > before) { normal = {0, 0, d.z < 0 ? 1.0 : -1.0}; }
  } else {
    const bool round = s.shape == solid_shape::ellipsoid;
    const vec3<double> inv{1 / s.half.x, 1 / s.half.y, round ? 1 / s.half.z : 0};
    const vec3<double> p = scaled(inv, o), q = scaled(inv, d);
    const double a = dot(q, q), b = dot(p, q), c = dot(p, p) - 1, disc = b * b - a * c;
    if (a > 0) {
      if (!(disc > 0)) { return; }
      const double root = std::sqrt(disc), enter = (-b - root) / a;
      if (enter > near) {
        near = enter;
        normal = normalized(scaled(inv, p + enter * q));
      }
      far = std::min(far, (-b + root) / a);
    } else if (c > 0) { // parallel to the axis of a cylinder, outside it
      return;
    }
    const double before = near;
    if (!round && !clip_slab(o.z, d.z, s.half.z, near, far)) { return; }
    if (!round && near > before) { normal = {0, 0, d.z < 0 ? 1.0 : -1.0}; }
  }
  if (near <= far && near > 1e-9 && near < hit.t) { hit = {near, &s, o + near * d, normal}; }
}

/// floor without a library call, for |x| < 2^62.
inline double whole(double x) {
  const auto i = static_cast<double>(static_cast<std::int64_t>(x));
  return i > x ? i - 1 : i;
}
/// Where x lies in its period, 0 .. 1.
inline double phase(double x) { return x - whole(x); }

/// Smooth noise in 0 .. 1 over the plane, wavelength 1, faded to its mean where one sample covers a wave.
inline double noise(double x, double y, std::uint64_t grain, double footprint) {
  const double fade = std::clamp(1.5 - 1.5 * footprint, 0.0, 1.0);
  if (fade == 0) { return 0.5; }
  const double fx = whole(x), fy = whole(y);
  const auto at = [&](int i, int j) {
    const auto a = static_cast<std::uint64_t>(static_cast<std::int64_t>(fx) + i) * 0x9E3779B97F4A7C15ull;
    const auto b = static_cast<std::uint64_t>(static_cast<std::int64_t>(fy) + j) * 0xC2B2AE3D27D4EB4Full;
    return static_cast<double>(mix_bits(a ^ b ^ grain) >> 40) * 0x1.0p-24;
  };
  const double u = x - fx, v = y - fy, su = u * u * (3 - 2 * u), sv = v * v * (3 - 2 * v);
  const double low = at(0, 0) + su * (at(1, 0) - at(0, 0)), high = at(0, 1) + su * (at(1, 1) - at(0, 1));
  return 0.5 + fade * (low + sv * (high - low) - 0.5);
}

inline vec3<double> mixed(vec3<double> a, vec3<double> b, double t) { return (1 - t) * a + t * b; }

inline vec3<double> ground_colour(const street_scene& s, double x, double y, double footprint) {
  const double side = std::abs(y), rough = noise(3 * x, 3 * y, s.grain, 3 * footprint);
  const double patch = noise(x / 4, y / 4, s.grain + 1, footprint / 4);
  if (side < s.road_half) {
    const double dash = phase(x / 8), fade = std::clamp(2 - footprint, 0.0, 1.0);
    const bool middle = side < 0.09 && dash<0.45, edge = side> s.road_half - 2.5 && side < s.road_half - 2.38;
    const vec3<double> bare = (0.72 + 0.28 * rough + 0.28 * patch) * s.road;
    return middle || edge ? mixed(bare, {0.88, 0.86, 0.78}, 0.9 * fade) : bare;
  }
  if (side < s.road_half + s.walk) {
    const double tile_x = phase(x / 1.5), tile_y = phase((side - s.road_half) / 1.5);
    const bool joint = tile_x < 0.05 || tile_y < 0.05, kerb = side < s.road_half + 0.25;
    const double shade =
        0.85 + 0.2 * rough - (joint ? 0.25 * std::clamp(1.5 - 2 * footprint, 0.0, 1.0) : 0) + (kerb ? 0.15 : 0);
    return shade * s.walkway;
  }
  return (0.55 + 0.45 * rough + 0.5 * patch) * s.soil;
}

inline vec3<double> solid_colour(const solid& s, vec3<double> p, vec3<double> n, double footprint) {
  const bool along_x = std::abs(n.x) < std::abs(n.y);
  const double u = along_x ? p.x : p.y, up = p.z + s.half.z;
  switch (s.look) {
  case surface::facade: {
    if (n.z > 0.5) { return 0.5 * s.colour; }
    const double pane_u = phase(u / 2.6), pane_v = phase(up / 3.1);
    const bool window = pane_u > 0.25 && pane_u < 0.75 && pane_v > 0.3 && pane_v < 0.78 && up < 2 * s.half.z - 0.6;
    const double stain = 0.8 + 0.4 * noise(u / 1.5, up / 1.5, s.grain, footprint / 1.5);
    const double course = phase(up / 0.45) < 0.12 ? 0.88 : 1.0;
    const double fade = std::clamp(2 - footprint, 0.0, 1.0);
    const vec3<double> wall = (stain * (1 - fade + fade * course)) * s.colour;
    return window ? mixed(wall, s.accent, 0.25 + 0.75 * fade) : wall;
  }
  case surface::paintwork: {
    const bool light = std::abs(n.x) > 0.5 && std::abs(p.y) > 0.55 * s.half.y && std::abs(p.z) < 0.35 * s.half.z;
    if (light) { return n.x > 0 ? vec3<double>{0.95, 0.93, 0.8} : vec3<double>{0.8, 0.08, 0.08}; }
    const bool sill = up < 0.25 * s.half.z;
    return sill ? s.accent : (0.9 + 0.2 * noise(2 * u, 2 * up, s.grain, 2 * footprint)) * s.colour;
  }
  case surface::stripes: {
    return phase(up / (1.32 * s.half.z)) < 0.5 ? s.colour : s.accent;
  }
  case surface::foliage: {
    const double leaf = noise(5 * p.x + 2 * p.z, 5 * p.y - 3 * p.z, s.grain, 6 * footprint) +
                        noise(6 * p.z + p.y, 4 * (p.x - p.y), s.grain + 1, 6 * footprint);
    return (0.4 + 0.55 * leaf) * s.colour;
  }
  case surface::plain:
    break;
  }
  return (0.88 + 0.24 * noise(4 * u, 4 * up, s.grain, 4 * footprint)) * s.colour;
}

} // namespace detail

/// Rays that start in one point and lie within a cone: the solids it cannot meet are left out once for all of them.
class ray_bundle {
public:
  /// `axis` has unit length; `half_angle` is in radians.
  ray_bundle(const street_scene& scene, vec3<double> origin, vec3<double> axis, double half_angle)
      : scene_(scene),
        origin_(origin) {
    for (const solid& s : scene.solids) {
      const vec3<double> to = s.center - origin;
      const double distance = length(to), radius = length(s.half);
      if (distance > radius) {
        const double between = std::acos(std::clamp(dot(to, axis) / distance, -1.0, 1.0));
        if (between > half_angle + std::asin(radius / distance)) { continue; }
      }
      near_.push_back({std::max(0.0, distance - radius), &s});
    }
    std::sort(near_.begin(), near_.end(), [](const auto& a, const auto& b) { return a.distance < b.distance; });
  }

  /// The first hit of o + t d with t * |d| up to `far` metres.
  ray_hit cast(vec3<double> d, double far = 400) const {
    const double scale = length(d);
    ray_hit hit;
    hit.t = far / scale;
    bool met = false;
    if (d.z < 0) {
      const double t = -origin_.z / d.z;
      if (t > 0 && t < hit.t) {
        hit = {t, nullptr, origin_ + t * d, {0, 0, 1}};
        met = true;
      }
    }
    for (const auto& [distance, s] : near_) {
      if (distance > hit.t * scale) { break; }
      detail::meet(*s, origin_, d, hit);
    }
    if (hit.what == nullptr && !met) { hit.t = std::numeric_limits<double>::infinity(); }
    return hit;
  }

  /// What the ray sees, 0 .. 1; `spread` is the width of a pixel at distance 1.
  vec3<double> shade(const ray_hit& hit, vec3<double> d, double spread) const {
    const double size = length(d);
    if (!std::isfinite(hit.t)) {
      const vec3<double> way = (1 / size) * d;
      const double to_sun = std::max(0.0, dot(way, scene_.sun)), glow = std::pow(to_sun, 40.0);
      return detail::mixed(scene_.sky_low, scene_.sky_high, std::sqrt(std::max(0.0, way.z))) +
             0.25 * glow * vec3<double>{1, 0.9, 0.7};
    }
    const double distance = hit.t * size, footprint = distance * spread;
    vec3<double> colour, normal = hit.normal;
    if (hit.what == nullptr) {
      colour = detail::ground_colour(scene_, hit.local.x, hit.local.y, footprint / std::max(0.2, -d.z / size));
    } else {
      const solid& s = *hit.what;
      colour = detail::solid_colour(s, hit.local, hit.normal, footprint);
      normal = {s.cosine * normal.x - s.sine * normal.y, s.sine * normal.x + s.cosine * normal.y, normal.z};
    }
    const double light = 0.5 + 0.12 * normal.z + 0.45 * std::max(0.0, dot(normal, scene_.sun));
    return detail::mixed(light * colour, scene_.sky_low, 1 - std::exp(-distance / 220));
  }

private:
  struct candidate {
    double distance;
    const solid* s;
  };
  const street_scene& scene_;
  vec3<double> origin_;
  std::vector<candidate> near_;
};

} // namespace sqs

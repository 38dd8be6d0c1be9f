// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The solids a town is built of: five shapes that turn about z, each with a class, an instance and a look; where a
/// ray enters one, and how far a point is from one.

#include <sqs/core/math.hpp>
#include <sqs/core/random.hpp>

#include <algorithm>
#include <array>
#include <limits>

namespace sqs::town {

using point = vec3<double>;
using colour = vec3<double>; ///< linear light, 0 .. 1

enum class shape : std::uint8_t {
  prism,     ///< a box whose walls lean inwards by `lean` = (front, back, sides) metres from foot to top
  cone,      ///< upright, radius half.x at the foot and half.x * lean[0] at the top; 1 is a cylinder
  wheel,     ///< a disk whose axle is the solid's y axis, radius half.x, hollow below half.x * lean[0]
  ellipsoid, ///< half axes `half`; a tree's crown lets some rays pass near its outline (`look::foliage`)
  capsule,   ///< a round bar from center - axis to center + axis (in the solid's own axes), radius half.x
};

/// How a surface is painted; see appearance.hpp.
enum class look : std::uint8_t {
  plain,
  road,
  paving,
  grass,
  plaza,
  facade,
  roof,
  car_body,
  car_cabin,
  wheel,
  foliage,
  bark,
  striped,
  cloth,
  sign,
  lamp,
  coach, ///< a bus or van: windows in a band
};

inline constexpr std::int32_t no_instance = -1;

/// Metres, radians. `label` numbers `occupancy_class_names`.
struct solid {
  shape form = shape::prism;
  look surface = look::plain;
  std::uint8_t label = 0;
  bool hollow = false; ///< a house: only its walls fill voxels
  std::int32_t instance = no_instance;
  point center{}, half{}; ///< half extents along the solid's own axes
  double cosine = 1, sine = 0;
  std::array<double, 3> lean{};
  point axis{};
  colour paint{0.5, 0.5, 0.5}, accent{};
  std::uint64_t grain = 0;       ///< of its texture
  std::array<double, 3> extra{}; ///< what the look needs: see appearance.hpp
};

/// Turns town axes to those of a solid, and back.
inline point to_own(const solid& s, point v) {
  return {s.cosine * v.x + s.sine * v.y, s.cosine * v.y - s.sine * v.x, v.z};
}
inline point from_own(const solid& s, point v) {
  return {s.cosine * v.x - s.sine * v.y, s.sine * v.x + s.cosine * v.y, v.z};
}

/// The smallest upright box around something.
struct bounds {
  point low{1e30, 1e30, 1e30}, high{-1e30, -1e30, -1e30};

  void add(point p) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y), std::min(low.z, p.z)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y), std::max(high.z, p.z)};
  }
  void add(const bounds& b) { add(b.low), add(b.high); }
};
inline bounds bounds_of(const solid& s) {
  point h = s.half;
  if (s.form == shape::cone) { h.x = h.y = s.half.x * std::max(1.0, s.lean[0]); }
  if (s.form == shape::wheel) { h.z = s.half.x; }
  if (s.form == shape::capsule) {
    h = {std::abs(s.axis.x) + s.half.x, std::abs(s.axis.y) + s.half.x, std::abs(s.axis.z) + s.half.x};
  }
  const double c = std::abs(s.cosine), n = std::abs(s.sine);
  const point reach{c * h.x + n * h.y, n * h.x + c * h.y, h.z};
  return {s.center - reach, s.center + reach};
}

/// Where a ray o + t d first meets something.
struct hit {
  double t = std::numeric_limits<double>::infinity();
  const solid* what = nullptr; ///< null for the road and the sky
  point local{};               ///< the place, in the solid's own axes; on the road in the town's
  point normal{0, 0, 1};       ///< in the same axes, unit length
};

namespace detail {

/// A pseudo-random number in [0, 1) for each cell of a grid.
inline double cell_number(double x, double y, double z, std::uint64_t grain) {
  const auto whole = [](double v) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(std::floor(v))); };
  const std::uint64_t k =
      whole(x) * 0x9E3779B97F4A7C15ull ^ whole(y) * 0xC2B2AE3D27D4EB4Full ^ whole(z) * 0x165667B19E3779F9ull ^ grain;
  return static_cast<double>(mix_bits(k) >> 40) * 0x1.0p-24;
}

/// Clips [near, far] to the side of a plane where a + t b <= 0; `normal` is kept if the entry moves.
inline bool clip_plane(double a, double b, point normal, double& near, double& far, point& entered) {
  if (b == 0) { return a <= 0; }
  const double t = -a / b;
  if (b < 0) {
    if (t > near) { near = t, entered = normal; }
  } else {
    far = std::min(far, t);
  }
  return near <= far;
}

/// The six planes of a prism as (normal, offset): normal . p <= offset inside. Not of unit length.
struct prism_planes {
  std::array<point, 6> normal;
  std::array<double, 6> offset;

  explicit prism_planes(const solid& s) {
    // Half the lean lies below the middle: x = half.x - lean (z / height + 1/2).
    const double high = 2 * s.half.z, f = s.lean[0] / high, b = s.lean[1] / high, w = s.lean[2] / high;
    normal = {{{1, 0, f}, {-1, 0, b}, {0, 1, w}, {0, -1, w}, {0, 0, 1}, {0, 0, -1}}};
    offset = {s.half.x - s.lean[0] / 2,
              s.half.x - s.lean[1] / 2,
              s.half.y - s.lean[2] / 2,
              s.half.y - s.lean[2] / 2,
              s.half.z,
              s.half.z};
  }
};

inline bool enter_prism(const solid& s, point o, point d, double& near, double far, point& normal) {
  if (s.lean[0] == 0 && s.lean[1] == 0 && s.lean[2] == 0) {
    const double oo[] = {o.x, o.y, o.z}, dd[] = {d.x, d.y, d.z}, h[] = {s.half.x, s.half.y, s.half.z};
    int face = -1;
    for (int a = 0; a < 3; ++a) {
      if (dd[a] == 0) {
        if (std::abs(oo[a]) > h[a]) { return false; }
        continue;
      }
      const double inv = 1 / dd[a], side = std::copysign(h[a], dd[a]);
      const double enter = (-side - oo[a]) * inv, leave = (side - oo[a]) * inv;
      if (enter > near) { near = enter, face = a; }
      far = std::min(far, leave);
      if (near > far) { return false; }
    }
    if (face < 0) { return false; }
    const double sign = dd[face] > 0 ? -1.0 : 1.0;
    normal = {face == 0 ? sign : 0, face == 1 ? sign : 0, face == 2 ? sign : 0};
    return true;
  }
  const prism_planes p(s);
  const double before = near;
  for (std::size_t i = 0; i < 6; ++i) {
    const point n = p.normal[i];
    if (!clip_plane(dot(n, o) - p.offset[i], dot(n, d), n, near, far, normal)) { return false; }
  }
  if (near == before) { return false; }
  normal = normalized(normal);
  return true;
}

/// Radius r + k z about the z axis, z within +-half.z.
inline bool enter_cone(const solid& s, point o, point d, double& near, double far, point& normal) {
  const double high = 2 * s.half.z, k = s.half.x * (s.lean[0] - 1) / high, r = s.half.x * (s.lean[0] + 1) / 2;
  const double before = near, radius = r + k * o.z;
  if (!clip_plane(o.z - s.half.z, d.z, {0, 0, 1}, near, far, normal)) { return false; }
  if (!clip_plane(-o.z - s.half.z, -d.z, {0, 0, -1}, near, far, normal)) { return false; }
  const double a = d.x * d.x + d.y * d.y - k * k * d.z * d.z, b = o.x * d.x + o.y * d.y - k * radius * d.z;
  const double c = o.x * o.x + o.y * o.y - radius * radius, disc = b * b - a * c;
  if (a > 1e-12) {
    if (disc <= 0) { return false; }
    const double root = std::sqrt(disc), enter = (-b - root) / a;
    far = std::min(far, (-b + root) / a);
    if (enter > near) {
      near = enter;
      const point p = o + near * d;
      normal = normalized(point{p.x, p.y, -k * (r + k * p.z)});
    }
    if (near > far) { return false; }
  } else { // as steep as the cone itself or along the axis: only the caps can be entered
    const point p = o + near * d;
    const double at = r + k * p.z;
    if (p.x * p.x + p.y * p.y > at * at) { return false; }
  }
  return near > before;
}

inline bool enter_wheel(const solid& s, point o, point d, double& near, double far, point& normal) {
  const double before = near, r = s.half.x;
  if (!clip_plane(o.y - s.half.y, d.y, {0, 1, 0}, near, far, normal)) { return false; }
  if (!clip_plane(-o.y - s.half.y, -d.y, {0, -1, 0}, near, far, normal)) { return false; }
  const double a = d.x * d.x + d.z * d.z, b = o.x * d.x + o.z * d.z, c = o.x * o.x + o.z * o.z - r * r;
  if (a > 1e-12) {
    const double disc = b * b - a * c;
    if (disc <= 0) { return false; }
    const double root = std::sqrt(disc), enter = (-b - root) / a;
    far = std::min(far, (-b + root) / a);
    if (enter > near) {
      near = enter;
      const point p = o + near * d;
      normal = (1 / r) * point{p.x, 0, p.z};
    }
    if (near > far) { return false; }
  } else if (c > 0) {
    return false;
  }
  if (near <= before) { return false; }
  const point p = o + near * d;
  const double hole = r * s.lean[0];
  return p.x * p.x + p.z * p.z >= hole * hole; // a tyre: looked through, not into
}

inline bool enter_ellipsoid(const solid& s, point o, point d, double& near, double far, point& normal) {
  const point inv{1 / s.half.x, 1 / s.half.y, 1 / s.half.z}, p = scaled(inv, o), q = scaled(inv, d);
  const double a = dot(q, q), b = dot(p, q), c = dot(p, p) - 1, disc = b * b - a * c;
  if (disc <= 0) { return false; }
  const double root = std::sqrt(disc), enter = (-b - root) / a;
  if (!(enter > near && enter < far)) { return false; }
  if (s.surface == look::foliage) {
    // Leaves thin out towards the outline, so that it is ragged: cells of 16 cm are there or not.
    const point at = o + enter * d;
    const double facing = root / std::sqrt(a); // 1 in the middle, 0 at the outline
    if (cell_number(6 * at.x, 6 * at.y, 6 * at.z, s.grain) > 0.25 + 1.6 * facing) { return false; }
  }
  near = enter;
  normal = normalized(scaled(inv, p + enter * q));
  return true;
}

inline bool enter_capsule(const solid& s, point o, point d, double& near, double far, point& normal) {
  const point from = o + s.axis, bar = 2.0 * s.axis; // from one end
  const double r = s.half.x, bb = dot(bar, bar), bd = dot(bar, d), bo = dot(bar, from), dd = dot(d, d);
  const double a = bb * dd - bd * bd, b = bb * dot(from, d) - bo * bd, c = bb * (dot(from, from) - r * r) - bo * bo;
  double t = -1;
  const double disc = b * b - a * c;
  if (disc < 0) { return false; }
  if (a > 1e-12) {
    t = (-b - std::sqrt(disc)) / a;
    const double along = bo + t * bd;
    if (along <= 0 || along >= bb) { t = -1; }
    if (t > 0) { normal = from + t * d - (along / bb) * bar; }
  }
  if (t <= 0) { // the round ends
    double best = far;
    for (const point& end : {from, from - bar}) {
      const double eb = dot(end, d), disc_end = eb * eb - dd * (dot(end, end) - r * r);
      if (disc_end <= 0) { continue; }
      const double at = (-eb - std::sqrt(disc_end)) / dd;
      if (at > near && at < best) {
        best = at;
        normal = end + at * d;
        t = at;
      }
    }
  }
  if (!(t > near && t < far)) { return false; }
  near = t;
  normal = (1 / r) * normal;
  return true;
}

} // namespace detail

/// Lowers `best` if the ray enters the solid before it. A ray that starts inside does not meet it.
inline void meet(const solid& s, point origin, point direction, hit& best) {
  const point o = to_own(s, origin - s.center), d = to_own(s, direction);
  double near = 1e-6;
  point normal{};
  bool entered = false;
  switch (s.form) {
  case shape::prism:
    entered = detail::enter_prism(s, o, d, near, best.t, normal);
    break;
  case shape::cone:
    entered = detail::enter_cone(s, o, d, near, best.t, normal);
    break;
  case shape::wheel:
    entered = detail::enter_wheel(s, o, d, near, best.t, normal);
    break;
  case shape::ellipsoid:
    entered = detail::enter_ellipsoid(s, o, d, near, best.t, normal);
    break;
  case shape::capsule:
    entered = detail::enter_capsule(s, o, d, near, best.t, normal);
    break;
  }
  if (entered && near < best.t) { best = {near, &s, o + near * d, normal}; }
}

/// At most the distance from a point (town axes) to the solid; not above 0 exactly where the point is inside.
inline double distance_to(const solid& s, point p) {
  const point q = to_own(s, p - s.center);
  switch (s.form) {
  case shape::prism: {
    const detail::prism_planes planes(s);
    double far = -1e30;
    for (std::size_t i = 0; i < 6; ++i) {
      far = std::max(far, (dot(planes.normal[i], q) - planes.offset[i]) / length(planes.normal[i]));
    }
    return far;
  }
  case shape::cone: {
    const double k = s.half.x * (s.lean[0] - 1) / (2 * s.half.z), r = s.half.x * (s.lean[0] + 1) / 2;
    const double side = (std::hypot(q.x, q.y) - (r + k * q.z)) / std::sqrt(1 + k * k);
    return std::max(side, std::abs(q.z) - s.half.z);
  }
  case shape::wheel: {
    const double r = std::hypot(q.x, q.z);
    return std::max({r - s.half.x, s.half.x * s.lean[0] - r, std::abs(q.y) - s.half.y});
  }
  case shape::ellipsoid: {
    const double r = length(point{q.x / s.half.x, q.y / s.half.y, q.z / s.half.z});
    return (r - 1) * std::min({s.half.x, s.half.y, s.half.z});
  }
  case shape::capsule: {
    const double bb = dot(s.axis, s.axis), along = bb > 0 ? std::clamp(dot(q, s.axis) / bb, -1.0, 1.0) : 0.0;
    return length(q - along * s.axis) - s.half.x;
  }
  }
  return 1e30;
}

} // namespace sqs::town

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Procedural textures: what colour a surface has at a place, before light falls on it.

#include <sqs/data/town/layout.hpp>
#include <sqs/data/town/parts.hpp>

namespace sqs::town {

/// What a surface is made of at one place. Linear colours.
struct material {
  colour base{};
  double mirror = 0;    ///< of a glossy coat, seen at a right angle; towards grazing angles it grows to 1
  colour glow{};        ///< light of its own
  double through = 0;   ///< how much light leaves let through, 0 .. 1
  double roughness = 0; ///< of the surface's direction
};

namespace detail {

inline double whole(double x) { return std::floor(x); }
inline double phase(double x) { return x - std::floor(x); }
inline colour mixed(colour a, colour b, double t) { return (1 - t) * a + t * b; }
/// 1 for details as large as `size`, falling to 0 where one pixel covers twice as much.
inline double visible(double size, double footprint) { return std::clamp(2 - 1.5 * footprint / size, 0.0, 1.0); }

/// 1 while a pattern's period covers four pixels and more, 0 from two on: what is finer would only alias.
inline double resolved(double period, double footprint) { return std::clamp(2 - 4 * footprint / period, 0.0, 1.0); }

/// How much of a pixel of `footprint` around `at` lies on stripes: `on` of every `period`, from its begin. The exact
/// mean over the pixel, which becomes the mean of the pattern where that is too fine to be seen.
inline double stripe_share(double at, double period, double on, double footprint) {
  const double clear = resolved(period, footprint), width = footprint / period, middle = at / period;
  if (clear == 0) { return on; }
  if (width < 1e-6) { return phase(middle) < on ? 1 : 0; }
  const auto covered = [&](double v) { return on * whole(v) + std::min(phase(v), on); };
  return on + clear * ((covered(middle + width / 2) - covered(middle - width / 2)) / width - on);
}

/// Smooth noise around 0.5 over the plane, wavelength 1, faded to its mean where a pixel covers a wave.
inline double noise(double x, double y, std::uint64_t grain, double footprint) {
  const double fade = std::clamp(1.5 - 1.5 * footprint, 0.0, 1.0);
  if (fade == 0) { return 0.5; }
  const double fx = whole(x), fy = whole(y);
  const auto cx = static_cast<std::uint64_t>(static_cast<std::int64_t>(fx));
  const auto cy = static_cast<std::uint64_t>(static_cast<std::int64_t>(fy));
  const auto at = [&](std::uint64_t i, std::uint64_t j) {
    std::uint64_t k = (cx + i) * 0x9E3779B97F4A7C15ull ^ (cy + j) * 0xC2B2AE3D27D4EB4Full ^ grain;
    k = (k ^ (k >> 29)) * 0xBF58476D1CE4E5B9ull;
    return static_cast<double>((k ^ (k >> 32)) & 0xFFFFFF) * 0x1.0p-24;
  };
  const double u = x - fx, v = y - fy, su = u * u * (3 - 2 * u), sv = v * v * (3 - 2 * v);
  const double low = at(0, 0) + su * (at(1, 0) - at(0, 0)), high = at(0, 1) + su * (at(1, 1) - at(0, 1));
  return 0.5 + fade * (low + sv * (high - low) - 0.5);
}

/// Whether a place on a street is painted white: 0 .. 1. `u` from the middle to the right of the way `along` increases,
/// `before` metres to the nearer crossing's square, which lies towards larger `along` when `ahead`.
inline double lane_paint(const street& s, double u, double along, double before, bool ahead, double footprint) {
  const double half_line = 0.07 + 0.25 * footprint, strength = std::clamp(0.14 / (2 * half_line), 0.15, 1.0);
  if (before < stop_line) {
    const bool coming = (u > 0) == ahead;
    const bool line =
        coming && before > 5.6 && before < 6.0 && std::abs(u) < s.lanes * lane_width && std::abs(u) > 0.15;
    return line ? visible(0.4, footprint) : 0;
  }
  const double a = std::abs(u);
  double best = 0;
  const auto add = [&](double at, bool on) {
    if (on && std::abs(a - at) < half_line) { best = strength; }
  };
  add(0.13, true); // a double line between the two ways
  const bool dash = phase(along / 6) < 0.42 || before < 22;
  if (s.lanes == 2) { add(lane_width, dash); }
  add(s.lanes * lane_width, true);
  // An arrow in each lane before the stop line.
  const double w = std::abs(phase(a / lane_width) - 0.5) * lane_width, back = before - 10;
  if ((u > 0) == ahead && a < s.lanes * lane_width && back > 0 && back < 4) {
    const bool head = back < 1.4 && w < 0.1 + 0.32 * back, shaft = back >= 1.4 && w < 0.09;
    if (head || shaft) { best = std::max(best, visible(0.25, footprint)); }
  }
  return best;
}

inline material road_material(const street_map& map, double x, double y, double footprint) {
  const int i = map.nearest_vertical(x), j = map.nearest_horizontal(y);
  const street &v = map.vertical(i), &h = map.horizontal(j);
  const double dx = x - v.at, dy = y - h.at;
  const bool on_v = std::abs(dx) <= v.half(), on_h = std::abs(dy) <= h.half();
  const std::uint64_t grain = map.seed();
  const double fine = noise(9 * x, 9 * y, grain, 9 * footprint),
               rough = noise(1.7 * x, 1.7 * y, grain + 1, 1.7 * footprint);
  const double patch = noise(x / 5, y / 5, grain + 2, footprint / 5);
  double shade = 0.72 + 0.2 * fine + 0.16 * rough + 0.34 * patch, paint = 0;
  const auto stripes = [&](double across) { return stripe_share(across - 0.23, 1, 0.54, footprint); };
  const auto arm = [&](const street& s, double u, double along, double from_crossing, double edge, bool ahead,
                       double middle) {
    const double before = from_crossing - edge;
    if (before < zebra_end) { return before > zebra_begin ? stripes(u) : 0.0; }
    if (std::abs(along - middle) < 1.6) { return stripes(u); }
    if (std::abs(along - middle) < 3) { return 0.0; }
    // Tyres darken two tracks of each lane; a seam runs along the street.
    const double lane = std::abs(phase(std::abs(u) / lane_width) - 0.5) * lane_width;
    if (std::abs(u) < s.lanes * lane_width) { shade *= 1 - 0.1 * std::exp(-6 * (lane - 0.8) * (lane - 0.8)); }
    if (phase(along / 37 + static_cast<double>(s.index) * 0.3) < 0.25 && u > 0) { shade *= 0.78; } // repaired
    return lane_paint(s, u, along, before, ahead, footprint);
  };
  if (on_v && !on_h) {
    const int below = dy > 0 ? j : j - 1;
    paint = arm(v, dx, y, std::abs(dy), h.half(), dy < 0, below >= 0 ? map.zebra_between(false, i, below) : 1e9);
  } else if (on_h && !on_v) {
    const int left = dx > 0 ? i : i - 1;
    paint = arm(h, -dy, x, std::abs(dx), v.half(), dx < 0, left >= 0 ? map.zebra_between(true, left, j) : 1e9);
  }
  const double worn = 0.75 + 0.25 * rough;
  material m{.base = shade * screen(0.34, 0.335, 0.335), .roughness = 0};
  m.base = mixed(m.base, screen(0.84, 0.83, 0.8), paint * worn);
  m.mirror = 0.015;
  return m;
}

/// Distance from the rim of the slab a piece belongs to, inwards.
inline double from_rim(const solid& s, double x, double y) {
  const double qx = std::abs(x - s.accent.x) - s.extra[0] + s.extra[2],
               qy = std::abs(y - s.accent.y) - s.extra[1] + s.extra[2];
  return s.extra[2] - std::hypot(std::max(qx, 0.0), std::max(qy, 0.0)) - std::min(std::max(qx, qy), 0.0);
}

inline material paving_material(const solid& s, point town, point normal, double footprint) {
  const double rim = from_rim(s, town.x, town.y);
  const double rough = noise(4 * town.x, 4 * town.y, 11, 4 * footprint),
               patch = noise(town.x / 3, town.y / 3, 12, footprint / 3);
  if (rim < 0.28 || normal.z < 0.5) {
    const double joint = 1 - 0.3 * stripe_share(town.x + town.y, 1.2, 0.03, 1.4 * footprint);
    return {.base = (0.85 + 0.2 * rough) * joint * screen(0.68, 0.67, 0.65)};
  }
  const double big = s.surface == look::plaza ? 1.6 : 0.75;
  const double along_x = stripe_share(town.x, big, 0.04, footprint),
               along_y = stripe_share(town.y, big, 0.04, footprint), joint = along_x + along_y - along_x * along_y;
  const double tile = cell_number(town.x / big, town.y / big, 0, 13), tile_fade = visible(big, footprint);
  double shade = 0.82 + 0.16 * rough + 0.16 * patch + 0.12 * (tile - 0.5) * tile_fade;
  shade *= 1 - 0.35 * joint;
  if (s.grain == 1) { // a car park
    const double bay = phase(town.x / 2.7), row = std::abs(phase(town.y / 16) - 0.5) * 16;
    const bool line = (bay < 0.04 && row > 2.9) || std::abs(row - 7.95) < 0.05;
    shade = 0.7 + 0.3 * rough + 0.3 * patch;
    if (line) { return {.base = mixed(shade * s.paint, screen(0.85, 0.85, 0.82), 0.8 * visible(0.1, footprint))}; }
  }
  return {.base = shade * s.paint};
}

inline material grass_material(const solid& s, point town, double footprint) {
  const double fine = noise(11 * town.x, 11 * town.y, 21, 11 * footprint),
               mid = noise(1.3 * town.x, 1.3 * town.y, 22, 1.3 * footprint);
  const double large = noise(town.x / 7, town.y / 7, 23, footprint / 7);
  const colour dry = screen(0.5, 0.46, 0.3);
  return {.base = (0.5 + 0.55 * fine + 0.35 * mid) * mixed(s.paint, dry, 0.45 * large * large + 0.1 * mid),
          .roughness = 0.1};
}

inline material glass(colour tint, double grade) { return {.base = tint, .mirror = 0.08 + 0.1 * grade}; }

/// extra: width of a window bay, height of a floor, style (0 windows in a wall, 1 bands of glass, 2 glass, 3 a house).
inline material facade_material(const solid& s, point p, point n, double footprint) {
  const double up = p.z + s.half.z, u = std::abs(n.x) > std::abs(n.y) ? p.y + s.half.y : p.x + s.half.x;
  if (n.z > 0.5) { return {.base = screen(0.4, 0.4, 0.4)}; }
  const double wide = std::abs(n.x) > std::abs(n.y) ? 2 * s.half.y : 2 * s.half.x;
  const double bay = wide / std::max(1.0, std::round(wide / s.extra[0])), floor_height = s.extra[1];
  const int style = static_cast<int>(s.extra[2]);
  const bool shop = style < 3 && up < 3.8;
  const double level = shop ? 0 : std::floor((up - (style < 3 ? 3.8 : 0)) / floor_height);
  const double pu = phase(u / bay), pv = shop ? up / 3.8 : phase((up - (style < 3 ? 3.8 : 0)) / floor_height);
  const double stain = 0.82 + 0.2 * noise(u / 2.3, up / 3.1, s.grain, footprint / 2) +
                       0.14 * noise(3 * u, 3 * up, s.grain + 1, 3 * footprint);
  const double id = cell_number(u / bay, level, n.x + 2 * n.y + 7, s.grain), fade = visible(0.35, footprint);
  const bool top = up > 2 * s.half.z - 0.7;
  colour wall = stain * s.paint;
  if (s.paint.x > 1.6 * s.paint.z) { // bricks
    const double row = std::floor(up / 0.085),
                 brick = cell_number(u / 0.25 + 0.5 * std::fmod(row, 2.0), row, 0, s.grain);
    wall = (1 + 0.3 * (brick - 0.5) * resolved(0.085, footprint)) * wall;
    wall = mixed(wall, screen(0.6, 0.58, 0.54), 0.5 * stripe_share(up, 0.085, 0.13, footprint));
  }
  if (up < 0.5) { wall = 0.7 * wall; }
  bool window = false, frame = false;
  if (shop) {
    const bool pillar = pu < 0.09 || pu > 0.91;
    window = !pillar && pv > 0.12 && pv < 0.72;
    frame = !window && !pillar && pv > 0.74 && pv < 0.94; // the name board
    if (frame) { return {.base = mixed(wall, mixed(s.paint, screen(id, 0.4, 1 - id), 0.6), fade)}; }
  } else if (style == 2) {
    window = pu > 0.035 && pu < 0.965 && pv > 0.04 && !top;
    frame = !window;
  } else if (style == 1) {
    window = pv > 0.32 && pv < 0.86 && !top && (pu > 0.03 && pu < 0.97);
  } else {
    const double w = style == 3 ? 0.24 : 0.29;
    window = std::abs(pu - 0.5) < w && pv > 0.28 && pv < 0.8 && !top;
    frame = !window && std::abs(pu - 0.5) < w + 0.035 && pv > 0.25 && pv < 0.835 && !top;
    if (window && (std::abs(pu - 0.5) < 0.014 || std::abs(pv - 0.62) < 0.012)) { window = false, frame = true; }
  }
  if (frame) {
    return {.base =
                mixed(wall, style == 2 ? screen(0.3, 0.31, 0.33) : 1.15 * s.paint + colour{0.1, 0.1, 0.1}, 0.8 * fade)};
  }
  if (!window) { return {.base = wall}; }
  const bool blind = id < 0.3 && !shop && pv > 0.3 + 1.5 * id;
  colour tint = blind ? screen(0.62, 0.6, 0.55) : (0.6 + 0.9 * id) * s.accent;
  if (shop) {
    tint = mixed(s.accent, screen(0.5, 0.42, 0.3), 0.25 * noise(3 * u, 2 * up, s.grain + 5, 2 * footprint) + 0.15 * id);
  }
  material m = glass(tint, 1.0 - (blind ? 0.7 : 0.0));
  m.base = mixed(wall, m.base, 0.35 + 0.65 * fade);
  m.mirror *= 0.35 + 0.65 * fade;
  return m;
}

inline colour plate() { return screen(0.88, 0.87, 0.8); }

/// extra: front axle, rear axle, radius of the wheel arches. accent: half length, half width, height of the waist.
inline material car_body_material(const solid& s, point p, point n, double footprint) {
  material m{.base = s.paint, .mirror = 0.05};
  if (s.extra[2] == 0) { return m; }
  const double z = p.z + s.center.z, fade = visible(0.12, footprint);
  if (std::abs(n.y) > 0.6) {
    for (const double x : {s.extra[0], s.extra[1]}) {
      if (std::hypot(p.x - x, z - 0.33) < s.extra[2]) { return {.base = {0.01, 0.01, 0.01}}; }
    }
    const double door = std::min(
        {std::abs(p.x - 0.16 * s.accent.x), std::abs(p.x + 0.3 * s.accent.x), std::abs(p.x - 0.6 * s.accent.x)});
    if (door < 0.014 && z > 0.34) { m.base = mixed(m.base, {0.01, 0.01, 0.01}, 0.8 * visible(0.03, footprint)); }
    if (z < 0.36) { m.base = 0.35 * m.base; }
    if (std::abs(z - 0.9 * s.accent.z) < 0.022 && phase((p.x + 0.2) / (0.46 * s.accent.x)) < 0.22) {
      m.base = 0.5 * m.base;
    }
    return m;
  }
  if (std::abs(n.x) > 0.5) {
    const double side = std::abs(p.y) / s.accent.y, up = z / s.accent.z;
    const bool lamp = side > 0.62 && side < 0.97 && up > 0.62 && up < (n.x > 0 ? 0.8 : 0.9);
    if (lamp) {
      const colour light = n.x > 0 ? screen(0.93, 0.93, 0.9) : screen(0.7, 0.06, 0.05);
      return {.base = mixed(s.paint, light, fade), .mirror = 0.08, .glow = n.x > 0 ? colour{} : 0.04 * fade * light};
    }
    if (side < 0.28 && up > 0.42 && up < 0.54) { return {.base = mixed(s.paint, plate(), fade)}; }
    if (n.x > 0 && side < 0.55 && up > 0.5 && up < 0.74) { return {.base = {0.012, 0.012, 0.013}, .mirror = 0.03}; }
    if (up < 0.38) { m.base = 0.3 * m.base; }
  }
  return m;
}

inline material car_cabin_material(const solid& s, point p, point n) {
  material paint{.base = s.paint, .mirror = 0.05};
  if (n.z > 0.85) { return paint; }
  const double up = (p.z + s.half.z) / (2 * s.half.z), along = (p.x + s.half.x) / (2 * s.half.x);
  if (up > 0.88 || up < 0.05) { return paint; }
  if (std::abs(n.y) > 0.6) {
    // Pillars lean with the windows.
    const double front = 1 - along - 0.5 * up * s.lean[0] / s.half.x, back = along - 0.5 * up * s.lean[1] / s.half.x;
    const bool pillar =
        front < 0.05 || back < 0.07 || std::abs(along - 0.47) < 0.022 || (back < 0.3 && std::abs(back - 0.27) < 0.02);
    return pillar ? paint : glass({0.012, 0.014, 0.017}, 0.6);
  }
  return std::abs(p.y) > s.half.y - 0.2 * up - 0.1 ? paint : glass({0.014, 0.017, 0.02}, 0.7);
}

/// extra: lower and upper edge of the windows above the ground, 1 a lorry's cab or 2 a bus.
inline material coach_material(const solid& s, point p, point n, double footprint) {
  material m{.base = s.paint, .mirror = 0.05};
  const double z = p.z + s.center.z, side = std::abs(p.y) / s.half.y, fade = visible(0.15, footprint);
  if (n.z > 0.8) { return m; }
  if (std::abs(n.y) > 0.6 && s.extra[2] == 2) {
    for (const double x : {s.accent.x, s.accent.y}) {
      if (std::hypot(p.x - x, z - 0.48) < s.accent.z) { return {.base = {0.01, 0.01, 0.01}}; }
    }
    if (z < 0.75) { m.base = 0.75 * m.base; }
  }
  const bool band = z > s.extra[0] && z < s.extra[1];
  if (std::abs(n.x) > 0.5) {
    if (n.x < 0 && s.extra[2] == 1) { return m; }
    if (band && side < 0.92) { return glass({0.013, 0.016, 0.019}, 0.8); }
    if (side > 0.66 && side < 0.93 && z > 0.8 && z < 1.05) {
      return {.base = mixed(s.paint, n.x > 0 ? screen(0.92, 0.92, 0.88) : screen(0.7, 0.06, 0.05), fade)};
    }
    if (z > s.extra[1] + 0.1 && side < 0.6 && n.x > 0 && s.extra[2] == 2) {
      return {.base = {0.02, 0.02, 0.02}, .glow = 0.12 * screen(0.9, 0.6, 0.1)};
    }
    return m;
  }
  const double along = s.extra[2] == 2 ? phase(p.x / 1.45) : (p.x + s.half.x) / (2 * s.half.x);
  const bool glazed = band && (s.extra[2] == 2 ? along > 0.05 : along > 0.3 && along < 0.88);
  return glazed ? glass({0.013, 0.016, 0.019}, 0.7) : m;
}

inline material sign_material(const solid& s, point p, point n, double footprint) {
  if (s.form == shape::ellipsoid) {
    return {.base = p.y * p.y + p.z * p.z > 0.6 * s.half.y * s.half.y ? s.accent : s.paint};
  }
  const double u = std::abs(n.x) > std::abs(n.y) ? p.y : p.x,
               half = std::abs(n.x) > std::abs(n.y) ? s.half.y : s.half.x;
  if (n.z > 0.5) { return {.base = 0.8 * s.paint}; }
  const double v = p.z / s.half.z, w = u / half, rib = 0.1 * stripe_share(u, 0.4, 0.08, footprint);
  const double fade = visible(0.3, footprint);
  if (std::abs(v) < 0.35 && std::abs(w) < 0.6) { // letters of no alphabet
    const double letter = cell_number(9 * w, 4 * v, 0, s.grain), line = cell_number(0, 4 * v, 1, s.grain);
    if (letter < 0.6 && line < 0.75 && phase(9 * w) < 0.7) { return {.base = mixed(s.paint, s.accent, 0.9 * fade)}; }
  }
  return {.base = (s.half.x > 1 ? 1 - rib : 1.0) * s.paint, .mirror = 0.01};
}

} // namespace detail

/// The material of a solid's surface. `town` is the place in the town's axes; `footprint` is how wide a pixel is there.
inline material material_of(const solid& s, point p, point n, point town, double footprint) {
  using namespace detail;
  const double rough = noise(6 * (p.x + p.y), 6 * p.z, s.grain, 6 * footprint);
  switch (s.surface) {
  case look::paving:
  case look::plaza:
    return paving_material(s, town, n, footprint);
  case look::grass:
    return grass_material(s, town, footprint);
  case look::facade:
    return facade_material(s, p, n, footprint);
  case look::roof: {
    const double course = stripe_share(std::abs(p.y) + p.z, 0.34, 0.15, footprint);
    return {.base = (0.8 + 0.3 * rough - 0.2 * course) * s.paint};
  }
  case look::car_body:
    return car_body_material(s, p, n, footprint);
  case look::car_cabin:
    return car_cabin_material(s, p, n);
  case look::coach:
    return coach_material(s, p, n, footprint);
  case look::wheel: {
    const double r = std::hypot(p.x, p.z) / s.half.x;
    if (std::abs(n.y) > 0.5 && r < 0.66) {
      const double spoke = phase(std::atan2(p.z, p.x) * 5 / 6.2831853);
      return {.base = r > 0.57 || r < 0.2 || spoke < 0.45 ? screen(0.62, 0.63, 0.64) : screen(0.12, 0.12, 0.12),
              .mirror = 0.04};
    }
    return {.base = {0.018, 0.018, 0.018}};
  }
  case look::foliage: {
    const double leaf = noise(5 * p.x + 3 * p.z, 5 * p.y - 2 * p.z, s.grain, 5 * footprint);
    const double twig = noise(14 * p.x - 5 * p.z, 14 * p.y + 6 * p.z, s.grain + 1, 14 * footprint);
    const double inner = 0.5 + 0.5 * std::clamp(0.5 + p.z / (2 * s.half.z), 0.0, 1.0); // darker below
    return {.base = inner * (0.35 + 0.75 * leaf + 0.55 * twig) * s.paint, .through = 0.45, .roughness = 0.9};
  }
  case look::bark:
    return {.base = (0.6 + 0.8 * noise(9 * (p.x + p.y), 2 * p.z, s.grain, 4 * footprint)) * s.paint, .roughness = 0.3};
  case look::striped: {
    const bool across = s.extra[0] == 1;
    const double at = across ? p.y + (s.form == shape::prism && s.half.x < 0.1 ? p.z : 0.0) : p.z + s.half.z;
    return {.base = mixed(s.accent, s.paint, stripe_share(at, across ? 0.5 : 0.46, 0.5, footprint))};
  }
  case look::cloth:
    return {.base = (0.75 + 0.5 * rough) * s.paint};
  case look::sign:
    return sign_material(s, p, n, footprint);
  case look::lamp:
    return {.base = 0.1 * s.paint, .glow = s.accent};
  case look::plain:
  case look::road:
    break;
  }
  return {.base = (0.88 + 0.24 * rough) * s.paint, .mirror = 0.02};
}

} // namespace sqs::town

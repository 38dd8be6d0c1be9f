// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sun, sky, haze, and how surfaces look under them.

#include <sqs/data/town/texture.hpp>

namespace sqs::town {

/// The light of a scene. Linear, the sun's colour times its strength.
struct weather {
  point sun{0.3, 0.2, 0.9}; ///< unit vector towards it
  colour sunlight, zenith, horizon;
  double clouds = 0.4; ///< covered share of the sky
  double haze = 450;   ///< metres in which a view fades by e
  std::uint64_t grain = 0;
  const char* name = "sunny";
};

inline weather draw_weather(std::uint64_t seed, std::int64_t scene) {
  const auto r = draws(seed, site::light, scene);
  weather w;
  const double u = r.uniform(0), azimuth = r.uniform(1, -3.14159, 3.14159);
  double high = r.uniform(2, 0.5, 1.1);
  w.grain = r.bits(3);
  w.clouds = r.uniform(4, 0.15, 0.55);
  w.haze = r.uniform(5, 350, 900);
  if (u < 0.62) {
    w.sunlight = 2.6 * colour{1, 0.95, 0.86};
    w.zenith = 0.75 * colour{0.2, 0.42, 0.86}, w.horizon = 0.95 * colour{0.66, 0.78, 0.92};
  } else if (u < 0.8) { // the evening
    high = r.uniform(2, 0.2, 0.4);
    w.name = "evening";
    w.sunlight = 2.3 * colour{1, 0.72, 0.42};
    w.zenith = 0.6 * colour{0.25, 0.4, 0.72}, w.horizon = 0.9 * colour{0.92, 0.72, 0.56};
    w.haze *= 0.7;
  } else { // an overcast day
    w.name = "overcast";
    w.sunlight = 0.12 * colour{1, 1, 1};
    w.zenith = 0.95 * colour{0.66, 0.7, 0.76}, w.horizon = 1.05 * colour{0.78, 0.81, 0.85};
    w.clouds = 1;
    w.haze *= 0.5;
  }
  w.sun = {std::cos(azimuth) * std::cos(high), std::sin(azimuth) * std::cos(high), std::sin(high)};
  return w;
}

/// What a ray that meets nothing sees.
inline colour sky(const weather& w, point way) {
  const double up = std::max(way.z, 0.0), toward = std::max(0.0, dot(way, w.sun));
  colour c = detail::mixed(w.horizon, w.zenith, std::pow(up, 0.45));
  const double t2 = toward * toward, t8 = t2 * t2 * t2 * t2, glow = t8 * t8 * t8 * t8;
  c = c + (0.1 * t8 + 0.35 * glow) * w.sunlight;
  if (up > 0.015) {
    const double x = way.x / (up + 0.12), y = way.y / (up + 0.12);
    const double n = 0.55 * detail::noise(1.4 * x, 1.4 * y, w.grain, 0) +
                     0.28 * detail::noise(3.1 * x, 3.1 * y, w.grain + 1, 0) +
                     0.17 * detail::noise(7 * x, 7 * y, w.grain + 2, 0);
    const double cover = std::clamp((n - 0.75 + 0.5 * w.clouds) * 5, 0.0, 1.0) * std::min(1.0, up * 8);
    const colour cloud = 0.55 * w.horizon + colour{0.2, 0.2, 0.2} + 0.12 * w.sunlight;
    c = detail::mixed(c, (0.82 + 0.5 * (n - 0.5)) * cloud, 0.85 * cover);
  }
  return c;
}

namespace detail {

/// A mirrored ray, without tracing it: sky above, a dark band of houses at the horizon, the street below.
inline colour mirrored(const weather& w, point way) {
  const colour ground = 0.16 * w.horizon + 0.05 * w.sunlight;
  if (way.z < 0) { return ground; }
  const double houses = std::clamp(1.6 - 5 * way.z, 0.0, 1.0);
  return mixed(mixed(w.horizon, w.zenith, std::sqrt(way.z)), 0.3 * w.horizon, 0.75 * houses);
}

} // namespace detail

/// The light a surface sends along -way. `lit` is the share of the sun that reaches it. Unit vectors in town axes.
inline colour shaded(const weather& w, const material& m, point at, point normal, point way, double lit,
                     std::uint64_t grain) {
  if (m.roughness > 0) {
    const auto jolt = [&](double k) { return detail::noise(8 * at.x + k, 8 * at.y + 5 * at.z, grain, 0) - 0.5; };
    normal = normalized(normal + (1.2 * m.roughness) * point{jolt(0), jolt(31.7), jolt(77.1)});
  }
  const double facing = dot(normal, w.sun),
               sun = m.through > 0 ? std::max(0.0, m.through + (1 - m.through) * facing) : std::max(0.0, facing);
  const double open = 0.5 + 0.5 * normal.z,
               low = 0.72 + 0.28 * std::min(1.0, at.z / 1.5 + (normal.z > 0.7 ? 1.0 : 0.0));
  const colour around =
      (0.62 * low) * (open * (0.35 * w.zenith + 0.55 * w.horizon) + (1 - open) * (0.2 * w.horizon + 0.1 * w.sunlight));
  colour c = scaled(m.base, around + (lit * sun) * w.sunlight) + m.glow;
  if (m.mirror > 0) {
    const double cosine = std::clamp(-dot(normal, way), 0.0, 1.0), k = 1 - cosine;
    const double share = m.mirror + (1 - m.mirror) * k * k * k * k * k * std::min(1.0, 8 * m.mirror);
    const point back = way + (2 * cosine) * normal;
    c = detail::mixed(c, detail::mirrored(w, back), share);
    const double glint = std::max(0.0, dot(back, w.sun));
    if (lit > 0 && glint > 0.97) { c = c + (4 * m.mirror * lit * std::pow(glint, 220)) * w.sunlight; }
  }
  return c;
}
inline colour through_haze(const weather& w, colour c, double distance) {
  return detail::mixed(c, w.horizon, 1 - std::exp(-distance / w.haze));
}

} // namespace sqs::town

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The spinning LiDAR of a town.

#include <sqs/data/town/stage.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/sample.hpp>

namespace sqs::town {

struct lidar_options {
  int firings = 1084; ///< per turn
  double least_range = 1, most_range = 70;
  double range_noise = 0.02; ///< standard deviation, metres
  double drop_out = 0.03;    ///< share of returns lost at random; more on glass and far away
};

/// Beams of nuScenes' sensor: 32 between -30.67 and 10.67 degrees.
inline constexpr int lidar_beams = 32;
inline double beam_elevation(int ring) { return (-30.67 + 4.0 / 3 * ring) * 0.017453292519943295; }
/// In the LiDAR's axes: x right, y forward, z up; firing 0 looks ahead, the next ones turn to the right.
inline point beam_direction(int firing, int ring, int firings) {
  const double azimuth = 6.283185307179586 * firing / firings, up = beam_elevation(ring);
  return {std::sin(azimuth) * std::cos(up), std::cos(azimuth) * std::cos(up), std::sin(up)};
}

/// A turn: the points, and what each met.
struct lidar_frame {
  lidar_sweep sweep;                   ///< in the LiDAR's axes
  std::vector<std::uint8_t> semantics; ///< classes of `occupancy_class_names`
  std::vector<std::int32_t> instance;
};

/// Scans a stage. All beams of a turn are cast at the same moment.
///
/// Execution   The result does not depend on the number of threads.
/// Cost        firings * 32 rays.
inline lidar_frame scan(cpu& e, const stage& s, const se3<double>& T_town_lidar, std::uint64_t seed,
                        const lidar_options& o = {}) {
  struct echo {
    float range = -1, intensity = 0;
    std::uint8_t label = 0;
    std::int32_t instance = no_instance;
  };
  std::vector<echo> echoes(static_cast<std::size_t>(o.firings) * lidar_beams);
  const random_stream random = random_stream::of(seed, 71);
  parallel_for(e, o.firings, 16, [&](idx begin, idx end) {
    for (idx f = begin; f < end; ++f) {
      for (int ring = 0; ring < lidar_beams; ++ring) {
        const idx i = f * lidar_beams + ring;
        const point d = T_town_lidar.rotation * beam_direction(static_cast<int>(f), ring, o.firings);
        const hit h = s.cast(T_town_lidar.translation, d, o.most_range);
        if (!(h.t < o.most_range) || h.t < o.least_range) { continue; }
        const surface on = surface_at(s, h, T_town_lidar.translation, d, 0.003 * h.t);
        const double facing = std::abs(dot(on.normal, d)), red = 0.3 + 0.7 * on.stuff.base.x;
        // Glass sends most light elsewhere; so do dark surfaces far away and at grazing angles.
        const double lost = o.drop_out + (on.stuff.mirror > 0.07 ? 0.65 * (1 - facing) + 0.2 : 0.0) +
                            0.25 * std::pow(h.t / o.most_range, 3) * (1.2 - facing);
        if (random.uniform(4 * i) < lost) { continue; }
        const double range = h.t + o.range_noise * random.normal(4 * i + 1);
        const bool bright = h.what != nullptr && (h.what->surface == look::sign || h.what->surface == look::striped);
        const double intensity =
            (bright ? 90 : 8) + 60 * red * facing * on.stuff.base.x + 14 * red + 4 * random.normal(4 * i + 2);
        echoes[static_cast<std::size_t>(i)] = {static_cast<float>(range),
                                               static_cast<float>(std::round(std::clamp(intensity, 0.0, 255.0))),
                                               label_of(h), h.what == nullptr ? no_instance : h.what->instance};
      }
    }
  });
  lidar_frame out;
  for (std::size_t i = 0; i < echoes.size(); ++i) {
    const echo& one = echoes[i];
    if (one.range < 0) { continue; }
    const int ring = static_cast<int>(i % lidar_beams);
    out.sweep.points.push_back(static_cast<vec3<float>>(
        static_cast<double>(one.range) * beam_direction(static_cast<int>(i / lidar_beams), ring, o.firings)));
    out.sweep.intensity.push_back(one.intensity);
    out.sweep.ring.push_back(ring);
    out.semantics.push_back(one.label);
    out.instance.push_back(one.instance);
  }
  return out;
}

} // namespace sqs::town

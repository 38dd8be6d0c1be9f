// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// How far planned paths are from the driven ones, and how often they collide or leave the road, 1, 2 and 3 s ahead.

#include <sqs/metric/drivable.hpp>

#include <span>

namespace sqs::metric {

/// One plan and what really happened, at 0.5, 1.0 ... 3.0 s.
///
/// Units       metres; the vehicle's frame at the present, x ahead, y left
struct planning_sample {
  std::vector<vec2<double>> plan, driven;                  ///< six points each
  std::vector<std::vector<planning_obstacle>> obstacles{}; ///< of each step; or none: no collisions are counted
  drivable_area drivable{};                                ///< or none: it is not counted who leaves it
};

/// Sums over samples; parts of a split add up with `merge`. All six points of a sample must be known: leave others out.
struct planning_counts {
  static constexpr std::size_t steps = 6;
  std::array<double, steps> distance{};         ///< sum of distances at each step
  std::array<std::int64_t, steps> collided{};   ///< samples that collide at a step, where the driven path does not
  std::array<std::int64_t, 3> collided_until{}; ///< samples that do so at any step within 1, 2, 3 s
  std::array<std::int64_t, 3> outside_until{};  ///< samples that leave the drivable area, within which they began
  std::int64_t samples = 0, judged = 0;         ///< all, and those with obstacles
  std::int64_t on_maps = 0;                     ///< those with a drivable area

  void merge(const planning_counts& b) {
    for (std::size_t t = 0; t < steps; ++t) { distance[t] += b.distance[t], collided[t] += b.collided[t]; }
    for (std::size_t h = 0; h < 3; ++h) {
      collided_until[h] += b.collided_until[h], outside_until[h] += b.outside_until[h];
    }
    samples += b.samples, judged += b.judged, on_maps += b.on_maps;
  }
};

/// Adds one sample. A step at which the driven path collides itself does not count, nor do plans that begin outside the
/// drivable area leave it.
///
/// Errors      precondition_error if a path has not six finite points, or as `collisions` and `outside`.
inline void add_plan(planning_counts& counts, const planning_sample& s,
                     collision_protocol how = collision_protocol::polygons) {
  expects(s.plan.size() == counts.steps && s.driven.size() == counts.steps, "sqs::metric::add_plan: ", s.plan.size(),
          " planned and ", s.driven.size(), " driven points; give six of each, and leave out samples without");
  std::array<double, planning_counts::steps> apart{};
  for (std::size_t t = 0; t < counts.steps; ++t) {
    const vec2<double> d = s.plan[t] - s.driven[t];
    apart[t] = std::sqrt(detail::product(d.x, d.x) + detail::product(d.y, d.y));
    expects(std::isfinite(apart[t]), "sqs::metric::add_plan: the points of step ", t, " are ", apart[t],
            " m apart; leave out samples with unknown points");
  }
  if (!s.obstacles.empty()) {
    const auto plan = collisions(s.plan, s.obstacles, how), driven = collisions(s.driven, s.obstacles, how);
    bool any = false;
    for (std::size_t t = 0; t < counts.steps; ++t) {
      const bool hit = plan[t] && !driven[t];
      any = any || hit;
      counts.collided[t] += hit ? 1 : 0;
      if (t % 2 == 1) { counts.collided_until[t / 2] += any ? 1 : 0; }
    }
    ++counts.judged;
  }
  if (s.drivable.known()) {
    const auto out = outside(s.plan, s.drivable);
    bool left = false;
    for (std::size_t t = 0; t < counts.steps; ++t) {
      left = left || out[t + 1];
      if (t % 2 == 1) { counts.outside_until[t / 2] += left && !out[0] ? 1 : 0; }
    }
    ++counts.on_maps;
  }
  for (std::size_t t = 0; t < counts.steps; ++t) { counts.distance[t] += apart[t]; }
  ++counts.samples;
}

/// Values at 1, 2 and 3 s, and their mean. NaN without samples. Never compare numbers of different columns.
struct planning_scores {
  struct row {
    std::array<double, 3> at{};
    double mean = 0;
  };
  row l2_average;      ///< mean distance up to then, metres: ST-P3, VAD, OmniDrive, SparseDrive
  row l2_final;        ///< distance then: UniAD
  row collision_steps; ///< mean share of samples that collide at a step up to then: ST-P3, UniAD, SparseDrive
  row collision_any;   ///< share of samples that collide at any step up to then: OmniDrive, and our default
  row boundary;        ///< share of samples that leave the drivable area at any step up to then: OmniDrive
};
inline planning_scores score_planning(const planning_counts& c) {
  planning_scores s;
  const auto n = static_cast<double>(c.samples), judged = static_cast<double>(c.judged);
  const auto on_maps = static_cast<double>(c.on_maps);
  for (std::size_t h = 0; h < 3; ++h) {
    const std::size_t until = 2 * h + 2;
    for (std::size_t t = 0; t < until; ++t) {
      s.l2_average.at[h] += c.distance[t] / n / static_cast<double>(until);
      s.collision_steps.at[h] += static_cast<double>(c.collided[t]) / judged / static_cast<double>(until);
    }
    s.l2_final.at[h] = c.distance[until - 1] / n;
    s.collision_any.at[h] = static_cast<double>(c.collided_until[h]) / judged;
    s.boundary.at[h] = static_cast<double>(c.outside_until[h]) / on_maps;
  }
  for (auto* r : {&s.l2_average, &s.l2_final, &s.collision_steps, &s.collision_any, &s.boundary}) {
    r->mean = (r->at[0] + r->at[1] + r->at[2]) / 3;
  }
  return s;
}

} // namespace sqs::metric

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Walks the voxels along a ray, one face at a time.

#include <sqs/core/math.hpp>

#include <array>
#include <cmath>
#include <limits>

namespace sqs::metric {

/// Calls `visit(x, y, z, exit)` for the voxels that the ray from `origin` through `towards` passes inside the grid, in
/// order; `exit` is the distance from the origin at which it leaves the voxel. Ends when `visit` returns true, when the
/// ray has left the grid, or after `most_steps` voxels, inside or not.
///
/// Voxel (i, j, k) fills i .. i+1 and so on. The first one is that of the origin, truncated towards zero. Where the ray
/// meets an edge, y goes before x and z before both.
/// Units       voxels
/// Source      Amanatides and Woo 1987, with the ties of the RayIoU evaluator
template <class Visit> void walk_ray(const std::array<int, 3>& size, const vec3<double>& origin,
                                     const vec3<double>& towards, int most_steps, Visit&& visit) {
  constexpr double never = std::numeric_limits<double>::max();
  const vec3<double> way = towards - origin;
  const double reach = std::sqrt(way.x * way.x + way.y * way.y + way.z * way.z);
  const std::array<double, 3> from{origin.x, origin.y, origin.z}, along{way.x / reach, way.y / reach, way.z / reach};
  std::array<int, 3> at{}, step{};
  std::array<double, 3> next{}, apart{}; // distance to the next face of each axis, and from face to face
  for (std::size_t a = 0; a < 3; ++a) {
    at[a] = static_cast<int>(from[a]);
    step[a] = along[a] >= 0 ? 1 : -1;
    next[a] = along[a] != 0 ? (at[a] + (step[a] < 0 ? 0 : 1) - from[a]) / along[a] : never;
    apart[a] = along[a] != 0 ? step[a] / along[a] : never;
  }
  bool was_inside = false;
  for (int i = 0; i < most_steps; ++i) {
    const bool inside = at[0] >= 0 && at[0] < size[0] && at[1] >= 0 && at[1] < size[1] && at[2] >= 0 && at[2] < size[2];
    if (!inside && was_inside) { return; }
    was_inside = inside;
    const std::size_t a = next[0] < next[1] ? (next[0] < next[2] ? 0 : 2) : (next[1] < next[2] ? 1 : 2);
    if (inside && visit(at[0], at[1], at[2], next[a])) { return; }
    at[a] += step[a];
    next[a] += apart[a];
  }
}

} // namespace sqs::metric

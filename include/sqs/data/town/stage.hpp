// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// All that a ray can meet at one moment: the road, what stands still, what moves.

#include <sqs/data/town/bvh.hpp>
#include <sqs/data/town/light.hpp>

#include <memory>

namespace sqs::town {

/// A town at a moment. The still part is shared between the moments of a scene.
struct stage {
  std::shared_ptr<const street_map> map;
  std::shared_ptr<const solid_tree> still;
  solid_tree moving;
  weather light;

  /// The first thing on o + t d with t < far: `what` is null and t finite for the road (the plane z = 0).
  hit cast(point origin, point direction, double far = 1e30) const {
    hit best;
    best.t = far;
    bool road = false;
    if (direction.z < 0 && origin.z > 0) {
      const double t = -origin.z / direction.z;
      if (t < far) {
        best.t = t;
        road = true;
      }
    }
    still->meet(origin, direction, best);
    moving.meet(origin, direction, best);
    if (best.what == nullptr) {
      if (!road) {
        best.t = std::numeric_limits<double>::infinity();
      } else {
        best.local = origin + best.t * direction;
        best.local.z = 0;
        best.normal = {0, 0, 1};
      }
    }
    return best;
  }
  /// A number for each solid, and 0 for the road (null).
  std::uint32_t number_of(const solid* what) const {
    if (what == nullptr) { return 0; }
    const auto in = [&](std::span<const solid> all) { return what >= all.data() && what < all.data() + all.size(); };
    const std::span<const solid> all = in(still->solids()) ? still->solids() : moving.solids();
    return static_cast<std::uint32_t>(what - all.data()) +
           (in(still->solids()) ? 1u : 1u + static_cast<std::uint32_t>(still->solids().size()));
  }
  /// Whether the sun reaches a place whose surface looks along `normal`.
  bool lit(point at, point normal) const {
    const point from = at + 0.004 * normal;
    return !moving.blocked(from, light.sun, 400) && !still->blocked(from, light.sun, 400);
  }
};

/// Class of what a ray met, as in `occupancy_class_names`; 17 (free) for the sky.
inline std::uint8_t label_of(const hit& h) {
  if (!(h.t < 1e29)) { return 17; }
  return h.what == nullptr ? label::road : h.what->label;
}

/// Base colour and direction of the surface a ray met, in town axes.
struct surface {
  material stuff;
  point at, normal;
};
inline surface surface_at(const stage& s, const hit& h, point origin, point direction, double footprint) {
  surface out;
  out.at = origin + h.t * direction;
  if (h.what == nullptr) {
    out.normal = {0, 0, 1};
    out.stuff = detail::road_material(*s.map, out.at.x, out.at.y, footprint);
  } else {
    out.normal = from_own(*h.what, h.normal);
    out.stuff = material_of(*h.what, h.local, h.normal, out.at, footprint);
  }
  return out;
}

} // namespace sqs::town

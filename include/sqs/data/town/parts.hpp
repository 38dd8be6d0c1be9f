// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Puts solids together: a part list in the axes of a thing, placed in the town.

#include <sqs/data/town/solid.hpp>

#include <deque>
#include <vector>

namespace sqs::town {

/// Occupancy classes by name.
namespace label {
inline constexpr std::uint8_t others = 0, barrier = 1, bicycle = 2, bus = 3, car = 4, construction_vehicle = 5,
                              motorcycle = 6, pedestrian = 7, traffic_cone = 8, trailer = 9, truck = 10, road = 11,
                              other_flat = 12, sidewalk = 13, terrain = 14, manmade = 15, vegetation = 16;
}

/// The colour that looks like these numbers on a screen.
inline colour screen(double r, double g, double b) { return {std::pow(r, 2.2), std::pow(g, 2.2), std::pow(b, 2.2)}; }

/// Parts of one thing: x forward, y left, z up, the ground below its middle at the origin.
class part_list {
public:
  explicit part_list(std::uint8_t class_label, std::int32_t instance = no_instance)
      : label_(class_label),
        instance_(instance) {}

  /// A box from `low` to `high` whose walls lean in by (front, back, sides).
  solid& prism(point low, point high, look surface, colour paint, std::array<double, 3> lean = {}) {
    solid& s = add(shape::prism, surface, paint);
    s.center = 0.5 * (low + high), s.half = 0.5 * (high - low), s.lean = lean;
    return s;
  }
  solid& cone(point foot, double radius, double height, double top, look surface, colour paint) {
    solid& s = add(shape::cone, surface, paint);
    s.center = foot + point{0, 0, height / 2}, s.half = {radius, radius, height / 2}, s.lean[0] = top;
    return s;
  }
  solid& wheel(point center, double radius, double width, double hole = 0) {
    solid& s = add(shape::wheel, look::wheel, screen(0.16, 0.16, 0.17));
    s.center = center, s.half = {radius, width / 2, radius}, s.lean[0] = hole;
    return s;
  }
  solid& ball(point center, point half, look surface, colour paint) {
    solid& s = add(shape::ellipsoid, surface, paint);
    s.center = center, s.half = half;
    return s;
  }
  solid& bar(point from, point to, double radius, look surface, colour paint) {
    solid& s = add(shape::capsule, surface, paint);
    s.center = 0.5 * (from + to), s.axis = 0.5 * (to - from), s.half = {radius, radius, radius};
    return s;
  }

  /// The parts, moved to (x, y, z) and turned by `yaw`.
  void place(std::vector<solid>& into, point at, double yaw) const {
    const double c = std::cos(yaw), n = std::sin(yaw);
    for (solid s : parts_) {
      s.center = at + point{c * s.center.x - n * s.center.y, n * s.center.x + c * s.center.y, s.center.z};
      const double own = s.cosine;
      s.cosine = c * own - n * s.sine, s.sine = n * own + c * s.sine;
      into.push_back(s);
    }
  }
  const std::deque<solid>& parts() const { return parts_; }
  void set_label(std::uint8_t class_label) { label_ = class_label; }

private:
  solid& add(shape form, look surface, colour paint) {
    solid& s = parts_.emplace_back();
    s.form = form, s.surface = surface, s.label = label_, s.instance = instance_, s.paint = paint;
    s.grain = mix_bits(static_cast<std::uint64_t>(parts_.size()) + 977u * static_cast<std::uint64_t>(instance_ + 7));
    return s;
  }
  std::uint8_t label_;
  std::int32_t instance_;
  std::deque<solid> parts_; // references to parts stay good
};

/// A paint for things people buy: mostly white, grey and black, sometimes vivid.
inline colour vehicle_paint(const random_stream& r, idx i) {
  const double u = r.uniform(i), v = r.uniform(i + 1);
  if (u < 0.24) { return screen(0.9, 0.9, 0.89); }
  if (u < 0.44) {
    const double g = 0.5 + 0.25 * v;
    return screen(g, g, g + 0.01);
  }
  if (u < 0.62) {
    const double g = 0.1 + 0.1 * v;
    return screen(g, g, g + 0.02);
  }
  if (u < 0.72) { return screen(0.65 + 0.15 * v, 0.1, 0.1); }
  if (u < 0.84) { return screen(0.1, 0.2 + 0.2 * v, 0.5 + 0.2 * v); }
  if (u < 0.9) { return screen(0.15, 0.35 + 0.1 * v, 0.2); }
  if (u < 0.95) { return screen(0.85, 0.65 + 0.1 * v, 0.15); }
  return screen(0.55, 0.42, 0.3);
}

} // namespace sqs::town

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A street made of a few dozen textured solids, drawn from a seed. Frame: x along the street, y to its left, z up, the
/// ground at z = 0. Metres.

#include <sqs/core/math.hpp>
#include <sqs/core/random.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace sqs {

enum class solid_shape { box, cylinder, ellipsoid };
enum class surface { plain, facade, paintwork, stripes, foliage };

/// An upright solid, turned by a yaw about z.
struct solid {
  solid_shape shape = solid_shape::box;
  surface look = surface::plain;
  vec3<double> center{}, half{};   ///< half extents along its own axes
  double cosine = 1, sine = 0;     ///< of its yaw
  vec3<double> colour{}, accent{}; ///< 0 .. 1
  int actor = -1;                  ///< the road user it belongs to
  std::uint64_t grain = 0;         ///< of its texture
};

/// A road user: what becomes a box.
struct street_actor {
  std::string category;
  vec3<double> center, size; ///< length, width, height
  double yaw = 0;
  vec2<double> velocity{};
};

/// Everything a ray can meet, at one moment.
struct street_scene {
  std::vector<solid> solids;
  std::vector<street_actor> actors;
  double road_half = 6, walk = 3;      ///< half width of the road and width of each pavement
  vec3<double> road, walkway, soil;    ///< colours of the ground
  vec3<double> sky_low, sky_high, sun; ///< horizon, zenith, unit vector towards the sun
  std::uint64_t grain = 0;
};

namespace detail {

/// Draws one scene; every number is a function of (seed, scene, site, index), so no draw shifts another.
class street_builder {
public:
  street_builder(std::uint64_t seed, idx scene, double seconds, double travel)
      : seed_(seed),
        scene_(scene),
        seconds_(seconds),
        travel_(travel) {}

  street_scene build() {
    enum site { ground_site, building_site, parked_site, lane_site, tree_site, pole_site, walker_site, cone_site };
    draw_ground(stream(ground_site));
    for (const double side : {-1.0, 1.0}) {
      const int odd = side > 0 ? 100 : 0;
      buildings(stream(building_site + odd), side);
      parked_cars(stream(parked_site + odd), side);
      trees_and_poles(stream(tree_site + odd), stream(pole_site + odd), side);
      walkers(stream(walker_site + odd), side);
    }
    moving_cars(stream(lane_site));
    cones(stream(cone_site));
    for (std::size_t i = 0; i < out_.solids.size(); ++i) {
      out_.solids[i].grain = stream(1000).bits(static_cast<idx>(i));
    }
    return std::move(out_);
  }

private:
  random_stream stream(int site) const { return random_stream::of(seed_, scene_, site); }
  static vec3<double> colour(const random_stream& r, idx i, double low, double high) {
    return {r.uniform(3 * i + 1000, low, high), r.uniform(3 * i + 1001, low, high), r.uniform(3 * i + 1002, low, high)};
  }
  /// A saturated paint.
  static vec3<double> paint(const random_stream& r, idx i) {
    const double hue = r.uniform(i + 5000, 0, 6), value = r.uniform(i + 6000, 0.35, 0.95);
    const double vivid = r.uniform(i + 7000) < 0.5 ? r.uniform(i + 8000, 0.6, 0.95) : 0.08;
    const auto wave = [&](double shift) {
      const double h = std::fmod(hue + shift, 6.0);
      return value * (1 - vivid * std::clamp(std::min(h, 4 - h), 0.0, 1.0));
    };
    return {wave(5), wave(3), wave(1)};
  }

  void draw_ground(const random_stream& r) {
    out_.road_half = r.uniform(0, 5, 8.5);
    out_.walk = r.uniform(1, 2, 4.5);
    const double grey = r.uniform(2, 0.22, 0.42), pale = r.uniform(3, 0.5, 0.72);
    out_.road = {grey, grey, grey * r.uniform(4, 0.98, 1.1)};
    out_.walkway = {pale, pale * r.uniform(5, 0.92, 1.0), pale * r.uniform(6, 0.82, 1.0)};
    out_.soil = r.uniform(7) < 0.6 ? vec3<double>{0.25, r.uniform(8, 0.38, 0.5), 0.18} : vec3<double>{0.5, 0.42, 0.3};
    const double evening = r.uniform(9) * r.uniform(9);
    out_.sky_high = {0.25 + 0.25 * evening, r.uniform(10, 0.42, 0.6), r.uniform(11, 0.7, 0.95)};
    out_.sky_low = {0.8 + 0.15 * evening, 0.84 - 0.1 * evening, 0.9 - 0.3 * evening};
    const double azimuth = r.uniform(12, -3.14, 3.14), height = r.uniform(13, 0.35, 1.2);
    out_.sun = {std::cos(azimuth) * std::cos(height), std::sin(azimuth) * std::cos(height), std::sin(height)};
    out_.grain = r.bits(14);
  }

  void buildings(const random_stream& r, double side) {
    const double front = out_.road_half + out_.walk;
    double x = -75 - r.uniform(0, 0, 15);
    for (idx i = 1; x < 90 + travel_; i += 12) {
      const double width = r.uniform(i, 9, 24), gap = r.uniform(i + 1) < 0.3 ? r.uniform(i + 2, 4, 14) : 0.3;
      if (r.uniform(i + 3) < 0.85) {
        const double height = r.uniform(i + 4) < 0.6 ? r.uniform(i + 5, 4, 9) : r.uniform(i + 5, 10, 26);
        const double depth = r.uniform(i + 6, 8, 16), setback = r.uniform(i + 7, 0.5, 6);
        const auto wall = paint(r, i);
        out_.solids.push_back({.look = surface::facade,
                               .center = {x + width / 2, side * (front + setback + depth / 2), height / 2},
                               .half = {width / 2, depth / 2, height / 2},
                               .colour = 0.55 * wall + 0.4 * colour(r, i, 0.5, 1),
                               .accent = {0.12, r.uniform(i + 8, 0.16, 0.3), r.uniform(i + 9, 0.2, 0.45)}});
      }
      x += width + gap;
    }
  }

  /// `x`, `y` in the street; both the solids of a car and its box.
  void car(const random_stream& r, idx i, double x, double y, double yaw, double speed, const char* category) {
    const bool truck = std::string(category) == "vehicle.truck";
    const vec3<double> size =
        truck ? vec3<double>{r.uniform(i, 5.6, 6.4), 2.4, r.uniform(i + 1, 2.8, 3.5)}
              : vec3<double>{r.uniform(i, 3.9, 5.0), r.uniform(i + 2, 1.75, 2.0), r.uniform(i + 1, 1.4, 1.75)};
    const double c = std::cos(yaw), s = std::sin(yaw);
    const int actor = static_cast<int>(out_.actors.size());
    const auto body = paint(r, i);
    const auto part = [&](double ahead, double bottom, double top, double length, double width, surface look,
                          vec3<double> tint) {
      out_.solids.push_back({.look = look,
                             .center = {x + c * ahead, y + s * ahead, (bottom + top) / 2},
                             .half = {length / 2, width / 2, (top - bottom) / 2},
                             .cosine = c,
                             .sine = s,
                             .colour = tint,
                             .accent = {0.07, 0.08, 0.1},
                             .actor = actor});
    };
    if (truck) {
      part(-0.12 * size.x, 0.35, size.z, 0.76 * size.x, size.y, surface::paintwork, body);
      part(0.39 * size.x, 0.35, 0.8 * size.z, 0.22 * size.x, 0.95 * size.y, surface::paintwork, colour(r, i, 0.4, 1));
    } else {
      part(0, 0.2, 0.62 * size.z, size.x, size.y, surface::paintwork, body);
      part(-0.05 * size.x, 0.62 * size.z, size.z, 0.55 * size.x, 0.86 * size.y, surface::plain,
           vec3<double>{0.12, 0.14, 0.18});
    }
    for (const double ahead : {-0.32, 0.32}) { // one dark axle each: its ends are the wheels
      part(ahead * size.x, 0.0, 0.62, 0.62, 1.01 * size.y, surface::plain, {0.05, 0.05, 0.06});
    }
    out_.actors.push_back({.category = category,
                           .center = {x, y, size.z / 2},
                           .size = size,
                           .yaw = yaw,
                           .velocity = {speed * c, speed * s}});
  }

  void parked_cars(const random_stream& r, double side) {
    for (idx k = 0; k < 40; ++k) {
      const double x = -60 + 7.5 * static_cast<double>(k) + r.uniform(10 * k, -0.8, 0.8);
      if (x > 70 + travel_ || r.uniform(10 * k + 1) < 0.5) { continue; }
      const double yaw = (side > 0 ? 3.14159265358979 : 0.0) + r.uniform(10 * k + 2, -0.04, 0.04);
      const bool truck = r.uniform(10 * k + 3) < 0.12;
      car(r, 10 * k + 40000, x, side * (out_.road_half - 1.2), yaw, 0, truck ? "vehicle.truck" : "vehicle.car");
    }
  }

  void moving_cars(const random_stream& r) {
    const double lane = out_.road_half / 3.2;
    for (idx k = 0; k < 5; ++k) {
      const double speed = r.uniform(10 * k, 5, 12);
      const double start = (k < 2 ? 12 + 22 * static_cast<double>(k) : -50 + 38 * static_cast<double>(k - 2)) +
                           r.uniform(10 * k + 1, 0, 8);
      // Two in front of the own vehicle, as fast as it is, three on the other side.
      const bool ahead = k < 2;
      const double x = ahead ? start + travel_ : start - speed * seconds_;
      car(r, 10 * k + 50000, x, ahead ? -lane : lane, ahead ? 0.0 : 3.14159265358979, ahead ? own_speed : speed,
          "vehicle.car");
    }
  }

  void trees_and_poles(const random_stream& r, const random_stream& p, double side) {
    const double y = side * (out_.road_half + 0.5);
    for (idx k = 0; k < 30; ++k) {
      const double x = -65 + 11 * static_cast<double>(k) + r.uniform(10 * k, -3, 3);
      if (x > 80 + travel_) { break; }
      if (r.uniform(10 * k + 1) < 0.45) {
        const double trunk = r.uniform(10 * k + 2, 1.8, 3), crown = r.uniform(10 * k + 3, 1.2, 2.6);
        const double leaf = r.uniform(10 * k + 4, 0.25, 0.55);
        out_.solids.push_back({.shape = solid_shape::cylinder,
                               .center = {x, side * (std::abs(y) + 0.7), trunk / 2},
                               .half = {0.17, 0.17, trunk / 2},
                               .colour = {0.33, 0.24, 0.16}});
        out_.solids.push_back({.shape = solid_shape::ellipsoid,
                               .look = surface::foliage,
                               .center = {x, side * (std::abs(y) + 0.7), trunk + 0.8 * crown},
                               .half = {crown, crown, crown},
                               .colour = {0.5 * leaf + r.uniform(10 * k + 5, 0, 0.25), leaf, 0.12}});
      } else if (p.uniform(10 * k) < 0.6) {
        const double height = p.uniform(10 * k + 1, 3, 8);
        const double grey = p.uniform(10 * k + 2, 0.25, 0.7);
        out_.solids.push_back({.shape = solid_shape::cylinder,
                               .center = {x, y, height / 2},
                               .half = {0.1, 0.1, height / 2},
                               .colour = {grey, grey, grey}});
        if (p.uniform(10 * k + 3) < 0.5) { // a sign, facing along the street
          out_.solids.push_back({.look = surface::stripes,
                                 .center = {x, y, std::min(height, 2.6)},
                                 .half = {0.04, 0.45, 0.45},
                                 .colour = paint(p, k),
                                 .accent = {0.95, 0.95, 0.95}});
        }
      }
    }
  }

  void walkers(const random_stream& r, double side) {
    for (idx k = 0; k < 6; ++k) {
      const double pace = r.uniform(10 * k, -1.6, 1.6);
      const double x = r.uniform(10 * k + 1, -35, 55) + pace * seconds_;
      const double y = side * (out_.road_half + r.uniform(10 * k + 2, 0.9, 1.0) * out_.walk);
      const double height = r.uniform(10 * k + 3, 1.5, 1.95);
      const int actor = static_cast<int>(out_.actors.size());
      out_.solids.push_back({.shape = solid_shape::cylinder,
                             .look = surface::stripes,
                             .center = {x, y, 0.43 * height},
                             .half = {0.2, 0.26, 0.43 * height},
                             .colour = paint(r, k),
                             .accent = paint(r, k + 50),
                             .actor = actor});
      out_.solids.push_back({.shape = solid_shape::ellipsoid,
                             .center = {x, y, 0.93 * height},
                             .half = {0.11, 0.11, 0.13},
                             .colour = {0.72, 0.53, 0.42},
                             .actor = actor});
      out_.actors.push_back({.category = "human.pedestrian.adult",
                             .center = {x, y, height / 2},
                             .size = {0.5, 0.6, height},
                             .yaw = pace < 0 ? 3.14159265358979 : 0.0,
                             .velocity = {pace, 0}});
    }
  }

  void cones(const random_stream& r) {
    if (r.uniform(0) < 0.4) { return; }
    const double x = r.uniform(1, 10, 50), y = r.uniform(2, 0.35, 0.75) * out_.road_half;
    for (int k = 0; k < 4; ++k) {
      const int actor = static_cast<int>(out_.actors.size());
      const vec3<double> at{x + 2.2 * k, y + 0.25 * k, 0.4};
      out_.solids.push_back({.shape = solid_shape::cylinder,
                             .look = surface::stripes,
                             .center = at,
                             .half = {0.17, 0.17, 0.4},
                             .colour = {0.95, 0.4, 0.1},
                             .accent = {0.95, 0.95, 0.95},
                             .actor = actor});
      out_.actors.push_back({.category = "movable_object.trafficcone", .center = at, .size = {0.34, 0.34, 0.8}});
    }
  }

public:
  static constexpr double own_speed = 8; ///< m/s, along x

private:
  std::uint64_t seed_;
  idx scene_;
  double seconds_, travel_;
  street_scene out_;
};

} // namespace detail

/// The street of scene `scene` at a time; the own vehicle drives at `street_speed` in the right lane from x = 0.
inline street_scene make_street(std::uint64_t seed, idx scene, double seconds) {
  return detail::street_builder(seed, scene, seconds, detail::street_builder::own_speed * seconds).build();
}
inline constexpr double street_speed = detail::street_builder::own_speed;

} // namespace sqs

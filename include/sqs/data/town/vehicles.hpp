// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The bodies of road users, in their own axes: x forward, y left, the ground below the middle of the box at z = 0.
/// Every part stays inside the box, but for wheels' hubs and mirrors, which reach out a few centimetres.

#include <sqs/data/town/parts.hpp>

namespace sqs::town {

enum class kind : std::uint8_t {
  car,
  truck,
  bus,
  trailer,
  construction_vehicle,
  motorcycle,
  bicycle,
  pedestrian,
  traffic_cone,
  barrier
};

struct kind_facts {
  std::uint8_t label;
  const char* category; ///< of nuScenes
  point mean;           ///< length, width, height: the means of nuScenes' boxes
  double spread;        ///< relative, of one draw
  double most_speed;    ///< m/s
};
inline constexpr std::array<kind_facts, 10> facts{
    {{label::car, "vehicle.car", {4.62, 1.95, 1.73}, 0.07, 13},
     {label::truck, "vehicle.truck", {6.94, 2.51, 2.84}, 0.08, 11},
     {label::bus, "vehicle.bus.rigid", {11.0, 2.93, 3.46}, 0.04, 10},
     {label::trailer, "vehicle.trailer", {12.3, 2.9, 3.87}, 0.06, 10},
     {label::construction_vehicle, "vehicle.construction", {6.4, 2.8, 3.2}, 0.06, 5},
     {label::motorcycle, "vehicle.motorcycle", {2.1, 0.77, 1.47}, 0.05, 12},
     {label::bicycle, "vehicle.bicycle", {1.7, 0.6, 1.3}, 0.05, 5.5},
     {label::pedestrian, "human.pedestrian.adult", {0.73, 0.67, 1.77}, 0.06, 1.7},
     {label::traffic_cone, "movable_object.trafficcone", {0.41, 0.41, 1.07}, 0.15, 0},
     {label::barrier, "movable_object.barrier", {0.5, 2.53, 0.98}, 0.06, 0}}};
inline constexpr const kind_facts& facts_of(kind k) { return facts[static_cast<std::size_t>(k)]; }

/// What a road user looks like: its size, the draws of its details.
struct design {
  kind what = kind::car;
  point size{};
  int variant = 0;
  bool rider = false;
  random_stream details{};
};
inline design draw_design(kind k, const random_stream& r) {
  design d{.what = k, .variant = static_cast<int>(r.uniform(3) * 4), .details = r};
  const auto& f = facts_of(k);
  const auto about = [&](double mean, idx i) { return mean * r.uniform(i, 1 - f.spread, 1 + f.spread); };
  d.size = {about(f.mean.x, 0), about(f.mean.y, 1), about(f.mean.z, 2)};
  if (k == kind::car) { // saloon, hatchback, estate and van have heights of their own
    constexpr double high[] = {1.46, 1.5, 1.7, 1.9}, longer[] = {4.75, 4.1, 4.7, 4.8};
    const auto v = static_cast<std::size_t>(d.variant);
    d.size = {about(longer[v], 0), std::min(about(1.88, 1), 2.02), high[v] * r.uniform(2, 0.97, 1.03)};
  }
  if (k == kind::trailer) { // one in four is short; together they have the mean above
    d.size.x = d.variant == 0 ? r.uniform(0, 8, 10.5) : r.uniform(0, 12.8, 14);
  }
  return d;
}

namespace detail {

inline constexpr colour dark{0.012, 0.012, 0.013}, rubber{0.02, 0.02, 0.02};

/// Where wheel arches lie goes into `extra`, for the look: front and rear axle along x, radius.
inline void add_wheels(part_list& p, double front, double rear, double half_width, double radius, double width) {
  for (const double x : {front, rear}) {
    for (const double side : {-1.0, 1.0}) {
      p.wheel({x, side * (half_width - width / 2 + 0.01), radius}, radius, width);
    }
  }
}

inline void build_car(part_list& p, const design& d) {
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z, waist = d.variant == 3 ? 0.6 * h : 0.58 * h;
  const colour paint = vehicle_paint(d.details, 40);
  const double radius = 0.33, front = 0.3 * d.size.x, rear = -0.29 * d.size.x;
  const auto arches = [&](solid& s) {
    s.extra = {front, rear, radius + 0.06};
    s.accent = {l, w, waist};
  };
  arches(p.prism({-l + 0.02, -w, 0.22}, {l - 0.02, w, 0.42}, look::car_body, paint, {0, 0, 0}));
  arches(p.prism({-l, -w, 0.36}, {l, w, waist}, look::car_body, paint, {0.1, 0.07, 0.06}));
  p.prism({-l + 0.15, -w + 0.12, 0.14}, {l - 0.15, w - 0.12, 0.3}, look::plain, dark);
  // bonnet, cabin
  const double nose[] = {0.27, 0.27, 0.26, 0.17}, tail[] = {0.16, 0.04, 0.02, 0.02};
  const double slope_front[] = {0.62, 0.6, 0.62, 0.5}, slope_back[] = {0.55, 0.35, 0.25, 0.14};
  const auto v = static_cast<std::size_t>(d.variant);
  const double cabin_front = l - nose[v] * d.size.x * 0.9, cabin_back = -l + tail[v] * d.size.x + 0.04;
  solid& cabin = p.prism({cabin_back, -w + 0.06, waist - 0.01}, {cabin_front, w - 0.06, h}, look::car_cabin, paint,
                         {slope_front[v], slope_back[v], 0.2});
  cabin.accent = {static_cast<double>(d.variant), 0, 0};
  p.prism({cabin_back + slope_back[v] + 0.1, -w + 0.3, h - 0.03}, {cabin_front - slope_front[v] - 0.1, w - 0.3, h},
          look::plain, paint, {0.05, 0.05, 0.05});
  for (const double side : {-1.0, 1.0}) {
    p.prism({cabin_front - 0.5, side * w - 0.06, waist - 0.02}, {cabin_front - 0.36, side * w + 0.06, waist + 0.13},
            look::plain, paint);
  }
  add_wheels(p, front, rear, w, radius, 0.22);
}

inline void build_truck(part_list& p, const design& d) {
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z;
  const colour paint = vehicle_paint(d.details, 40), load = vehicle_paint(d.details, 50);
  const double cab = l - 0.26 * d.size.x, radius = 0.46;
  p.prism({-l, -w + 0.2, 0.4}, {l - 0.1, w - 0.2, 0.8}, look::plain, dark);
  solid& cabin = p.prism({cab, -w + 0.05, 0.5}, {l, w - 0.05, std::min(h, 2.7)}, look::coach, paint, {0.22, 0, 0.05});
  cabin.extra = {1.45, 2.2, 1};
  if (d.variant == 2) { // open, with stakes
    p.prism({-l, -w, 0.8}, {cab - 0.1, w, 0.95}, look::plain, load);
    for (const double side : {-1.0, 1.0}) {
      p.prism({-l, side * (w - 0.04) - 0.04, 0.95}, {cab - 0.1, side * (w - 0.04) + 0.04, 1.6}, look::plain, load);
    }
    p.prism({-l + 0.3, -w + 0.3, 0.95}, {cab - 0.6, w - 0.3, 0.6 * h}, look::cloth, screen(0.45, 0.4, 0.3),
            {0.1, 0.2, 0.15});
  } else {
    p.prism({-l, -w, 0.8}, {cab - 0.1, w, h}, look::sign, load).accent = vehicle_paint(d.details, 60);
  }
  p.prism({-l, -w + 0.1, 0.45}, {-l + 0.1, w - 0.1, 0.6}, look::striped, screen(0.85, 0.75, 0.1)).accent = dark;
  add_wheels(p, 0.3 * d.size.x, -0.28 * d.size.x, w, radius, 0.3);
}

inline void build_bus(part_list& p, const design& d) {
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z;
  const colour paint =
      d.variant < 2 ? screen(0.75, 0.15, 0.12) : (d.variant == 2 ? screen(0.2, 0.5, 0.3) : screen(0.2, 0.35, 0.7));
  solid& body = p.prism({-l, -w, 0.35}, {l, w, h - 0.15}, look::coach, paint, {0.12, 0.02, 0.04});
  body.extra = {1.35, 2.75, 2};
  body.accent = {0.29 * d.size.x, -0.26 * d.size.x, 0.55};
  p.prism({-l + 0.6, -w + 0.25, h - 0.15}, {l - 0.6, w - 0.25, h}, look::plain, screen(0.8, 0.8, 0.8), {0.1, 0.1, 0.1});
  p.prism({-l + 0.2, -w + 0.2, 0.2}, {l - 0.2, w - 0.2, 0.4}, look::plain, dark);
  add_wheels(p, 0.29 * d.size.x, -0.26 * d.size.x, w, 0.48, 0.3);
}

inline void build_trailer(part_list& p, const design& d) {
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z;
  p.prism({-l, -w, 1.05}, {l, w, h}, look::sign, vehicle_paint(d.details, 50)).accent = vehicle_paint(d.details, 60);
  p.prism({-l, -w + 0.3, 0.75}, {l, w - 0.3, 1.05}, look::plain, dark);
  p.prism({-l, -w + 0.1, 0.5}, {-l + 0.1, w - 0.1, 0.65}, look::striped, screen(0.8, 0.1, 0.1)).accent =
      screen(0.9, 0.9, 0.9);
  for (int axle = 0; axle < (d.size.x > 11 ? 3 : 2); ++axle) {
    for (const double side : {-1.0, 1.0}) {
      p.wheel({-0.2 * d.size.x - 1.35 * axle, side * (w - 0.16), 0.5}, 0.5, 0.3);
    }
  }
  for (const double side : {-1.0, 1.0}) {
    p.bar({0.3 * d.size.x, side * 0.7, 0.1}, {0.3 * d.size.x, side * 0.7, 0.8}, 0.07, look::plain, dark);
  }
}

inline void build_excavator(part_list& p, const design& d) {
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z;
  const colour yellow = screen(0.92, 0.66, 0.1);
  for (const double side : {-1.0, 1.0}) {
    p.prism({-l, side * (w - 0.28) - 0.28, 0}, {0.15 * l, side * (w - 0.28) + 0.28, 0.8}, look::plain, rubber,
            {0.25, 0.25, 0});
  }
  p.prism({-l + 0.1, -w + 0.25, 0.85}, {0.1 * l, w - 0.25, 1.75}, look::car_body, yellow, {0.1, 0.1, 0.05}).extra = {
      90, 90, 0};
  p.prism({-0.35 * l, 0.1, 1.75}, {0.12 * l, w - 0.3, h - 0.1}, look::car_cabin, yellow, {0.2, 0.05, 0.08});
  const point shoulder{0.1 * l, -0.3, 1.5}, elbow{0.55 * l, -0.3, h - 0.2}, wrist{0.9 * l, -0.3, 0.9};
  p.bar(shoulder, elbow, 0.19, look::plain, yellow);
  p.bar(elbow, wrist, 0.15, look::plain, yellow);
  p.prism({0.74 * l, -0.8, 0.02}, {l, 0.25, 0.75}, look::plain, screen(0.3, 0.3, 0.3), {0.2, 0, 0});
}

/// Somebody of that height, feet at z = 0; `swing` is -1 .. 1, how far the right leg is ahead.
inline void build_person(part_list& p, const random_stream& r, double height, double swing, point at, bool sitting) {
  const double h = height, stride = 0.2 * h * swing;
  const colour skin = screen(r.uniform(80, 0.5, 0.9), r.uniform(80, 0.36, 0.7), r.uniform(80, 0.28, 0.58));
  const colour shirt = vehicle_paint(r, 70),
               legs = r.uniform(81) < 0.6 ? screen(0.15, 0.17, 0.28) : screen(0.32, 0.3, 0.27);
  const double hip = sitting ? 0.35 * h : 0.5 * h, neck = hip + 0.33 * h;
  for (const double side : {-1.0, 1.0}) {
    const double ahead = -side * stride, y = at.y + side * 0.055 * h;
    const point foot = sitting ? point{at.x + 0.12 * h, y, at.z + 0.06 * h} : point{at.x + ahead, y, at.z + 0.045 * h};
    const point knee =
        sitting ? point{at.x + 0.2 * h, y, at.z + hip} : point{at.x + 0.5 * ahead + 0.02 * h, y, at.z + 0.27 * h};
    p.bar({at.x, y, at.z + hip}, knee, 0.048 * h, look::cloth, legs);
    p.bar(knee, foot, 0.036 * h, look::cloth, legs);
    const point hand = sitting ? point{at.x + 0.26 * h, y + side * 0.06 * h, at.z + hip + 0.14 * h}
                               : point{at.x - 0.7 * ahead, y + side * 0.075 * h, at.z + 0.48 * h};
    p.bar({at.x, y + side * 0.05 * h, at.z + neck - 0.03 * h}, hand, 0.027 * h, look::cloth, shirt);
  }
  const double lean = sitting ? 0.08 * h : 0.0;
  p.bar({at.x, at.y, at.z + hip + 0.04 * h}, {at.x + lean, at.y, at.z + neck - 0.07 * h}, 0.085 * h, look::cloth,
        shirt);
  p.ball({at.x + lean, at.y, at.z + neck + 0.1 * h}, {0.055 * h, 0.05 * h, 0.07 * h}, look::plain, skin);
  p.ball({at.x + lean - 0.01 * h, at.y, at.z + neck + 0.125 * h}, {0.057 * h, 0.053 * h, 0.055 * h}, look::plain,
         r.uniform(82) < 0.7 ? screen(0.12, 0.09, 0.07) : screen(0.5, 0.4, 0.25));
}

inline void build_two_wheeler(part_list& p, const design& d, double swing) {
  const bool motor = d.what == kind::motorcycle;
  const double l = d.size.x / 2, radius = motor ? 0.31 : 0.33, axle = l - radius, thick = motor ? 0.14 : 0.045;
  const colour paint = vehicle_paint(d.details, 40);
  for (const double x : {-axle, axle}) { p.wheel({x, 0, radius}, radius, thick, motor ? 0.45 : 0.86); }
  const point rear{-axle, 0, radius}, front{axle, 0, radius}, pedal{-0.1 * l, 0, radius},
      seat{-0.28 * l, 0, motor ? 0.72 : 0.9};
  const point bar{0.62 * l, 0, motor ? 0.95 : 1.0};
  const double tube = motor ? 0.06 : 0.025;
  for (const auto& [a, b] :
       {std::pair{rear, seat}, {rear, pedal}, {pedal, seat}, {pedal, bar}, {seat, bar}, {bar, front}}) {
    p.bar(a, b, tube, look::plain, paint);
  }
  p.bar(bar + point{0, -0.27, 0.04}, bar + point{0, 0.27, 0.04}, 0.02, look::plain, dark);
  p.ball(seat + point{0, 0, 0.03}, {motor ? 0.33 : 0.13, 0.09, 0.05}, look::plain, dark);
  if (motor) {
    p.ball({0.12 * l, 0, 0.78}, {0.3, 0.15, 0.14}, look::car_body, paint).extra = {90, 90, 0};
    p.ball({0, 0, 0.42}, {0.3, 0.16, 0.2}, look::plain, screen(0.4, 0.4, 0.4));
  }
  if (d.rider) {
    build_person(p, d.details, 1.72, swing, {seat.x, 0, seat.z - 0.35 * 1.72 + 0.04}, true);
    if (motor) {
      p.ball({seat.x + 0.13, 0, seat.z + 0.43 * 1.72 + 0.05}, {0.14, 0.13, 0.15}, look::car_body, paint).extra = {
          90, 90, 0};
    }
  }
}

} // namespace detail

/// The parts of a road user. `swing` moves legs.
inline part_list build_body(const design& d, std::int32_t instance, double swing = 0) {
  part_list p(facts_of(d.what).label, instance);
  const double l = d.size.x / 2, w = d.size.y / 2, h = d.size.z;
  switch (d.what) {
  case kind::car:
    detail::build_car(p, d);
    break;
  case kind::truck:
    detail::build_truck(p, d);
    break;
  case kind::bus:
    detail::build_bus(p, d);
    break;
  case kind::trailer:
    detail::build_trailer(p, d);
    break;
  case kind::construction_vehicle:
    detail::build_excavator(p, d);
    break;
  case kind::motorcycle:
  case kind::bicycle:
    detail::build_two_wheeler(p, d, swing);
    break;
  case kind::pedestrian:
    detail::build_person(p, d.details, h, swing, {}, false);
    break;
  case kind::traffic_cone:
    p.prism({-l, -w, 0}, {l, w, 0.05}, look::plain, screen(0.15, 0.15, 0.15));
    p.cone({0, 0, 0.05}, 0.75 * l, h - 0.05, 0.15, look::striped, screen(0.95, 0.35, 0.08)).accent =
        screen(0.95, 0.95, 0.95);
    break;
  case kind::barrier:
    if (d.variant < 2) { // concrete or plastic, heavy
      p.prism({-l, -w, 0}, {l, w, 0.3}, look::plain,
              d.variant == 0 ? screen(0.72, 0.71, 0.68) : screen(0.85, 0.3, 0.15), {0.12, 0.12, 0.01});
      p.prism({-0.5 * l, -w, 0.3}, {0.5 * l, w, h}, look::plain,
              d.variant == 0 ? screen(0.75, 0.74, 0.71) : screen(0.9, 0.9, 0.88), {0.06, 0.06, 0.01});
    } else {
      solid& board = p.prism({-0.05, -w, h - 0.35}, {0.05, w, h}, look::striped, screen(0.85, 0.12, 0.1));
      board.accent = screen(0.93, 0.93, 0.93);
      board.extra = {1, 0, 0};
      for (const double y : {-0.8 * w, 0.8 * w}) {
        p.bar({0, y, 0.1}, {0, y, h - 0.05}, 0.035, look::plain, screen(0.6, 0.6, 0.6));
        p.prism({-l, y - 0.06, 0}, {l, y + 0.06, 0.1}, look::plain, detail::rubber);
      }
    }
    break;
  }
  return p;
}

} // namespace sqs::town

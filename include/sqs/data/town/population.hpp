// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Who is in a town at the begin of a scene.

#include <sqs/data/town/traffic.hpp>

namespace sqs::town {

/// Share and speed of everything that a scene may have more or less of.
struct population_options {
  double traffic = 1; ///< 0: nobody drives; 1: an ordinary day
  double pedestrians = 1;
  double parked = 1;
};

namespace detail {

class population_builder {
public:
  static constexpr double reach_moving = 135, reach_still = 110;

  population_builder(const street_map& map, std::int64_t scene, const population_options& o)
      : map_(map),
        scene_(scene),
        options_(o),
        draw_(draws(map.seed(), site::scene, scene)) {}

  std::vector<agent> build() {
    add_ego();
    for (int k = 0; k < street_map::count; ++k) {
      for (const direction d : {direction::east, direction::north, direction::west, direction::south}) { drive(d, k); }
    }
    for (int i = 0; i < street_map::count; ++i) {
      for (int j = 0; j < street_map::count; ++j) {
        beside(i, j, true);
        beside(i, j, false);
      }
    }
    walkers();
    for (int i = 0; i + 1 < street_map::count; ++i) {
      for (int j = 0; j + 1 < street_map::count; ++j) {
        if (map_.kind(i, j) == block_kind::parking) { car_park(i, j); }
      }
    }
    return std::move(out_);
  }
  /// The crossing the ego comes to first.
  int ego_i() const { return street_map::reach; }
  int ego_j() const { return street_map::reach; }
  direction ego_heading() const { return heading_; }

private:
  random_stream stream(site what, std::int64_t k) const {
    return random_stream::of(draws(map_.seed(), what, scene_).key, k);
  }

  /// Whether nobody stands there; what `a` hangs on does not count.
  bool is_free(const agent& a, double margin) const {
    const auto mine = footprint_of(a.now, a.body.size, margin, 0.15);
    for (const auto& b : out_) {
      if (a.towed_by >= 0 && &b == &out_[static_cast<std::size_t>(a.towed_by)]) { continue; }
      if (std::abs(b.now.x - a.now.x) + std::abs(b.now.y - a.now.y) < 40 &&
          overlap(mine, footprint_of(b.now, b.body.size))) {
        return false;
      }
    }
    return true;
  }
  void set_axles(agent& a) const {
    const double l = a.body.size.x;
    a.wheelbase = a.body.what == kind::trailer ? 0.45 * l : 0.6 * l;
  }

  void add_ego() {
    heading_ = static_cast<direction>(static_cast<int>(4 * draw_.uniform(0)) % 4);
    const bool x = along_x(heading_);
    const street& own = x ? map_.horizontal(street_map::reach) : map_.vertical(street_map::reach);
    const street& cross = x ? map_.vertical(street_map::reach) : map_.horizontal(street_map::reach);
    if (x && !map_.joined(heading_ == direction::east ? street_map::reach - 1 : street_map::reach, street_map::reach)) {
      heading_ = draw_.uniform(1) < 0.5 ? direction::north : direction::south; // its street is missing there
      return add_ego_at(map_.vertical(street_map::reach), map_.horizontal(street_map::reach));
    }
    add_ego_at(own, cross);
  }
  void add_ego_at(const street& own, const street& cross) {
    const bool up = heading_ == direction::east || heading_ == direction::north;
    const double back = cross.half() + stop_line + draw_.uniform(2, 9, 42);
    const int lane = own.lanes == 2 && draw_.uniform(3) < 0.5 ? 1 : 0;
    agent a;
    a.ego = true;
    a.body = {.what = kind::car, .size = ego_size, .details = draw_};
    a.route.emplace(map_, heading_, street_map::reach, lane, up ? -back : back);
    const auto choices = a.route->choices();
    a.route->extend(choices[static_cast<std::size_t>(draw_.uniform(4) * 0.999 * static_cast<double>(choices.size()))]);
    a.wheelbase = 2 * ego_middle;
    a.cruise = own.speed * draw_.uniform(5, 0.85, 1.0);
    a.now.speed = 0.75 * a.cruise;
    a.id = draw_.bits(6);
    clear_ahead_ = draw_.uniform(7) < 0.75;
    const pose2 p = a.route->way().at(0);
    a.now.x = p.x, a.now.y = p.y, a.now.yaw = p.yaw;
    out_.push_back(std::move(a));
  }

  /// Mostly the ego has a free way to its first crossing, so that it gets there.
  bool in_ego_way(const agent& a) const {
    const state& e = out_.front().now;
    const double dx = a.now.x - e.x, dy = a.now.y - e.y, ahead = dx * std::cos(e.yaw) + dy * std::sin(e.yaw);
    return ahead > 0 && ahead < 75 && std::abs(dy * std::cos(e.yaw) - dx * std::sin(e.yaw)) < 1.5 &&
           std::cos(a.now.yaw - e.yaw) > 0.9;
  }
  static kind pick_vehicle(double u) {
    return u < 0.76   ? kind::car
           : u < 0.84 ? kind::truck
           : u < 0.9  ? kind::bus
           : u < 0.95 ? kind::motorcycle
                      : kind::bicycle;
  }
  void drive(direction d, int k) {
    const bool x = along_x(d), up = d == direction::east || d == direction::north;
    const street& s = x ? map_.horizontal(k) : map_.vertical(k);
    if (std::abs(s.at) > reach_moving) { return; }
    for (int lane = 0; lane < s.lanes; ++lane) {
      const auto r = stream(site::vehicle, 16 * k + 4 * lane + static_cast<int>(d));
      idx n = 0;
      for (double at = -reach_moving; at < reach_moving; n += 12) {
        at += r.uniform(n, 9, 46) / std::max(0.05, options_.traffic);
        if (options_.traffic <= 0) { break; }
        const kind what = pick_vehicle(r.uniform(n + 1));
        agent a;
        a.id = r.bits(n + 2);
        a.body = draw_design(what, random_stream{a.id});
        const bool slim = what == kind::bicycle;
        if (slim && lane + 1 < s.lanes) { continue; }
        a.body.rider = slim || what == kind::motorcycle;
        if (a.body.rider) { a.body.size.z = what == kind::bicycle ? 1.78 : 1.72; }
        at += a.body.size.x;
        if (near_crossing(x, k, up ? at : -at)) { continue; }
        a.route.emplace(map_, d, k, lane, up ? at : -at, slim ? 1.2 : 0.0);
        set_axles(a);
        a.cruise = std::min(facts_of(what).most_speed, s.speed) * r.uniform(n + 3, 0.75, 1.0);
        a.now.speed = std::min(0.6 * a.cruise, std::sqrt(3 * to_line(d, up ? at : -at))); // it can stop
        const pose2 p = a.route->way().end();
        a.now.x = p.x, a.now.y = p.y, a.now.yaw = p.yaw;
        if (!is_free(a, 5) || (clear_ahead_ && in_ego_way(a))) { continue; }
        out_.push_back(a);
        if (what == kind::truck && r.uniform(n + 4) < 0.6) { tow(static_cast<int>(out_.size()) - 1, r, n + 5); }
      }
    }
  }
  /// From a place along street `k` to the next crossing's stop line.
  double to_line(direction d, double at) const {
    const bool x = along_x(d), up = d == direction::east || d == direction::north;
    double best = 100;
    for (int n = 0; n < street_map::count; ++n) {
      const street& c = x ? map_.vertical(n) : map_.horizontal(n);
      const double ahead = (up ? c.at - at : at - c.at) - c.half() - stop_line - 7;
      if (ahead > -5) { best = std::min(best, std::max(ahead, 0.0)); }
    }
    return best;
  }
  /// Behind a truck that drives straight on for as long as a scene may last: a trailer of 14 m has no place to turn.
  /// Nor may it stand in a crossing or on a zebra at the begin, for the truck's way, where others look, begins ahead.
  void tow(int by, const random_stream& r, idx n) {
    agent t;
    t.id = r.bits(n);
    t.body = draw_design(kind::trailer, random_stream{t.id});
    set_axles(t);
    const agent& truck = out_[static_cast<std::size_t>(by)];
    t.towed_by = by;
    t.hitch = truck.body.size.x / 2 + t.body.size.x / 2 + 0.7;
    if (!drives_straight(*truck.route, 150) || !is_clear_behind(truck, t.hitch + t.body.size.x / 2)) { return; }
    t.now = truck.now;
    t.now.x -= t.hitch * std::cos(truck.now.yaw), t.now.y -= t.hitch * std::sin(truck.now.yaw);
    t.now.along = -t.hitch;
    if (!is_free(t, 4)) { return; }
    agent& puller = out_[static_cast<std::size_t>(by)];
    puller.pulls = t.body.size.x + 0.7;
    puller.cruise = std::min(puller.cruise, facts_of(kind::trailer).most_speed);
    out_.push_back(std::move(t));
  }
  static bool drives_straight(lane_route route, double metres) {
    for (const double end = route.way().length() + metres; route.way().length() < end; route.extend(turn::straight)) {
      if (!route.inside()) { continue; }
      const auto choices = route.choices();
      if (choices.empty() || choices.front() != turn::straight) { return false; }
    }
    return true;
  }
  bool is_clear_behind(const agent& a, double metres) const {
    const direction d = a.route->heading();
    const bool x = along_x(d);
    const int k = x ? map_.nearest_horizontal(a.now.y) : map_.nearest_vertical(a.now.x);
    const double sign = unit(d).x + unit(d).y, at = x ? a.now.x : a.now.y;
    for (double back = 0; back < metres + 2; back += 2) {
      const point p{a.now.x - back * unit(d).x, a.now.y - back * unit(d).y, 0};
      const auto on = [&](const zebra& z) {
        return p.x > z.low.x - 2 && p.x < z.high.x + 2 && p.y > z.low.y - 2 && p.y < z.high.y + 2;
      };
      const auto& zebras = map_.zebras();
      if (near_crossing(x, k, at - sign * back) || std::any_of(zebras.begin(), zebras.end(), on)) { return false; }
    }
    return true;
  }
  /// Whether a place along street `k` lies in a crossing, on a zebra there, or on a missing stretch.
  bool near_crossing(bool x, int k, double at) const {
    for (int n = 0; n < street_map::count; ++n) {
      const street& c = x ? map_.vertical(n) : map_.horizontal(n);
      if (std::abs(at - c.at) < c.half() + stop_line + 5) { return true; }
      if (x && n + 1 < street_map::count && at > c.at && at < map_.vertical(n + 1).at && !map_.joined(n, k)) {
        return true;
      }
    }
    return false;
  }

  void park(kind what, point at, double yaw, const random_stream& r, idx n) {
    agent a;
    a.parked = true;
    a.id = r.bits(n);
    a.body = draw_design(what, random_stream{a.id});
    a.now = {.x = at.x, .y = at.y, .z = at.z, .yaw = yaw};
    if (is_free(a, 0.25)) { out_.push_back(std::move(a)); }
  }
  bool is_far(point p) const { return std::hypot(p.x, p.y) > reach_still; }

  /// What stands along a street between two crossings.
  void beside(int i, int j, bool x) {
    if ((x ? i : j) + 1 >= street_map::count || (x && !map_.joined(i, j))) { return; }
    const street& s = x ? map_.horizontal(j) : map_.vertical(i);
    const street &a = x ? map_.vertical(i) : map_.horizontal(j), &b = x ? map_.vertical(i + 1) : map_.horizontal(j + 1);
    if (!s.parking) { return; }
    const auto r = stream(site::prop, 4000 + 200 * i + 2 * j + (x ? 1 : 0));
    const double from = a.at + a.half() + stop_line + 4, to = b.at - b.half() - stop_line - 4,
                 zebra_at = map_.zebra_between(x, i, j);
    idx n = 10;
    for (const double side : {-1.0, 1.0}) {
      // Along +x or +y the right-hand side is the one of smaller y or larger x.
      const bool with = x ? side < 0 : side > 0;
      const double yaw = (x ? 0.0 : 1.5707963267948966) + (with ? 0.0 : 3.141592653589793);
      const auto spot = [&](double along, double across) {
        return x ? point{along, s.at + side * across, 0} : point{s.at + side * across, along, 0};
      };
      double works = to + 100;
      if (r.uniform(n++) < 0.16 && to - from > 40) {
        works = from + r.uniform(n, 4, to - from - 28);
        roadworks(spot, works, yaw, s, r, n + 20);
      }
      n += 100;
      for (double at = from + r.uniform(n++, 0, 3); at < to; at += r.uniform(n, 5.6, 6.6), n += 4) {
        if (std::abs(at - zebra_at) < 6 || (at > works - 6 && at < works + 26)) { continue; }
        if (r.uniform(n + 1) > 0.62 * options_.parked) { continue; }
        const double u = r.uniform(n + 2);
        const kind what = u < 0.86   ? kind::car
                          : u < 0.91 ? kind::truck
                          : u < 0.94 ? kind::motorcycle
                          : u < 0.97 ? kind::bicycle
                                     : kind::trailer;
        const point p = spot(at, s.half() - 1.22);
        if (is_far(p)) { continue; }
        double aslant = 0.025;
        if (what == kind::truck) { at += 3; }
        if (what == kind::trailer) { // long: it needs several places, and must stand straight to leave the lane free
          const double half = draw_design(what, random_stream{r.bits(n + 5000)}).size.x / 2;
          at += half - 2;
          aslant = 0.005;
          if (at + half > to + 3 || std::abs(at - zebra_at) < half + 4 ||
              (at + half > works - 4 && at - half < works + 24)) {
            continue;
          }
        }
        park(what,
             spot(at, s.half() - (what == kind::bicycle || what == kind::motorcycle ? 0.7
                                  : what == kind::trailer                           ? 1.05
                                                                                    : 1.18)),
             yaw + r.uniform(n + 3, -aslant, aslant), r, n + 5000);
      }
    }
  }
  template <class Spot>
  void roadworks(Spot&& spot, double at, double yaw, const street& s, const random_stream& r, idx n) {
    if (is_far(spot(at, s.half()))) { return; }
    park(kind::construction_vehicle, spot(at + 9, s.half() - 0.55), yaw, r, n);
    for (int k = 0; k < 6; ++k) {
      park(kind::barrier, spot(at + 2.3 + 2.75 * k, s.half() - 2.2), yaw + 1.5707963267948966, r, n + 1 + k);
    }
    for (int k = 0; k < 4; ++k) {
      park(kind::traffic_cone, spot(at - 1.6 + 0.7 * k, s.half() - 0.5 - 0.5 * k), yaw, r, n + 10 + k);
    }
    for (int k = 0; k < 4; ++k) {
      park(kind::traffic_cone, spot(at + 18.4 + 0.8 * k, s.half() - 2.1 + 0.5 * k), yaw, r, n + 20 + k);
    }
  }
  void car_park(int i, int j) {
    const street &a = map_.vertical(i), &b = map_.vertical(i + 1), &c = map_.horizontal(j), &d = map_.horizontal(j + 1);
    const double x0 = a.at + a.half() + a.walk + 2.5, x1 = b.at - b.half() - b.walk - 2.5,
                 y0 = c.at + c.half() + c.walk + 5, y1 = d.at - d.half() - d.walk - 5;
    const auto r = stream(site::prop, 9000 + 20 * i + j);
    idx n = 0;
    for (double bay = std::ceil(x0 / 2.7); (bay + 1) * 2.7 < x1; bay += 1) {
      for (double row = std::floor(y0 / 16); row * 16 < y1; row += 1) {
        for (const double y : {row * 16 + 2.65, row * 16 + 13.35}) {
          n += 5;
          const point p{(bay + 0.5) * 2.7, y, kerb_height + 0.01};
          if (y < y0 || y > y1 || is_far(p) || r.uniform(n) > 0.55 * options_.parked) { continue; }
          park(kind::car, p, r.uniform(n + 1) < 0.5 ? 1.5708 : -1.5708, r, n + 2);
        }
      }
    }
  }

  void walkers() {
    if (options_.pedestrians <= 0) { return; }
    const auto r = stream(site::walker, 0);
    idx n = 0;
    const auto add = [&](pose2 from, double length, double pace, idx k) {
      agent a;
      a.walker = true;
      a.id = r.bits(k);
      a.body = draw_design(kind::pedestrian, random_stream{a.id});
      a.cruise = pace;
      a.now = {.x = from.x, .y = from.y, .yaw = from.yaw, .speed = pace > 0.2 ? pace : 0};
      a.walk.start(from);
      a.walk.add(length, 0, 3);
      if (!is_free(a, 0.3)) { return; }
      gates(a.walk);
      out_.push_back(std::move(a));
    };
    for (int k = 0; k < street_map::count; ++k) {
      for (const bool x : {true, false}) {
        const street& s = x ? map_.horizontal(k) : map_.vertical(k);
        if (std::abs(s.at) > 100) { continue; }
        for (const double side : {-1.0, 1.0}) {
          for (double at = -100; at < 100; n += 8) {
            at += r.uniform(n, 3, 42) / std::max(0.05, options_.pedestrians);
            const bool forth = r.uniform(n + 1) < 0.5, inner = r.uniform(n + 2) < 0.5;
            const double across = side * (s.half() + (forth ? (inner ? 2.45 : 3.15) : (inner ? 3.85 : 4.55)));
            if (near_crossing(x, k, at)) { continue; }
            const double yaw = (x ? 0.0 : 1.5707963267948966) + (forth ? 0.0 : 3.141592653589793);
            const bool stands = r.uniform(n + 3) < 0.12;
            add(x ? pose2{at, s.at + across, yaw} : pose2{s.at + across, at, yaw}, 400,
                stands ? 0 : r.uniform(n + 4, 0.9, 1.6), n + 5);
          }
        }
      }
    }
    n = 100000;
    for (const auto& z : map_.zebras()) { // over zebras
      const point middle{0.5 * (z.low.x + z.high.x), 0.5 * (z.low.y + z.high.y), 0};
      if (is_far(middle)) { continue; }
      for (int k = 0; k < 2; ++k, n += 8) {
        if (r.uniform(n) > 0.45 * options_.pedestrians) { continue; }
        const bool back = r.uniform(n + 1) < 0.5;
        const double wait = r.uniform(n + 2, 1.0, 3.5), beyond = r.uniform(n + 3, 2.5, 5), lane = back ? 0.7 : -0.7;
        const double sign = back ? -1 : 1, long_ = z.walk_along_x ? z.high.x - z.low.x : z.high.y - z.low.y;
        const pose2 from =
            z.walk_along_x
                ? pose2{back ? z.high.x + wait : z.low.x - wait, middle.y + lane, back ? 3.141592653589793 : 0.0}
                : pose2{middle.x - lane, back ? z.high.y + wait : z.low.y - wait, sign * 1.5707963267948966};
        add(from, long_ + wait + beyond, r.uniform(n + 4, 1.0, 1.6), n + 5);
      }
    }
  }
  /// Zebras on a straight walk. Gates lie at the kerbs.
  void gates(path& walk) const {
    const auto& zebras = map_.zebras();
    for (std::size_t z = 0; z < zebras.size(); ++z) {
      double enter = -1, leave = -1;
      for (double s = 0; s < walk.length(); s += 0.5) {
        const pose2 p = walk.at(s);
        if (!zebras[z].contains(p.x, p.y)) { continue; }
        if (enter < 0) { enter = s - 0.5; }
        leave = s + 0.5;
      }
      if (enter >= 0) { walk.add_gate({enter, leave, static_cast<int>(z), 0, 0, direction::east}); }
    }
  }

  const street_map& map_;
  std::int64_t scene_;
  population_options options_;
  random_stream draw_;
  direction heading_ = direction::east;
  bool clear_ahead_ = true;
  std::vector<agent> out_;
};

} // namespace detail

} // namespace sqs::town

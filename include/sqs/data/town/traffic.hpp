// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Who drives and walks in a town, and how: each follows its lane or pavement, keeps its distance, waits at signals and
/// lets people cross.

#include <sqs/data/town/path.hpp>
#include <sqs/data/town/rig.hpp>
#include <sqs/data/town/vehicles.hpp>

#include <optional>

namespace sqs::town {

/// A road user at one moment. `swing`: phase of the legs.
struct state {
  double x = 0, y = 0, z = 0, yaw = 0, speed = 0, along = 0;
};

/// A road user: what it is and which way it takes. Who stands still has no route.
struct agent {
  design body;
  std::optional<lane_route> route; ///< vehicles
  path walk;                       ///< pedestrians
  bool walker = false, parked = false, ego = false;
  int towed_by = -1; ///< a trailer: the agent that pulls it, `hitch` metres ahead of its own middle
  double hitch = 0;
  double pulls = 0;       ///< metres that what it pulls reaches behind its own end
  double cruise = 10;     ///< m/s, where the street allows it
  double wheelbase = 2.7; ///< the box's middle lies between the axles
  state now;
  int claimed = -1;                                 ///< a pedestrian: the zebra it is on
  std::vector<std::pair<int, direction>> crossings; ///< those it is in, and from where it came
  std::uint64_t id = 0;
};

/// An upright rectangle: middle, half length, half width.
struct footprint {
  double x, y, cosine, sine, half_length, half_width;
};
inline footprint footprint_of(const state& s, point size, double longer = 0, double wider = 0) {
  return {s.x, s.y, std::cos(s.yaw), std::sin(s.yaw), size.x / 2 + longer, size.y / 2 + wider};
}
/// Separating axes.
inline bool overlap(const footprint& a, const footprint& b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double c = std::abs(a.cosine * b.cosine + a.sine * b.sine), n = std::abs(a.cosine * b.sine - a.sine * b.cosine);
  return std::abs(dx * a.cosine + dy * a.sine) < a.half_length + b.half_length * c + b.half_width * n &&
         std::abs(dy * a.cosine - dx * a.sine) < a.half_width + b.half_length * n + b.half_width * c &&
         std::abs(dx * b.cosine + dy * b.sine) < b.half_length + a.half_length * c + a.half_width * n &&
         std::abs(dy * b.cosine - dx * b.sine) < b.half_width + a.half_length * n + a.half_width * c;
}

/// Which arm of a crossing has green. One after the other, with a pause in which the crossing empties.
struct signal_plan {
  static constexpr double green = 8, pause = 3, cycle = 4 * (green + pause);
  std::uint64_t seed = 0;
  const street_map* map = nullptr;
  int first_i = -1, first_j = -1; ///< this crossing follows `first_offset` instead of the draw
  double first_offset = 0;

  bool is_green(int i, int j, direction way, double seconds) const {
    const double offset = i == first_i && j == first_j
                              ? first_offset
                              : draws(seed, site::signal, map->global_i(i), map->global_j(j)).uniform(0, 0, cycle);
    const double t = std::fmod(seconds + offset + 100 * cycle, cycle);
    return static_cast<int>(t / (green + pause)) == static_cast<int>(way) && std::fmod(t, green + pause) < green;
  }
};

/// Moves all agents in steps of 1/20 s.
///
/// Units       metres, seconds. Accelerations lie in least_acceleration .. most_acceleration.
/// Source      longitudinal: Treiber, Hennecke, Helbing, "Congested traffic states", 2000 (intelligent driver model);
///             lateral: both axles stay on the path.
class traffic {
public:
  static constexpr double step = 0.05, most_acceleration = 1.8, least_acceleration = -6, comfortable = 2.5;

  traffic(const street_map& map, signal_plan signals, std::vector<agent> agents)
      : map_(&map),
        signals_(signals),
        agents_(std::move(agents)),
        claims_(map.zebras().size()) {
    for (auto& a : agents_) {
      place(a);
      note_crossings(a);
    }
  }

  const std::vector<agent>& agents() const { return agents_; }
  const signal_plan& signals() const { return signals_; }

  void advance(double seconds) {
    now_ = seconds;
    for (std::size_t i = 0; i < agents_.size(); ++i) {
      agent& a = agents_[i];
      if (a.parked || a.towed_by >= 0) { continue; }
      extend(a);
      double acceleration = a.walker ? walker_acceleration(i) : driver_acceleration(i);
      acceleration = std::clamp(acceleration, least_acceleration, most_acceleration);
      const double speed = std::max(0.0, a.now.speed + acceleration * step);
      a.now.along += 0.5 * (a.now.speed + speed) * step;
      a.now.speed = speed;
      place(a);
      note_crossings(a);
      for (agent& t : agents_) { // what it pulls follows at once
        if (t.towed_by == static_cast<int>(i)) {
          t.now.speed = speed, t.now.along = a.now.along - t.hitch;
          place(t);
        }
      }
    }
  }

private:
  const path& way_of(const agent& a) const {
    const agent& leader = a.towed_by >= 0 ? agents_[static_cast<std::size_t>(a.towed_by)] : a;
    return leader.walker ? leader.walk : leader.route->way();
  }
  void extend(agent& a) const {
    if (a.walker) { return; }
    while (a.route->way().length() < a.now.along + 90) {
      const auto choices = a.route->inside() ? a.route->choices() : std::vector<turn>{};
      turn t = turn::straight;
      const bool large = a.body.size.x > 5.6;
      if (!choices.empty() && !(large && choices.front() == turn::straight)) {
        const double u = random_stream{a.id}.uniform(static_cast<idx>(a.route->way().pieces().size()));
        t = u < 0.5 ? choices.front()
                    : choices[static_cast<std::size_t>(u * 0.999 * static_cast<double>(choices.size()))];
      }
      a.route->extend(t);
    }
  }
  /// The place of an agent whose middle between the axles is `along` its way.
  state placed(const agent& a, double along) const {
    state s = a.now;
    const path& way = way_of(a);
    if (a.walker) {
      const pose2 p = way.at(along);
      s.x = p.x, s.y = p.y, s.yaw = p.yaw;
    } else {
      const pose2 front = way.at(along + a.wheelbase / 2), rear = way.at(along - a.wheelbase / 2);
      s.yaw = std::atan2(front.y - rear.y, front.x - rear.x);
      s.x = 0.5 * (front.x + rear.x), s.y = 0.5 * (front.y + rear.y);
    }
    return s;
  }
  void place(agent& a) const {
    if (a.parked) { return; }
    if (!a.walker && a.towed_by < 0) { extend(a); }
    a.now = placed(a, a.now.along);
    a.now.z = a.walker && !map_->on_road(a.now.x, a.now.y) ? kerb_height + 0.01 : 0.0;
  }

  /// Only those who come from one side are in a crossing at a time; so their ways do not meet there.
  void note_crossings(agent& a) {
    if (a.walker || a.parked || a.towed_by >= 0) { return; }
    for (const auto& [c, way] : a.crossings) { --inside_[static_cast<std::size_t>(c)][static_cast<std::size_t>(way)]; }
    a.crossings.clear();
    const double front = a.now.along + a.body.size.x / 2, rear = rear_of(a);
    for (const auto& g : way_of(a).gates()) {
      if (g.zebra >= 0 || front < g.begin || rear > g.end) { continue; }
      a.crossings.emplace_back(g.i * street_map::count + g.j, g.way);
      ++inside_[static_cast<std::size_t>(a.crossings.back().first)][static_cast<std::size_t>(g.way)];
    }
  }
  /// The end of a vehicle and of what it may pull.
  static double rear_of(const agent& a) { return a.now.along - a.body.size.x / 2 - a.pulls; }
  bool is_open(const path_gate& g) const {
    if (!signals_.is_green(g.i, g.j, g.way, now_)) { return false; }
    const auto& in = inside_[static_cast<std::size_t>(g.i * street_map::count + g.j)];
    for (std::size_t d = 0; d < 4; ++d) {
      if (d != static_cast<std::size_t>(g.way) && in[d] > 0) { return false; }
    }
    return true;
  }

  /// The way that is free before something stands in it, and how fast that moves the same way.
  struct gap {
    double free = 1e9, speed = 0;
  };
  gap look_ahead(std::size_t i, double reach, double longer, double wider, double pace) const {
    const agent& a = agents_[i];
    gap g;
    const double own = std::hypot(a.body.size.x, a.body.size.y) / 2;
    std::array<footprint, 96> swept; // where it will be, every `pace` metres
    const std::size_t most = std::min(swept.size(), static_cast<std::size_t>(reach / pace) + 1);
    for (std::size_t k = 0; k < most; ++k) {
      swept[k] = footprint_of(placed(a, a.now.along + pace * static_cast<double>(k)), a.body.size, longer, wider);
    }
    std::size_t first = most;
    for (std::size_t j = 0; j < agents_.size(); ++j) {
      const agent& b = agents_[j];
      if (j == i || b.towed_by == static_cast<int>(i)) { continue; }
      const double near = own + std::hypot(b.body.size.x, b.body.size.y) / 2 + 0.6, limit = reach + near;
      const double dx = b.now.x - a.now.x, dy = b.now.y - a.now.y;
      const double ahead = dx * std::cos(a.now.yaw) + dy * std::sin(a.now.yaw);
      if (dx * dx + dy * dy > limit * limit || ahead < -near) { continue; }
      const footprint theirs = footprint_of(b.now, b.body.size);
      for (std::size_t k = 0; k < first; ++k) {
        const double ex = b.now.x - swept[k].x, ey = b.now.y - swept[k].y;
        if (ex * ex + ey * ey > near * near || !overlap(swept[k], theirs)) { continue; }
        if (k == 0 && ahead < 0) { break; } // beside or behind: theirs to look out
        first = k;
        const double turned_by = swept[k].cosine * std::cos(b.now.yaw) + swept[k].sine * std::sin(b.now.yaw);
        g = {std::max(0.0, pace * (static_cast<double>(k) - 1)), std::max(0.0, b.now.speed * turned_by)};
        break;
      }
    }
    return g;
  }

  double follow(double speed, double wanted, double free, double leader) const {
    const double ratio = speed / std::max(wanted, 0.1);
    double a = most_acceleration * (1 - ratio * ratio * ratio * ratio);
    if (free < 1e8) {
      const double kept = 1.5 + std::max(0.0, speed * 1.1 + speed * (speed - leader) /
                                                                (2 * std::sqrt(most_acceleration * comfortable)));
      const double closeness = kept / std::max(free, 0.05);
      a = std::min(a, most_acceleration * (1 - ratio * ratio * ratio * ratio - closeness * closeness));
    }
    return std::max(a, -4.0 + (free < 3 ? -2.0 : 0.0));
  }
  /// To stand `distance` ahead, with the braking that takes.
  static double halt(double speed, double distance) {
    if (distance < 0.15) { return least_acceleration; }
    const double need = speed * speed / (2 * distance);
    return need > 0.6 * comfortable || distance < 2 ? -need : 1e9;
  }

  double driver_acceleration(std::size_t i) {
    const agent& a = agents_[i];
    const path& way = way_of(a);
    const double v = a.now.speed, front = a.now.along + a.body.size.x / 2,
                 reach = 8 + 1.2 * v + v * v / (2 * comfortable);
    double wanted = std::min(a.cruise, way.piece_at(a.now.along).speed), result = 1e9;
    for (const auto& p : way.pieces()) { // slow down before a bend
      const double ahead = p.begin - a.now.along - a.wheelbase / 2;
      if (ahead < 0 || p.speed >= v) { continue; }
      if (ahead > reach + 20) { break; }
      if (const double need = (v * v - p.speed * p.speed) / (2 * std::max(ahead, 0.3)); need > 0.5 * comfortable) {
        result = std::min(result, -need);
      }
    }
    // Within a bend until the rear axle has left it.
    if (way.piece_at(a.now.along + a.wheelbase / 2).curvature != 0) {
      wanted = std::min(wanted, way.piece_at(a.now.along + a.wheelbase / 2).speed);
    }
    if (way.piece_at(a.now.along - a.wheelbase / 2).curvature != 0) {
      wanted = std::min(wanted, way.piece_at(a.now.along - a.wheelbase / 2).speed);
    }
    for (const auto& g : way.gates()) {
      const double distance = g.begin - front - (g.zebra >= 0 ? 0.8 : 0.3);
      if (distance < -0.5 || distance > reach + 10) { continue; }
      const bool closed = g.zebra >= 0 ? claims_[static_cast<std::size_t>(g.zebra)].people > 0 : !is_open(g);
      const bool can_stop = v * v < 2 * 3.6 * std::max(distance, 0.0) || v < 0.5;
      if (closed && can_stop) { result = std::min(result, halt(v, std::max(distance, 0.0))); }
    }
    const gap g = look_ahead(i, reach, 0.25, 0.2, 0.8);
    return std::min(result, follow(v, wanted, g.free, g.speed));
  }

  /// Whether nobody on wheels is too near to stop before a zebra.
  bool may_cross(int zebra) const {
    // People go in groups: who comes late lets the cars pass first.
    const claim& c = claims_[static_cast<std::size_t>(zebra)];
    if (c.people > 0 ? now_ - c.since > 2.5 : now_ - c.until < 4) { return false; }
    const auto& at = map_->zebras()[static_cast<std::size_t>(zebra)];
    if (at.i >= 0) { // nobody is shut into a crossing
      for (const int n : inside_[static_cast<std::size_t>(at.i * street_map::count + at.j)]) {
        if (n > 0) { return false; }
      }
    }
    for (const agent& a : agents_) {
      if (a.walker || a.parked || a.towed_by >= 0) { continue; }
      const double front = a.now.along + a.body.size.x / 2, rear = rear_of(a);
      for (const auto& g : way_of(a).gates()) {
        if (g.zebra != zebra || rear > g.end + 0.6) { continue; }
        const bool waits = a.now.speed < 0.3 && front < g.begin;
        if (!waits && front + a.now.speed * a.now.speed / (2 * comfortable) + 0.3 * a.now.speed + 2.5 > g.begin) {
          return false;
        }
      }
    }
    return true;
  }
  double walker_acceleration(std::size_t i) {
    agent& a = agents_[i];
    const double v = a.now.speed;
    double result = 1e9;
    for (const auto& g : a.walk.gates()) {
      if (a.claimed == g.zebra && a.now.along > g.end + 0.5) {
        claim& c = claims_[static_cast<std::size_t>(g.zebra)];
        if (--c.people == 0) { c.until = now_; }
        a.claimed = -1;
      }
      const double distance = g.begin - a.now.along - 0.5;
      if (a.claimed == g.zebra || distance < -0.3 || distance > 2.5) { continue; }
      if (distance < 0.8 && a.claimed < 0 && may_cross(g.zebra)) {
        a.claimed = g.zebra;
        claim& c = claims_[static_cast<std::size_t>(g.zebra)];
        if (c.people++ == 0) { c.since = now_; }
        continue;
      }
      result = std::min(result, distance < 0.05 ? -5.0 : -v * v / (2 * distance));
      if (distance < 0.3 && v < 0.4) { result = -5; }
    }
    const double left = a.walk.length() - a.now.along;
    if (left < 1) { result = std::min(result, -v * v / (2 * std::max(left, 0.05))); }
    const gap g = look_ahead(i, 2.0, 0.35, 0.25, 0.2);
    if (g.free < 1.8) { result = std::min(result, g.speed > v ? 0.0 : -v * v / (2 * std::max(g.free - 0.2, 0.04))); }
    if (g.free < 0.25) { result = std::min(result, -5.0); }
    return std::min(result, 1.5 * (1 - v / std::max(a.cruise, 0.1)));
  }

  const street_map* map_;
  signal_plan signals_;
  std::vector<agent> agents_;
  struct claim {
    int people = 0;
    double since = -100, until = -100;
  };
  std::vector<claim> claims_; ///< people on each zebra
  std::array<std::array<int, 4>, street_map::count * street_map::count> inside_{};
  double now_ = 0;
};

} // namespace sqs::town

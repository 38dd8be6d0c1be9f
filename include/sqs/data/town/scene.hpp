// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One scene: a stretch of a town over some seconds.

#include <sqs/data/town/population.hpp>
#include <sqs/data/town/stage.hpp>
#include <sqs/data/town/surroundings.hpp>

namespace sqs::town {

/// The recorded way of an agent: a state every 1/20 s.
struct track {
  design body;
  bool walker = false, parked = false, ego = false;
  std::vector<state> states; ///< one only for what is parked
};

/// A scene, ready to be looked at from any of its moments. `seconds` runs from 0; the record goes on for 3.5 s beyond
/// `duration`, so that futures are known.
///
/// Execution   const and thread-safe once made.
/// Cost        about 0.3 s to make.
class scene {
public:
  static constexpr double after = 3.55;

  scene(std::uint64_t seed, std::int64_t index, double duration, const population_options& options = {})
      : duration_(duration) {
    const auto draw = draws(seed, site::scene, index);
    const std::int64_t i = static_cast<std::int64_t>(draw.bits(100) % 4096),
                       j = static_cast<std::int64_t>(draw.bits(101) % 4096);
    map_ = std::make_shared<street_map>(seed, i, j);
    light_ = draw_weather(seed, index);
    const vec2<double> origin = map_->origin();
    // The first crossings of a town lie near its middle; all poses stay within 400 km.
    T_global_town_ = yaw_rotation(draws(seed, site::street).uniform(7, -3.1, 3.1));
    T_global_town_.translation = T_global_town_.rotation * point{origin.x, origin.y, 0};
    simulate(index, options, draw);
    focus at;
    for (std::size_t k = 0; k < ego().states.size(); k += 10) {
      at.points.push_back({ego().states[k].x, ego().states[k].y});
    }
    auto solids = build_surroundings(*map_, at);
    for (std::size_t a = 0; a < tracks_.size(); ++a) {
      const track& t = tracks_[a];
      if (!t.parked) { continue; }
      const state& s = t.states.front();
      if (at.distance(s.x, s.y) < 110) {
        build_body(t.body, static_cast<std::int32_t>(a)).place(solids, {s.x, s.y, s.z}, s.yaw);
      }
    }
    add_signal_posts(solids);
    still_ = std::make_shared<solid_tree>(std::move(solids));
  }

  double duration() const { return duration_; }
  const street_map& map() const { return *map_; }
  const weather& light() const { return light_; }
  const se3<double>& T_global_town() const { return T_global_town_; }
  const std::vector<track>& tracks() const { return tracks_; }
  const track& ego() const { return tracks_.front(); }
  const signal_plan& signals() const { return signals_; }
  const std::shared_ptr<const solid_tree>& still() const { return still_; }

  /// An agent at a moment, between the steps interpolated.
  state at(std::size_t agent, double seconds) const {
    const auto& s = tracks_[agent].states;
    const double k = std::clamp(seconds / traffic::step, 0.0, static_cast<double>(s.size() - 1));
    const auto i = static_cast<std::size_t>(k);
    const double f = k - static_cast<double>(i);
    if (f < 1e-9 || i + 1 >= s.size()) { return s[i]; }
    state r = s[i];
    const state& b = s[i + 1];
    r.x += f * (b.x - r.x), r.y += f * (b.y - r.y), r.z += f * (b.z - r.z), r.speed += f * (b.speed - r.speed);
    r.along += f * (b.along - r.along), r.yaw += f * std::remainder(b.yaw - r.yaw, 6.283185307179586);
    return r;
  }
  /// Velocity over ground, by central differences over 0.1 s; town axes.
  vec2<double> velocity(std::size_t agent, double seconds) const {
    if (tracks_[agent].parked) { return {0, 0}; }
    const double h = traffic::step, low = std::max(0.0, seconds - h);
    const state a = at(agent, low), b = at(agent, seconds + h);
    const double dt = seconds + h - low;
    return {(b.x - a.x) / dt, (b.y - a.y) / dt};
  }
  /// The ego frame: on the ground below the rear axle.
  se3<double> T_town_ego(double seconds) const {
    const state s = at(0, seconds);
    se3<double> t = yaw_rotation(s.yaw);
    t.translation = {s.x - ego_middle * std::cos(s.yaw), s.y - ego_middle * std::sin(s.yaw), 0};
    return t;
  }

  /// What rays meet at a moment. The ego itself is left out.
  stage stage_at(double seconds) const {
    const state e = at(0, seconds);
    std::vector<solid> moving;
    for (std::size_t a = 1; a < tracks_.size(); ++a) {
      const track& t = tracks_[a];
      if (t.parked) { continue; }
      const state s = at(a, seconds);
      if (std::hypot(s.x - e.x, s.y - e.y) > 130) { continue; }
      build_body(t.body, static_cast<std::int32_t>(a), swing_of(t, s)).place(moving, {s.x, s.y, s.z}, s.yaw);
    }
    for (const auto& p : posts_) { lamps(p, seconds, moving); }
    return {map_, still_, solid_tree(std::move(moving)), light_};
  }

private:
  struct post {
    int i, j;
    direction way; ///< whose signal it is
    point at;
  };
  static double swing_of(const track& t, const state& s) {
    const double stride = t.walker ? 1.5 : 5.0; // metres per double step; riders pedal
    return s.speed < 0.05 && t.walker ? 0.15 : std::sin(6.283185307179586 * s.along / stride);
  }

  void simulate(std::int64_t index, const population_options& options, const random_stream& draw) {
    constexpr double warm_up = 4;
    detail::population_builder population(*map_, index, options);
    auto agents = population.build();
    signals_ = {map_->seed(), map_.get(), population.ego_i(), population.ego_j(), 0};
    // The ego's first crossing turns green for it soon after the begin, most of the time.
    const double begin = static_cast<int>(population.ego_heading()) * (signal_plan::green + signal_plan::pause);
    signals_.first_offset = begin + (draw.uniform(8) < 0.86 ? draw.uniform(9, 0.5, 4.5) : draw.uniform(9, -12, -4));
    traffic all(*map_, signals_, std::move(agents));
    for (const auto& a : all.agents()) { tracks_.push_back({a.body, a.walker, a.parked, a.ego, {}}); }
    const int warm = static_cast<int>(warm_up / traffic::step + 0.5);
    const int steps = static_cast<int>((duration_ + after) / traffic::step + 0.5);
    for (int k = -warm; k <= steps; ++k) {
      if (k >= 0) {
        for (std::size_t a = 0; a < tracks_.size(); ++a) {
          if (!tracks_[a].parked || k == 0) { tracks_[a].states.push_back(all.agents()[a].now); }
        }
      }
      all.advance(traffic::step * k);
    }
  }

  void add_signal_posts(std::vector<solid>& still) {
    const colour grey = screen(0.3, 0.31, 0.32);
    for (int i = 0; i < street_map::count; ++i) {
      for (int j = 0; j < street_map::count; ++j) {
        const street &v = map_->vertical(i), &h = map_->horizontal(j);
        if (std::hypot(v.at - ego().states.front().x, h.at - ego().states.front().y) > 150) { continue; }
        for (const direction d : {direction::east, direction::north, direction::west, direction::south}) {
          if (!map_->has_arm(i, j, turned(d, 2))) { continue; } // nobody comes from there
          const bool x = along_x(d);
          const double back = (x ? v.half() : h.half()) + 0.8, side = (x ? h.half() : v.half()) + 0.9;
          // Behind the crossing, to the right of those who come.
          const point at = point{v.at, h.at, kerb_height} + back * unit(d) + side * unit(turned(d, -1));
          posts_.push_back({i, j, d, at});
          part_list p(label::manmade);
          p.cone({0, 0, 0}, 0.09, 5.6, 0.8, look::plain, grey);
          p.bar({0, 0, 5.4}, {0, 3.2, 5.5}, 0.06, look::plain, grey);
          for (const point& box : {point{0, 3.1, 5.4}, point{0, 0.28, 3.0}}) {
            p.prism(box + point{-0.14, -0.16, -0.5}, box + point{0.12, 0.16, 0.5}, look::plain,
                    screen(0.08, 0.08, 0.08));
          }
          p.place(still, at, angle(d));
        }
      }
    }
  }
  void lamps(const post& p, double seconds, std::vector<solid>& out) const {
    const bool green = signals_.is_green(p.i, p.j, p.way, seconds);
    const bool yellow = green && !signals_.is_green(p.i, p.j, p.way, seconds + 1.0);
    part_list parts(label::manmade);
    for (const point& box : {point{0, 3.1, 5.4}, point{0, 0.28, 3.0}}) {
      for (int lamp = 0; lamp < 3; ++lamp) { // red, yellow, green from above
        const bool on = lamp == 2 ? green && !yellow : lamp == 1 ? yellow : !green;
        const colour tint = lamp == 0   ? screen(0.95, 0.12, 0.08)
                            : lamp == 1 ? screen(1, 0.75, 0.1)
                                        : screen(0.15, 0.95, 0.55);
        parts.ball(box + point{-0.14, 0, 0.32 - 0.32 * lamp}, {0.05, 0.12, 0.12}, look::lamp, tint).accent =
            (on ? 2.2 : 0.02) * tint;
      }
    }
    parts.place(out, p.at, angle(p.way));
  }

  double duration_;
  std::shared_ptr<const street_map> map_;
  weather light_;
  se3<double> T_global_town_;
  signal_plan signals_;
  std::vector<track> tracks_;
  std::vector<post> posts_;
  std::shared_ptr<const solid_tree> still_;
};

} // namespace sqs::town

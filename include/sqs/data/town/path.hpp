// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Ways through a town: lines and arcs along lanes, with the places where one may have to stop.

#include <sqs/data/town/layout.hpp>

namespace sqs::town {

/// A place and a direction on the ground.
struct pose2 {
  double x = 0, y = 0, yaw = 0;
};

/// A stretch of constant curvature.
struct path_piece {
  pose2 from;
  double begin = 0, length = 0, curvature = 0, speed = 10; ///< speed: allowed, m/s
};
/// A crossing between its stop line and the line on the far side, or a zebra; `begin` .. `end` along the path.
struct path_gate {
  double begin = 0, end = 0;
  int zebra = -1;   ///< index into street_map::zebras, -1 for a crossing
  int i = 0, j = 0; ///< the crossing
  direction way = direction::east;
};

class path {
public:
  const std::vector<path_piece>& pieces() const { return pieces_; }
  const std::vector<path_gate>& gates() const { return gates_; }
  double length() const { return pieces_.empty() ? 0 : pieces_.back().begin + pieces_.back().length; }

  void start(pose2 at) { end_ = at; }
  pose2 end() const { return end_; }
  void add(double piece_length, double curvature, double speed) {
    if (piece_length <= 0) { return; }
    pieces_.push_back({end_, length(), piece_length, curvature, speed});
    end_ = moved(pieces_.back(), piece_length);
  }
  void add_gate(const path_gate& g) { gates_.push_back(g); }

  /// Where one is after s metres; straight on before the begin and beyond the end.
  pose2 at(double s) const { return moved(piece_at(s), s - piece_at(s).begin); }
  const path_piece& piece_at(double s) const {
    std::size_t low = 0, high = pieces_.size();
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (pieces_[middle].begin <= s ? low : high) = middle;
    }
    return pieces_[low];
  }

private:
  static pose2 moved(const path_piece& p, double s) {
    const double yaw = p.from.yaw;
    if (p.curvature == 0 || s < 0) { return {p.from.x + s * std::cos(yaw), p.from.y + s * std::sin(yaw), yaw}; }
    const double to = yaw + p.curvature * s;
    return {p.from.x + (std::sin(to) - std::sin(yaw)) / p.curvature,
            p.from.y - (std::cos(to) - std::cos(yaw)) / p.curvature, to};
  }
  std::vector<path_piece> pieces_;
  std::vector<path_gate> gates_;
  pose2 end_;
};

/// Which way at a crossing, in quarter turns to the left.
enum class turn : int { right = -1, straight = 0, left = 1 };

/// Follows lanes: extends a path crossing by crossing.
class lane_route {
public:
  /// Starts `along` the axis of a street, in lane `lane` (0 is the innermost), driving `way`.
  lane_route(const street_map& map, direction way, int street_index, int lane, double along, double to_right = 0)
      : map_(&map),
        way_(way),
        street_(street_index),
        lane_(lane),
        to_right_(to_right) {
    const street& s = own();
    const point right = unit(turned(way, -1)), axis = along_x(way) ? point{along, s.at, 0} : point{s.at, along, 0};
    const point at = axis + offset() * right;
    way_path_.start({at.x, at.y, angle(way)});
    next_ = first_crossing(along);
  }

  const path& way() const { return way_path_; }
  /// Whether another crossing lies ahead.
  bool inside() const { return next_ >= 0 && next_ < street_map::count; }
  int crossing_i() const { return along_x(way_) ? next_ : street_; }
  int crossing_j() const { return along_x(way_) ? street_ : next_; }
  direction heading() const { return way_; }

  /// The turns that the next crossing and this lane allow.
  std::vector<turn> choices() const {
    std::vector<turn> out;
    const auto open = [&](turn t) {
      return map_->has_arm(crossing_i(), crossing_j(), turned(way_, static_cast<int>(t)));
    };
    if (open(turn::straight)) { out.push_back(turn::straight); }
    if (lane_ == own().lanes - 1 && open(turn::right)) { out.push_back(turn::right); }
    if (lane_ == 0 && open(turn::left)) { out.push_back(turn::left); }
    return out;
  }

  /// Drives up to and over the next crossing; straight on, for ever, when there is none.
  void extend(turn t) {
    const std::size_t first = way_path_.pieces().size();
    if (!inside()) {
      way_path_.add(3000, 0, own().speed);
      return;
    }
    const int i = crossing_i(), j = crossing_j();
    const street &v = map_->vertical(i), &h = map_->horizontal(j);
    const double half = along_x(way_) ? v.half() : h.half(); // of the crossing's square, along the way
    const point middle{v.at, h.at, 0}, ahead = unit(way_);
    const pose2 from = way_path_.end();
    const double to_middle = dot(middle - point{from.x, from.y, 0}, ahead);
    const double line = to_middle - half - stop_line;
    const double at_line = way_path_.length() + line;
    const direction from_way = way_;
    if (t == turn::straight) {
      way_path_.add(to_middle + half + stop_line, 0, own().speed);
      next_ += way_ == direction::east || way_ == direction::north ? 1 : -1;
    } else {
      make_turn(t, i, j, to_middle, half);
    }
    way_path_.add_gate({at_line, way_path_.length(), -1, i, j, from_way});
    add_zebras(first);
  }

private:
  const street& own() const { return along_x(way_) ? map_->horizontal(street_) : map_->vertical(street_); }
  double offset() const { return (lane_ + 0.5) * lane_width + to_right_; }
  int first_crossing(double along) const {
    const bool up = way_ == direction::east || way_ == direction::north;
    for (int k = up ? 0 : street_map::count - 1; k >= 0 && k < street_map::count; k += up ? 1 : -1) {
      const street& s = along_x(way_) ? map_->vertical(k) : map_->horizontal(k);
      if (up ? s.at - s.half() > along : s.at + s.half() < along) { return k; }
    }
    return -1;
  }

  void make_turn(turn t, int i, int j, double to_middle, double half) {
    const direction out = turned(way_, static_cast<int>(t));
    const street& next = along_x(out) ? map_->horizontal(j) : map_->vertical(i);
    const int lane = t == turn::left ? 0 : next.lanes - 1;
    const double out_offset = (lane + 0.5) * lane_width + to_right_, in_offset = offset();
    // The corner where the middle lines of the two lanes meet: how far ahead, and how far from its own middle line.
    const double corner = to_middle + (t == turn::right ? -out_offset : out_offset);
    const double from_kerb = std::min(next.half() - out_offset, own().half() - in_offset);
    const double out_half = along_x(out) ? map_->vertical(i).half() : map_->horizontal(j).half();
    const double to_line = corner - (to_middle - half - stop_line);
    const double to_exit = out_half + stop_line + (t == turn::right ? -in_offset : in_offset);
    double radius = std::min(to_line, to_exit);
    if (t == turn::right) { radius = std::min(radius, from_kerb + corner_radius); }
    way_path_.add(corner - radius, 0, own().speed);
    way_path_.add(1.5707963267948966 * radius, (t == turn::left ? 1 : -1) / radius, std::sqrt(1.9 * radius));
    way_ = out, street_ = along_x(out) ? j : i, lane_ = lane;
    next_ = (along_x(out) ? i : j) + (out == direction::east || out == direction::north ? 1 : -1);
    way_path_.add(std::max(0.0, to_exit - radius), 0, own().speed);
  }

  /// Gates where the pieces added since cross zebras.
  void add_zebras(std::size_t first) {
    const auto& zebras = map_->zebras();
    for (std::size_t p = first; p < way_path_.pieces().size(); ++p) {
      const path_piece piece = way_path_.pieces()[p];
      const pose2 a = piece.from, b = way_path_.at(piece.begin + piece.length - 1e-9);
      for (std::size_t z = 0; z < zebras.size(); ++z) {
        const auto& r = zebras[z];
        if (std::max(a.x, b.x) < r.low.x - 1 || std::min(a.x, b.x) > r.high.x + 1 || std::max(a.y, b.y) < r.low.y - 1 ||
            std::min(a.y, b.y) > r.high.y + 1) {
          continue;
        }
        double enter = -1, leave = -1;
        for (double s = 0; s <= piece.length; s += 0.25) {
          const pose2 q = way_path_.at(piece.begin + s);
          if (!r.contains(q.x, q.y)) { continue; }
          if (enter < 0) { enter = s; }
          leave = s;
        }
        if (enter >= 0) {
          way_path_.add_gate({piece.begin + enter, piece.begin + leave, static_cast<int>(z), 0, 0, way_});
        }
      }
    }
  }

  const street_map* map_;
  direction way_;
  int street_, lane_, next_ = -1;
  double to_right_;
  path way_path_;
};

} // namespace sqs::town

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of a town that stands still and belongs to nobody: pavements, ground, houses, trees, poles, benches.

#include <sqs/data/town/layout.hpp>
#include <sqs/data/town/parts.hpp>

namespace sqs::town {

/// The stretch of road a scene is about: things far from all of its points are left out.
struct focus {
  std::vector<vec2<double>> points;
  double distance(double x, double y) const {
    double best = 1e9;
    for (const auto& p : points) { best = std::min(best, std::hypot(p.x - x, p.y - y)); }
    return best;
  }
};

namespace detail {

struct rectangle {
  double x0, y0, x1, y1;
  double width() const { return x1 - x0; }
  double depth() const { return y1 - y0; }
  point middle() const { return {(x0 + x1) / 2, (y0 + y1) / 2, 0}; }
};

class surroundings_builder {
public:
  static constexpr double near_props = 95, far_houses = 230;

  surroundings_builder(const street_map& map, const focus& at, std::vector<solid>& out)
      : map_(map),
        focus_(at),
        out_(out) {}

  void build() {
    for (int i = 0; i + 1 < street_map::count; ++i) {
      for (int j = 0; j + 1 < street_map::count; ++j) { block(i, j); }
    }
    for (int i = 0; i + 1 < street_map::count; ++i) {
      for (int j = 0; j < street_map::count; ++j) {
        if (map_.joined(i, j)) {
          const street &a = map_.vertical(i), &b = map_.vertical(i + 1);
          roadside(map_.horizontal(j), true, a.at + a.half(), b.at - b.half(), i, j);
        } else {
          square(i, j);
        }
        if (j + 1 < street_map::count) {
          const street &a = map_.horizontal(j), &b = map_.horizontal(j + 1);
          roadside(map_.vertical(i), false, a.at + a.half(), b.at - b.half(), i, j);
        }
      }
    }
  }

private:
  double off(double x, double y) const { return focus_.distance(x, y); }

  /// A flat slab with round corners.
  void slab(const rectangle& r, double radius, std::uint8_t class_label, look surface, double top, colour paint,
            bool bays = false) {
    part_list p(class_label);
    const auto piece = [&](solid& s) {
      s.grain = bays ? 1 : 0;
      s.accent = r.middle();
      s.extra = {r.width() / 2, r.depth() / 2, radius};
    };
    piece(p.prism({r.x0 + radius, r.y0, -0.1}, {r.x1 - radius, r.y1, top}, surface, paint));
    if (radius > 0) {
      piece(p.prism({r.x0, r.y0 + radius, -0.1}, {r.x0 + radius, r.y1 - radius, top}, surface, paint));
      piece(p.prism({r.x1 - radius, r.y0 + radius, -0.1}, {r.x1, r.y1 - radius, top}, surface, paint));
      for (const double x : {r.x0 + radius, r.x1 - radius}) {
        for (const double y : {r.y0 + radius, r.y1 - radius}) {
          piece(p.cone({x, y, -0.1}, radius, top + 0.1, 1, surface, paint));
        }
      }
    }
    p.place(out_, {}, 0);
  }

  rectangle outline(int i, int j) const {
    const street &a = map_.vertical(i), &b = map_.vertical(i + 1), &c = map_.horizontal(j), &d = map_.horizontal(j + 1);
    return {a.at + a.half(), c.at + c.half(), b.at - b.half(), d.at - d.half()};
  }
  rectangle inside(int i, int j) const {
    const rectangle r = outline(i, j);
    return {r.x0 + map_.vertical(i).walk, r.y0 + map_.horizontal(j).walk, r.x1 - map_.vertical(i + 1).walk,
            r.y1 - map_.horizontal(j + 1).walk};
  }

  void block(int i, int j) {
    const rectangle r = outline(i, j), in = inside(i, j);
    const point m = r.middle();
    if (off(m.x, m.y) > far_houses + 60) { return; }
    const auto draw = draws(map_.seed(), site::building, map_.global_i(i), map_.global_j(j));
    const double pale = draw.uniform(900, 0.5, 0.62);
    slab(r, corner_radius, label::sidewalk, look::paving, kerb_height, screen(pale, pale * 0.985, pale * 0.95));
    switch (map_.kind(i, j)) {
    case block_kind::city:
      slab(in, 0, label::other_flat, look::plaza, kerb_height + 0.01, screen(0.5, 0.48, 0.46));
      city(in, draw);
      break;
    case block_kind::houses:
      slab(in, 0, label::terrain, look::grass, kerb_height + 0.03, screen(0.36, 0.46, 0.22));
      houses(in, draw);
      break;
    case block_kind::park:
      slab(in, 0, label::terrain, look::grass, kerb_height + 0.03, screen(0.34, 0.47, 0.2));
      park(in, draw);
      break;
    case block_kind::parking:
      slab(in, 0, label::other_flat, look::plaza, kerb_height + 0.01, screen(0.4, 0.4, 0.41), true);
      hedge_around(in, draw);
      break;
    }
  }

  /// A square where a street is missing.
  void square(int i, int j) {
    const street &a = map_.vertical(i), &b = map_.vertical(i + 1), &h = map_.horizontal(j);
    const rectangle r{a.at + a.half(), h.at - h.half() - corner_radius, b.at - b.half(),
                      h.at + h.half() + corner_radius};
    if (off(r.middle().x, r.middle().y) > near_props + 90) { return; }
    slab(r, 0, label::other_flat, look::plaza, kerb_height + 0.004, screen(0.55, 0.5, 0.46));
    const auto draw = draws(map_.seed(), site::prop, 7000 + map_.global_i(i), map_.global_j(j));
    for (idx k = 0; k < 8; ++k) {
      const point at{draw.uniform(4 * k, r.x0 + 6, r.x1 - 6), draw.uniform(4 * k + 1, r.y0 + 3, r.y1 - 3), kerb_height};
      if (k < 5) {
        tree(at, draw, 100 + 30 * k);
      } else {
        bench(at, draw.uniform(4 * k + 2) < 0.5 ? 0.0 : 1.5708);
      }
    }
  }

  void house(const rectangle& r, double height, const random_stream& d, idx k, bool gabled) {
    const point m = r.middle();
    const double away = off(m.x, m.y);
    if (away > far_houses || r.width() < 4 || r.depth() < 4) { return; }
    part_list p(label::manmade);
    const double warm = d.uniform(k, 0.45, 0.85), tint = d.uniform(k + 1);
    const colour wall = tint < 0.3    ? screen(warm, 0.55 * warm, 0.42 * warm)
                        : tint < 0.6  ? screen(warm, 0.93 * warm, 0.8 * warm)
                        : tint < 0.85 ? screen(0.9 * warm, 0.92 * warm, 0.95 * warm)
                                      : screen(0.35, 0.42, 0.5);
    solid& body = p.prism({r.x0, r.y0, 0}, {r.x1, r.y1, height}, look::facade, wall);
    body.hollow = true;
    body.grain = d.bits(k + 2);
    body.extra = {d.uniform(k + 3, 2.2, 3.6), gabled ? 2.8 : d.uniform(k + 4, 3.0, 3.7),
                  gabled ? 3.0 : std::floor(d.uniform(k + 5, 0, 3))};
    body.accent = screen(d.uniform(k + 6, 0.08, 0.2), d.uniform(k + 6, 0.12, 0.24), d.uniform(k + 6, 0.16, 0.3));
    if (gabled) {
      const bool wide = r.width() > r.depth();
      const double rise = d.uniform(k + 7, 0.5, 0.8) * std::min(r.width(), r.depth()) / 2;
      const colour tile = d.uniform(k + 8) < 0.5 ? screen(0.5, 0.24, 0.17) : screen(0.27, 0.27, 0.29);
      const point half{(wide ? r.width() : r.depth()) / 2 + 0.4, (wide ? r.depth() : r.width()) / 2 + 0.5, 0};
      solid& roof = p.prism({-half.x, -half.y, height}, {half.x, half.y, height + rise}, look::roof, tile,
                            {0.3, 0.3, half.y - 0.02});
      roof.center = roof.center + m;
      roof.hollow = true;
      if (!wide) { roof.cosine = 0, roof.sine = 1; }
      p.prism({m.x + 1, m.y + 0.6, height}, {m.x + 1.7, m.y + 1.3, height + rise + 0.7}, look::plain,
              screen(0.45, 0.3, 0.25));
    } else if (away < 150) {
      p.prism({r.x0 - 0.15, r.y0 - 0.15, height - 0.2}, {r.x1 + 0.15, r.y1 + 0.15, height + 0.45}, look::roof,
              0.8 * wall);
      if (d.uniform(k + 9) < 0.5) {
        p.prism({m.x - 2, m.y - 2, height}, {m.x + 2, m.y + 1, height + 2.4}, look::roof, screen(0.55, 0.55, 0.55));
      }
      if (d.uniform(k + 10) < 0.45 && height > 9) { // a tower above
        solid& tower =
            p.prism({r.x0 + 2.5, r.y0 + 2.5, height}, {r.x1 - 2.5, r.y1 - 2.5, height * d.uniform(k + 11, 1.3, 1.9)},
                    look::facade, 0.9 * wall);
        tower.hollow = true, tower.extra = body.extra, tower.accent = body.accent, tower.grain = body.grain + 1;
      }
    }
    p.place(out_, {}, 0);
  }
  /// An awning over a shop window, on the side of a house that looks to a street.
  void awning(point a, point b, point outwards, const random_stream& d, idx k) {
    if (d.uniform(k) > 0.6 || off(a.x, a.y) > near_props) { return; }
    part_list p(label::manmade);
    const double long_ = length(b - a);
    solid& s = p.prism({-0.6, -0.4 * long_, 2.75}, {0.6, 0.4 * long_, 3.15}, look::striped, vehicle_paint(d, k + 1),
                       {1.1, 0, 0});
    s.accent = screen(0.9, 0.88, 0.84), s.extra = {1, 0, 0};
    p.place(out_, 0.5 * (a + b) + 0.6 * outwards, std::atan2(outwards.y, outwards.x));
  }

  void city(const rectangle& in, const random_stream& d) {
    const double deep = std::min(14.0, 0.4 * std::min(in.width(), in.depth()));
    idx k = 0;
    for (int side = 0; side < 4; ++side) {
      const bool x = side < 2;
      const double from = x ? in.x0 : in.y0 + deep + 0.3, to = x ? in.x1 : in.y1 - deep - 0.3;
      for (double at = from; at < to - 6; k += 40) {
        double wide = d.uniform(k, 9, 21);
        if (to - at - wide < 8) { wide = to - at; }
        const double setback = d.uniform(k + 1) < 0.7 ? 0 : d.uniform(k + 2, 0.5, 2.5);
        const double high = d.uniform(k + 3) < 0.6 ? d.uniform(k + 4, 7, 14) : d.uniform(k + 4, 14, 34);
        const double a = at, b = at + wide - (d.uniform(k + 5) < 0.25 ? 2.5 : 0.0),
                     back = deep - d.uniform(k + 6, 0, 3);
        const rectangle r = side == 0   ? rectangle{a, in.y0 + setback, b, in.y0 + back}
                            : side == 1 ? rectangle{a, in.y1 - back, b, in.y1 - setback}
                            : side == 2 ? rectangle{in.x0 + setback, a, in.x0 + back, b}
                                        : rectangle{in.x1 - back, a, in.x1 - setback, b};
        if (d.uniform(k + 7) < 0.93) {
          house(r, high, d, k + 10, false);
          if (side == 0) { awning({a, r.y0, 0}, {b, r.y0, 0}, {0, -1, 0}, d, k + 30); }
          if (side == 1) { awning({a, r.y1, 0}, {b, r.y1, 0}, {0, 1, 0}, d, k + 30); }
          if (side == 2) { awning({r.x0, a, 0}, {r.x0, b, 0}, {-1, 0, 0}, d, k + 30); }
          if (side == 3) { awning({r.x1, a, 0}, {r.x1, b, 0}, {1, 0, 0}, d, k + 30); }
        }
        at += wide;
      }
    }
  }

  void houses(const rectangle& in, const random_stream& d) {
    idx k = 0;
    for (int side = 0; side < 4; ++side) {
      const bool x = side < 2;
      const double garden = d.uniform(800 + side, 3, 6), corner = x ? 0 : garden + 11;
      const double from = (x ? in.x0 : in.y0) + corner + 2, to = (x ? in.x1 : in.y1) - corner - 2;
      for (double at = from; at + 8 < to; k += 40) {
        const double wide = d.uniform(k, 8, 12), deep = d.uniform(k + 1, 7.5, 10);
        if (at + wide > to) { break; }
        const rectangle r = side == 0   ? rectangle{at, in.y0 + garden, at + wide, in.y0 + garden + deep}
                            : side == 1 ? rectangle{at, in.y1 - garden - deep, at + wide, in.y1 - garden}
                            : side == 2 ? rectangle{in.x0 + garden, at, in.x0 + garden + deep, at + wide}
                                        : rectangle{in.x1 - garden - deep, at, in.x1 - garden, at + wide};
        house(r, d.uniform(k + 3) < 0.5 ? 3.2 : 5.9, d, k + 10, true);
        const double gap = d.uniform(k + 4, 3.5, 8), g = at + wide + gap / 2, f = garden * 0.5;
        const point p = side == 0   ? point{g, in.y0 + f, 0}
                        : side == 1 ? point{g, in.y1 - f, 0}
                        : side == 2 ? point{in.x0 + f, g, 0}
                                    : point{in.x1 - f, g, 0};
        if (d.uniform(k + 5) < 0.7) { tree(p + point{0, 0, kerb_height}, d, k + 20); }
        at += wide + gap;
      }
    }
    if (d.uniform(850) < 0.7) { hedge_around(in, d); }
  }

  /// A low hedge with gaps.
  void hedge_around(const rectangle& in, const random_stream& d) {
    part_list p(label::vegetation);
    const double high = d.uniform(860, 0.7, 1.3);
    for (int side = 0; side < 4; ++side) {
      const bool x = side < 2;
      const double from = x ? in.x0 : in.y0, to = x ? in.x1 : in.y1;
      for (double at = from + 0.3; at + 3.5 < to; at += 5.2) {
        const double v = side == 0 ? in.y0 + 0.5 : side == 1 ? in.y1 - 0.5 : side == 2 ? in.x0 + 0.5 : in.x1 - 0.5;
        const point low = x ? point{at, v - 0.35, kerb_height} : point{v - 0.35, at, kerb_height};
        const point top =
            x ? point{at + 4.6, v + 0.35, kerb_height + high} : point{v + 0.35, at + 4.6, kerb_height + high};
        if (off(low.x, low.y) > near_props || d.uniform(861 + static_cast<idx>(at) + 97 * side) < 0.2) { continue; }
        p.prism(low, top, look::foliage, screen(0.24, 0.38, 0.16), {0.06, 0.06, 0.06});
      }
    }
    p.place(out_, {}, 0);
  }

  void park(const rectangle& in, const random_stream& d) {
    for (idx k = 0; k < 26; ++k) {
      const point at{d.uniform(40 * k, in.x0 + 3, in.x1 - 3), d.uniform(40 * k + 1, in.y0 + 3, in.y1 - 3), kerb_height};
      if (k < 17) {
        tree(at, d, 40 * k + 5);
      } else if (k < 20 && off(at.x, at.y) < near_props) {
        part_list p(label::terrain); // a mound
        const double r = d.uniform(40 * k + 2, 4, 8);
        p.ball(at, {r, r, d.uniform(40 * k + 3, 0.5, 1.3)}, look::grass, screen(0.34, 0.46, 0.2));
        p.place(out_, {}, 0);
      } else {
        bush(at, d, 40 * k + 5);
      }
    }
  }

  void bush(point at, const random_stream& d, idx k) {
    if (off(at.x, at.y) > near_props) { return; }
    part_list p(label::vegetation);
    const double r = d.uniform(k, 0.5, 1.1);
    p.ball({0, 0, 0.6 * r}, {r, r, 0.8 * r}, look::foliage, screen(0.25, d.uniform(k + 1, 0.34, 0.45), 0.15));
    p.ball({0.7 * r, 0.2 * r, 0.4 * r}, {0.7 * r, 0.7 * r, 0.6 * r}, look::foliage, screen(0.27, 0.4, 0.16));
    p.place(out_, at, d.uniform(k + 2, 0, 6));
  }
  void tree(point at, const random_stream& d, idx k) {
    const double away = off(at.x, at.y);
    if (away > near_props + 60) { return; }
    part_list p(label::vegetation);
    const double high = d.uniform(k, 5, 9.5), trunk = high * d.uniform(k + 1, 0.28, 0.4),
                 crown = high * d.uniform(k + 2, 0.2, 0.3);
    const double green = d.uniform(k + 3, 0.3, 0.46), warm = d.uniform(k + 4, 0.5, 0.85);
    const colour leaf = screen(warm * green, green, 0.4 * green), bark = screen(0.35, 0.28, 0.21);
    p.cone({0, 0, -0.05}, 0.14 + 0.012 * high, high * 0.72, 0.35, look::bark, bark);
    const int clumps = away < 60 ? 8 : 4;
    for (int c = 0; c < clumps; ++c) {
      const idx n = k + 5 + 2 * c;
      const double turn = 2.4 * c, out = c == 0 ? 0 : crown * d.uniform(n, 0.55, 0.95);
      const double up =
          c == 0 ? high - crown * 0.9 : trunk + crown * 0.6 + (high - trunk - 1.6 * crown) * (0.15 + 0.8 * c / clumps);
      const double size = crown * d.uniform(n + 1, 0.6, 0.95);
      const point middle{out * std::cos(turn), out * std::sin(turn), up};
      p.ball(middle, {size, size, 0.8 * size}, look::foliage, (0.85 + 0.05 * (c % 4)) * leaf);
      if (c > 0 && c % 2 == 1 && away < 50) { p.bar({0, 0, trunk}, middle, 0.05, look::bark, bark); }
    }
    p.place(out_, at, d.uniform(k + 4, 0, 6));
  }
  void bench(point at, double yaw) {
    if (off(at.x, at.y) > near_props) { return; }
    part_list p(label::manmade);
    p.prism({-0.25, -0.8, 0.4}, {0.25, 0.8, 0.46}, look::bark, screen(0.5, 0.35, 0.22));
    p.prism({-0.28, -0.8, 0.55}, {-0.22, 0.8, 0.9}, look::bark, screen(0.5, 0.35, 0.22));
    for (const double y : {-0.6, 0.6}) {
      p.prism({-0.22, y - 0.04, 0}, {0.22, y + 0.04, 0.42}, look::plain, screen(0.2, 0.2, 0.2));
    }
    p.place(out_, at, yaw);
  }

  /// A place along a street, `across` metres from its middle to the left of its axis.
  static point beside(const street& s, bool x, double along, double across) {
    return x ? point{along, s.at + across, kerb_height} : point{s.at - across, along, kerb_height};
  }
  void roadside(const street& s, bool x, double from, double to, int i, int j) {
    const auto d = draws(map_.seed(), site::prop, 2 * map_.global_i(i) + (x ? 1 : 0), map_.global_j(j));
    const bool trees = d.uniform(0) < 0.65;
    idx k = 10;
    for (const double side : {-1.0, 1.0}) {
      const double kerb = side * s.half();
      for (double at = from + 10; at < to - 9; at += d.uniform(k, 8, 12), k += 40) {
        const point p = beside(s, x, at, kerb + side * 0.9);
        if (off(p.x, p.y) > near_props + 40 || near_zebra(p)) { continue; }
        const double what = d.uniform(k + 1);
        if (trees && what < 0.6) {
          tree(p, d, k + 2);
        } else if (what < 0.72) {
          lamp(p, std::atan2(-side * (x ? 1 : 0), side * (x ? 0 : 1)), d.uniform(k + 2, 7, 9));
        } else if (what < 0.84) {
          sign(p, x ? (side > 0 ? 3.14159 : 0.0) : (side > 0 ? -1.5708 : 1.5708), d, k + 2);
        } else if (what < 0.92) {
          bin(p, d, k + 2);
        }
      }
    }
    for (double at = from + 12 + d.uniform(5, 0, 6); at < to - 8; at += 27) { // lamps on one side
      const point p = beside(s, x, at, s.half() + 0.6);
      if (off(p.x, p.y) < near_props + 60) { lamp(p, x ? -1.5708 : 0.0, 8); }
    }
  }
  bool near_zebra(point p) const {
    for (const auto& z : map_.zebras()) {
      if (p.x > z.low.x - 2 && p.x < z.high.x + 2 && p.y > z.low.y - 2 && p.y < z.high.y + 2) { return true; }
    }
    return false;
  }
  /// `yaw` points over the road.
  void lamp(point at, double yaw, double high) {
    part_list p(label::manmade);
    const colour grey = screen(0.42, 0.44, 0.45);
    p.cone({0, 0, 0}, 0.1, high, 0.6, look::plain, grey);
    p.bar({0, 0, high - 0.1}, {1.9, 0, high + 0.25}, 0.045, look::plain, grey);
    p.ball({2.0, 0, high + 0.24}, {0.35, 0.14, 0.08}, look::plain, screen(0.75, 0.75, 0.72));
    p.place(out_, at, yaw);
  }
  void sign(point at, double yaw, const random_stream& d, idx k) {
    part_list p(label::manmade);
    p.cone({0, 0, 0}, 0.04, 2.6, 1, look::plain, screen(0.5, 0.5, 0.5));
    const double u = d.uniform(k);
    solid& board = u < 0.5 ? p.prism({0.04, -0.35, 2.0}, {0.07, 0.35, 2.7}, look::sign, screen(0.1, 0.25, 0.6))
                           : p.ball({0.06, 0, 2.4}, {0.03, 0.33, 0.33}, look::sign, screen(0.9, 0.9, 0.9));
    board.accent = u < 0.5 ? screen(0.95, 0.95, 0.95) : screen(0.8, 0.08, 0.08);
    p.place(out_, at, yaw);
  }
  void bin(point at, const random_stream& d, idx k) {
    part_list p(label::manmade);
    p.cone({0, 0, 0}, 0.28, 0.95, 1.1, look::plain,
           d.uniform(k) < 0.5 ? screen(0.2, 0.3, 0.2) : screen(0.3, 0.3, 0.32));
    p.place(out_, at, 0);
  }

  const street_map& map_;
  const focus& focus_;
  std::vector<solid>& out_;
};

} // namespace detail

/// The solids around a stretch of road. The road itself is not among them: it is the plane z = 0.
inline std::vector<solid> build_surroundings(const street_map& map, const focus& at) {
  std::vector<solid> out;
  detail::surroundings_builder(map, at, out).build();
  return out;
}

} // namespace sqs::town

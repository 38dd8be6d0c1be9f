// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Does the planned vehicle meet anything? In the three ways planning benchmarks answer that: polygons, two rasters.

#include <sqs/core/error.hpp>
#include <sqs/core/math.hpp>
#include <sqs/metric/detail/numpy.hpp>

#include <cstdint>

namespace sqs::metric {

/// Something on the road at one moment of the future.
///
/// Units       metres, radians; in the vehicle's frame at the present: x ahead, y left, yaw from x to y
struct planning_obstacle {
  vec2<double> center{};
  double length = 0, width = 0, yaw = 0;
  bool vehicle = true; ///< false: a pedestrian
};

/// How a collision is found. All use a vehicle of 4.084 x 1.85 m.
enum class collision_protocol {
  polygons,  ///< SparseDrive, DiffusionDrive: the rectangles touch; centre 0.5 m along the heading
  st_p3,     ///< ST-P3, UniAD: they share a cell of 0.5 m; the vehicle never turns, centre 0.5 m ahead
  omni_drive ///< OmniDrive: they share a cell of 0.1 m; vehicles only, centre 1.485793 m along the way of the step
};

namespace detail {

inline constexpr double ego_length = 4.084, ego_width = 1.85;

/// Corners, one after the other around the box.
inline std::array<vec2<double>, 4> corners(const vec2<double>& center, double length, double width, double yaw) {
  const double c = std::cos(yaw), s = std::sin(yaw), l = length / 2, w = width / 2;
  const auto at = [&](double x, double y) { return center + vec2<double>{x * c - y * s, x * s + y * c}; };
  return {at(l, w), at(l, -w), at(-l, -w), at(-l, w)};
}

/// Whether two rectangles share a point, borders included: no side of either keeps them apart.
inline bool touch(const std::array<vec2<double>, 4>& a, const std::array<vec2<double>, 4>& b) {
  const auto apart = [](const std::array<vec2<double>, 4>& p, const std::array<vec2<double>, 4>& q) {
    for (std::size_t i = 0; i < 2; ++i) {
      const vec2<double> side = p[i + 1] - p[i];
      const auto reach = [&](const std::array<vec2<double>, 4>& r) {
        double low = 1e300, high = -1e300;
        for (const auto& v : r) {
          const double along = side.x * v.x + side.y * v.y;
          low = std::min(low, along), high = std::max(high, along);
        }
        return std::pair{low, high};
      };
      const auto [pl, ph] = reach(p);
      const auto [ql, qh] = reach(q);
      if (ph < ql || qh < pl) { return true; }
    }
    return false;
  };
  return !apart(a, b) && !apart(b, a);
}

/// Headings of a path: differences over two steps, over one at the end; straight ahead if it ends within 0.5 m of its
/// first point.
inline std::vector<double> path_headings(const std::vector<vec2<double>>& path) {
  std::vector<double> yaw(path.size(), 0.0);
  const vec2<double> all = path.back() - path.front();
  if (std::hypot(all.x, all.y) < 0.5) { return yaw; }
  for (std::size_t i = 0; i < path.size(); ++i) {
    const vec2<double> before = i == 0 ? vec2<double>{} : path[i - 1];
    const vec2<double> d = i + 1 < path.size() ? path[i + 1] - before : path[i] - before;
    yaw[i] = std::atan2(d.y, d.x);
  }
  return yaw;
}

/// A place in a picture: column and row. ST-P3 draws the road ahead as rows, OmniDrive as columns.
struct raster_cell {
  int x = 0, y = 0;
};

/// The cells of the line between two cells, as OpenCV draws it: one per step of the longer axis.
template <class Visit> void draw_line(raster_cell a, raster_cell b, Visit&& visit) {
  if (a.x > b.x) { std::swap(a, b); } // always to the right
  const int dx = b.x - a.x, dy = std::abs(b.y - a.y), down = b.y >= a.y ? 1 : -1;
  const int most = std::max(dx, dy), least = std::min(dx, dy);
  int error = most - 2 * least;
  for (int i = 0; i <= most; ++i) {
    visit(a.x, a.y);
    const bool both = error < 0;
    error += (both ? 2 * most : 0) - 2 * least;
    a.x += dx >= dy || both ? 1 : 0;
    a.y += dx < dy || both ? down : 0;
  }
}

/// The cells of a four-sided convex polygon with corners on cells, its outline included, as OpenCV fills it. Cells may
/// come more than once.
template <class Visit> void fill_polygon(const std::array<raster_cell, 4>& corner, Visit&& visit) {
  int top = corner[0].y, bottom = corner[0].y;
  for (std::size_t i = 0; i < 4; ++i) {
    draw_line(corner[i], corner[(i + 1) % 4], visit);
    top = std::min(top, corner[i].y), bottom = std::max(bottom, corner[i].y);
  }
  constexpr std::int64_t one = 1 << 16;
  for (int y = top; y < bottom; ++y) {
    std::int64_t low = std::numeric_limits<std::int64_t>::max(), high = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 0; i < 4; ++i) {
      raster_cell a = corner[i], b = corner[(i + 1) % 4];
      if (a.y > b.y) { std::swap(a, b); }
      if (a.y == b.y || y < a.y || y >= b.y) { continue; }
      // The slope is cut to 16 bits behind the point, then followed row by row.
      const std::int64_t slope = (b.x - a.x) * one / (b.y - a.y), x = a.x * one + slope * (y - a.y);
      low = std::min(low, x), high = std::max(high, x);
    }
    if (low > high) { continue; }
    for (std::int64_t x = (low + one - 1) >> 16; x <= high >> 16; ++x) { visit(static_cast<int>(x), y); }
  }
}

/// The cell of a coordinate on OmniDrive's raster of +-50 m, whose constants are in single precision.
inline int fine_cell(double v) {
  constexpr double first = static_cast<double>(-49.95f), half = static_cast<double>(0.1f / 2);
  return static_cast<int>(std::nearbyint(std::clamp((v - first + half) / static_cast<double>(0.1f), -1e6, 1e6)));
}

/// The corners of an obstacle on a raster of +-50 m.
inline std::array<raster_cell, 4> obstacle_cells(const planning_obstacle& o, bool fine) {
  std::array<raster_cell, 4> out{};
  const auto at = corners(o.center, o.length, o.width, o.yaw);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto on = [](double v) { return static_cast<int>(std::nearbyint(std::clamp((v + 50) / 0.5, -1e6, 1e6))); };
    out[i] = fine ? raster_cell{fine_cell(at[i].x), fine_cell(at[i].y)} : raster_cell{on(at[i].y), on(at[i].x)};
  }
  return out;
}

/// The cells of the vehicle at one step of a path.
inline std::vector<raster_cell> ego_cells(const std::vector<vec2<double>>& path, std::size_t step, bool fine) {
  // Rows and columns whose centres lie in a vehicle at the origin: its centre is 0.5 m ahead (+ 0.985793 m from the
  // LiDAR to the inertial unit), cell 99.5 or 499.5 the origin.
  const double cell = fine ? static_cast<double>(0.1f) : 0.5, middle = fine ? 499.5 : 99.5;
  const double ahead = fine ? 0.5 + 0.985793 : 0.5, size = fine ? 0.1 : 0.5;
  double turn = 0;
  if (fine) {
    const vec2<double> d = path[step] - (step == 0 ? vec2<double>{} : path[step - 1]);
    turn = std::hypot(d.x, d.y) < 1 ? 0 : std::atan2(d.y, d.x);
  }
  const double c = std::cos(turn), s = std::sin(turn);
  const auto first = [&](double v) { return static_cast<int>(std::ceil(v / size + middle)); };
  const auto last = [&](double v) { return static_cast<int>(std::floor(v / size + middle)); };
  std::vector<raster_cell> cells;
  for (int i = first(ahead - ego_length / 2); i <= last(ahead + ego_length / 2); ++i) {
    for (int j = first(-ego_width / 2); j <= last(ego_width / 2); ++j) {
      double x = i, y = j;
      if (fine) {
        x = std::nearbyint((i - middle) * c - (j - middle) * s + middle);
        y = std::nearbyint((i - middle) * s + (j - middle) * c + middle);
      }
      const int most = fine ? 999 : 199;
      const auto clipped = [&](double v) { return static_cast<int>(std::clamp(std::trunc(v), 0.0, double(most))); };
      const int ahead_cell = clipped(path[step].x / cell + x), left_cell = clipped(path[step].y / cell + y);
      cells.push_back(fine ? raster_cell{ahead_cell, left_cell} : raster_cell{left_cell, ahead_cell});
    }
  }
  return cells;
}

inline bool shares_a_cell(const std::vector<raster_cell>& ego, const std::vector<planning_obstacle>& obstacles,
                          bool fine) {
  int left = ego.front().x, right = left, low = ego.front().y, high = low;
  for (const raster_cell& c : ego) {
    left = std::min(left, c.x), right = std::max(right, c.x), low = std::min(low, c.y), high = std::max(high, c.y);
  }
  const int width = right - left + 1;
  std::vector<std::uint8_t> taken(static_cast<std::size_t>(width) * static_cast<std::size_t>(high - low + 1));
  const auto place = [&](int x, int y) {
    return static_cast<std::size_t>(y - low) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x - left);
  };
  for (const raster_cell& c : ego) { taken[place(c.x, c.y)] = 1; }
  bool met = false;
  for (const planning_obstacle& o : obstacles) {
    if (met || (fine && !o.vehicle)) { continue; }
    const double reach = std::hypot(o.length, o.width) + 12; // farther away than any part of either
    const double half = (fine ? 0.1 : 0.5) / 2, column = half * (left + right) - 50, row = half * (low + high) - 50;
    const double ahead = fine ? column : row, aside = fine ? row : column;
    if (std::hypot(o.center.x - ahead, o.center.y - aside) > reach) { continue; }
    fill_polygon(obstacle_cells(o, fine), [&](int x, int y) {
      met = met || (x >= left && x <= right && y >= low && y <= high && taken[place(x, y)] != 0);
    });
  }
  return met;
}

} // namespace detail

/// Whether the vehicle, following `path`, meets an obstacle at each step.
///
/// Shapes      path, obstacles: one entry per step, half a second apart
/// Units       metres; x ahead, y left in the vehicle's frame at the present. ST-P3 and SparseDrive plan in the LiDAR's
///             frame, whose x points right: turn plan and obstacles alike
/// Errors      precondition_error if the lengths differ, or for numbers that are not finite.
inline std::vector<bool> collisions(const std::vector<vec2<double>>& path,
                                    const std::vector<std::vector<planning_obstacle>>& obstacles,
                                    collision_protocol how) {
  expects(path.size() == obstacles.size(), "sqs::metric::collisions: a path of ", path.size(), " steps, obstacles at ",
          obstacles.size(), "; give the obstacles of every step");
  std::vector<bool> met;
  if (path.empty()) { return met; }
  for (std::size_t t = 0; t < path.size(); ++t) {
    expects(std::isfinite(path[t].x) && std::isfinite(path[t].y), "sqs::metric::collisions: step ", t,
            " of a path is (", path[t].x, ", ", path[t].y, "); plans must be finite");
    for (const planning_obstacle& o : obstacles[t]) {
      expects(std::isfinite(o.center.x + o.center.y + o.length + o.width + o.yaw),
              "sqs::metric::collisions: an obstacle at step ", t, " has a number that is not finite; leave it out");
      expects(o.length >= 0 && o.length < 1000 && o.width >= 0 && o.width < 1000,
              "sqs::metric::collisions: an obstacle at step ", t, " is ", o.length, " x ", o.width,
              " m; sizes are 0 to 1000 m");
    }
  }
  const auto yaw = detail::path_headings(path);
  for (std::size_t t = 0; t < path.size(); ++t) {
    if (how == collision_protocol::polygons) {
      const vec2<double> center = path[t] + 0.5 * vec2<double>{std::cos(yaw[t]), std::sin(yaw[t])};
      const auto ego = detail::corners(center, detail::ego_length, detail::ego_width, yaw[t]);
      met.push_back(std::any_of(obstacles[t].begin(), obstacles[t].end(), [&](const planning_obstacle& o) {
        return detail::touch(ego, detail::corners(o.center, o.length, o.width, o.yaw));
      }));
    } else {
      const bool fine = how == collision_protocol::omni_drive;
      met.push_back(detail::shares_a_cell(detail::ego_cells(path, t, fine), obstacles[t], fine));
    }
  }
  return met;
}

} // namespace sqs::metric

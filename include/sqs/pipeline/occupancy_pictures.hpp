// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Semantic occupancy as pictures, in perspective and from above, its flow, and as a PLY file for viewers.

#include <sqs/core/file.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/metric/ray_cast.hpp>
#include <sqs/pipeline/drawing.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <cstring>
#include <filesystem>

namespace sqs::pipeline {

/// The colours of class numbers.
using palette = std::vector<colour>;

/// Occ3D, SurroundOcc and nuScenes-Occupancy: the usual lidarseg colours, "others" grey instead of black.
inline palette occupancy_palette() {
  palette p(occupancy_class_colours.begin(), occupancy_class_colours.end());
  p[0] = {128, 128, 128};
  return p;
}
/// The same colours in the numbering of OpenOcc v2.
inline palette open_occ_palette() {
  palette p;
  for (const std::uint8_t c : occupancy_of_open_occ) { p.push_back(occupancy_class_colours[c]); }
  return p;
}
/// The colours of SemanticKITTI, in the order of `semantic_kitti_class_names`.
inline palette semantic_kitti_palette() {
  return {{0, 0, 0},       {100, 150, 245}, {100, 230, 245}, {30, 60, 150},   {80, 30, 180},
          {0, 0, 255},     {255, 30, 30},   {255, 40, 200},  {150, 30, 90},   {255, 0, 255},
          {255, 150, 255}, {75, 0, 75},     {175, 0, 75},    {255, 200, 0},   {255, 120, 50},
          {0, 175, 0},     {135, 60, 0},    {150, 240, 80},  {255, 240, 150}, {255, 0, 0}};
}
/// The palette that goes with the number of "free" and the grid.
inline palette palette_of(const occupancy_labels& o) {
  if (o.free == open_occ_free) { return open_occ_palette(); }
  return o.grid.size == semantic_kitti_grid.size && o.free == 0 ? semantic_kitti_palette() : occupancy_palette();
}

namespace detail {

inline void check_picture(const occupancy_labels& o, const char* what) {
  expects(o.grid.count() > 0 && static_cast<idx>(o.semantics.size()) == o.grid.count(), "sqs::", what, ": ",
          o.semantics.size(), " labels for a grid of ", o.grid.count(), " voxels; fill the grid");
}
inline bool shown(const occupancy_labels& o, idx i) {
  const auto v = o.semantics[static_cast<std::size_t>(i)];
  return v != o.free && v != occupancy_labels::ignore;
}
inline colour class_colour(const palette& p, std::uint8_t label) {
  return label < p.size() ? p[label] : colour{255, 0, 255}; // a class without a colour stands out
}
inline colour scaled(const colour& c, double s) {
  const auto one = [&](std::uint8_t v) { return static_cast<std::uint8_t>(std::clamp(v * s, 0.0, 255.0) + 0.5); };
  return {one(c[0]), one(c[1]), one(c[2])};
}

/// The colour of a ray: the first voxel that is not free, lit from above and in front, its borders darker.
///
/// `from` and `towards` in voxels; `pixel` is the size of a pixel at distance 1.
inline std::array<double, 3> ray_colour(const occupancy_labels& o, const palette& p, const vec3<double>& from,
                                        const vec3<double>& way, double pixel) {
  const std::array<double, 3> background{236, 239, 243};
  const std::array<double, 3> f{from.x, from.y, from.z}, w{way.x, way.y, way.z};
  double enter = 0, leave = 1e30;
  int side = 2; // the axis of the face that the ray comes through
  for (std::size_t a = 0; a < 3; ++a) {
    if (w[a] == 0) {
      if (!(f[a] >= 0 && f[a] < o.grid.size[a])) { return background; }
      continue;
    }
    const double low = -f[a] / w[a], high = (o.grid.size[a] - f[a]) / w[a];
    if (std::min(low, high) > enter) { enter = std::min(low, high), side = static_cast<int>(a); }
    leave = std::min(leave, std::max(low, high));
  }
  if (!(enter < leave)) { return background; }
  const double start = enter + 1e-6;
  const vec3<double> begin = from + start * way;
  std::array<int, 3> before{-1, -1, -1};
  double at = start; // where the ray enters the present voxel
  std::array<double, 3> out = background;
  metric::walk_ray(o.grid.size, begin, begin + way, 4096, [&](int x, int y, int z, double exit) {
    const std::array<int, 3> cell{x, y, z};
    const idx i = o.grid.index(x, y, z);
    if (!shown(o, i)) {
      at = start + exit;
      before = cell;
      return false;
    }
    for (std::size_t a = 0; before[0] >= 0 && a < 3; ++a) {
      if (cell[a] != before[a]) { side = static_cast<int>(a); }
    }
    constexpr std::array<double, 3> light{0.80, 0.68, 1.0};
    double shade = light[static_cast<std::size_t>(side)] * (0.8 + 0.2 * (z + 0.5) / o.grid.size[2]);
    const vec3<double> hit = from + at * way;
    const std::array<double, 3> h{hit.x, hit.y, hit.z};
    double border = 1; // distance to the nearest edge of the face, in voxels
    for (std::size_t a = 0; a < 3; ++a) {
      if (static_cast<int>(a) == side) { continue; }
      border = std::min({border, h[a] - cell[a], cell[a] + 1 - h[a]});
    }
    const double line = 0.6 * pixel * at;
    if (border < line + 0.04 && line < 0.25) { shade *= 0.82 + 0.6 * line; }
    const double fog = std::clamp((at - 120) / 500, 0.0, 0.35);
    const colour c = class_colour(p, o.semantics[static_cast<std::size_t>(i)]);
    for (std::size_t k = 0; k < 3; ++k) { out[k] = (1 - fog) * c[k] * shade + fog * background[k]; }
    return true;
  });
  return out;
}

} // namespace detail

/// A camera that looks from one point of the grid's frame to another, z upwards in the picture.
struct viewpoint {
  pinhole_camera<double> camera;
  se3<double> T_cam_grid;
};
inline viewpoint look_at(const vec3<double>& eye, const vec3<double>& target, int height, int width,
                         double field_of_view_deg = 60) {
  const vec3<double> forward = normalized(target - eye);
  const vec3<double> flat = cross(forward, vec3<double>{0, 0, 1});
  const vec3<double> right = length(flat) > 1e-6 ? normalized(flat) : vec3<double>{0, -1, 0}; // straight down: x is up
  const vec3<double> down = cross(forward, right);
  const mat3<double> r{{right.x, right.y, right.z, down.x, down.y, down.z, forward.x, forward.y, forward.z}};
  const double f = width / 2.0 / std::tan(field_of_view_deg * 3.14159265358979 / 360);
  return {{f, f, width / 2.0, height / 2.0, width, height}, {r, -(r * eye)}};
}
/// Behind and above the vehicle that stands at the origin of Occ3D's grid.
inline viewpoint chase_view(int height, int width) { return look_at({-26, 0, 17}, {9, 0, 0}, height, width, 62); }

/// The volume as a camera would see it. `T_cam_grid` may come from a data set (a camera of the rig) or from `look_at`.
///
/// Units       metres; the grid's own frame
/// Execution   Rows in parallel; the picture does not depend on the number of threads.
/// Errors      precondition_error if the labels do not fill their grid.
/// Cost        450 x 800 pixels, four rays each: about 1 s on two cores.
inline image occupancy_picture(cpu& e, const occupancy_labels& o, const palette& p, const viewpoint& view) {
  detail::check_picture(o, "occupancy_picture");
  image out(view.camera.height, view.camera.width);
  const se3<double> T_grid_cam = inverse(view.T_cam_grid);
  const auto in_voxels = [&](const vec3<double>& v) {
    return vec3<double>{v.x / o.grid.voxel.x, v.y / o.grid.voxel.y, v.z / o.grid.voxel.z};
  };
  const vec3<double> from = in_voxels(T_grid_cam.translation - o.grid.lower);
  parallel_for(e, out.height, 4, [&](idx begin, idx end) {
    for (int y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      for (int x = 0; x < out.width; ++x) {
        std::array<double, 3> sum{};
        for (int s = 0; s < 4; ++s) {
          const vec2<double> at{x + 0.25 + 0.5 * (s % 2), y + 0.25 + 0.5 * (s / 2)};
          const vec3<double> way = in_voxels(T_grid_cam.rotation * view.camera.unproject(at, 1.0));
          const double reach = length(way);
          const auto c = detail::ray_colour(o, p, from, (1 / reach) * way, 1 / std::abs(view.camera.fx));
          for (std::size_t k = 0; k < 3; ++k) { sum[k] += c[k] / 4; }
        }
        for (std::size_t k = 0; k < 3; ++k) { out.at(y, x)[k] = static_cast<std::uint8_t>(sum[k] + 0.5); }
      }
    }
  });
  return out;
}

/// The highest occupied voxel of each column, brighter the higher. The grid's x points up in the picture, y left.
inline image occupancy_from_above(const occupancy_labels& o, const palette& p, int zoom = 3) {
  detail::check_picture(o, "occupancy_from_above");
  const auto& size = o.grid.size;
  image out = plain_picture(size[0] * zoom, size[1] * zoom, {236, 239, 243});
  for (int x = 0; x < size[0]; ++x) {
    for (int y = 0; y < size[1]; ++y) {
      for (int z = size[2] - 1; z >= 0; --z) {
        const idx i = o.grid.index(x, y, z);
        if (!detail::shown(o, i)) { continue; }
        const double height = (z + 0.5) / size[2];
        const colour c =
            detail::scaled(detail::class_colour(p, o.semantics[static_cast<std::size_t>(i)]), 0.72 + 0.36 * height);
        for (int k = 0; k < zoom * zoom; ++k) {
          mix(out, (size[0] - 1 - x) * zoom + k / zoom, (size[1] - 1 - y) * zoom + k % zoom, c, 1);
        }
        break;
      }
    }
  }
  return out;
}

/// A direction as a hue, a speed as strength: white stands, full colour at `fastest`. Ahead (x) is red.
inline colour flow_colour(const vec2<float>& v, double fastest = 10) {
  const double speed = std::hypot(static_cast<double>(v.x), static_cast<double>(v.y));
  const double strength = std::min(1.0, speed / fastest),
               hue = std::atan2(static_cast<double>(v.y), static_cast<double>(v.x));
  colour c{};
  for (std::size_t k = 0; k < 3; ++k) {
    const double wave = 0.5 + 0.5 * std::cos(hue - static_cast<double>(k) * 2.0943951023931953);
    c[k] = static_cast<std::uint8_t>(255 * (1 - strength * (1 - wave)) + 0.5);
  }
  return c;
}

/// Flow from above: what stands in grey, what moves in the colour of its way with arrows of one second, one for every
/// 2 m of it, and the colour wheel in the corner.
///
/// Errors      precondition_error if there is no flow.
inline image flow_from_above(const occupancy_labels& o, int zoom = 3, double fastest = 10) {
  detail::check_picture(o, "flow_from_above");
  expects(o.flow.size() == o.semantics.size(), "sqs::flow_from_above: ", o.flow.size(), " flow vectors for ",
          o.semantics.size(), " voxels; give labels with flow");
  const auto& size = o.grid.size;
  image out = plain_picture(size[0] * zoom, size[1] * zoom, {250, 250, 250});
  struct arrow {
    vec2<double> from, way;
  };
  std::vector<arrow> arrows;
  const int apart = std::max(1, static_cast<int>(2 / o.grid.voxel.x));
  for (int x = 0; x < size[0]; ++x) {
    for (int y = 0; y < size[1]; ++y) {
      vec2<float> flow{};
      bool any = false;
      for (int z = size[2] - 1; z >= 0; --z) {
        const idx i = o.grid.index(x, y, z);
        if (!detail::shown(o, i)) { continue; }
        any = true;
        const auto& v = o.flow[static_cast<std::size_t>(i)];
        if (std::hypot(v.x, v.y) > std::hypot(flow.x, flow.y)) { flow = v; }
      }
      if (!any) { continue; }
      const bool moves = std::hypot(flow.x, flow.y) > 0.2f;
      const colour c = moves ? flow_colour(flow, fastest) : colour{205, 205, 205};
      const int row = (size[0] - 1 - x) * zoom, column = (size[1] - 1 - y) * zoom;
      for (int k = 0; k < zoom * zoom; ++k) { mix(out, row + k / zoom, column + k % zoom, c, 1); }
      if (moves && x % apart == 0 && y % apart == 0) {
        const double s = zoom / o.grid.voxel.x;
        arrows.push_back({{column + zoom / 2.0, row + zoom / 2.0},
                          {-s * static_cast<double>(flow.y), -s * static_cast<double>(flow.x)}});
      }
    }
  }
  for (const arrow& a : arrows) { draw_arrow(out, a.from, a.from + a.way, {30, 30, 30}, 1.4); }
  const int radius = std::min(out.width, out.height) / 20, cy = radius + 2 * zoom, cx = out.width - cy;
  for (int y = -radius; y <= radius; ++y) {
    for (int x = -radius; x <= radius; ++x) {
      if (x * x + y * y > radius * radius) { continue; }
      const float s = static_cast<float>(fastest / radius);
      mix(out, cy + y, cx + x, flow_colour({s * static_cast<float>(-y), s * static_cast<float>(-x)}, fastest), 1);
    }
  }
  return out;
}

} // namespace sqs::pipeline

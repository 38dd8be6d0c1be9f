// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Boxes on camera pictures and from above.

#include <sqs/pipeline/drawing.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/sample.hpp>

#include <optional>

namespace sqs::pipeline {

/// The colour of a category of nuScenes: that of its occupancy class; grey where it has none.
inline colour category_colour(std::string_view category) {
  const nuscenes_category* known = find_nuscenes_category(category);
  if (known != nullptr && known->occupancy > 0) { return occupancy_class_colours[known->occupancy]; }
  for (std::size_t i = 0; i < detection_class_names.size(); ++i) { // predictions carry names of the benchmark
    for (std::size_t k = 1; detection_class_names[i] == category && k < occupancy_class_names.size(); ++k) {
      if (occupancy_class_names[k] == category) { return occupancy_class_colours[k]; }
    }
  }
  return {128, 128, 128};
}

/// The corners of a box in ref: 0 .. 3 the bottom (front left, front right, rear right, rear left), 4 .. 7 the top.
inline std::array<vec3<double>, 8> box_corners(const box3d& b) {
  const double c = std::cos(b.yaw), s = std::sin(b.yaw), l = b.size.x / 2, w = b.size.y / 2, h = b.size.z / 2;
  std::array<vec3<double>, 8> out{};
  for (std::size_t i = 0; i < 8; ++i) {
    const double x = i % 4 == 0 || i % 4 == 1 ? l : -l, y = i % 4 == 0 || i % 4 == 3 ? w : -w;
    out[i] = {b.center.x + c * x - s * y, b.center.y + s * x + c * y, b.center.z + (i < 4 ? -h : h)};
  }
  return out;
}

/// The part of a line in front of the camera, in pixels; nothing if it lies behind.
inline std::optional<std::array<vec2<double>, 2>> project_segment(const pinhole_camera<double>& camera, vec3<double> a,
                                                                  vec3<double> b, double near = 0.1) {
  if (!(a.z >= near || b.z >= near)) { return std::nullopt; }
  const auto cut = [&](const vec3<double>& inside, const vec3<double>& outside) {
    return inside + ((near - inside.z) / (outside.z - inside.z)) * (outside - inside);
  };
  if (a.z < near) { a = cut(b, a); }
  if (b.z < near) { b = cut(a, b); }
  return std::array<vec2<double>, 2>{camera.project(a), camera.project(b)};
}

/// Draws boxes on a picture: twelve edges, cut off at the camera's plane, and a mark on the floor from the middle to
/// the front. `paint` replaces the colours of the categories.
///
/// Units       metres in ref, pixels of `camera`: the picture must have its size
/// Errors      precondition_error if the picture has another size than the camera.
inline void draw_boxes(image& picture, const pinhole_camera<double>& camera, const se3<double>& T_cam_ref,
                       std::span<const box3d> boxes, double line = 2, std::optional<colour> paint = std::nullopt) {
  expects(picture.width == camera.width && picture.height == camera.height, "sqs::draw_boxes: a picture of ",
          picture.height, " x ", picture.width, " for a camera of ", camera.height, " x ", camera.width,
          "; resize both alike");
  constexpr std::array<std::array<std::size_t, 2>, 12> edges{
      {{0, 1}, {1, 2}, {2, 3}, {3, 0}, {4, 5}, {5, 6}, {6, 7}, {7, 4}, {0, 4}, {1, 5}, {2, 6}, {3, 7}}};
  for (const box3d& b : boxes) {
    const colour c = paint.value_or(category_colour(b.category));
    const auto corner = box_corners(b);
    // Far boxes are many and small: their lines are thinner from 20 m on.
    const double width = line * std::clamp(20 / std::max(1.0, (T_cam_ref * b.center).z), 0.35, 1.0);
    const auto draw = [&](const vec3<double>& p, const vec3<double>& q) {
      if (const auto s = project_segment(camera, T_cam_ref * p, T_cam_ref * q)) {
        draw_segment(picture, (*s)[0], (*s)[1], c, width);
      }
    };
    for (const auto& [i, k] : edges) { draw(corner[i], corner[k]); }
    const auto middle = [&](std::size_t i, std::size_t k) { return 0.5 * (corner[i] + corner[k]); };
    draw(middle(0, 2), middle(0, 1));
    draw(middle(4, 5), middle(0, 1)); // the front face is the one with a stroke
  }
}

/// What a bird's-eye view shows, in ref: x right, y ahead.
struct bird_eye_view {
  double range_m = 50;
  int size = 800; ///< pixels of a side
  image picture;

  explicit bird_eye_view(double range = 50, int pixels = 800)
      : range_m(range),
        size(pixels),
        picture(plain_picture(pixels, pixels, {255, 255, 255})) {
    expects(range > 0 && pixels > 0, "sqs::bird_eye_view: ", range, " m in ", pixels, " pixels; give positive numbers");
    for (double r = 10; r <= range; r += 10) {
      constexpr int parts = 180;
      const auto at = [&](int k) {
        const double angle = k * 2 * 3.14159265358979 / parts;
        return pixel({r * std::cos(angle), r * std::sin(angle)});
      };
      for (int k = 0; k < parts; ++k) { draw_segment(picture, at(k), at(k + 1), {225, 228, 232}, 1); }
    }
    draw_arrow(picture, pixel({0, -1.5}), pixel({0, 2.5}), {0, 0, 0}, 2); // the vehicle
  }
  vec2<double> pixel(vec2<double> p) const {
    const double s = size / (2 * range_m);
    return {size / 2.0 + s * p.x, size / 2.0 - s * p.y};
  }
};

/// Points as dots, darker the higher: -2 m light, 2 m dark.
inline void draw_points(bird_eye_view& view, std::span<const vec3<float>> points) {
  for (const auto& p : points) {
    const auto at = view.pixel({static_cast<double>(p.x), static_cast<double>(p.y)});
    if (!(std::abs(at.x) < 1e6 && std::abs(at.y) < 1e6)) { continue; }
    const double high = std::clamp((static_cast<double>(p.z) + 2) / 4, 0.0, 1.0);
    mix(view.picture, static_cast<int>(std::floor(at.y)), static_cast<int>(std::floor(at.x)), {70, 80, 100},
        0.25 + 0.5 * high);
  }
}

/// Boxes from above: outline, a line from the middle through the front, and with `seconds` the way they will go.
inline void draw_boxes(bird_eye_view& view, std::span<const box3d> boxes, double line = 1.6,
                       std::optional<colour> paint = std::nullopt, double seconds = 0) {
  for (const box3d& b : boxes) {
    const colour c = paint.value_or(category_colour(b.category));
    const auto corner = box_corners(b);
    std::array<vec2<double>, 4> at{};
    for (std::size_t i = 0; i < 4; ++i) { at[i] = view.pixel({corner[i].x, corner[i].y}); }
    for (std::size_t i = 0; i < 4; ++i) { draw_segment(view.picture, at[i], at[(i + 1) % 4], c, line); }
    const auto middle = view.pixel({b.center.x, b.center.y});
    draw_segment(view.picture, middle, 0.5 * (at[0] + at[1]), c, line);
    const vec2<double> there{b.center.x + seconds * b.velocity.x, b.center.y + seconds * b.velocity.y};
    if (seconds > 0 && std::hypot(there.x - b.center.x, there.y - b.center.y) > 0.5) {
      draw_arrow(view.picture, middle, view.pixel(there), c, line);
    }
  }
}

} // namespace sqs::pipeline

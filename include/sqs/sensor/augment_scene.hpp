// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The random geometry of the scene (BDA): turn about z, scale, mirror; points, boxes, projections and voxels together.

#include <sqs/core/random.hpp>
#include <sqs/sensor/occupancy.hpp>
#include <sqs/sensor/sample.hpp>

namespace sqs {

/// One draw: x -> centre + F s R (x - centre).
struct scene_augmentation {
  double rotation = 0, scale = 1; ///< radians about z
  bool flip_x = false, flip_y = false, flip_z = false;
  vec3<double> centre{};

  /// F s R: a reflection if an odd number of axes is mirrored, so no `se3`.
  mat3<double> matrix() const {
    const auto sign = [this](bool flip) { return flip ? -scale : scale; };
    return mat3<double>::diagonal({sign(flip_x), sign(flip_y), sign(flip_z)}) * yaw_rotation(rotation).rotation;
  }
  vec3<double> operator()(const vec3<double>& p) const { return matrix() * (p - centre) + centre; }
  /// The same as a 4 x 4 matrix.
  mat4<double> matrix4() const {
    const auto m = matrix();
    const auto t = centre - m * centre;
    return {
        {m(0, 0), m(0, 1), m(0, 2), t.x, m(1, 0), m(1, 1), m(1, 2), t.y, m(2, 0), m(2, 1), m(2, 2), t.z, 0, 0, 0, 1}};
  }
};

struct scene_augmentation_options {
  double rotation = 0.3925; ///< radians to either side: 22.5 degrees
  double scale_low = 1, scale_high = 1;
  bool flip_x = true, flip_y = true, flip_z = false; ///< each with probability 1/2
  vec3<double> centre{};
};
inline scene_augmentation draw_scene_augmentation(const scene_augmentation_options& o, const random_stream& draw) {
  expects(o.scale_low > 0 && o.scale_low <= o.scale_high, "sqs::draw_scene_augmentation: scales of ", o.scale_low,
          " to ", o.scale_high, "; give positive ones in order");
  return {.rotation = draw.uniform(0, -o.rotation, o.rotation),
          .scale = draw.uniform(1, o.scale_low, o.scale_high),
          .flip_x = o.flip_x && draw.uniform(2) < 0.5,
          .flip_y = o.flip_y && draw.uniform(3) < 0.5,
          .flip_z = o.flip_z && draw.uniform(4) < 0.5,
          .centre = o.centre};
}

/// Points of the scene.
inline void augment(std::vector<vec3<float>>& points, const scene_augmentation& a) {
  for (auto& p : points) { p = static_cast<vec3<float>>(a(static_cast<vec3<double>>(p))); }
}
/// Boxes: place, size, heading and velocity.
inline void augment(std::vector<box3d>& boxes, const scene_augmentation& a) {
  const auto m = a.matrix();
  const double pi = std::acos(-1.0);
  for (auto& b : boxes) {
    const vec3<double> v = m * vec3<double>{b.velocity.x, b.velocity.y, 0};
    b.center = a(b.center);
    b.size = a.scale * b.size;
    b.velocity = {v.x, v.y};
    b.yaw += a.rotation;
    if (a.flip_x) { b.yaw = pi - b.yaw; }
    if (a.flip_y) { b.yaw = -b.yaw; }
    b.yaw = std::remainder(b.yaw, 2 * pi);
  }
}
/// A projection from the scene (`lidar2img`): what it took from a point it takes from the point's new place. A scale
/// makes its third row depth divided by it, as in the references.
inline mat4<double> augmented(const mat4<double>& projection, const scene_augmentation& a) {
  const auto back = inverse(a.matrix());
  const auto t = a.centre - back * a.centre;
  const mat4<double> inverse_of_a{{back(0, 0), back(0, 1), back(0, 2), t.x, back(1, 0), back(1, 1), back(1, 2), t.y,
                                   back(2, 0), back(2, 1), back(2, 2), t.z, 0, 0, 0, 1}};
  return projection * inverse_of_a;
}

/// Voxels: each takes what lay at its centre before; what comes from outside of the grid is ignored, unseen by both
/// masks and still. Flow turns, mirrors and scales with the scene.
///
/// Cost        one pass over the grid, one thread.
/// Source      spec of VoxelSplat 2.12, of SparseOcc 4.5 (there whole slices are turned as images: the nearest voxel).
inline occupancy_labels augmented(const occupancy_labels& o, const scene_augmentation& a) {
  const auto m = a.matrix(), back = inverse(m);
  const auto count = static_cast<std::size_t>(o.grid.count());
  expects(o.semantics.size() == count, "sqs::augmented: ", o.semantics.size(), " labels for a grid of ", count,
          " voxels; they must agree");
  occupancy_labels out;
  out.grid = o.grid;
  out.free = o.free;
  out.semantics.assign(count, occupancy_labels::ignore);
  out.mask_lidar.assign(o.mask_lidar.size(), 0);
  out.mask_camera.assign(o.mask_camera.size(), 0);
  out.flow.assign(o.flow.size(), {});
  for (std::size_t i = 0; i < count; ++i) {
    const auto c = o.grid.cell(static_cast<idx>(i));
    const idx from = o.grid.index_of(back * (o.grid.center(c[0], c[1], c[2]) - a.centre) + a.centre);
    if (from < 0) { continue; }
    const auto j = static_cast<std::size_t>(from);
    out.semantics[i] = o.semantics[j];
    if (!o.mask_lidar.empty()) { out.mask_lidar[i] = o.mask_lidar[j]; }
    if (!o.mask_camera.empty()) { out.mask_camera[i] = o.mask_camera[j]; }
    if (!o.flow.empty()) {
      const vec3<double> v = m * vec3<double>{double{o.flow[j].x}, double{o.flow[j].y}, 0};
      out.flow[i] = {static_cast<float>(v.x), static_cast<float>(v.y)};
    }
  }
  return out;
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What is seen of boxes and voxels: points inside, share in view, cells that rays reach.

#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/occupancy.hpp>
#include <sqs/sensor/sample.hpp>

#include <limits>
#include <span>

namespace sqs {

/// A point in the axes of a box, origin in its middle.
inline vec3<double> in_box_frame(const box3d& b, const vec3<double>& p) {
  const double c = std::cos(b.yaw), s = std::sin(b.yaw);
  const vec3<double> d = p - b.center;
  return {c * d.x + s * d.y, -s * d.x + c * d.y, d.z};
}
/// Whether a point lies in a box, its faces included.
inline bool contains(const box3d& b, const vec3<double>& p) {
  const vec3<double> q = in_box_frame(b, p);
  return 2 * std::abs(q.x) <= b.size.x && 2 * std::abs(q.y) <= b.size.y && 2 * std::abs(q.z) <= b.size.z;
}
/// How many points lie in each box: what `lidar_points` says.
///
/// Execution   parallel over boxes.
inline std::vector<int> points_in_boxes(cpu& e, const std::vector<box3d>& boxes,
                                        const std::vector<vec3<float>>& points) {
  std::vector<int> out(boxes.size(), 0);
  parallel_for(e, static_cast<idx>(boxes.size()), 4, [&](idx begin, idx end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const double reach = 0.5 * length(boxes[i].size) + 1e-6;
      for (const auto& p : points) {
        const vec3<double> q(p);
        if (std::abs(q.x - boxes[i].center.x) <= reach && std::abs(q.y - boxes[i].center.y) <= reach) {
          out[i] += contains(boxes[i], q);
        }
      }
    }
  });
  return out;
}

/// Where the segment from `from` to `to` enters a box, as a share of its length; above 1 if it does not.
inline double entry_of(const box3d& b, const vec3<double>& from, const vec3<double>& to) {
  const vec3<double> o = in_box_frame(b, from), t = in_box_frame(b, to);
  const double origin[] = {o.x, o.y, o.z}, way[] = {t.x - o.x, t.y - o.y, t.z - o.z};
  const double half[] = {b.size.x / 2, b.size.y / 2, b.size.z / 2};
  double enter = 0, leave = 1;
  for (int a = 0; a < 3; ++a) {
    if (way[a] == 0) {
      if (std::abs(origin[a]) > half[a]) { return 2; }
      continue;
    }
    const double s = (-half[a] - origin[a]) / way[a], e = (half[a] - origin[a]) / way[a];
    enter = std::max(enter, std::min(s, e));
    leave = std::min(leave, std::max(s, e));
  }
  return enter <= leave ? enter : 2;
}

/// The share of each box that the cameras see: of 5 x 5 x 5 points inside it, those that lie in some image with no
/// other box (shrunk by `shrink`) before them.
///
/// Units       0 .. 1; `visibility_level` makes nuScenes' levels of it
/// Execution   parallel over boxes.
inline std::vector<double> visible_share(cpu& e, const std::vector<box3d>& boxes, std::span<const camera_view> views,
                                         double shrink = 0.85) {
  static constexpr int grid = 5;
  std::vector<double> out(boxes.size(), 0);
  std::vector<box3d> blocks = boxes;
  for (auto& b : blocks) { b.size = shrink * b.size; }
  const auto sees = [&](const camera_view& v, const vec3<double>& p, std::size_t self) {
    const vec3<double> c = v.T_cam_ref * p;
    if (!(c.z > 0)) { return false; }
    const auto pixel = v.camera.project(c);
    if (!(pixel.x >= 0 && pixel.y >= 0 && pixel.x < v.camera.width && pixel.y < v.camera.height)) { return false; }
    const vec3<double> eye = inverse(v.T_cam_ref).translation;
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      if (k != self && entry_of(blocks[k], eye, p) <= 1) { return false; }
    }
    return true;
  };
  parallel_for(e, static_cast<idx>(boxes.size()), 1, [&](idx begin, idx end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const double c = std::cos(boxes[i].yaw), s = std::sin(boxes[i].yaw);
      int seen = 0;
      for (int k = 0; k < grid * grid * grid; ++k) {
        const auto part = [](int n) { return (n + 0.5) / grid - 0.5; };
        const vec3<double> q{part(k % grid) * boxes[i].size.x, part(k / grid % grid) * boxes[i].size.y,
                             part(k / grid / grid) * boxes[i].size.z};
        const vec3<double> p = boxes[i].center + vec3<double>{c * q.x - s * q.y, s * q.x + c * q.y, q.z};
        seen += std::any_of(views.begin(), views.end(), [&](const auto& v) { return sees(v, p, i); });
      }
      out[i] = static_cast<double>(seen) / (grid * grid * grid);
    }
  });
  return out;
}
/// nuScenes' level of a share: 1 below 0.4, 2 below 0.6, 3 below 0.8, else 4.
constexpr int visibility_level(double share) { return share < 0.4 ? 1 : share < 0.6 ? 2 : share < 0.8 ? 3 : 4; }

/// Calls `visit(voxel index)` for the voxels a segment passes, in order, until it returns false. Coordinates that are
/// not finite pass none.
///
/// Source      Amanatides and Woo 1987.
template <class F>
void walk_voxels(const occupancy_grid& g, const vec3<double>& from, const vec3<double>& to, F&& visit) {
  const double lower[] = {g.lower.x, g.lower.y, g.lower.z}, voxel[] = {g.voxel.x, g.voxel.y, g.voxel.z};
  const double a[] = {from.x, from.y, from.z}, b[] = {to.x, to.y, to.z};
  double origin[3], way[3], enter = 0, leave = 1;
  for (std::size_t k = 0; k < 3; ++k) { // in voxels
    origin[k] = (a[k] - lower[k]) / voxel[k];
    way[k] = (b[k] - a[k]) / voxel[k];
    if (!std::isfinite(origin[k]) || !std::isfinite(way[k])) { return; }
    if (way[k] == 0) {
      if (!(origin[k] >= 0 && origin[k] < g.size[k])) { return; }
      continue;
    }
    const double s = -origin[k] / way[k], e = (g.size[k] - origin[k]) / way[k];
    enter = std::max(enter, std::min(s, e));
    leave = std::min(leave, std::max(s, e));
  }
  if (enter > leave) { return; }
  int cell[3], step[3];
  double next[3], more[3];
  for (std::size_t k = 0; k < 3; ++k) {
    cell[k] = std::clamp(static_cast<int>(std::floor(origin[k] + enter * way[k])), 0, g.size[k] - 1);
    step[k] = way[k] > 0 ? 1 : -1;
    const double face = way[k] > 0 ? cell[k] + 1 : cell[k];
    next[k] = way[k] == 0 ? std::numeric_limits<double>::infinity() : (face - origin[k]) / way[k];
    more[k] = way[k] == 0 ? std::numeric_limits<double>::infinity() : 1 / std::abs(way[k]);
  }
  for (;;) {
    if (!visit(g.index(cell[0], cell[1], cell[2]))) { return; }
    const std::size_t k = next[0] <= next[1] ? (next[0] <= next[2] ? 0 : 2) : (next[1] <= next[2] ? 1 : 2);
    if (next[k] > leave) { return; }
    cell[k] += step[k];
    if (cell[k] < 0 || cell[k] >= g.size[k]) { return; }
    next[k] += more[k];
  }
}

/// The voxels that rays see: those a ray passes up to and including the first occupied one. Ignored voxels stop none.
///
/// Shapes      ends: one per ray, all from `origin`; in the frame of the grid -> grid.count() of 0 or 1
/// Source      the masks of Occ3D (section 3 of its paper).
inline std::vector<std::uint8_t> ray_mask(const occupancy_labels& o, const vec3<double>& origin,
                                          std::span<const vec3<double>> ends) {
  std::vector<std::uint8_t> mask(o.semantics.size(), 0);
  expects(mask.size() == static_cast<std::size_t>(o.grid.count()), "sqs::ray_mask: ", mask.size(),
          " labels for a grid of ", o.grid.count(), " voxels; they must agree");
  for (const auto& end : ends) {
    walk_voxels(o.grid, origin, end, [&](idx i) {
      mask[static_cast<std::size_t>(i)] = 1;
      const auto v = o.semantics[static_cast<std::size_t>(i)];
      return v == o.free || v == occupancy_labels::ignore;
    });
  }
  return mask;
}

} // namespace sqs

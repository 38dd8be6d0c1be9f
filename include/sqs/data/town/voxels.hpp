// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The voxels that a town fills, and those that its sensors have seen.

#include <sqs/data/town/lidar.hpp>
#include <sqs/data/town/rig.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <atomic>

namespace sqs::town {

/// How a grid lies in the town, and how fast every instance moves there.
struct voxel_frame {
  occupancy_grid grid;
  se3<double> T_town_grid;                ///< upright
  std::span<const vec2<double>> velocity; ///< of each instance, town axes
};

namespace detail {

inline constexpr bool is_ground(std::uint8_t class_label) {
  return class_label >= label::road && class_label <= label::terrain;
}

class voxel_filler {
public:
  static constexpr double spacing = 0.1, tolerance = 0.05, wall = 0.3;

  voxel_filler(const stage& s, const voxel_frame& f, occupancy_labels& out)
      : frame_(f),
        grid_(f.grid),
        out_(out),
        T_grid_town_(inverse(f.T_town_grid)),
        per_axis_(std::max(1, static_cast<int>(f.grid.voxel.x / spacing + 0.5))) {
    for (const auto solids : {s.still->solids(), s.moving.solids()}) {
      for (const solid& one : solids) { add(one); }
    }
  }

  void run(cpu& e) {
    constexpr idx columns = 8;
    parallel_for(e, grid_.size[0], columns,
                 [&](idx begin, idx end) { fill(static_cast<int>(begin), static_cast<int>(end)); });
  }

private:
  struct candidate {
    const solid* what;
    std::array<int, 3> low, high; ///< voxels, inclusive
  };
  struct tally {
    std::array<std::uint8_t, 17> count{};
    std::uint8_t ground = 0, ground_count = 0;
    float top = 0;         ///< of the ground
    std::uint8_t most = 0; ///< samples of `instance`
    std::int32_t instance = no_instance;
  };

  void add(const solid& s) {
    // The solid's box, turned into the grid: a box around a box.
    const bounds b = bounds_of(s);
    const point middle = T_grid_town_ * (0.5 * (b.low + b.high)), h = 0.5 * (b.high - b.low);
    const double c = std::abs(T_grid_town_.rotation(0, 0)), n = std::abs(T_grid_town_.rotation(0, 1));
    const point reach{c * h.x + n * h.y + 2 * tolerance, n * h.x + c * h.y + 2 * tolerance, h.z + 2 * tolerance};
    candidate k{&s, {}, {}};
    const double m[] = {middle.x, middle.y, middle.z}, r[] = {reach.x, reach.y, reach.z};
    const double low[] = {grid_.lower.x, grid_.lower.y, grid_.lower.z},
                 size[] = {grid_.voxel.x, grid_.voxel.y, grid_.voxel.z};
    for (std::size_t a = 0; a < 3; ++a) {
      const double from = std::floor((m[a] - r[a] - low[a]) / size[a]),
                   to = std::floor((m[a] + r[a] - low[a]) / size[a]);
      if (to < 0 || from >= grid_.size[a]) { return; }
      k.low[a] = static_cast<int>(std::max(from, 0.0)), k.high[a] = static_cast<int>(std::min(to, grid_.size[a] - 1.0));
    }
    candidates_.push_back(k);
  }

  /// Samples of a voxel that lie within `tolerance` of a solid.
  int samples(const solid& s, int x, int y, int z) const {
    const point center = frame_.T_town_grid * grid_.center(x, y, z);
    const double diagonal = 0.5 * length(grid_.voxel);
    const double middle = distance_to(s, center);
    if (middle > diagonal + tolerance || (s.hollow && middle < -diagonal - wall)) { return 0; }
    int count = 0;
    const double step = grid_.voxel.x / per_axis_;
    for (int i = 0; i < per_axis_; ++i) {
      for (int j = 0; j < per_axis_; ++j) {
        for (int k = 0; k < per_axis_; ++k) {
          const point off{(i + 0.5) * step - grid_.voxel.x / 2, (j + 0.5) * step - grid_.voxel.y / 2,
                          (k + 0.5) * step - grid_.voxel.z / 2};
          const double d = distance_to(s, center + frame_.T_town_grid.rotation * off);
          if (d <= tolerance && !(s.hollow && d < -wall)) { ++count; }
        }
      }
    }
    return count;
  }

  void fill(int begin, int end) {
    const auto per_column = static_cast<std::size_t>(grid_.size[1]) * static_cast<std::size_t>(grid_.size[2]);
    std::vector<tally> all(static_cast<std::size_t>(end - begin) * per_column);
    const auto at = [&](int x, int y, int z) -> tally& {
      return all[static_cast<std::size_t>(grid_.index(x - begin, y, z))];
    };
    road(begin, end, at);
    for (const auto& c : candidates_) {
      for (int x = std::max(c.low[0], begin); x <= std::min(c.high[0], end - 1); ++x) {
        for (int y = c.low[1]; y <= c.high[1]; ++y) {
          for (int z = c.low[2]; z <= c.high[2]; ++z) {
            const int n = samples(*c.what, x, y, z);
            if (n == 0) { continue; }
            count(at(x, y, z), *c.what, n);
          }
        }
      }
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      decide(all[i], static_cast<std::size_t>(grid_.index(begin, 0, 0)) + i);
    }
  }
  static void count(tally& t, const solid& s, int n) {
    const auto samples = static_cast<std::uint8_t>(std::min(255, n));
    if (is_ground(s.label)) { // layers lie on each other: the upper one counts, unless it covers a corner only
      const float top = static_cast<float>(s.center.z + s.half.z);
      if (n > 2 * t.ground_count || (top >= t.top && 2 * n >= t.ground_count)) {
        t.ground = s.label, t.ground_count = samples, t.top = top;
      }
      return;
    }
    t.count[s.label] = static_cast<std::uint8_t>(std::min(255, t.count[s.label] + n));
    if (s.instance >= 0 && samples > t.most) { t.most = samples, t.instance = s.instance; }
  }
  /// The road is the plane z = 0.
  template <class At> void road(int begin, int end, At&& at) const {
    for (int z = 0; z < grid_.size[2]; ++z) {
      const double foot = frame_.T_town_grid.translation.z + grid_.lower.z + z * grid_.voxel.z,
                   step = grid_.voxel.z / per_axis_;
      int n = 0;
      for (int k = 0; k < per_axis_; ++k) {
        n += std::abs(foot + (k + 0.5) * step) <= tolerance ? per_axis_ * per_axis_ : 0;
      }
      if (n == 0) { continue; }
      for (int x = begin; x < end; ++x) {
        for (int y = 0; y < grid_.size[1]; ++y) {
          at(x, y, z).ground = label::road, at(x, y, z).ground_count = static_cast<std::uint8_t>(n);
        }
      }
    }
  }

  /// Things win over the ground they stand on; among things the larger share, then the smaller class.
  void decide(const tally& t, std::size_t i) {
    const auto most = std::max_element(t.count.begin(), t.count.end());
    const int best = *most > 0 ? static_cast<int>(most - t.count.begin()) : t.ground;
    if (*most == 0 && t.ground_count == 0) { return; }
    out_.semantics[i] = static_cast<std::uint8_t>(best);
    const bool moves = best >= label::bicycle && best <= label::truck && best != label::traffic_cone;
    if (moves && t.instance >= 0 && static_cast<std::size_t>(t.instance) < frame_.velocity.size()) {
      const vec2<double> v = frame_.velocity[static_cast<std::size_t>(t.instance)];
      const point own = T_grid_town_.rotation * point{v.x, v.y, 0};
      out_.flow[i] = {static_cast<float>(own.x), static_cast<float>(own.y)};
    }
  }

  const voxel_frame& frame_;
  const occupancy_grid& grid_;
  occupancy_labels& out_;
  se3<double> T_grid_town_;
  int per_axis_;
  std::vector<candidate> candidates_;
};

/// Visits the voxels a ray crosses, from `origin`, until `f(index)` returns false or the grid or `far` ends.
template <class F> void walk_voxels(const occupancy_grid& g, point origin, point direction, double far, F&& f) {
  const double o[] = {(origin.x - g.lower.x) / g.voxel.x, (origin.y - g.lower.y) / g.voxel.y,
                      (origin.z - g.lower.z) / g.voxel.z};
  const double d[] = {direction.x / g.voxel.x, direction.y / g.voxel.y, direction.z / g.voxel.z};
  double near = 0;
  for (int a = 0; a < 3; ++a) { // clip to the grid
    const double size = g.size[static_cast<std::size_t>(a)];
    if (d[a] == 0) {
      if (o[a] < 0 || o[a] >= size) { return; }
      continue;
    }
    const double x = -o[a] / d[a], y = (size - o[a]) / d[a];
    near = std::max(near, std::min(x, y)), far = std::min(far, std::max(x, y));
  }
  if (near >= far) { return; }
  int cell[3], way[3];
  double next[3], step[3];
  for (int a = 0; a < 3; ++a) {
    const int most = g.size[static_cast<std::size_t>(a)] - 1;
    cell[a] = std::clamp(static_cast<int>(std::floor(o[a] + (near + 1e-9) * d[a])), 0, most);
    way[a] = d[a] > 0 ? 1 : -1;
    step[a] = d[a] == 0 ? 1e30 : std::abs(1 / d[a]);
    next[a] = d[a] == 0 ? 1e30 : (cell[a] + (d[a] > 0 ? 1 : 0) - o[a]) / d[a];
  }
  const idx stride[3] = {way[0] * idx{g.size[1]} * g.size[2], way[1] * idx{g.size[2]}, way[2]};
  idx index = g.index(cell[0], cell[1], cell[2]);
  int left[3]; // steps until the grid's end
  for (int a = 0; a < 3; ++a) { left[a] = way[a] > 0 ? g.size[static_cast<std::size_t>(a)] - 1 - cell[a] : cell[a]; }
  while (f(index)) {
    const int a = next[0] < next[1] ? (next[0] < next[2] ? 0 : 2) : (next[1] < next[2] ? 1 : 2);
    if (next[a] > far || left[a]-- == 0) { return; }
    index += stride[a];
    next[a] += step[a];
  }
}

inline void mark_seen(const occupancy_labels& labels, std::vector<std::uint8_t>& mask, point origin, point direction,
                      double far) {
  const auto free = static_cast<std::uint8_t>(labels.free);
  walk_voxels(labels.grid, origin, direction, far, [&](idx i) {
    // Several rays may mark a voxel at once; all write 1.
    std::atomic_ref<std::uint8_t>(mask[static_cast<std::size_t>(i)]).store(1, std::memory_order_relaxed);
    return labels.semantics[static_cast<std::size_t>(i)] == free;
  });
}

} // namespace detail

/// The voxels of a grid that a stage fills, with flow; numbered as `occupancy_class_names`, free is 17.
///
/// A voxel is cut into samples 10 cm apart. It is filled when one of them lies within 5 cm of a solid or of the road;
/// of a house, only of its walls, which are 30 cm thick. What road users and things share with the ground goes to them;
/// among things the larger number of samples decides, among layers of ground the upper one. Flow is the velocity of the
/// instance with most samples, along the grid's axes, 0 for what does not move.
///
/// Execution   The result does not depend on the number of threads.
inline occupancy_labels fill_voxels(cpu& e, const stage& s, const voxel_frame& frame) {
  auto out = occupancy_labels::empty(frame.grid, occupancy_free);
  out.flow.assign(out.semantics.size(), {0, 0});
  detail::voxel_filler(s, frame, out).run(e);
  return out;
}

/// The voxels that lie in a picture and are seen by its camera: what rays cross on their way, up to and with the first
/// filled voxel. There is a ray to every fifth pixel of 900 x 1600, and one to each face of a filled voxel.
///
/// Source      Occ3D, camera visibility.
inline std::vector<std::uint8_t> camera_mask(cpu& e, const occupancy_labels& labels, const se3<double>& T_grid_ego) {
  std::vector<std::uint8_t> mask(labels.semantics.size(), 0);
  constexpr int step = 5; // two rays side by side in a voxel 40 m away
  parallel_for(e, 6 * (900 / step), 6, [&](idx begin, idx end) {
    for (idx row = begin; row < end; ++row) {
      const auto view = static_cast<std::size_t>(row / (900 / step));
      const rig_camera& c = rig[view];
      const se3<double> T_grid_cam = T_grid_ego * T_ego_camera(view);
      const double v = static_cast<double>(row % (900 / step)) * step + step / 2.0;
      for (double u = step / 2.0; u < 1600; u += step) {
        detail::mark_seen(labels, mask, T_grid_cam.translation,
                          T_grid_cam.rotation * point{(u - c.cx) / c.focal, (v - c.cy) / c.focal, 1}, 1e30);
      }
    }
  });
  const auto& g = labels.grid;
  parallel_for(e, g.size[0], 4, [&](idx begin, idx end) {
    for (idx i = g.index(static_cast<int>(begin), 0, 0); i < g.index(static_cast<int>(end), 0, 0); ++i) {
      if (labels.semantics[static_cast<std::size_t>(i)] == labels.free) { continue; }
      const auto cell = g.cell(i);
      const point center = g.center(cell[0], cell[1], cell[2]);
      for (std::size_t view = 0; view < rig.size(); ++view) {
        const rig_camera& c = rig[view];
        const se3<double> T_grid_cam = T_grid_ego * T_ego_camera(view);
        const point from = T_grid_cam.translation, towards = from - center, h = (0.5 - 1e-3) * g.voxel;
        const point faces[] = {{std::copysign(h.x, towards.x), 0, 0},
                               {0, std::copysign(h.y, towards.y), 0},
                               {0, 0, std::copysign(h.z, towards.z)}};
        for (const point& face : faces) {
          const point to = center + face, p = transposed(T_grid_cam.rotation) * (to - from);
          if (p.z < 0.1) { continue; }
          const double u = c.focal * p.x / p.z + c.cx, v = c.focal * p.y / p.z + c.cy;
          if (u >= 0 && u < 1600 && v >= 0 && v < 900) { detail::mark_seen(labels, mask, from, to - from, 1.01); }
        }
      }
    }
  });
  return mask;
}

/// The voxels that LiDAR beams cross from these places, up to and with the first filled one: the turns of a scene
/// accumulated. What moved in between is taken where it is now.
///
/// Source      Occ3D, LiDAR visibility.
inline std::vector<std::uint8_t> lidar_mask(cpu& e, const occupancy_labels& labels,
                                            std::span<const se3<double>> T_grid_lidar) {
  std::vector<std::uint8_t> mask(labels.semantics.size(), 0);
  constexpr int firings = 542, block = 32; // 0.46 m apart at 40 m
  const idx blocks = (firings + block - 1) / block;
  parallel_for(e, static_cast<idx>(T_grid_lidar.size()) * blocks, 2, [&](idx begin, idx end) {
    for (idx k = begin; k < end; ++k) {
      const auto& pose = T_grid_lidar[static_cast<std::size_t>(k / blocks)];
      const int first = static_cast<int>(k % blocks) * block;
      for (int f = first; f < std::min(first + block, firings); ++f) {
        for (int ring = 0; ring < lidar_beams; ++ring) {
          detail::mark_seen(labels, mask, pose.translation, pose.rotation * beam_direction(f, ring, firings), 70);
        }
      }
    }
  });
  return mask;
}

} // namespace sqs::town

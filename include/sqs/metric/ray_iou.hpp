// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// RayIoU: do rays of a LiDAR that stood anywhere along the drive meet the right class at the right distance? With it
/// the errors of predicted flow (mAVE) and the OccScore.

#include <sqs/core/bfloat16.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/geometry/se3.hpp>
#include <sqs/metric/detail/numpy.hpp>
#include <sqs/metric/ray_cast.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <bit>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace sqs::metric {

namespace detail {
/// The nearest number in single precision. Through memory: g++ 12 vectorises (double)(float)x over the parts of a
/// vector and forgets to round.
inline double rounded_to_single(double x) {
  const volatile float single = static_cast<float>(x);
  return static_cast<double>(single);
}
inline vec3<double> rounded_to_single(const vec3<double>& v) {
  return {rounded_to_single(v.x), rounded_to_single(v.y), rounded_to_single(v.z)};
}
} // namespace detail

/// The elevations of the ray set, radians upwards: 39, the first ten 1 m apart on the ground below a sensor 1 m up.
inline std::vector<double> ray_elevations() {
  std::vector<double> up;
  for (int k = 1; k <= 10; ++k) { up.push_back(-(std::numbers::pi / 2 - std::atan(k))); }
  while (up.back() < 0.21) { up.push_back(up.back() + (up.back() - up[up.size() - 2])); }
  return up;
}
/// The 14,040 directions of the ray set: elevation after elevation, 360 degrees each. Ego frame, single precision as
/// the evaluator has them.
inline std::vector<vec3<float>> ray_directions() {
  std::vector<vec3<float>> rays;
  for (const double up : ray_elevations()) {
    for (int degree = 0; degree < 360; ++degree) {
      const double turn = degree * (std::numbers::pi / 180);
      rays.push_back({static_cast<float>(std::cos(up) * std::cos(turn)),
                      static_cast<float>(std::cos(up) * std::sin(turn)), static_cast<float>(std::sin(up))});
    }
  }
  return rays;
}

/// Where the rays of key frame `reference` start: where the LiDAR stood at the key frames of its scene, within 39 m, at
/// most eight of them. Metres in the ego frame of `reference`.
///
/// Errors      precondition_error if `reference` is none of the scene's frames.
inline std::vector<vec3<double>> ray_origins(std::span<const se3<double>> T_global_lidar, std::size_t reference,
                                             const se3<double>& T_ego_lidar) {
  expects(reference < T_global_lidar.size(), "sqs::metric::ray_origins: frame ", reference, " of a scene of ",
          T_global_lidar.size(), " frames; give an index below that");
  const se3<double> T_ref_global = inverse(T_global_lidar[reference]);
  std::vector<vec3<double>> near;
  for (std::size_t i = 0; i < T_global_lidar.size(); ++i) {
    vec3<double> at{}; // in the LiDAR's frame, single precision as the evaluator has it
    if (i != reference) { at = detail::rounded_to_single(T_ref_global * T_global_lidar[i].translation); }
    const vec3<double> p = T_ego_lidar * at;
    if (std::abs(p.x) < 39 && std::abs(p.y) < 39) { near.push_back(p); }
  }
  if (near.size() <= 8) { return near; }
  std::vector<vec3<double>> chosen;
  const double last = static_cast<double>(near.size() - 1);
  for (int i = 0; i < 8; ++i) { chosen.push_back(near[static_cast<std::size_t>(std::nearbyint(i * (last / 7)))]); }
  return chosen;
}

/// Settings of RayIoU.
struct ray_iou_config {
  std::array<double, 3> within{1, 2, 4};    ///< metres; the second one gives the errors of flow
  std::vector<std::uint8_t> flow_classes{}; ///< the classes whose flow is judged
  bool quantize_f16 = false; ///< round distances and flow to half precision first, as submissions of the challenge do
};
/// The classes of OpenOcc v2 that move.
inline ray_iou_config open_occ_rays() { return {.within = {1, 2, 4}, .flow_classes = {0, 1, 2, 3, 4, 5, 6, 7}}; }
/// The same classes in the numbering of Occ3D.
inline ray_iou_config occ3d_rays() { return {.within = {1, 2, 4}, .flow_classes = {4, 10, 9, 3, 5, 2, 6, 7}}; }

/// Counts over rays whose true class is not free; parts of a split add up with `merge`.
struct ray_counts {
  int free = 0; ///< classes are 0 .. free - 1
  std::vector<std::int64_t> truth, predicted;
  std::array<std::vector<std::int64_t>, 3> right; ///< by distance
  std::vector<double> hit_error, all_error;       ///< sums of flow errors, m/s: see `ray_scores`
  std::vector<std::int64_t> hit_count, all_count;
  std::int64_t samples = 0;

  /// `free` classes and the number of "free" after them: 17 for Occ3D, 16 for OpenOcc v2.
  explicit ray_counts(int free_class)
      : free(free_class),
        truth(static_cast<std::size_t>(free_class)),
        predicted(truth),
        right{truth, truth, truth},
        hit_error(truth.size()),
        all_error(truth.size()),
        hit_count(truth),
        all_count(truth) {}
  void merge(const ray_counts& b) {
    expects(free == b.free, "sqs::metric::ray_counts: counts of ", b.free, " classes cannot be added to counts of ",
            free, "; use one numbering for all parts");
    const auto add = [](auto& x, const auto& y) {
      for (std::size_t i = 0; i < x.size(); ++i) { x[i] += y[i]; }
    };
    add(truth, b.truth), add(predicted, b.predicted);
    for (std::size_t d = 0; d < 3; ++d) { add(right[d], b.right[d]); }
    add(hit_error, b.hit_error), add(all_error, b.all_error), add(hit_count, b.hit_count), add(all_count, b.all_count);
    samples += b.samples;
  }
};

namespace detail {

/// The nearest half-precision number, ties to even.
inline float rounded_to_half(float x) { return float_of_half(half_of_float(x)); }

/// What a ray meets in one volume.
struct ray_hit {
  std::size_t voxel = 0;
  float distance = -0.4f; ///< metres, where it leaves the voxel
};

/// What a ray meets in truth and prediction: the first voxel that is not free, else the last one inside.
inline std::array<ray_hit, 2> cast_ray(const occupancy_grid& g, const std::array<const occupancy_labels*, 2>& volumes,
                                       const vec3<double>& origin, const vec3<float>& direction) {
  // Every number passes through single precision, as in the evaluator.
  const double step = rounded_to_single(g.voxel.x);
  const auto in_voxels = [&](const vec3<double>& p) {
    const vec3<double> from = p - g.lower;
    return rounded_to_single(vec3<double>{from.x / step, from.y / step, from.z / step});
  };
  std::array<double, 2> leaves{-1, -1};
  std::array<bool, 2> done{};
  std::array<ray_hit, 2> hits{};
  walk_ray(g.size, in_voxels(origin), in_voxels(origin + vec3<double>(direction)), 1001,
           [&](int x, int y, int z, double exit) {
             const auto at = static_cast<std::size_t>(g.index(x, y, z));
             for (std::size_t v = 0; v < 2; ++v) {
               if (done[v]) { continue; }
               hits[v].voxel = at, leaves[v] = exit;
               done[v] = volumes[v]->semantics[at] != volumes[v]->free;
             }
             return done[0] && done[1];
           });
  for (std::size_t v = 0; v < 2; ++v) { hits[v].distance = static_cast<float>(leaves[v]) * static_cast<float>(step); }
  return hits;
}

/// One ray's part of the counts. Adds its flow error to that of the sample; without flow on both sides there is none.
inline void count_ray(ray_counts& c, const occupancy_labels& truth, const occupancy_labels& prediction,
                      const std::array<ray_hit, 2>& hit, const ray_iou_config& config, double& error_of_sample) {
  const int t = truth.semantics[hit[0].voxel], p = prediction.semantics[hit[1].voxel];
  const auto rounded = [&](float x) { return config.quantize_f16 ? rounded_to_half(x) : x; };
  double error = 0;
  const bool flow = !truth.flow.empty() && !prediction.flow.empty();
  if (flow) {
    const vec2<float> a = truth.flow[hit[0].voxel], b = prediction.flow[hit[1].voxel];
    error =
        std::hypot(static_cast<double>(rounded(a.x) - rounded(b.x)), static_cast<double>(rounded(a.y) - rounded(b.y)));
  }
  error_of_sample += error;
  if (t < c.free) { ++c.truth[static_cast<std::size_t>(t)]; }
  if (p < c.free) { ++c.predicted[static_cast<std::size_t>(p)]; }
  if (t != p || t >= c.free) { return; }
  const auto k = static_cast<std::size_t>(t);
  const float apart = std::abs(rounded(hit[1].distance) - rounded(hit[0].distance));
  for (std::size_t d = 0; d < 3; ++d) { c.right[d][k] += static_cast<double>(apart) < config.within[d] ? 1 : 0; }
  if (flow && static_cast<double>(apart) < config.within[1]) {
    c.hit_error[k] += error;
    ++c.hit_count[k];
  }
}

} // namespace detail

/// Adds one key frame: casts the ray set from every origin through both volumes.
///
/// Units       metres; origins in the frame of the grid; flow in m/s
/// Execution   Elevations in parallel; the counts do not depend on the number of threads, bit for bit.
/// Errors      precondition_error if grids, class numbers or lengths differ, or voxels are no cubes.
/// Cost        eight origins: 112,320 rays through both volumes, about 120 ms on one core.
/// Source      RayIoU of SparseOcc (Liu et al. 2024) and its evaluator in the CVPR 2024 occupancy and flow challenge
inline void add_rays(cpu& e, ray_counts& counts, const occupancy_labels& truth, const occupancy_labels& prediction,
                     std::span<const vec3<double>> origins, const ray_iou_config& config) {
  const auto voxels = static_cast<std::size_t>(truth.grid.count());
  expects(truth.grid == prediction.grid && truth.semantics.size() == voxels && prediction.semantics.size() == voxels &&
              voxels > 0,
          "sqs::metric::add_rays: ", truth.semantics.size(), " true and ", prediction.semantics.size(),
          " predicted voxels; both must fill the same grid");
  expects(truth.free == counts.free && prediction.free == counts.free, "sqs::metric::add_rays: free is ", truth.free,
          " in truth, ", prediction.free, " in the prediction and ", counts.free, " in the counts; use one numbering");
  expects(truth.grid.voxel.x == truth.grid.voxel.y && truth.grid.voxel.x == truth.grid.voxel.z,
          "sqs::metric::add_rays: voxels of ", truth.grid.voxel.x, " x ", truth.grid.voxel.y, " x ", truth.grid.voxel.z,
          " m; rays are defined for cubes");
  for (const auto* flow : {&truth.flow, &prediction.flow}) {
    expects(flow->empty() || flow->size() == voxels, "sqs::metric::add_rays: ", flow->size(), " flow vectors for ",
            voxels, " voxels; give one each or none");
  }
  for (const vec3<double>& o : origins) {
    expects(std::abs(o.x) < 1e5 && std::abs(o.y) < 1e5 && std::abs(o.z) < 1e5,
            "sqs::metric::add_rays: a ray starts at (", o.x, ", ", o.y, ", ", o.z,
            "); give metres in the frame of the grid");
  }
  constexpr idx per_row = 360;
  const auto rays = ray_directions();
  const idx rows = static_cast<idx>(origins.size()) * static_cast<idx>(rays.size()) / per_row;
  struct part {
    ray_counts counts;
    double error = 0;
    std::int64_t rays = 0;
  };
  std::vector<part> parts(static_cast<std::size_t>(rows), part{ray_counts(counts.free)});
  parallel_for(e, rows, 1, [&](idx begin, idx end) {
    for (idx r = begin; r < end; ++r) {
      part& p = parts[static_cast<std::size_t>(r)];
      for (idx i = r * per_row; i < (r + 1) * per_row; ++i) {
        const auto n = static_cast<idx>(rays.size());
        const auto hit = detail::cast_ray(truth.grid, {&truth, &prediction}, origins[static_cast<std::size_t>(i / n)],
                                          rays[static_cast<std::size_t>(i % n)]);
        if (truth.semantics[hit[0].voxel] == counts.free) { continue; }
        ++p.rays;
        detail::count_ray(p.counts, truth, prediction, hit, config, p.error);
      }
    }
  });
  part sample{ray_counts(counts.free)};
  for (const part& p : parts) {
    sample.counts.merge(p.counts);
    sample.error += p.error;
    sample.rays += p.rays;
  }
  for (std::size_t k = 0; k < sample.counts.hit_count.size(); ++k) {
    if (sample.counts.hit_count[k] == 0) { continue; }
    sample.counts.all_error[k] = sample.error;
    sample.counts.all_count[k] = sample.rays;
  }
  sample.counts.samples = 1;
  counts.merge(sample.counts);
}

/// What counts of rays amount to; NaN for a class that neither side has.
///
/// Two definitions of the velocity error are in use. `ave_tp`: the mean over the rays of a class that are right within
/// 2 m; the default. `ave_all`: for every sample in which a class has such a ray, the errors of all its rays count for
/// that class; standing things dilute it.
struct ray_scores {
  std::array<std::vector<double>, 3> iou; ///< by distance and class
  std::array<double, 3> at{};             ///< means over classes
  double ray_iou = 0;                     ///< mean over distances and classes
  std::vector<double> ave_tp, ave_all;    ///< m/s by class; NaN where flow is not judged or absent
  double mave_tp = 0, mave_all = 0;
};
inline ray_scores score_rays(const ray_counts& c, const ray_iou_config& config) {
  ray_scores s;
  std::vector<double> table;
  for (std::size_t d = 0; d < 3; ++d) {
    for (std::size_t k = 0; k < c.truth.size(); ++k) {
      const auto right = static_cast<double>(c.right[d][k]);
      s.iou[d].push_back(right / (static_cast<double>(c.truth[k] + c.predicted[k]) - right));
    }
    s.at[d] = detail::nan_mean(s.iou[d]);
    table.insert(table.end(), s.iou[d].begin(), s.iou[d].end());
  }
  s.ray_iou = detail::nan_mean(table);
  s.ave_tp.assign(c.truth.size(), std::nan(""));
  s.ave_all = s.ave_tp;
  for (const std::uint8_t k : config.flow_classes) {
    expects(k < c.truth.size(), "sqs::metric::score_rays: flow class ", int{k}, " of ", c.truth.size(),
            "; use the settings of the same numbering");
    s.ave_tp[k] = c.hit_error[k] / static_cast<double>(c.hit_count[k]);
    s.ave_all[k] = c.all_error[k] / static_cast<double>(c.all_count[k]);
  }
  s.mave_tp = detail::nan_mean(s.ave_tp);
  s.mave_all = detail::nan_mean(s.ave_all);
  return s;
}

/// The score of the CVPR 2024 occupancy and flow challenge.
///
/// Units       ray_iou from 0 to 1, mave in m/s
inline double occ_score(double ray_iou, double mave) { return 0.9 * ray_iou + 0.1 * std::max(1 - mave, 0.0); }

} // namespace sqs::metric

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Several LiDAR sweeps as one cloud.

#include <sqs/sensor/sample.hpp>

#include <span>

namespace sqs {

/// A sweep in its own sensor frame, with where and when it was recorded.
struct posed_sweep {
  lidar_sweep sweep;
  se3<double> T_global_sensor;
  std::int64_t timestamp_us = 0;
};

struct sweep_options {
  double close = 1; ///< metres: points with |x| and |y| below this, in the frame of their own sweep, are removed
  bool close_in_first = true; ///< also from the first sweep: the devkit does, mmdet3d does not
};

/// Points in ref, each with the time that passed between it and the key frame.
///
/// Shapes      all four of one length; `ring` is empty if a sweep has none
struct swept_points {
  std::vector<vec3<float>> points;
  std::vector<float> intensity, lag; ///< seconds before the key frame, 0 for its own points
  std::vector<int> ring;
};

/// The points of `sweeps` where they were in the world, seen from ref at the time of the key frame: the motion of the
/// vehicle is undone, that of others is not.
///
/// Execution   one thread; points keep the order of the sweeps and of their files.
/// Errors      precondition_error for a pose that is not finite or no rotation.
/// Source      `LidarPointCloud.from_file_multisweep` (devkit), `LoadPointsFromMultiSweeps` (mmdet3d).
inline swept_points aggregated(std::span<const posed_sweep> sweeps, const se3<double>& T_global_ref,
                               std::int64_t timestamp_us, const sweep_options& options = {}) {
  swept_points out;
  const se3<double> T_ref_global = inverse(checked(T_global_ref, "T_global_ref of the key frame"));
  bool rings = true;
  for (const auto& s : sweeps) { rings = rings && s.sweep.ring.size() == s.sweep.points.size(); }
  for (std::size_t k = 0; k < sweeps.size(); ++k) {
    const auto& s = sweeps[k];
    const se3<double> T_ref_sensor = T_ref_global * checked(s.T_global_sensor, "the pose of a sweep");
    const auto lag = static_cast<float>(1e-6 * static_cast<double>(timestamp_us - s.timestamp_us));
    const double close = k == 0 && !options.close_in_first ? 0 : options.close;
    for (std::size_t i = 0; i < s.sweep.points.size(); ++i) {
      const auto p = static_cast<vec3<double>>(s.sweep.points[i]);
      if (std::abs(p.x) < close && std::abs(p.y) < close) { continue; }
      out.points.push_back(static_cast<vec3<float>>(T_ref_sensor * p));
      out.intensity.push_back(i < s.sweep.intensity.size() ? s.sweep.intensity[i] : 0.0f);
      out.lag.push_back(lag);
      if (rings) { out.ring.push_back(s.sweep.ring[i]); }
    }
  }
  return out;
}

} // namespace sqs

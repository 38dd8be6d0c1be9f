// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Where the recording vehicle goes: what planners learn and are judged by.

#include <sqs/geometry/se3.hpp>

#include <span>
#include <vector>

namespace sqs {

/// What a navigation system would have said. The order is that of one-hot vectors in the field.
enum class driving_command { right = 0, left = 1, straight = 2 };

/// Where the origin of ref will be in the next key frames, seen from ref now; x right, y forward, metres.
///
/// Shapes      position, valid: the number of steps. Behind the end of the recording a position repeats the last valid
///             one and is not valid.
struct ego_future {
  std::vector<vec2<double>> position;
  std::vector<bool> valid;
  driving_command command = driving_command::straight;
};

/// The future of a vehicle from its poses: `T_global_ref[0]` is now, the others are the following key frames of the
/// scene, as many as there are.
///
/// Errors      precondition_error without a pose.
/// Source      `gt_ego_fut_trajs` (here summed up) and `gt_ego_fut_cmd` of UniAD, VAD and SparseDrive: right or left if
///             the last position is 2 m or more to that side.
inline ego_future make_ego_future(std::span<const se3<double>> T_global_ref, int steps = 6) {
  expects(!T_global_ref.empty() && steps > 0, "sqs::make_ego_future: ", T_global_ref.size(), " poses for ", steps,
          " steps; give the pose of now first and at least one step");
  constexpr double aside = 2;
  const se3<double> T_ref_global = inverse(T_global_ref[0]);
  ego_future out;
  vec2<double> last{};
  for (std::size_t k = 1; k <= static_cast<std::size_t>(steps); ++k) {
    const bool there = k < T_global_ref.size();
    if (there) {
      const vec3<double> p = T_ref_global * T_global_ref[k].translation;
      last = {p.x, p.y};
    }
    out.position.push_back(last);
    out.valid.push_back(there);
  }
  out.command = last.x >= aside    ? driving_command::right
                : last.x <= -aside ? driving_command::left
                                   : driving_command::straight;
  return out;
}

} // namespace sqs

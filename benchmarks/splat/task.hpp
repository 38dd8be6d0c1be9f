// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A workload as the baselines take it.

#include "baselines.hpp"
#include "workloads.hpp"

namespace baselines {

/// Without a gradient of the image.
inline task task_of(const workloads::workload& w) {
  baselines::task t;
  t.scene = {w.s.count(),          w.s.means.data(),     w.s.scales.data(),
             w.s.rotations.data(), w.s.opacities.data(), w.s.colours.data()};
  for (const auto& v : w.rig) {
    plain::camera c{{}, {}, v.camera.fx, v.camera.fy, v.camera.cx, v.camera.cy, v.camera.width, v.camera.height};
    for (int i = 0; i < 9; ++i) { c.rotation[i] = v.T_cam_ref.rotation(i / 3, i % 3); }
    const auto& at = v.T_cam_ref.translation;
    c.translation[0] = at.x, c.translation[1] = at.y, c.translation[2] = at.z;
    t.cameras.push_back(c);
  }
  t.numbers.radius_clip = w.clips ? 3 : 0;
  t.background = w.background.data();
  return t;
}

} // namespace baselines

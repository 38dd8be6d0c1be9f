// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the engine is measured against, on this machine and in this process. Implemented in baselines.cpp, which the
/// compiler may fuse products and sums in: it makes the baselines faster.

#include "plain.hpp"

namespace baselines {

/// Seconds of CPU time of each stage, over all views. `order` sorts, or makes the lists of the tiles.
struct seconds {
  double project = 0, order = 0, blend = 0, blend_backward = 0, project_backward = 0;
  double forward() const { return project + order + blend; }
  double backward() const { return blend_backward + project_backward; }
};

struct engine_report {
  seconds time;
  std::vector<float> image, transmittance; ///< [V,H,W,3], [V,H,W]
  plain::gradients gradient{0, 0};
};

struct task {
  plain::scene scene;
  std::vector<plain::camera> cameras;
  plain::numbers numbers;
  const float *background = nullptr, *d_image = nullptr; ///< [V,3], [V,H,W,3]
};

/// The least time of each stage over `repeats` runs, and the last run's results.
engine_report run_gaussian_major(const task& t, int repeats);
engine_report run_scalar_tile(const task& t, int repeats);

/// Contributing pairs, lanes of the blocks of pixels they need, and (view, Gaussian) pairs drawn; see scalar_tile.hpp.
struct work {
  double pairs = 0, slots = 0, visible = 0;
};
work count_work(const task& t, int block_width, int block_height);

/// Floating-point operations per second of one core: fused multiply-adds where the target has them, in all lanes.
/// Takes about 15 ms.
double fma_peak();

} // namespace baselines

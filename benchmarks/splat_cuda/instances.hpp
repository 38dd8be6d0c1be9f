// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What is measured, compiled by instances.cu.

#include "../device_clock.hpp"

#include <sqs/splat/cuda/rasterize.hpp>

namespace sqs::splat {

/// The stages of the rasterizer on their own, with what a call has saved: the same work as a pass does, in the same order.
template <raster_config Config> struct raster_stages {
  using op = device_rasterizer<Config>;
  using saved = typename op::template saved<float>;
  using pixels = tensor<float, op::plane_rank + 1, device>;
  using depths = tensor<float, op::depth_rank, device>;
  using plane = tensor<float, op::plane_rank, device>;

  static void project(cuda& e, const saved& s); ///< and sorts by depth
  static void bin(cuda& e, const saved& s);
  static void blend(cuda& e, const saved& s, const tensor<float, 2, device>& background);
  static void blend_backward(cuda& e, const saved& s, const pixels& d_image, const depths& d_depth, const plane& d_t);
  /// Of sums that are zero; the work does not depend on them.
  static void project_backward(cuda& e, const saved& s);
};

} // namespace sqs::splat

namespace subjects {
inline constexpr sqs::splat::raster_config rgb{.depth = sqs::splat::no_depth};
inline constexpr sqs::splat::raster_config clipped{.radius_clip = {3, 1}, .depth = sqs::splat::no_depth};
inline constexpr sqs::splat::raster_config features{.channels = 24, .depth = sqs::splat::no_depth};

/// Fused products and sums per second of the device, times two: single precision, every thread busy.
double fma_peak_of_device(bench::timed_stream& s);
} // namespace subjects

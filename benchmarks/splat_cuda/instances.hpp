// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What is measured, compiled by instances.cu.

#include "../device_clock.hpp"

#include <sqs/splat/cuda/rasterize.hpp>

namespace subjects {
inline constexpr sqs::splat::raster_config rgb{.depth = sqs::splat::no_depth};
inline constexpr sqs::splat::raster_config clipped{.radius_clip = {3, 1}, .depth = sqs::splat::no_depth};
inline constexpr sqs::splat::raster_config features{.channels = 24, .depth = sqs::splat::no_depth};

/// Fused products and sums per second of the device, times two: single precision, every thread busy.
double fma_peak_of_device(bench::timed_stream& s);
} // namespace subjects

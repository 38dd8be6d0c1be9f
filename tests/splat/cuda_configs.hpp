// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the tests on a device render beyond what sqs::cuda_instances holds; compiled by rasterizer_cuda_instances.cu.

#include <sqs/splat/cuda/rasterize.hpp>

namespace sqs::test {

inline constexpr splat::raster_config plain{};
/// Nearly everything at once; 40 channels take more than one pass.
inline constexpr splat::raster_config rich{.channels = 40,
                                           .sh_degree = 2,
                                           .tile = 8,
                                           .filter = splat::antialias::mip,
                                           .depth = splat::accumulated_depth | splat::expected_depth |
                                                    splat::inverse_depth | splat::median_depth,
                                           .absgrad = true};
inline constexpr splat::raster_config jagged{.cut_width = {1, 5}, .layout = splat::image_layout::jagged};

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::channels must be at least 3 with spherical harmonics: they make the first three
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.channels = 3, .sh_degree = 1};
#else
constexpr sqs::splat::raster_config config{.channels = 2, .sh_degree = 1};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::channels must be at least 1
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.channels = 1};
#else
constexpr sqs::splat::raster_config config{.channels = 0};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

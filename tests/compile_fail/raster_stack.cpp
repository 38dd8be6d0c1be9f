// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::channels on tiles of this size would not fit a thread's stack
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.channels = 512};
#else
constexpr sqs::splat::raster_config config{.channels = 512, .tile = 32};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

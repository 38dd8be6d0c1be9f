// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::tile must be 8, 16 or 32
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.tile = 8};
#else
constexpr sqs::splat::raster_config config{.tile = 12};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

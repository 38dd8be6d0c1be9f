// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::near must be positive: depth keys are compared as bits
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.near = {1, 100}};
#else
constexpr sqs::splat::raster_config config{.near = {0, 1}};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

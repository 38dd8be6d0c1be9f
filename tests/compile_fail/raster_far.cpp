// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::far must lie beyond near, or be 0 for none
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.near = {1, 1}, .far = {2, 1}};
#else
constexpr sqs::splat::raster_config config{.near = {1, 1}, .far = {1, 2}};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

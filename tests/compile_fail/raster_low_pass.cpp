// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::low_pass must be positive: it keeps the 2D covariance invertible
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.low_pass = {1, 10}};
#else
constexpr sqs::splat::raster_config config{.low_pass = {0, 1}};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

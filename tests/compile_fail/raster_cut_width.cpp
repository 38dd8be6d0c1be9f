// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::cut_width must not be negative nor reach alpha_max
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.cut_width = {1, 100}};
#else
constexpr sqs::splat::raster_config config{.cut_width = {99, 100}};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

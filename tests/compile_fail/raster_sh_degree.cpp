// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::sh_degree must be -1 \(none\) to 4
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.sh_degree = 4};
#else
constexpr sqs::splat::raster_config config{.sh_degree = 5};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::alpha_max must lie inside \(0, 1\)
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.alpha_max = {98, 100}};
#else
constexpr sqs::splat::raster_config config{.alpha_max = {1, 1}};
#endif
constexpr float alpha = sqs::splat::raster_constants<config, float>::alpha_max;

// SPDX-License-Identifier: Apache-2.0
// expected-error: raster_config::alpha_cut must lie inside \(0, alpha_max\): the extent of a Gaussian follows from it
#include <sqs/splat/config.hpp>

#ifdef SQS_GOOD
constexpr sqs::splat::raster_config config{.alpha_cut = {1, 100}};
#else
constexpr sqs::splat::raster_config config{.alpha_cut = {0, 1}};
#endif
constexpr int tile = sqs::splat::raster_constants<config, float>::tile;

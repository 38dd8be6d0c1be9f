// SPDX-License-Identifier: Apache-2.0
// expected-error: `saved` must come from rasterizer<Config>::forward with the same Config
#include <sqs/splat/contributors.hpp>

constexpr sqs::splat::raster_config drawn{.channels = 1};
#ifdef SQS_GOOD
constexpr sqs::splat::raster_config asked{.channels = 1};
#else
constexpr sqs::splat::raster_config asked{.channels = 2};
#endif
auto use(sqs::cpu& e, const sqs::splat::rasterizer<drawn>::saved<float>& s) {
  return sqs::splat::top_contributors<asked, 2>(e, s);
}

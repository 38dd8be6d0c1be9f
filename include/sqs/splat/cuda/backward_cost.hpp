// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Which of the two ways back through the blend is cheaper on a device, and what decides it.

#include <sqs/splat/cuda/blend_by_gaussian_kernel.hpp>
#include <sqs/splat/scene.hpp>

namespace sqs::splat {

/// Instructions of a warp for one entry of a tile's list, each way back.
struct backward_cost {
  double by_pixel = 0, by_gaussian = 0;
  constexpr backward_order cheaper() const {
    return by_gaussian < by_pixel ? backward_order::by_gaussian : backward_order::by_pixel;
  }
};

/// How many of a tile's blocks of 8 x 4 pixels, which are a warp's, an entry usually reaches: 4.6 of the 8 of a tile of 16,
/// between 4.0 and 5.9 on seven scenes of cars and gardens. That for tiles of 32 is extrapolated.
constexpr double usual_reach(int tile) { return tile == 8 ? 1.8 : (tile == 16 ? 4.6 : 10.0); }

/// The model behind `backward_order::automatic`. With C channels and a reach of r, by pixel costs r (80 + 4 C): every warp
/// that is reached adds up its sums. By Gaussian costs r (20 + C) for the replay and 40 + 3 C for every 32 steps of the
/// pixels past the entries, which are as many as pixels and 31 more, times the warps to each that has room to work. Every
/// pass for channels without room costs 20 more each time. So by Gaussian pays where Gaussians are large: with 3 channels
/// on tiles of 16 from r = 6.4 on, with 24 from r = 7.6 on.
///
/// Source      Counts of instructions, not measurements: no GPU has been asked yet.
template <raster_config Config, class T = float> constexpr backward_cost cost_of_backward(double reach) {
  using k = raster_constants<Config, T>;
  using plan = detail::feature_plan<k>;
  using taker = detail::blend_backward_by_gaussian_kernel<Config, T, true, 0, plan::along>;
  constexpr double c = k::channels, steps = (taker::pixels + warp_size - 1) / double{warp_size},
                   waiting = double{taker::place::warps} / taker::takers,
                   more = (plan::features > plan::room ? (plan::features - 1) / plan::room : 0) * 20.0;
  return {reach * (80 + 4 * c + more), reach * (20 + c + more) + waiting * steps * (40 + 3 * c + more)};
}

} // namespace sqs::splat

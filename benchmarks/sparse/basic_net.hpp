// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The network of spconv's own benchmark: fourteen 3 x 3 x 3 submanifold convolutions, two on each of seven levels of 64,
/// 96 ... 256 channels, each with batch norm (folded, as in inference) and relu; maxima of 2 x 2 x 2 between the levels.
/// What every engine that runs it shares.

#include "timing.hpp"
#include "workloads.hpp"

#include <vector>

namespace basic_net {

using namespace sqs;
using namespace timing;

inline constexpr idx widths[] = {64, 96, 128, 160, 192, 224, 256};
inline constexpr int levels = 7;

struct layer_weights {
  tensor<float, 3> weight;
  tensor<float, 1> scale, shift;
};
/// Weights that keep the numbers of the layers near one.
inline std::vector<layer_weights> make_weights() {
  std::vector<layer_weights> all;
  idx from = 3;
  std::uint64_t seed = 10;
  for (const idx to : widths) {
    for (int second = 0; second < 2; ++second, from = to) {
      const double bound = std::sqrt(3.0 / static_cast<double>(6 * from));
      all.push_back(
          {numbers<3>({27, from, to}, seed++, bound), numbers<1>({to}, seed++, 1), numbers<1>({to}, seed++, 0.1)});
    }
  }
  return all;
}
inline const std::vector<layer_weights>& weights() {
  static const auto w = make_weights();
  return w;
}

/// What goes in: a row of (batch, x, y, z) and three numbers for each voxel of the frame.
inline tensor<std::int32_t, 2> coordinates_of(const workloads::workload& w) {
  auto coordinates = make_tensor<std::int32_t, 2>({w.rows(), 4});
  for (idx i = 0; i < coordinates.size(); ++i) {
    coordinates.data()[i] = w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  return coordinates;
}
inline tensor<float, 2> features_of(const workloads::workload& w) { return numbers<2>({w.rows(), 3}, 5, 1); }

/// Seconds of the parts of one level, the fastest of the passes.
struct part_times {
  fastest map, convolution, pooling;
};
struct level_work {
  idx rows = 0, pairs = 0;
};

} // namespace basic_net

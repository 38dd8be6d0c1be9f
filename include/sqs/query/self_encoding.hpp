// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Queries see their neighbours: a submanifold convolution over the voxels their means fall into. Linear cost.

#include <sqs/nn/linear.hpp>
#include <sqs/query/anchor.hpp>
#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>

namespace sqs::query {

struct self_encoding_config {
  using sqs_setting = void;
  double voxel = 0.5; ///< metres
  idx kernel = 5;
  sparse::duplicate_rule duplicates = sparse::duplicate_rule::symmetric;
};

/// Voxel of each query's mean: trunc((mean - low) / voxel), as rows (0, x, y, z).
template <class T>
tensor<std::int32_t, 2> voxelised_means(cpu& e, const tensor<T, 2>& anchors, const anchor_config& c, double voxel) {
  auto coords = empty<std::int32_t, 2>(e, {anchors.extent(0), 4});
  parallel_for(e, anchors.extent(0), 1024, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      coords(i, 0) = 0;
      for (int k = 0; k < 3; ++k) {
        // The clamp of safe_sigmoid keeps every mean inside the box, so the voxel exists.
        coords(i, k + 1) = static_cast<std::int32_t>((decode_position(c, k, anchors(i, k)) - T(c.low[k])) / T(voxel));
      }
    }
  });
  return coords;
}

/// Convolution over voxelised means and a linear map. Replaces the features; there is no residual.
///
/// Shapes      content [Q, C], anchors [Q, D] (no gradient: voxels are discrete) -> [Q, C]
/// Source      GaussianFormer's SparseConv3D block (NonEmpty: with the output map).
template <class T> struct self_encoding {
  self_encoding_config config;
  sparse::bias_free_convolution<T> convolution;
  nn::linear<T> output;

  static self_encoding make(idx channels, self_encoding_config config, initializer& init) {
    // Xavier-uniform with the fans PyTorch computes for spconv's stored layout [out, kx, ky, kz, in].
    const idx square = config.kernel * config.kernel, taps = square * config.kernel;
    auto weight = init.xavier<T, 3>({taps, channels, channels}, taps * channels, square * channels * channels);
    return {config, {{std::move(weight), {}}}, nn::linear<T>::make(channels, channels, init)};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> content, const tensor<T, 2>& anchors,
                                                  const anchor_config& c) const {
    std::array<idx, 3> grid{};
    for (std::size_t k = 0; k < 3; ++k) {
      grid[k] = static_cast<idx>(std::ceil((c.high[k] - c.low[k]) / config.voxel));
    }
    const auto coordinates = voxelised_means(g.exec(), anchors, c, config.voxel);
    const auto sites = sparse::make_sites<3>(g.exec(), coordinates, grid, 1, sparse::voxel_sharing::allowed);
    const sparse::tap_set<3> taps{{config.kernel, config.kernel, config.kernel}};
    const auto plan = sparse::make_submanifold_plan(g.exec(), sites, taps, {1, 1, 1}, config.duplicates);
    return output(g, convolution(g, std::move(content), plan));
  }
  SQS_MEMBERS(self_encoding, config, convolution, output)
};

} // namespace sqs::query

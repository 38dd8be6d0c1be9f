// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Encodes raw anchors into query channels.

#include <sqs/nn/mlp.hpp>
#include <sqs/query/anchor.hpp>

namespace sqs::query {

/// Five small networks, one per part of the anchor (position, scale, rotation, opacity, colour), summed, and a sixth on
/// the sum. They read the raw numbers, not metres.
///
/// Shapes      anchors [Q, D] -> [Q, C]
/// Source      GaussianFormer's anchor encoder, with colour in place of semantics.
template <class T> struct anchor_encoder {
  std::vector<nn::linear_relu_norm<T>> parts; ///< position, scale, rotation, opacity, colour
  nn::linear_relu_norm<T> output;
  int colour_channels = 3;

  static anchor_encoder make(const anchor_config& c, idx channels, initializer& init) {
    anchor_encoder m;
    m.colour_channels = c.colour_channels;
    for (const auto& [first, count] : m.columns()) {
      m.parts.push_back(nn::linear_relu_norm<T>::make(count, channels, 1, 2, init));
    }
    m.output = nn::linear_relu_norm<T>::make(channels, channels, 1, 2, init);
    return m;
  }
  std::array<std::pair<idx, idx>, 5> columns() const {
    return {{{anchor_config::position, 3},
             {anchor_config::scales, 3},
             {anchor_config::rotation, 4},
             {anchor_config::opacity, 1},
             {anchor_config::colour, colour_channels}}};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> anchors) const {
    variable<G, T, 2> sum;
    const auto cut = columns();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      auto part = parts[i](g, sqs::apply(g, nn::columns_op{cut[i].first, cut[i].second}, anchors));
      sum = i == 0 ? std::move(part) : nn::add(g, std::move(sum), std::move(part));
    }
    return output(g, std::move(sum));
  }
  SQS_MEMBERS(anchor_encoder, parts, output, colour_channels)
};

} // namespace sqs::query

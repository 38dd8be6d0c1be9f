// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One layer of the Gaussian transformer decoder, without its head: neighbours, images, feed-forward.

#include <sqs/query/cross_attention.hpp>
#include <sqs/query/query_set.hpp>
#include <sqs/query/self_encoding.hpp>

namespace sqs::query {

struct decoder_layer_config {
  idx channels = 128;
  idx hidden = 512;   ///< of the feed-forward network
  double dropout = 0; ///< in the feed-forward network, training only
  cross_attention_config attention{};
  self_encoding_config self{};
};

/// [self-encoding, norm,] deformable cross-attention, feed-forward, norm.
///
/// Shapes      content [Q, C], embedding [Q, C], anchors [Q, D] -> content [Q, C]
/// Source      GaussianFormer blocks as SQS uses them. The first layer has no self-encoding: its features are zero.
template <class T> struct decoder_layer {
  std::vector<self_encoding<T>> self; ///< none or one
  std::vector<nn::layer_norm<T>> self_norm;
  cross_attention<T> attention;
  nn::asymmetric_feed_forward<T> feed_forward;
  nn::layer_norm<T> norm;

  static decoder_layer make(const decoder_layer_config& c, bool with_self_encoding, initializer& init) {
    decoder_layer l;
    if (with_self_encoding) {
      l.self.push_back(self_encoding<T>::make(c.channels, c.self, init));
      l.self_norm.push_back(nn::layer_norm<T>::make(c.channels, init));
    }
    l.attention = cross_attention<T>::make(c.channels, c.attention, init);
    l.feed_forward = nn::asymmetric_feed_forward<T>::make(2 * c.channels, c.hidden, c.channels, c.dropout, init);
    l.norm = nn::layer_norm<T>::make(c.channels, init);
    return l;
  }
  /// `stream` addresses all random numbers of this layer in this step.
  template <graph G, int Levels>
  variable<G, T, 2> operator()(G& g, query_set<G, T> queries, variable<G, T, 2> embedding,
                               const feature_pyramid<G, T, Levels>& pyramid, const view_projections<T>& views,
                               const anchor_config& c, random_stream stream) const {
    auto content = std::move(queries.content);
    for (std::size_t i = 0; i < self.size(); ++i) {
      content = self_norm[i](g, self[i](g, std::move(content), queries.anchors.value(), c));
    }
    content = attention(g, std::move(content), std::move(embedding), std::move(queries.anchors), pyramid, views, c,
                        random_stream::of(stream.key, 0));
    return norm(g, feed_forward(g, std::move(content), random_stream::of(stream.key, 1)));
  }
  SQS_MEMBERS(decoder_layer, self, self_norm, attention, feed_forward, norm)
};

} // namespace sqs::query

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Deformable cross-attention of Gaussian queries to the feature pyramid.

#include <sqs/backbone/feature_pyramid.hpp>
#include <sqs/nn/mlp.hpp>
#include <sqs/query/deformable_aggregation.hpp>
#include <sqs/query/key_points.hpp>

namespace sqs::query {

/// How the cameras of one sample look at the reference frame, as the decoder needs it.
///
/// Shapes      projections [V, 4, 4]: reference frame (metres) to pixels of the augmented image (`lidar2img`)
template <class T> struct view_projections {
  tensor<T, 3> matrices;
  vec2<T> image_size; ///< width, height
};

struct cross_attention_config {
  using sqs_setting = void;
  idx groups = 4, levels = 4, learned_points = 2;
  double drop = 0; ///< attention weights left out in training
};

/// content -> [deformable aggregation | content], twice the channels; the residual is the concatenation.
///
/// Shapes      content, embedding [Q, C]; anchors [Q, D]; pyramid of `levels` levels -> [Q, 2 C]
template <class T> struct cross_attention {
  cross_attention_config config;
  nn::linear<T> offsets;                    ///< learned key points
  nn::linear_relu_norm<T> camera_embedding; ///< of the 12 numbers of each projection matrix
  nn::linear<T> weights;                    ///< logits of the aggregation weights
  nn::linear<T> output;

  static cross_attention make(idx channels, cross_attention_config config, initializer& init) {
    cross_attention m;
    m.config = config;
    const idx logits = config.levels * (key_points_op::fixed + config.learned_points) * config.groups;
    m.offsets = nn::linear<T>::make(channels, 3 * config.learned_points, init);
    m.offsets.weight.value =
        init.xavier<T, 2>({3 * config.learned_points, channels}, channels, 3 * config.learned_points);
    m.offsets.bias.value = init.constant<T, 1>({3 * config.learned_points}, 0);
    m.camera_embedding = nn::linear_relu_norm<T>::make(12, channels, 1, 2, init);
    m.weights = nn::linear<T>::make(channels, logits, init);
    m.weights.weight.value = init.constant<T, 2>({logits, channels}, 0); // a uniform average to begin with
    m.weights.bias.value = init.constant<T, 1>({logits}, 0);
    m.output = nn::linear<T>::make(channels, channels, init);
    m.output.weight.value = init.xavier<T, 2>({channels, channels}, channels, channels);
    m.output.bias.value = init.constant<T, 1>({channels}, 0);
    return m;
  }
  template <graph G, int Levels>
  variable<G, T, 2> operator()(G& g, variable<G, T, 2> content, variable<G, T, 2> embedding, variable<G, T, 2> anchors,
                               const feature_pyramid<G, T, Levels>& pyramid, const view_projections<T>& views,
                               const anchor_config& c, random_stream stream) const {
    expects(Levels == config.levels, "sqs::query::cross_attention: the pyramid has ", Levels,
            " levels, the configuration ", config.levels, "; make cross_attention_config.levels equal to the neck's");
    auto raw_offsets = offsets(g, content);
    auto key_points =
        sqs::apply(g, key_points_op{c, config.learned_points}, std::move(anchors), std::move(raw_offsets));
    auto point_logits = weights(g, nn::add(g, content, std::move(embedding)));
    // The same linear map on the camera embedding, without its bias: w (f + c) + b = (w f + b) + w c.
    auto cameras = camera_embedding(g, g.input(camera_numbers(g.exec(), views)));
    auto no_bias = zeros<T, 1>(g.exec(), {weights.bias.value.extent(0)});
    auto camera_logits = sqs::apply(g, nn::linear_op{}, std::move(cameras), weights.weight, no_bias);
    const deformable_aggregation_op<T> op{views.matrices, views.image_size, config.groups,
                                          g.recording() ? config.drop : 0.0, stream};
    auto seen = std::apply(
        [&](const auto&... level) {
          return sqs::apply(g, op, std::move(key_points), std::move(point_logits), std::move(camera_logits), level...);
        },
        pyramid.levels);
    seen = output(g, std::move(seen));
    return sqs::apply(g, nn::concatenate_op{}, std::move(seen), std::move(content));
  }
  SQS_MEMBERS(cross_attention, config, offsets, camera_embedding, weights, output)

private:
  static tensor<T, 2> camera_numbers(cpu& e, const view_projections<T>& views) {
    auto x = empty<T, 2>(e, {views.matrices.extent(0), 12});
    for (idx v = 0; v < x.extent(0); ++v) { std::copy_n(&views.matrices(v, 0, 0), 12, &x(v, 0)); }
    return x;
  }
};

} // namespace sqs::query

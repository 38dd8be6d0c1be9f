// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// SQS: sparse queries become 3D Gaussians, Gaussians become images and depth (arXiv 2509.16588).
///
///   images -> backbone -> neck -> [encode anchors -> decoder layer -> head] x layers -> decode -> rasterize
///
/// Each arrow is one line of `model::sqs::operator()`.

#include <sqs/backbone/fpn.hpp>
#include <sqs/backbone/resnet.hpp>
#include <sqs/gaussian/head.hpp>
#include <sqs/query/anchor_encoder.hpp>
#include <sqs/query/anchor_init.hpp>
#include <sqs/query/decoder_layer.hpp>
#include <sqs/sensor/rig.hpp>
#include <sqs/splat/rasterize.hpp>

namespace sqs::model {

/// The paper's sizes, and GaussianFormer's where the paper is silent. Derive and override what differs.
struct sqs_policy {
  using scalar = float;
  template <class T> using norm = nn::frozen_batch_norm<T>;
  static constexpr backbone::resnet_config backbone{.kind = backbone::residual_kind::bottleneck,
                                                    .blocks = {3, 4, 23, 3},
                                                    .stride = backbone::stride_placement::in_first_1x1,
                                                    .frozen_stages = 1,
                                                    .frozen_norms = true};
  static constexpr backbone::fpn_config neck{.start_level = 0, .levels = 4, .channels = 128};
  static constexpr idx queries = 25600;
  static constexpr int layers = 2;
  static constexpr query::anchor_config anchor{};
  static constexpr query::anchor_placement placement = query::anchor_placement::uniform;
  static constexpr query::decoder_layer_config decoder{
      .channels = 128, .hidden = 512, .dropout = 0.1, .attention = {.drop = 0.15}};
  static constexpr splat::raster_config raster{};
  static constexpr bool learned_background = false; ///< one colour per view; black otherwise
  static constexpr idx views = 6;
};

/// The Gaussians of one sample on a graph, as the rasterizer takes them.
template <class G, class T> struct gaussian_variables {
  variable<G, T, 2> means, scales, rotations;
  variable<G, T, 1> opacities;
  variable<G, T, 2> colours;
};
/// What the rasterizer made of them. image [V, H, W, C], depth and transmittance [V, H, W].
template <class G, class T> struct rendered_variables {
  variable<G, T, 4> image;
  variable<G, T, 3> depth, transmittance;
};

/// The SQS pre-training model.
template <class Policy> struct sqs {
  using policy = Policy;
  using T = typename Policy::scalar;
  using backbone_type = ::sqs::backbone::resnet<T, Policy::template norm, Policy::backbone>;
  using neck_type = ::sqs::backbone::fpn<T, Policy::neck>;
  using layer_type = query::decoder_layer<T>;

  backbone_type backbone;
  neck_type neck;
  parameter<T, 2> anchors;
  query::anchor_encoder<T> encoder;
  std::vector<layer_type> layers;
  std::vector<gaussian::head<T>> heads;
  parameter<T, 2> background;

  /// A model with initial values that depend on `seed` alone.
  static sqs make(std::uint64_t seed) {
    static_assert(Policy::neck.channels == Policy::decoder.channels,
                  "sqs::model::sqs: the neck's channels and the decoder's channels must be equal");
    static_assert(Policy::neck.levels == Policy::decoder.attention.levels,
                  "sqs::model::sqs: the neck's levels and the attention's levels must be equal");
    initializer init(seed);
    sqs m;
    m.backbone = backbone_type::make(init);
    m.neck = neck_type::make(Policy::backbone, init);
    m.anchors.value = query::initial_anchors<T>(Policy::anchor, Policy::queries, Policy::placement, init);
    m.encoder = query::anchor_encoder<T>::make(Policy::anchor, Policy::decoder.channels, init);
    for (int l = 0; l < Policy::layers; ++l) {
      m.layers.push_back(
          layer_type::make(Policy::decoder, l > 0, init)); // the first layer's features are zero: nothing to convolve
      m.heads.push_back(gaussian::head<T>::make(Policy::anchor, Policy::decoder.channels, init));
    }
    m.background.value =
        init.constant<T, 2>({Policy::views, Policy::anchor.colour_channels}, Policy::learned_background ? 0.5 : 0.0);
    m.background.trainable = Policy::learned_background;
    return m;
  }

  /// Images become features.
  template <graph G> feature_pyramid<G, T, Policy::neck.levels> look(G& g, variable<G, T, 4> images) const {
    g.stage("backbone");
    auto levels = backbone(g, std::move(images));
    g.stage("neck");
    return neck(g, std::move(levels));
  }
  /// Queries look at features and become anchors of Gaussians. `stream` addresses the step's random numbers.
  template <graph G> query_set<G, T> decode_queries(G& g, const feature_pyramid<G, T, Policy::neck.levels>& pyramid,
                                                    const query::view_projections<T>& views,
                                                    random_stream stream) const {
    g.stage("query");
    query_set<G, T> q{g.input(zeros<T, 2>(g.exec(), {Policy::queries, Policy::decoder.channels})),
                      ::sqs::apply(g, nn::columns_op{0, Policy::anchor.width()}, anchors)};
    auto embedding = encoder(g, q.anchors);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      q.content = layers[l](g, q, embedding, pyramid, views, Policy::anchor, random_stream::of(stream.key, l));
      q.anchors = heads[l](g, q.content, std::move(embedding), std::move(q.anchors), Policy::anchor);
      if (l + 1 < layers.size()) { embedding = encoder(g, q.anchors); }
    }
    return q;
  }
  /// Queries become Gaussians.
  template <graph G> gaussian_variables<G, T> to_gaussians(G& g, variable<G, T, 2> raw_anchors) const {
    g.stage("gaussian");
    auto [means, scales, rotations, opacities, colours] =
        ::sqs::apply(g, gaussian::decode_op{Policy::anchor}, std::move(raw_anchors));
    return {std::move(means), std::move(scales), std::move(rotations), std::move(opacities), std::move(colours)};
  }
  /// Gaussians become images.
  template <graph G> rendered_variables<G, T> render(G& g, gaussian_variables<G, T> s, const camera_rig<T>& rig) const {
    g.stage("splat");
    auto [image, depth, transmittance] =
        ::sqs::apply(g, splat::rasterizer<Policy::raster>{}, std::move(s.means), std::move(s.scales),
                     std::move(s.rotations), std::move(s.opacities), std::move(s.colours), background, rig);
    return {std::move(image), std::move(depth), std::move(transmittance)};
  }
  /// From images to images.
  ///
  /// Shapes      images [V, H, W, 3] normalised; `views` and `rig` describe the same V cameras
  template <graph G> rendered_variables<G, T> operator()(G& g, variable<G, T, 4> images,
                                                         const query::view_projections<T>& views,
                                                         const camera_rig<T>& rig, random_stream stream = {}) const {
    const auto pyramid = look(g, std::move(images));
    auto queries = decode_queries(g, pyramid, views, stream);
    return render(g, to_gaussians(g, std::move(queries.anchors)), rig);
  }
  SQS_MEMBERS(sqs, backbone, neck, anchors, encoder, layers, heads, background)
};

} // namespace sqs::model

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The feature pyramid network (Lin et al. 2017).

#include <sqs/backbone/feature_pyramid.hpp>
#include <sqs/nn/conv2d.hpp>
#include <sqs/nn/resample.hpp>

namespace sqs::backbone {

struct fpn_config {
  int start_level = 0; ///< first backbone level used (0: stride 4)
  int levels = 4; ///< output levels; those beyond the backbone's come from stride-2 convolutions of the last output
  idx channels = 128;
};

/// Lateral 1x1, top-down nearest upsampling to the exact size and addition, then a 3x3 on every level.
///
/// Shapes      backbone levels [V, h, w, C_l] -> Config.levels levels of Config.channels channels
template <class T, fpn_config Config> struct fpn {
  static constexpr fpn_config config = Config;
  static constexpr int level_count = Config.levels;
  static constexpr int used = 4 - Config.start_level < Config.levels ? 4 - Config.start_level : Config.levels;
  std::vector<nn::conv2d<T>> lateral, output, extra;

  template <class BackboneConfig> static fpn make(const BackboneConfig& backbone, initializer& init) {
    fpn f;
    for (int l = 0; l < used; ++l) {
      f.lateral.push_back(
          nn::conv2d<T>::make(backbone.channels(Config.start_level + l), Config.channels, {1, 1, 0}, true, init));
      f.output.push_back(nn::conv2d<T>::make(Config.channels, Config.channels, {3, 1, 1}, true, init));
    }
    for (int l = used; l < Config.levels; ++l) {
      f.extra.push_back(nn::conv2d<T>::make(Config.channels, Config.channels, {3, 2, 1}, true, init));
    }
    return f;
  }
  template <graph G> feature_pyramid<G, T, Config.levels> operator()(G& g, feature_pyramid<G, T, 4> in) const {
    feature_pyramid<G, T, Config.levels> out;
    for (std::size_t l = 0; l < used; ++l) {
      out.levels[l] = lateral[l](g, std::move(in.levels[l + Config.start_level]));
    }
    for (std::size_t l = used - 1; l > 0; --l) {
      out.levels[l - 1] = sqs::apply(g, nn::upsample_add_op{}, std::move(out.levels[l - 1]), out.levels[l]);
    }
    for (std::size_t l = 0; l < used; ++l) { out.levels[l] = output[l](g, std::move(out.levels[l])); }
    for (std::size_t l = used; l < Config.levels; ++l) { out.levels[l] = extra[l - used](g, out.levels[l - 1]); }
    return out;
  }
  SQS_MEMBERS(fpn, lateral, output, extra)
};

} // namespace sqs::backbone

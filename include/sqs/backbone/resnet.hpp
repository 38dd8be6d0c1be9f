// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Residual networks (He et al. 2016), 18 to 101 layers by configuration, with the norm as a policy.

#include <sqs/backbone/feature_pyramid.hpp>
#include <sqs/nn/activation.hpp>
#include <sqs/nn/conv2d.hpp>
#include <sqs/nn/normalization.hpp>
#include <sqs/nn/resample.hpp>

namespace sqs::backbone {

/// Two 3x3 convolutions, or 1x1 - 3x3 - 1x1 with four times the width at the end.
enum class residual_kind { basic, bottleneck };
/// Where a bottleneck's stride stands: in the 3x3 (torchvision) or in the first 1x1 (Caffe, FCOS3D weights).
enum class stride_placement { in_3x3, in_first_1x1 };

struct resnet_config {
  residual_kind kind = residual_kind::basic;
  std::array<int, 4> blocks{2, 2, 2, 2};
  int width = 64; ///< channels of the stem and the first stage
  stride_placement stride = stride_placement::in_3x3;
  int frozen_stages = -1; ///< 0: the stem; 1: stem and first stage; ...; -1: none
  bool frozen_norms = false;

  constexpr int expansion() const { return kind == residual_kind::basic ? 1 : 4; }
  /// Channels of the output of stage 0..3.
  constexpr idx channels(int stage) const { return static_cast<idx>(width << stage) * expansion(); }
};
inline constexpr resnet_config resnet_10{.blocks = {1, 1, 1, 1}};
inline constexpr resnet_config resnet_18{};
inline constexpr resnet_config resnet_50{.kind = residual_kind::bottleneck, .blocks = {3, 4, 6, 3}};
inline constexpr resnet_config resnet_101{.kind = residual_kind::bottleneck, .blocks = {3, 4, 23, 3}};

/// A convolution and its norm.
template <class T, template <class> class Norm> struct conv_norm {
  nn::conv2d<T> conv;
  Norm<T> norm;
  static conv_norm make(idx in, idx out, nn::conv2d_geometry geometry, initializer& init) {
    return {nn::conv2d<T>::make(in, out, geometry, false, init), Norm<T>::make(out, init)};
  }
  template <graph G> variable<G, T, 4> operator()(G& g, variable<G, T, 4> x) const {
    return norm(g, conv(g, std::move(x)));
  }
  SQS_MEMBERS(conv_norm, conv, norm)
};

/// relu(body(x) + shortcut(x)). `shortcut` is empty where the shape does not change.
template <class T, template <class> class Norm> struct residual_block {
  std::vector<conv_norm<T, Norm>> body;
  std::vector<conv_norm<T, Norm>> shortcut;

  static residual_block make(const resnet_config& c, idx in, idx width, idx stride, initializer& init) {
    using part = conv_norm<T, Norm>;
    residual_block b;
    if (c.kind == residual_kind::basic) {
      b.body.push_back(part::make(in, width, {3, stride, 1}, init));
      b.body.push_back(part::make(width, width, {3, 1, 1}, init));
    } else {
      const bool early = c.stride == stride_placement::in_first_1x1;
      b.body.push_back(part::make(in, width, {1, early ? stride : 1, 0}, init));
      b.body.push_back(part::make(width, width, {3, early ? 1 : stride, 1}, init));
      b.body.push_back(part::make(width, width * c.expansion(), {1, 1, 0}, init));
    }
    if (stride != 1 || in != width * c.expansion()) {
      b.shortcut.push_back(part::make(in, width * c.expansion(), {1, stride, 0}, init));
    }
    return b;
  }
  template <graph G> variable<G, T, 4> operator()(G& g, variable<G, T, 4> x) const {
    auto h = body[0](g, x);
    for (std::size_t i = 1; i < body.size(); ++i) {
      h = nn::relu(g, std::move(h));
      h = body[i](g, std::move(h));
    }
    if (!shortcut.empty()) { x = shortcut[0](g, std::move(x)); }
    return nn::relu(g, nn::add(g, std::move(x), std::move(h)));
  }
  SQS_MEMBERS(residual_block, body, shortcut)
};

/// A residual network: images to four feature levels of strides 4, 8, 16, 32.
///
/// Shapes      images [V, H, W, 3] (normalised) -> levels [V, H/s, W/s, Config.channels(stage)]
/// Source      He et al., Deep Residual Learning for Image Recognition, 2016.
template <class T, template <class> class Norm, resnet_config Config> struct resnet {
  static constexpr resnet_config config = Config;
  static constexpr int level_count = 4;
  conv_norm<T, Norm> stem;
  std::array<std::vector<residual_block<T, Norm>>, 4> stages;

  static resnet make(initializer& init) {
    resnet r;
    r.stem = conv_norm<T, Norm>::make(3, Config.width, {7, 2, 3}, init);
    idx in = Config.width;
    for (int s = 0; s < 4; ++s) {
      for (int b = 0; b < Config.blocks[static_cast<std::size_t>(s)]; ++b) {
        const idx stride = s > 0 && b == 0 ? 2 : 1;
        r.stages[static_cast<std::size_t>(s)].push_back(
            residual_block<T, Norm>::make(Config, in, static_cast<idx>(Config.width) << s, stride, init));
        in = Config.channels(s);
      }
    }
    r.freeze();
    return r;
  }
  template <graph G> feature_pyramid<G, T, 4> operator()(G& g, variable<G, T, 4> images) const {
    expects(images.extent(3) == 3, "sqs::resnet: images have ", images.extent(3),
            " channels; give channels-last RGB images [V, H, W, 3]");
    auto x = nn::relu(g, stem(g, std::move(images)));
    x = sqs::apply(g, nn::max_pool_op{}, std::move(x));
    feature_pyramid<G, T, 4> out;
    for (std::size_t s = 0; s < 4; ++s) {
      for (const auto& block : stages[s]) { x = block(g, std::move(x)); }
      out.levels[s] = x;
    }
    return out;
  }
  SQS_MEMBERS(resnet, stem, stages)

private:
  void freeze() {
    const auto stop = [](const std::string&, auto& p) { p.trainable = false; };
    if (Config.frozen_stages >= 0) { for_each_parameter(stem, stop); }
    for (int s = 0; s < Config.frozen_stages; ++s) {
      for (auto& block : stages[static_cast<std::size_t>(s)]) { for_each_parameter(block, stop); }
    }
    if constexpr (Config.frozen_norms) {
      for_each_parameter(*this, [](const std::string& name, auto& p) {
        if (name.find(".norm.") != std::string::npos) { p.trainable = false; }
      });
    }
  }
};

} // namespace sqs::backbone

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The policies of the pre-training pipeline: which model, which loss weights, which schedule. Derive and override.

#include <sqs/model/sqs.hpp>

namespace sqs::pipeline {

/// Numbers of a training run. The defaults are the paper's.
struct training_settings {
  std::int64_t steps = 70320; ///< 20 epochs of 28 130 key frames, batch 8
  std::int64_t warmup = 500;
  double rate = 2e-4;          ///< peak learning rate of AdamW
  double final_fraction = 0.1; ///< of the peak, at the end of the cosine
  double anchor_rate = 1;      ///< multiplies the rate of the anchors
  double backbone_rate = 0.1;  ///< multiplies the rate of the backbone
  double weight_decay = 0.01;
  double clip = 35; ///< largest norm of all gradients
  double rgb_weight = 1, depth_weight = 0.05;
  bool flip = true; ///< mirror the images (and their cameras) of every other step, by chance
};

/// The paper's model and schedule.
struct base : model::sqs_policy {
  static constexpr const char* name = "base";
  static constexpr int height = 864, width = 1600;
  static constexpr training_settings training{};
};

/// A model for two cores: 3 200 Gaussians, a ten-layer backbone of width 16, images of 176 x 320.
///
/// Group norm, because nothing is pre-trained; wide geometric scales, because few Gaussians cover a street; anchors
/// dense near the vehicle and half transparent, because near Gaussians would block the view; a learned background,
/// because no Gaussian can stand in the sky.
struct small : model::sqs_policy {
  static constexpr const char* name = "small";
  static constexpr int height = 176, width = 320;
  template <class T> using norm = nn::group_norm<T>;
  static constexpr backbone::resnet_config backbone{.blocks = {1, 1, 1, 1}, .width = 16};
  static constexpr backbone::fpn_config neck{.start_level = 0, .levels = 4, .channels = 64};
  static constexpr idx queries = 3200;
  static constexpr query::anchor_config anchor{
      .scale_min = 0.05, .scale_max = 3, .scale = query::scale_map::geometric, .initial_opacity_logit = -2};
  static constexpr query::anchor_placement placement = query::anchor_placement::polar;
  static constexpr query::decoder_layer_config decoder{.channels = 64, .hidden = 256};
  static constexpr bool learned_background = true;
  static constexpr training_settings training{
      .steps = 400, .warmup = 20, .rate = 2e-3, .anchor_rate = 10, .backbone_rate = 1, .flip = false};
};

} // namespace sqs::pipeline

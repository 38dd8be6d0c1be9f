// SPDX-License-Identifier: Apache-2.0
#pragma once
// The whole SQS model in sizes a gradient check can afford, and a made-up sample for it.

#include "../support/check.hpp"

#include <sqs/pipeline/pretrain.hpp>

namespace sqs::test {

/// Every block of the real model, with two views and a dozen Gaussians. The low cut lets differences see what the
/// analytic gradient sees (a footprint that grows adds pixels at alpha = cut).
template <class Scalar> struct tiny_policy : pipeline::small {
  using scalar = Scalar;
  static constexpr const char* name = "tiny";
  static constexpr backbone::resnet_config backbone{.blocks = {1, 1, 1, 1}, .width = 8};
  static constexpr backbone::fpn_config neck{.start_level = 0, .levels = 4, .channels = 8};
  static constexpr idx queries = 12, views = 2;
  static constexpr query::anchor_config anchor{.low = {-8, 1, -3},
                                               .high = {8, 9, 3},
                                               .scale_min = 0.3,
                                               .scale_max = 2,
                                               .scale = query::scale_map::geometric,
                                               .initial_opacity_logit = -1};
  static constexpr query::anchor_placement placement = query::anchor_placement::uniform;
  static constexpr query::decoder_layer_config decoder{
      .channels = 8, .hidden = 16, .attention = {.groups = 2}, .self = {.voxel = 2, .kernel = 3}};
  static constexpr splat::raster_config raster{.alpha_cut = {1, 10000000}, .stop = {0, 1}};
  static constexpr pipeline::training_settings training{.steps = 12, .warmup = 2, .rate = 1e-3, .backbone_rate = 1};
};

/// Two cameras that look along +y with a little yaw between them, random images and depths.
template <class T> pipeline::prepared_sample<T> made_up_sample(std::uint64_t seed, idx height = 32, idx width = 48) {
  const auto cast = [](const auto& t) { return persistent_copy<T>(t); };
  pipeline::prepared_sample<T> s;
  s.images = cast(random<4>({2, height, width, 3}, seed));
  s.rgb = cast(random<4>({2, height, width, 3}, seed + 1, 0.2));
  s.depth = make_tensor<T, 3>({2, height, width});
  const auto draw = random_stream::of(seed, 3);
  for (T& v : s.rgb) { v = std::clamp(v + T(0.5), T(0), T(1)); }
  for (idx i = 0; i < s.depth.size(); ++i) {
    s.depth.data()[i] = draw.uniform(2 * i) < 0.3 ? static_cast<T>(draw.uniform(2 * i + 1, 2, 9)) : T(0);
  }
  s.views.matrices = make_tensor<T, 3>({2, 4, 4});
  s.views.image_size = {static_cast<T>(width), static_cast<T>(height)};
  for (idx v = 0; v < 2; ++v) {
    const pinhole_camera<double> c{30,
                                   30,
                                   static_cast<double>(width) / 2,
                                   static_cast<double>(height) / 2,
                                   static_cast<int>(width),
                                   static_cast<int>(height)};
    const se3<double> look{{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {0.1 * static_cast<double>(v), 0.2, 0.3}};
    const se3<double> pose = look * yaw_rotation(v == 0 ? 0.1 : -0.2);
    const auto m = mat4<T>(projection_matrix(c, pose));
    std::copy_n(m.a, 16, &s.views.matrices(v, 0, 0));
    s.rig.add(pinhole_camera<T>(c), se3<T>(pose));
  }
  return s;
}

} // namespace sqs::test

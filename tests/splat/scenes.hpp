// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Scenes the rasterizer's tests share: random but always the same.

#include <sqs/core/random.hpp>
#include <sqs/splat/rasterize.hpp>

namespace scenes {

using namespace sqs;

/// Everything `rasterizer::forward` takes.
template <class T> struct inputs {
  splat::scene<T> s;
  tensor<T, 2> background;
  camera_rig<T> rig;

  template <class Rasterizer, class E> auto forward(const Rasterizer& r, E& e) const {
    return r.forward(e, s.means, s.scales, s.rotations, s.opacities, s.colours, background, rig);
  }
};

template <class U, class T> inputs<U> in_scalar(const inputs<T>& x) {
  return {{persistent_copy<U>(x.s.means), persistent_copy<U>(x.s.scales), persistent_copy<U>(x.s.rotations),
           persistent_copy<U>(x.s.opacities), persistent_copy<U>(x.s.colours)},
          persistent_copy<U>(x.background),
          camera_rig<U>(x.rig)};
}

/// A scene of n Gaussians without cameras: nothing is set.
template <class T> inputs<T> blank(idx n, idx channels, idx views) {
  inputs<T> in{{make_tensor<T, 2>({n, 3}), make_tensor<T, 2>({n, 3}), make_tensor<T, 2>({n, 4}), make_tensor<T, 1>({n}),
                make_tensor<T, 2>({n, channels})},
               make_tensor<T, 2>({views, channels}),
               {}};
  for (idx g = 0; g < n; ++g) { in.s.rotations(g, 0) = T(1); }
  return in;
}

/// How `random` draws.
struct recipe {
  idx gaussians = 12;
  int height = 17, width = 33;
  double least_opacity = 0.05, most_opacity = 0.9;
  double least_scale = 0.05, most_scale = 0.6;
  double spread = 1; ///< 1 fills the view, more puts centres outside it
  idx channels = 3;
  std::uint64_t seed = 1;
};

/// Two views: one with an off-centre principal point, one turned by 0.4 rad, shifted, and flipped (fx < 0).
inline camera_rig<double> two_views(int height, int width) {
  const double f = 0.8 * width;
  const se3<double> turn = make_se3(quaternion<double>{std::cos(0.2), 0.05, std::sin(0.2), 0.02}, {0.4, -0.2, 0.3});
  return {{{f, 1.1 * f, 0.4 * width, 0.6 * height, width, height}, se3<double>{}},
          {{-0.9 * f, f, 0.55 * width, 0.5 * height, width, height}, turn}};
}

/// Gaussians in front of `two_views`, quaternions of length 0.5 to 2.
inline inputs<double> random(const recipe& r) {
  auto in = blank<double>(r.gaussians, r.channels, 2);
  const auto draw = random_stream::of(r.seed, 3);
  idx i = 0;
  const auto next = [&](double low, double high) { return draw.uniform(i++, low, high); };
  for (idx g = 0; g < r.gaussians; ++g) {
    const double z = next(2, 9);
    in.s.means(g, 0) = r.spread * next(-0.6, 0.6) * z;
    in.s.means(g, 1) = r.spread * next(-0.3, 0.3) * z;
    in.s.means(g, 2) = z;
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = next(r.least_scale, r.most_scale); }
    double length = 0;
    for (idx k = 0; k < 4; ++k) {
      in.s.rotations(g, k) = draw.normal(1000000 + 4 * g + k);
      length += in.s.rotations(g, k) * in.s.rotations(g, k);
    }
    const double wanted = next(0.5, 2);
    for (idx k = 0; k < 4; ++k) { in.s.rotations(g, k) *= wanted / std::sqrt(length); }
    in.s.opacities(g) = next(r.least_opacity, r.most_opacity);
    for (idx k = 0; k < r.channels; ++k) { in.s.colours(g, k) = next(0, 1); }
  }
  for (double& b : in.background) { b = next(0, 1); }
  in.rig = two_views(r.height, r.width);
  return in;
}

} // namespace scenes

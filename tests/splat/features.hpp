// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the tests of the rasterizer's features share: comparison with the oracle, bits, gradients by name, rigs of every
/// camera model.

#include "../support/same_bits.hpp"
#include "oracle.hpp"
#include "scenes.hpp"

#include <sqs/autodiff/check_gradient.hpp>

#include <gtest/gtest.h>

namespace features {

using namespace sqs;

using sqs::test::same_bits;
template <class Tuple> bool same_bits_in_all(const Tuple& a, const Tuple& b) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return (same_bits(std::get<I>(a), std::get<I>(b)) && ...); }
  (std::make_index_sequence<std::tuple_size_v<Tuple>>{});
}

/// The depth the oracle has for a configuration, interleaved as the library has it.
template <splat::raster_config Config, class T> std::vector<T> depth_of(const oracle::picture<T>& p) {
  using k = splat::raster_constants<Config, T>;
  std::vector<T> out;
  for (std::size_t i = 0; i < p.transmittance.size(); ++i) {
    if (k::accumulated) { out.push_back(p.depth[i]); }
    if (k::expected) { out.push_back(p.expected[i]); }
    if (k::inverse) { out.push_back(p.inverse[i]); }
    if (k::median) { out.push_back(p.median[i]); }
  }
  return out;
}

template <class T, class Tensor> double worst_difference(const std::vector<T>& expected, const Tensor& x) {
  EXPECT_EQ(static_cast<idx>(expected.size()), x.size());
  double worst = 0;
  for (idx i = 0; i < std::min(x.size(), static_cast<idx>(expected.size())); ++i) {
    const double gap = std::abs(double(x.data()[i]) - double(expected[static_cast<std::size_t>(i)]));
    worst = gap <= worst ? worst : gap; // NaN stays
  }
  return worst;
}

template <splat::raster_config Config>
auto render(cpu& e, const scenes::inputs<double>& in, const splat::raster_options<double>& options = {}) {
  return splat::rasterizer<Config>{}.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities, in.s.colours,
                                             in.background, in.rig, options);
}

/// Image, depth and transmittance equal the oracle's.
template <splat::raster_config Config> void expect_like_oracle(const scenes::inputs<double>& in,
                                                               const oracle::numbers& k,
                                                               const splat::raster_options<double>& options = {}) {
  cpu e{.threads = 2};
  const auto r = render<Config>(e, in, options);
  const auto expected = oracle::render(k, in.s, in.background, in.rig);
  const auto& [image, depth, t] = r.value;
  EXPECT_LE(worst_difference(expected.image, image), 1e-11);
  EXPECT_LE(worst_difference(depth_of<Config>(expected), depth), 1e-9);
  EXPECT_LE(worst_difference(expected.transmittance, t), 1e-11);
  EXPECT_GT(r.saved.counts.visible, 0);
  EXPECT_EQ(r.saved.counts.degenerate, 0);
}

/// A gradient of the outputs that is nowhere zero.
template <class E, class Value> auto some_gradient(E& e, const Value& value) {
  int stream = 0;
  const auto one = [&](const auto& x) {
    using type = std::remove_cvref_t<decltype(x)>;
    using number = std::remove_cvref_t<decltype(*x.data())>;
    auto d = empty<number, type::rank>(e, x.shape());
    const auto draw = random_stream::of(77, ++stream);
    for (idx i = 0; i < d.size(); ++i) { d.data()[i] = static_cast<number>(draw.uniform(i, -1, 1)); }
    return d;
  };
  return std::apply([&](const auto&... x) { return std::tuple{one(x)...}; }, value);
}
/// All gradients for `some_gradient`.
template <class Op, class Result> auto backward_of(cpu& e, const Op& op, const Result& r) {
  return std::apply([&](const auto&... d) { return op.backward(e, r.saved, d...); }, some_gradient(e, r.value));
}

/// Every gradient against central differences; with `cameras`, poses and intrinsics too. Per input the worst relative
/// error is at most 1e-7; at least `share` of the elements must have a gradient at all. The fade of the cut has two
/// derivatives and the quotient wants four: a wide fade keeps what is lost there below the bound.
template <splat::raster_config Config>
void expect_gradients(scenes::inputs<double> in, gradient_check check = {.step = 1e-4}, double share = 0.6,
                      bool cameras = false, const splat::raster_options<double>& options = {}) {
  cpu e{.threads = 2};
  auto& s = in.s;
  const splat::rasterizer<Config> op;
  gradient_report report;
  if (cameras) {
    auto poses = persistent_copy<double>(splat::camera_poses(e, in.rig)),
         intrinsics = persistent_copy<double>(splat::camera_intrinsics(e, in.rig));
    report = check_gradient(e, op, check, s.means, s.scales, s.rotations, s.opacities, s.colours, in.background, poses,
                            intrinsics, in.rig, options);
  } else {
    report = check_gradient(e, op, check, s.means, s.scales, s.rotations, s.opacities, s.colours, in.background, in.rig,
                            options);
  }
  std::cout << "worst " << report.worst << " at " << report.where << " (" << report.analytic << ", " << report.numeric
            << "), " << report.nonzero << " of " << report.checked << " not zero\n";
  EXPECT_LE(report.worst, 1e-7) << report.where;
  EXPECT_GE(static_cast<double>(report.nonzero), share * static_cast<double>(report.checked));
}

/// A camera of each model, all of one size, around the Gaussians of `scenes::random`.
inline any_camera<double> camera_of(camera_model model, int height, int width) {
  const double w = width, h = height;
  any_camera<double> c{0.8 * w, 0.85 * w, 0.45 * w, 0.55 * h, width, height, model, {}};
  if (model == camera_model::opencv) { c.distortion = {-.2, .05, 2e-3, -1e-3, .01, .03, -.01, .002}; }
  if (model == camera_model::fisheye) { c.distortion = {-.03, .01, -.004, .0007, 0, 0, 0, 0}; }
  if (model == camera_model::orthographic) { c.fx = 0.12 * w, c.fy = -0.13 * w; }
  return c;
}
inline se3<double> pose_of(int i) {
  return make_se3(quaternion<double>{1, 0.03 * i, 0.05 * i, -0.02 * i}, {0.2 * i, -0.1 * i, 0.15 * i});
}

} // namespace features

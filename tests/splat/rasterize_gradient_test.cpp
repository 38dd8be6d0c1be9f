// SPDX-License-Identifier: Apache-2.0
// The rasterizer against its oracle, in value and in gradient, in double and in float.

#include "oracle.hpp"
#include "scenes.hpp"

#include <sqs/autodiff/check_gradient.hpp>

#include <gtest/gtest.h>

namespace rasterize_gradient_test {

using namespace sqs;

// A low cut: at 1/255 the footprint's edge biases difference quotients by percents although the gradient is right.
constexpr splat::raster_config smooth{.alpha_cut = {1, 1000000000000000}, .stop = {0, 1}};
constexpr splat::raster_config smooth_transposed{
    .alpha_cut = {1, 1000000000000000}, .stop = {0, 1}, .convention = covariance_convention::rt_s2_r};

oracle::numbers smooth_numbers(bool transposed = false) {
  return {.alpha_cut = 1e-15, .stop = 0, .transposed = transposed};
}

template <class T, class Tensor> double worst_difference(const std::vector<T>& expected, const Tensor& x) {
  EXPECT_EQ(static_cast<idx>(expected.size()), x.size());
  double worst = 0;
  for (idx i = 0; i < x.size(); ++i) {
    worst = std::max(
        worst, std::abs(static_cast<double>(x.data()[i]) - static_cast<double>(expected[static_cast<std::size_t>(i)])));
  }
  return worst;
}

template <splat::raster_config Config>
void expect_like_oracle(const scenes::inputs<double>& in, const oracle::numbers& k) {
  cpu e{.threads = 2};
  const auto r = in.forward(splat::rasterizer<Config>{}, e);
  const auto expected = oracle::render(k, in.s, in.background, in.rig);
  const auto& [image, depth, t] = r.value;
  EXPECT_LE(worst_difference(expected.image, image), 1e-11);
  EXPECT_LE(worst_difference(expected.depth, depth), 1e-10);
  EXPECT_LE(worst_difference(expected.transmittance, t), 1e-11);
}

TEST(rasterizer, equals_the_oracle_smooth) {
  expect_like_oracle<smooth>(scenes::random({.gaussians = 40}), smooth_numbers());
}
TEST(rasterizer, equals_the_oracle_with_cut_cap_and_stop) {
  const auto in = scenes::random({.gaussians = 400, .height = 50, .width = 70, .most_opacity = 1.0, .seed = 5});
  expect_like_oracle<splat::raster_config{}>(in, {});
  expect_like_oracle<splat::raster_config{.rule = splat::stop_rule::inclusive}>(in, {.exclusive = false});
}
TEST(rasterizer, equals_the_oracle_for_tiles_of_8_and_32) {
  const auto in = scenes::random({.gaussians = 60, .height = 33, .width = 47, .seed = 6});
  expect_like_oracle<splat::raster_config{.tile = 8}>(in, {});
  expect_like_oracle<splat::raster_config{.tile = 32}>(in, {});
}
TEST(rasterizer, equals_the_oracle_with_centres_outside_the_image) {
  expect_like_oracle<smooth>(scenes::random({.gaussians = 60, .most_scale = 2, .spread = 3, .seed = 7}),
                             smooth_numbers());
}
TEST(rasterizer, equals_the_oracle_under_the_transposed_convention) {
  const auto in = scenes::random({.gaussians = 20, .seed = 8});
  expect_like_oracle<smooth_transposed>(in, smooth_numbers(true));
}
TEST(rasterizer, equals_the_oracle_with_one_channel_and_with_seven) {
  expect_like_oracle<splat::raster_config{.channels = 1}>(scenes::random({.channels = 1}), {});
  expect_like_oracle<splat::raster_config{.channels = 7}>(scenes::random({.channels = 7}), {});
}

template <splat::raster_config Config>
void expect_gradient(scenes::inputs<double> in, double bound, double step = 5e-4) {
  cpu e{.threads = 2};
  auto& s = in.s;
  const auto report = check_gradient(e, splat::rasterizer<Config>{}, gradient_check{.step = step}, s.means, s.scales,
                                     s.rotations, s.opacities, s.colours, in.background, in.rig);
  std::cout << "worst " << report.worst << " at " << report.where << " (" << report.analytic << ", " << report.numeric
            << "), " << report.nonzero << " of " << report.checked << " not zero\n";
  EXPECT_LE(report.worst, bound);
  EXPECT_GE(report.nonzero, report.checked * 9 / 10);
}

TEST(rasterizer_gradient, of_every_input) { expect_gradient<smooth>(scenes::random({}), 1e-7); }
TEST(rasterizer_gradient, of_centres_outside_where_the_jacobian_is_clamped) {
  expect_gradient<smooth>(
      scenes::random({.gaussians = 8, .least_scale = 0.8, .most_scale = 2, .spread = 2.5, .seed = 9}), 1e-7,
      2e-3); // centres hundreds of pixels away: a small step drowns in their rounding
}
TEST(rasterizer_gradient, under_the_transposed_convention) {
  expect_gradient<smooth_transposed>(scenes::random({.gaussians = 6, .seed = 10}), 1e-7);
}
TEST(rasterizer_gradient, of_seven_channels_and_tiles_of_8) {
  constexpr splat::raster_config config{.channels = 7, .tile = 8, .alpha_cut = {1, 1000000000000000}, .stop = {0, 1}};
  expect_gradient<config>(scenes::random({.gaussians = 6, .channels = 7, .seed = 11}), 1e-7);
}

// The same gradients from the oracle's difference quotients: forward and backward of the library could share an error.
TEST(rasterizer_gradient, equals_differences_of_the_oracle) {
  auto in = scenes::random({.gaussians = 6, .height = 9, .width = 18, .seed = 12});
  cpu e{.threads = 1};
  const splat::rasterizer<smooth> op;
  const auto r = in.forward(op, e);
  const gradient_check check{.step = 2e-5};
  const auto d = sqs::detail::projection_gradient(e, r.value, check);
  const auto gradients = op.backward(e, r.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  const auto loss = [&] {
    const auto p = oracle::render(smooth_numbers(), in.s, in.background, in.rig);
    double sum = 0;
    for (idx i = 0; i < std::get<0>(d).size(); ++i) {
      sum += std::get<0>(d).data()[i] * p.image[static_cast<std::size_t>(i)];
    }
    for (idx i = 0; i < std::get<1>(d).size(); ++i) {
      sum += std::get<1>(d).data()[i] * p.depth[static_cast<std::size_t>(i)] +
             std::get<2>(d).data()[i] * p.transmittance[static_cast<std::size_t>(i)];
    }
    return sum;
  };
  gradient_report report;
  const auto one = [&](const char* name, auto& x, const auto& g) {
    sqs::detail::compare_gradient(check, report, name, x.data(), g.data(), x.size(), loss);
  };
  one("means", in.s.means, std::get<0>(gradients));
  one("scales", in.s.scales, std::get<1>(gradients));
  one("rotations", in.s.rotations, std::get<2>(gradients));
  one("opacities", in.s.opacities, std::get<3>(gradients));
  one("colours", in.s.colours, std::get<4>(gradients));
  one("background", in.background, std::get<5>(gradients));
  std::cout << "worst " << report.worst << " at " << report.where << "\n";
  EXPECT_LE(report.worst, 1e-7) << report.where << " " << report.analytic << " " << report.numeric;
  EXPECT_GE(report.nonzero, report.checked * 9 / 10);
}

template <class T> double relative_l2(const T& a, const auto& b) {
  double off = 0, size = 0;
  for (idx i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    off += (x - y) * (x - y);
    size += y * y;
  }
  return std::sqrt(off / size);
}

TEST(rasterizer, float_agrees_with_double) {
  // The float inputs, widened: both see the same numbers. No cut and no stop, so there is nothing to flip.
  const auto narrow =
      scenes::in_scalar<float>(scenes::random({.gaussians = 100, .height = 32, .width = 48, .seed = 13}));
  const auto wide = scenes::in_scalar<double>(narrow);
  constexpr splat::raster_config config{.alpha_cut = {1, 1000000000}, .stop = {0, 1}};
  const splat::rasterizer<config> op;
  cpu e{.threads = 2};
  const auto f = narrow.forward(op, e);
  const auto d = wide.forward(op, e);
  double worst = 0;
  for (idx i = 0; i < std::get<0>(f.value).size(); ++i) {
    worst =
        std::max(worst, std::abs(static_cast<double>(std::get<0>(f.value).data()[i]) - std::get<0>(d.value).data()[i]));
  }
  std::cout << "image: worst difference " << worst << "\n";
  EXPECT_LE(worst, 2e-6);
  const auto weights = sqs::detail::projection_gradient(e, d.value, gradient_check{});
  const auto gd = op.backward(e, d.saved, std::get<0>(weights), std::get<1>(weights), std::get<2>(weights));
  const auto gf =
      op.backward(e, f.saved, persistent_copy<float>(std::get<0>(weights)),
                  persistent_copy<float>(std::get<1>(weights)), persistent_copy<float>(std::get<2>(weights)));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const double off[] = {relative_l2(std::get<I>(gf), std::get<I>(gd))...};
    for (const double o : off) {
      std::cout << "gradient: rel-L2 " << o << "\n";
      EXPECT_LE(o, 1e-5);
    }
  }
  (std::make_index_sequence<6>{});
}

} // namespace rasterize_gradient_test

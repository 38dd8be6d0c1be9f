// SPDX-License-Identifier: Apache-2.0
// Colours that depend on the direction they are seen from: against the oracle, and their gradients.

#include "features.hpp"

namespace harmonics_test {

using namespace features;
using splat::raster_config;

// The limits of the Jacobian's clamp count as constants, which difference quotients of the cameras would notice: none here.
constexpr raster_config smooth(int channels, int degree) {
  return {.channels = channels,
          .sh_degree = degree,
          .tile = 8,
          .cut_width = {1, 5},
          .stop = {0, 1},
          .clamp_margin = {100, 1}};
}

/// Coefficients of both signs, some colours below zero, where they are cut.
template <int Degree> scenes::inputs<double> harmonic_scene(idx extra, idx gaussians, int height, int width) {
  const idx columns = 3 * (Degree + 1) * (Degree + 1) + extra;
  auto in = scenes::random({.gaussians = gaussians, .height = height, .width = width, .channels = columns, .seed = 47});
  for (double& x : in.s.colours) { x = 2 * x - 1.2; }
  in.background = make_tensor<double, 2>({2, 3 + extra}, 0.3);
  return in;
}
template <int Degree, int Extra> void harmonics_equal_the_oracle() {
  SCOPED_TRACE(Degree);
  expect_like_oracle<raster_config{.channels = 3 + Extra, .sh_degree = Degree}>(
      harmonic_scene<Degree>(Extra, 80, 35, 50), {.sh_degree = Degree});
}
TEST(harmonics, of_low_degree) { harmonics_equal_the_oracle<0, 2>(), harmonics_equal_the_oracle<1, 0>(); }
TEST(harmonics, of_high_degree) {
  harmonics_equal_the_oracle<2, 1>(), harmonics_equal_the_oracle<3, 20>(), harmonics_equal_the_oracle<4, 0>();
}

TEST(harmonics, gradients) {
  expect_gradients<smooth(4, 0)>(harmonic_scene<0>(1, 6, 11, 21), {.step = 1e-4}, 0.5);
  expect_gradients<smooth(3, 2)>(harmonic_scene<2>(0, 6, 11, 21), {.step = 1e-4}, 0.5);
}
TEST(harmonics, gradients_with_features_and_cameras) {
  expect_gradients<smooth(7, 4)>(harmonic_scene<4>(4, 5, 11, 21), {.step = 3e-5}, 0.4, true);
}

// One Gaussian straight ahead, coefficient of z alone: Y_10 = sqrt(3 / 4 pi) z, as 3DGS has it.
TEST(harmonics, have_the_sign_of_3dgs) {
  auto in = scenes::blank<double>(1, 12, 1);
  in.background = make_tensor<double, 2>({1, 3});
  in.s.means(0, 2) = 5, in.s.opacities(0) = 0.5;
  in.s.scales(0, 0) = in.s.scales(0, 1) = in.s.scales(0, 2) = 0.3;
  in.s.colours(0, 3 * 2 + 1) = 0.5; // the third coefficient, green
  in.rig.add(any_camera<double>{50, 50, 8.5, 8.5, 17, 17}, {});
  cpu e{.threads = 1};
  const auto r = render<raster_config{.sh_degree = 1}>(e, in);
  const auto& image = std::get<0>(r.value);
  EXPECT_NEAR(image(0, 8, 8, 0), 0.25, 1e-12);
  EXPECT_NEAR(image(0, 8, 8, 1), 0.5 * (0.5 + 0.5 * std::sqrt(3 / (4 * std::acos(-1.0)))), 1e-12);
}

} // namespace harmonics_test

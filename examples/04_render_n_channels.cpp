// SPDX-License-Identifier: Apache-2.0
// Background  The rasterizer blends any compile-time number of channels in one pass: colours, semantics, features, flow.
// New here    raster_config as a template argument; gradients of every input by calling backward directly.
// Builds on   03.
// Run         render_n_channels
// Expect      shapes with 7 channels, and a gradient that agrees with a difference quotient.
#include <sqs/core/random.hpp>
#include <sqs/splat/rasterize.hpp>

#include <cstdio>

int main() {
  sqs::cpu exec;
  constexpr sqs::splat::raster_config seven{.channels = 7}; // 3 colours and 4 features
  const sqs::splat::rasterizer<seven> rasterize;
  const sqs::pinhole_camera<double> camera{.fx = 80, .fy = 80, .cx = 40, .cy = 30, .width = 80, .height = 60};
  const sqs::camera_rig<double> rig{{camera, {{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}}}};

  const sqs::idx n = 200;
  const auto draw = sqs::random_stream::of(1);
  auto means = sqs::make_tensor<double, 2>({n, 3}), scales = sqs::make_tensor<double, 2>({n, 3});
  auto rotations = sqs::make_tensor<double, 2>({n, 4}), channels = sqs::make_tensor<double, 2>({n, 7});
  auto opacities = sqs::make_tensor<double, 1>({n}, 0.6);
  const auto background = sqs::make_tensor<double, 2>({1, 7});
  for (sqs::idx i = 0; i < n; ++i) {
    for (int k = 0; k < 3; ++k) {
      means(i, k) = draw.uniform(20 * i + k, -2, 2) + (k == 1 ? 6 : 0);
      scales(i, k) = draw.uniform(20 * i + 3 + k, 0.05, 0.4);
    }
    for (int k = 0; k < 4; ++k) { rotations(i, k) = draw.uniform(20 * i + 6 + k, -1, 1); }
    for (int k = 0; k < 7; ++k) { channels(i, k) = draw.uniform(20 * i + 10 + k); }
  }
  // The loss of this example: the sum of all channels of all pixels.
  const auto total = [&] {
    const auto value = rasterize.forward(exec, means, scales, rotations, opacities, channels, background, rig).value;
    double sum = 0;
    for (const double v : std::get<0>(value)) { sum += v; }
    return sum;
  };
  auto [value, saved] = rasterize.forward(exec, means, scales, rotations, opacities, channels, background, rig);
  const auto& image = std::get<0>(value);
  std::printf("image [%lld, %lld, %lld, %lld]\n", static_cast<long long>(image.extent(0)),
              static_cast<long long>(image.extent(1)), static_cast<long long>(image.extent(2)),
              static_cast<long long>(image.extent(3)));
  const auto ones = sqs::full<double, 4>(exec, image.shape(), 1.0);
  const auto none = sqs::zeros<double, 3>(exec, {1, 60, 80});
  const auto [d_means, d_scales, d_rotations, d_opacities, d_channels, d_background] =
      rasterize.backward(exec, saved, ones, none, none);
  const double kept = channels(17, 5);
  channels(17, 5) = kept + 1e-4;
  const double up = total();
  channels(17, 5) = kept - 1e-4;
  const double down = total();
  std::printf("d sum / d channel 5 of Gaussian 17: %.6f by backward, %.6f by differences\n", d_channels(17, 5),
              (up - down) / 2e-4);
  std::printf("d sum / d opacity of Gaussian 17: %.6f\n", d_opacities(17));
}

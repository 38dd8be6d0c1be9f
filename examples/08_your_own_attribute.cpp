// SPDX-License-Identifier: Apache-2.0
// Background  What a Gaussian carries is a list of types. A new attribute is a struct of a few lines.
// New here    attributes, gaussian_set, channels of your own through the rasterizer.
// Builds on   04.
// Run         your_own_attribute
// Expect      five channels, and at the image centre the velocity of the Gaussian that stands there, blended.
#include <sqs/gaussian/gaussian_set.hpp>
#include <sqs/splat/rasterize.hpp>

#include <cstdio>

struct velocity { // m/s over ground: two more blended channels
  static constexpr std::string_view name = "velocity";
  static constexpr int dim = 2;
  static constexpr bool blended = true;
  using map = sqs::attr::identity_map;
};
using moving = sqs::gaussian_set<sqs::attr::mean, sqs::attr::scale, sqs::attr::rotation, sqs::attr::opacity,
                                 sqs::attr::rgb, velocity>;

int main() {
  sqs::cpu exec;
  auto car = moving::zeros(exec, 1);
  car.get<sqs::attr::mean>()(0, 1) = 8; // ahead
  std::fill_n(car.get<sqs::attr::scale>().data(), 3, 0.5f);
  car.get<sqs::attr::rotation>()(0, 0) = 1;
  car.get<velocity>()(0, 0) = 3, car.get<velocity>()(0, 1) = 12;
  auto channels = sqs::zeros<float, 2>(exec, {1, moving::channels}); // rgb, then velocity
  constexpr int first = moving::channel_of<velocity>();
  std::copy_n(car.get<velocity>().data(), 2, channels.data() + first);

  constexpr sqs::splat::raster_config config{.channels = moving::channels};
  const sqs::camera_rig<float> rig{{{60, 60, 32, 24, 64, 48}, {{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}}}};
  const auto [value, saved] = sqs::splat::rasterizer<config>{}.forward(
      exec, car.get<sqs::attr::mean>(), car.get<sqs::attr::scale>(), car.get<sqs::attr::rotation>(),
      sqs::full<float, 1>(exec, {1}, 0.8f), channels, sqs::zeros<float, 2>(exec, {1, moving::channels}), rig);
  const auto& image = std::get<0>(value);
  std::printf("%d channels; velocity at the centre: %.2f, %.2f m/s (opacity 0.8 of 3, 12)\n", moving::channels,
              static_cast<double>(image(0, 24, 32, first)), static_cast<double>(image(0, 24, 32, first + 1)));
}

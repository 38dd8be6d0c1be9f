// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/town/texture.hpp>

#include <gtest/gtest.h>

#include <functional>

namespace town_texture_test {

using namespace sqs;
using namespace sqs::town;

TEST(town_texture, stripes_are_their_mean_over_a_pixel) {
  const random_stream r{4};
  for (idx i = 0; i < 400; ++i) {
    const double period = r.uniform(4 * i, 0.05, 2), on = r.uniform(4 * i + 1, 0.02, 0.98),
                 footprint = r.uniform(4 * i + 2, 0, 0.25) * period, at = r.uniform(4 * i + 3, -20, 20);
    constexpr int n = 4000;
    int hits = 0;
    for (int k = 0; k < n; ++k) {
      const double x = at + ((k + 0.5) / n - 0.5) * footprint;
      hits += x / period - std::floor(x / period) < on ? 1 : 0;
    }
    EXPECT_NEAR(town::detail::stripe_share(at, period, on, footprint), static_cast<double>(hits) / n, 1e-3) << i;
  }
  // From two pixels a period on there is only the mean; between two and four it comes in.
  EXPECT_EQ(town::detail::stripe_share(0.1, 1, 0.3, 0.5), 0.3);
  EXPECT_EQ(town::detail::stripe_share(0.1, 1, 0.3, 7), 0.3);
  EXPECT_NEAR(town::detail::stripe_share(0.15, 1, 0.3, 0.375), 0.5 * (0.3 / 0.375) + 0.5 * 0.3, 1e-12);
}

/// How strong the moiré is along a row of pixels, each sampled once as the camera does: the wave that a pattern of
/// `period` makes between them, as a share of the mean colour. `look`: the colour at a place for a footprint.
struct moire {
  double wave = 0, mean = 0;
};
moire measured(const std::function<double(double, double)>& look, double step, double footprint, double period) {
  constexpr int pixels = 20000;
  double cosine = 0, sine = 0, mean = 0;
  for (int i = 0; i < pixels; ++i) {
    const double at = 0.3 + i * step, c = look(at, footprint), angle = 2 * 3.14159265358979 * at / period;
    cosine += c * std::cos(angle) / pixels, sine += c * std::sin(angle) / pixels, mean += c / pixels;
  }
  return {2 * std::hypot(cosine, sine) / mean, mean};
}

town::solid brick_wall() {
  town::solid s;
  s.surface = look::facade, s.half = {30, 10, 3000}, s.paint = {0.4, 0.15, 0.1}, s.accent = {0.01, 0.01, 0.01};
  s.extra = {3, 3.2, 0}, s.grain = 77;
  return s;
}

TEST(town_texture, bricks_and_joints_do_not_alias) {
  const town::solid wall = brick_wall();
  town::solid slab;
  slab.surface = look::plaza, slab.half = {1e6, 1e6, 1}, slab.paint = {0.3, 0.3, 0.3};
  slab.extra = {1e6, 1e6, 1};
  struct pattern {
    const char* name;
    double period;
    std::function<double(double, double)> look;
  };
  const pattern patterns[] = {
      // Up a pillar between two windows, where there are bricks only.
      {"bricks", 0.085,
       [&](double at, double f) {
         return town::detail::facade_material(wall, {0.05 - 30, -10, at - 2996}, {0, -1, 0}, f).base.x;
       }},
      {"tiles", 1.6, [&](double at, double f) {
         return town::detail::paving_material(slab, {at, 0.381966 * at, 0}, {0, 0, 1}, f).base.x;
       }}};
  for (const pattern& p : patterns) {
    for (const double share : {0.5521, 0.7071, 0.9533, 1.0519, 1.9531}) { // pixels of that many periods
      const double step = share * p.period;
      const moire plain = measured(p.look, step, 0, p.period), filtered = measured(p.look, step, step, p.period);
      EXPECT_GT(plain.wave, 0.015) << p.name << " alias without a filter, " << share;
      EXPECT_LT(filtered.wave, 0.1 * plain.wave) << p.name << ", a pixel is " << share << " periods";
      EXPECT_NEAR(filtered.mean, plain.mean, 0.01 * plain.mean) << p.name << ": the mean colour stays, " << share;
    }
    // What is large enough is still there.
    const double step = 0.2 * p.period;
    EXPECT_GT(measured(p.look, step, step, p.period).wave, 0.7 * measured(p.look, step, 0, p.period).wave) << p.name;
  }
}

} // namespace town_texture_test

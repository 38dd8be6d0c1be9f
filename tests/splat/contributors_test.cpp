// SPDX-License-Identifier: Apache-2.0
// The heaviest Gaussians of every pixel: against a plain loop, and against the picture they make.

#include "features.hpp"

#include <sqs/splat/contributors.hpp>

namespace contributors_test {

using namespace features;
using splat::raster_config;

scenes::inputs<double> scene(std::uint64_t seed, idx gaussians = 150) {
  return scenes::random({.gaussians = gaussians, .height = 35, .width = 50, .most_opacity = 1.0, .seed = seed});
}

/// All (weight, Gaussian) of a pixel, heaviest first, by the oracle's flat Gaussians.
std::vector<std::pair<double, idx>> weights_of(const std::vector<std::pair<oracle::flat<double>, idx>>& list, int x,
                                               int y) {
  std::vector<std::pair<double, idx>> out;
  double t = 1;
  for (const auto& [f, g] : list) {
    const double dx = x + 0.5 - f.u, dy = y + 0.5 - f.v;
    const double alpha =
        std::min(0.99, f.opacity * std::exp(-(f.q00 * dx * dx + 2 * f.q01 * dx * dy + f.q11 * dy * dy) / 2));
    if (alpha < 1.0 / 255) { continue; }
    if (t * (1 - alpha) <= 1e-4) { break; }
    out.emplace_back(alpha * t, g);
    t *= 1 - alpha;
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  return out;
}

TEST(contributors, equal_a_plain_loop) {
  auto in = scene(111);
  in.s.colours = make_tensor<double, 2>({150, 1});
  in.background = make_tensor<double, 2>({2, 1});
  for (idx g = 0; g < 150; ++g) { in.s.colours(g, 0) = static_cast<double>(g); } // the oracle's colour says who it is
  cpu e{.threads = 2};
  constexpr raster_config config{.channels = 1};
  const auto r = render<config>(e, in);
  const auto top = splat::top_contributors<config, 4>(e, r.saved);
  ASSERT_EQ(top.ids.shape(), (extents<2>{2 * 35 * 50, 4}));
  idx found = 0;
  for (int v = 0; v < 2; ++v) {
    std::vector<std::pair<oracle::flat<double>, idx>> list;
    for (const auto& f : oracle::flatten({}, in.s, in.rig[v])) { list.emplace_back(f, static_cast<idx>(f.colour[0])); }
    for (int p = 0; p < 35 * 50; ++p) {
      const auto expected = weights_of(list, p % 50, p / 50);
      for (std::size_t i = 0; i < 4; ++i) {
        const idx row = v * 35 * 50 + p, column = static_cast<idx>(i);
        if (i < expected.size()) {
          ASSERT_EQ(top.ids(row, column), expected[i].second) << "pixel " << row;
          ASSERT_NEAR(top.weights(row, column), expected[i].first, 1e-12);
          ++found;
        } else {
          ASSERT_EQ(top.ids(row, column), -1);
          ASSERT_EQ(top.weights(row, column), 0);
        }
      }
    }
  }
  EXPECT_GT(found, 5000);
}

/// With room for everyone, weights and transmittance sum to 1, and weights times colours make the picture.
template <raster_config Config>
void expect_identities(const scenes::inputs<float>& in, const splat::raster_options<float>& options) {
  cpu e{.threads = 2};
  const auto r = splat::rasterizer<Config>{}.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities,
                                                     in.s.colours, in.background, in.rig, options);
  const auto top = splat::top_contributors<Config, 40>(e, r.saved);
  const idx channels = in.background.extent(1), pixels = top.ids.extent(0);
  const float *image = std::get<0>(r.value).data(), *left = std::get<2>(r.value).data();
  for (idx p = 0; p < pixels; ++p) {
    int view = 0;
    while (p >= in.rig.first_pixel(view + 1)) { ++view; }
    float sum = left[p], colour = left[p] * in.background(view, channels - 1);
    for (idx i = 0; i < 40; ++i) {
      const float w = top.weights(p, i);
      ASSERT_EQ(top.ids(p, i) >= 0, w > 0);
      if (w == 0) { continue; }
      if (i > 0) { ASSERT_LE(w, top.weights(p, i - 1)); }
      sum += w;
      colour += w * in.s.colours(top.ids(p, i), channels - 1);
    }
    ASSERT_EQ(top.ids(p, 39), -1) << "more than 40 are blended here";
    ASSERT_NEAR(sum, 1, 2e-6);
    ASSERT_NEAR(colour, image[p * channels + channels - 1], 2e-6);
  }
}
TEST(contributors, make_the_picture) {
  const auto in = scenes::in_scalar<float>(scene(112, 80));
  expect_identities<raster_config{}>(in, {});
  splat::raster_options<float> masked{.mask = {make_tensor<std::uint8_t, 1>({2 * 35 * 50}, std::uint8_t{1}), {}}};
  for (idx p = 0; p < 2 * 35 * 50; p += 3) { masked.mask.pixels(p) = 0; }
  expect_identities<raster_config{.tile = 8, .rule = splat::stop_rule::inclusive}>(in, masked);
}

// A picture of a single Gaussian's mark is its weight, to the last bit.
TEST(contributors, have_the_weights_of_the_picture) {
  auto in = scenes::in_scalar<float>(scene(115, 60));
  constexpr raster_config config{.channels = 1};
  in.background = make_tensor<float, 2>({2, 1});
  cpu e{.threads = 2};
  idx found = 0;
  for (idx marked = 0; marked < 60; marked += 7) {
    in.s.colours = make_tensor<float, 2>({60, 1});
    in.s.colours(marked, 0) = 1;
    const auto r = in.forward(splat::rasterizer<config>{}, e);
    const auto top = splat::top_contributors<config, 60>(e, r.saved);
    for (idx p = 0; p < top.ids.extent(0); ++p) {
      float weight = 0;
      for (idx i = 0; i < 60; ++i) { weight = top.ids(p, i) == marked ? top.weights(p, i) : weight; }
      ASSERT_EQ(std::get<0>(r.value).data()[p], weight);
      found += weight > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(found, 500);
}

// 1 lies before 0 and both weigh a quarter: 1/4, and 3/4 of about 1/3. Which third makes them equal to the last bit
// depends on rounding, so neighbouring ones are tried.
TEST(contributors, of_equal_weight_are_ordered_by_index) {
  auto in = scenes::blank<float>(2, 3, 1);
  for (idx g = 0; g < 2; ++g) {
    in.s.means(g, 2) = 5 - static_cast<float>(g);
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = 0.1f; }
  }
  in.s.opacities(1) = 0.25f;
  in.rig.add(any_camera<float>{50, 50, 4.5f, 4.5f, 9, 9}, {});
  cpu e{.threads = 1};
  int ties = 0;
  for (int i = -50; i <= 50; ++i) {
    in.s.opacities(0) = (1.0f + static_cast<float>(i) * 0x1p-24f) / 3.0f;
    const auto top = splat::top_contributors<raster_config{}, 2>(e, in.forward(splat::rasterizer<>{}, e).saved);
    const idx middle = 4 * 9 + 4;
    const float first = top.weights(middle, 0), second = top.weights(middle, 1);
    ASSERT_NEAR(first, 0.25f, 1e-5f);
    ASSERT_GE(first, second);
    if (first != second) { continue; }
    ++ties;
    EXPECT_EQ(top.ids(middle, 0), 0);
    EXPECT_EQ(top.ids(middle, 1), 1);
  }
  EXPECT_GT(ties, 0);
}

TEST(contributors, are_the_same_for_any_threads_and_bands) {
  const auto in = scene(113, 400);
  cpu one{.threads = 1};
  const auto expected = splat::top_contributors<raster_config{}, 3>(one, render<raster_config{}>(one, in).saved);
  for (const int threads : {2, 3, 8}) {
    cpu e{.threads = threads};
    for (const std::size_t bytes : {std::size_t{4} << 30, std::size_t{0}, std::size_t{5000}}) {
      const auto top =
          splat::top_contributors<raster_config{}, 3>(e, render<raster_config{}>(e, in, {.band_bytes = bytes}).saved);
      EXPECT_TRUE(same_bits(top.ids, expected.ids) && same_bits(top.weights, expected.weights)) << threads;
    }
  }
}

TEST(contributors, of_nothing_are_none) {
  const auto in = scenes::random({.gaussians = 0, .seed = 114});
  cpu e{.threads = 1};
  const auto top = splat::top_contributors<raster_config{}, 1>(e, render<raster_config{}>(e, in).saved);
  for (const auto id : top.ids) { EXPECT_EQ(id, -1); }
}

} // namespace contributors_test

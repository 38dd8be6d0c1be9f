// SPDX-License-Identifier: Apache-2.0
// Colours by hand and there and back; grids by their definition on the large canvas.
#include <sqs/sensor/augment_colour.hpp>

#include "../support/check.hpp"

#include <set>

namespace augment_colour_test {

using sqs::test::message_of;
using ::testing::HasSubstr;

TEST(photometric, hue_saturation_and_value_are_those_of_known_colours) {
  const auto near = [](const std::array<float, 3>& a, float h, float s, float v) {
    EXPECT_NEAR(a[0], h, 1e-3) << v;
    EXPECT_NEAR(a[1], s, 1e-5);
    EXPECT_NEAR(a[2], v, 1e-3);
  };
  near(sqs::hsv_of_rgb({255, 0, 0}), 0, 1, 255);
  near(sqs::hsv_of_rgb({0, 255, 0}), 120, 1, 255);
  near(sqs::hsv_of_rgb({0, 0, 128}), 240, 1, 128);
  near(sqs::hsv_of_rgb({100, 50, 75}), 330, 0.5f, 100);
  near(sqs::hsv_of_rgb({60, 60, 60}), 0, 0, 60);
  near(sqs::rgb_of_hsv({60, 1, 200}), 200, 200, 0);
  near(sqs::rgb_of_hsv({210, 0.5f, 100}), 50, 75, 100);
  for (int i = 0; i < 2000; ++i) {
    const auto s = sqs::random_stream::of(1, i);
    const std::array<float, 3> c{static_cast<float>(s.uniform(0, 0, 255)), static_cast<float>(s.uniform(1, 0, 255)),
                                 static_cast<float>(s.uniform(2, 0, 255))};
    const auto back = sqs::rgb_of_hsv(sqs::hsv_of_rgb(c));
    for (std::size_t k = 0; k < 3; ++k) { EXPECT_NEAR(back[k], c[k], 2e-3); }
  }
}

TEST(photometric, parts_act_in_their_order) {
  const auto after = [](std::vector<float> p, const sqs::photometric_distortion& d) {
    sqs::distort(p, d);
    return p;
  };
  EXPECT_EQ(after({10, 20, 30}, {}), (std::vector<float>{10, 20, 30}));
  EXPECT_EQ(after({10, 20, 30}, {.brightness = 5, .contrast = 2}), (std::vector<float>{30, 50, 70}));
  EXPECT_EQ(after({200, 250, 30}, {.brightness = 30, .contrast = 1.5f}),
            (std::vector<float>{345, 420, 90})); // no clipping
  EXPECT_EQ(after({1, 2, 3, 4, 5, 6}, {.channels = {2, 0, 1}}), (std::vector<float>{3, 1, 2, 6, 4, 5}));
  const auto grey = after({100, 50, 75}, {.saturation = 0});
  for (const float v : grey) { EXPECT_NEAR(v, 100, 1e-3); }
  const auto turned = after({100, 50, 50}, {.hue = 120}); // red becomes green
  EXPECT_NEAR(turned[1], 100, 1e-3);
  EXPECT_NEAR(turned[0], 50, 1e-3);
  const auto back = after({100, 50, 51}, {.hue = -18}); // below 0: goes on at 360
  EXPECT_GT(back[2], back[1]);
  // Around red, both ways: {100, 50, 50} turned by h has 50 + 50 |h| / 60 of green (h > 0) or blue.
  for (const float h : {-60.0f, -45.0f, -18.0f, -0.5f, 0.5f, 18.0f, 60.0f}) {
    const auto c = after({100, 50, 50}, {.hue = h});
    EXPECT_NEAR(c[0], 100, 1e-3) << h;
    EXPECT_NEAR(c[1], 50 + (h > 0 ? 50 * h / 60 : 0), 2e-3) << h;
    EXPECT_NEAR(c[2], 50 + (h < 0 ? -50 * h / 60 : 0), 2e-3) << h;
  }
  // And over the end of the circle: {100, 50, 60} has the hue 348; 18 more is 6, 18 less 330.
  EXPECT_NEAR(after({100, 50, 60}, {.hue = 18})[1], 55, 2e-3);
  EXPECT_NEAR(after({100, 50, 60}, {.hue = -18})[2], 75, 2e-3);
  // The references wrap in degrees, before the conversion: so do the last bits.
  int differ = 0;
  for (int i = 0; i < 500; ++i) {
    const auto s = sqs::random_stream::of(2, i);
    const float low = static_cast<float>(s.uniform(0, 0, 100)), hue = static_cast<float>(s.uniform(1, -1.5, -0.1));
    const std::vector<float> c{low + 60, low + static_cast<float>(s.uniform(2, 0, 0.1)), low};
    auto hsv = sqs::hsv_of_rgb({c[0], c[1], c[2]});
    hsv[0] += hue;
    ASSERT_LT(hsv[0], 0);
    const auto unwrapped = sqs::rgb_of_hsv(hsv);
    hsv[0] += 360;
    const auto want = sqs::rgb_of_hsv(hsv);
    EXPECT_EQ(after(c, {.hue = hue}), (std::vector<float>{want[0], want[1], want[2]})) << i;
    differ += want != unwrapped ? 1 : 0;
  }
  EXPECT_GT(differ, 50);
  // Contrast scales before or behind: linear both ways, so only the order with brightness matters.
  EXPECT_EQ(after({10, 20, 30}, {.brightness = 5, .contrast = 2, .contrast_first = false}),
            (std::vector<float>{30, 50, 70}));
  EXPECT_THAT(message_of([&] { after({1, 2}, {}); }), HasSubstr("2 values are no whole pixels"));
}

TEST(photometric, each_part_is_drawn_half_of_the_time) {
  int parts[5] = {};
  std::set<std::array<int, 3>> orders;
  for (int i = 0; i < 4000; ++i) {
    const auto d = sqs::draw_photometric({}, sqs::random_stream::of(9, i));
    parts[0] += d.brightness != 0;
    parts[1] += d.contrast != 1;
    parts[2] += d.saturation != 1;
    parts[3] += d.hue != 0;
    parts[4] += d.contrast_first;
    orders.insert(d.channels);
    EXPECT_LE(std::abs(d.brightness), 32);
    EXPECT_GE(d.contrast, 0.5f);
    EXPECT_LE(d.contrast, 1.5f);
    EXPECT_LE(std::abs(d.hue), 18);
  }
  for (const int n : parts) { EXPECT_NEAR(n, 2000, 150); }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(grid_mask, keeps_the_bars_of_the_large_canvas) {
  for (int seed = 0; seed < 60; ++seed) {
    const int h = 20 + seed, w = 57 - seed / 2;
    const auto m = sqs::draw_grid_mask(h, w, sqs::random_stream::of(3, seed), 1);
    ASSERT_TRUE(m.active);
    ASSERT_GE(m.period, 2);
    ASSERT_LT(m.period, h);
    // The definition: ones on a canvas, bars set to zero, the middle cut out, the whole inverted.
    const int hh = static_cast<int>(1.5 * h), ww = static_cast<int>(1.5 * w);
    std::vector<int> canvas(static_cast<std::size_t>(hh * ww), 1);
    for (int i = 0; i < hh / m.period; ++i) {
      const int s = m.period * i + m.row;
      for (int y = s; y < std::min(s + m.length, hh); ++y) {
        for (int x = 0; x < ww; ++x) { canvas[static_cast<std::size_t>(y * ww + x)] = 0; }
      }
    }
    for (int i = 0; i < ww / m.period; ++i) {
      const int s = m.period * i + m.column;
      for (int x = s; x < std::min(s + m.length, ww); ++x) {
        for (int y = 0; y < hh; ++y) { canvas[static_cast<std::size_t>(y * ww + x)] = 0; }
      }
    }
    std::vector<float> pixels(static_cast<std::size_t>(h * w * 3), 2.0f);
    sqs::mask_out(pixels, m);
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        const int kept = 1 - canvas[static_cast<std::size_t>((y + (hh - h) / 2) * ww + x + (ww - w) / 2)];
        ASSERT_EQ(m.keeps(y, x), kept == 1) << y << " " << x;
        ASSERT_EQ(pixels[static_cast<std::size_t>((y * w + x) * 3 + 2)], kept == 1 ? 2.0f : 0.0f);
      }
    }
  }
  int active = 0;
  for (int i = 0; i < 4000; ++i) { active += sqs::draw_grid_mask(32, 64, sqs::random_stream::of(4, i)).active; }
  EXPECT_NEAR(active, 2800, 130);
  std::vector<float> few(5);
  EXPECT_THAT(message_of([&] { sqs::mask_out(few, sqs::draw_grid_mask(8, 8, {}, 1)); }),
              HasSubstr("5 values for an image of 8 x 8 x 3; they must agree"));
}

} // namespace augment_colour_test

// SPDX-License-Identifier: Apache-2.0
// Images against check sums of what Pillow 13.0 makes of the same pattern; matrices against points followed by hand.
#include <sqs/core/bytes.hpp>
#include <sqs/sensor/augment_image.hpp>

#include "../support/check.hpp"

namespace augment_image_test {

using sqs::image;
using sqs::test::message_of;
using ::testing::HasSubstr;

image pattern(int h, int w) {
  image i(h, w);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      for (int k = 0; k < 3; ++k) {
        i.at(y, x)[k] = static_cast<std::uint8_t>((x * 7 + y * 13 + k * 29 + (x * y) / 5) % 256);
      }
    }
  }
  return i;
}
std::uint32_t sum(const image& i) { return sqs::crc32_of(sqs::bytes_of(i.pixels)); }

TEST(augment_image, resizes_as_pillow_to_the_bit) {
  const auto p = pattern(90, 160);
  struct size {
    int height, width;
    std::uint32_t bicubic, bilinear;
  };
  for (const auto& s : {size{40, 70, 0xB5256432u, 0xD4B0D06Fu}, size{36, 64, 0x06E270A3u, 0xC219D4EDu},
                        size{100, 200, 0x6116D30Bu, 0xC4CF9B0Cu}, size{45, 160, 0xECCA6138u, 0x04AFA27Cu},
                        size{90, 33, 0x9E84FAF4u, 0x39827648u}}) {
    EXPECT_EQ(sum(sqs::resized(p, s.height, s.width)), s.bicubic) << s.height;
    EXPECT_EQ(sum(sqs::resized(p, s.height, s.width, sqs::resize_filter::bilinear)), s.bilinear) << s.height;
  }
  EXPECT_EQ(sqs::resized(p, 90, 160), p);
}

TEST(augment_image, rotates_as_pillow_to_the_bit) {
  const auto p = pattern(90, 160);
  const std::pair<double, std::uint32_t> cases[] = {{5.4, 0x3A6E089Fu}, {-3.21, 0xE8EF1F82u}, {90, 0x627C106Au},
                                                    {180, 0x4AEBDE45u}, {33.3, 0x8A61868Cu},  {0, 0xF224AA47u}};
  for (const auto& [degrees, expected] : cases) { EXPECT_EQ(sum(sqs::turned(p, degrees)), expected) << degrees; }
}

TEST(augment_image, the_whole_chain_is_the_references) {
  const auto p = pattern(90, 160);
  EXPECT_EQ(
      sum(sqs::augmented(
          p, {.resize = 0.47, .crop_x = 3, .crop_y = 10, .height = 32, .width = 64, .flip = true, .rotation = 5.4})),
      0xBF4E3488u);
  EXPECT_EQ(
      sum(sqs::augmented(
          p, {.resize = 0.41, .crop_x = -3, .crop_y = -4, .height = 32, .width = 64, .flip = false, .rotation = -2.5})),
      0xB4DD5100u);
}

TEST(augment_image, the_matrix_follows_the_pixels) {
  // Resize 0.5, crop at (10, 4), mirror in 40 columns: u' = 40 - (0.5 u - 10).
  sqs::image_augmentation a{.resize = 0.5, .crop_x = 10, .crop_y = 4, .height = 20, .width = 40, .flip = true};
  auto m = sqs::image_matrix(a);
  EXPECT_DOUBLE_EQ(m(0, 0), -0.5);
  EXPECT_DOUBLE_EQ(m(0, 2), 50);
  EXPECT_DOUBLE_EQ(m(1, 1), 0.5);
  EXPECT_DOUBLE_EQ(m(1, 2), -4);
  EXPECT_DOUBLE_EQ(m(0, 1), 0);
  // A quarter turn counter-clockwise about the middle (20, 10): right of it goes above it.
  a = {.resize = 1, .height = 20, .width = 40, .rotation = 90};
  m = sqs::image_matrix(a);
  const auto p = m * sqs::vec3<double>{25, 10, 1};
  EXPECT_NEAR(p.x, 20, 1e-12);
  EXPECT_NEAR(p.y, 5, 1e-12);
  // A bright square ends up where the matrix says.
  image bright(200, 300);
  for (int y = 80; y < 88; ++y) {
    for (int x = 140; x < 148; ++x) { std::fill_n(bright.at(y, x), 3, std::uint8_t{255}); }
  }
  a = {.resize = 0.9, .crop_x = 30, .crop_y = 20, .height = 128, .width = 200, .flip = true, .rotation = 20};
  const auto out = sqs::augmented(bright, a);
  double mass = 0, u = 0, v = 0;
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const double w = out.at(y, x)[0];
      mass += w, u += w * (x + 0.5), v += w * (y + 0.5);
    }
  }
  const auto expected = sqs::image_matrix(a) * sqs::vec3<double>{144, 84, 1};
  ASSERT_GT(mass, 0);
  EXPECT_NEAR(u / mass, expected.x, 0.3);
  EXPECT_NEAR(v / mass, expected.y, 0.3);
  // The 4 x 4 form acts on (u z, v z, z, 1).
  const auto m4 = sqs::image_matrix4(a);
  const double z = 7;
  EXPECT_NEAR(m4(0, 0) * 144 * z + m4(0, 1) * 84 * z + m4(0, 2) * z, expected.x * z, 1e-9);
}

TEST(augment_image, draws_lie_within_their_limits_and_depend_on_the_stream_alone) {
  const sqs::image_augmentation_options o{
      .height = 256, .width = 704, .resize_low = 0.40, .resize_high = 0.47, .rotation = 5.4};
  int flips = 0;
  double low = 1, high = 0, turn = 0;
  for (int i = 0; i < 4000; ++i) {
    const auto s = sqs::random_stream::of(5, i);
    const auto a = sqs::draw_image_augmentation(o, 900, 1600, s);
    EXPECT_EQ(a.crop_y, static_cast<int>(900 * a.resize) - 256);
    EXPECT_GE(a.crop_x, 0);
    EXPECT_LE(a.crop_x, std::max(0, static_cast<int>(1600 * a.resize) - 704));
    flips += a.flip;
    low = std::min(low, a.resize), high = std::max(high, a.resize), turn = std::max(turn, std::abs(a.rotation));
    EXPECT_EQ(sqs::draw_image_augmentation(o, 900, 1600, s).resize, a.resize);
  }
  EXPECT_NEAR(flips, 2000, 150);
  EXPECT_LT(low, 0.401);
  EXPECT_GT(high, 0.469);
  EXPECT_NEAR(turn, 5.4, 0.02);
  const auto fixed = sqs::fixed_image_augmentation({.height = 256, .width = 704}, 900, 1600);
  EXPECT_DOUBLE_EQ(fixed.resize, 0.44);
  EXPECT_EQ(fixed.crop_y, 140); // 704 x 396 -> rows 140 .. 396
  EXPECT_EQ(fixed.crop_x, 0);
  const auto kitti = sqs::fixed_image_augmentation({.height = 384, .width = 1280}, 370, 1226);
  EXPECT_EQ(kitti.crop_y, 2); // 1280 x 386 -> rows 2 .. 386
}

TEST(augment_image, wrong_calls_are_named) {
  EXPECT_THAT(message_of([] { sqs::resized(image(), 3, 4); }),
              HasSubstr("sqs::resized: from 0 x 0 to 3 x 4 pixels; give positive sizes"));
  EXPECT_THAT(message_of([] { sqs::draw_image_augmentation({.resize_low = 2, .resize_high = 1}, 9, 9, {}); }),
              HasSubstr("at a scale of 2 to 1; give positive sizes and scales in order"));
}

} // namespace augment_image_test

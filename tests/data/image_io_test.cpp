// SPDX-License-Identifier: Apache-2.0
#include "../support/scratch.hpp"

#include <sqs/data/image_io.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace image_io_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

sqs::image gradient(int height, int width) {
  sqs::image i(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      i.at(y, x)[0] = static_cast<std::uint8_t>(255 * x / width);
      i.at(y, x)[1] = static_cast<std::uint8_t>(255 * y / height);
      i.at(y, x)[2] = 60;
    }
  }
  return i;
}

TEST(image_io, png_is_lossless_and_repeatable) {
  const auto i = gradient(33, 47);
  const auto file = sqs::encode_png(i);
  EXPECT_EQ(sqs::decode_png(file, "x.png"), i);
  EXPECT_EQ(sqs::encode_png(i), file);
  const sqs::test::scratch_folder folder;
  const auto path = folder / "x.png";
  sqs::write_png(path, i);
  EXPECT_EQ(sqs::read_png(path), i);
}

TEST(image_io, jpeg_keeps_size_and_colour_order) {
  const auto i = gradient(48, 80);
  const auto back = sqs::decode_jpeg(sqs::encode_jpeg(i, 95), "x.jpg");
  ASSERT_EQ(back.height, 48);
  ASSERT_EQ(back.width, 80);
  for (std::size_t k = 0; k < i.pixels.size(); ++k) {
    ASSERT_NEAR(static_cast<int>(back.pixels[k]), static_cast<int>(i.pixels[k]), 12) << k;
  }
}

TEST(image_io, every_truncation_of_a_jpeg_is_an_error_that_names_the_file) {
  const auto file = sqs::encode_jpeg(gradient(64, 64));
  for (std::size_t n = 0; n + 2 <= file.size(); n += n < 700 ? 7 : 1) {
    EXPECT_THAT([&] { sqs::decode_jpeg(std::span(file).first(n), "cam/front.jpg"); },
                ThrowsMessage<sqs::file_error>(
                    AllOf(HasSubstr("sqs::decode_jpeg: cam/front.jpg ("), HasSubstr("cannot be decoded: "))))
        << n << " of " << file.size();
  }
  EXPECT_THAT([&] { sqs::decode_jpeg(std::span(file).first(file.size() / 2 + 300), "a.jpg"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("Premature end of JPEG file")));
}

TEST(image_io, every_truncation_of_a_png_is_an_error_that_names_the_file) {
  const auto file = sqs::encode_png(gradient(16, 16));
  for (std::size_t n = 0; n + 13 <= file.size(); ++n) { // the last 12 bytes are the end mark
    EXPECT_THAT([&] { sqs::decode_png(std::span(file).first(n), "a.png"); },
                ThrowsMessage<sqs::file_error>(HasSubstr("sqs::decode_png: a.png (")))
        << n << " of " << file.size();
  }
}

TEST(image_io, a_file_of_another_kind_is_an_error) {
  const auto png = sqs::encode_png(gradient(4, 4));
  EXPECT_THAT([&] { sqs::decode_jpeg(png, "a.jpg"); }, ThrowsMessage<sqs::file_error>(HasSubstr("Not a JPEG file")));
  EXPECT_THAT([&] { sqs::decode_png(sqs::encode_jpeg(gradient(4, 4)), "a.png"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("a.png")));
}

TEST(image_io, a_huge_header_is_refused_before_memory_is_taken) {
  auto jpeg = sqs::encode_jpeg(gradient(16, 16));
  for (std::size_t k = 0; k + 9 < jpeg.size(); ++k) { // the size lies 5 bytes behind the start-of-frame mark
    if (jpeg[k] == std::byte{0xFF} && jpeg[k + 1] == std::byte{0xC0}) {
      for (std::size_t b = 5; b < 9; ++b) { jpeg[k + b] = std::byte{0xFD}; }
      break;
    }
  }
  EXPECT_THAT([&] { sqs::decode_jpeg(jpeg, "big.jpg"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("big.jpg has 65021 x 65021 pixels, outside 1 .. 67108864; raise "
                                                       "limits::image_pixels")));
  const auto png = sqs::encode_png(gradient(100, 100));
  EXPECT_THAT([&] { sqs::decode_png(png, "big.png", {.image_pixels = 9999}); },
              ThrowsMessage<sqs::file_error>(HasSubstr("big.png has 100 x 100 pixels, outside 1 .. 9999")));
}

/// A progressive JPEG whose last scan is repeated `copies` times.
std::vector<std::byte> many_scans(int copies) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = info.image_height = 8;
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  std::array<JSAMPLE, 8> line{0, 250, 0, 250, 0, 250, 0, 250};
  JSAMPROW row = line.data();
  while (info.next_scanline < 8) { jpeg_write_scanlines(&info, &row, 1); }
  jpeg_finish_compress(&info);
  std::vector<std::byte> file(size);
  std::memcpy(file.data(), buffer, size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  std::size_t scan = 0;
  for (std::size_t k = 0; k + 1 < file.size(); ++k) {
    if (file[k] == std::byte{0xFF} && file[k + 1] == std::byte{0xDA}) { scan = k; }
  }
  const std::vector<std::byte> last(file.begin() + static_cast<std::ptrdiff_t>(scan), file.end() - 2);
  for (int c = 0; c < copies; ++c) { file.insert(file.end() - 2, last.begin(), last.end()); }
  return file;
}

TEST(image_io, a_jpeg_of_many_scans_is_refused) {
  EXPECT_NO_THROW(sqs::decode_jpeg(many_scans(0), "p.jpg"));
  EXPECT_THAT([] { sqs::decode_jpeg(many_scans(10'000), "bomb.jpg"); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("bomb.jpg"), HasSubstr("more than 100 scans"))));
}

TEST(image_io, depth_colours_darken_with_distance_and_nothing_is_black) {
  std::vector<float> d{0};
  for (int k = 0; k <= 20; ++k) {
    d.push_back(std::pow(60.0f, static_cast<float>(k) / 20));
  } // 1 .. 60 m, evenly in log
  d.push_back(1000);
  const int n = static_cast<int>(d.size());
  const auto i = sqs::colour_depth(d, 1, n);
  EXPECT_EQ(i.at(0, 0)[0] + i.at(0, 0)[1] + i.at(0, 0)[2], 0);
  EXPECT_THAT(std::vector<int>(i.at(0, 1), i.at(0, 1) + 3), testing::ElementsAre(253, 231, 37));
  EXPECT_THAT(std::vector<int>(i.at(0, 21), i.at(0, 21) + 3), testing::ElementsAre(68, 1, 84));
  EXPECT_TRUE(std::equal(i.at(0, 21), i.at(0, 21) + 3, i.at(0, 22))) << "farther than far looks like far";
  const auto brightness = [&](int x) {
    return 0.2126 * i.at(0, x)[0] + 0.7152 * i.at(0, x)[1] + 0.0722 * i.at(0, x)[2];
  };
  for (int x = 1; x < 21; ++x) { EXPECT_GT(brightness(x), brightness(x + 1)) << x; }
  EXPECT_THROW(sqs::colour_depth(d, 1, 3), sqs::precondition_error);
}

} // namespace image_io_test

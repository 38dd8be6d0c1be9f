// SPDX-License-Identifier: Apache-2.0
// Pictures as other programs write them: every kind of PNG, and JPEG files of other settings.
#include <sqs/data/image_io.hpp>

#include "../support/check.hpp"

#include <zlib.h>

namespace foreign_images_test {

using sqs::test::message_of;
using ::testing::HasSubstr;

std::string big_endian(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}
std::string chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  const auto* first = reinterpret_cast<const Bytef*>(body.data());
  return big_endian(static_cast<std::uint32_t>(data.size())) + body +
         big_endian(static_cast<std::uint32_t>(crc32(0, first, static_cast<uInt>(body.size()))));
}
/// `rows` are the filtered rows: a zero byte, then the pixels.
std::vector<std::byte> png(int height, int width, int bits, int kind, const std::string& rows, const std::string& extra,
                           bool interlaced = false) {
  std::string head = big_endian(static_cast<std::uint32_t>(width)) + big_endian(static_cast<std::uint32_t>(height));
  head += {static_cast<char>(bits), static_cast<char>(kind), 0, 0, static_cast<char>(interlaced)};
  std::string packed(compressBound(rows.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  const std::string file =
      "\x89PNG\r\n\x1a\n" + chunk("IHDR", head) + extra + chunk("IDAT", packed) + chunk("IEND", "");
  const auto bytes = sqs::bytes_of(file);
  return {bytes.begin(), bytes.end()};
}
std::vector<int> pixels(const sqs::image& p) { return {p.pixels.begin(), p.pixels.end()}; }

TEST(foreign_images, png_of_every_kind) {
  using list = std::vector<int>;
  const auto read = [](const std::vector<std::byte>& file) { return pixels(sqs::decode_png(file, "a.png")); };
  const auto text = [](std::initializer_list<int> bytes) {
    std::string s;
    for (const int b : bytes) { s += static_cast<char>(b); }
    return s;
  };
  EXPECT_EQ(read(png(1, 2, 8, 0, text({0, 7, 250}), "")), (list{7, 7, 7, 250, 250, 250}));              // grey
  EXPECT_EQ(read(png(1, 3, 1, 0, text({0, 0xA0}), "")), (list{255, 255, 255, 0, 0, 0, 255, 255, 255})); // 1 bit
  EXPECT_EQ(read(png(1, 2, 4, 0, text({0, 0x2F}), "")), (list{34, 34, 34, 255, 255, 255}));             // 4 bits
  EXPECT_EQ(read(png(1, 2, 8, 3, text({0, 1, 0}), chunk("PLTE", text({1, 2, 3, 40, 50, 60})))),
            (list{40, 50, 60, 1, 2, 3}));                                                                   // palette
  EXPECT_EQ(read(png(1, 2, 8, 6, text({0, 9, 8, 7, 255, 200, 100, 50, 0}), "")), (list{9, 8, 7, 0, 0, 0})); // alpha
  EXPECT_EQ(read(png(1, 2, 8, 4, text({0, 9, 255, 200, 0}), "")), (list{9, 9, 9, 0, 0, 0}));
  // 16 bits are the same picture more finely: 200 * 257, 30 * 257, and less than half a step.
  EXPECT_EQ(read(png(1, 1, 16, 2, text({0, 200, 200, 30, 30, 0, 127}), "")), (list{200, 30, 0}));
  EXPECT_EQ(read(png(1, 2, 16, 0, text({0, 77, 77, 0xFF, 0xFF}), "")), (list{77, 77, 77, 255, 255, 255}));
  EXPECT_EQ(read(png(1, 1, 16, 2, text({0, 200, 200, 30, 30, 0, 127}), chunk("sRGB", text({0})))), (list{200, 30, 0}));
}

TEST(foreign_images, an_interlaced_png_is_the_same_picture) {
  sqs::image picture(5, 7);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) { picture.pixels[i] = static_cast<std::uint8_t>(2 * i); }
  std::string rows;
  constexpr std::array<std::array<int, 4>, 7> passes{
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  for (const auto& [x0, y0, dx, dy] : passes) {
    for (int y = y0; y < picture.height && x0 < picture.width; y += dy) {
      rows += '\0';
      for (int x = x0; x < picture.width; x += dx) { rows.append(reinterpret_cast<const char*>(picture.at(y, x)), 3); }
    }
  }
  EXPECT_EQ(sqs::decode_png(png(5, 7, 8, 2, rows, "", true), "a.png"), picture);
}

/// A picture whose left half is red and whose right half is blue.
sqs::image two_halves() {
  sqs::image p(16, 32);
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 32; ++x) {
      const std::array<std::uint8_t, 3> c =
          x < 16 ? std::array<std::uint8_t, 3>{200, 30, 30} : std::array<std::uint8_t, 3>{30, 30, 200};
      std::copy(c.begin(), c.end(), p.at(y, x));
    }
  }
  return p;
}
enum class settings { progressive, full_chroma, grey, cmyk, restarts };

std::vector<std::byte> jpeg(settings how) {
  const auto picture = two_halves();
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = 32, info.image_height = 16;
  info.input_components = how == settings::cmyk ? 4 : how == settings::grey ? 1 : 3;
  info.in_color_space = how == settings::cmyk ? JCS_CMYK : how == settings::grey ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (how == settings::progressive) { jpeg_simple_progression(&info); }
  if (how == settings::full_chroma) { info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1; }
  if (how == settings::restarts) { info.restart_interval = 1; }
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    const std::uint8_t* from = picture.at(static_cast<int>(info.next_scanline), 0);
    std::vector<JSAMPLE> line;
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < info.input_components; ++c) { line.push_back(c < 3 ? from[3 * x + c] : JSAMPLE{0}); }
    }
    JSAMPROW row = line.data();
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  const auto* first = reinterpret_cast<const std::byte*>(buffer);
  std::vector<std::byte> out(first, first + size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return out;
}

TEST(foreign_images, jpeg_of_other_settings) {
  for (const auto how : {settings::progressive, settings::full_chroma, settings::restarts}) {
    const auto p = sqs::decode_jpeg(jpeg(how), "a.jpg");
    ASSERT_EQ(p.width, 32);
    EXPECT_NEAR(p.at(3, 3)[0], 200, 4) << static_cast<int>(how);
    EXPECT_NEAR(p.at(12, 28)[2], 200, 4) << static_cast<int>(how);
    EXPECT_NEAR(p.at(12, 28)[0], 30, 4) << static_cast<int>(how);
  }
  const auto grey = sqs::decode_jpeg(jpeg(settings::grey), "a.jpg");
  EXPECT_NEAR(grey.at(3, 3)[1], 200, 3); // the first colour was given as grey
  EXPECT_EQ(grey.at(3, 3)[0], grey.at(3, 3)[2]);
  EXPECT_EQ(message_of([] { sqs::decode_jpeg(jpeg(settings::cmyk), "dir/a.jpg"); }),
            "sqs::decode_jpeg: dir/a.jpg has four colour planes (CMYK); save it as RGB");
}

TEST(foreign_images, a_rotation_in_exif_moves_no_pixel) {
  const auto plain = sqs::encode_jpeg(two_halves());
  // APP1 with one entry: orientation 6, a quarter turn.
  const std::string exif("\xFF\xE1\x00\x22"
                         "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
                         36);
  auto turned = plain;
  const auto segment = sqs::bytes_of(exif);
  turned.insert(turned.begin() + 2, segment.begin(), segment.end());
  EXPECT_EQ(sqs::decode_jpeg(turned, "a.jpg"), sqs::decode_jpeg(plain, "a.jpg"));
}

TEST(foreign_images, empty_and_disguised_files_are_named) {
  EXPECT_EQ(message_of([] { sqs::decode_png({}, "dir/a.png"); }),
            "sqs::decode_png: dir/a.png (0 bytes) is empty; fetch it again");
  EXPECT_THAT(message_of([] { sqs::decode_jpeg({}, "dir/a.jpg"); }),
              HasSubstr("dir/a.jpg (0 bytes) cannot be decoded: "));
  const auto picture = two_halves();
  EXPECT_THAT(message_of([&] { sqs::decode_jpeg(sqs::encode_png(picture), "a.jpg"); }),
              HasSubstr("Not a JPEG file: starts with 0x89 0x50"));
  EXPECT_THAT(message_of([&] { sqs::decode_png(sqs::encode_jpeg(picture), "a.png"); }), HasSubstr("Not a PNG file"));
}

} // namespace foreign_images_test

// SPDX-License-Identifier: Apache-2.0
// PNG files that are whole and those that are not, told apart without their pixels in memory.
#include <sqs/data/detail/png_file.hpp>
#include <sqs/data/image_io.hpp>

#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace png_file_test {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const sqs::test::scratch_folder folder;
const fs::path file = folder / "x.png";

const std::string good = "no error"; // as message_of has it

/// What is said of a file of these bytes.
std::string said_of(const std::string& bytes, bool all = true) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  const auto message = sqs::test::message_of([&] { sqs::detail::require_whole_png(file, {}, all); });
  return message;
}

std::string word(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}
std::string chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return word(static_cast<std::uint32_t>(data.size())) + body + word(static_cast<std::uint32_t>(sum));
}
/// A PNG whose pixels, with a byte for each row, are `bytes` zeros.
std::string png(std::uint32_t width, std::uint32_t height, int depth, int colour, int interlace, std::size_t bytes) {
  const std::string raw(bytes, '\0');
  std::string packed(compressBound(static_cast<uLong>(bytes)), '\0');
  auto size = static_cast<uLongf>(packed.size());
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
           static_cast<uLong>(bytes));
  packed.resize(size);
  const std::string header = word(width) + word(height) + static_cast<char>(depth) + static_cast<char>(colour) +
                             std::string(2, '\0') + static_cast<char>(interlace);
  const auto half = packed.size() / 2; // in two pieces, as encoders do
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("tEXt", "a note") + chunk("IDAT", packed.substr(0, half)) +
         chunk("IDAT", packed.substr(half)) + chunk("IEND", "");
}

TEST(png_file, whole_ones_of_every_kind) {
  sqs::image picture(37, 53);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) { picture.pixels[i] = static_cast<std::uint8_t>(i * i); }
  EXPECT_EQ(said_of(sqs::text_of(sqs::encode_png(picture))), good);
  EXPECT_EQ(said_of(png(5, 3, 8, 0, 0, 18)), good); // grey: 3 rows of 1 + 5
  EXPECT_EQ(said_of(png(5, 3, 1, 0, 0, 6)), good);  // one bit: 3 rows of 1 + 1
  EXPECT_EQ(said_of(png(5, 3, 16, 6, 0, 123)), good);
  EXPECT_EQ(said_of(png(5, 3, 4, 3, 0, 12)), good);
  // Interlaced: seven passes of 1, 1, 0, 1, 1, 2, 1 rows that hold 1, 1, 0, 1, 3, 2, 5 pixels.
  EXPECT_EQ(said_of(png(5, 3, 8, 0, 1, 22)), good);
  EXPECT_EQ(said_of(png(1, 1, 8, 2, 1, 4)), good);
}

TEST(png_file, pixels_too_few_or_too_many) {
  EXPECT_THAT(said_of(png(5, 3, 8, 0, 0, 17)),
              AllOf(HasSubstr(file.string()), HasSubstr("lacks 1 bytes of its pixels")));
  EXPECT_THAT(said_of(png(5, 3, 8, 0, 0, 19)), HasSubstr("has pixels that cannot be unpacked"));
  EXPECT_THAT(said_of(png(5, 3, 8, 0, 1, 21)), HasSubstr("lacks 1 bytes of its pixels"));
  EXPECT_THAT(said_of(png(5, 4, 8, 0, 0, 18)), HasSubstr("lacks 6 bytes of its pixels"));
}

TEST(png_file, claims_are_not_believed) {
  EXPECT_THAT(said_of(png(0x7FFFFFFF, 0x7FFFFFFF, 16, 6, 0, 18)), HasSubstr("has a header of 2147483647 x 2147483647"));
  EXPECT_THAT(said_of(png(60'000, 60'000, 8, 2, 0, 18)), HasSubstr("lacks 10800059982 bytes of its pixels"));
  EXPECT_THAT(said_of(png(100'000, 100'000, 8, 2, 0, 18)), HasSubstr("has a header of 100000 x 100000"));
  EXPECT_THAT(said_of(png(0, 3, 8, 0, 0, 18)), HasSubstr("has a header of 0 x 3 pixels"));
  EXPECT_THAT(said_of(png(5, 3, 7, 0, 0, 18)), HasSubstr("of kind 0 with 7 bits"));
  EXPECT_THAT(said_of(png(5, 3, 8, 1, 0, 18)), HasSubstr("of kind 1 with 8 bits"));
  auto longer = png(5, 3, 8, 0, 0, 18);
  longer.replace(8, 4, word(0xFFFFFFFF));
  EXPECT_THAT(said_of(longer), HasSubstr("has a chunk of 4294967295 bytes"));
}

TEST(png_file, every_cut_and_every_changed_byte_is_seen) {
  const auto whole = png(40, 30, 8, 2, 0, 30 * 121);
  ASSERT_EQ(said_of(whole), good);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_THAT(said_of(whole.substr(0, n)), HasSubstr(file.string())) << n;
    for (const char change : {'\x01', '\x80'}) {
      auto bad = whole;
      bad[n] = static_cast<char>(bad[n] ^ change);
      EXPECT_THAT(said_of(bad), HasSubstr(file.string())) << n;
    }
  }
  EXPECT_EQ(said_of(whole + "and more"), good); // as every reader has it
}

TEST(png_file, at_a_glance) {
  const auto whole = png(5, 3, 8, 0, 0, 18);
  EXPECT_EQ(said_of(whole, false), good);
  for (const auto& bad : {std::string(), std::string(300, '\0'), whole.substr(0, whole.size() - 1), "x" + whole}) {
    EXPECT_THAT(said_of(bad, false), HasSubstr("does not begin and end as a PNG does"));
  }
}

} // namespace png_file_test

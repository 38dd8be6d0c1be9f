// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/bytes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace bytes_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> b;
  for (const int v : values) { b.push_back(static_cast<std::byte>(v)); }
  return b;
}

TEST(bytes, reads_little_endian_values_in_order) {
  const auto data = bytes({1, 2, 0, 0, 0, 0x80, 0x3f, 7, 8});
  sqs::byte_reader r(data, "a.bin");
  EXPECT_EQ(r.read<std::uint8_t>("first"), 1);
  EXPECT_EQ(r.read<std::uint16_t>("second"), 2);
  EXPECT_EQ(r.read<float>("third"), 1.0f);
  EXPECT_EQ(r.left(), 2u);
  EXPECT_EQ(r.read_vector<std::uint8_t>(2, "rest"), (std::vector<std::uint8_t>{7, 8}));
  EXPECT_EQ(r.left(), 0u);
  EXPECT_TRUE(r.read_vector<float>(0, "nothing").empty());
}

TEST(bytes, a_missing_value_names_path_offset_field_and_sizes) {
  const auto data = bytes({1, 2, 3});
  sqs::byte_reader r(data, "cut.bin");
  r.read<std::uint8_t>("head");
  EXPECT_THAT([&] { r.read<std::uint32_t>("count"); },
              ThrowsMessage<sqs::file_error>("sqs::read: cut.bin at byte 1: count needs 4 bytes but only 2 of 3 are "
                                             "left; the file is cut short or its header is wrong"));
  EXPECT_EQ(r.offset(), 1u);
}

TEST(bytes, a_length_near_2_to_the_64_neither_wraps_nor_allocates) {
  const auto data = bytes({0, 0, 0, 0, 0, 0, 0, 0});
  sqs::byte_reader r(data, "huge.bin");
  r.seek(4, "start");
  EXPECT_THROW(r.take(0xFFFF'FFFF'FFFF'FFFCull, "header"), sqs::file_error);
  EXPECT_THROW(r.read_vector<double>(std::uint64_t{1} << 61, "values"), sqs::file_error);
  EXPECT_THROW(r.read_vector<double>(std::uint64_t{1} << 50, "values"), sqs::file_error);
}

TEST(bytes, products_sums_and_narrowing_are_checked) {
  const sqs::byte_reader r({}, "x.bin");
  EXPECT_EQ(r.mul(6, 7, "n"), 42u);
  EXPECT_THAT(
      [&] { r.mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32, "shape"); },
      ThrowsMessage<sqs::file_error>(HasSubstr("shape is 4294967296 x 4294967296, which does not fit 64 bits")));
  EXPECT_EQ(r.add(1, 2, "n"), 3u);
  EXPECT_THAT([&] { r.add(~0ull, 1, "end"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("end is 18446744073709551615 + 1")));
  EXPECT_EQ((r.narrow<std::int32_t>(std::int64_t{-5}, "n")), -5);
  EXPECT_THAT([&] { r.narrow<std::uint32_t>(std::int64_t{-1}, "count"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("count is -1, outside 0 .. 4294967295")));
}

TEST(bytes, a_limit_names_the_member_to_raise) {
  const sqs::byte_reader r({}, "x.bin");
  r.limit(8, 8, "rank", "rank");
  EXPECT_THAT([&] { r.limit(9, 8, "rank of 'w'", "rank"); },
              ThrowsMessage<sqs::file_error>(
                  HasSubstr("rank of 'w' is 9, above the limit of 8; raise limits::rank if this file is genuine")));
}

TEST(bytes, seeking_past_the_end_is_an_error) {
  const auto data = bytes({1, 2, 3});
  sqs::byte_reader r(data, "s.bin");
  r.seek(3, "end");
  EXPECT_EQ(r.left(), 0u);
  EXPECT_THAT([&] { r.seek(4, "directory"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("directory points to byte 4 of a file of 3 bytes")));
}

TEST(bytes, crc32_matches_the_published_check_value_and_can_be_fed_in_pieces) {
  const std::string check = "123456789";
  EXPECT_EQ(sqs::crc32_of(sqs::bytes_of(check)), 0xCBF43926u);
  EXPECT_EQ(sqs::crc32_of({}), 0u);
  std::string text;
  for (int i = 0; i < 1000; ++i) { text += static_cast<char>(i * 7); }
  for (const std::size_t cut : {0u, 1u, 7u, 8u, 9u, 500u, 1000u}) {
    sqs::crc32_sum sum;
    sum.add(sqs::bytes_of(text).first(cut));
    sum.add(sqs::bytes_of(text).subspan(cut));
    EXPECT_EQ(sum.value(), sqs::crc32_of(sqs::bytes_of(text))) << cut;
  }
}

} // namespace bytes_test

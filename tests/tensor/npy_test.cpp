// SPDX-License-Identifier: Apache-2.0
#include <sqs/tensor/npy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace npy_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::byte> raw(const std::string& header, std::size_t data_bytes) {
  std::string s("\x93NUMPY\x01\x00", 8);
  s += static_cast<char>(header.size() & 255);
  s += static_cast<char>(header.size() >> 8);
  s += header + std::string(data_bytes, '\1');
  const auto b = sqs::bytes_of(s);
  return {b.begin(), b.end()};
}
std::vector<std::byte> with_shape(const std::string& shape, std::size_t bytes) {
  return raw("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n", bytes);
}
void rejects(const std::vector<std::byte>& file, const std::string& why) {
  EXPECT_THAT([&] { sqs::decode_npy(file, "a.npy"); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("sqs::read: a.npy at byte "), HasSubstr(why))));
}

TEST(npy, reads_what_numpy_writes) {
  // np.save of np.array([[1, 2, 3]], dtype='<i2')
  const auto t =
      sqs::decode_npy(raw("{'descr': '<i2', 'fortran_order': False, 'shape': (1, 3), }          \n", 6), "a");
  EXPECT_EQ(t.dtype, "I16");
  EXPECT_EQ(t.shape, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ((sqs::to_tensor<std::int16_t, 2>(t, "a"))(0, 2), 0x0101);
  EXPECT_TRUE(sqs::decode_npy(raw("{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", 1), "a").shape.empty());
  EXPECT_EQ(sqs::decode_npy(with_shape("(0, 5)", 0), "a").data.size(), 0u);
}

TEST(npy, fortran_order_is_turned_into_rows) {
  // np.save of np.asfortranarray(np.arange(6, dtype='u1').reshape(2, 3)), and of a transposed array of three axes.
  auto file = raw("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", 6);
  const unsigned char columns[] = {0, 3, 1, 4, 2, 5};
  std::memcpy(file.data() + file.size() - 6, columns, 6);
  const auto t = sqs::decode_npy(file, "a");
  for (std::size_t i = 0; i < 6; ++i) { EXPECT_EQ(std::to_integer<std::size_t>(t.data[i]), i); }
  EXPECT_EQ(t.shape, (std::vector<std::int64_t>{2, 3}));
  auto cube = raw("{'descr': '<u2', 'fortran_order': True, 'shape': (2, 3, 4), }\n", 48);
  for (std::uint16_t i = 0; i < 24; ++i) { std::memcpy(cube.data() + cube.size() - 48 + 2 * i, &i, 2); }
  const auto c = sqs::to_tensor<std::uint16_t, 3>(sqs::decode_npy(cube, "a"), "a");
  for (std::uint16_t x = 0; x < 2; ++x) {
    for (std::uint16_t y = 0; y < 3; ++y) {
      for (std::uint16_t z = 0; z < 4; ++z) { EXPECT_EQ(c(x, y, z), x + 2 * y + 6 * z); }
    }
  }
  EXPECT_EQ(sqs::decode_npy(raw("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 5), }\n", 0), "a").data.size(),
            0u);
  rejects(raw("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 20), "takes 24 bytes but 20 follow");
}

TEST(npy, round_trip_is_aligned_and_keeps_every_type) {
  for (const auto& [numpy, dtype] : sqs::detail::npy_types) {
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, {3}, {2, 3}, {0, 4}}) {
      std::size_t bytes = sqs::detail::dtype_bytes(dtype);
      for (const auto d : shape) { bytes *= static_cast<std::size_t>(d); }
      const sqs::stored_tensor t{std::string(dtype), shape, std::vector<std::byte>(bytes, std::byte{3})};
      const auto file = sqs::encode_npy(t);
      EXPECT_EQ((file.size() - bytes) % 64, 0u);
      EXPECT_EQ(sqs::decode_npy(file, "a"), t) << dtype;
    }
  }
}

TEST(npy, hostile_files_are_refused) {
  rejects(with_shape("(4294967296, 4294967296)", 0), "does not fit 64 bits");      // H2
  rejects(with_shape("(-1,)", 4), "shape holds something else than counts");       // H3
  rejects(with_shape("(2,)", 4), "F32 [2] takes 8 bytes but 4 follow the header"); // H4
  rejects(with_shape("(1,)", 5), "F32 [1] takes 4 bytes but 5 follow the header");
  rejects(with_shape("(9223372036854775807,)", 4), "does not fit 64 bits"); // H6
  rejects(with_shape("(92233720368547758070,)", 4), "shape holds something else than counts");
  rejects(with_shape("(1,1,1,1,1,1,1,1,1)", 4),
          "the number of dimensions is 9, above the limit of 8; raise limits::rank");
  rejects(with_shape("(1", 4), "shape holds something else than counts");
  rejects(raw("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4), "descr is '>f4'; only little-endian");
  rejects(raw("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 4), "descr is '|O'");
  rejects(raw("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4), "descr is a structured type");
  rejects(raw("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }", 4), "neither True nor False");
  rejects(raw("{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }", 4),
          "header key 'descr' is unknown or occurs twice"); // H11
  rejects(raw("{'descr': '<f4', 'evil': 1, 'shape': (1,), }", 4), "header key 'evil' is unknown or occurs twice");
  rejects(raw("{'descr': '<f4', 'shape': (1,), }", 4), "the header lacks descr, fortran_order or shape");
  rejects(raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", 4),
          "text behind the header's closing brace");
  rejects(raw("{'descr", 4), "endless string");
  rejects(raw("", 4), "the header has no '{'");
  auto file = with_shape("(1,)", 4);
  file[6] = std::byte{9};
  rejects(file, "the format version is 9");
  file[0] = std::byte{0};
  rejects(file, "does not start with");
  file = with_shape("(1,)", 4);
  for (std::size_t n = 0; n < file.size(); ++n) {
    EXPECT_THROW(sqs::decode_npy(std::span(file).first(n), "a"), sqs::file_error) << n;
  }
  // Version 2 with a header length near 2^32 (H1).
  std::string long_header("\x93NUMPY\x02\x00\xfc\xff\xff\xff{}", 14);
  EXPECT_THAT(
      [&] { sqs::decode_npy(sqs::bytes_of(long_header), "a.npy"); },
      ThrowsMessage<sqs::file_error>(HasSubstr("the header's length is 4294967292, above the limit of 100000000")));
}

TEST(npy, reads_headers_that_others_write) {
  const auto same = [](const std::string& header, const char* dtype, std::size_t bytes) {
    const auto t = sqs::decode_npy(raw(header, bytes), "a.npy");
    EXPECT_EQ(t.dtype, dtype) << header;
    EXPECT_EQ(t.shape, (std::vector<std::int64_t>{2})) << header;
  };
  const std::string rest = ", 'fortran_order': False, 'shape': (2,), }";
  for (const char* mark : {"<", ">", "=", "|"}) { // of one byte the order says nothing
    same(sqs::concat("{'descr': '", mark, "u1'", rest), "U8", 2);
    same(sqs::concat("{'descr': '", mark, "i1'", rest), "I8", 2);
    same(sqs::concat("{'descr': '", mark, "b1'", rest), "BOOL", 2);
  }
  rejects(raw("{'descr': 'u1'" + rest, 2), "descr is 'u1'");
  rejects(raw("{'descr': '<u1 '" + rest, 2), "descr is '<u1 '");
  rejects(raw("{'descr': '=f4'" + rest, 8), "descr is '=f4'"); // of the machine that wrote it, whichever that was
  same(R"({"descr": "<f4", "fortran_order": False, "shape": (2,)})", "F32", 8);
  same("{'descr':\t'<f4',\r\n'fortran_order': False, 'shape': (2L,), }\n", "F32", 8);
  rejects(raw(R"({"descr': '<f4', 'fortran_order': False, 'shape': (2,)})", 8), "endless string");
  rejects(raw(R"({"descr": "<f4", "fortran_order": false, "shape": [2]})", 8), "neither True nor False"); // JSON
}

TEST(npy, misuse_is_explained) {
  EXPECT_THAT(
      [] {
        sqs::encode_npy({"BF16", {1}, std::vector<std::byte>(2)});
      },
      ThrowsMessage<sqs::precondition_error>(HasSubstr("NumPy has no type for BF16; convert to F32 first")));
}

TEST(npy, reads_published_anchors) {
  const char* given = std::getenv("SQS_DATA_DIR");
  const auto path =
      std::filesystem::path(given != nullptr ? given : SQS_TEST_DATA_DIR) / "sparsedrive-anchors/kmeans_plan_6.npy";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is absent"; }
  const auto t = sqs::read_npy(path);
  const auto plan = sqs::to_tensor<float, 4>(t, "plan");
  EXPECT_EQ(plan.shape(), (sqs::extents<4>{3, 6, 6, 2}));
  EXPECT_EQ(plan(0, 0, 0, 0), 0.14773485f); // as NumPy reads them
  EXPECT_EQ(plan(2, 5, 5, 1), 20.55233f);
  double sum = 0;
  for (const float v : plan) { sum += v; }
  EXPECT_NEAR(sum, 1115.1591024566442, 1e-9);
}

} // namespace npy_test

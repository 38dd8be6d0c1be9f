// SPDX-License-Identifier: Apache-2.0
#include "../support/scratch.hpp"

#include <sqs/tensor/safetensors.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

namespace safetensors_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
namespace fs = std::filesystem;

struct temporary_path {
  const sqs::test::scratch_folder folder;
  const fs::path path = folder / "x.safetensors";
};

/// A file from a header and a data section, both as given.
std::vector<std::byte> raw(const std::string& header, std::size_t data_bytes) {
  std::string s(8, '\0');
  const std::uint64_t n = header.size();
  std::memcpy(s.data(), &n, 8);
  s += header + std::string(data_bytes, '\1');
  const auto b = sqs::bytes_of(s);
  return {b.begin(), b.end()};
}

void rejects(const std::vector<std::byte>& file, const std::string& why, const sqs::limits& most = {}) {
  EXPECT_THAT([&] { sqs::decode_safetensors(file, "m.safetensors", most); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("m.safetensors"), HasSubstr(why))));
}

sqs::safetensors_file example() {
  sqs::safetensors_file f;
  auto w = sqs::make_tensor<float, 2>({2, 3});
  for (sqs::idx i = 0; i < 6; ++i) { w.data()[i] = 0.5f * static_cast<float>(i); }
  w(1, 2) = std::numeric_limits<float>::quiet_NaN();
  f.tensors["b.weight"] = sqs::from_tensor(w);
  f.tensors["a.step"] = sqs::from_tensor(sqs::make_tensor<std::int64_t, 0>({}, 41));
  f.tensors["mask"] = sqs::from_tensor(sqs::make_tensor<std::uint8_t, 1>({3}, 7));
  f.tensors["none"] = sqs::from_tensor(sqs::make_tensor<double, 2>({0, 5}));
  f.metadata = {{"epoch", "3"}, {"note", "a \"quoted\" \\ line\nwith \x01 and \xc3\xa9"}};
  return f;
}

TEST(safetensors, round_trip_keeps_every_bit) {
  const temporary_path t;
  const auto f = example();
  sqs::write_safetensors(t.path, f);
  const auto back = sqs::read_safetensors(t.path);
  EXPECT_EQ(back.tensors, f.tensors);
  EXPECT_EQ(back.metadata, f.metadata);
  const auto w = sqs::to_tensor<float, 2>(back.at("b.weight"), "b.weight");
  EXPECT_EQ(w(1, 1), 2.0f);
  EXPECT_TRUE(std::isnan(w(1, 2)));
  EXPECT_EQ((sqs::to_tensor<std::int64_t, 0>(back.at("a.step"), "a.step"))(), 41);
  EXPECT_EQ((sqs::to_tensor<double, 2>(back.at("none"), "none")).extent(1), 5);
}

TEST(safetensors, the_same_content_gives_the_same_aligned_bytes) {
  const temporary_path t;
  sqs::write_safetensors(t.path, example());
  const auto first = sqs::read_file(t.path);
  sqs::write_safetensors(t.path, example());
  EXPECT_EQ(sqs::read_file(t.path), first);
  const std::string text = sqs::text_of(first);
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_LT(text.find("\"a.step\":{"), text.find("\"none\":{"));   // 8 bytes each, by name
  EXPECT_LT(text.find("\"none\":{"), text.find("\"b.weight\":{")); // then 4
  EXPECT_LT(text.find("\"b.weight\":{"), text.find("\"mask\":{")); // then 1
}

TEST(safetensors, reads_a_file_of_another_writer) {
  const auto file = raw(R"({"x":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})", 8);
  const auto f = sqs::decode_safetensors(file, "m");
  EXPECT_EQ((sqs::to_tensor<std::int32_t, 1>(f.at("x"), "x"))(1), 0x01010101);
  EXPECT_TRUE(sqs::decode_safetensors(raw("{}", 0), "m").tensors.empty());
}

TEST(safetensors, any_flipped_bit_is_noticed) {
  const temporary_path t;
  sqs::write_safetensors(t.path, example());
  const auto good = sqs::read_file(t.path);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      auto bad = good;
      bad[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_THROW(sqs::decode_safetensors(bad, "m"), sqs::file_error) << "byte " << i << " bit " << bit;
    }
  }
  auto bad = good;
  bad[good.size() - 1] ^= std::byte{1};
  rejects(bad, "the check sum of the file is ");
}

TEST(safetensors, any_truncation_is_noticed) {
  const temporary_path t;
  sqs::write_safetensors(t.path, example());
  const auto good = sqs::read_file(t.path);
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(sqs::decode_safetensors(std::span(good).first(n), "m"), sqs::file_error) << n;
  }
}

TEST(safetensors, hostile_lengths_and_shapes_are_refused) {
  auto file = raw("{}", 0);
  const auto set_length = [&](std::uint64_t n) { std::memcpy(file.data(), &n, 8); };
  set_length(~0ull - 3); // H1
  rejects(file,
          "the header's length is 18446744073709551612, above the limit of 100000000; raise limits::header_bytes");
  set_length(99);
  rejects(file, "the header needs 99 bytes but only 2 of 10 are left");
  rejects({}, "the header's length needs 8 bytes");
  const auto with = [](const std::string& dtype, const std::string& shape, const std::string& offsets,
                       std::size_t bytes) {
    return raw(R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", bytes);
  };
  rejects(with(R"("F32")", "[4294967296,4294967296]", "[0,0]", 0), "does not fit 64 bits");        // H2
  rejects(with(R"("F32")", "[-1]", "[0,4]", 4), "field 'shape' holds something else than counts"); // H3
  rejects(with(R"("F32")", "[1]", "[4,0]", 4), "is not [begin, end] with begin <= end");
  rejects(with(R"("F32")", "[1]", "[-4,0]", 4), "field 'data_offsets' holds something else than counts");
  rejects(with(R"("F32")", "[2]", "[0,4]", 4), "field 'data_offsets' spans 4 bytes but F32 [2] takes 8"); // H4
  rejects(with(R"("F32")", "[1000000]", "[0,4000000]", 4), "in a data section of 4 bytes");               // H6
  rejects(with(R"("F32")", "[9223372036854775808]", "[0,4]", 4), "beyond 2^63 - 1");
  rejects(with(R"("F32")", "[1e999]", "[0,4]", 4), "number overflow");
  rejects(with(R"("F32")", "[NaN]", "[0,4]", 4), "invalid literal");
  rejects(with(R"("F32")", "[1.0]", "[0,4]", 4), "field 'shape' holds something else than counts");
  rejects(with(R"("F32")", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4), "shape is 9, above the limit of 8; raise limits::rank");
  rejects(with(R"("F31")", "[1]", "[0,4]", 4), "field 'dtype' is 'F31', which is unknown");
  rejects(with("7", "[1]", "[0,4]", 4), "field 'dtype' is an integer instead of a string");
  rejects(with(R"("F32")", "{}", "[0,4]", 4), "field 'shape' is not a list");
}

TEST(safetensors, holes_overlap_and_hidden_bytes_are_refused) { // H5
  const auto two = [](const std::string& a, const std::string& b, std::size_t bytes) {
    return raw(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                   R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
               bytes);
  };
  EXPECT_NO_THROW(sqs::decode_safetensors(two("[4,8]", "[0,4]", 8), "m"));
  rejects(two("[0,4]", "[5,9]", 9), "tensor 'b' has data_offsets [5, 9] where 4 was expected");
  rejects(two("[0,4]", "[3,7]", 7), "tensor 'b' has data_offsets [3, 7] where 4 was expected");
  rejects(two("[0,4]", "[0,4]", 4), "has data_offsets [0, 4] where 4 was expected");
  rejects(two("[0,4]", "[4,8]", 9), "the tensors end at byte 8 of a data section of 9 bytes");
  rejects(two("[1,5]", "[5,9]", 9), "where 0 was expected");
}

TEST(safetensors, hostile_json_is_refused) { // H11
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  rejects(raw(R"({"a":)" + entry + R"(,"a":)" + entry + "}", 0), "the key 'a' occurs twice");
  rejects(raw(std::string(100'000, '['), 0), "nests deeper than 32 levels; raise limits::json_depth");
  rejects(raw(R"({"a":{"a":1,"a":2}})", 0), "the key 'a' occurs twice");
  rejects(raw(R"({"\u0061":)" + entry + R"(,"a":)" + entry + "}", 0), "the key 'a' occurs twice");
  rejects(raw("{\"" + std::string(600, 'k') + "\":" + entry + "}", 0),
          "above the limit of 512; raise limits::name_bytes");
  rejects(raw("{\"\xff\xfe\":" + entry + "}", 0), "ill-formed UTF-8");
  rejects(raw("{} x", 0), "expected end of input");
  rejects(raw("[]", 0), "the header is a list instead of an object");
  rejects(raw(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}})", 0), "are not its three fields");
  rejects(raw(R"({"__metadata__":{"a":1}})", 0), "__metadata__ 'a' is an integer instead of a string");
  rejects(raw(R"({"__metadata__":[]})", 0), "__metadata__ is a list instead of an object");
  rejects(raw(R"({"a":)" + entry + R"(,"b":)" + entry + "}", 0), "the number of tensors is 2, above the limit of 1",
          {.tensors = 1});
}

TEST(safetensors, a_failed_save_leaves_the_old_file) {
  const temporary_path t;
  sqs::write_safetensors(t.path, example());
  auto changed = example();
  changed.metadata["epoch"] = "4";
  sqs::file_calls full;
  full.write = [](int, const void*, std::size_t) -> ssize_t {
    errno = ENOSPC;
    return -1;
  };
  EXPECT_THAT([&] { sqs::write_safetensors(t.path, changed, full); },
              ThrowsMessage<sqs::file_error>(HasSubstr("No space left on device")));
  EXPECT_EQ(sqs::read_safetensors(t.path).metadata.at("epoch"), "3");
}

TEST(safetensors, misuse_is_explained) {
  const auto f = example();
  EXPECT_THAT([&] { f.at("c"); },
              ThrowsMessage<sqs::file_error>(
                  "sqs::safetensors: there is no tensor 'c' among 4: a.step b.weight mask none; check "
                  "that the file belongs to this model"));
  EXPECT_THAT([&] { (sqs::to_tensor<double, 2>(f.at("b.weight"), "b.weight")); },
              ThrowsMessage<sqs::file_error>(HasSubstr("'b.weight' is F32 [2,3] but F64 of rank 2 was expected")));
  EXPECT_THAT([&] { (sqs::to_tensor<float, 1>(f.at("b.weight"), "b.weight")); },
              ThrowsMessage<sqs::file_error>(HasSubstr("'b.weight' is F32 [2,3] but F32 of rank 1 was expected")));
  const temporary_path t;
  sqs::safetensors_file bad;
  bad.tensors["x"] = {"F32", {2}, std::vector<std::byte>(4)};
  EXPECT_THAT([&] { sqs::write_safetensors(t.path, bad); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("tensor 'x' has 4 bytes but F32 [2] takes 8")));
  bad.tensors.clear();
  bad.metadata["sqs.crc32.x"] = "1";
  EXPECT_THAT([&] { sqs::write_safetensors(t.path, bad); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("the metadata key 'sqs.crc32.x' is reserved")));
  EXPECT_FALSE(fs::exists(t.path));
}

} // namespace safetensors_test

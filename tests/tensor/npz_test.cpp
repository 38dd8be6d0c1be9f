// SPDX-License-Identifier: Apache-2.0
#include <sqs/tensor/npz.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace npz_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

sqs::stored_tensor zeros(std::int64_t n) { return {"U8", {n}, std::vector<std::byte>(static_cast<std::size_t>(n))}; }

std::string deflated(std::span<const std::byte> bytes) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(bytes.size() + 1024, '\0');
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// What an archive of one entry says about it; each may lie.
struct entry {
  std::string name = "a.npy", packed;
  std::uint16_t method = 8, flags = 0;
  std::uint32_t crc = 0, packed_size = 0, size = 0, offset = 0;
};
entry honest(const sqs::stored_tensor& t) {
  const auto file = sqs::encode_npy(t);
  entry e{.packed = deflated(file), .crc = sqs::crc32_of(file), .size = static_cast<std::uint32_t>(file.size())};
  e.packed_size = static_cast<std::uint32_t>(e.packed.size());
  return e;
}
std::vector<std::byte> archive(const std::vector<entry>& entries, bool share = false) {
  using sqs::detail::put;
  std::string out, directory;
  for (auto e : entries) {
    if (!share) { e.offset += static_cast<std::uint32_t>(out.size()); }
    put<std::uint32_t>(directory, 0x02014b50);
    put<std::uint32_t>(directory, 0);
    for (std::string* to : {&directory, &out}) {
      if (to == &out) {
        put<std::uint32_t>(out, 0x04034b50);
        put<std::uint16_t>(out, 20);
      }
      put<std::uint16_t>(*to, e.flags);
      put<std::uint16_t>(*to, e.method);
      put<std::uint32_t>(*to, 0);
      put<std::uint32_t>(*to, e.crc);
      put<std::uint32_t>(*to, e.packed_size);
      put<std::uint32_t>(*to, e.size);
      put<std::uint16_t>(*to, static_cast<std::uint16_t>(e.name.size()));
      put<std::uint16_t>(*to, 0);
    }
    directory.append(10, '\0');
    put<std::uint32_t>(directory, e.offset);
    directory += e.name;
    out += e.name + e.packed;
  }
  const auto start = static_cast<std::uint32_t>(out.size());
  out += directory;
  put<std::uint32_t>(out, 0x06054b50);
  put<std::uint32_t>(out, 0);
  put<std::uint16_t>(out, static_cast<std::uint16_t>(entries.size()));
  put<std::uint16_t>(out, static_cast<std::uint16_t>(entries.size()));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(directory.size()));
  put<std::uint32_t>(out, start);
  put<std::uint16_t>(out, 0);
  const auto b = sqs::bytes_of(out);
  return {b.begin(), b.end()};
}
void rejects(const std::vector<std::byte>& file, const std::string& why, const sqs::limits& most = {}) {
  EXPECT_THAT([&] { sqs::decode_npz(file, "a.npz", most); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("sqs::read: a.npz"), HasSubstr(why))));
}

TEST(npz, round_trip_stored_and_deflated) {
  const std::map<std::string, sqs::stored_tensor> arrays{
      {"empty", zeros(0)},
      {"flow", {"F32", {2, 3}, std::vector<std::byte>(24, std::byte{5})}},
      {"semantics", zeros(1000)}};
  const auto file = sqs::encode_npz(arrays);
  EXPECT_EQ(sqs::decode_npz(file, "a"), arrays);
  EXPECT_EQ(sqs::encode_npz(arrays), file);
  EXPECT_EQ(sqs::decode_npz(archive({honest(zeros(100'000))}), "a").at("a"), zeros(100'000));
  EXPECT_TRUE(sqs::decode_npz(archive({}), "a").empty());
}

TEST(npz, entries_that_are_no_arrays_are_skipped) {
  auto note = honest(zeros(3));
  note.name = "readme.txt";
  EXPECT_EQ(sqs::decode_npz(archive({note, honest(zeros(3))}), "a").size(), 1u);
}

TEST(npz, what_is_not_asked_for_is_not_opened) {
  auto secret = honest(zeros(3)), text = honest(zeros(3)), wanted = honest(zeros(5));
  secret.name = "secret.npy", secret.flags = 1;
  text.name = "notes.txt", text.method = 12; // bzip2
  wanted.name = "wanted.npy";
  const auto file = archive({secret, text, wanted});
  EXPECT_THAT([&] { sqs::decode_npz(file, "x.npz"); },
              ThrowsMessage<sqs::file_error>(HasSubstr("x.npz, entry 'secret.npy' at byte 0: it is encrypted")));
  const auto arrays = sqs::decode_npz(file, "x.npz", {}, {"wanted", "absent"});
  ASSERT_EQ(arrays.size(), 1u);
  EXPECT_EQ(arrays.at("wanted"), zeros(5));
}

TEST(npz, bombs_are_refused) {        // H8
  auto e = honest(zeros(10'000'000)); // 1000 : 1
  EXPECT_LT(e.packed.size(), 12'000u);
  rejects(archive({e}), "above the limit of 100 to 1; raise limits::expansion", {.expansion = 100});
  rejects(archive({e}), "the unpacked size is 10000128, above the limit of 1000000; raise limits::file_bytes",
          {.file_bytes = 1'000'000});
  e.size = 0xFFFFFFF0u;
  rejects(archive({e}), "it declares 4294967280 bytes in ");
  e.size = 5'000'000; // the array's own header says more
  rejects(archive({e}), "announces 10000000 bytes of elements but the archive 5000000 bytes in all");
  const auto small = honest(zeros(100)), big = honest(zeros(5000));
  auto longer = small; // header of 100 elements, 5000 behind it
  auto file = sqs::encode_npy(zeros(100));
  file.resize(file.size() + 4900);
  longer.packed = deflated(file);
  longer.packed_size = static_cast<std::uint32_t>(longer.packed.size());
  rejects(archive({longer}), "it unpacks to more than the 228 bytes it declares");
  auto shorter = big; // header of 5000 elements, 100 behind it
  file = sqs::encode_npy(zeros(5000));
  file.resize(228);
  shorter.packed = deflated(file);
  shorter.packed_size = static_cast<std::uint32_t>(shorter.packed.size());
  rejects(archive({shorter}), "it unpacks to fewer than the 5128 bytes it declares");
  auto twin = small;
  twin.name = "b.npy";
  rejects(archive({small, twin}, true), "two entries share the bytes at 0"); // nested copies of one stream
}

TEST(npz, damage_is_named) {
  const auto good = archive({honest(zeros(500))});
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(sqs::decode_npz(std::span(good).first(n), "a"), sqs::file_error) << n;
  }
  auto e = honest(zeros(500));
  e.crc ^= 1;
  rejects(archive({e}), "the check sum is ");
  e = honest(zeros(500));
  e.packed[e.packed.size() / 2] ^= 0x7f;
  EXPECT_THROW(sqs::decode_npz(archive({e}), "a"), sqs::file_error);
  e = honest(zeros(500));
  e.flags = 1;
  rejects(archive({e}), "entry 'a.npy' at byte 0: it is encrypted; only stored");
  e.flags = 0;
  e.method = 12;
  rejects(archive({e}), "entry 'a.npy' at byte 0: it is packed by method 12");
  e = honest(zeros(500));
  e.offset = 3;
  rejects(archive({e}), "'a.npy' does not start here");
  e.offset = 0xFFFFFF00u;
  rejects(archive({e}), "an entry's offset points to byte 4294967040 of a file of ");
  e = honest(zeros(500));
  e.packed_size = 0xFFFFFF00u;
  rejects(archive({e}), "packed bytes needs 4294967040 bytes");
  e = honest(zeros(500));
  e.name = std::string(600, 'n');
  rejects(archive({e}), "above the limit of 512; raise limits::name_bytes");
  e = honest(zeros(500));
  rejects(archive({e, e}), "this name occurs twice");
  e.method = 0;
  rejects(archive({e}), "it is stored but declares 628 bytes instead of ");
  rejects({}, "there is no end-of-directory record");
  rejects(std::vector<std::byte>(100'000), "there is no end-of-directory record");
}

TEST(npz, reads_published_labels) {
  const char* given = std::getenv("SQS_DATA_DIR");
  const auto root =
      std::filesystem::path(given != nullptr ? given : SQS_TEST_DATA_DIR) / "pandaset-nuscenes/gts/scene-0002";
  if (!std::filesystem::exists(root)) { GTEST_SKIP() << root << " is absent"; }
  std::array<std::int64_t, 18> count{};
  for (const auto& folder : std::filesystem::directory_iterator(root)) {
    const auto labels = sqs::read_npz(folder.path() / "labels.npz");
    const auto semantics = sqs::to_tensor<std::uint8_t, 3>(labels.at("semantics"), "semantics");
    ASSERT_EQ(semantics.shape(), (sqs::extents<3>{200, 200, 16}));
    for (const auto c : semantics) { ++count.at(c); }
  }
  // The counts that the data set's description gives for its ten samples.
  EXPECT_EQ(count[4], 36549);
  EXPECT_EQ(count[11], 126297);
  EXPECT_EQ(count[17], 6073659);
}

} // namespace npz_test

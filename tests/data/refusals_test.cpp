// SPDX-License-Identifier: Apache-2.0
// What readers must not wait for, follow or believe: pipes, names that are paths, classes that do not exist.
#include "../support/scratch.hpp"

#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/tensor/json_stream.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace refusals_test {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(refusals, a_pipe_is_no_file) {
  const sqs::test::scratch_folder folder;
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto refused = [&](auto&& read) {
    EXPECT_THAT(read, ThrowsMessage<sqs::file_error>(AllOf(HasSubstr(pipe.string()), HasSubstr("not a regular file"))));
  };
  refused([&] { sqs::read_jpeg(pipe); });
  refused([&] { sqs::read_lidar(pipe); });
  refused([&] { sqs::stream_records(pipe, {}, [](const sqs::json_record&) {}); });
}

TEST(refusals, a_name_is_one_step_of_a_path) {
  EXPECT_EQ(sqs::occ3d_path("gts", "scene-1", "token"), fs::path("gts/scene-1/token/labels.npz"));
  for (const char* name : {"..", ".", "", "a/../../b", "a\\b"}) {
    const auto refused = ThrowsMessage<sqs::file_error>(HasSubstr("is no name of a folder"));
    EXPECT_THAT([&] { sqs::occ3d_path("gts", name, "t"); }, refused);
    EXPECT_THAT([&] { sqs::occ3d_path("gts", "s", name); }, refused);
    EXPECT_THAT([&] { sqs::open_occupancy_path("o", "s", name); }, refused);
  }
  EXPECT_EQ(sqs::surround_occ_path("d", "../../x/a.pcd.bin"), fs::path("d/a.pcd.bin.npy"));
}

/// NumPy has written versions 1 to 3; what a later one means nobody knows yet.
TEST(refusals, versions_of_npy_that_do_not_exist) {
  auto file = sqs::encode_npy({"U8", {1}, {std::byte{7}}});
  EXPECT_EQ(file[6], std::byte{1});
  for (const int version : {0, 4, 5, 255}) {
    file[6] = static_cast<std::byte>(version);
    EXPECT_THAT([&] { sqs::decode_npy(file, "a.npy"); },
                ThrowsMessage<sqs::file_error>(HasSubstr(sqs::concat("the format version is ", version))));
  }
}

TEST(refusals, classes_that_do_not_exist) {
  const std::array<std::byte, 3> good{std::byte{0}, std::byte{31}, std::byte{17}};
  EXPECT_EQ(sqs::decode_point_labels(good, 3, "l.bin"), (std::vector<std::uint8_t>{0, 31, 17}));
  const std::array<std::byte, 3> bad{std::byte{0}, std::byte{32}, std::byte{17}};
  EXPECT_THAT([&] { sqs::decode_point_labels(bad, 3, "l.bin"); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("l.bin gives point 1 the class 32 of 0 .. 31"))));
}

} // namespace refusals_test

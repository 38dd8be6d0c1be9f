// SPDX-License-Identifier: Apache-2.0
// SemanticKITTI's files, written here bit by bit as its description says.
#include <sqs/data/semantic_kitti.hpp>

#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <fstream>
#include <map>

namespace semantic_kitti_test {

namespace fs = std::filesystem;
using sqs::occupancy_labels;
using sqs::test::message_of;
using ::testing::HasSubstr;

constexpr std::size_t voxels = 256 * 256 * 32;

TEST(semantic_kitti, bits_go_from_the_highest_on) {
  std::vector<std::byte> file(voxels / 8);
  file[0] = std::byte{0x80};            // voxel (0, 0, 0)
  file[1] = std::byte{0x01};            // voxel 15
  file[4] = std::byte{0x40};            // z runs fastest: voxel 33 is (0, 1, 1)
  file[32 * 256 / 8] = std::byte{0x20}; // (1, 0, 2)
  const auto v = sqs::decode_packed_voxels(file, "x.bin");
  EXPECT_EQ(std::count(v.begin(), v.end(), 1), 4);
  const auto at = [&](int x, int y, int z) {
    return v[static_cast<std::size_t>(sqs::semantic_kitti_grid.index(x, y, z))];
  };
  EXPECT_EQ(at(0, 0, 0), 1);
  EXPECT_EQ(v[15], 1);
  EXPECT_EQ(at(0, 1, 1), 1);
  EXPECT_EQ(at(1, 0, 2), 1);
  EXPECT_EQ(sqs::encode_packed_voxels(v), file);
  EXPECT_THAT(message_of([&] { sqs::decode_packed_voxels(std::span(file).first(100), "x.bin"); }),
              HasSubstr("x.bin has 100 bytes instead of 262144; it is cut short"));
}

TEST(semantic_kitti, raw_classes_become_learnt_ones) {
  // The learning map of the benchmark, written down a second time.
  const std::map<int, int> expected{{0, 0},   {1, 255}, {52, 255}, {99, 255}, {10, 1},  {11, 2},  {13, 5},
                                    {15, 3},  {16, 5},  {18, 4},   {20, 5},   {30, 6},  {31, 7},  {32, 8},
                                    {40, 9},  {44, 10}, {48, 11},  {49, 12},  {50, 13}, {51, 14}, {60, 9},
                                    {70, 15}, {71, 16}, {72, 17},  {80, 18},  {81, 19}, {252, 1}, {253, 7},
                                    {254, 6}, {255, 8}, {256, 5},  {257, 5},  {258, 4}, {259, 5}};
  for (int raw = 0; raw < 65536; ++raw) {
    const auto id = static_cast<std::uint16_t>(raw);
    if (const auto e = expected.find(raw); e != expected.end()) {
      EXPECT_EQ(sqs::semantic_kitti_class(id), e->second) << raw;
    } else {
      EXPECT_THROW(sqs::semantic_kitti_class(id), sqs::file_error) << raw;
    }
  }
  std::vector<std::uint16_t> raw(voxels, 0);
  std::vector<std::uint8_t> invalid(voxels, 0);
  raw[0] = 255; // moving motorcyclist: a class, not the mark of what is ignored
  raw[1] = 52;
  raw[2] = 40;
  raw[3] = 10;
  invalid[3] = 1;
  invalid[4] = 1;
  const auto o = sqs::decode_semantic_kitti(sqs::bytes_of(raw), "x.label", invalid);
  EXPECT_EQ(o.free, 0);
  EXPECT_EQ(o.semantics[0], 8);
  EXPECT_EQ(o.semantics[1], occupancy_labels::ignore);
  EXPECT_EQ(o.semantics[2], 9);
  EXPECT_EQ(o.semantics[3], occupancy_labels::ignore);
  EXPECT_EQ(o.semantics[4], occupancy_labels::ignore);
  EXPECT_EQ(o.semantics[5], 0);
  raw[7] = 12;
  EXPECT_THAT(message_of([&] { sqs::decode_semantic_kitti(sqs::bytes_of(raw), "x.label"); }),
              HasSubstr("x.label at byte 14: voxel 7 has class 12, which SemanticKITTI does not have"));
  EXPECT_THAT(message_of([&] { sqs::decode_semantic_kitti(sqs::bytes_of(invalid), "x.label"); }),
              HasSubstr("x.label has 2097152 bytes instead of 4194304"));
}

TEST(semantic_kitti, predictions_are_written_with_raw_classes) {
  auto o = occupancy_labels::empty(sqs::semantic_kitti_grid, 0);
  constexpr std::uint16_t raw_of[] = {0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81};
  for (std::uint8_t c = 0; c < 20; ++c) { o.semantics[c] = c; }
  const auto file = sqs::encode_semantic_kitti(o);
  for (std::size_t c = 0; c < 20; ++c) {
    std::uint16_t raw = 0;
    std::memcpy(&raw, file.data() + 2 * c, 2);
    EXPECT_EQ(raw, raw_of[c]);
  }
  EXPECT_EQ(sqs::decode_semantic_kitti(file, "x").semantics, o.semantics);
  o.semantics[50] = occupancy_labels::ignore;
  EXPECT_EQ(sqs::encode_semantic_kitti(o), file);
  o.semantics[50] = 20;
  EXPECT_THAT(message_of([&] { sqs::encode_semantic_kitti(o); }),
              HasSubstr("voxel 50 has class 20; classes are 0 .. 19"));
}

const char* const calibration =
    "P0: 7.0e+02 0 6.0e+02 0 0 7.0e+02 1.8e+02 0 0 0 1 0\nP1: 7.0e+02 0 6.0e+02 -3.8e+02 0 7.0e+02 1.8e+02 0 0 0 1 0\n"
    "P2: 7.0e+02 0 6.0e+02 4.5e+01 0 7.0e+02 1.8e+02 -3e-01 0 0 1 5e-03\r\n"
    "P3: 7.0e+02 0 6.0e+02 -3.4e+02 0 7.0e+02 1.8e+02 2 0 0 1 3e-03\nTr: 0 -1 0 0.1 0 0 -1 -0.2 1 0 0 -0.3\n\n";

TEST(semantic_kitti, calibration_poses_and_scans) {
  const auto c = sqs::decode_semantic_kitti_calibration(calibration, "calib.txt");
  EXPECT_EQ(c.projection[2][3], 45);
  EXPECT_EQ(c.projection[2][11], 0.005);
  const auto p = c.T_cam0_velo * sqs::vec3<double>{10, 2, 1}; // 10 m ahead, 2 m left, 1 m up
  EXPECT_NEAR(p.x, -1.9, 1e-12);
  EXPECT_NEAR(p.y, -1.2, 1e-12);
  EXPECT_NEAR(p.z, 9.7, 1e-12);
  const auto spoilt = [](const std::string& from, const std::string& to) {
    std::string text = calibration;
    text.replace(text.find(from), from.size(), to);
    return message_of([&] { sqs::decode_semantic_kitti_calibration(text, "calib.txt"); });
  };
  EXPECT_THAT(spoilt("P1:", "P0:"), HasSubstr("calib.txt, line 2: P0 occurs twice"));
  EXPECT_THAT(spoilt("Tr:", "Tx:"), HasSubstr("calib.txt, line 5 begins with none of P0: P1: P2: P3: Tr:"));
  EXPECT_THAT(spoilt("1 5e-03", "1"), HasSubstr("calib.txt, line 3 holds 11 numbers instead of 12"));
  EXPECT_THAT(spoilt("4.5e+01", "nan"), HasSubstr("calib.txt, line 3 holds 'nan' as number 3"));
  EXPECT_THAT(spoilt("Tr: 0 -1", "Tr: 0 -2"), HasSubstr("calib.txt, line 5 is no rotation and translation"));
  EXPECT_THAT(message_of([&] { sqs::decode_semantic_kitti_calibration("", "calib.txt"); }),
              HasSubstr("has no line P0:"));
  const auto poses =
      sqs::decode_semantic_kitti_poses("1 0 0 1 0 1 0 2 0 0 1 3\n1 0 0 4 0 1 0 5 0 0 1 6\n", "poses.txt");
  ASSERT_EQ(poses.size(), 2u);
  EXPECT_EQ(poses[1].translation.y, 5);
  EXPECT_THAT(message_of([&] { sqs::decode_semantic_kitti_poses("1 0 0 1 0 1 0 2 0 0 1 3\n1 x", "poses.txt"); }),
              HasSubstr("poses.txt, line 2 holds 'x' as number 1"));
  const std::vector<float> scan{1, 2, 3, 0.5f, -4, 5, -6, 0.25f};
  const auto s = sqs::decode_velodyne(sqs::bytes_of(scan), "0.bin");
  ASSERT_EQ(s.points.size(), 2u);
  EXPECT_EQ(s.points[1].z, -6);
  EXPECT_EQ(s.intensity[1], 0.25f);
  EXPECT_TRUE(s.ring.empty());
  const std::vector<float> bad{1, 2, 3, 0.5f, NAN, 5, -6, 0.25f};
  EXPECT_THAT(message_of([&] { sqs::decode_velodyne(sqs::bytes_of(bad), "0.bin"); }),
              HasSubstr("0.bin at byte 16: point 1 is (nan"));
  EXPECT_THAT(message_of([&] { sqs::decode_velodyne(sqs::bytes_of(std::vector<float>(5)), "0.bin"); }),
              HasSubstr("0.bin has 20 bytes, no multiple of the 16 bytes of a point"));
}

TEST(semantic_kitti, files_of_a_sequence) {
  const sqs::test::scratch_folder scratch;
  const auto folder = scratch / "08";
  EXPECT_THAT(message_of([&] { sqs::semantic_kitti_frames(folder); }), HasSubstr("holds no .bin file"));
  fs::create_directories(folder / "voxels");
  auto o = occupancy_labels::empty(sqs::semantic_kitti_grid, 0);
  o.semantics[9] = 13;
  std::vector<std::uint8_t> invalid(voxels, 0);
  invalid[10] = 1;
  for (const char* frame : {"000005", "000000"}) {
    const auto f = sqs::semantic_kitti_files(folder, frame);
    sqs::write_packed_voxels(f.voxels, invalid);
    sqs::write_packed_voxels(f.invalid, invalid);
    sqs::write_semantic_kitti(f.label, o);
  }
  EXPECT_EQ(sqs::semantic_kitti_frames(folder), (std::vector<std::string>{"000000", "000005"}));
  const auto f = sqs::semantic_kitti_files(folder, "000005");
  o.semantics[10] = occupancy_labels::ignore;
  EXPECT_EQ(sqs::read_semantic_kitti(f.label, f.invalid).semantics, o.semantics);
  EXPECT_EQ(f.image_2, folder / "image_2/000005.png");
}

} // namespace semantic_kitti_test

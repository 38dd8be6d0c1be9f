// SPDX-License-Identifier: Apache-2.0
// Data sets with known faults, and what the check says of them.
#include "whole_nuscenes.hpp"

#include "../support/check.hpp"
#include "../support/scratch.hpp"

namespace check_test {

namespace fs = std::filesystem;
using sqs_test::all_of;
using sqs_test::whole_nuscenes;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(check, a_good_set_is_good_and_counted) {
  const whole_nuscenes tiny;
  std::vector<std::string> stages;
  const auto r = tiny.check({.progress = [&](const std::string& stage, sqs::idx done, sqs::idx total) {
    EXPECT_LE(done, total);
    if (stages.empty() || stages.back() != stage) { stages.push_back(stage); }
  }});
  EXPECT_TRUE(r.good()) << all_of(r);
  EXPECT_EQ(r.layout, "nuScenes v1.0-mini");
  EXPECT_EQ(r.counts.at("sample"), 2);
  EXPECT_EQ(r.counts.at("sample_data"), 14);
  EXPECT_EQ(r.counts.at("files of sensors"), 14);
  EXPECT_EQ(stages, (std::vector<std::string>{"tables", "images and sweeps"}));
  EXPECT_TRUE(tiny.check({.decode = false}).good());
}

TEST(check, broken_files_come_with_the_command_that_brings_them_back) {
  const whole_nuscenes tiny;
  tiny.check();
  const auto jpeg = sqs::encode_jpeg(sqs::image(4, 8));
  fs::remove(tiny.root / "samples/CAM_FRONT/1.jpg");
  tiny.write("samples/CAM_BACK/0.jpg", std::span(jpeg).first(jpeg.size() - 9));
  tiny.write("samples/CAM_BACK/1.jpg", {});
  tiny.write("samples/CAM_BACK_LEFT/0.jpg", sqs::encode_jpeg(sqs::image(8, 8)));
  tiny.write_lidar("samples/LIDAR_TOP/0.pcd.bin", {1, 2, 3});
  for (const int threads : {1, 2, 3}) {
    const auto r = tiny.check({.threads = threads});
    EXPECT_EQ(r.problem_count, 5u);
    const auto root = tiny.root.string();
    ASSERT_EQ(r.problems.size(), 5u);
    EXPECT_EQ(r.problems[0].what, "the file " + root + "/samples/CAM_FRONT/1.jpg is missing");
    EXPECT_EQ(r.problems[0].repair, "tar -xzf v1.0-mini.tgz -C " + root + " samples/CAM_FRONT/1.jpg");
    EXPECT_THAT(r.problems[1].what,
                AllOf(HasSubstr("samples/CAM_BACK/0.jpg"), HasSubstr("Premature end of JPEG file")));
    EXPECT_THAT(r.problems[2].what, HasSubstr("samples/CAM_BACK/1.jpg"));
    EXPECT_THAT(r.problems[3].what, HasSubstr("CAM_BACK_LEFT/0.jpg has 8 x 8 pixels but sample_data.json says 4 x 8"));
    EXPECT_THAT(r.problems[4].what, HasSubstr("samples/LIDAR_TOP/0.pcd.bin has 12 bytes"));
  }
  const auto quick = tiny.check({.decode = false});
  EXPECT_EQ(quick.problem_count, 4u) << all_of(quick); // the size of an image shows only when it is decoded
  EXPECT_EQ(tiny.check({.most = 2}).problems.size(), 2u);
  EXPECT_EQ(tiny.check({.most = 2}).problem_count, 5u);
  fs::remove_all(tiny.root / "samples/CAM_FRONT_LEFT");
  const auto r = tiny.check();
  EXPECT_EQ(r.problem_count, 6u);
  EXPECT_THAT(r.problems[0].what, HasSubstr("/samples/CAM_FRONT_LEFT is missing with its 2 files"));
}

TEST(check, broken_tables_are_all_named) {
  whole_nuscenes tiny;
  tiny.spoil("sample_data", R"("ego_pose_token":"p00")", R"("ego_pose_token":"q")")
      .spoil("sample_data", R"("ego_pose_token":"p01")", R"("ego_pose_token":"q")")
      .spoil("sample_annotation", R"("next":"a1")", R"("next":"gone")")
      .spoil("instance", R"("category_token":"c")", R"("category_token":"d")")
      .spoil("scene", "[{", "[{,");
  tiny.tables.erase("visibility");
  const auto r = tiny.check();
  const auto text = all_of(r);
  EXPECT_EQ(r.problem_count, 5u) << text;
  EXPECT_THAT(text,
              AllOf(HasSubstr("visibility.json is missing\n    tar -xzf v1.0-mini.tgz -C " + tiny.root.string() +
                              " v1.0-mini\n"),
                    HasSubstr("scene.json at byte 3: parse error"),
                    HasSubstr("sample_data.json: 2 of 14 values of 'ego_pose_token' are not in ego_pose.json "
                              "(dangling tokens), first in record 0"),
                    HasSubstr("sample_annotation.json: 1 of 1 values of 'next' are not in sample_annotation.json"),
                    HasSubstr("instance.json: 1 of 1 values of 'category_token' are not in category.json")));
}

TEST(check, what_only_the_reader_sees_is_reported_too) {
  whole_nuscenes tiny;
  tiny.spoil("ego_pose", R"("rotation":[1,0,0,0])", R"("rotation":[0,0,0,0])");
  EXPECT_THAT(all_of(tiny.check()), HasSubstr("is a quaternion (w,x,y,z) of length 0"));
  whole_nuscenes twice;
  twice.spoil("sensor", R"("token":"se1")", R"("token":"se0")");
  EXPECT_THAT(all_of(twice.check()), HasSubstr("sensor.json, record 1: its token occurs twice in the table"));
}

TEST(check, labels_beside_the_tables) {
  const whole_nuscenes tiny;
  tiny.check();
  const auto labels = sqs::occupancy_labels::empty(sqs::occ3d_grid, 17);
  sqs::write_occ3d(sqs::occ3d_path(tiny.root / "gts", "scene-1", "s0"), labels);
  fs::create_directories(tiny.root / "gts/scene-1/s1");
  std::ofstream(tiny.root / "gts/scene-1/s1/labels.npz") << "PK";
  const auto free = sqs::occupancy_labels::empty(sqs::surround_occ_grid, 17);
  sqs::write_surround_occ(tiny.root / "dense_voxels_with_semantic/0.pcd.bin.npy", free);
  auto r = tiny.check();
  ASSERT_EQ(r.problem_count, 2u) << all_of(r);
  EXPECT_THAT(r.problems[0].what, HasSubstr("gts/scene-1/s1/labels.npz at byte"));
  EXPECT_EQ(r.problems[0].repair, "tar -xzf gts.tar.gz -C " + tiny.root.string() + " gts/scene-1/s1/labels.npz");
  EXPECT_THAT(r.problems[1].what, HasSubstr("dense_voxels_with_semantic/1.pcd.bin.npy of sample s1 are missing"));
  EXPECT_EQ(r.counts.at("labels of Occ3D"), 2);
}

TEST(check, semantic_kitti_sequences) {
  const sqs::test::scratch_folder folder;
  const auto root = folder / "semantic kitti"; // a name that needs quotes
  const auto sequence = root / "sequences/08";
  fs::create_directories(sequence / "voxels");
  fs::create_directories(sequence / "velodyne");
  fs::create_directories(sequence / "image_2");
  const std::string row = "1 0 0 0 0 1 0 0 0 0 1 0\n";
  std::ofstream(sequence / "calib.txt") << "P0: " << row << "P1: " << row << "P2: " << row << "P3: " << row
                                        << "Tr: " << row;
  std::ofstream(sequence / "poses.txt") << row;
  const auto f = sqs::semantic_kitti_files(sequence, "000000");
  std::vector<std::uint8_t> one(256 * 256 * 32, 0);
  const auto none = one;
  one[5] = 1;
  for (const auto& p : {f.voxels, f.invalid, f.occluded}) { sqs::write_packed_voxels(p, p == f.voxels ? one : none); }
  auto labels = sqs::occupancy_labels::empty(sqs::semantic_kitti_grid, 0);
  labels.semantics[5] = 9;
  sqs::write_semantic_kitti(f.label, labels);
  const std::vector<float> point{1, 2, 3, 4};
  std::ofstream(f.velodyne, std::ios::binary) << sqs::text_of(sqs::bytes_of(point));
  sqs::write_png(f.image_2, sqs::image(3, 4));
  auto r = sqs::check_dataset(root);
  EXPECT_TRUE(r.good()) << all_of(r);
  EXPECT_EQ(r.layout, "SemanticKITTI");
  EXPECT_EQ(r.counts.at("frames"), 1);
  EXPECT_TRUE(sqs::check_dataset(sequence).good());
  sqs::write_packed_voxels(f.voxels, none);
  EXPECT_THAT(all_of(sqs::check_dataset(sequence)), HasSubstr("all 2097152 voxels of " + f.voxels.string() + " are 0"));
  sqs::write_packed_voxels(f.voxels, one);
  labels.semantics[5] = 0;
  sqs::write_semantic_kitti(f.label, labels);
  EXPECT_THAT(all_of(sqs::check_dataset(sequence)), HasSubstr("all 2097152 voxels of " + f.label.string() + " are 0"));
  std::ofstream(sequence / "poses.txt") << "";
  EXPECT_THAT(all_of(sqs::check_dataset(sequence.string() + "/")), HasSubstr("dataset/sequences/08/poses.txt"));
  fs::resize_file(f.label, 100);
  fs::remove(f.velodyne);
  std::ofstream(f.image_2) << "no picture";
  std::ofstream(sequence / "poses.txt") << "1 2 3\n";
  r = sqs::check_dataset(root);
  ASSERT_EQ(r.problem_count, 4u) << all_of(r);
  EXPECT_THAT(r.problems[0].what, HasSubstr("poses.txt, line 1 holds 3 numbers instead of 12"));
  EXPECT_THAT(r.problems[1].what, HasSubstr("000000.label has 100 bytes instead of 4194304"));
  EXPECT_EQ(r.problems[1].repair, "unzip -j -o data_odometry_voxels.zip dataset/sequences/08/voxels/000000.label -d '" +
                                      (sequence / "voxels").string() + "'");
  EXPECT_THAT(r.problems[2].what, HasSubstr("velodyne/000000.bin is missing"));
  EXPECT_THAT(r.problems[3].what, HasSubstr("image_2/000000.png"));
  std::ofstream(sequence / "voxels/000005.label") << "of a frame whose voxels are gone";
  r = sqs::check_dataset(root);
  ASSERT_EQ(r.problem_count, 5u) << all_of(r);
  EXPECT_THAT(all_of(r), HasSubstr("voxels/000005.bin is missing\n    unzip -j -o data_odometry_voxels.zip "));
}

/// From 11 to 21 the sequences are the hidden test set.
TEST(check, semantic_kitti_sequences_of_the_test_set_have_no_labels) {
  const sqs::test::scratch_folder root;
  const std::map<std::string, std::size_t> lost{{"10", 3}, {"11", 0}, {"12", 0}, {"21", 0}, {"22", 3}};
  for (const auto& [number, labels] : lost) {
    const auto sequence = root / "sequences" / number;
    for (const char* part : {"voxels", "velodyne", "image_2"}) { fs::create_directories(sequence / part); }
    const std::string row = "1 0 0 0 0 1 0 0 0 0 1 0\n";
    std::ofstream(sequence / "calib.txt")
        << "P0: " << row << "P1: " << row << "P2: " << row << "P3: " << row << "Tr: " << row;
    std::ofstream(sequence / "poses.txt") << row;
    const auto f = sqs::semantic_kitti_files(sequence, "000000");
    sqs::write_packed_voxels(f.voxels, std::vector<std::uint8_t>(256 * 256 * 32, 1));
    std::ofstream(f.velodyne, std::ios::binary) << sqs::text_of(sqs::bytes_of(std::vector<float>{1, 2, 3, 4}));
    sqs::write_png(f.image_2, sqs::image(3, 4));
    const auto r = sqs::check_dataset(sequence);
    EXPECT_EQ(r.problem_count, labels) << number << "\n" << all_of(r);
  }
}

TEST(check, an_unknown_folder_is_said_to_be_one) {
  const sqs::test::scratch_folder folder;
  const auto root = folder.path();
  EXPECT_THAT(all_of(sqs::check_dataset(root)), HasSubstr("has no known layout"));
  EXPECT_THAT(all_of(sqs::check_dataset(root / "nowhere")), HasSubstr("nowhere is missing\n    mkdir -p "));
  fs::create_directories(root / "v1.0-trainval");
  const auto r = sqs::check_dataset(root);
  EXPECT_EQ(r.problem_count, 13u);
  EXPECT_EQ(r.problems.size(), 10u);
  EXPECT_THAT(all_of(r), HasSubstr("category.json is missing\n    tar -xzf v1.0-trainval_meta.tgz -C "));
}

TEST(check, real_data_is_good) {
  const auto root = fs::path(SQS_TEST_DATA_DIR) / "pandaset-nuscenes";
  if (!fs::exists(root)) { GTEST_SKIP() << root << " is absent"; }
  const auto r = sqs::check_dataset(root);
  EXPECT_TRUE(r.good()) << all_of(r);
  EXPECT_EQ(r.counts.at("files of sensors"), 70);
  EXPECT_EQ(r.counts.at("lidarseg files"), 10);
  EXPECT_EQ(r.counts.at("labels of SurroundOcc"), 10);
  EXPECT_EQ(r.counts.at("labels of OpenOcc"), 10);
}

} // namespace check_test

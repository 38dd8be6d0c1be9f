// SPDX-License-Identifier: Apache-2.0
// Faults that a data set has although every file can be read; folders that hold none; commands that bring it back.
#include "whole_nuscenes.hpp"

#include "../support/check.hpp"
#include "../support/scratch.hpp"

namespace check_faults_test {

namespace fs = std::filesystem;
using sqs_test::all_of;
using sqs_test::whole_nuscenes;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(check_faults, sweeps_without_content) {
  const whole_nuscenes tiny;
  tiny.check();
  tiny.write_lidar("samples/LIDAR_TOP/0.pcd.bin", std::vector<float>(500, 0));
  tiny.write_lidar("samples/LIDAR_TOP/1.pcd.bin", {1, 2, 3, 4, 5, 1, 2, 3, 9, 6});
  auto r = tiny.check();
  ASSERT_EQ(r.problem_count, 2u) << all_of(r);
  EXPECT_EQ(r.problems[0].what, "all 100 points of " + (tiny.root / "samples/LIDAR_TOP/0.pcd.bin").string() +
                                    " are (0, 0, 0); it was not written to its end");
  EXPECT_THAT(r.problems[1].what, HasSubstr("1.pcd.bin are (1, 2, 3)"));
  tiny.write_lidar("samples/LIDAR_TOP/0.pcd.bin", {1, 2, 3, 4, 5}); // one point that is somewhere
  tiny.write_lidar("samples/LIDAR_TOP/1.pcd.bin", {0, 0, 0, 4, 5, 0, 0, 0.5f, 4, 5});
  EXPECT_TRUE(tiny.check().good()) << all_of(tiny.check());
}

TEST(check_faults, links_in_a_circle) {
  whole_nuscenes tiny;
  // a1 -> a0 -> a1 forwards, and d00 before itself.
  tiny.spoil("sample_annotation", R"("prev":"a0","next":"")", R"("prev":"a0","next":"a0")")
      .spoil("sample_data", R"("prev":"")", R"("prev":"d00")")
      .spoil("sample", R"("prev":"","next":"s1")", R"("prev":"s1","next":"s1")");
  const auto text = all_of(tiny.check());
  EXPECT_THAT(text, AllOf(HasSubstr("sample_annotation.json: the values of 'next' of 2 records lead back to where they "
                                    "came from (1 circle), first through record 0\n    tar -xzf v1.0-mini.tgz"),
                          HasSubstr("sample_data.json: the values of 'prev' of 1 records"),
                          HasSubstr("sample.json: the values of 'prev' of 2 records")));
  EXPECT_EQ(tiny.check().problem_count, 3u) << text;
}

TEST(check_faults, two_circles_and_a_tail_are_counted) {
  whole_nuscenes tiny;
  std::string rows;
  // 0 -> 1 -> 2 -> 1; 3 -> 4 -> 5 -> 3; 6 -> end; 7 -> 6.
  const std::array<const char*, 8> next{"t1", "t2", "t1", "t4", "t5", "t3", "", "t6"};
  for (std::size_t i = 0; i < next.size(); ++i) {
    rows += sqs::concat(i == 0 ? "[" : ",", R"({"token":"t)", i, R"(","sample_token":"s0","instance_token":"i",)",
                        R"("prev":"","next":")", next[i], R"("})");
  }
  tiny.tables["sample_annotation"] = rows + "]";
  EXPECT_THAT(all_of(tiny.check()),
              HasSubstr("of 5 records lead back to where they came from (2 circles), first through record 1"));
}

TEST(check_faults, lenses_that_are_none) {
  whole_nuscenes tiny;
  tiny.spoil("calibrated_sensor", "[10,0,4]", "[-10,0,4]")
      .spoil("calibrated_sensor", "[10,0,4],[0,10,2]", "[10,0,4],[0,0,2]");
  const auto r = tiny.check();
  EXPECT_EQ(r.problem_count, 1u);
  EXPECT_THAT(all_of(r), HasSubstr("calibrated_sensor.json: 2 of 7 sensors have a focal length that is not positive, "
                                   "first in record 0: -10 and 10"));
  EXPECT_THAT(sqs::test::message_of([&] { tiny.open(); }),
              HasSubstr("'camera_intrinsic' is skewed or has a focal length that is not positive (fx -10, fy 10"));
}

TEST(check_faults, labels_without_their_masks) {
  const whole_nuscenes tiny;
  tiny.check();
  auto labels = sqs::occupancy_labels::empty(sqs::occ3d_grid, 17);
  for (const char* token : {"s0", "s1"}) {
    sqs::write_occ3d(sqs::occ3d_path(tiny.root / "gts", "scene-1", token), labels);
  }
  EXPECT_TRUE(tiny.check().good());
  const auto file = sqs::occ3d_path(tiny.root / "gts", "scene-1", "s1");
  auto arrays = sqs::read_npz(file);
  arrays.erase("mask_camera");
  sqs::write_npz(file, arrays);
  const auto r = tiny.check();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].what,
            file.string() + " has no array 'mask_camera'; without it unseen voxels would be judged");
  EXPECT_TRUE(tiny.check({.decode = false}).good());
}

TEST(check_faults, folders_behind_links) {
  whole_nuscenes tiny;
  tiny.check();
  const fs::path disk = tiny.root.string() + "_disk";
  fs::remove_all(disk);
  fs::create_directories(disk);
  fs::rename(tiny.root / "samples", disk / "samples");
  fs::create_directory_symlink(disk / "samples", tiny.root / "samples");
  EXPECT_TRUE(tiny.check().good()) << all_of(tiny.check());
  fs::remove(disk / "samples/CAM_BACK/0.jpg");
  // Without the option tar would put a folder in the place of the link.
  EXPECT_THAT(all_of(tiny.check()), HasSubstr("tar --keep-directory-symlink -xzf v1.0-mini.tgz -C " +
                                              tiny.root.string() + " samples/CAM_BACK/0.jpg"));
  fs::remove_all(disk); // not mounted
  const auto r = tiny.check();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].what, (tiny.root / "samples").string() + " is a link to " + (disk / "samples").string() +
                                    ", which is not there; it is missing with its 14 files");
  EXPECT_THAT(r.problems[0].repair, HasSubstr("mkdir -p " + (disk / "samples").string() + " && tar "));
}

TEST(check_faults, links_of_labels_and_tables_that_lead_nowhere) {
  whole_nuscenes tiny;
  tiny.check();
  fs::create_directory_symlink("/no/such/disk", tiny.root / "gts");
  const auto r = tiny.check();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].what, (tiny.root / "gts").string() + " is a link to /no/such/disk, which is not there");
  EXPECT_THAT(r.problems[0].repair, HasSubstr("mkdir -p /no/such/disk && dataset_check " + tiny.root.string()));
  const fs::path tables = tiny.root.string() + "_tables";
  fs::remove_all(tables);
  fs::create_directories(tables);
  fs::create_directory_symlink("/no/such/disk", tables / "v1.0-mini");
  EXPECT_THAT(all_of(sqs::check_dataset(tables)), HasSubstr("the tables " + (tables / "v1.0-mini").string() +
                                                            " are a link to /no/such/disk, which is not there"));
}

TEST(check_faults, sweeps_of_a_single_point_that_is_zero) {
  sqs::lidar_sweep one, other;
  one.points = {{0, 0, 0}}, other.points = {{0, 0, 1}};
  EXPECT_THAT(sqs::test::message_of([&] { sqs::detail::require_different_points(one, "x.bin"); }),
              HasSubstr("all 1 points of x.bin are (0, 0, 0)"));
  sqs::detail::require_different_points(other, "x.bin"); // one point may be all that came back
}

TEST(check_faults, samples_that_their_scene_does_not_reach) {
  whole_nuscenes tiny;
  ASSERT_TRUE(tiny.check().good());
  tiny.spoil("sample", R"("next":"s1")", R"("next":"")");
  EXPECT_THAT(all_of(tiny.check()), HasSubstr("sample.json: 'prev' and 'next' of 1 records are not answered by the "
                                              "records they name, first in record 0"));
}

TEST(check_faults, labels_cut_short_show_without_reading_them) {
  whole_nuscenes tiny;
  tiny.check();
  const sqs::check_options quick{.decode = false};
  const auto labels = sqs::occupancy_labels::empty(sqs::occ3d_grid, sqs::occupancy_free);
  for (const char* token : {"s0", "s1"}) {
    sqs::write_occ3d(sqs::occ3d_path(tiny.root / "gts", "scene-1", token), labels);
  }
  const auto file = sqs::occ3d_path(tiny.root / "gts", "scene-1", "s1");
  EXPECT_TRUE(tiny.check(quick).good()) << all_of(tiny.check(quick));
  fs::resize_file(file, 100);
  EXPECT_THAT(all_of(tiny.check(quick)), HasSubstr("does not begin and end as an .npz file does"));
  fs::resize_file(file, 0);
  EXPECT_THAT(all_of(tiny.check(quick)), HasSubstr("labels.npz is empty"));
}

TEST(check_faults, names_that_are_meant_for_the_shell_or_the_terminal) {
  const sqs::detail::nuscenes_repairs mini("/d", "v1.0-mini");
  EXPECT_EQ(mini.file("--use-compress-program=x"), "tar -xzf v1.0-mini.tgz -C /d -- --use-compress-program=x");
  sqs::check_report r;
  r.add("a\x1b[2Jb", "c\nd");
  EXPECT_EQ(r.problems[0].what, "a?[2Jb");
  EXPECT_EQ(r.problems[0].repair, "c?d");
}

TEST(check_faults, commands_name_the_archives_of_the_publishers) {
  const sqs::detail::nuscenes_repairs mini("/d", "v1.0-mini"), full("/d", "v1.0-trainval"), test("/d", "v1.0-test"),
      town("/d", "v1.0-town"), other("/d x", "v1.0-mine");
  EXPECT_EQ(full.tables(), "tar -xzf v1.0-trainval_meta.tgz -C /d v1.0-trainval");
  EXPECT_EQ(test.map("maps/a.png"), "tar -xzf v1.0-test_meta.tgz -C /d maps/a.png");
  EXPECT_EQ(full.file("sweeps/a b.jpg"),
            "for f in v1.0-trainval*_blobs.tgz; do tar -xzf $f -C /d 'sweeps/a b.jpg' && break; done");
  EXPECT_EQ(full.folder("sweeps"), "for f in v1.0-trainval*_blobs.tgz; do tar -xzf $f -C /d sweeps; done");
  EXPECT_EQ(mini.lidarseg("lidarseg/v1.0-mini/a.bin"),
            "tar -xjf nuScenes-lidarseg-mini-v1.0.tar.bz2 -C /d lidarseg/v1.0-mini/a.bin");
  EXPECT_EQ(full.lidarseg("a.bin"), "tar -xjf nuScenes-lidarseg-all-v1.0.tar.bz2 -C /d a.bin");
  EXPECT_EQ(full.occ3d("gts/s/t/labels.npz"), "tar -xzf gts.tar.gz -C /d gts/s/t/labels.npz");
  EXPECT_EQ(full.open_occ("openocc_v2.1/s/t/labels.npz"), "mkdir -p /d/openocc_v2.1/s/t && unzip -p openocc_v2.1.zip "
                                                          "openocc_v2/s/t/labels.npz > /d/openocc_v2.1/s/t/labels.npz");
  EXPECT_EQ(full.open_occupancy("nuScenes-Occupancy/scene_a/occupancy/b.npy"),
            "mkdir -p /d/nuScenes-Occupancy/scene_a/occupancy && 7za x -so nuScenes-Occupancy-v0.1.7z "
            "nuScenes-Occupancy-v0.1/scene_a/occupancy/b.npy > /d/nuScenes-Occupancy/scene_a/occupancy/b.npy");
  EXPECT_THAT(full.surround_occ("dense_voxels_with_semantic/a.npy"),
              HasSubstr("unzip -o -j ARCHIVE '*/a.npy' -d /d/dense_voxels_with_semantic   # ARCHIVE: SurroundOcc's"));
  EXPECT_THAT(town.file("samples/a.jpg"), HasSubstr("make_town --out /d_again "));
  EXPECT_THAT(town.occ3d("gts/a"), HasSubstr("make_town --out /d_again "));
  EXPECT_EQ(other.file("a"), "# v1.0-mine is none of nuScenes' own: write '/d x' again with the program that made it");
}

/// The only problem of a folder.
std::string verdict(const fs::path& folder) {
  const auto r = sqs::check_dataset(folder);
  EXPECT_EQ(r.problem_count, 1u) << all_of(r);
  return all_of(r);
}

TEST(check_faults, folders_that_are_not_the_data_set) {
  const whole_nuscenes tiny;
  tiny.check();
  const auto root = tiny.root.string();
  EXPECT_EQ(verdict(tiny.root / "v1.0-mini"), root +
                                                  "/v1.0-mini holds only tables; the data set is the folder that "
                                                  "holds it\n    dataset_check " +
                                                  root + "\n");
  EXPECT_EQ(verdict(root + "/v1.0-mini/scene.json"),
            root + "/v1.0-mini/scene.json is no folder\n    dataset_check " + root + "/v1.0-mini\n");
  const sqs::test::scratch_folder folder;
  const fs::path above = folder.path();
  fs::create_directories(above / "stopped/town");
  std::ofstream(above / "stopped" / sqs::detail::town_marker) << "a town\nmake_town --scenes 3\n";
  fs::create_directory_symlink(root + "_gone", above / "link");
  EXPECT_THAT(verdict(above / "link/"),
              AllOf(HasSubstr("is a link to " + root + "_gone, which is not there\n    mkdir"),
                    HasSubstr("-p " + root + "_gone && tar -xzf v1.0-mini.tgz -C ")));
  EXPECT_THAT(verdict(above / "stopped"),
              AllOf(HasSubstr("is a town without tables"),
                    HasSubstr("make_town --scenes 3 --replace --out " + (above / "stopped").string())));
  EXPECT_THAT(verdict(above), HasSubstr("has no known layout"));
  EXPECT_THAT(verdict(above), HasSubstr("    mkdir -p " + above.string() + " && tar -xzf v1.0-mini.tgz -C "));
  fs::create_directory_symlink(tiny.root, above / "nuscenes");
  EXPECT_THAT(verdict(above), HasSubstr("    dataset_check " + above.string() + "/nuscenes\n"));
}

} // namespace check_faults_test

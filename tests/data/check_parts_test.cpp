// SPDX-License-Identifier: Apache-2.0
// What lies beside the tables of nuScenes: lidarseg, pictures of maps, messages of the CAN bus, labels of OpenOcc.
#include "whole_nuscenes.hpp"

#include "../support/check.hpp"

namespace check_parts_test {

namespace fs = std::filesystem;
using sqs_test::all_of;
using sqs_test::whole_nuscenes;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

/// The set of two sweeps of two points each, with their labels.
struct segmented : whole_nuscenes {
  segmented() {
    tables["lidarseg"] = "[" + entry("d60") + "," + entry("d61") + "]";
    for (const char* token : {"d60", "d61"}) { write_text(file(token), "\x11\x18"); }
  }
  static std::string entry(const std::string& token) {
    return R"({"token":")" + token + R"(","sample_data_token":")" + token + R"(","filename":"lidarseg/v1.0-mini/)" +
           token + R"(_lidarseg.bin"})";
  }
  fs::path file(const std::string& token) const { return root / "lidarseg/v1.0-mini" / (token + "_lidarseg.bin"); }
  /// The only problem, whose command brings `member` back.
  std::string problem(const std::string& member) const {
    const auto r = check();
    EXPECT_EQ(r.problem_count, 1u) << all_of(r);
    if (r.problems.empty()) { return {}; }
    EXPECT_EQ(r.problems[0].repair, "tar -xjf nuScenes-lidarseg-mini-v1.0.tar.bz2 -C " + root.string() + " " + member);
    return r.problems[0].what;
  }
};
constexpr const char* table_file = "v1.0-mini/lidarseg.json";

TEST(check_lidarseg, labels_that_are_not_those_of_their_sweep) {
  const segmented set;
  const auto r = set.check();
  EXPECT_TRUE(r.good()) << all_of(r);
  EXPECT_EQ(r.counts.at("lidarseg files"), 2);
  const std::string name = "lidarseg/v1.0-mini/d61_lidarseg.bin";
  for (const std::string& labels : {std::string("\x11"), std::string("\x11\x18\x01"), std::string()}) {
    write_text(set.file("d61"), labels);
    // Either file may be the wrong one.
    EXPECT_THAT(
        set.problem(name + " && tar -xzf v1.0-mini.tgz -C " + set.root.string() + " samples/LIDAR_TOP/1.pcd.bin"),
        EndsWith(sqs::concat("d61_lidarseg.bin has ", labels.size(), " bytes for the 2 points of its sweep ",
                             (set.root / "samples/LIDAR_TOP/1.pcd.bin").string(), ", one byte each")));
    EXPECT_EQ(set.check({.decode = false}).problem_count, 1u);
  }
  write_text(set.file("d61"), std::string(2, '\0'));
  EXPECT_EQ(set.problem(name),
            set.file("d61").string() + ": no point is labelled, all 2 are 0 (noise); it was not written to its end");
  write_text(set.file("d61"), std::string("\0\x01", 2));
  EXPECT_TRUE(set.check().good());
  write_text(set.file("d61"), "\x11\x20");
  EXPECT_THAT(set.problem(name), HasSubstr("gives point 1 the class 32 of 0 .. 31"));
  fs::remove(set.file("d61"));
  EXPECT_THAT(set.problem(name), EndsWith("d61_lidarseg.bin is missing"));
}

TEST(check_lidarseg, entries_that_are_missing_or_too_many) {
  segmented set;
  const auto d60 = segmented::entry("d60"), d61 = segmented::entry("d61");
  const auto with = [&](const std::string& rows) {
    set.tables["lidarseg"] = "[" + rows + "]";
    return set.problem(table_file);
  };
  const auto path = (set.root / table_file).string();
  EXPECT_EQ(with(d61), path + " has no entry for 1 of 2 key frames, first for sample s0");
  EXPECT_EQ(with(""), path + " has no entry for 2 of 2 key frames, first for sample s0");
  auto again = d60;
  again.replace(again.find("d60"), 3, "new");
  EXPECT_EQ(with(d60 + "," + d61 + "," + again),
            path + ": 1 entries are for a sweep that has one, first for sample_data d60");
  auto same_file = d61;
  same_file.replace(same_file.rfind("d61"), 3, "d60");
  EXPECT_EQ(with(d60 + "," + same_file), path + ": 1 entries name the file of another sweep, first "
                                                "lidarseg/v1.0-mini/d60_lidarseg.bin");
  auto camera = d60;
  camera.replace(camera.find("d60"), 3, "new").replace(camera.find("d60"), 3, "d00");
  EXPECT_EQ(with(d60 + "," + d61 + "," + camera), path + ": 1 entries are for no LiDAR sweep of a key frame");
  set.tables["lidarseg"] = "[" + d60 + "," + d61 + "," + d61 + "]";
  EXPECT_THAT(all_of(set.check()),
              AllOf(HasSubstr("lidarseg.json, record 2: its token occurs twice in the table"),
                    HasSubstr("1 entries are for a sweep that has one, first for sample_data d61")));
}

TEST(check_lidarseg, a_table_that_is_gone_while_its_files_are_there) {
  segmented set;
  set.check();
  set.tables.erase("lidarseg");
  fs::remove(set.root / table_file);
  EXPECT_EQ(set.problem(table_file), "the table " + (set.root / table_file).string() + " is missing beside " +
                                         (set.root / "lidarseg/v1.0-mini").string());
}

TEST(check_lidarseg, its_categories_survive_the_repair_of_the_tables) {
  segmented set;
  set.check();
  set.spoil("scene", R"("nbr_samples":2)", R"("nbr_samples":9)");
  const auto root = set.root.string();
  EXPECT_THAT(all_of(set.check()),
              HasSubstr("tar -xzf v1.0-mini.tgz -C " + root + " v1.0-mini && tar -xjf " +
                        "nuScenes-lidarseg-mini-v1.0.tar.bz2 -C " + root + " v1.0-mini/category.json\n"));
}

TEST(check_maps, that_the_table_names) {
  whole_nuscenes set;
  set.tables["map"] = R"([{"token":"m","filename":"maps/a.png","category":"semantic_prior","log_tokens":[]},
                          {"token":"n","filename":"maps/b.png","category":"semantic_prior","log_tokens":[]}])";
  auto r = set.check();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].what,
            "the folder " + (set.root / "maps").string() + " is missing with its 2 pictures of maps");
  EXPECT_EQ(r.problems[0].repair, "tar -xzf v1.0-mini.tgz -C " + set.root.string() + " maps");
  fs::create_directories(set.root / "maps");
  sqs::write_png(set.root / "maps/a.png", sqs::image(2, 2));
  r = set.check();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].what, "the map " + (set.root / "maps/b.png").string() + " is missing");
  EXPECT_EQ(r.problems[0].repair, "tar -xzf v1.0-mini.tgz -C " + set.root.string() + " maps/b.png");
  write_text(set.root / "maps/b.png", "");
  EXPECT_THAT(all_of(set.check()), HasSubstr("maps/b.png is empty"));
  for (const char* garbage : {"no picture", "\x89PNG\r\n\x1a\n", "\x89PNG\r\n\x1a\n and then nothing that is"}) {
    write_text(set.root / "maps/b.png", garbage);
    EXPECT_EQ(set.check().problem_count, 1u) << all_of(set.check());
    EXPECT_EQ(set.check({.decode = false}).problem_count, 1u);
  }
  sqs::write_png(set.root / "maps/b.png", sqs::image(2, 2));
  EXPECT_TRUE(set.check().good());
  EXPECT_TRUE(set.check({.decode = false}).good());
  set.spoil("map", "maps/b.png", "../b.png");
  EXPECT_THAT(all_of(set.check()), HasSubstr("map.json names the file '../b.png', which contains '..'"));
}

constexpr const char* pose = R"([{"utime":1,"accel":[0,0,9.8],"rotation_rate":[0,0,0],"vel":[4,0,0]}])";
constexpr const char* steering = R"([{"utime":1,"value":0.5}])";

TEST(check_can_bus, files_of_every_kind) {
  whole_nuscenes set;
  const auto folder = set.root / "can_bus";
  write_text(folder / "scene-1_pose.json", pose);
  write_text(folder / "scene-1_steeranglefeedback.json", steering);
  write_text(folder / "scene-1_meta.json", R"({"pose":{"message_count":1}})");
  write_text(folder / "scene-0999_route.json", "[[1.5,2],[3,4]]");
  write_text(folder / "README", "no message");
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
  EXPECT_TRUE(set.check({.decode = false}).good()) << all_of(set.check({.decode = false}));
  for (const char* name :
       {"scene-1_pose.json", "scene-1_steeranglefeedback.json", "scene-1_meta.json", "scene-0999_route.json"}) {
    const auto whole = sqs::text_of(sqs::read_file(folder / name));
    for (const auto& text :
         {std::string(), std::string("garbage"), whole.substr(0, whole.size() - 3), std::string(whole.size(), '\0')}) {
      write_text(folder / name, text);
      const auto r = set.check();
      ASSERT_EQ(r.problem_count, 1u) << name << "\n" << all_of(r);
      EXPECT_THAT(r.problems[0].what, HasSubstr((folder / name).string()));
      EXPECT_EQ(r.problems[0].repair, "unzip -o can_bus.zip can_bus/" + std::string(name) + " -d " + set.root.string());
      EXPECT_EQ(set.check({.decode = false}).problem_count, 1u) << name << text;
    }
    write_text(folder / name, whole);
  }
  write_text(folder / "scene-1_pose.json", "[]");
  EXPECT_THAT(all_of(set.check()), HasSubstr("scene-1_pose.json holds no messages"));
  write_text(folder / "scene-1_pose.json", R"([{"utime":1,"accel":[0,0],"rotation_rate":[0,0,0],"vel":[4,0,0]}])");
  EXPECT_THAT(all_of(set.check()), HasSubstr("scene-1_pose.json, record 0: field 'accel' is not a list of 3 numbers"));
  fs::remove(folder / "scene-1_pose.json");
  EXPECT_THAT(all_of(set.check()), HasSubstr("scene-1_pose.json is missing\n    unzip "));
}

TEST(check_can_bus, numbers_that_no_vehicle_sends) {
  whole_nuscenes set;
  const auto folder = set.root / "can_bus";
  write_text(folder / "scene-1_steeranglefeedback.json", steering);
  const std::string first = R"([{"utime":1,"accel":[0,0,9.8],"rotation_rate":[0,0,0],"vel":[40,0,0]},)";
  for (const auto& [message, problem] : std::map<std::string, std::string>{
           {R"({"utime":2,"accel":[0,0,9.8],"rotation_rate":[0,0,0],"vel":[90,120.5,0]})", "'vel' of 150.4 m/s"},
           {R"({"utime":2,"accel":[0,-9800,0],"rotation_rate":[0,0,0],"vel":[4,0,0]})", "'accel' of 9800 m/s^2"},
           {R"({"utime":2,"accel":[0,0,9.8],"rotation_rate":[0,0,1e30],"vel":[4,0,0]})",
            "'rotation_rate' of 1e+30 rad/s"}}) {
    write_text(folder / "scene-1_pose.json", first + message + "]");
    const auto r = set.check();
    ASSERT_EQ(r.problem_count, 1u) << all_of(r);
    EXPECT_THAT(r.problems[0].what, HasSubstr("scene-1_pose.json, record 1: " + problem + ", no vehicle"));
    EXPECT_THAT(r.problems[0].repair, EndsWith("can_bus/scene-1_pose.json -d " + set.root.string()));
  }
  write_text(folder / "scene-1_pose.json", pose);
  write_text(folder / "scene-1_steeranglefeedback.json", R"([{"utime":1,"value":-360}])");
  EXPECT_THAT(all_of(set.check()), HasSubstr("scene-1_steeranglefeedback.json, record 0: 'value' of -360 rad"));
}

TEST(check_can_bus, scenes_of_nuscenes_have_messages_but_for_some) {
  using sqs::detail::has_can_messages;
  for (const char* name : {"scene-0001", "scene-0160", "scene-0169", "scene-0177", "scene-0308", "scene-0315"}) {
    EXPECT_TRUE(has_can_messages(name)) << name;
  }
  for (const char* name : {"scene-0161", "scene-0168", "scene-0170", "scene-0176", "scene-0309", "scene-0314",
                           "scene-1", "scene-00x1", "town-train-0000", ""}) {
    EXPECT_FALSE(has_can_messages(name)) << name;
  }
  whole_nuscenes set;
  set.spoil("scene", "scene-1", "scene-0103");
  fs::create_directories(set.root / "can_bus");
  const auto r = set.check();
  ASSERT_EQ(r.problem_count, 2u) << all_of(r);
  EXPECT_THAT(r.problems[0].what, EndsWith("can_bus/scene-0103_pose.json is missing"));
  EXPECT_THAT(r.problems[1].what, EndsWith("can_bus/scene-0103_steeranglefeedback.json is missing"));
}

TEST(check_labels, of_both_names_of_open_occ) {
  for (const char* folder : {"openocc_v2", "openocc_v2.1"}) {
    const whole_nuscenes set;
    set.check();
    const auto labels = sqs::occupancy_labels::empty(sqs::occ3d_grid, sqs::open_occ_free);
    for (const char* token : {"s0", "s1"}) {
      sqs::write_open_occ(sqs::occ3d_path(set.root / folder, "scene-1", token), labels);
    }
    auto r = set.check();
    EXPECT_TRUE(r.good()) << all_of(r);
    EXPECT_EQ(r.counts.at("labels of OpenOcc"), 2);
    const auto lost = sqs::occ3d_path(set.root / folder, "scene-1", "s1");
    fs::remove(lost);
    r = set.check();
    ASSERT_EQ(r.problem_count, 1u) << all_of(r);
    EXPECT_EQ(r.problems[0].what, "the labels " + lost.string() + " of sample s1 are missing");
    EXPECT_THAT(r.problems[0].repair, EndsWith(" > " + lost.string()));
  }
}

TEST(check_labels, that_say_nothing) {
  const whole_nuscenes set;
  set.check();
  const auto at = [&](const char* token) { return sqs::occ3d_path(set.root / "gts", "scene-1", token); };
  auto labels = sqs::occupancy_labels::empty(sqs::occ3d_grid, sqs::occupancy_free);
  sqs::write_occ3d(at("s0"), labels); // an empty street
  labels.semantics.assign(labels.semantics.size(), 0);
  sqs::write_occ3d(at("s1"), labels);
  EXPECT_THAT(all_of(set.check()), HasSubstr("s1/labels.npz: all 640000 voxels have the class 0; it was not written"));
  labels.semantics[7] = 4;
  sqs::write_occ3d(at("s1"), labels);
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
  for (const char* sweep : {"0.pcd.bin", "1.pcd.bin"}) {
    auto rows = sqs::occupancy_labels::empty(sqs::surround_occ_grid, sqs::occupancy_free);
    rows.semantics[9] = sqs::occupancy_labels::ignore; // written as 0
    sqs::write_surround_occ(sqs::surround_occ_path(set.root / "dense_voxels_with_semantic", sweep), rows);
  }
  const auto r = set.check();
  ASSERT_EQ(r.problem_count, 2u) << all_of(r);
  EXPECT_THAT(r.problems[0].what, HasSubstr("0.pcd.bin.npy: no voxel is labelled, what is not free has the class 0"));
}

TEST(check_files, far_too_large) {
  const whole_nuscenes set;
  set.check();
  for (const char* name : {"samples/LIDAR_TOP/0.pcd.bin", "samples/CAM_BACK/1.jpg"}) {
    fs::resize_file(set.root / name, std::uintmax_t{10} << 30);
    for (const bool decode : {true, false}) {
      const auto r = set.check({.decode = decode});
      ASSERT_EQ(r.problem_count, 1u) << all_of(r);
      EXPECT_EQ(r.problems[0].what, (set.root / name).string() + " has 10737418240 bytes, more than any such file");
    }
    fs::remove(set.root / name);
    std::ofstream(set.root / name, std::ios::binary)
        << (std::string(name).ends_with(".jpg") ? sqs::text_of(sqs::encode_jpeg(sqs::image(4, 8)))
                                                : sqs::text_of(sqs::bytes_of(std::vector<float>{1, 2, 3, 4, 5})));
  }
  EXPECT_TRUE(set.check().good());
}

} // namespace check_parts_test

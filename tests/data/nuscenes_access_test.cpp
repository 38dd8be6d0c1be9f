// SPDX-License-Identifier: Apache-2.0
// What the nuScenes reader knows besides samples: attributes, sweeps, lidarseg, neighbours, splits, the CAN bus.
#include "tiny_nuscenes.hpp"

#include <sqs/data/can_bus.hpp>
#include <sqs/data/nuscenes_splits.hpp>

#include "../support/check.hpp"
#include "../support/scratch.hpp"

namespace nuscenes_access_test {

namespace fs = std::filesystem;
using sqs::test::message_of;
using sqs_test::tiny_nuscenes;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// The tiny set with the tables that only the full one has, and sweeps of the LiDAR and the front camera between s0
/// and s1 (the vehicle moves 1 m from sweep to sweep).
struct full_nuscenes : tiny_nuscenes {
  full_nuscenes() {
    tables["attribute"] = R"([{"token":"at0","name":"vehicle.moving"},{"token":"at1","name":"vehicle.parked"}])";
    tables["visibility"] = R"([{"token":"1","level":"v0-40"},{"token":"4","level":"v80-100"}])";
    tables["log"] =
        R"([{"token":"l0","logfile":"n008","vehicle":"n","date_captured":"2018","location":"boston-seaport"}])";
    tables["map"] =
        R"([{"token":"m","category":"semantic_prior","filename":"maps/x.png","log_tokens":["l0","elsewhere"]}])";
    tables["category"] = R"([{"token":"c","name":"vehicle.car","index":17},)"
                         R"({"token":"r","name":"static_object.bicycle_rack","index":13}])";
    tables["lidarseg"] = R"([{"token":"d60","sample_data_token":"d60","filename":"lidarseg/s0.bin"},
                             {"token":"x","sample_data_token":"of-another-version","filename":"lidarseg/x.bin"}])";
    spoil("scene", R"("name":"scene-1")", R"("name":"scene-1","log_token":"l0","description":"Rain, \"dark\"")");
    spoil("sample_annotation", R"("num_lidar_pts":12)",
          R"("num_lidar_pts":12,"num_radar_pts":3,"visibility_token":"4","attribute_tokens":["at1"])");
    auto& data = tables["sample_data"];
    data.erase(data.find(R"(,{"token":"sweep")"));
    data += "]";
    std::string poses;
    const auto link = [&](const char* token, const char* previous, const char* next) {
      const std::string key = sqs::concat("{\"token\":\"", token, "\"");
      data.insert(data.find(key) + key.size(), sqs::concat(",\"prev\":\"", previous, "\",\"next\":\"", next, "\""));
    };
    for (int v = 0; v < 7; ++v) {
      const std::string id = std::to_string(v);
      const bool swept = v == 0 || v == 6;
      link(("d" + id + "0").c_str(), "", swept ? ("w" + id + "1").c_str() : ("d" + id + "1").c_str());
      link(("d" + id + "1").c_str(), swept ? ("w" + id + "2").c_str() : ("d" + id + "0").c_str(), "");
      for (int k = 1; swept && k <= 2; ++k) {
        const std::string me = "w" + id + std::to_string(k);
        const std::string file = std::string("sweeps/") + (v == 0 ? "CAM_FRONT" : "LIDAR_TOP") + "/" +
                                 std::to_string(k) + (v == 0 ? ".jpg" : ".pcd.bin");
        data.insert(data.size() - 1,
                    sqs::concat(",{\"token\":\"", me, "\",\"sample_token\":\"s1\",\"ego_pose_token\":\"", me,
                                "\",\"calibrated_sensor_token\":\"cs", id, "\",\"timestamp\":", 1000 + k,
                                ",\"is_key_frame\":false,\"height\":4,\"width\":8,\"filename\":\"", file,
                                "\",\"prev\":\"", k == 1 ? "d" + id + "0" : "w" + id + "1", "\",\"next\":\"",
                                k == 1 ? "w" + id + "2" : "d" + id + "1", "\"}"));
        poses += sqs::concat("{\"token\":\"", me, "\",\"timestamp\":1,\"rotation\":[1,0,0,0],\"translation\":[",
                             100 + k, ",50,0]},");
        fs::create_directories(root / fs::path(file).parent_path());
        if (v == 0) {
          write(file, sqs::encode_jpeg(sqs::image(4, 8)));
        } else {
          write_lidar(file, {0, static_cast<float>(10 - k), 0, 7, 3, 0.5f, 0, 0, 1, 1});
        }
      }
    }
    tables["ego_pose"].insert(1, poses);
    fs::create_directories(root / "lidarseg");
    const std::vector<std::uint8_t> labels{24, 17};
    write("lidarseg/s0.bin", sqs::bytes_of(labels));
  }
};

TEST(nuscenes_access, boxes_carry_attribute_visibility_and_points) {
  const full_nuscenes tiny;
  const auto set = tiny.open();
  const auto b = set.boxes(0), same = set.sample(0).boxes;
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(b[0].attribute, "vehicle.parked");
  EXPECT_EQ(b[0].visibility, 4);
  EXPECT_EQ(b[0].lidar_points, 12);
  EXPECT_EQ(b[0].radar_points, 3);
  EXPECT_EQ(same[0].attribute, b[0].attribute);
  const auto other = set.boxes(1);
  EXPECT_EQ(other[0].attribute, "");
  EXPECT_EQ(other[0].visibility, 0);
  EXPECT_EQ(other[0].radar_points, 0);
  const auto& t = set.tables();
  ASSERT_EQ(t.annotations_of(t.order[0]).size(), 1u);
  const auto& a = t.annotation_row(static_cast<sqs::nuscenes_row>(t.annotations_of(t.order[0])[0]));
  EXPECT_EQ(t.text(a.token), "a0");
  EXPECT_EQ(t.attributes_of(a), (std::vector<std::string>{"vehicle.parked"}));
  EXPECT_EQ(t.categories[1].name, "static_object.bicycle_rack");
  EXPECT_EQ(t.categories[1].index, 13);
  EXPECT_EQ(t.logs[0].location, "boston-seaport");
  EXPECT_EQ(t.maps[0].logs, (std::vector<sqs::nuscenes_row>{0}));
  EXPECT_EQ(t.scenes[0].description, "Rain, \"dark\"");
  EXPECT_EQ(t.scenes[0].log, 0);
  EXPECT_EQ(t.scenes[0].count, 2u);
}

TEST(nuscenes_access, neighbours_and_tokens) {
  const full_nuscenes tiny;
  const auto set = tiny.open();
  EXPECT_EQ(set.previous(0), -1);
  EXPECT_EQ(set.next(0), 1);
  EXPECT_EQ(set.previous(1), 0);
  EXPECT_EQ(set.next(1), -1);
  EXPECT_EQ(set.token(1), "s1");
  EXPECT_EQ(set.index_of("s1"), 1);
  EXPECT_EQ(set.index_of("nowhere"), -1);
  EXPECT_EQ(set.index_of(""), -1);
  EXPECT_EQ(set.scene(0), "scene-1");
  EXPECT_EQ(set.lidar_filename(1), "samples/LIDAR_TOP/1.pcd.bin");
  EXPECT_EQ(set.lidar_token(1), "d61");
  EXPECT_EQ(set.scene_token(1), "sc");
  EXPECT_NEAR(set.T_global_ego(1).translation.x, 105, 1e-12);
  const auto f = set.future(0);
  EXPECT_NEAR(f.position[0].y, 5, 1e-12); // 5 m ahead is along ref's y
  EXPECT_EQ(f.valid, (std::vector<bool>{true, false, false, false, false, false}));
}

TEST(nuscenes_access, sweeps_come_newest_first_with_their_own_poses) {
  const full_nuscenes tiny;
  EXPECT_THAT(message_of([&] { tiny.open().sweeps(1, 2); }), HasSubstr("no sweeps were kept; open it with"));
  for (const auto kind : {sqs::nuscenes_sweeps::lidar, sqs::nuscenes_sweeps::all}) {
    const auto set = tiny.open({.sweeps = kind});
    const auto s = set.sweeps(1, 10);
    ASSERT_EQ(s.size(), 4u); // s1, two between, s0
    EXPECT_EQ(s[1].timestamp_us, 1002);
    EXPECT_EQ(s[2].timestamp_us, 1001);
    EXPECT_NEAR(s[0].T_global_sensor.translation.x, 106, 1e-12);
    EXPECT_NEAR(s[1].T_global_sensor.translation.x, 103, 1e-12);
    EXPECT_NEAR(s[3].T_global_sensor.translation.x, 101, 1e-12);
    EXPECT_EQ(set.sweeps(1, 1).size(), 2u);
    EXPECT_EQ(set.sweeps(0, 5).size(), 1u);
    // The two sweeps and s0 see the same post, 111 m along x: 5 m ahead of s1, whose own points do not.
    const auto all = sqs::aggregated(s, set.T_global_ref(1), 1600);
    int posts = 0;
    for (const auto& p : all.points) { posts += std::abs(p.y - 5) < 1e-4 && std::abs(p.x) < 1e-4; }
    EXPECT_EQ(posts, 3);
    EXPECT_EQ(all.points.size(), 6u); // the close ones of the sweeps are gone
  }
}

TEST(nuscenes_access, past_images_are_posed_to_the_key_frame) {
  const full_nuscenes tiny;
  const auto set = tiny.open({.sweeps = sqs::nuscenes_sweeps::all});
  const auto now = set.past_view(1, 0, 0), before = set.past_view(1, 0, 1), first = set.past_view(1, 0, 3);
  ASSERT_TRUE(now && before && first);
  EXPECT_EQ(before->timestamp_us, 1002);
  // A point 20 m ahead of the LiDAR at s1 (x = 126). The camera stood at 108 at the exposure of s1, at 103 before.
  const sqs::vec3<double> p{0, 20, 0};
  EXPECT_NEAR((now->T_cam_ref * p).z, 18, 1e-9);
  EXPECT_NEAR((before->T_cam_ref * p).z, 23, 1e-9);
  EXPECT_NEAR((first->T_cam_ref * p).z, 23, 1e-9); // s0: exposed at 102 + 1
  EXPECT_FALSE(set.past_view(1, 0, 4));
  EXPECT_FALSE(set.past_view(0, 3, 1));
  EXPECT_THAT(message_of([&] { set.past_view(1, 6, 0); }),
              HasSubstr("camera 6, 0 exposures back; cameras count from 0 to 5"));
  EXPECT_THAT(message_of([&] { tiny.open({.sweeps = sqs::nuscenes_sweeps::lidar}).past_view(1, 0, 1); }),
              HasSubstr("no past images were kept"));
}

TEST(nuscenes_access, lidarseg_has_one_class_per_point) {
  const full_nuscenes tiny;
  const auto set = tiny.open();
  EXPECT_EQ(set.lidarseg(0, 2), (std::vector<std::uint8_t>{24, 17}));
  EXPECT_THAT(message_of([&] { set.lidarseg(0, 3); }),
              AllOf(HasSubstr("lidarseg/s0.bin"), HasSubstr("has 2 bytes for the 3 points of its sweep")));
  EXPECT_THAT(message_of([&] { set.lidarseg(1, 2); }),
              HasSubstr("lidarseg.json has no sample s1; download nuScenes-lidarseg"));
}

TEST(nuscenes_access, broken_full_tables_are_named) {
  full_nuscenes tiny;
  const auto bad = [&](const std::string& table, const std::string& from, const std::string& to,
                       const std::string& why) {
    const std::string good = tiny.tables.at(table);
    tiny.spoil(table, from, to);
    EXPECT_THAT(message_of([&] { tiny.open({.sweeps = sqs::nuscenes_sweeps::all}); }),
                AllOf(HasSubstr(table + ".json"), HasSubstr(why)));
    tiny.tables[table] = good;
  };
  bad("sample_annotation", R"(["at1"])", R"(["at7"])",
      "field 'attribute_tokens' is 'at7', which is not in attribute.json");
  bad("sample_annotation", R"("visibility_token":"4")", R"("visibility_token":"3")",
      "'3', which is not in visibility.json");
  bad("visibility", "v0-40", "v0-41", "field 'level' is none of v0-40, v40-60");
  bad("scene", R"("log_token":"l0")", R"("log_token":"l7")", "field 'log_token' is 'l7', which is not in log.json");
  bad("category", R"("index":17)", R"("index":300)", "field 'index' is 300, outside 0 .. 255");
  bad("sample_data", R"("next":"w61")", R"("next":"gone")", "field 'next' is 'gone', which is not in sample_data.json");
  bad("sample_data", R"("ego_pose_token":"w61")", R"("ego_pose_token":"gone")", "which is not in ego_pose.json");
  bad("sample_data", R"("token":"w61")", R"("token":"w62")", "field 'token' occurs twice in this table");
}

TEST(nuscenes_access, the_tables_do_not_depend_on_threads) {
  const full_nuscenes tiny;
  tiny.open();
  for (const auto kind : {sqs::nuscenes_sweeps::none, sqs::nuscenes_sweeps::lidar, sqs::nuscenes_sweeps::all}) {
    const auto read = [&](int threads) {
      const auto t = sqs::read_nuscenes_tables(tiny.root / "v1.0-mini", {.sweeps = kind, .threads = threads});
      std::string all;
      for (const auto& r : t.recordings) {
        all += sqs::concat(t.text(r.token), " ", t.filename(r), " ", r.pose, " ", r.previous, " ", r.next, "\n");
      }
      for (const auto& a : t.annotations) { all += sqs::concat(t.text(a.token), " ", a.previous, " ", a.next, "\n"); }
      return all;
    };
    EXPECT_EQ(read(1), read(2));
    EXPECT_EQ(read(1), read(3));
    EXPECT_EQ(std::ranges::count(read(1), '\n'), 2 + 14 +
                                                     (kind == sqs::nuscenes_sweeps::none    ? 0
                                                      : kind == sqs::nuscenes_sweeps::lidar ? 2
                                                                                            : 4));
  }
  // Both halves broken: the error of the first is reported, whichever thread is faster.
  full_nuscenes broken;
  broken.spoil("sample_data", R"("is_key_frame":true,)", "")
      .spoil("sample_annotation", R"("size":[2,4,1.5])", R"("size":[2,4])");
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(message_of([&] { broken.open(); }), HasSubstr("'is_key_frame' is missing"));
  }
}

TEST(nuscenes_access, only_wanted_scenes_are_kept) {
  full_nuscenes tiny;
  tiny.tables["scene"].insert(1, R"({"token":"sd","name":"scene-2","first_sample_token":"t0"},)");
  tiny.tables["sample"].insert(1, R"({"token":"t0","timestamp":9,"prev":"","next":"","scene_token":"sd"},)");
  tiny.tables["sample_annotation"].insert(
      1, R"({"token":"b","sample_token":"t0","instance_token":"i","translation":[1,5,1],
      "size":[2,4,1.5],"rotation":[1,0,0,0],"prev":"","next":"","num_lidar_pts":12},)");
  EXPECT_THAT(message_of([&] { tiny.open(); }), HasSubstr("sample t0 has no key frame of CAM_FRONT"));
  const auto set = tiny.open({.scenes = {"scene-1"}});
  EXPECT_EQ(set.size(), 2);
  EXPECT_EQ(set.tables().annotations.size(), 2u);
  EXPECT_EQ(set.index_of("t0"), -1);
}

TEST(nuscenes_token, texts_survive) {
  sqs::nuscenes_token_texts texts;
  for (const std::string t :
       {"", "1", "d00", "e537237d80bfc5604f0583aa97f8b138", "00000000000000000000000000000000",
        "E537237D80BFC5604F0583AA97F8B138", "e537237d80bfc5604f0583aa97f8b13", "a token with spaces"}) {
    EXPECT_EQ(texts.text(texts.add(t)), t);
    EXPECT_EQ(texts.add(t), sqs::nuscenes_token_of(t));
  }
  const auto t = sqs::nuscenes_token_of("e537237d80bfc5604f0583aa97f8b138");
  EXPECT_EQ(t.high, 0xe537237d80bfc560u);
  EXPECT_EQ(t.low, 0x4f0583aa97f8b138u);
}

TEST(nuscenes_token, an_index_finds_what_was_added_and_names_the_second_of_two) {
  for (const bool hostile : {false, true}) { // all tokens alike in their first half: one bucket
    sqs::nuscenes_token_index index;
    for (std::size_t i = 0; i < 5000; ++i) { index.add({hostile ? 1 : sqs::mix_bits(i), sqs::mix_bits(i + 7)}, i); }
    EXPECT_EQ(index.seal(), -1);
    for (std::size_t i = 0; i < 5000; ++i) {
      ASSERT_EQ(index.find({hostile ? 1 : sqs::mix_bits(i), sqs::mix_bits(i + 7)}), static_cast<std::int32_t>(i));
      ASSERT_EQ(index.find({hostile ? 1 : sqs::mix_bits(i), sqs::mix_bits(i + 6)}),
                hostile && i > 0 ? static_cast<std::int32_t>(i - 1) : -1);
    }
    index.add({hostile ? 1 : sqs::mix_bits(30), sqs::mix_bits(37)}, 5000);
    EXPECT_EQ(index.seal(), 5000);
  }
  EXPECT_EQ(sqs::nuscenes_token_index().find({1, 2}), -1);
}

TEST(nuscenes_files, names_are_kept_to_the_letter) {
  sqs::detail::nuscenes_file_names names;
  const std::vector<std::string> all{"samples/CAM_FRONT/n015-2018-07-18-11-07-57+0800__CAM_FRONT__1531883530412470.jpg",
                                     "samples/LIDAR_TOP/x__1531883530449377.pcd.bin",
                                     "a/0001.jpg",
                                     "a/0.jpg",
                                     "a/10.jpg",
                                     "noDigits.bin",
                                     "",
                                     "7",
                                     "x123456789012345678901234567890.jpg",
                                     "x000.jpg",
                                     "x00012.jpg"};
  std::vector<sqs::nuscenes_tables::file_name> rows;
  for (const auto& n : all) { rows.push_back(names.add(n)); }
  sqs::nuscenes_tables t;
  t.file_parts = names.take();
  for (std::size_t i = 0; i < all.size(); ++i) {
    sqs::nuscenes_tables::recording r;
    r.file = rows[i];
    EXPECT_EQ(t.filename(r), all[i]);
  }
}

TEST(nuscenes_splits, are_the_official_ones) {
  struct split {
    const char* name;
    std::size_t scenes;
    int sum, squares;
  };
  // Counts, sums and sums of squares of the scene numbers of nuscenes-devkit 1.1.11.
  for (const auto& s :
       {split{"train", 700, 376803, 274005363}, split{"val", 150, 88948, 71058234}, split{"test", 150, 80948, 58866200},
        split{"mini_train", 8, 6093, 5511985}, split{"mini_val", 2, 1019, 849665}}) {
    int sum = 0, squares = 0;
    const auto numbers = sqs::nuscenes_split_numbers(s.name);
    EXPECT_EQ(numbers.size(), s.scenes);
    for (const int n : numbers) { sum += n, squares += n * n; }
    EXPECT_EQ(sum, s.sum);
    EXPECT_EQ(squares, s.squares);
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  }
  EXPECT_EQ(sqs::nuscenes_split("mini_val"), (std::vector<std::string>{"scene-0103", "scene-0916"}));
  EXPECT_EQ(sqs::nuscenes_split("train")[0], "scene-0001");
  EXPECT_THAT(message_of([] { sqs::nuscenes_split("all"); }),
              HasSubstr("'all' is no official split; give train, val, test, mini_train or mini_val"));
}

TEST(can_bus, messages_of_a_moment) {
  const sqs::test::scratch_folder folder;
  const auto root = folder.path();
  fs::create_directories(root / "can_bus");
  EXPECT_FALSE(sqs::read_can_bus(root, "scene-0001"));
  const auto file = root / "can_bus/scene-0001_pose.json";
  const auto message = [](int time, int x) {
    return sqs::concat("{\"utime\":", time, ",\"accel\":[", x,
                       ",2,9.8],\"rotation_rate\":[0,0,0.1],\"vel\":[5,0,0],\"pos\":[1,2,3]}");
  };
  std::ofstream(file) << "[" << message(100, 1) << "," << message(200, 3) << "]";
  auto bus = sqs::read_can_bus(root, "scene-0001");
  ASSERT_TRUE(bus);
  EXPECT_EQ(bus->ego_status(199), (std::array<double, 10>{1, 2, 9.8, 0, 0, 0.1, 5, 0, 0, 0}));
  std::ofstream(root / "can_bus/scene-0001_steeranglefeedback.json")
      << R"([{"utime":150,"value":-0.5},{"utime":160,"value":1}])";
  bus = sqs::read_can_bus(root, "scene-0001");
  EXPECT_EQ(bus->ego_status(200)[0], 3);
  EXPECT_EQ(bus->ego_status(200)[9], 1);
  EXPECT_EQ(bus->ego_status(0)[0], 1); // before the first: the first
  EXPECT_EQ(bus->ego_status(159)[9], -0.5);
  std::ofstream(file) << "[" << message(200, 1) << "," << message(100, 3) << "]";
  EXPECT_THAT(message_of([&] { sqs::read_can_bus(root, "scene-0001"); }), HasSubstr("field 'utime' goes back in time"));
  EXPECT_THAT(message_of([&] { sqs::read_can_bus(root, "../../x"); }), HasSubstr("contains '..'"));
  EXPECT_EQ(sqs::can_bus{}.ego_status(5), (std::array<double, 10>{}));
}

} // namespace nuscenes_access_test

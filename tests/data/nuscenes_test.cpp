// SPDX-License-Identifier: Apache-2.0
#include "tiny_nuscenes.hpp"

#include <sqs/sensor/lidar_depth.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace nuscenes_test {

using sqs_test::tiny_nuscenes;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(nuscenes, reads_key_frames_in_time_with_poses_at_their_own_times) {
  const tiny_nuscenes tiny;
  const auto set = tiny.open();
  ASSERT_EQ(set.size(), 2);
  const auto s = set.sample(0);
  EXPECT_EQ(s.token, "s0");
  EXPECT_EQ(s.scene, "scene-1");
  EXPECT_EQ(s.timestamp_us, 1'000'000);
  EXPECT_EQ(set.sample(1).token, "s1");
  ASSERT_EQ(s.views.size(), 6u);
  for (std::size_t v = 0; v < 6; ++v) { EXPECT_EQ(s.views[v].name, sqs::camera_names[v]); }
  EXPECT_EQ(s.views[3].timestamp_us, 10030);
  EXPECT_EQ(s.views[0].camera.fx, 10);
  EXPECT_EQ(s.views[0].camera.cy, 2);
  EXPECT_EQ(s.views[0].picture.width, 8);
  // 10 m ahead of the LiDAR; when the camera exposes, the vehicle is 2 m further: z = 8, and 0.3 m higher than the
  // camera.
  const auto p = s.views[0].T_cam_ref * sqs::vec3<double>(s.lidar.points[0]);
  EXPECT_NEAR(p.x, 0, 1e-12);
  EXPECT_NEAR(p.y, -0.3, 1e-12);
  EXPECT_NEAR(p.z, 8, 1e-12);
  EXPECT_EQ(s.lidar.intensity, (std::vector<float>{7, 255}));
  EXPECT_EQ(s.lidar.ring, (std::vector<int>{3, 31}));
  const auto origin = s.T_global_ref * sqs::vec3<double>{};
  EXPECT_NEAR(origin.x, 101, 1e-12);
  EXPECT_NEAR(origin.z, 1.8, 1e-12);
}

TEST(nuscenes, boxes_are_turned_to_the_reference_frame) {
  const tiny_nuscenes tiny;
  const auto set = tiny.open();
  const auto s = set.sample(0);
  ASSERT_EQ(s.boxes.size(), 1u);
  const auto& b = s.boxes[0];
  // Global (111, 50, 1) from the LiDAR at (101, 50, 1.8): 10 m ahead, along ref's y.
  EXPECT_NEAR(b.center.x, 0, 1e-9);
  EXPECT_NEAR(b.center.y, 10, 1e-9);
  EXPECT_NEAR(b.center.z, -0.8, 1e-9);
  EXPECT_EQ(b.size.x, 4); // the file's order is width, length, height
  EXPECT_EQ(b.size.y, 2);
  // It points along global +y, which is ego's left, which is -x of ref: half a turn.
  EXPECT_NEAR(std::abs(b.yaw), std::numbers::pi, 1e-9);
  // 1 m along global y in 0.5 s.
  EXPECT_NEAR(b.velocity.x, -2, 1e-9);
  EXPECT_NEAR(b.velocity.y, 0, 1e-9);
  EXPECT_EQ(b.category, "vehicle.car");
  EXPECT_EQ(b.instance, "i");
  EXPECT_EQ(b.lidar_points, 12);
}

TEST(nuscenes, velocity_is_unknown_for_lone_and_for_distant_boxes) {
  tiny_nuscenes lone;
  lone.spoil("sample_annotation", R"("next":"a1")", R"("next":"")");
  EXPECT_TRUE(std::isnan(lone.open().sample(0).boxes[0].velocity.x));
  EXPECT_NEAR(lone.open().sample(1).boxes[0].velocity.x, -2, 1e-9); // its own link to the past still holds
  tiny_nuscenes distant;
  distant.spoil("sample", R"("timestamp":1500000)", R"("timestamp":2600000)");
  EXPECT_TRUE(std::isnan(distant.open().sample(0).boxes[0].velocity.x));
  EXPECT_FALSE(std::isnan(distant.open({.max_time_diff = 2}).sample(0).boxes[0].velocity.x));
}

TEST(nuscenes, keeps_only_the_scenes_asked_for) {
  const tiny_nuscenes tiny;
  EXPECT_EQ(tiny.open({.scenes = {"scene-1"}}).size(), 2);
  EXPECT_THAT([&] { tiny.open({.scenes = {"scene-9"}}); },
              ThrowsMessage<sqs::file_error>(HasSubstr("the scene 'scene-9' is not in ")));
}

void opening_fails(tiny_nuscenes& tiny, const std::string& table, const std::string& from, const std::string& to,
                   const std::string& why) {
  const std::string good = tiny.tables.at(table);
  tiny.spoil(table, from, to);
  EXPECT_THAT([&] { tiny.open(); }, ThrowsMessage<sqs::file_error>(AllOf(HasSubstr(table + ".json"), HasSubstr(why))))
      << to;
  tiny.tables[table] = good;
}

TEST(nuscenes, broken_tables_name_table_record_token_and_field) {
  tiny_nuscenes tiny;
  const auto bad = [&](const std::string& table, const std::string& from, const std::string& to,
                       const std::string& why) { opening_fails(tiny, table, from, to, why); };
  bad("sample", R"("next":"s1")", R"("next":"gone")",
      "(token s0): field 'next' is 'gone', which is not in sample.json (dangling token)");
  bad("sample", R"("next":"")", R"("next":"s0")", "is 's0', which was reached before (the list has a cycle)");
  bad("sample", R"("token":"s1")", R"("token":"s0")", "record 1 (token s0): field 'token' occurs twice in this table");
  bad("sample", R"("timestamp":1500000)", R"("timestamp":-9223372036854775808)", "no time in microseconds");
  bad("sample", R"("timestamp":1500000)", R"("timestamp":"x")", "field 'timestamp' is a string instead of an integer");
  bad("scene", R"("first_sample_token":"s0")", R"("first_sample_token":"s9")",
      "field 'first_sample_token' is 's9', which is not in sample.json");
  bad("sample_data", R"("calibrated_sensor_token":"cs0")", R"("calibrated_sensor_token":"cs8")",
      "record 0 (token d00): field 'calibrated_sensor_token' is 'cs8', which is not in calibrated_sensor.json "
      "(dangling token)");
  bad("sample_data", R"("ego_pose_token":"p00")", R"("ego_pose_token":"p99")",
      "record 0 (token d00): field 'ego_pose_token' is 'p99', which is not in ego_pose.json (dangling token)");
  bad("sample_data", R"("sample_token":"s0")", R"("sample_token":"s1")", "already has a key frame of CAM_FRONT");
  bad("sample_data", R"("is_key_frame":true)", R"("is_key_frame":false)",
      "sample s0 has no key frame of CAM_FRONT in ");
  bad("sample_data", R"("is_key_frame":true,)", "", "field 'is_key_frame' is missing");
  bad("sample_data", R"("height":4)", R"("height":-4)", "field 'height' is -4 pixels");
  bad("calibrated_sensor", R"("sensor_token":"se0")", R"("sensor_token":"x")",
      "field 'sensor_token' is 'x', which is not in sensor.json");
  bad("calibrated_sensor", "[[10,0,4]", "[[0,0,4]",
      "(token cs0): field 'camera_intrinsic' is skewed or has a focal length that is not positive (fx 0, fy 10");
  bad("calibrated_sensor", "[[10,0,4]", "[[10,4]", "field 'camera_intrinsic' is not a list of 3 numbers");
  bad("calibrated_sensor", "[[10,0,4],[0,10,2],[0,0,1]]", "[]", "field 'camera_intrinsic' is not a 3 x 3 matrix");
  bad("ego_pose", R"("rotation":[1,0,0,0])", R"("rotation":[0,0,0,0])",
      "(token p00): field 'rotation' is a quaternion (w,x,y,z) of length 0");
  bad("ego_pose", R"("rotation":[1,0,0,0])", R"("rotation":[NaN,0,0,0])", "invalid literal");
  bad("ego_pose", R"("rotation":[1,0,0,0])", R"("rotation":[null,0,0,0])",
      "field 'rotation' holds null as element 0 instead of a finite number");
  bad("ego_pose", R"("translation":[102)", R"("translation":[1e999)", "number overflow");
  bad("sample_annotation", R"("next":"a1")", R"("next":"a7")",
      "(token a0): field 'next' is 'a7', which is not in sample_annotation.json");
  bad("sample_annotation", R"("instance_token":"i")", R"("instance_token":"j")",
      "which is not in instance.json (dangling token)");
  bad("sample_annotation", R"("size":[2,4,1.5])", R"("size":[2,0,1.5])", "field 'size' is not positive");
  bad("sample_annotation", R"("prev":"")", R"("prev":null)", "(token a0): field 'prev' is null instead of a string");
  bad("sample_annotation", R"("translation":[111,50,1])", R"("translation":[])",
      "(token a0): field 'translation' is not a list of 3 numbers");
  bad("sample_annotation", R"("translation":[111,50,1])", R"("translation":null)",
      "(token a0): field 'translation' is null instead of a list");
  bad("instance", R"("category_token":"c")", R"("category_token":"d")",
      "which is not in category.json (dangling token)");
  bad("scene", "[{", "[{,", "at byte 3: parse error");
  tiny.tables["sample"] = "{}";
  EXPECT_THAT([&] { tiny.open(); },
              ThrowsMessage<sqs::file_error>(HasSubstr("sample.json does not hold a list of records")));
}

TEST(nuscenes, tables_of_other_editors_are_read) {
  tiny_nuscenes tiny;
  for (auto& [name, text] : tiny.tables) { // a mark before the text, lines that end as on Windows
    for (std::size_t at = 0; (at = text.find("},{", at)) != std::string::npos; at += 4) { text.insert(at + 2, "\r\n"); }
    text = "\xEF\xBB\xBF" + text + "\r\n";
  }
  EXPECT_EQ(tiny.open().boxes(0).size(), 1u);
}

TEST(nuscenes, a_missing_table_or_version_is_named) {
  tiny_nuscenes tiny;
  tiny.open();
  sqs_test::fs::remove(tiny.root / "v1.0-mini/ego_pose.json");
  tiny.tables.erase("ego_pose");
  EXPECT_THAT([&] { tiny.open(); },
              ThrowsMessage<sqs::file_error>(
                  "sqs::nuscenes_dataset: the table " + (tiny.root / "v1.0-mini/ego_pose.json").string() +
                  " is missing; give the root of a complete data set in the nuScenes format"));
  EXPECT_THAT([&] { sqs::nuscenes_dataset(tiny.root / "samples"); },
              ThrowsMessage<sqs::file_error>(
                  HasSubstr("holds 0 versions with tables (looked for v*/sample.json); give the folder")));
  sqs_test::fs::create_directories(tiny.root / "v1.0-trainval");
  std::ofstream(tiny.root / "v1.0-trainval/sample.json") << "[]";
  EXPECT_THAT([&] { tiny.open(); }, ThrowsMessage<sqs::file_error>(HasSubstr(
                                        "holds 2 versions with tables (v1.0-mini, v1.0-trainval); give the folder of "
                                        "one of them")));
}

TEST(nuscenes, the_folder_of_the_tables_chooses_among_versions) {
  tiny_nuscenes tiny;
  tiny.open();
  sqs_test::fs::create_directories(tiny.root / "v1.0-trainval");
  std::ofstream(tiny.root / "v1.0-trainval/sample.json") << "[]";
  const sqs::nuscenes_dataset chosen((tiny.root / "v1.0-mini/").string());
  EXPECT_EQ(chosen.size(), 2);
  EXPECT_EQ(chosen.root(), sqs_test::fs::absolute(tiny.root));
  EXPECT_EQ(chosen.token(0), "s0");
}

TEST(nuscenes, broken_files_of_a_sample_are_named) {
  const tiny_nuscenes tiny;
  const auto set = tiny.open();
  const auto fails = [&](const std::string& file, const std::string& why) {
    EXPECT_THAT([&] { set.sample(0); }, ThrowsMessage<sqs::file_error>(AllOf(HasSubstr(file), HasSubstr(why))));
  };
  const std::string lidar = "samples/LIDAR_TOP/0.pcd.bin", front = "samples/CAM_FRONT/0.jpg";
  tiny.write_lidar(lidar, {1, 2, 3, 4, 5, 6});
  fails(lidar, "has 24 bytes, no multiple of the 20 bytes of a point");
  tiny.write_lidar(lidar, {});
  fails(lidar, "holds no points");
  tiny.write_lidar(lidar, {1, 2, 3, 4, 5, 1, NAN, 3, 4, 5});
  fails(lidar, "at byte 20: point 1 is (1, nan, 3), intensity 4, ring 5");
  tiny.write_lidar(lidar, {1, 2, 3, 4, -1});
  fails(lidar, "ring -1; it must be finite with a ring of 0 .. 65535");
  tiny.write_lidar(lidar, {1, 2, 3, 4, 5});
  EXPECT_NO_THROW(set.sample(0));
  const auto jpeg = sqs::encode_jpeg(sqs::image(4, 8));
  tiny.write(front, std::span(jpeg).first(jpeg.size() / 2));
  fails(front, "cannot be decoded");
  tiny.write(front, sqs::encode_jpeg(sqs::image(5, 8)));
  fails(front, "has 5 x 8 pixels but sample_data.json says 4 x 8");
  sqs_test::fs::remove(tiny.root / front);
  fails(front, "No such file or directory");
  EXPECT_NO_THROW(set.sample(1));
  EXPECT_THAT([&] { set.sample(2); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sample 2 of 2; give 0 .. size() - 1")));
}

TEST(nuscenes, file_names_cannot_leave_the_root) {
  for (const std::string name : {"../secret.jpg", "/etc/passwd", "samples/../../secret.jpg", ""}) {
    tiny_nuscenes tiny;
    tiny.spoil("sample_data", R"("filename":"samples/CAM_FRONT/0.jpg")", R"("filename":")" + name + "\"");
    EXPECT_THAT(
        [&] { tiny.open().sample(0); },
        ThrowsMessage<sqs::file_error>(HasSubstr("sqs::contained_path: sample_data.json, token d00 names the file '")));
  }
}

} // namespace nuscenes_test

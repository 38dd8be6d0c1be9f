// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A data set of two key frames that a test writes itself, and may spoil first.

#include "../support/scratch.hpp"

#include <sqs/data/nuscenes.hpp>

#include <fstream>
#include <map>

namespace sqs_test {

namespace fs = std::filesystem;

struct tiny_nuscenes {
  const sqs::test::scratch_folder folder;
  const fs::path root = folder.path();
  std::map<std::string, std::string> tables;

  tiny_nuscenes() {
    tables["scene"] = R"([{"token":"sc","name":"scene-1","first_sample_token":"s0"}])";
    tables["sample"] = R"([{"token":"s1","timestamp":1500000,"prev":"s0","next":"","scene_token":"sc"},
                           {"token":"s0","timestamp":1000000,"prev":"","next":"s1","scene_token":"sc"}])";
    std::string sensors, mounted, data, poses;
    for (std::size_t v = 0; v < 7; ++v) {
      const std::string channel = v < 6 ? sqs::camera_names[v] : "LIDAR_TOP", id = std::to_string(v);
      sensors += comma(sensors) + R"({"token":"se)" + id + R"(","channel":")" + channel + R"(","modality":"x"})";
      // Cameras look along ego x: right = -y, down = -z. The LiDAR's y axis is ego x.
      mounted += comma(mounted) + R"({"token":"cs)" + id + R"(","sensor_token":"se)" + id + R"(","translation":[1,0,)" +
                 (v < 6 ? R"(1.5],"rotation":[0.5,-0.5,0.5,-0.5],"camera_intrinsic":[[10,0,4],[0,10,2],[0,0,1]]})"
                        : R"(1.8],"rotation":[0.7071067811865476,0,0,-0.7071067811865476],"camera_intrinsic":[]})");
      for (const std::string s : {"0", "1"}) {
        const std::string file = "samples/" + channel + "/" + s + (v < 6 ? ".jpg" : ".pcd.bin");
        data += comma(data) + R"({"token":"d)" + id + s + R"(","sample_token":"s)" + s + R"(","ego_pose_token":"p)" +
                id + s + R"(","calibrated_sensor_token":"cs)" + id + R"(","timestamp":100)" + id + s +
                R"(,"is_key_frame":true,"height":4,"width":8,"filename":")" + file + R"("})";
        // The vehicle is at x = 100; it moves 2 m between the LiDAR's time and the cameras' and 5 m from frame to
        // frame.
        const int x = 100 + (v < 6 ? 2 : 0) + (s == "1" ? 5 : 0);
        poses += comma(poses) + R"({"token":"p)" + id + s + R"(","timestamp":1,"rotation":[1,0,0,0],"translation":[)" +
                 std::to_string(x) + ",50,0]}";
        fs::create_directories(root / "samples" / channel);
        if (v < 6) {
          write(file, sqs::encode_jpeg(sqs::image(4, 8)));
        } else {
          write_lidar(file, {0, 10, 0, 7, 3, 5, 5, 1, 255, 31});
        }
      }
    }
    // Not a key frame and another sensor's: both are left out, whatever they say.
    data +=
        R"(,{"token":"sweep","sample_token":"s0","ego_pose_token":"nowhere","calibrated_sensor_token":"cs0",
               "timestamp":1,
               "is_key_frame":false,"height":4,"width":8,"filename":"x"})";
    tables["sensor"] = "[" + sensors + "]";
    tables["calibrated_sensor"] = "[" + mounted + "]";
    tables["sample_data"] = "[" + data + "]";
    tables["ego_pose"] =
        "[" + poses + R"(,{"token":"unused","timestamp":1,"rotation":[9,9,9,9],"translation":[0,0,0]}])";
    tables["category"] = R"([{"token":"c","name":"vehicle.car"}])";
    tables["instance"] = R"([{"token":"i","category_token":"c"}])";
    tables["sample_annotation"] =
        R"([{"token":"a0","sample_token":"s0","instance_token":"i","translation":[111,50,1],"size":[2,4,1.5],
             "rotation":[0.7071067811865476,0,0,0.7071067811865476],"prev":"","next":"a1","num_lidar_pts":12},
            {"token":"a1","sample_token":"s1","instance_token":"i","translation":[111,51,1],"size":[2,4,1.5],
             "rotation":[0.7071067811865476,0,0,0.7071067811865476],"prev":"a0","next":"","num_lidar_pts":3}])";
  }

  /// Replaces the first occurrence of `from`, which must be there.
  tiny_nuscenes& spoil(const std::string& table, const std::string& from, const std::string& to) {
    auto& text = tables.at(table);
    const auto at = text.find(from);
    if (at == std::string::npos) { throw std::logic_error("nothing to spoil: " + from); }
    text.replace(at, from.size(), to);
    return *this;
  }
  void write(const std::string& name, std::span<const std::byte> bytes) const {
    std::ofstream(root / name, std::ios::binary) << sqs::text_of(bytes);
  }
  void write_lidar(const std::string& name, std::vector<float> values) const {
    write(name, std::as_bytes(std::span(values)));
  }
  sqs::nuscenes_dataset open(sqs::nuscenes_options options = {}) const {
    fs::create_directories(root / "v1.0-mini");
    for (const auto& [name, text] : tables) { std::ofstream(root / "v1.0-mini" / (name + ".json")) << text; }
    return sqs::nuscenes_dataset(root, std::move(options));
  }

private:
  static std::string comma(const std::string& s) { return s.empty() ? "" : ","; }
};

} // namespace sqs_test

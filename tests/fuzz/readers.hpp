// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One function per file reader: any bytes either decode or end in a file_error, and what decodes survives a round
/// trip. Anything else (another exception, a sanitizer report, memory beyond the limits) is a finding.

#include "../support/scratch.hpp"

#include <sqs/data/can_bus.hpp>
#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/data/nuscenes_reader.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/data/semantic_kitti.hpp>
#include <sqs/gaussian/ply.hpp>
#include <sqs/metric/detection_json.hpp>
#include <sqs/tensor/npz.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>

namespace sqs_fuzz {

using bytes = std::span<const std::byte>;

/// Small enough that a finding of "too much memory" shows.
inline sqs::limits tight() {
  sqs::limits l;
  l.file_bytes = std::uint64_t{64} << 20;
  l.header_bytes = 1 << 20;
  l.image_pixels = 1 << 20;
  return l;
}

inline void require(bool holds, const char* what) {
  if (!holds) {
    std::cerr << "finding: " << what << "\n";
    std::abort();
  }
}

/// Runs `read`; a file_error that names the file is the expected end of hostile input.
template <class F> bool survives(F&& read) {
  try {
    read();
    return true;
  } catch (const sqs::file_error& e) {
    require(std::string(e.what()).find("fuzz.bin") != std::string::npos, "a message without the file's name");
    return false;
  }
}

inline bool safetensors(bytes file) {
  return survives([&] {
    const auto f = sqs::decode_safetensors(file, "fuzz.bin", tight());
    for (const auto& [name, t] : f.tensors) {
      if (t.dtype == "F32" && t.shape.size() == 2) { sqs::to_tensor<float, 2>(t, name); }
    }
  });
}
inline bool npy(bytes file) {
  return survives([&] {
    const auto t = sqs::decode_npy(file, "fuzz.bin", tight());
    require(sqs::decode_npy(sqs::encode_npy(t), "again") == t, "npy does not survive a round trip");
  });
}
inline bool npz(bytes file) {
  return survives([&] {
    const auto arrays = sqs::decode_npz(file, "fuzz.bin", tight());
    require(sqs::decode_npz(sqs::encode_npz(arrays), "again") == arrays, "npz does not survive a round trip");
  });
}
inline bool json_table(bytes file) {
  return survives([&] {
    const std::string text = sqs::text_of(file);
    sqs::for_each_record(text, "fuzz.bin", tight(), [](sqs::json_value&& v) {
      const sqs::json_fields f(v, "fuzz.bin");
      f.text("token");
      f.numbers<4>("rotation");
      f.integer("timestamp");
      f.flag("is_key_frame");
    });
  });
}
/// The streaming reader, with pieces and a buffer so small that every record crosses an edge.
inline bool json_stream(bytes file) {
  return survives([&] {
    std::size_t at = 0;
    sqs::json_record_reader reader(
        [&](char* to, std::size_t n) {
          n = std::min({n, std::size_t{7}, file.size() - at});
          if (n != 0) { std::memcpy(to, file.data() + at, n); }
          at += n;
          return n;
        },
        "fuzz.bin", tight(), 16);
    while (const auto* r = reader.next()) {
      r->text("token");
      r->numbers<4>("rotation");
      r->integer("timestamp");
      r->flag("is_key_frame");
      if (r->has("m")) { r->matrix<2, 2>("m"); }
      if (r->has("t")) {
        r->texts("t", [](std::string_view) {});
      }
      if (r->has("n")) { require(std::isfinite(r->number("n")), "a number that is not finite"); }
    }
  });
}
inline bool occ3d(bytes file) {
  return survives([&] {
    const auto o = sqs::decode_occ3d(file, "fuzz.bin", tight());
    const auto again = sqs::decode_occ3d(sqs::encode_occ3d(o), "again");
    require(again.semantics == o.semantics, "labels of Occ3D do not survive a round trip");
  });
}
inline bool open_occ(bytes file) {
  return survives([&] {
    for (const auto& v : sqs::decode_open_occ(file, "fuzz.bin", tight()).flow) {
      require(std::isfinite(v.x) && std::isfinite(v.y), "a flow that is not finite");
    }
  });
}
inline bool surround_occ(bytes file) {
  return survives([&] {
    const auto o = sqs::decode_surround_occ(file, "fuzz.bin", tight());
    const auto again = sqs::decode_surround_occ(sqs::encode_surround_occ(o), "again");
    require(again.semantics == o.semantics, "labels of SurroundOcc do not survive a round trip");
  });
}
inline bool open_occupancy(bytes file) {
  return survives([&] {
    const auto o = sqs::decode_open_occupancy(file, "fuzz.bin", tight());
    require(o.semantics.size() == 512u * 512 * 40, "lost voxels");
  });
}
/// For readers that take a path only.
inline std::filesystem::path on_disk(bytes file, const std::string& name) {
  static const sqs::test::scratch_folder folder;
  const auto path = folder / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  return path;
}
inline bool detection_result(bytes file) {
  const auto path = on_disk(file, "fuzz.bin");
  return survives([&] {
    const auto result = sqs::metric::read_detection_result(path, tight());
    sqs::metric::write_detection_result(path, result);
    const auto again = sqs::metric::read_detection_result(path, tight());
    require(again.samples.size() == result.samples.size(), "samples do not survive a round trip");
  });
}
inline bool can_bus(bytes file) {
  const auto folder = on_disk(file, "can_bus/fuzz.bin_pose.json").parent_path();
  return survives([&] {
    const auto messages = sqs::read_can_bus(folder.parent_path(), "fuzz.bin", tight());
    require(messages.has_value(), "a file that is there was not read");
    for (const auto& m : messages->poses) { messages->ego_status(m.timestamp_us); }
  });
}
/// The first byte chooses the kind of file.
inline bool semantic_kitti(bytes file) {
  if (file.empty()) { return false; }
  const auto kind = std::to_integer<int>(file[0]) % 6;
  const auto rest = file.subspan(1);
  return survives([&] {
    switch (kind) {
    case 0:
      sqs::decode_semantic_kitti_calibration(sqs::text_of(rest), "fuzz.bin");
      break;
    case 1:
      sqs::decode_semantic_kitti_poses(sqs::text_of(rest), "fuzz.bin");
      break;
    case 2:
      sqs::decode_velodyne(rest, "fuzz.bin");
      break;
    case 3:
      sqs::decode_packed_voxels(rest, "fuzz.bin");
      break;
    case 4:
      sqs::decode_semantic_kitti(rest, "fuzz.bin");
      break;
    default:
      sqs::decode_point_labels(rest, 5, "fuzz.bin");
    }
  });
}
/// A good set of one key frame; the order is that of the first byte of an input.
inline std::vector<std::pair<std::string, std::string>> good_tables() {
  std::string sensor, mounted, data, pose;
  for (int v = 0; v < 7; ++v) {
    const std::string id = std::to_string(v), comma = v == 0 ? "[" : ",";
    const char* channel = v < 6 ? sqs::camera_names[static_cast<std::size_t>(v)] : "LIDAR_TOP";
    sensor += sqs::concat(comma, R"({"token":"s)", id, R"(","channel":")", channel, R"("})");
    mounted += sqs::concat(comma, R"({"token":"c)", id, R"(","sensor_token":"s)", id,
                           R"(","translation":[0,0,0],"rotation":[1,0,0,0],"camera_intrinsic":)",
                           v < 6 ? "[[9,0,4],[0,9,2],[0,0,1]]}" : "[]}");
    data += sqs::concat(
        comma, R"({"token":"e)", id, R"(","sample_token":"d","ego_pose_token":"p)", id,
        R"(","calibrated_sensor_token":"c)", id,
        R"(","timestamp":2,"is_key_frame":true,"height":4,"width":8,"filename":"x1.bin","prev":"","next":""})");
    pose += sqs::concat(comma, R"({"token":"p)", id, R"(","timestamp":2,"rotation":[1,0,0,0],"translation":[1,2,3]})");
  }
  return {{"sensor", sensor + "]"},
          {"calibrated_sensor", mounted + "]"},
          {"scene", R"([{"token":"c","name":"s","first_sample_token":"d"}])"},
          {"sample", R"([{"token":"d","timestamp":1,"prev":"","next":""}])"},
          {"sample_data", data + "]"},
          {"ego_pose", pose + "]"},
          {"category", R"([{"token":"g","name":"vehicle.car","index":17}])"},
          {"attribute", R"([{"token":"h","name":"vehicle.moving"}])"},
          {"visibility", R"([{"token":"1","level":"v0-40"}])"},
          {"instance", R"([{"token":"i","category_token":"g"}])"},
          {"log", R"([{"token":"j","logfile":"x"}])"},
          {"map", R"([{"token":"k","filename":"m.png","log_tokens":["j"]}])"},
          {"lidarseg", R"([{"token":"e6","sample_data_token":"e6","filename":"l.bin"}])"},
          {"sample_annotation",
           R"([{"token":"l","sample_token":"d","instance_token":"i","visibility_token":"1","attribute_tokens":["h"],)"
           R"("translation":[1,2,3],"size":[1,2,3],"rotation":[1,0,0,0],"prev":"","next":"","num_lidar_pts":1}])"}};
}
/// A folder of this process with the good set.
class good_folder {
public:
  good_folder() {
    std::filesystem::create_directory(path);
    for (const auto& [name, text] : tables) { write(name, text); }
  }
  void write(const std::string& name, const std::string& text) const {
    if (std::FILE* f = std::fopen((path / (name + ".json")).c_str(), "wb")) {
      std::fwrite(text.data(), 1, text.size(), f);
      std::fclose(f);
    }
  }
  const std::vector<std::pair<std::string, std::string>> tables = good_tables();
  const sqs::test::scratch_folder folder;
  const std::filesystem::path path = folder / "fuzz.bin"; // the name that every message must hold
};
/// One table of the good set, chosen by the first byte, is replaced by the rest of the input.
inline bool nuscenes_tables(bytes file) {
  static const good_folder folder;
  const auto& [name, text] =
      folder.tables[file.empty() ? 0 : std::to_integer<std::size_t>(file[0]) % folder.tables.size()];
  folder.write(name, file.empty() ? std::string() : sqs::text_of(file.subspan(1)));
  const bool read = survives([&] {
    const auto t =
        sqs::read_nuscenes_tables(folder.path, {.sweeps = sqs::nuscenes_sweeps::all, .threads = 1, .most = tight()});
    for (std::size_t i = 0; i < t.annotations.size(); ++i) {
      require(!t.text(t.annotations[i].token).empty() || t.category_of(t.annotations[i]).size() < 1000, "a lost box");
      sqs::global_velocity(t, static_cast<sqs::nuscenes_row>(i));
    }
    for (const auto& r : t.recordings) { t.ego_pose(r), t.filename(r); }
    for (const auto s : t.order) { t.lidar_recording(s), t.annotations_of(s), t.scene_of(t.sample_row(s)); }
  });
  folder.write(name, text);
  return read;
}
inline bool lidar(bytes file) {
  return survives([&] {
    const auto sweep = sqs::decode_lidar(file, "fuzz.bin");
    require(sweep.points.size() * 20 == file.size() && sweep.ring.size() == sweep.points.size(), "lost LiDAR points");
  });
}
inline bool jpeg(bytes file) {
  return survives([&] {
    const auto i = sqs::decode_jpeg(file, "fuzz.bin", tight());
    std::uint64_t sum = 0; // touches every pixel
    for (const auto v : i.pixels) { sum += v; }
    require(sum <= 255 * i.pixels.size(), "impossible");
  });
}
inline bool png(bytes file) {
  return survives([&] {
    const auto i = sqs::decode_png(file, "fuzz.bin", tight());
    require(sqs::decode_png(sqs::encode_png(i), "again") == i, "png does not survive a round trip");
  });
}
inline bool ply(bytes file) {
  return survives([&] {
    const auto g = sqs::decode_ply(file, "fuzz.bin", tight());
    const auto again = sqs::encode_ply(g); // bytes: NaN is equal to itself here
    require(sqs::encode_ply(sqs::decode_ply(again, "again")) == again, "ply does not survive a round trip");
  });
}

} // namespace sqs_fuzz

/// Defines the entry point that libFuzzer calls, and the same for the replay program.
#define SQS_FUZZ_TARGET(reader)                                                                                        \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {                                  \
    sqs_fuzz::reader({reinterpret_cast<const std::byte*>(data), size});                                                \
    return 0;                                                                                                          \
  }

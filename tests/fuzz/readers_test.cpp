// SPDX-License-Identifier: Apache-2.0
// Every reader over valid files, over hostile ones, and over seeded mutations of both. With SQS_FUZZ_CORPUS=<folder>
// the seeds are also written there, one folder per reader, for libFuzzer.
#include "../support/scratch.hpp"

#include "mutations.hpp"

namespace readers_test {

using file = sqs_fuzz::file_bytes;
using sqs_fuzz::reader;
using sqs_fuzz::text;

sqs::stored_tensor array(std::string dtype, std::vector<std::int64_t> shape) {
  std::size_t bytes = sqs::detail::dtype_bytes(dtype);
  for (const auto d : shape) { bytes *= static_cast<std::size_t>(d); }
  sqs::stored_tensor t{std::move(dtype), std::move(shape), {}};
  for (std::size_t i = 0; i < bytes; ++i) { t.data.push_back(static_cast<std::byte>(i * 37)); }
  return t;
}

file safetensors_file_bytes() {
  const sqs::test::scratch_folder folder;
  const auto path = folder / "seed";
  sqs::write_safetensors(path,
                         {.tensors = {{"w", array("F32", {2, 3})}, {"b", array("U8", {5})}}, .metadata = {{"k", "v"}}});
  return sqs::read_file(path);
}
file safetensors_by_hand() {
  const std::string header = R"({"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})";
  std::string s(8, '\0');
  s[0] = static_cast<char>(header.size());
  return text(s + header + "12345678");
}

sqs::image picture() {
  sqs::image i(9, 13);
  for (std::size_t k = 0; k < i.pixels.size(); ++k) { i.pixels[k] = static_cast<std::uint8_t>(k * 11); }
  return i;
}

sqs::gaussian_cloud gaussians(int degree = 0) {
  sqs::gaussian_cloud g;
  g.sh_degree = degree;
  g.means.resize(2);
  g.log_scales.resize(2);
  g.rotations.resize(2);
  g.opacity_logits.resize(2);
  g.sh.resize(2 * 3 * g.coefficients());
  g.extra["sem_0"].resize(2);
  return g;
}

/// A choice in front of a file.
file chosen(int which, const file& rest) {
  file f{static_cast<std::byte>(which)};
  f.insert(f.end(), rest.begin(), rest.end());
  return f;
}
template <class T> file bytes_from(const std::vector<T>& values) {
  const auto b = sqs::bytes_of(values);
  return {b.begin(), b.end()};
}
file surround_occ_file() {
  return sqs::encode_npy({"I64", {2, 4}, bytes_from(std::vector<std::int64_t>{1, 2, 3, 4, 199, 0, 15, 0})});
}
file open_occupancy_file() {
  return sqs::encode_npy({"I32", {3, 4}, bytes_from(std::vector<std::int32_t>{1, 2, 3, 4, 39, 511, 0, 0, 1, 2, 3, 5})});
}
file moving_open_occupancy_file() {
  return sqs::encode_npy({"F32", {1, 7}, bytes_from(std::vector<float>{1, 2, 3, 0.5f, -1, 0, 4})});
}
file detection_file() {
  return text(R"({"meta": {"use_camera": true, "use_lidar": false, "use_radar": false, "use_map": false,
  "use_external": false}, "results": {"a": [{"sample_token": "a", "translation": [1, 2, 0.5], "size": [2, 4.5, 1.6],
  "rotation": [1, 0, 0, 0], "velocity": [NaN, 0], "detection_name": "car", "detection_score": 0.5,
  "attribute_name": "vehicle.moving"}], "b\\u00e9": []}})");
}
file can_bus_file() {
  return text(R"([{"utime": 1000, "accel": [0, 0, 9.8], "rotation_rate": [0, 0, 0.1], "vel": [5, 0, 0]},
  {"utime": 21000, "accel": [0, 0, 9.8], "rotation_rate": [0, 0, 0.1], "vel": [5.1, 0, 0]}])");
}
std::vector<file> kitti_files() {
  const std::string row = "1 0 0 0.5 0 1 0 -2e-1 0 0 1 0\n";
  return {chosen(0, text("P0: " + row + "P1: " + row + "P2: " + row + "P3: " + row + "Tr: " + row)),
          chosen(1, text(row + row)),
          chosen(2, bytes_from(std::vector<float>{1, 2, 3, 0.5f})),
          chosen(3, file(256 * 256 * 32 / 8)),
          chosen(4, file(256 * 256 * 32 * 2)),
          chosen(5, file(5))};
}
std::vector<file> table_files() {
  std::vector<file> out;
  int which = 0;
  for (const auto& [name, content] : sqs_fuzz::good_tables()) { out.push_back(chosen(which++, text(content))); }
  return out;
}

std::vector<reader> readers() {
  const float points[] = {1, 2, 3, 4, 5, -1, -2, 0, 255, 31};
  const auto lidar = std::as_bytes(std::span(points));
  return {
      {"safetensors", sqs_fuzz::safetensors, {safetensors_file_bytes(), safetensors_by_hand()}},
      {"npy", sqs_fuzz::npy, {sqs::encode_npy(array("F32", {2, 3})), sqs::encode_npy(array("I64", {}))}},
      {"npz", sqs_fuzz::npz, {sqs::encode_npz({{"a", array("U8", {7})}, {"b", array("F64", {2, 2})}})}},
      {"json_table",
       sqs_fuzz::json_table,
       {text(R"([{"token":"a\u00e9","rotation":[1,0,0,0.5],"timestamp":15,"is_key_frame":true}])")}},
      {"json_stream",
       sqs_fuzz::json_stream,
       {text(R"([{"token":"a\u00e9","rotation":[1,0,0,0.5],"timestamp":15,"is_key_frame":true,"m":[[1,2],[3,-4e1]],)"
             R"("t":["x","y"],"n":-0.25,"o":{"p":[null,{}]}}])")}},
      {"nuscenes_tables", sqs_fuzz::nuscenes_tables, table_files(), 200},
      {"occ3d", sqs_fuzz::occ3d, {sqs::encode_occ3d(sqs::occupancy_labels::empty(sqs::occ3d_grid, 17))}, 60},
      {"open_occ", sqs_fuzz::open_occ, {sqs::encode_open_occ(sqs::occupancy_labels::empty(sqs::occ3d_grid, 16))}, 40},
      {"surround_occ", sqs_fuzz::surround_occ, {surround_occ_file()}, 1500},
      {"open_occupancy", sqs_fuzz::open_occupancy, {open_occupancy_file(), moving_open_occupancy_file()}, 150},
      {"semantic_kitti", sqs_fuzz::semantic_kitti, kitti_files(), 100},
      {"detection_result", sqs_fuzz::detection_result, {detection_file()}, 300},
      {"can_bus", sqs_fuzz::can_bus, {can_bus_file()}, 1500},
      {"lidar", sqs_fuzz::lidar, {{lidar.begin(), lidar.end()}}},
      {"jpeg", sqs_fuzz::jpeg, {sqs::encode_jpeg(picture())}},
      {"png", sqs_fuzz::png, {sqs::encode_png(picture())}},
      {"ply",
       sqs_fuzz::ply,
       {sqs::encode_ply(gaussians()), sqs::encode_ply(gaussians(), {.normals = true}), sqs::encode_ply(gaussians(2))}}};
}

TEST(readers, valid_files_are_read_and_hostile_ones_end_in_an_error) { sqs_fuzz::try_all(readers()); }

/// The header of a .npy file whose shape claims more than there is.
file claiming(const std::string& dtype, const std::string& shape) {
  std::string head = "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  head.resize(117, ' ');
  return text(std::string("\x93NUMPY\x01\x00\x76\x00", 10) + head + "\n");
}

/// The hostile cases of formats, by hand: each ends in an error, at once and without the memory it asks for.
TEST(readers, claims_are_not_believed) {
  const std::string shapes[] = {"2684354560, 4", "4294967296, 4294967296", "18446744073709551615, 4",
                                "-1, 4",         "9223372036854775807, 2", "1, 4, 0, 99999999999999",
                                "0, 4"};
  for (const auto& shape : shapes) {
    const auto f = claiming("<i8", shape);
    const bool empty = shape == "0, 4"; // no rows: a street without anything
    EXPECT_EQ(sqs_fuzz::surround_occ(f), empty) << shape;
    EXPECT_EQ(sqs_fuzz::open_occupancy(f), empty) << shape;
    EXPECT_FALSE(sqs_fuzz::occ3d(f));
  }
  // A small archive whose one array unpacks to far more than labels have.
  EXPECT_FALSE(sqs_fuzz::occ3d(sqs::encode_npz({{"semantics", array("U8", {5})}})));
  EXPECT_FALSE(sqs_fuzz::open_occ(sqs::encode_npz({{"semantics", array("U8", {200, 200, 16})}})));
  for (const char* velocity : {"1e999", "nan", "Infinity", "[[[[", "NaNN"}) {
    std::string bad = sqs::text_of(std::span<const std::byte>(detection_file()));
    bad.replace(bad.find("NaN"), 3, velocity);
    EXPECT_FALSE(sqs_fuzz::detection_result(text(bad))) << velocity;
  }
  EXPECT_FALSE(sqs_fuzz::can_bus(text("[{\"utime\":2},{\"utime\":1}]")));
  const std::string many = "[{\"token\":\"a\",\"rotation\":" + std::string(100000, '[');
  EXPECT_FALSE(sqs_fuzz::json_stream(text(many)));
  EXPECT_FALSE(sqs_fuzz::json_stream(text("[{\"" + std::string(10'000'000, 'k') + "\":1}]")));
  EXPECT_FALSE(sqs_fuzz::json_stream(text("[{\"token\":\"\xC0\xAF\"}]")));
  EXPECT_FALSE(sqs_fuzz::json_stream(text("[{\"timestamp\":1e999}]")));
  for (int kind = 0; kind < 6; ++kind) {
    EXPECT_FALSE(sqs_fuzz::semantic_kitti(chosen(kind, text("garbage")))) << kind;
    EXPECT_FALSE(sqs_fuzz::semantic_kitti(chosen(kind, file(3)))) << kind;
  }
  for (int table = 0; table < 14; ++table) {
    EXPECT_FALSE(sqs_fuzz::nuscenes_tables(chosen(table, text("[{}]")))) << table;
    EXPECT_FALSE(sqs_fuzz::nuscenes_tables(chosen(table, {}))) << table;
    EXPECT_FALSE(sqs_fuzz::nuscenes_tables(chosen(table, text("[[[[")))) << table;
  }
}

/// A file of 10 GB that takes no room on the disk: refused by its size.
TEST(readers, huge_files_are_refused_unread) {
  const sqs::test::scratch_folder folder;
  const auto path = folder / "huge";
  std::ofstream(path) << "x";
  std::filesystem::resize_file(path, std::uintmax_t{10} << 30);
  const auto refused = [&](auto&& read) {
    try {
      read();
      return false;
    } catch (const sqs::file_error& e) { return std::string(e.what()).find("above the limit of") != std::string::npos; }
  };
  EXPECT_TRUE(refused([&] { sqs::read_lidar(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_point_labels(path, 5); }));
  EXPECT_TRUE(refused([&] { sqs::read_velodyne(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_occ3d(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_open_occ(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_surround_occ(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_open_occupancy(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_semantic_kitti(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_packed_voxels(path); }));
  EXPECT_TRUE(refused([&] { sqs::read_semantic_kitti_calibration(path); }));
}

TEST(readers, seeds_are_written_on_request) { sqs_fuzz::write_seeds(readers()); }

} // namespace readers_test

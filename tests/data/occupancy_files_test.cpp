// SPDX-License-Identifier: Apache-2.0
// The label files of Occ3D, OpenOcc, SurroundOcc and nuScenes-Occupancy: round trips, hand-made files, real files.
#include <sqs/data/occupancy_files.hpp>

#include "../support/check.hpp"

namespace occupancy_files_test {

namespace fs = std::filesystem;
using sqs::occupancy_labels;
using sqs::test::message_of;
using ::testing::HasSubstr;

/// Labels that differ from voxel to voxel.
occupancy_labels pattern(const sqs::occupancy_grid& g, int free, int classes) {
  auto o = occupancy_labels::empty(g, free);
  const auto draw = sqs::random_stream::of(7);
  for (std::size_t i = 0; i < o.semantics.size(); ++i) {
    const auto v = draw.bits(static_cast<sqs::idx>(i));
    if (v % 5 == 0) { o.semantics[i] = static_cast<std::uint8_t>(v / 5 % static_cast<std::uint64_t>(classes)); }
    if (v % 101 == 0) { o.semantics[i] = occupancy_labels::ignore; }
  }
  return o;
}

fs::path shared(const std::string& name) { return fs::path(SQS_TEST_DATA_DIR) / name; }

template <class Rows> std::vector<std::byte> npy_rows(const char* dtype, const Rows& rows, std::int64_t columns) {
  const auto bytes = sqs::bytes_of(rows);
  return sqs::encode_npy(
      {dtype, {static_cast<std::int64_t>(rows.size()) / columns, columns}, {bytes.begin(), bytes.end()}});
}

TEST(occupancy_files, occ3d_survives_a_round_trip) {
  auto o = pattern(sqs::occ3d_grid, 17, 18);
  o.mask_lidar.assign(o.semantics.size(), 0);
  o.mask_camera.assign(o.semantics.size(), 1);
  o.mask_lidar[12345] = 1;
  o.mask_camera[54321] = 0;
  const auto back = sqs::decode_occ3d(sqs::encode_occ3d(o), "labels.npz");
  EXPECT_EQ(back.semantics, o.semantics);
  EXPECT_EQ(back.mask_lidar, o.mask_lidar);
  EXPECT_EQ(back.mask_camera, o.mask_camera);
  EXPECT_EQ(back.free, 17);
  EXPECT_TRUE(back.grid == sqs::occ3d_grid);
  EXPECT_TRUE(back.flow.empty());
}

TEST(occupancy_files, open_occ_keeps_flow_as_halves_and_drops_what_is_not_finite) {
  auto o = pattern(sqs::occ3d_grid, 16, 17);
  o.flow.assign(o.semantics.size(), {});
  o.flow[0] = {1.5f, -2.25f};
  o.flow[1] = {std::numeric_limits<float>::quiet_NaN(), 3};
  o.flow[2] = {1e9f, 0}; // infinite as a half
  o.flow[3] = {0.1f, 0};
  o.flow[4] = {3, -std::numeric_limits<float>::infinity()};
  const auto back = sqs::decode_open_occ(sqs::encode_open_occ(o), "labels.npz");
  EXPECT_EQ(back.semantics, o.semantics);
  EXPECT_EQ(back.flow[0].x, 1.5f);
  EXPECT_EQ(back.flow[0].y, -2.25f);
  EXPECT_EQ(back.flow[1].x, 0);
  EXPECT_EQ(back.flow[4].x, 0);
  EXPECT_EQ(back.flow[1].y, 0);
  EXPECT_EQ(back.flow[2].x, 0);
  EXPECT_EQ(back.flow[3].x, 0.0999755859375f); // the half next to 0.1
  const auto standing = sqs::decode_open_occ(sqs::encode_open_occ(pattern(sqs::occ3d_grid, 16, 17)), "labels.npz");
  EXPECT_EQ(standing.flow.size(), o.semantics.size());
}

TEST(occupancy_files, surround_occ_lists_occupied_voxels) {
  const auto o = pattern(sqs::surround_occ_grid, 17, 17);
  auto expected = o; // class 0 is noise in these files: it comes back ignored
  for (auto& v : expected.semantics) { v = v == 0 ? occupancy_labels::ignore : v; }
  EXPECT_EQ(sqs::decode_surround_occ(sqs::encode_surround_occ(o), "x.npy").semantics, expected.semantics);
  const std::vector<std::int32_t> rows{3, 4, 5, 16, 199, 199, 15, 1, 0, 0, 0, 0, 3, 4, 5, 2};
  const auto s = sqs::decode_surround_occ(npy_rows("I32", rows, 4), "x.npy").semantics;
  EXPECT_EQ(s[(3 * 200 + 4) * 16 + 5], 2); // the later row
  EXPECT_EQ(s.back(), 1);
  EXPECT_EQ(s.front(), occupancy_labels::ignore);
  EXPECT_EQ(std::count(s.begin(), s.end(), 17), 200 * 200 * 16 - 3);
  const std::vector<std::int64_t> none;
  EXPECT_EQ(sqs::decode_surround_occ(npy_rows("I64", none, 4), "x.npy").semantics,
            occupancy_labels::empty(sqs::surround_occ_grid, 17).semantics);
}

TEST(occupancy_files, open_occupancy_takes_the_majority) {
  const auto o = pattern(sqs::open_occupancy_grid, 0, 17);
  EXPECT_EQ(sqs::decode_open_occupancy(sqs::encode_open_occupancy(o), "x.npy").semantics, o.semantics);
  const std::vector<std::int32_t> rows{5, 4, 3, 9,  5, 4, 3, 2,  5,  4,  3,   9, 39, 511, 510, 7,
                                       0, 0, 0, 12, 0, 0, 0, 11, 40, -1, 512, 1, 6,  6,   6,   0};
  const auto s = sqs::decode_open_occupancy(npy_rows("I32", rows, 4), "x.npy").semantics;
  const auto at = [](int x, int y, int z) { return static_cast<std::size_t>(sqs::open_occupancy_grid.index(x, y, z)); };
  EXPECT_EQ(s[at(3, 4, 5)], 9);
  EXPECT_EQ(s[at(510, 511, 39)], 7);
  EXPECT_EQ(s[at(0, 0, 0)], 11);   // the smaller number in a tie
  EXPECT_EQ(s[at(511, 0, 39)], 1); // one voxel outside: moved in
  EXPECT_EQ(s[at(6, 6, 6)], occupancy_labels::ignore);
  EXPECT_EQ(std::count(s.begin(), s.end(), 0), 512 * 512 * 40 - 5);
  const std::vector<float> moving{5, 4, 3, 1.5f, -2, 0, 4, 1, 1, 1, NAN, 1, 0, 4};
  const auto m = sqs::decode_open_occupancy(npy_rows("F32", moving, 7), "x.npy");
  EXPECT_EQ(m.semantics[at(3, 4, 5)], 4);
  EXPECT_EQ(m.flow[at(3, 4, 5)].x, 1.5f);
  EXPECT_EQ(m.flow[at(3, 4, 5)].y, -2);
  EXPECT_EQ(m.flow[at(1, 1, 1)].y, 0);
}

TEST(occupancy_files, wrong_files_are_named) {
  const auto rows = [](std::vector<std::int64_t> r) { return npy_rows("I64", r, 4); };
  EXPECT_THAT(message_of([&] {
                sqs::decode_surround_occ(rows({1, 2, 16, 4}), "a/b.npy");
              }),
              HasSubstr("a/b.npy: row 0 is (1, 2, 16, 4), outside 200 x 200 x 16; columns are x, y, z, class"));
  EXPECT_THAT(message_of([&] {
                sqs::decode_surround_occ(rows({1, 2, 3, 17}), "a/b.npy");
              }),
              HasSubstr("a/b.npy: row 0 has class 17, outside 0 .. 16"));
  EXPECT_THAT(message_of([&] { sqs::decode_surround_occ(npy_rows("I64", std::vector<std::int64_t>(6), 3), "b.npy"); }),
              HasSubstr("b.npy is [2,3] instead of [N,4] (x, y, z, class)"));
  EXPECT_THAT(message_of([&] {
                sqs::decode_surround_occ(npy_rows("F32", std::vector<float>{1, 2, NAN, 3}, 4), "b.npy");
              }),
              HasSubstr("b.npy holds nan as element 2 instead of an integer"));
  EXPECT_THAT(message_of([&] {
                sqs::decode_open_occupancy(rows({1, 2, 514, 4}), "b.npy");
              }),
              HasSubstr("row 0 is (1, 2, 514, ...), outside 40 x 512 x 512; columns are z, y, x, class"));
  auto o = occupancy_labels::empty(sqs::occ3d_grid, 17);
  o.semantics[7] = 18;
  EXPECT_THAT(message_of([&] { sqs::decode_occ3d(sqs::encode_occ3d(o), "l.npz"); }),
              HasSubstr("l.npz: 'semantics' holds 18 as element 7, outside 0 .. 17"));
  o.semantics[7] = 17;
  o.mask_camera.assign(o.semantics.size(), 2);
  EXPECT_THAT(message_of([&] { sqs::decode_occ3d(sqs::encode_occ3d(o), "l.npz"); }),
              HasSubstr("l.npz: 'mask_camera' holds 2 as element 0, outside 0 .. 1"));
  o.mask_camera.clear();
  EXPECT_THAT(message_of([&] { sqs::decode_open_occ(sqs::encode_occ3d(o), "l.npz"); }),
              HasSubstr("l.npz: 'semantics' holds 17 as element 0, outside 0 .. 16; it belongs to another data set"));
  EXPECT_THAT(message_of([&] { sqs::encode_open_occ(o); }),
              HasSubstr("labels of 200 x 200 x 16 voxels with 640000 classes and free = 17 cannot be written as "
                        "OpenOcc, which has 200 x 200 x 16 and free = 16; see renumbered"));
  EXPECT_THAT(message_of([&] {
                sqs::decode_occ3d(sqs::encode_npz({{"semantics", {"U8", {2}, {2, std::byte{1}}}}}), "l.npz");
              }),
              HasSubstr("l.npz: 'semantics' is [2] instead of [200,200,16]; it belongs to another grid"));
  EXPECT_THAT(message_of([&] { sqs::decode_occ3d(sqs::encode_npz({}), "l.npz"); }),
              HasSubstr("l.npz has no array 'semantics'; it belongs to another data set"));
}

TEST(occupancy_files, other_arrays_beside_the_labels_do_not_matter) {
  const auto o = pattern(sqs::occ3d_grid, 17, 18);
  auto arrays = sqs::decode_npz(sqs::encode_occ3d(o), "l.npz");
  auto file = sqs::encode_npz({{"note", {"U8", {3}, std::vector<std::byte>(3)}}, {"semantics", arrays["semantics"]}});
  const std::string type = "'|u1'";
  const auto text = sqs::text_of(file);
  const auto at = text.find(type);
  ASSERT_NE(at, std::string::npos);
  const std::string object = "'|O' "; // what NumPy pickles
  std::memcpy(file.data() + at, object.data(), object.size());
  EXPECT_EQ(sqs::decode_occ3d(file, "l.npz").semantics, o.semantics);
  EXPECT_THROW(sqs::decode_npz(file, "l.npz"), sqs::file_error);
}

TEST(occupancy_files, class_numbers_go_both_ways) {
  const auto o = pattern(sqs::occ3d_grid, 16, 17);
  const auto there = sqs::renumbered(o, sqs::occupancy_of_open_occ, 17);
  EXPECT_EQ(sqs::renumbered(there, sqs::open_occ_of_occupancy, 16).semantics, o.semantics);
  EXPECT_NE(there.semantics, o.semantics);
}

TEST(occupancy_files, a_real_file_of_occ3d_has_the_published_bytes) {
  const auto folder = shared("occ3d-nuscenes-sample/29796060110c4163b07f06eff4af0753");
  if (!fs::exists(folder)) { GTEST_SKIP() << folder << " is absent"; }
  const auto o = sqs::read_occ3d(folder / "labels.npz");
  const auto same = [&](const std::vector<std::uint8_t>& ours, const char* name) {
    const auto theirs = sqs::read_file(folder / name);
    ASSERT_EQ(ours.size(), theirs.size());
    EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), ours.size()), 0) << name;
  };
  same(o.semantics, "semantics.u8");
  same(o.mask_lidar, "mask_lidar.u8");
  same(o.mask_camera, "mask_camera.u8");
  EXPECT_EQ(640000 - std::count(o.semantics.begin(), o.semantics.end(), 17), 39092);
}

/// Files of one kind below a folder, in order.
std::vector<fs::path> files_below(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> out;
  for (const auto& e : fs::recursive_directory_iterator(folder)) {
    if (e.path().extension() == extension) { out.push_back(e.path()); }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(occupancy_files, real_labels_have_the_counts_of_their_description) {
  const auto root = shared("pandaset-nuscenes");
  if (!fs::exists(root)) { GTEST_SKIP() << root << " is absent"; }
  // The table of its README: voxels in gts, of them in mask_camera, in the SurroundOcc files.
  constexpr std::array<std::array<std::int64_t, 3>, 18> expected{{{0, 0, 0},
                                                                  {0, 0, 0},
                                                                  {0, 0, 0},
                                                                  {0, 0, 0},
                                                                  {36549, 9784, 28305},
                                                                  {1058, 451, 707},
                                                                  {393, 86, 313},
                                                                  {389, 24, 284},
                                                                  {136, 37, 96},
                                                                  {682, 0, 511},
                                                                  {6387, 1489, 4322},
                                                                  {126297, 31103, 115336},
                                                                  {0, 0, 84},
                                                                  {21710, 1169, 20123},
                                                                  {178, 0, 437},
                                                                  {117440, 34379, 88882},
                                                                  {15122, 3306, 13068},
                                                                  {6073659, 1965110, 0}}};
  std::array<std::array<std::int64_t, 3>, 256> found{};
  std::int64_t flowing = 0;
  for (const auto& p : files_below(root / "gts", ".npz")) {
    const auto o = sqs::read_occ3d(p);
    for (std::size_t i = 0; i < o.semantics.size(); ++i) {
      ++found[o.semantics[i]][0];
      found[o.semantics[i]][1] += o.mask_camera[i];
    }
  }
  for (const auto& p : files_below(root / "dense_voxels_with_semantic", ".npy")) {
    for (const auto v : sqs::read_surround_occ(p).semantics) { found[v][2] += v != 17; }
  }
  const auto gts = files_below(root / "gts", ".npz"), open = files_below(root / "openocc_v2", ".npz");
  ASSERT_EQ(gts.size(), open.size());
  for (std::size_t k = 0; k < open.size(); ++k) {
    const auto o = sqs::read_open_occ(open[k]);
    for (const auto& v : o.flow) { flowing += v.x != 0 || v.y != 0; }
    // The same labels under other numbers.
    EXPECT_EQ(sqs::renumbered(o, sqs::occupancy_of_open_occ, 17).semantics, sqs::read_occ3d(gts[k]).semantics);
  }
  for (std::size_t c = 0; c < 18; ++c) { EXPECT_EQ(found[c], expected[c]) << c; }
  EXPECT_EQ(flowing, 13797);
}

TEST(stored_numbers, halves_are_exact_both_ways) {
  for (std::uint32_t h = 0; h < 65536; ++h) {
    const auto bits = static_cast<std::uint16_t>(h);
    const float f = sqs::float_of_half(bits);
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(sqs::float_of_half(sqs::half_of_float(f))));
      continue;
    }
    ASSERT_EQ(sqs::half_of_float(f), bits);
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023; // the definition
    const double value = exponent == 31  ? INFINITY
                         : exponent == 0 ? std::ldexp(mantissa, -24)
                                         : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(static_cast<double>(f), (bits >> 15) != 0 ? -value : value);
    if (exponent < 30) { // between two neighbours the nearer wins, the even one in the middle
      const float next = sqs::float_of_half(static_cast<std::uint16_t>(bits + 1));
      const float middle = 0.5f * (f + next);
      ASSERT_EQ(sqs::half_of_float(std::nextafter(middle, f)), bits);
      ASSERT_EQ(sqs::half_of_float(std::nextafter(middle, next)), bits + 1);
      ASSERT_EQ(sqs::half_of_float(middle), (bits & 1) != 0 ? bits + 1 : bits);
    }
  }
  EXPECT_EQ(sqs::half_of_float(65519.99f), 0x7BFF);
  EXPECT_EQ(sqs::half_of_float(65520.0f), 0x7C00);
}

TEST(stored_numbers, every_type_is_read) {
  const auto one = [](const char* dtype, auto v) {
    const std::vector values{v};
    const auto bytes = sqs::bytes_of(values);
    return sqs::stored_tensor{dtype, {1}, {bytes.begin(), bytes.end()}};
  };
  EXPECT_EQ(sqs::integers_of(one("I64", std::int64_t{-5}), "x")[0], -5);
  EXPECT_EQ(sqs::integers_of(one("U64", std::uint64_t{5}), "x")[0], 5);
  EXPECT_EQ(sqs::integers_of(one("I32", std::int32_t{-5}), "x")[0], -5);
  EXPECT_EQ(sqs::integers_of(one("U16", std::uint16_t{65535}), "x")[0], 65535);
  EXPECT_EQ(sqs::integers_of(one("I8", std::int8_t{-5}), "x")[0], -5);
  EXPECT_EQ(sqs::integers_of(one("F16", std::uint16_t{0x4500}), "x")[0], 5);
  EXPECT_EQ(sqs::integers_of(one("F64", 5.0), "x")[0], 5);
  EXPECT_EQ(sqs::floats_of(one("F64", 0.5), "x")[0], 0.5f);
  EXPECT_EQ(sqs::floats_of(one("I16", std::int16_t{-7}), "x")[0], -7.0f);
  EXPECT_THAT(message_of([&] { sqs::integers_of(one("F32", 0.5f), "x.npy"); }),
              HasSubstr("x.npy holds 0.5 as element 0 instead of an integer"));
  EXPECT_THAT(message_of([&] { sqs::integers_of(one("U64", ~std::uint64_t{0}), "x.npy"); }),
              HasSubstr("instead of an"));
  EXPECT_EQ(sqs::floats_of(one("BF16", std::uint16_t{0xC020}), "x")[0], -2.5f);
  EXPECT_EQ(sqs::integers_of(one("BF16", std::uint16_t{0x40A0}), "x")[0], 5);
  EXPECT_EQ(sqs::floats_of(one("F16", std::uint16_t{0xC100}), "x")[0], -2.5f);
  EXPECT_EQ(sqs::floats_of(one("BOOL", std::uint8_t{1}), "x")[0], 1.0f);
  EXPECT_EQ(sqs::integers_of(one("I64", std::int64_t{1} << 62), "x")[0], std::int64_t{1} << 62); // no way over double
  EXPECT_THAT(message_of([&] { sqs::integers_of(one("F16", std::uint16_t{0x7E00}), "x.npy"); }),
              HasSubstr("holds nan"));
  EXPECT_THAT(message_of([&] { sqs::floats_of(one("F8_E4M3", std::uint8_t{0}), "x.npy"); }),
              HasSubstr("x.npy holds F8_E4M3; save it as F32"));
}

TEST(occupancy_files, more_rows_than_voxels_are_refused) {
  const auto rows = sqs::make_tensor<std::uint8_t, 2>({200 * 200 * 16 + 1, 4});
  EXPECT_THAT(sqs::test::message_of(
                  [&] { sqs::decode_surround_occ(sqs::bytes_of(sqs::encode_npy(sqs::from_tensor(rows))), "x.npy"); }),
              ::testing::HasSubstr("x.npy has 640001 rows for the 640000 voxels of its grid"));
}

} // namespace occupancy_files_test

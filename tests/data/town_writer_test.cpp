// SPDX-License-Identifier: Apache-2.0
#include "../support/scratch.hpp"

#include <sqs/data/check.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/data/town/writer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace town_writer_test {

namespace fs = std::filesystem;
using sqs::idx;

sqs::town_options options() {
  return {.split = sqs::town_split::test, .scenes = 1, .seconds = 1, .height = 36, .width = 64, .threads = 2};
}

class town_files : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    folder = std::make_unique<sqs::test::scratch_folder>();
    std::vector<idx> steps;
    sqs::write_town(sqs::town_dataset(options()), root(), {.lidar_sweeps = 1, .camera_sweeps = 1},
                    [&](idx done, idx total) {
                      steps.push_back(done);
                      EXPECT_EQ(total, 2);
                    });
    EXPECT_EQ(steps, (std::vector<idx>{1, 2}));
  }
  static void TearDownTestSuite() { folder.reset(); }
  static fs::path root() { return *folder / "town"; }
  static inline std::unique_ptr<sqs::test::scratch_folder> folder;
};

TEST_F(town_files, are_read_back_as_a_nuscenes_data_set) {
  const sqs::town_dataset town(options());
  const sqs::nuscenes_dataset read(root());
  ASSERT_EQ(read.size(), town.size());
  for (idx i = 0; i < read.size(); ++i) {
    const auto f = town.frame(i);
    const auto &a = f.sample, b = read.sample(i);
    EXPECT_EQ(a.token, b.token);
    EXPECT_EQ(a.scene, b.scene);
    EXPECT_EQ(a.timestamp_us, b.timestamp_us);
    for (int k = 0; k < 9; ++k) { EXPECT_NEAR(a.T_global_ref.rotation.a[k], b.T_global_ref.rotation.a[k], 1e-12); }
    EXPECT_NEAR(length(a.T_global_ref.translation - b.T_global_ref.translation), 0, 1e-6);
    ASSERT_EQ(b.views.size(), 6u);
    for (std::size_t v = 0; v < 6; ++v) {
      EXPECT_EQ(a.views[v].name, b.views[v].name);
      EXPECT_EQ(a.views[v].camera.fx, b.views[v].camera.fx);
      EXPECT_EQ(a.views[v].camera.cy, b.views[v].camera.cy);
      for (int k = 0; k < 9; ++k) {
        EXPECT_NEAR(a.views[v].T_cam_ref.rotation.a[k], b.views[v].T_cam_ref.rotation.a[k], 1e-7);
      }
      EXPECT_NEAR(length(a.views[v].T_cam_ref.translation - b.views[v].T_cam_ref.translation), 0, 1e-6);
      // The picture is what JPEG makes of it.
      EXPECT_EQ(b.views[v].picture, sqs::decode_jpeg(sqs::encode_jpeg(a.views[v].picture, 92), "memory"));
    }
    ASSERT_EQ(a.lidar.points.size(), b.lidar.points.size());
    EXPECT_EQ(std::memcmp(a.lidar.points.data(), b.lidar.points.data(), 12 * a.lidar.points.size()), 0);
    EXPECT_EQ(a.lidar.intensity, b.lidar.intensity);
    EXPECT_EQ(a.lidar.ring, b.lidar.ring);
    ASSERT_EQ(a.boxes.size(), b.boxes.size());
    EXPECT_GT(a.boxes.size(), 5u);
    for (std::size_t k = 0; k < a.boxes.size(); ++k) {
      const auto &x = a.boxes[k], &y = b.boxes[k];
      EXPECT_NEAR(length(x.center - y.center), 0, 1e-6);
      EXPECT_NEAR(length(x.size - y.size), 0, 1e-12);
      EXPECT_NEAR(std::remainder(x.yaw - y.yaw, 6.283185307179586), 0, 1e-9);
      EXPECT_EQ(x.category, y.category);
      EXPECT_EQ(x.instance, y.instance);
      EXPECT_EQ(x.lidar_points, y.lidar_points);
      EXPECT_EQ(x.visibility, y.visibility);
      EXPECT_EQ(x.attribute, y.attribute);
      // Files give the difference of positions over half a second, the town its derivative.
      if (std::isfinite(y.velocity.x)) {
        EXPECT_NEAR(std::hypot(x.velocity.x - y.velocity.x, x.velocity.y - y.velocity.y), 0, 1.6);
      }
    }
    const auto segments = read.lidarseg(i, b.lidar.points.size());
    ASSERT_EQ(segments.size(), f.lidar_semantics.size());
    for (std::size_t k = 0; k < segments.size(); ++k) {
      EXPECT_EQ(sqs::nuscenes_categories[segments[k]].occupancy, f.lidar_semantics[k]);
    }
  }
}

TEST_F(town_files, hold_the_occupancy_of_three_data_sets) {
  const sqs::town_dataset town(options());
  const sqs::nuscenes_dataset read(root());
  for (idx i = 0; i < read.size(); ++i) {
    const auto f = town.frame(i);
    const auto occ3d = sqs::read_occ3d(sqs::occ3d_path(root() / "gts", read.scene(i), read.token(i)));
    EXPECT_EQ(occ3d.semantics, f.occ3d.semantics);
    EXPECT_EQ(occ3d.mask_camera, f.occ3d.mask_camera);
    EXPECT_EQ(occ3d.mask_lidar, f.occ3d.mask_lidar);
    const auto surround =
        sqs::read_surround_occ(sqs::surround_occ_path(root() / "dense_voxels_with_semantic", read.lidar_filename(i)));
    EXPECT_EQ(surround.semantics, f.surround_occ.semantics);
    const auto open = sqs::read_open_occ(sqs::occ3d_path(root() / "openocc_v2", read.scene(i), read.token(i)));
    EXPECT_EQ(sqs::renumbered(open, sqs::occupancy_of_open_occ, sqs::occupancy_free).semantics, f.occ3d.semantics);
    ASSERT_EQ(open.flow.size(), f.occ3d.flow.size());
    for (std::size_t k = 0; k < open.flow.size(); ++k) { // float16 on disk
      ASSERT_NEAR(open.flow[k].x, f.occ3d.flow[k].x, 2e-3 + 1e-3 * std::abs(f.occ3d.flow[k].x));
    }
  }
}

TEST_F(town_files, name_their_scenes_for_the_devkit) {
  const auto file = sqs::read_file(root() / "v1.0-town/splits.json");
  EXPECT_EQ(sqs::text_of(file), "{\"town_test\":[\"town-test-0000\"]}\n");
}

TEST_F(town_files, have_sweeps_of_both_kinds_of_sensor) {
  const sqs::nuscenes_dataset read(root(), {.sweeps = sqs::nuscenes_sweeps::all});
  const auto turns = read.sweeps(1, 5);
  ASSERT_EQ(turns.size(), 3u); // the key frame's, the one between, the first key frame's
  EXPECT_EQ(turns[0].timestamp_us - turns[1].timestamp_us, 250'000);
  const auto again = sqs::town_dataset(options()).sweep(0, 0.25);
  EXPECT_EQ(turns[1].sweep.points.size(), again.sweep.points.size());
  EXPECT_TRUE(read.past_view(1, 0, 1).has_value());
}

TEST_F(town_files, are_good_and_repaired_by_writing_them_again) {
  EXPECT_TRUE(sqs::check_dataset(root()).good());
  const sqs::nuscenes_dataset read(root());
  const auto labels = sqs::occ3d_path(root() / "gts", read.scene(0), read.token(0));
  const auto whole = sqs::read_file(labels);
  fs::resize_file(labels, 100);
  const auto r = sqs::check_dataset(root());
  ASSERT_EQ(r.problem_count, 1);
  EXPECT_THAT(r.problems[0].repair,
              ::testing::AllOf(::testing::StartsWith("make_town --split "), ::testing::HasSubstr(" --scenes "),
                               ::testing::HasSubstr(" --replace --out " + root().string())));
  sqs::write_file_atomic(labels, whole);
}

TEST_F(town_files, are_not_mixed_with_those_of_another_town) {
  using ::testing::HasSubstr;
  const sqs::town_dataset town(options());
  const auto write = [&](const sqs::town_write_options& o) { sqs::write_town(town, root(), o, [](idx, idx) {}); };
  EXPECT_THAT([&] { write({}); }, ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("holds a town already")));
  fs::create_directories(root() / "gts" / "town-old" / "token");
  write({.lidar_sweeps = 1, .camera_sweeps = 1, .replace = true});
  EXPECT_FALSE(fs::exists(root() / "gts" / "town-old"));
  EXPECT_EQ(sqs::nuscenes_dataset(root()).size(), town.size());
  const fs::path other = *folder / "other";
  fs::create_directories(other / "photos");
  EXPECT_THAT([&] { sqs::write_town(town, other, {.replace = true}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("is not an empty folder")));
  EXPECT_TRUE(fs::exists(other / "photos"));
  // A real data set is none, whatever it holds.
  fs::create_directories(other / "v1.0-mini"), fs::create_directories(other / "samples");
  fs::create_directories(other / "town"), fs::create_directories(other / "v1.0-town");
  EXPECT_THAT([&] { sqs::write_town(town, other, {.replace = true}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("is not an empty folder")));
  EXPECT_TRUE(fs::exists(other / "samples"));
  EXPECT_THAT([&] { sqs::write_town(town, "", {}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("the folder has no name")));
  EXPECT_THAT([&] { sqs::write_town(town, "/proc/town", {}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("the folder /proc/town cannot be made (")));
}

// The labels of nuScenes-Occupancy: the round trip, and against the LiDAR, which knows nothing of voxels.
TEST(town_writer, fills_fine_voxels_where_the_lidar_hits) {
  const sqs::town_dataset town(
      {.split = sqs::town_split::test, .scenes = 1, .seconds = 0.5, .height = 36, .width = 64, .threads = 2});
  const sqs::test::scratch_folder folder;
  const fs::path root = folder.path();
  sqs::write_town(town, root, {.lidar_sweeps = 0, .occupancy = false, .open_occupancy = true, .text = false},
                  [](idx, idx) {});
  const auto f = town.frame(
      0, {.flow = false, .occ3d = false, .surround_occ = false, .masks = false, .text = false, .open_occupancy = true});
  const sqs::nuscenes_dataset read(root);
  ASSERT_EQ(read.size(), 1);
  const auto labels = sqs::read_open_occupancy(
      sqs::open_occupancy_path(root / "nuScenes-Occupancy", read.scene_token(0), read.lidar_token(0)));
  EXPECT_TRUE(labels.grid == sqs::open_occupancy_grid);
  EXPECT_EQ(labels.free, 0);
  EXPECT_EQ(labels.semantics, f.open_occupancy.semantics);
  const auto report = sqs::check_dataset(root);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.counts.at("labels of nuScenes-Occupancy"), 1);

  int inside = 0, filled = 0, agree = 0;
  for (std::size_t i = 0; i < f.sample.lidar.points.size(); ++i) {
    const auto& p = f.sample.lidar.points[i];
    const std::array<int, 3> c{static_cast<int>(std::floor((p.x + 51.2) / 0.2)),
                               static_cast<int>(std::floor((p.y + 51.2) / 0.2)),
                               static_cast<int>(std::floor((p.z + 5) / 0.2))};
    if (c[0] < 0 || c[1] < 0 || c[2] < 0 || c[0] > 511 || c[1] > 511 || c[2] > 39) { continue; }
    ++inside;
    const auto v = labels.semantics[static_cast<std::size_t>((c[0] * 512 + c[1]) * 40 + c[2])];
    filled += v != 0;
    agree += v == f.lidar_semantics[i];
  }
  EXPECT_GT(inside, 10'000);
  EXPECT_GT(filled, 0.95 * inside) << inside; // range noise of 2 cm: some points lie before what they hit
  EXPECT_GT(agree, 0.9 * inside) << inside;
  fs::remove_all(root);
}

TEST(town_writer, says_what_is_wrong) {
  using ::testing::HasSubstr;
  const sqs::town_dataset town(options());
  EXPECT_THAT([&] { sqs::write_town(town, "x", {.lidar_sweeps = 20}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::precondition_error>(HasSubstr("give 0 to 9 sweeps")));
  EXPECT_THAT([&] { sqs::write_town(town, "/proc/nowhere", {}, [](idx, idx) {}); },
              ::testing::ThrowsMessage<sqs::file_error>(HasSubstr("/proc/nowhere")));
}

} // namespace town_writer_test

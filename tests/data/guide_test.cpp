// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/data.md, compiled and run; and that the page shows these lines and no others.
#include "tiny_nuscenes.hpp"

#include "../support/guide.hpp"

#include <sqs/data/loader.hpp>
#include <sqs/data/nuscenes_splits.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/sensor/augment_image.hpp>
#include <sqs/sensor/augment_scene.hpp>

#include <cstdio>

namespace guide_test {

using namespace sqs;

TEST(guide, data) {
  sqs_test::tiny_nuscenes tiny;
  const auto root = tiny.root;
  tiny.spoil("scene", "scene-1", "scene-0103");
  tiny.tables["scene"].insert(1, R"({"token":"sd","name":"scene-0916","first_sample_token":""},)");
  auto& data = tiny.tables["sample_data"];
  data.erase(data.find(R"(,{"token":"sweep")"));
  data += "]";
  for (std::size_t at = 0; (at = data.find("\"is_key_frame\"", at)) != std::string::npos; at += 40) {
    data.insert(at, R"("prev":"","next":"",)");
  }
  tiny.open();
  write_occ3d(root / "gts/scene-0103/s0/labels.npz", occupancy_labels::empty(occ3d_grid, 17));
  write_open_occ(root / "openocc_v2/scene-0103/s0/labels.npz", occupancy_labels::empty(occ3d_grid, 16));
  write_surround_occ(root / "dense_voxels_with_semantic/0.pcd.bin.npy", occupancy_labels::empty(surround_occ_grid, 17));

  const nuscenes_dataset set(root, {.scenes = nuscenes_split("mini_val"), .sweeps = nuscenes_sweeps::lidar});
  const auto boxes = set.boxes(0); // category, attribute, visibility, velocity; no file opened
  const auto cloud = aggregated(set.sweeps(0, 9), set.T_global_ref(0), set.sample(0).timestamp_us);
  const auto way = set.future(0); // 6 steps of 0.5 s, and the command
  EXPECT_EQ(boxes.size(), 1u);
  EXPECT_EQ(cloud.points.size(), 2u);
  EXPECT_EQ(way.position.size(), 6u);

  const auto truth = read_occ3d(occ3d_path(root / "gts", set.scene(0), set.token(0)));
  const auto flow = read_open_occ(occ3d_path(root / "openocc_v2", set.scene(0), set.token(0)));
  const auto same = renumbered(flow, occupancy_of_open_occ, occupancy_free); // OpenOcc's classes in Occ3D's numbers
  const auto lidar_frame =
      read_surround_occ(surround_occ_path(root / "dense_voxels_with_semantic", set.lidar_filename(0)));
  EXPECT_EQ(same.semantics, truth.semantics);
  EXPECT_EQ(lidar_frame.semantics.size(), 640000u);

  const auto s = set.sample(0);
  const idx step = 3;
  const auto for_image = random_stream::of(7, step, 0), for_scene = random_stream::of(7, step, 1);
  const auto plan = draw_image_augmentation({.height = 256, .width = 704, .rotation = 5.4}, 900, 1600, for_image);
  const image small = augmented(s.views[0].picture, plan);
  const auto bda = draw_scene_augmentation({.scale_low = 0.95, .scale_high = 1.05}, for_scene);
  const auto labels = augmented(truth, bda);
  const auto projection =
      augmented(image_matrix4(plan) * projection_matrix(s.views[0].camera, s.views[0].T_cam_ref), bda);
  EXPECT_EQ(small.width, 704);
  EXPECT_EQ(labels.semantics.size(), truth.semantics.size());
  EXPECT_TRUE(std::isfinite(projection(0, 0)));

  loader_options options{.seed = 7, .first_step = 1000, .threads = 2, .corrupt = corrupt_policy::replace};
  options.report = [](const corrupt_sample& c) { std::fprintf(stderr, "%s\n", c.message.c_str()); };
  loader samples(set, options);
  const auto item = samples.next();
  EXPECT_EQ(item.views.size(), 6u);
}
TEST(guide, shows_what_is_compiled_here) { guide::expect_shown("data.md", "data/guide_test.cpp", 4); }

} // namespace guide_test

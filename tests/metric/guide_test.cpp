// SPDX-License-Identifier: Apache-2.0
// The snippets of docs/guide/metrics.md, compiled and run; and that the page shows these lines and no others.
#include "../support/guide.hpp"
#include "../support/scratch.hpp"

#include <sqs/data/image_io.hpp>
#include <sqs/metric.hpp>
#include <sqs/pipeline/voxel_ply.hpp>

#include <cstdio>
#include <filesystem>

namespace guide_test {

using namespace sqs;

/// Where the snippets write.
struct here {
  const test::scratch_folder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  here() { std::filesystem::current_path(folder.path()); }
  ~here() { std::filesystem::current_path(before); }
};

TEST(guide, metrics_of_boxes_and_plans) {
  cpu exec;
  const here folder;
  metric::detection_box box;
  box.translation = {10, 2, 1}, box.size = {1.9, 4.5, 1.6};
  metric::detection_result result;
  result.samples = {{.token = "frame", .boxes = {box}}};
  result.samples[0].boxes[0].score = 0.9;

  const std::vector<metric::detection_sample> truth{{.token = "frame", .boxes = {box}, .ego = {0, 0, 0}}};
  const auto m = metric::evaluate_detection(exec, truth, result.samples);
  std::printf("NDS %.4f, mAP %.4f, mATE %.3f m\n", m.nd_score, m.mean_ap, m.mean_errors[0]);
  EXPECT_NEAR(m.mean_ap, 0.1, 1e-12);

  metric::write_detection_result("results.json", result);
  const metric::detection_result again = metric::read_detection_result("results.json");
  EXPECT_EQ(again.samples.size(), 1u);

  std::vector<vec2<double>> plan(6), driven(6);
  std::vector<std::vector<metric::planning_obstacle>> obstacles(6);
  for (std::size_t t = 0; t < 6; ++t) { plan[t] = {2.0 * static_cast<double>(t + 1), 0}, driven[t] = plan[t]; }
  metric::planning_counts plans;
  metric::add_plan(plans, {plan, driven, obstacles}, metric::collision_protocol::polygons);
  const auto p = metric::score_planning(plans);
  std::printf("L2 %.2f m, collision %.2f %%\n", p.l2_average.mean, 100 * p.collision_any.mean);
  EXPECT_EQ(p.l2_average.mean, 0);

  const auto lane = metric::make_drivable_area([](double, double y) { return std::abs(y) < 3; });
  metric::planning_counts on_maps;
  metric::add_plan(on_maps, {plan, driven, obstacles, lane});
  std::printf("left the road within 3 s: %.0f %%\n", 100 * metric::score_planning(on_maps).boundary.at[2]);
  EXPECT_EQ(metric::score_planning(on_maps).boundary.mean, 0);

  const std::vector<metric::caption> said{{"the car stops", {"the car stops", "a car halts"}},
                                          {"turn left", {"go left"}}};
  const auto c = metric::score_captions(said, metric::caption_words::lower_case);
  std::printf("CIDEr %.3f, BLEU-4 %.3f, ROUGE-L %.3f\n", c.cider, c.bleu[3], c.rouge_l);
  EXPECT_GT(c.cider, 1);
}

TEST(guide, metrics_of_occupancy) {
  cpu exec;
  const here folder;
  auto labels = occupancy_labels::empty(occ3d_grid, occupancy_free);
  for (int x = 90; x < 150; ++x) {
    for (int y = 90; y < 110; ++y) { labels.semantics[static_cast<std::size_t>(labels.grid.index(x, y, 2))] = 11; }
  }
  labels.mask_camera.assign(labels.semantics.size(), 1);
  const auto prediction = labels;
  const std::vector<vec3<double>> origins{{0.98, 0, 1.84}};

  auto counts = metric::make_counts(metric::occ3d_protocol);
  metric::add_voxels(exec, counts, labels, prediction.semantics, metric::occupancy_mask::camera);
  const auto s = metric::score_occupancy(counts, metric::occ3d_protocol);
  std::printf("mIoU %.2f, occupied %.2f\n", 100 * s.miou, 100 * s.geometric_iou);
  EXPECT_EQ(s.miou, 1);

  metric::ray_counts rays(occupancy_free);
  metric::add_rays(exec, rays, labels, prediction, origins, metric::occ3d_rays());
  std::printf("RayIoU %.2f\n", 100 * metric::score_rays(rays, metric::occ3d_rays()).ray_iou);
  EXPECT_EQ(metric::score_rays(rays, metric::occ3d_rays()).ray_iou, 1);

  const auto truth_view =
      pipeline::occupancy_picture(exec, labels, pipeline::palette_of(labels), pipeline::chase_view(90, 160));
  const auto found_view =
      pipeline::occupancy_picture(exec, prediction, pipeline::palette_of(labels), pipeline::chase_view(90, 160));
  write_png("occupancy.png", pipeline::beside(truth_view, found_view));
  pipeline::write_voxels_ply("occupancy.ply", prediction, pipeline::palette_of(prediction));
  EXPECT_EQ(truth_view, found_view);
}
TEST(guide, shows_what_is_compiled_here) { guide::expect_shown("metrics.md", "metric/guide_test.cpp", 9); }

} // namespace guide_test

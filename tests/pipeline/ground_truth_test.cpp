// SPDX-License-Identifier: Apache-2.0
// Ground truth from the tables of a real data set: the devkit's numbers to the last digit; drives, rays and obstacles.
#include "../metric/detection_golden.hpp"

#include <sqs/pipeline/ground_truth.hpp>

namespace ground_truth_test {

using namespace sqs;
using namespace sqs::test;

const std::filesystem::path pandaset = std::string(SQS_TEST_DATA_DIR) + "/pandaset-nuscenes";

/// The predictions of tools/golden_metrics_detection.py, draw for draw.
std::vector<detection_sample> predictions(const std::vector<detection_sample>& truth) {
  counter_draw draw;
  std::vector<detection_sample> found;
  for (const auto& s : truth) {
    found.push_back({s.token});
    for (const auto& b : s.boxes) {
      if (draw() < 0.15) { continue; }
      detection_box p = b;
      p.points = -1;
      for (double* v : {&p.translation.x, &p.translation.y, &p.translation.z}) { *v += (draw() - 0.5) * 2; }
      for (double* v : {&p.size.x, &p.size.y, &p.size.z}) { *v *= 0.75 + draw(); }
      for (double* v : {&p.rotation.w, &p.rotation.x, &p.rotation.y, &p.rotation.z}) { *v += (draw() - 0.5) * 0.25; }
      p.velocity.x = draw() * 8 - 4;
      p.velocity.y = draw() * 8 - 4;
      if (!(draw() < 0.75)) { p.attribute = draw.below(8); }
      p.score = draw();
      found.back().boxes.push_back(p);
    }
  }
  return found;
}

TEST(ground_truth, detection_on_a_whole_data_set_as_the_devkit_judges_it) {
  if (!std::filesystem::exists(pandaset)) { GTEST_SKIP() << pandaset << " is not here"; }
  const nuscenes_dataset data(pandaset);
  const auto truth = pipeline::detection_ground_truth(data.tables());
  const auto golden = golden_of(std::string(SQS_TEST_SOURCE_DIR) + "/pipeline/golden/detection_tables.json");
  const auto found = predictions(truth);
  cpu exec{.threads = 2};
  auto config = detection_cvpr_2019;
  config.arithmetic = {.fused_dots = true, .avx512_arctangent = true, .quaternion_product = true};
  expect_metrics(evaluate_detection(exec, truth, found, config), *golden.find("avx512"));
  config.arithmetic = {.fused_dots = false, .avx512_arctangent = false, .quaternion_product = true};
  expect_metrics(evaluate_detection(exec, truth, found, config), *golden.find("avx2"));
}

TEST(ground_truth, rays_start_where_the_lidar_stood) {
  if (!std::filesystem::exists(pandaset)) { GTEST_SKIP() << pandaset << " is not here"; }
  const nuscenes_dataset data(pandaset);
  for (const idx i : {idx{0}, idx{5}}) {
    const auto origins = pipeline::ray_origins(data, i);
    ASSERT_LE(origins.size(), 8u);
    ASSERT_GE(origins.size(), 1u);
    // The vehicle's own LiDAR: 0.807 m ahead of and 1.850 m above its point (README of the data set).
    bool own = false;
    for (const auto& o : origins) {
      EXPECT_LT(std::abs(o.x), 39);
      own = own || (std::abs(o.x - 0.807) < 2e-3 && std::abs(o.z - 1.850) < 2e-3);
    }
    EXPECT_TRUE(own);
  }
}

TEST(ground_truth, driven_paths_and_obstacles) {
  if (!std::filesystem::exists(pandaset)) { GTEST_SKIP() << pandaset << " is not here"; }
  const nuscenes_dataset data(pandaset);
  EXPECT_FALSE(pipeline::planning_ground_truth(data, data.size() - 6).has_value()); // five frames follow
  const auto sample = pipeline::planning_ground_truth(data, 0);
  ASSERT_TRUE(sample.has_value());
  ASSERT_EQ(sample->driven.size(), 6u);
  ASSERT_EQ(sample->obstacles.size(), 6u);
  for (std::size_t t = 0; t < 6; ++t) {
    EXPECT_GE(sample->driven[t].x, t == 0 ? -0.1 : sample->driven[t - 1].x - 0.1); // it drives ahead
    EXPECT_GT(sample->obstacles[t].size(), 20u);
  }
  // A parked car stays where it is, seen from the present frame: most obstacles come back at the next step.
  std::size_t same = 0;
  for (const auto& a : sample->obstacles[0]) {
    for (const auto& b : sample->obstacles[5]) {
      same +=
          std::hypot(a.center.x - b.center.x, a.center.y - b.center.y) < 0.3 && std::abs(a.yaw - b.yaw) < 0.05 ? 1 : 0;
    }
  }
  EXPECT_GT(same, sample->obstacles[0].size() / 3);
  planning_counts counts;
  auto plan = *sample;
  plan.plan = plan.driven;
  add_plan(counts, plan);
  EXPECT_EQ(score_planning(counts).l2_average.mean, 0);
  EXPECT_EQ(score_planning(counts).collision_any.mean, 0); // the driven path is never blamed
}

} // namespace ground_truth_test

// SPDX-License-Identifier: Apache-2.0
// Several sweeps as one cloud, and the way the vehicle takes: by hand and against published numbers.
#include <sqs/core/file.hpp>
#include <sqs/sensor/ego_future.hpp>
#include <sqs/sensor/sweeps.hpp>
#include <sqs/tensor/json.hpp>

#include "../support/check.hpp"

#include <sstream>

namespace sweeps_test {

using sqs::test::message_of;
using ::testing::HasSubstr;

sqs::posed_sweep sweep(double x, std::int64_t time, std::vector<sqs::vec3<float>> points) {
  sqs::posed_sweep s;
  s.T_global_sensor = sqs::yaw_rotation(0.0);
  s.T_global_sensor.translation = {x, 0, 2};
  s.timestamp_us = time;
  for (std::size_t i = 0; i < points.size(); ++i) {
    s.sweep.intensity.push_back(static_cast<float>(i));
    s.sweep.ring.push_back(static_cast<int>(10 + i));
  }
  s.sweep.points = std::move(points);
  return s;
}

TEST(sweeps, are_where_they_were_in_the_world) {
  // The vehicle drives along x; both sweeps see the post at x = 30, and the vehicle itself.
  const std::vector<sqs::posed_sweep> sweeps{sweep(10, 1'500'000, {{20, 1, 0}, {0.5f, 0.5f, 0}}),
                                             sweep(8, 1'450'000, {{22, 1, 0}, {0.5f, -0.9f, -1}, {0.5f, 1.0f, 0}})};
  const auto all = sqs::aggregated(sweeps, sweeps[0].T_global_sensor, sweeps[0].timestamp_us);
  ASSERT_EQ(all.points.size(), 3u);
  EXPECT_EQ(all.points[0].x, 20);
  EXPECT_EQ(all.points[1].x, 20);
  EXPECT_EQ(all.points[2].x, -1.5f); // 1 m to the side is not close
  EXPECT_EQ(all.lag[0], 0);
  EXPECT_FLOAT_EQ(all.lag[1], 0.05f);
  EXPECT_EQ(all.ring[2], 12);
  EXPECT_EQ(all.intensity[2], 2);
  EXPECT_EQ(sqs::aggregated(sweeps, sweeps[0].T_global_sensor, 0, {.close_in_first = false}).points.size(), 4u);
  EXPECT_EQ(sqs::aggregated(sweeps, sweeps[0].T_global_sensor, 0, {.close = 0}).points.size(), 5u);
  auto without = sweeps;
  without[1].sweep.ring.clear();
  EXPECT_TRUE(sqs::aggregated(without, sweeps[0].T_global_sensor, 0).ring.empty());
  EXPECT_TRUE(sqs::aggregated({}, sweeps[0].T_global_sensor, 0).points.empty());
  without[1].T_global_sensor.translation.x = NAN;
  EXPECT_THAT(message_of([&] { sqs::aggregated(without, sweeps[0].T_global_sensor, 0); }),
              HasSubstr("the pose of a sweep"));
  // A turned ref: what lay ahead lies to the right of a vehicle that looks left.
  const auto turned = sqs::aggregated(sweeps, sweeps[0].T_global_sensor * sqs::yaw_rotation(std::acos(-1.0) / 2), 0);
  EXPECT_NEAR(turned.points[0].x, 1, 1e-5);
  EXPECT_NEAR(turned.points[0].y, -20, 1e-5);
}

TEST(ego_future, repeats_the_last_position_behind_the_end) {
  std::vector<sqs::se3<double>> poses(4);
  for (std::size_t k = 0; k < 4; ++k) {
    const double steps = static_cast<double>(k);
    poses[k] = sqs::yaw_rotation(0.3);
    poses[k].translation = sqs::yaw_rotation(0.3) * sqs::vec3<double>{-0.7 * steps, 4 * steps, 0};
  }
  const auto f = sqs::make_ego_future(poses);
  ASSERT_EQ(f.position.size(), 6u);
  EXPECT_NEAR(f.position[1].x, -1.4, 1e-12);
  EXPECT_NEAR(f.position[1].y, 8, 1e-12);
  EXPECT_NEAR(f.position[5].y, 12, 1e-12);
  EXPECT_EQ(f.valid, (std::vector<bool>{true, true, true, false, false, false}));
  EXPECT_EQ(f.command, sqs::driving_command::left);
  EXPECT_EQ(sqs::make_ego_future(std::span(poses).first(3)).command, sqs::driving_command::straight);
  EXPECT_EQ(sqs::make_ego_future(std::span(poses).first(1)).valid[0], false);
  EXPECT_THAT(message_of([] { sqs::make_ego_future({}); }), HasSubstr("0 poses for 6 steps"));
}

TEST(ego_future, two_metres_aside_are_a_turn) {
  const auto command = [](double x) {
    std::vector<sqs::se3<double>> poses(2);
    poses[1].translation = {x, 30, 0};
    return sqs::make_ego_future(poses).command;
  };
  EXPECT_EQ(command(2), sqs::driving_command::right);
  EXPECT_EQ(command(std::nextafter(2.0, 0.0)), sqs::driving_command::straight);
  EXPECT_EQ(command(-2), sqs::driving_command::left);
  EXPECT_EQ(command(std::nextafter(-2.0, 0.0)), sqs::driving_command::straight);
}

sqs::se3<double> pose(const sqs::json_fields& f, const std::string& name) {
  const auto q = f.numbers<4>((name + "_rotation").c_str());
  const auto t = f.numbers<3>((name + "_translation").c_str());
  return sqs::make_se3<double>({q[0], q[1], q[2], q[3]}, {t[0], t[1], t[2]});
}

TEST(ego_future, is_that_of_the_published_mini_val_infos) {
  const auto path = std::filesystem::path(SQS_TEST_DATA_DIR) / "nuscenes-mini-val-infos/nuscenes_infos_val_mini.jsonl";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is absent"; }
  std::vector<sqs::json_value> infos;
  std::istringstream text(sqs::text_of(sqs::read_file(path)));
  for (std::string line; std::getline(text, line);) { infos.push_back(sqs::parse_json(line, path.string())); }
  ASSERT_EQ(infos.size(), 81u);
  int right = 0, left = 0, unfinished = 0;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const sqs::json_fields now(infos[i], "info");
    std::vector<sqs::se3<double>> poses;
    for (std::size_t k = i; k < infos.size() && k < i + 7; ++k) {
      const sqs::json_fields f(infos[k], "info");
      if (f.text("scene_token") != now.text("scene_token")) { break; }
      poses.push_back(pose(f, "ego2global") * pose(f, "lidar2ego"));
    }
    const auto ours = sqs::make_ego_future(poses);
    const auto& steps = *now.get("gt_ego_fut_trajs").as<sqs::json_value::array>();
    const auto mask = now.numbers<6>("gt_ego_fut_masks");
    const auto command = now.numbers<3>("gt_ego_fut_cmd");
    double x = 0, y = 0;
    for (std::size_t k = 0; k < 6; ++k) {
      const auto step = now.numbers_of<2>(steps[k], "gt_ego_fut_trajs");
      x += step[0], y += step[1];
      EXPECT_NEAR(ours.position[k].x, x, 2e-6) << i; // stored as float32 steps
      EXPECT_NEAR(ours.position[k].y, y, 2e-6) << i;
      EXPECT_EQ(ours.valid[k], mask[k] == 1) << i;
      unfinished += mask[k] == 0;
    }
    EXPECT_EQ(command[static_cast<std::size_t>(ours.command)], 1) << i;
    right += ours.command == sqs::driving_command::right, left += ours.command == sqs::driving_command::left;
  }
  EXPECT_GT(right, 5);
  EXPECT_GT(left, 5);
  EXPECT_EQ(unfinished, 42); // 1 + 2 + ... + 6 of each of two scenes
}

} // namespace sweeps_test

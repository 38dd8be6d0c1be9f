// SPDX-License-Identifier: Apache-2.0
// Rules of the town's labels, on cases made by hand.
#include <sqs/data/town.hpp>

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace town_rules_test {

using sqs::idx;
using sqs::occupancy_labels;
using sqs::town_dataset;
using sqs::vec3;
namespace town = sqs::town;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(town_rules, a_house_is_hollow_and_a_thing_wins_over_its_ground) {
  // One street map far away from everything, and three solids.
  town::stage stage;
  stage.map = std::make_shared<town::street_map>(1, 0, 0);
  std::vector<town::solid> solids(3);
  solids[0] = {.label = town::label::manmade, .hollow = true, .center = {0, 0, 2}, .half = {4, 4, 2}};
  solids[1] = {.label = town::label::sidewalk, .center = {10, 0, 0.05}, .half = {3, 3, 0.1}};
  solids[2] = {.label = town::label::car, .instance = 0, .center = {10, 0, 0.6}, .half = {0.7, 0.7, 0.5}};
  stage.still = std::make_shared<town::solid_tree>(solids);
  sqs::cpu exec{.threads = 1};
  const std::array<sqs::vec2<double>, 1> velocity{{{3, 4}}};
  sqs::se3<double> T_town_grid = sqs::yaw_rotation(1.5707963267948966); // grid x is town y
  const auto o = town::fill_voxels(exec, stage, {sqs::occ3d_grid, T_town_grid, velocity});
  const auto at = [&](double x, double y, double z) { // town axes
    return static_cast<std::size_t>(o.grid.index_of(inverse(T_town_grid) * vec3<double>{x, y, z}));
  };
  EXPECT_EQ(o.semantics[at(3.9, 0.1, 2.1)], town::label::manmade);
  EXPECT_EQ(o.semantics[at(0.1, 0.1, 2.1)], o.free);           // inside
  EXPECT_EQ(o.semantics[at(20, 0.1, 0.1)], town::label::road); // the plane z = 0
  EXPECT_EQ(o.semantics[at(20, 0.1, 0.3)], o.free);            // the voxel above it
  EXPECT_EQ(o.semantics[at(12.5, 0.1, 0.1)], town::label::sidewalk);
  EXPECT_EQ(o.semantics[at(10.1, 0.1, 0.1)], town::label::car); // it shares this voxel with the pavement
  EXPECT_EQ(o.semantics[at(10.1, 0.1, 0.9)], town::label::car);
  EXPECT_NEAR(o.flow[at(10.1, 0.1, 0.9)].x, 4, 1e-5); // town y
  EXPECT_NEAR(o.flow[at(10.1, 0.1, 0.9)].y, -3, 1e-5);
  EXPECT_EQ(o.flow[at(12.5, 0.1, 0.1)].x, 0);
}

TEST(town_rules, masks_end_at_the_first_filled_voxel) {
  auto o = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {10, 3, 3}}, 17);
  o.semantics[static_cast<std::size_t>(o.grid.index(6, 1, 1))] = 4;
  std::vector<std::uint8_t> mask(o.semantics.size(), 0);
  town::detail::mark_seen(o, mask, {-5, 1.5, 1.5}, {1, 0, 0}, 1e30);
  for (int x = 0; x < 10; ++x) {
    EXPECT_EQ(mask[static_cast<std::size_t>(o.grid.index(x, 1, 1))], x <= 6 ? 1 : 0) << x;
  }
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 7);
  std::fill(mask.begin(), mask.end(), std::uint8_t{0});
  town::detail::mark_seen(o, mask, {0.5, 0.5, 0.5}, {1, 0, 0}, 3); // a range of 3 m: cells 0 .. 3
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 4);
  town::detail::mark_seen(o, mask, {-5, 7, 1}, {1, 0, 0}, 1e30); // beside the grid
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 4);
  // A slanted ray against a plain one: small steps along it.
  std::vector<std::uint8_t> walked(o.semantics.size(), 0), stepped(o.semantics.size(), 0);
  const vec3<double> from{0.31, 0.22, 2.9}, way{1, 0.21, -0.27};
  town::detail::mark_seen(o, walked, from, way, 1e30);
  for (double t = 0; t < 12; t += 1e-4) {
    const idx i = o.grid.index_of(from + t * way);
    if (i < 0) { break; }
    stepped[static_cast<std::size_t>(i)] = 1;
    if (o.semantics[static_cast<std::size_t>(i)] != 17) { break; }
  }
  EXPECT_EQ(walked, stepped);
}

TEST(town_rules, text_follows_from_the_labels) {
  std::vector<sqs::box3d> boxes(3);
  // ref: x right, y forward; the ego's rear axle lies 0.94 m behind the LiDAR.
  const auto put = [&](std::size_t k, vec3<double> center, vec3<double> size, double yaw, const char* category,
                       int visibility) {
    boxes[k].center = center, boxes[k].size = size, boxes[k].yaw = yaw, boxes[k].category = category;
    boxes[k].visibility = visibility;
  };
  put(0, {0, 7, -1}, {4, 2, 1.5}, 1.5708, "vehicle.car", 4);
  put(1, {-15, 15, -1}, {4, 2, 1.5}, 0, "vehicle.car", 3);
  put(2, {3, 0, -1}, {0.7, 0.7, 1.7}, 0, "human.pedestrian.adult", 1); // hidden
  boxes[0].velocity = {0, 5};
  sqs::ego_future stop;
  for (int k = 0; k < 6; ++k) { stop.position.push_back({0, 2.0 + std::min(k, 2)}); }
  town::weather light;
  const auto answer = [&](const std::string& topic, const std::vector<town::question_answer>& all,
                          std::size_t nth = 0) {
    for (const auto& q : all) {
      if (q.topic == topic && nth-- == 0) { return q.answer; }
    }
    return std::string("none");
  };
  auto all = town::questions_about(boxes, stop, 5, light, 1);
  EXPECT_EQ(answer("count", all, 0), "two cars.");
  EXPECT_EQ(answer("count", all, 1), "no pedestrians.");
  EXPECT_EQ(answer("nearest", all), "a car ahead, within 10 metres.");
  EXPECT_EQ(answer("free", all), "no, a car is in the way.");
  EXPECT_EQ(answer("motion", all), "yes, the car is moving.");
  EXPECT_EQ(answer("action", all), "stop.");
  EXPECT_EQ(answer("light", all), "it is sunny.");
  EXPECT_EQ(answer("caption", all),
            "there are two cars and no pedestrians around us. the lane ahead is not clear and we stop.");
  boxes[0].visibility = 1;
  all = town::questions_about(boxes, stop, 5, light, 2);
  EXPECT_EQ(answer("nearest", all), "a car ahead to the left, within 40 metres.");
  EXPECT_EQ(answer("free", all), "yes, the lane is clear.");
  EXPECT_EQ(answer("count", all, 0), "one car.");
  EXPECT_EQ(answer("motion", all), "none");
  sqs::ego_future turn = stop;
  turn.command = sqs::driving_command::left;
  EXPECT_EQ(town::planned_action(turn, 5), "turn left");
  EXPECT_EQ(town::planned_action(stop, 0.1), "stay stopped");
  for (std::size_t k = 0; k < 6; ++k) { stop.position[k] = {0, 2.5 * static_cast<double>(k + 1)}; }
  EXPECT_EQ(town::planned_action(stop, 5), "keep speed");
  EXPECT_EQ(town::planned_action(stop, 8), "slow down");
  EXPECT_EQ(town::planned_action(stop, 2), "speed up");
  // All wordings of a question occur.
  std::set<std::string> ways;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ways.insert(town::questions_about(boxes, stop, 5, light, seed)[0].question);
  }
  EXPECT_EQ(ways.size(), 3u);
}

TEST(town_rules, splits_are_fixed) {
  using sqs::town_split;
  const auto make = [](town_split s) { return town_dataset({.split = s, .seconds = 1, .height = 9, .width = 16}); };
  EXPECT_EQ(make(town_split::train).size(), 700 * 2);
  EXPECT_EQ(make(town_split::val).size(), 150 * 2);
  EXPECT_EQ(make(town_split::test).scene_name(7), "town-test-0007");
  EXPECT_EQ(make(town_split::train).token(3, "sample", 500), "e1e38b08b28fc503100a871e267d833d");
  EXPECT_NE(make(town_split::val).token(3, "sample", 500), make(town_split::test).token(3, "sample", 500));
  // Streets come from the seed by arithmetic that rounds alike everywhere.
  const town::street_map map(7001, 5, 5);
  EXPECT_NEAR(map.vertical(5).at, 97.687331933, 1e-6);
}

TEST(town_rules, says_what_is_wrong) {
  const town_dataset data({.scenes = 3, .seconds = 2, .height = 9, .width = 16});
  EXPECT_THAT([] { town_dataset({.scenes = -1}); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sqs::town_dataset: -1 scenes")));
  EXPECT_THAT([] { town_dataset({.seconds = 0.1}); }, ThrowsMessage<sqs::precondition_error>(HasSubstr("0.5 to 60 s")));
  EXPECT_THAT([&] { data.sample(12); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sqs::town_dataset: frame 12 of 12")));
  EXPECT_THAT([&] { data.scene(3); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("sqs::town_dataset: scene 3 of 3")));
}

} // namespace town_rules_test

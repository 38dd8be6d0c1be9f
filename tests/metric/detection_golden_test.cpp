// SPDX-License-Identifier: Apache-2.0
// The devkit's own mock boxes, and a submission on real boxes that the devkit has judged: digit for digit.
#include "detection_golden.hpp"

#include <fstream>

namespace detection_golden_test {

using namespace sqs;
using namespace sqs::metric;
using namespace sqs::test;

detection_box box_of(const json_value& v) {
  const json_fields f(v, "box");
  const auto t = f.numbers<3>("translation"), s = f.numbers<3>("size");
  const auto q = f.numbers<4>("rotation");
  const auto w = f.numbers<2>("velocity");
  detection_box b;
  b.translation = {t[0], t[1], t[2]}, b.size = {s[0], s[1], s[2]}, b.rotation = {q[0], q[1], q[2], q[3]};
  b.velocity = {w[0], w[1]};
  b.label = static_cast<std::int8_t>(detection_label(f.text("name")));
  b.attribute = static_cast<std::int8_t>(detection_attribute(f.text("attr")));
  b.score = *f.get("score").as<double>();
  return b;
}
std::vector<detection_sample> samples_of(const json_value& classes) {
  std::vector<detection_sample> out(30);
  for (std::size_t i = 0; i < 30; ++i) { out[i].token = std::to_string(i); }
  for (const std::size_t label : detection_cvpr_2019.order) {
    const json_value* list = classes.find(detection_class_names[label]);
    for (const json_value& v : *list->as<json_value::array>()) {
      out[static_cast<std::size_t>(*v.find("sample")->as<std::int64_t>())].boxes.push_back(box_of(v));
    }
  }
  return out;
}

TEST(detection, mock_boxes_of_the_devkit_to_the_last_digit) {
  const std::filesystem::path path = std::string(SQS_TEST_DATA_DIR) + "/nuscenes-devkit-golden/test_algo_mock.json";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is not here"; }
  const auto golden = golden_of(path);
  auto config = detection_cvpr_2019;
  config.matched_within.fill(2); // as that test of the devkit does
  const auto truth = samples_of(*golden.find("gt")), found = samples_of(*golden.find("pred"));
  for (const int threads : {1, 2, 3}) {
    cpu exec{.threads = threads};
    const auto m = score_detection(exec, truth, found, config);
    EXPECT_EQ(m.nd_score, 0.08606662159639042);
    expect_metrics(m, *golden.find("metrics"));
  }
}

struct split {
  std::vector<detection_sample> truth, found;
};
/// The boxes that the tool derives from one line of annotations; draw for draw.
void add_sample(split& out, counter_draw& draw, const json_value& info) {
  const json_fields f(info, "line");
  detection_sample truth, found;
  truth.token = found.token = f.text("token"), truth.ego = {0.25, -0.5, 0};
  const auto& list = *f.get("gt_boxes").as<json_value::array>();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto item = [&](const char* field) -> const json_value& {
      return (*f.get(field).as<json_value::array>())[i];
    };
    const auto at = f.numbers_of<7>(list[i], "gt_boxes");
    detection_box b;
    b.label = static_cast<std::int8_t>(detection_label(*item("gt_names").as<std::string>()));
    if (b.label < 0) { continue; }
    b.translation = {at[0], at[1], at[2]}, b.size = {at[4], at[3], at[5]}, b.rotation = {1, 0, 0, at[6]};
    const auto& speed = *item("gt_velocity").as<json_value::array>();
    b.velocity = {number(speed[0]), number(speed[1])};
    b.points = static_cast<int>(*item("num_lidar_pts").as<std::int64_t>() + *item("num_radar_pts").as<std::int64_t>());
    b.attribute = -1;
    if (!(draw() < 0.1)) { b.attribute = draw.below(8); }
    truth.boxes.push_back(b);
    const auto name = detection_class_names[static_cast<std::size_t>(b.label)];
    if ((name == "bicycle" || name == "motorcycle") && draw() < 0.4) {
      truth.racks.push_back({{at[0] + draw() * 2, at[1], at[2]}, {1.5, 3, 2}, b.rotation});
    }
    for (int n = static_cast<int>(draw() * 3); n > 0; --n) {
      detection_box p = b;
      p.points = -1;
      if (!(draw() < 0.85)) { p.label = draw.below(10); }
      p.translation.x += (draw() - 0.5) * 4;
      p.translation.y += (draw() - 0.5) * 4;
      p.size.x *= 0.7 + draw();
      p.size.y *= 0.7 + draw();
      p.size.z *= 0.7 + draw();
      p.rotation.x = draw() - 0.5;
      p.rotation.y = draw() - 0.5;
      p.rotation.z += draw() - 0.5;
      p.velocity.x = draw() * 4 - 2;
      p.velocity.y = draw() * 4 - 2;
      if (!(draw() < 0.6)) { p.attribute = draw.below(9); }
      if (p.attribute == 8) { p.attribute = -1; }
      p.score = std::floor(draw() * 100) / 100;
      found.boxes.push_back(p);
    }
  }
  out.truth.push_back(std::move(truth));
  out.found.push_back(std::move(found));
}

TEST(detection, judges_real_boxes_as_the_devkit_does) {
  const std::string data = SQS_TEST_DATA_DIR;
  std::ifstream lines(data + "/nuscenes-mini-val-infos/nuscenes_infos_val_mini.jsonl");
  if (!lines) { GTEST_SKIP() << "nuscenes-mini-val-infos is not here"; }
  split s;
  counter_draw draw;
  for (std::string line; std::getline(lines, line);) { add_sample(s, draw, parse_json(line, "annotations")); }
  const auto golden = golden_of(std::string(SQS_TEST_SOURCE_DIR) + "/metric/golden/detection_devkit.json");
  cpu exec{.threads = 2};
  auto config = detection_cvpr_2019;
  config.arithmetic = {.fused_dots = true, .avx512_arctangent = true, .quaternion_product = true};
  expect_metrics(evaluate_detection(exec, s.truth, s.found, config), *golden.find("avx512"));
  config.arithmetic = {.fused_dots = false, .avx512_arctangent = false, .quaternion_product = true};
  expect_metrics(evaluate_detection(exec, s.truth, s.found, config), *golden.find("avx2"));
  // How many boxes the filters leave.
  std::size_t truth = 0, found = 0;
  for (std::size_t i = 0; i < s.truth.size(); ++i) {
    truth += metric::detail::judged_boxes(s.truth[i], s.truth[i], config).size();
    found += metric::detail::judged_boxes(s.found[i], s.truth[i], config).size();
  }
  const json_value& counts = *golden.find("avx2")->find("counts");
  EXPECT_EQ(static_cast<std::int64_t>(truth), *counts.find("judged_truth")->as<std::int64_t>());
  EXPECT_EQ(static_cast<std::int64_t>(found), *counts.find("judged_found")->as<std::int64_t>());
}

} // namespace detection_golden_test

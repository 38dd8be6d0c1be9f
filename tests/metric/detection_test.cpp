// SPDX-License-Identifier: Apache-2.0
// The detection score by hand: matches, ties, filters, what is undefined, and the result file both ways.
#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <sqs/metric/detection_json.hpp>

#include <fstream>

namespace detection_test {

using namespace sqs;
using namespace sqs::metric;
using testing::HasSubstr;

detection_box box_at(double x, double y, double score, const char* name = "car", const char* attribute = "") {
  detection_box b;
  b.translation = {x, y, 0};
  b.score = score;
  b.label = static_cast<std::int8_t>(detection_label(name));
  b.attribute = static_cast<std::int8_t>(detection_attribute(attribute));
  return b;
}
std::vector<detection_sample> one(std::vector<detection_box> boxes) { return {{.token = "a", .boxes = boxes}}; }
constexpr std::size_t car = 0, barrier = 5, cone = 9;

detection_metrics evaluate(const std::vector<detection_sample>& truth, const std::vector<detection_sample>& found) {
  cpu exec{.threads = 1};
  return evaluate_detection(exec, truth, found);
}

TEST(detection, one_car_found_where_it_is) {
  const auto m = evaluate(one({box_at(3, 4, -1)}), one({box_at(3, 4, 0.5)}));
  for (const double ap : m.ap[car]) { EXPECT_NEAR(ap, 1, 1e-12); }
  EXPECT_NEAR(m.mean_ap, 0.1, 1e-12);
  for (std::size_t e = 0; e < 4; ++e) { EXPECT_NEAR(m.errors[car][e], 0, 1e-12); }
  EXPECT_EQ(m.errors[car][4], 1); // no attribute is known: that counts as wrong
  EXPECT_EQ(m.errors[1][0], 1);   // a class without ground truth
  EXPECT_TRUE(std::isnan(m.errors[cone][2]) && std::isnan(m.errors[cone][3]) && std::isnan(m.errors[cone][4]));
  EXPECT_TRUE(std::isnan(m.errors[barrier][3]) && !std::isnan(m.errors[barrier][2]));
  // Nine of ten classes count 1 for distance and size; NDS by hand: (5 mAP + 0.1 + 0.1 + 1/9 + 1/8 + 0) / 10.
  EXPECT_NEAR(m.nd_score, (0.5 + 0.1 + 0.1 + 1.0 / 9 + 1.0 / 8) / 10, 1e-12);
}

TEST(detection, errors_by_hand) {
  auto truth = box_at(0, 0, -1, "car", "vehicle.parked"), found = box_at(1.2, -1.6, 0.5, "car", "vehicle.moving");
  truth.size = {2, 4, 1}, found.size = {1, 4, 2}; // both 8 and 8 m^3, common 4
  truth.velocity = {1, 0}, found.velocity = {1, 2};
  found.rotation = {std::cos(0.6), 0, 0, std::sin(0.6)};
  const auto m = evaluate(one({truth}), one({found}));
  EXPECT_EQ(m.ap[car][2], 0); // exactly 2 m away is too far
  found.translation.x = 1.19;
  const auto n = evaluate(one({truth}), one({found}));
  EXPECT_NEAR(n.ap[car][2], 1, 1e-12);
  EXPECT_NEAR(n.errors[car][0], std::hypot(1.19, 1.6), 1e-12);
  EXPECT_NEAR(n.errors[car][1], 1 - 4.0 / 12, 1e-12);
  EXPECT_NEAR(n.errors[car][2], 1.2, 1e-12);
  EXPECT_NEAR(n.errors[car][3], 2, 1e-12);
  EXPECT_NEAR(n.errors[car][4], 1, 1e-12);
}

TEST(detection, a_barrier_has_no_front) {
  auto found = box_at(0, 0, 0.5, "barrier");
  found.rotation = {0, 0, 0, 1}; // half a turn
  EXPECT_NEAR(evaluate(one({box_at(0, 0, -1, "barrier")}), one({found})).errors[barrier][2], 0, 1e-12);
  found.label = car;
  EXPECT_NEAR(evaluate(one({box_at(0, 0, -1)}), one({found})).errors[car][2], 3.141592653589793, 1e-12);
}

TEST(detection, the_better_score_takes_the_box_and_of_equal_scores_the_later) {
  const auto truth = one({box_at(0, 0, -1)});
  // The first is nearer, the second has the better score: it is matched, the other is a false positive.
  const auto better = evaluate(truth, one({box_at(0.1, 0, 0.3), box_at(0.4, 0, 0.9)}));
  EXPECT_NEAR(better.errors[car][0], 0.4, 1e-12);
  const auto equal = evaluate(truth, one({box_at(0.1, 0, 0.5), box_at(0.4, 0, 0.5)}));
  EXPECT_NEAR(equal.errors[car][0], 0.4, 1e-12);
}

TEST(detection, half_of_the_boxes_found) {
  // Precision 1 up to recall 0.5, nothing beyond: 40 of the 90 points above the least recall.
  const auto m = evaluate(one({box_at(0, 0, -1), box_at(9, 0, -1)}), one({box_at(0, 0, 0.5)}));
  EXPECT_NEAR(m.ap[car][0], 40.0 / 90, 1e-12);
}

TEST(detection, errors_count_from_the_first_recall_that_is_judged) {
  // Recalls 0.11, 0.12, ... are judged: one that is reached just there counts, one below does not.
  detection_curve c;
  for (auto& e : c.errors) { e.fill(0.25); }
  c.confidence.fill(0);
  for (std::size_t r = 0; r <= 10; ++r) { c.confidence[r] = 0.5; }
  EXPECT_EQ(mean_error(c, 0, detection_cvpr_2019), 1);
  c.confidence[11] = 0.5;
  EXPECT_EQ(mean_error(c, 0, detection_cvpr_2019), 0.25);
  c.confidence[12] = 0.5, c.errors[0][12] = 0.75;
  EXPECT_EQ(mean_error(c, 0, detection_cvpr_2019), 0.5);
}

TEST(detection, judges_what_is_near_has_points_and_stands_outside_racks) {
  auto bicycle = box_at(20, 0, -1, "bicycle"), far = box_at(0, 40, -1, "bicycle"), empty = box_at(5, 5, -1);
  empty.points = 0;
  auto truth = one({bicycle, far, empty, box_at(49.9, 0, -1), box_at(50, 0, -1)});
  truth[0].racks.push_back({{21, 0, 0}, {2, 2, 2}, {1, 0, 0, 0}}); // the bicycle's centre is on its border
  const auto left = metric::detail::judged_boxes(truth[0], truth[0], detection_cvpr_2019);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].translation.x, 49.9);
  truth[0].racks[0].translation.x = 21.01;
  EXPECT_EQ(metric::detail::judged_boxes(truth[0], truth[0], detection_cvpr_2019).size(), 2u);
  truth[0].ego = {0, 30, 0};
  EXPECT_EQ(metric::detail::judged_boxes(truth[0], truth[0], detection_cvpr_2019).size(), 2u);
}

TEST(detection, unknown_velocities_do_not_count) {
  auto a = box_at(0, 0, -1), b = box_at(9, 0, -1);
  a.velocity = {std::nan(""), std::nan("")}, b.velocity = {0, 3};
  EXPECT_NEAR(evaluate(one({a, b}), one({box_at(0, 0, 0.9), box_at(9, 0, 0.9)})).errors[car][3], 3, 1e-12);
  EXPECT_EQ(evaluate(one({a}), one({box_at(0, 0, 0.9)})).errors[car][3], 1);
}

TEST(detection, nothing_at_all) {
  const auto m = evaluate(one({}), one({}));
  EXPECT_EQ(m.nd_score, 0);
  EXPECT_EQ(m.mean_ap, 0);
  EXPECT_EQ(m.mean_errors[0], 1);
}

TEST(detection, says_what_is_wrong) {
  const auto truth = one({box_at(0, 0, -1)});
  EXPECT_THAT(test::message_of([&] { evaluate(truth, {}); }), HasSubstr("1 of 1 samples have no entry"));
  EXPECT_THAT(test::message_of([&] { evaluate(truth, {{.token = "b", .boxes = {}}}); }),
              HasSubstr("the sample b, which is not in the ground truth"));
  EXPECT_THAT(test::message_of([&] {
                evaluate(truth, {{.token = "a", .boxes = {}}, {.token = "a", .boxes = {}}});
              }),
              HasSubstr("twice"));
  EXPECT_THAT(test::message_of([&] { evaluate(truth, one(std::vector<detection_box>(501))); }),
              HasSubstr("has 501 predicted boxes, at most 500 are allowed"));
  auto bad = box_at(0, 0, 0.5);
  bad.rotation.w = std::nan("");
  EXPECT_THAT(test::message_of([&] { evaluate(truth, one({bad})); }), HasSubstr("NaN or Inf"));
  bad = box_at(0, 0, 0.5), bad.size.x = 0;
  EXPECT_THAT(test::message_of([&] { evaluate(truth, one({bad})); }), HasSubstr("sizes must be above 0"));
  bad = box_at(0, 0, 0.5), bad.label = 10;
  EXPECT_THAT(test::message_of([&] { evaluate(truth, one({bad})); }), HasSubstr("labels are 0 to 9"));
}

TEST(detection, published_rows_have_the_published_score) {
  // NDS, mAP, mATE, mASE, mAOE, mAVE, mAAE on nuScenes val: SparseBEV and Sparse4D v3, without and with SQS, R50, R101.
  const double rows[8][7] = {{55.8, 44.8, .581, .271, .373, .247, .190}, {56.6, 45.2, .564, .263, .362, .232, .182},
                             {56.1, 46.9, .553, .274, .476, .227, .200}, {56.9, 47.4, .542, .266, .458, .218, .191},
                             {59.2, 50.1, .562, .265, .321, .243, .195}, {60.2, 50.9, .531, .251, .318, .241, .185},
                             {62.3, 53.7, .511, .255, .306, .194, .192}, {63.1, 54.4, .498, .241, .298, .187, .188}};
  for (const auto& r : rows) {
    EXPECT_NEAR(100 * nd_score(r[1] / 100, {r[2], r[3], r[4], r[5], r[6]}), r[0], 0.055) << r[0];
  }
  EXPECT_DOUBLE_EQ(nd_score(0.5, {2, 1, 0, 3, 0.5}), (2.5 + 1.5) / 10); // errors above 1 count 1
}

// --------------------------------------------------------------------------------------------------- the result file
const test::scratch_folder folder;
const std::string path = folder / "result.json";
std::string message_for(const std::string& text) {
  std::ofstream(path) << text;
  return test::message_of([] { read_detection_result(path); });
}
std::string with(const std::string& field, const std::string& value) {
  std::string box = R"({"sample_token": "a", "translation": [1, 2, 3], "size": [1, 2, 3], "rotation": [1, 0, 0, 0],
    "velocity": [0, 0.5], "detection_name": "car", "detection_score": 0.25, "attribute_name": "vehicle.parked"})";
  const std::size_t at = box.find("\"" + field + "\"") + field.size() + 4;
  const std::size_t end = box[at] == '[' ? box.find(']', at) + 1 : box.find_first_of(",}", at);
  if (!field.empty()) { box.replace(at, end - at, value); }
  return R"({"meta": {"use_lidar": true}, "results": {"a": [)" + box + "]}}";
}

TEST(detection_result, comes_back_as_it_was_written) {
  detection_result r;
  r.use_camera = r.use_external = true;
  r.samples = one({box_at(0.1, 1.0 / 3, 0.7, "barrier"), box_at(1e-300, -1e22, 1, "bus", "vehicle.stopped")});
  r.samples[0].boxes[1].velocity = {std::nan(""), 0.1};
  r.samples.push_back({.token = "q\"\\\n", .boxes = {}});
  write_detection_result(path, r);
  const auto back = read_detection_result(path);
  EXPECT_TRUE(back.use_camera && !back.use_lidar && !back.use_radar && !back.use_map && back.use_external);
  ASSERT_EQ(back.samples.size(), 2u);
  EXPECT_EQ(back.samples[1].token, "q\"\\\n");
  for (std::size_t i = 0; i < 2; ++i) {
    const auto &a = r.samples[0].boxes[i], &b = back.samples[0].boxes[i];
    EXPECT_EQ(a.translation.x, b.translation.x);
    EXPECT_EQ(a.translation.y, b.translation.y);
    EXPECT_EQ(a.label, b.label);
    EXPECT_EQ(a.attribute, b.attribute);
    EXPECT_EQ(a.score, b.score);
  }
  EXPECT_TRUE(std::isnan(back.samples[0].boxes[1].velocity.x));
}

TEST(detection_result, reads_the_nan_of_python) {
  std::ofstream(path) << with("velocity", "[NaN, 2]");
  const auto v = read_detection_result(path).samples[0].boxes[0].velocity;
  EXPECT_TRUE(std::isnan(v.x));
  EXPECT_EQ(v.y, 2);
  std::ofstream(path) << with("sample_token", "\"NaN\""); // a word in quotes stays
  EXPECT_THAT(message_for(with("sample_token", "\"NaN\"")), HasSubstr("is 'NaN' in the list of sample a"));
  detection_result r;
  r.samples.push_back({});
  r.samples[0].token = "a";
  r.samples[0].boxes.push_back({});
  r.samples[0].boxes[0].velocity = {std::nan(""), 1};
  write_detection_result(path, r);
  const auto bytes = read_file(path);
  EXPECT_THAT(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), HasSubstr("[NaN, 1]"));
}

TEST(detection_result, says_what_is_wrong_and_where) {
  EXPECT_EQ(message_for(with("", "")), "no error");
  EXPECT_THAT(message_for(with("detection_name", "\"cat\"")), HasSubstr("is 'cat', which is none of the ten classes"));
  EXPECT_THAT(message_for(with("attribute_name", "\"x\"")), HasSubstr("none of the eight attributes"));
  EXPECT_THAT(message_for(with("sample_token", "\"b\"")), HasSubstr("is 'b' in the list of sample a"));
  EXPECT_THAT(message_for(with("rotation", "[1, 0, 0]")), HasSubstr("is not a list of 4 numbers"));
  EXPECT_THAT(message_for(with("translation", "[1, null, 0]")), HasSubstr("sample a, box 0: field 'translation'"));
  EXPECT_THAT(message_for(with("translation", "[1, NaN, 0]")), HasSubstr(path));
  EXPECT_THAT(message_for(with("velocity", "[\"x\", 1]")), HasSubstr("instead of a number or null"));
  EXPECT_THAT(message_for(with("detection_score", "-0.5")), HasSubstr("scores are not negative"));
  EXPECT_THAT(message_for(with("detection_score", "\"1\"")), HasSubstr("is a string instead of a number"));
  EXPECT_THAT(message_for(R"({"results": {}})"), HasSubstr("has no field 'meta'"));
  EXPECT_THAT(message_for(R"({"meta": {}})"), HasSubstr("has no field 'results'"));
  EXPECT_THAT(message_for(R"({"meta": {}, "results": {"a": [], "a": []}})"), HasSubstr("has the sample a twice"));
  EXPECT_THAT(message_for(R"({"meta": {}, "results": {"a": {}}})"), HasSubstr("an object instead of a list of boxes"));
  EXPECT_THAT(message_for(R"({"meta": {}, "results": {"a": [7]}})"), HasSubstr("is an integer instead of a box"));
  EXPECT_THAT(message_for("[]"), HasSubstr("an object is expected"));
  EXPECT_THAT(message_for(""), HasSubstr("an object is expected"));
}

TEST(detection_result, survives_damaged_files) {
  const std::string good = with("", "");
  for (std::size_t n = 0; n < good.size(); ++n) { EXPECT_THAT(message_for(good.substr(0, n)), HasSubstr(path)) << n; }
  const auto draw = random_stream::of(4);
  for (idx i = 0; i < 400; ++i) { // one byte changed: either a clear error or a file that still reads
    std::string text = good;
    text[static_cast<std::size_t>(draw.uniform(2 * i, 0, static_cast<double>(good.size())))] =
        static_cast<char>(static_cast<unsigned char>(draw.uniform(2 * i + 1, 0, 256)));
    const std::string message = message_for(text);
    EXPECT_TRUE(message == "no error" || message.find(path) != std::string::npos) << message;
  }
}

TEST(detection_result, pieces_do_not_depend_on_the_buffer) {
  const std::string text =
      R"( {"a\\\"": [1, {"x": "}]"}], "b":2 , "skipped": [[{}]], "in": {"c":"d", "e":{}} , "none": {}} )";
  const std::string want = R"("a\\\""=[1, {"x": "}]"}];"b"=2 ;"skipped";"in":"c"="d";"e"={};"none":)";
  for (std::size_t buffer = 1; buffer < 90; ++buffer) {
    for (std::size_t most = 1; most < 8; most += 3) {
      std::size_t at = 0;
      const auto read = [&](char* to, std::size_t n) {
        n = std::min({n, most, text.size() - at});
        text.copy(to, n, at);
        at += n;
        return n;
      };
      metric::detail::json_members json(read, "file", 1000, buffer);
      std::string seen;
      const auto add = [&](std::string_view key) { seen += concat(key, "=", json.value(), ";"); };
      json.for_each([&](std::string_view key) {
        if (key == "\"skipped\"") {
          json.skip();
          seen += concat(key, ";");
        } else if (key == "\"in\"" || key == "\"none\"") {
          seen += concat(key, ":");
          json.for_each(add);
        } else {
          add(key);
        }
      });
      json.end();
      EXPECT_EQ(seen, want) << buffer;
    }
  }
}

TEST(detection_result, reads_little_at_a_time) {
  const auto of = [](const std::string& text, std::size_t most_piece) {
    std::size_t at = 0;
    metric::detail::json_members json(
        [&, text](char* to, std::size_t n) {
          const std::size_t got = text.copy(to, n, std::min(at, text.size()));
          at += got;
          return got;
        },
        "file", most_piece);
    json.for_each([&](std::string_view) { json.value(); });
    json.end();
  };
  EXPECT_NO_THROW(of(R"({"a": [123456789]})", 11));
  EXPECT_THAT(test::message_of([&] { of(R"({"a": [1234567890]})", 11); }),
              HasSubstr("file at byte 17: a value is too long"));
  EXPECT_THAT(test::message_of([&] { of(R"({"a": 1} 2)", 11); }), HasSubstr("file at byte 9: bytes follow the object"));
  EXPECT_THAT(test::message_of([&] { of(R"({"a": [1)", 11); }),
              HasSubstr("file at byte 8: the text ends inside a value"));
  EXPECT_THAT(test::message_of([&] { of(R"({"a)", 11); }), HasSubstr("a string does not end"));
  EXPECT_THAT(test::message_of([&] { of("[]", 11); }), HasSubstr("file at byte 0: an object is expected"));
  // What is skipped is not kept, however long: here 32 MiB, where a piece may have 100 bytes.
  std::size_t left = std::size_t{1} << 25;
  std::string begin = R"({"a":)";
  metric::detail::json_members json(
      [&](char* to, std::size_t n) {
        n = std::min(n, left);
        std::fill(to, to + n, '[');
        begin.copy(to, n);
        begin.clear();
        left -= n;
        return n;
      },
      "file", 100);
  EXPECT_THAT(test::message_of([&] { json.for_each([&](std::string_view) { json.skip(); }); }),
              HasSubstr("the text ends inside a value"));
}

} // namespace detection_test

// SPDX-License-Identifier: Apache-2.0
// The files that are handed to metrics: read as they should be, refused with the file and the place in it.
#include "mutations.hpp"
#include "prediction_readers.hpp"

#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <gmock/gmock.h>

namespace prediction_files_test {

namespace fs = std::filesystem;
using namespace sqs;
using sqs_fuzz::text;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string said = R"({"1": "two cars stand", "2": "turn left", "3": "not asked for"})";
const std::string wanted = R"({"1": ["two cars wait", "two cars stand"], "2": "turn left"})";
const std::string plan = "[[0,0.5],[1,2],[-3e1,4],[5,6],[7,8],[9,10]]";

sqs_fuzz::file_bytes area_file(int rows, int columns, const char* type = "U8") {
  const auto bytes = sqs::detail::dtype_bytes(type) * static_cast<std::size_t>(rows * columns);
  return encode_npy({type, {rows, columns}, std::vector<std::byte>(bytes)});
}

std::string captions_error(const std::string& s, const std::string& w) {
  return test::message_of([&] { metric::decode_captions(s, "said.json", w, "wanted.json"); });
}
std::string plans_error(const std::string& s) {
  return test::message_of([&] { metric::decode_plans(s, "plans.json"); });
}

TEST(prediction_files, captions_in_the_order_of_the_references) {
  const auto set = metric::decode_captions(said, "said.json", R"({"2": "turn left", "1": ["a", "b"]})", "wanted.json");
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set[0].prediction, "turn left");
  EXPECT_EQ(set[0].references, (std::vector<std::string>{"turn left"}));
  EXPECT_EQ(set[1].prediction, "two cars stand");
  EXPECT_EQ(set[1].references, (std::vector<std::string>{"a", "b"}));
}

TEST(prediction_files, captions_that_are_none) {
  EXPECT_THAT(captions_error(R"({"result": ["a list"]})", R"({"result": ["x"]})"),
              StartsWith("sqs::read_captions: said.json: 'result' is a list instead of a sentence; a file of "
                         "predictions is {id: sentence}"));
  EXPECT_EQ(captions_error(said, "{}"), "sqs::read_captions: wanted.json has no references; it is {id: [references]}");
  EXPECT_THAT(captions_error(said, R"({"1": []})"), HasSubstr("wanted.json: '1' has no references; give at least one"));
  EXPECT_THAT(captions_error(said, R"({"1": ["x", 7]})"),
              HasSubstr("wanted.json: '1', reference 1 is an integer instead of a sentence"));
  EXPECT_THAT(captions_error(said, R"({"1": {"text": "x"}})"), HasSubstr("'1', reference 0 is an object instead"));
  EXPECT_THAT(captions_error(said, R"({"1": null})"), HasSubstr("'1', reference 0 is null instead"));
  EXPECT_THAT(captions_error("{}", wanted), HasSubstr("said.json has no sentence for '1', which wanted.json has"));
  EXPECT_THAT(captions_error(R"({"1": "x"})", wanted), HasSubstr("has no sentence for '2'"));
  EXPECT_THAT(captions_error(R"({"1": null, "2": "x"})", wanted), HasSubstr("said.json: '1' is null instead"));
  EXPECT_THAT(captions_error(R"([{"image_id": 1, "caption": "x"}])", wanted),
              HasSubstr("said.json holds a list instead of an object; it is {id: sentence}"));
  EXPECT_THAT(captions_error(said, R"("x")"), HasSubstr("wanted.json holds a string instead of an object"));
  EXPECT_THAT(captions_error("", wanted), HasSubstr("said.json"));
  EXPECT_THAT(captions_error(said, "{"), HasSubstr("wanted.json"));
  const std::string endless = R"({")" + std::string(500, 'k') + R"(": 1})";
  EXPECT_LT(captions_error(endless, endless).size(), 300u);
}

TEST(prediction_files, plans_of_six_points) {
  const auto plans = metric::decode_plans(R"({"b": )" + plan + R"(, "a": )" + plan + "}", "plans.json");
  ASSERT_EQ(plans.size(), 2u);
  ASSERT_EQ(plans.at("b").size(), 6u);
  EXPECT_EQ(plans.at("b")[2].x, -30);
  EXPECT_EQ(plans.at("b")[2].y, 4);
}

TEST(prediction_files, plans_that_are_none) {
  const auto of = [](const std::string& points) { return plans_error(R"({"token": )" + points + "}"); };
  EXPECT_THAT(of("[[1,2],[3,4]]"),
              StartsWith("sqs::read_plans: plans.json, sample token is a list of 2 instead of a list of six points"));
  EXPECT_THAT(of("{}"), HasSubstr("plans.json, sample token is an object instead of a list of six points"));
  EXPECT_THAT(of("[[1,2],[1,2],[1,2],[1,2],[1],[1,2]]"),
              HasSubstr("plans.json, sample token: field 'point 4' is not a list of 2 numbers"));
  EXPECT_THAT(of("[[1,2],[1,2],[1,2],[1,2],[1,2],[1,null]]"), HasSubstr("field 'point 5' holds null as element 1"));
  EXPECT_THAT(of("[[1,2],[1,2],[1,2],[1,2],[1,2],3]"), HasSubstr("field 'point 5' is not a list"));
  EXPECT_THAT(of("[[1,2],[1e300,2],[1,2],[1,2],[1,2],[1,2]]"),
              HasSubstr("plans.json, sample token: point 1 is (1e+300, 2), 100 km away or more"));
  EXPECT_THAT(of("[[NaN,2],[1,2],[1,2],[1,2],[1,2],[1,2]]"), HasSubstr("plans.json at byte"));
  EXPECT_THAT(plans_error("{}"), HasSubstr("plans.json has no plans"));
  EXPECT_THAT(plans_error("[]"), HasSubstr("plans.json holds a list instead of an object"));
  EXPECT_THAT(plans_error(R"({"\u001b[2J": 3})"), HasSubstr("sample ?[2J is")); // a terminal would obey
  EXPECT_THAT(plans_error(R"({"a": )" + plan + R"(, "a": )" + plan + "}"), HasSubstr("plans.json"));
}

TEST(prediction_files, drivable_areas) {
  auto file = area_file(1000, 1000);
  file[file.size() - 1000 * 1000 + 5] = std::byte{7};
  const auto area = metric::decode_drivable_area(file, "a.npy");
  ASSERT_EQ(area.cells.size(), 1'000'000u);
  EXPECT_EQ(std::accumulate(area.cells.begin(), area.cells.end(), 0), 1);
  EXPECT_EQ(area.cells[5], 1);
  EXPECT_EQ(metric::decode_drivable_area(area_file(1000, 1000, "F32"), "a.npy").cells.size(), 1'000'000u);
  const auto error = [](const sqs_fuzz::file_bytes& f) {
    return test::message_of([&] { metric::decode_drivable_area(f, "a.npy"); });
  };
  EXPECT_THAT(error(area_file(10, 1000)), HasSubstr("a.npy is 10 x 1000 instead of 1000 x 1000 cells of 0.1 m"));
  EXPECT_THAT(error(encode_npy({"U8", {}, std::vector<std::byte>(1)})), HasSubstr("a.npy is a single number instead"));
  EXPECT_THAT(error({}), HasSubstr("a.npy"));
  auto halves = area_file(1000, 1000, "F32");
  const float half = 0.5f;
  std::memcpy(halves.data() + halves.size() - 4, &half, 4);
  EXPECT_THAT(error(halves), AllOf(HasSubstr("a.npy"), HasSubstr("0.5")));
}

TEST(prediction_files, are_refused_unread_when_they_are_huge) {
  const test::scratch_folder folder;
  const auto path = folder / "huge";
  std::ofstream(path) << "{";
  fs::resize_file(path, std::uintmax_t{10} << 30);
  const auto refused = AllOf(HasSubstr(path.string()), HasSubstr("above the limit of"));
  EXPECT_THAT(test::message_of([&] { metric::read_plans(path); }), refused);
  EXPECT_THAT(test::message_of([&] { metric::read_captions(path, path); }), refused);
  EXPECT_THAT(test::message_of([&] { metric::read_drivable_area(path); }), refused);
  fs::resize_file(path, 1);
  EXPECT_THAT(test::message_of([&] { metric::read_plans(path); }), HasSubstr(path.string()));
  fs::remove(path);
  EXPECT_THAT(test::message_of([&] { metric::read_plans(path); }), HasSubstr("cannot open " + path.string()));
}

TEST(prediction_files, classes_that_a_protocol_does_not_have) {
  auto truth = occupancy_labels::empty(occ3d_grid, 17);
  auto found = truth.semantics;
  const auto at = static_cast<std::size_t>(truth.grid.index(3, 4, 5));
  const auto error = [&](metric::occupancy_mask mask) {
    return test::message_of([&] { metric::require_known_classes(truth, found, mask, 18, "mine.npz"); });
  };
  EXPECT_EQ(error(metric::occupancy_mask::none), "no error");
  found[at] = 255;
  EXPECT_THAT(error(metric::occupancy_mask::none),
              StartsWith("sqs::evaluate: mine.npz: voxel (3, 4, 5) has the class 255, outside 0 .. 17"));
  // Where nothing is judged anything may stand, as for add_voxels.
  truth.mask_camera.assign(found.size(), 0), truth.mask_lidar.assign(found.size(), 1);
  EXPECT_EQ(error(metric::occupancy_mask::camera), "no error");
  EXPECT_THAT(error(metric::occupancy_mask::lidar), HasSubstr("has the class 255"));
  truth.semantics[at] = occupancy_labels::ignore;
  EXPECT_EQ(error(metric::occupancy_mask::none), "no error");
}

TEST(prediction_files, boxes_without_size_or_rotation) {
  const test::scratch_folder folder;
  const auto path = folder / "x.json";
  const auto error = [&](const char* size, const char* rotation = "[1, 0, 0, 0]") {
    std::ofstream(path)
        << R"({"meta": {}, "results": {"a": [{"sample_token": "a", "translation": [1, 2, 0.5], "size": )" << size
        << R"(, "rotation": )" << rotation << R"(, "velocity": [0, 0], "detection_name": "car",
                           "detection_score": 0.5, "attribute_name": ""}]}})";
    return test::message_of([&] { metric::read_detection_result(path); });
  };
  EXPECT_EQ(error("[1, 2, 3]"), "no error");
  EXPECT_THAT(error("[2, 0, 1.5]"), AllOf(HasSubstr(path.string() + ", sample a, box 0: field 'size' is (2, 0, 1.5) m"),
                                          HasSubstr("sizes are above 0")));
  EXPECT_THAT(error("[-2, 1, 1]"), HasSubstr("field 'size' is (-2, 1, 1) m"));
  EXPECT_EQ(error("[1, 2, 3]", "[0, 0, 0, 2]"), "no error"); // of any length, as for the devkit
  EXPECT_THAT(error("[1, 2, 3]", "[0, 0, 0, 0]"),
              HasSubstr("sample a, box 0: field 'rotation' is (0, 0, 0, 0), which is no rotation"));
}

sqs_fuzz::file_bytes png_of(bool interlaced_claim) {
  auto f = encode_png(image(9, 13));
  if (interlaced_claim) { f[28] = std::byte{1}; }
  return f;
}

std::vector<sqs_fuzz::reader> readers() {
  std::string both = said;
  both += '\0';
  both += wanted;
  return {{"captions", sqs_fuzz::captions, {text(both)}},
          {"plans", sqs_fuzz::plans, {text(R"({"a": )" + plan + R"(, "b\u00e9": )" + plan + "}")}},
          {"drivable_area", sqs_fuzz::drivable_area, {area_file(1000, 1000), area_file(1000, 1000, "BOOL")}, 60},
          {"can_steering",
           sqs_fuzz::can_steering,
           {text(R"([{"utime": 1000, "value": 0.5}, {"utime": 2000, "value": -5e-1}])")},
           1500},
          {"town_text",
           sqs_fuzz::town_text,
           {text(R"({"speed":3.5,"command":"left","future":[[0,1.5],[1,2]],"questions":[)"
                 R"({"topic":"count","question":"How many cars?","answer":"one car."}]})")},
           1500},
          {"png_walk", sqs_fuzz::png_walk, {png_of(false)}, 1500}};
}

TEST(prediction_files, valid_ones_are_read_and_hostile_ones_end_in_an_error) { sqs_fuzz::try_all(readers()); }

TEST(prediction_files, hostile_cases) {
  const std::string deep(100'000, '['), long_key = R"({")" + std::string(1'000'000, 'k') + R"(": 1})";
  for (const std::string& bad :
       {deep, R"({"a": )" + deep, long_key, std::string("{\"\xC0\xAF\": 1}"), std::string("{\"a\": 1e999}"),
        std::string(R"({"a": 1, "a": 2})"), std::string("{\"a\": \"x\"} {}"), std::string("null")}) {
    EXPECT_FALSE(sqs_fuzz::plans(text(bad)));
    EXPECT_FALSE(sqs_fuzz::captions(text(bad + '\0' + wanted)));
    EXPECT_FALSE(sqs_fuzz::captions(text(said + '\0' + bad)));
    EXPECT_FALSE(sqs_fuzz::town_text(text(bad)));
    EXPECT_FALSE(sqs_fuzz::can_steering(text(bad)));
    EXPECT_FALSE(sqs_fuzz::can_steering(text("[" + bad + "]")));
  }
  for (const char* bad : {R"([{"utime": 2, "value": 1}, {"utime": 1, "value": 1}])", R"([{"utime": 2}])",
                          R"([{"utime": 2, "value": "left"}])", R"([{"utime": 2.5, "value": 1}])", "[[]]"}) {
    EXPECT_FALSE(sqs_fuzz::can_steering(text(bad))) << bad;
  }
  for (const char* shape : {"1000, 1000000000", "4294967296, 4294967296", "-1, 1000", "1000000, 1", "1000"}) {
    std::string head = sqs::concat("{'descr': '|u1', 'fortran_order': False, 'shape': (", shape, "), }");
    head.resize(117, ' ');
    const std::string file = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + head + "\n" + std::string(1'000'000, '\1');
    EXPECT_FALSE(sqs_fuzz::drivable_area(text(file))) << shape;
  }
  EXPECT_FALSE(sqs_fuzz::png_walk(png_of(true))); // the header's check sum
  // Two hundred thousand ids: no reader may compare each with each.
  std::string many = "{", more = "{";
  for (int i = 0; i < 200'000; ++i) {
    many += sqs::concat(i == 0 ? "\"" : ",\"", i, "\":\"x\"");
    more += sqs::concat(i == 0 ? "\"" : ",\"", 200'000 - i - 1, "\":[\"x\"]");
  }
  EXPECT_TRUE(sqs_fuzz::captions(text(many + "}" + '\0' + more + "}")));
}

TEST(prediction_files, seeds_are_written_on_request) { sqs_fuzz::write_seeds(readers()); }

} // namespace prediction_files_test

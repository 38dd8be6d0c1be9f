// SPDX-License-Identifier: Apache-2.0
// What a town has beside the files of nuScenes: its marker, its texts, its split. Here on the tiny set in a town's
// clothes; real towns are checked where they are written.
#include "whole_nuscenes.hpp"

#include "../support/check.hpp"

#include <cstdlib>

namespace check_town_test {

namespace fs = std::filesystem;
using sqs_test::all_of;
using sqs_test::whole_nuscenes;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr const char* command =
    "make_town --split train --scenes 1 --seconds 1 --height 4 --width 8 --lidar-sweeps 0 --camera-sweeps 0";
constexpr const char* text = R"({"speed":3.5,"command":"left","future":[[0,1.5],[1,2]],"questions":[
{"topic":"count","question":"How many cars?","answer":"one car."}]})";

struct little_town : whole_nuscenes {
  fs::path marker, splits, texts;
  little_town() {
    check();
    fs::rename(root / "v1.0-mini", root / "v1.0-town");
    marker = root / "sqs_town.txt", splits = root / "v1.0-town/splits.json", texts = root / "town/scene-1";
    fs::create_directories(texts);
    heal();
  }
  void heal() const {
    write(marker, std::string("A town.\n") + command + "\n");
    write(splits, R"({"town_train":["scene-1"]})");
    for (const char* token : {"s0", "s1"}) { write(texts / (std::string(token) + ".json"), text); }
  }
  static void write(const fs::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  sqs::check_report found(bool decode = true) const { return sqs::check_dataset(root, {.decode = decode}); }
  /// The only problem when `path` holds `content`, and that its command makes the town again.
  std::string with(const fs::path& path, const std::string& content) const {
    write(path, content);
    const auto r = found();
    EXPECT_EQ(r.problem_count, 1u) << content << "\n" << all_of(r);
    heal();
    if (r.problems.empty()) { return {}; }
    const bool known = path != marker;
    EXPECT_THAT(r.problems[0].repair,
                known ? command + (" --replace --out " + root.string())
                      : "make_town --out " + root.string() + "_again   # with the options it was made with");
    return r.problems[0].what;
  }
};

TEST(check_town, a_good_one_is_good) {
  const little_town set;
  const auto r = set.found();
  EXPECT_TRUE(r.good()) << all_of(r);
  EXPECT_EQ(r.counts.at("texts"), 2);
  EXPECT_TRUE(set.found(false).good()) << all_of(set.found(false));
}

TEST(check_town, texts) {
  const little_town set;
  const auto path = set.texts / "s1.json";
  const std::string good = text;
  for (const auto& bad : {std::string(), good.substr(0, 70), std::string(good.size(), '\0'), std::string("\xff\xfe")}) {
    EXPECT_THAT(set.with(path, bad), HasSubstr(path.string()));
    little_town::write(path, bad);
    EXPECT_EQ(set.found(false).problem_count, 1u);
    set.heal();
  }
  const auto changed = [&](const std::string& from, const std::string& to) {
    auto bad = good;
    bad.replace(bad.find(from), from.size(), to);
    return set.with(path, bad);
  };
  EXPECT_THAT(changed("3.5", "\"fast\""), EndsWith("s1.json: field 'speed' is no number; correct the file"));
  EXPECT_THAT(changed("left", "back"), HasSubstr("field 'command' is none of left, right, straight"));
  EXPECT_THAT(changed("[1,2]", "[1]"), HasSubstr("field 'future' is not a list of 2 numbers"));
  EXPECT_THAT(changed("[[0,1.5],[1,2]]", "7"), HasSubstr("field 'future' is no list of points"));
  EXPECT_THAT(changed("\"questions\"", "\"answers\""), HasSubstr("field 'questions' is missing"));
  EXPECT_THAT(changed("one car.", ""), HasSubstr("s1.json, question 0: field 'answer' is empty"));
  EXPECT_THAT(changed("\"one car.\"", "1"), HasSubstr("question 0: field 'answer' is an integer instead of a string"));
  EXPECT_THAT(set.with(path, "[]"), HasSubstr("field 'speed' is missing"));
  fs::remove(path);
  EXPECT_THAT(all_of(set.found()), AllOf(HasSubstr(path.string() + " of sample s1 are missing"), HasSubstr(command)));
}

TEST(check_town, the_split) {
  const little_town set;
  for (const char* bad : {"", "{", "[]", "{}", "\xff", R"({"a":1})", R"({"a":[]})", R"({"a":[1]})"}) {
    EXPECT_THAT(set.with(set.splits, bad), HasSubstr("splits.json"));
  }
  EXPECT_THAT(set.with(set.splits, R"({"a":["scene-1","scene-2"]})"),
              HasSubstr("field 'a' names 'scene-2', which is not in scene.json"));
  EXPECT_THAT(set.with(set.splits, R"({"a":["scene-1","scene-1"]})"), HasSubstr("field 'a' names 'scene-1' twice"));
  fs::remove(set.splits);
  EXPECT_THAT(all_of(set.found()), HasSubstr("splits.json is missing\n    make_town "));
  const whole_nuscenes other; // nuScenes itself has none
  EXPECT_TRUE(other.check().good());
  little_town::write(other.root / "v1.0-mini/splits.json", R"({"mine":["scene-9"]})");
  EXPECT_EQ(other.check().problem_count, 1u);
}

TEST(check_town, the_marker) {
  const little_town set;
  const std::string whole = std::string("A town.\n") + command + "\n";
  for (const auto& bad : {std::string(), std::string(whole.size(), '\0'), whole.substr(0, 40),
                          whole.substr(0, whole.size() - 1), std::string("A town.\nmake_town --scenes 1\n"),
                          std::string("A town.\nmake_town --scenes 12 --seconds 1 --camera-sweeps 0\n")}) {
    EXPECT_THAT(set.with(set.marker, bad), HasSubstr("sqs_town.txt does not hold the command that makes this town"));
  }
  fs::resize_file(set.marker, std::uintmax_t{10} << 30);
  EXPECT_EQ(set.found().problem_count, 1u) << all_of(set.found());
  EXPECT_THAT(all_of(set.found()), HasSubstr("sqs_town.txt has 10737418240 bytes, above the limit of 4096"));
  fs::remove(set.marker);
  EXPECT_THAT(all_of(set.found()),
              AllOf(HasSubstr("sqs_town.txt is missing; make_town will not replace this town\n    make_town --out "),
                    HasSubstr("_again ")));
}

TEST(check_town, can_bus_of_somebody_else_is_not_removed_with_the_town) {
  const little_town set;
  const auto file = set.root / "can_bus/scene-1_pose.json";
  fs::create_directories(file.parent_path());
  set.write(file, "garbage");
  const auto r = set.found();
  ASSERT_EQ(r.problem_count, 1u) << all_of(r);
  EXPECT_EQ(r.problems[0].repair, "mv " + file.string() + " " + file.string() +
                                      ".damaged   # make_town writes no CAN bus: bring it again from where it came");
  ASSERT_EQ(std::system(r.problems[0].repair.c_str()), 0);
  EXPECT_TRUE(set.found().good()) << all_of(set.found());
}

} // namespace check_town_test

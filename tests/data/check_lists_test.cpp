// SPDX-License-Identifier: Apache-2.0
// Tables that every reader takes and that are wrong all the same: lists cut or crossed, ends and counts that are not
// those, names twice, fields lost from some records.
#include "whole_nuscenes.hpp"

#include "../support/check.hpp"

namespace check_lists_test {

namespace fs = std::filesystem;
using sqs_test::all_of;
using sqs_test::whole_nuscenes;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// The only problem of the set, after the folder of the tables; its command unpacks the tables.
std::string problem_in(const whole_nuscenes& set) {
  const auto r = set.check();
  EXPECT_EQ(r.problem_count, 1u) << all_of(r);
  if (r.problems.empty()) { return {}; }
  EXPECT_EQ(r.problems[0].repair, "tar -xzf v1.0-mini.tgz -C " + set.root.string() + " v1.0-mini");
  const auto folder = (set.root / "v1.0-mini").string() + "/";
  EXPECT_THAT(r.problems[0].what, StartsWith(folder));
  return r.problems[0].what.substr(std::min(folder.size(), r.problems[0].what.size()));
}
/// ... when one text in one table is another.
std::string problem_with(const char* table, const std::string& from, const std::string& to) {
  whole_nuscenes set;
  set.spoil(table, from, to);
  return problem_in(set);
}

TEST(check_lists, the_ends_that_scenes_and_instances_name) {
  EXPECT_EQ(problem_with("scene", R"("first_sample_token":"s0")", R"("first_sample_token":"s1")"),
            "scene.json: 1 values of 'first_sample_token' are not the first record of their scene, first in record 0");
  EXPECT_EQ(problem_with("scene", R"("last_sample_token":"s1")", R"("last_sample_token":"s0")"),
            "scene.json: 1 values of 'last_sample_token' are not the last record of their scene, first in record 0");
  EXPECT_EQ(problem_with("instance", R"("first_annotation_token":"a0")", R"("first_annotation_token":"a1")"),
            "instance.json: 1 values of 'first_annotation_token' are not the first record of their instance, first in "
            "record 0");
  EXPECT_EQ(problem_with("instance", R"("last_annotation_token":"a1")", R"("last_annotation_token":"a0")"),
            "instance.json: 1 values of 'last_annotation_token' are not the last record of their instance, first in "
            "record 0");
  EXPECT_THAT(problem_with("instance", R"("last_annotation_token":"a1")", R"("last_annotation_token":"a7")"),
              HasSubstr("1 of 1 values of 'last_annotation_token' are not in sample_annotation.json"));
}

TEST(check_lists, ends_of_an_instance_that_has_no_record) {
  whole_nuscenes set;
  set.spoil("instance", R"([{"token":"i",)",
            R"([{"token":"j","nbr_annotations":0,"first_annotation_token":"a0","last_annotation_token":"a1",
                 "category_token":"c"},{"token":"i",)");
  const auto found = all_of(set.check());
  for (const std::string end : {"first", "last"}) {
    EXPECT_THAT(found, HasSubstr("1 values of '" + end + "_annotation_token' are not the " + end +
                                 " record of their instance, first in record 0"));
  }
}

TEST(check_lists, the_counts_that_scenes_and_instances_name) {
  EXPECT_EQ(
      problem_with("scene", R"("nbr_samples":2)", R"("nbr_samples":3)"),
      "scene.json: 1 values of 'nbr_samples' are not the number of records of their scene (3 instead of 2), first in "
      "record 0");
  EXPECT_EQ(
      problem_with("instance", R"("nbr_annotations":2)", R"("nbr_annotations":1)"),
      "instance.json: 1 values of 'nbr_annotations' are not the number of records of their instance (1 instead of "
      "2), first in record 0");
  EXPECT_THAT(problem_with("instance", R"("nbr_annotations":2)", R"("nbr_annotations":"2")"),
              HasSubstr("field 'nbr_annotations' is a string instead of an integer"));
}

TEST(check_lists, links_that_are_not_answered) {
  EXPECT_EQ(problem_with("sample", R"("prev":"s0")", R"("prev":"")"),
            "sample.json: 'prev' and 'next' of 1 records are not answered by the records they name, first in record 1");
  EXPECT_THAT(problem_with("sample_data", R"("next":"d01")", R"("next":"")"),
              StartsWith("sample_data.json: 'prev' and 'next' of 1 records are not answered"));
  EXPECT_THAT(problem_with("sample_data", R"("next":"d01")", R"("next":"d11")"), // another camera's
              StartsWith("sample_data.json: 'prev' and 'next' of 2 records are not answered"));
  EXPECT_THAT(problem_with("sample_annotation", R"("next":"a1")", R"("next":"")"),
              AllOf(StartsWith("sample_annotation.json: 'prev' and 'next' of 1 records"), HasSubstr("in record 1")));
  EXPECT_THAT(problem_with("sample_annotation", R"("prev":"a0")", R"("prev":"")"), HasSubstr("first in record 0"));
}

TEST(check_lists, lists_that_are_cut_on_both_sides) {
  whole_nuscenes set;
  set.spoil("sample_data", R"("next":"d31")", R"("next":"")").spoil("sample_data", R"("prev":"d30")", R"("prev":"")");
  EXPECT_EQ(problem_in(set), "sample_data.json: the records of one sensor or scene are not one list: 1 begin a list "
                             "again, first record 7");
  whole_nuscenes boxes;
  boxes.spoil("sample_annotation", R"("next":"a1")", R"("next":"")")
      .spoil("sample_annotation", R"("prev":"a0")", R"("prev":"")");
  EXPECT_THAT(problem_in(boxes), HasSubstr("the records of one instance are not one list: 1 begin a list again"));
}

TEST(check_lists, lists_that_lead_into_another) {
  whole_nuscenes set;
  // d00 -> d11 -> end and d10 -> d01 -> end: every link is answered, by the wrong camera.
  for (const auto& [from, to] : std::map<std::string, std::string>{{R"("next":"d01")", R"("next":"d11")"},
                                                                   {R"("prev":"d00")", R"("prev":"d1x")"},
                                                                   {R"("prev":"d10")", R"("prev":"d00")"}}) {
    set.spoil("sample_data", from, to);
  }
  set.spoil("sample_data", R"("prev":"d1x")", R"("prev":"d10")");
  const auto second = set.tables["sample_data"].rfind(R"("next":"d11")");
  set.tables["sample_data"].replace(second, 12, R"("next":"d01")");
  EXPECT_EQ(problem_in(set),
            "sample_data.json: 2 values of 'next' lead to a record of another sensor or scene, first in record 0");
}

TEST(check_lists, lists_that_run_back_in_time) {
  EXPECT_EQ(problem_with("sample", R"("timestamp":1500000)", R"("timestamp":999999)"),
            "sample.json: 1 values of 'next' lead back in time, first in record 1: from 1000000 to 999999");
  EXPECT_EQ(problem_with("sample_data", R"("timestamp":10001)", R"("timestamp":9)"),
            "sample_data.json: 1 values of 'next' lead back in time, first in record 0: from 10000 to 9");
  whole_nuscenes set; // two of one moment are no fault
  set.spoil("sample", R"("timestamp":1500000)", R"("timestamp":1000000)");
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
}

TEST(check_lists, names_that_occur_twice) {
  const auto twice = [&](const char* table, const std::string& rows) {
    whole_nuscenes set;
    set.tables[table] = rows;
    return problem_in(set);
  };
  EXPECT_EQ(twice("category", R"([{"token":"c","name":"vehicle.car"},{"token":"d","name":"animal"},
                                  {"token":"e","name":"vehicle.car"}])"),
            "category.json: 1 records have a 'name' that an earlier one has, first in record 2: 'vehicle.car'");
  EXPECT_THAT(twice("attribute", R"([{"token":"c","name":"x"},{"token":"d","name":"x"},{"token":"e","name":"x"}])"),
              StartsWith("attribute.json: 2 records have a 'name' that an earlier one has, first in record 1"));
  EXPECT_THAT(twice("visibility", R"([{"token":"1","level":"v0-40"},{"token":"2","level":"v0-40"}])"),
              StartsWith("visibility.json: 1 records have a 'level'"));
  EXPECT_THAT(problem_with("sensor", "]", R"(,{"token":"se9","channel":"CAM_BACK","modality":"x"}])"),
              StartsWith("sensor.json: 1 records have a 'channel' that an earlier one has, first in record 7"));
}

TEST(check_lists, fields_that_some_records_lack) {
  EXPECT_EQ(problem_with("sample", R"(,"scene_token":"sc")", ""),
            "sample.json: 1 of 2 records have no 'scene_token', first record 0");
  whole_nuscenes set; // nobody has it: a set that was converted without
  set.spoil("sample", R"(,"scene_token":"sc")", "").spoil("sample", R"(,"scene_token":"sc")", "");
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
}

TEST(check_lists, visibilities_that_lead_nowhere) {
  whole_nuscenes set;
  set.tables["visibility"] = R"([{"token":"1","level":"v0-40"}])";
  set.spoil("sample_annotation", R"("prev":"","next":"a1")", R"("visibility_token":"1","prev":"","next":"a1")")
      .spoil("sample_annotation", R"("prev":"a0","next":"")", R"("visibility_token":"","prev":"a0","next":"")");
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
  set.spoil("sample_annotation", R"("visibility_token":"1")", R"("visibility_token":"5")");
  EXPECT_EQ(problem_in(set), "sample_annotation.json: 1 of 1 values of 'visibility_token' are not in visibility.json "
                             "(dangling tokens), first in record 0");
}

TEST(check_lists, lists_of_tokens_that_lead_nowhere) {
  whole_nuscenes set;
  set.tables["attribute"] = R"([{"token":"p","name":"vehicle.parked"}])";
  set.spoil("sample_annotation", R"("prev":"","next":"a1")", R"("attribute_tokens":["p"],"prev":"","next":"a1")")
      .spoil("sample_annotation", R"("prev":"a0","next":"")", R"("attribute_tokens":["p"],"prev":"a0","next":"")");
  EXPECT_TRUE(set.check().good()) << all_of(set.check());
  set.tables["attribute"] = "[]"; // readers take it for a set without attributes
  EXPECT_EQ(problem_in(set), "sample_annotation.json: 2 values in 'attribute_tokens' are not in attribute.json "
                             "(dangling tokens), first in record 0");
  whole_nuscenes logs;
  logs.tables["log"] = R"([{"token":"l","logfile":"x"},{"token":"m","logfile":"y"}])";
  logs.tables["map"] = R"([{"token":"n","filename":"maps/a.png","log_tokens":["l","elsewhere"]}])";
  logs.check();
  fs::create_directories(logs.root / "maps");
  sqs::write_png(logs.root / "maps/a.png", sqs::image(2, 2));
  EXPECT_EQ(problem_in(logs), "map.json: no map names 1 of 2 logs in its 'log_tokens', first record 1 of log.json");
  logs.spoil("map", "elsewhere", "m");
  EXPECT_TRUE(logs.check().good()) << all_of(logs.check());
}

TEST(check_lists, files_are_looked_at_beside_tables_that_can_be_read) {
  whole_nuscenes set;
  set.spoil("scene", R"("nbr_samples":2)", R"("nbr_samples":3)");
  set.check();
  fs::remove(set.root / "samples/CAM_BACK/0.jpg");
  EXPECT_EQ(set.check().problem_count, 2u) << all_of(set.check());
}

TEST(check_lists, findings_by_hand) {
  using sqs::detail::record_chains;
  // 0 <-> 1 <-> 2, 3 alone in the same list; 4 <-> 5 of another list; 6 unknown.
  const record_chains c{.of = "scene",
                        .path = "t.json",
                        .prev = {-1, 0, 1, -1, -1, 4, -1},
                        .next = {1, 2, -1, -1, 5, -1, -2},
                        .group = {0, 0, 0, 0, 1, 1, -1}};
  EXPECT_EQ(sqs::detail::disagreements_in(c).records, 0u);
  EXPECT_EQ(sqs::detail::circles_in(c.next).records, 0u);
  EXPECT_EQ(sqs::detail::crossings_in(c).records, 0u);
  const auto cuts = sqs::detail::cuts_in(c);
  EXPECT_EQ(cuts.records, 1u);
  EXPECT_EQ(cuts.first, 3u);
  const sqs::detail::chain_ends ends(c);
  EXPECT_EQ(ends.first, (std::vector<std::int32_t>{-2, 4}));
  EXPECT_EQ(ends.last, (std::vector<std::int32_t>{-2, 5}));
  EXPECT_EQ(ends.length, (std::vector<std::int64_t>{4, 2}));
}

} // namespace check_lists_test

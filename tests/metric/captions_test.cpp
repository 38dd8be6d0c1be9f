// SPDX-License-Identifier: Apache-2.0
// Caption metrics against the values of other programs and by hand.
#include "../support/check.hpp"

#include <sqs/core/file.hpp>
#include <sqs/metric/captions.hpp>
#include <sqs/tensor/json.hpp>

#include <fstream>

namespace {

using namespace sqs;
using namespace sqs::metric;
using testing::HasSubstr;

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) { lines.push_back(line); }
  return lines;
}

TEST(captions, values_that_nlg_eval_asserts) {
  const std::filesystem::path folder = std::string(SQS_TEST_DATA_DIR) + "/caption-metric-golden/examples";
  if (!std::filesystem::exists(folder)) { GTEST_SKIP() << folder << " is not here"; }
  const auto said = lines_of(folder / "hyp.txt"), a = lines_of(folder / "ref1.txt"), b = lines_of(folder / "ref2.txt");
  std::vector<caption> set;
  for (std::size_t i = 0; i < said.size(); ++i) { set.push_back({said[i], {a[i], b[i]}}); }
  const auto s = score_captions(set, caption_words::lower_case);
  EXPECT_NEAR(s.cider, 1.2421919556558583, 1e-12);
  EXPECT_NEAR(s.rouge_l, 0.522104, 1e-6);
  const double bleu[] = {0.55, 0.428174, 0.284043, 0.201143};
  for (std::size_t n = 0; n < 4; ++n) { EXPECT_NEAR(s.bleu[n], bleu[n], 1e-6); }
}

TEST(captions, values_of_the_coco_toolkit) {
  const std::filesystem::path path = std::string(SQS_TEST_SOURCE_DIR) + "/metric/golden/captions.json";
  const auto bytes = read_file(path);
  const auto golden = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
  std::vector<caption> set;
  for (const auto& c : *golden.find("captions")->as<json_value::array>()) {
    set.push_back({*c.find("prediction")->as<std::string>(), {}});
    for (const auto& r : *c.find("references")->as<json_value::array>()) {
      set.back().references.push_back(*r.as<std::string>());
    }
  }
  const auto s = score_captions(set);
  const auto expect = [&](const auto& have, const char* name) {
    const auto& want = *golden.find(name)->as<json_value::array>();
    ASSERT_EQ(have.size(), want.size());
    for (std::size_t i = 0; i < have.size(); ++i) {
      EXPECT_NEAR(have[i], *want[i].template as<double>(), 1e-12) << name;
    }
  };
  EXPECT_NEAR(s.cider, *golden.find("cider")->as<double>(), 1e-13);
  EXPECT_NEAR(s.rouge_l, *golden.find("rouge_l")->as<double>(), 1e-13);
  expect(s.bleu, "bleu");
  expect(s.cider_of, "cider_of");
  expect(s.rouge_l_of, "rouge_l_of");
}

TEST(captions, by_hand) {
  // The same sentence, nothing shared between captions: 10. A single caption: nothing is rare.
  const std::vector<caption> same{{"a b c d", {"a b c d"}}, {"e f g h", {"e f g h"}}};
  EXPECT_DOUBLE_EQ(score_captions(same).cider, 10);
  EXPECT_EQ(score_captions(std::span(same).first(1)).cider, 0);
  EXPECT_NEAR(score_captions(same).bleu[3], 1, 1e-8);
  EXPECT_DOUBLE_EQ(score_captions(same).rouge_l, 1);
  // BLEU: 2 of 3 words, 1 of 2 pairs, closest of lengths 2 and 4 is 2: no brevity.
  const std::vector<caption> near{{"a b x", {"a b y z", "a b"}}};
  EXPECT_NEAR(score_captions(near).bleu[0], 2.0 / 3, 1e-8);
  EXPECT_NEAR(score_captions(near).bleu[1], std::sqrt(2.0 / 3 / 2), 1e-8);
  // ROUGE-L: common "a c", precision 2/3 and recall 2/4.
  const std::vector<caption> order{{"a x c", {"a b c d"}}};
  EXPECT_NEAR(score_captions(order).rouge_l, 2.44 * (2.0 / 3) * 0.5 / (0.5 + 1.44 * 2.0 / 3), 1e-12);
  EXPECT_NEAR(score_captions(order).bleu[0], 2.0 / 3 * std::exp(1 - 4.0 / 3), 1e-8);
}

TEST(captions, edges) {
  EXPECT_TRUE(std::isnan(score_captions({}).cider));
  const std::vector<caption> silent{{"", {"a b"}}, {"c", {""}}};
  const auto s = score_captions(silent);
  EXPECT_EQ(s.cider, 0);
  EXPECT_EQ(s.rouge_l, 0);
  EXPECT_LT(s.bleu[0], 1e-9);
  const std::vector<caption> none{{"a", {}}};
  EXPECT_THAT(test::message_of([&] { score_captions(none); }), HasSubstr("caption 0 ('a') has no reference"));
}

TEST(captions, without_the_last_of_each_sample) {
  const std::vector<caption> all{{"1", {}}, {"2", {}}, {"3", {}}, {"4", {}}, {"5", {}}, {"6", {}}, {"7", {}}};
  const std::vector<std::string> sample{"a", "a", "a", "b", "c", "c", "c"};
  std::string kept;
  for (const auto& c : without_last(all, sample)) { kept += c.prediction; }
  EXPECT_EQ(kept, "15");
  EXPECT_EQ(without_last(all, sample, 0).size(), 7u);
  EXPECT_THAT(test::message_of([&] { without_last(all, std::span(sample).first(2)); }),
              HasSubstr("7 captions in 2 groups"));
}

TEST(captions, words) {
  using metric::detail::tokens_of;
  using words = std::vector<std::string>;
  EXPECT_EQ(tokens_of(" The  car,\tstops. ", caption_words::as_written), (words{"The", "car,", "stops."}));
  EXPECT_EQ(tokens_of("The Car", caption_words::lower_case), (words{"the", "car"}));
  EXPECT_EQ(tokens_of("The car's 3.5 m away, isn't it?", caption_words::penn_like),
            (words{"the", "car", "'s", "3.5", "m", "away", "is", "n't", "it"}));
  EXPECT_EQ(tokens_of("\"Stop!\" (now) - yes", caption_words::penn_like), (words{"stop", "now", "yes"}));
}

} // namespace

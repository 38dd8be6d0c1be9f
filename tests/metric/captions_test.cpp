// SPDX-License-Identifier: Apache-2.0
// Caption metrics against the values of other programs and by hand.
#include "../support/check.hpp"

#include <sqs/core/file.hpp>
#include <sqs/metric/captions.hpp>
#include <sqs/tensor/json.hpp>

#include <array>
#include <fstream>

namespace captions_test {

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

std::vector<std::string> words_of(std::string_view sentence, caption_words how) {
  return metric::detail::tokens_of(std::array{sentence}, how)[0];
}
std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& w : words) { out += (out.empty() ? "" : " ") + w; }
  return out;
}

TEST(captions, words) {
  using words = std::vector<std::string>;
  EXPECT_EQ(words_of(" The  car,\tstops. ", caption_words::as_written), (words{"The", "car,", "stops."}));
  EXPECT_EQ(words_of("The Car", caption_words::lower_case), (words{"the", "car"}));
  EXPECT_EQ(words_of("The car's 3.5 m away, isn't it?", caption_words::ptb),
            (words{"the", "car", "'s", "3.5", "m", "away", "is", "n't", "it"}));
  EXPECT_EQ(words_of("\"Stop!\" (now) - yes", caption_words::ptb), (words{"stop", "-lrb-", "now", "-rrb-", "yes"}));
  EXPECT_EQ(words_of("", caption_words::ptb), words{});
  EXPECT_EQ(words_of("...\n--", caption_words::ptb), words{});
}

TEST(captions, abbreviations_keep_their_point) {
  using words = std::vector<std::string>;
  for (const char* word : {"wis", "wisc", "wm", "wyo", "adj", "natl", "univ", "tenn"}) { // whatever comes next
    const std::string text = word;
    EXPECT_EQ(words_of("near " + text + ". The car", caption_words::ptb), (words{"near", text + ".", "the", "car"}));
  }
  for (const char* word : {"art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"}) { // before a number only
    const std::string text = word;
    EXPECT_EQ(words_of("see " + text + ". 3 now", caption_words::ptb), (words{"see", text + ".", "3", "now"}));
    EXPECT_EQ(words_of("see " + text + ". The car", caption_words::ptb), (words{"see", text, "the", "car"}));
  }
  EXPECT_EQ(words_of("near wisk. The car", caption_words::ptb), (words{"near", "wisk", "the", "car"}));
}

TEST(captions, words_of_the_toolkit) {
  const std::filesystem::path path = std::string(SQS_TEST_SOURCE_DIR) + "/metric/golden/caption_words.json";
  const auto bytes = read_file(path);
  const auto golden = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
  std::vector<std::string> texts, want;
  for (const auto& t : *golden.find("texts")->as<json_value::array>()) { texts.push_back(*t.as<std::string>()); }
  for (const auto& w : *golden.find("words")->as<json_value::array>()) { want.push_back(*w.as<std::string>()); }
  ASSERT_EQ(texts.size(), want.size());
  const std::vector<std::string_view> lines(texts.begin(), texts.end());
  const auto have = metric::detail::tokens_of(lines, caption_words::ptb);
  for (std::size_t i = 0; i < texts.size(); ++i) { EXPECT_EQ(joined(have[i]), want[i]) << texts[i]; }
  // Scores of words split here are those of words split there.
  std::vector<caption> split;
  for (std::size_t i = 0; i + 2 < texts.size(); i += 3) {
    auto third = have[i];
    third.insert(third.begin(), have[i + 2].begin(),
                 have[i + 2].begin() + std::min<std::ptrdiff_t>(3, std::ssize(have[i + 2])));
    split.push_back({joined(have[i]), {joined(have[i + 1]), joined(third)}});
  }
  EXPECT_NEAR(score_captions(split).cider, *golden.find("cider_of_words")->as<double>(), 1e-12);
}

TEST(captions, answers_of_drive_lm_as_the_toolkit_scores_them) {
  const std::filesystem::path path = std::string(SQS_TEST_DATA_DIR) + "/drivelm-challenge/output.json";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is not here"; }
  const auto bytes = read_file(path);
  const auto answers = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
  std::vector<caption> set;
  for (const auto& a : *answers.as<json_value::array>()) {
    set.push_back({*a.find("answer")->as<std::string>(), {*a.find("gt_answer")->as<std::string>()}});
  }
  ASSERT_EQ(set.size(), 66u);
  const auto s = score_captions(set, caption_words::ptb);
  // pycocoevalcap 1.2: PTBTokenizer, then Cider, Rouge and Bleu.
  EXPECT_NEAR(s.cider, 0.0031044875745951934, 1e-16);
  EXPECT_NEAR(s.rouge_l, 0.08109340325215723, 1e-15);
  const double bleu[] = {0.09303525365432622, 0.04639310491536604, 0.027177011447202016, 0.017785442499488782};
  for (std::size_t n = 0; n < 4; ++n) { EXPECT_NEAR(s.bleu[n], bleu[n], 1e-15); }
  EXPECT_GT(std::abs(score_captions(set, caption_words::lower_case).rouge_l - s.rouge_l), 1e-4); // words matter
}

// The toolkit's splitter gets captions as lines of a file: whether a point after one letter ends a sentence depends on
// the next line.
TEST(captions, words_depend_on_the_next_caption) {
  const auto first = [](std::string_view next) {
    return joined(metric::detail::tokens_of(std::array<std::string_view, 2>{"Option A.", next}, caption_words::ptb)[0]);
  };
  EXPECT_EQ(first("The car stops."), "option a");
  EXPECT_EQ(first("Cars stop."), "option a.");
  EXPECT_EQ(first("<b>"), "option a");
  const std::vector<caption> set{{"Option A.", {"The car", "option a"}}, {"The car stops", {"x y z"}}};
  EXPECT_GT(score_captions(set, caption_words::ptb).rouge_l_of[0], 0.99);
  EXPECT_LT(score_captions(std::span(set).first(1), caption_words::ptb).rouge_l_of[0], 0.6);
}

TEST(captions, words_of_any_bytes) {
  std::uint32_t state = 1;
  for (int n = 0; n < 3000; ++n) {
    std::string text;
    for (int k = 0; k < 60; ++k) {
      state = state * 1664525 + 1013904223;
      const auto draw = state >> 24;
      text += draw < 200 ? "'nt.<> -@a1(\"/=:_"[draw % 18] : static_cast<char>(draw);
    }
    const auto words = metric::detail::tokens_of(std::array<std::string_view, 2>{text, "<b c"}, caption_words::ptb);
    std::size_t letters = 0;
    for (const auto& w : words[0]) {
      EXPECT_FALSE(w.empty());
      letters += static_cast<std::size_t>(std::count(w.begin(), w.end(), 'a'));
    }
    // No letter is lost, none comes from the next line.
    EXPECT_EQ(letters, static_cast<std::size_t>(std::count(text.begin(), text.end(), 'a'))) << text;
  }
  // Much text without a blank, hardest where every mark asks for what comes after.
  for (const char* part : {"a,", "<a", "a@", "é@", "'", "1-", "www.a."}) {
    std::string text;
    while (text.size() < 1 << 15) { text += part; }
    EXPECT_FALSE(words_of(text, caption_words::ptb).empty() && part[0] != '\'');
  }
}

TEST(captions, refuse_what_would_take_hours) {
  std::string words;
  for (int i = 0; i < 20001; ++i) { words += "a "; }
  try {
    const std::vector<caption> one{{words, {"a"}}};
    (void)score_captions(one, caption_words::as_written);
    ADD_FAILURE() << "no error";
  } catch (const sqs::precondition_error& e) {
    EXPECT_NE(std::string(e.what()).find("a caption has 20001 words; ROUGE-L takes up to 20000"), std::string::npos);
  }
}

} // namespace captions_test

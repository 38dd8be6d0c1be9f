// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/metric/prediction_files.hpp>

#include <map>

namespace evaluate {

table captions(const options& o) {
  const auto set = metric::read_captions(o.prediction, o.ground_truth);
  const std::map<std::string, metric::caption_words> words{{"as-written", metric::caption_words::as_written},
                                                           {"lower-case", metric::caption_words::lower_case},
                                                           {"ptb", metric::caption_words::ptb}};
  const auto s = metric::score_captions(set, words.at(o.words));
  return {fmt::format("captions, words {}, {} captions", o.words, set.size()),
          {"CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"},
          {{"all", {s.cider, s.bleu[0], s.bleu[1], s.bleu[2], s.bleu[3], s.rouge_l}}}};
}

} // namespace evaluate

// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/metric/captions.hpp>

#include <map>

namespace evaluate {

table captions(const options& o) {
  const auto said = read_json(o.prediction), wanted = read_json(o.ground_truth);
  std::vector<metric::caption> set;
  for (const auto& [id, references] : members(wanted, o.ground_truth)) {
    const json_fields f(said, o.prediction);
    auto& c = set.emplace_back();
    c.prediction = f.text(id.c_str());
    if (const auto* one = references.as<std::string>()) { c.references.push_back(*one); }
    if (const auto* many = references.as<json_value::array>()) {
      for (const auto& r : *many) {
        if (r.as<std::string>() == nullptr) { json_fields(wanted, o.ground_truth).fail(id.c_str(), "holds no text"); }
        c.references.push_back(*r.as<std::string>());
      }
    }
  }
  const std::map<std::string, metric::caption_words> words{{"as-written", metric::caption_words::as_written},
                                                           {"lower-case", metric::caption_words::lower_case},
                                                           {"ptb", metric::caption_words::ptb}};
  const auto s = metric::score_captions(set, words.at(o.words));
  return {fmt::format("captions, words {}, {} captions", o.words, set.size()),
          {"CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"},
          {{"all", {s.cider, s.bleu[0], s.bleu[1], s.bleu[2], s.bleu[3], s.rouge_l}}}};
}

} // namespace evaluate

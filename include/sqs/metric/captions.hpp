// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// How well sentences match their references: CIDEr(-D), BLEU and ROUGE-L, as the COCO caption toolkit counts them.

#include <sqs/core/error.hpp>
#include <sqs/metric/detail/treebank.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace sqs::metric {

/// One predicted sentence and what it may say.
struct caption {
  std::string prediction;
  std::vector<std::string> references;
};

/// How a sentence becomes words.
enum class caption_words {
  as_written, ///< between blanks
  lower_case, ///< between blanks, ASCII letters made small
  ptb         ///< as the COCO caption toolkit has them: small, Penn Treebank's tokens, no punctuation
};

/// Scores of a set of captions. CIDEr runs to 10, the others to 1.
struct caption_scores {
  double cider = 0, rouge_l = 0;
  std::array<double, 4> bleu{};             ///< BLEU-1 .. BLEU-4 of the whole set
  std::vector<double> cider_of, rouge_l_of; ///< of each caption
};

namespace detail {

using caption_tokens = std::vector<std::string>;

inline bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

inline caption_tokens tokens_between_blanks(std::string_view text) {
  caption_tokens words;
  for (std::size_t i = 0; i < text.size();) {
    while (i < text.size() && blank(text[i])) { ++i; }
    std::size_t end = i;
    while (end < text.size() && !blank(text[end])) { ++end; }
    if (end > i) { words.emplace_back(text.substr(i, end - i)); }
    i = end;
  }
  return words;
}

/// The words of sentences. They belong together: the toolkit's splitter looks past the end of one into the next.
inline std::vector<caption_tokens> tokens_of(std::span<const std::string_view> sentences, caption_words how) {
  if (how == caption_words::ptb) { return treebank_words(sentences); }
  std::vector<caption_tokens> out;
  for (const std::string_view sentence : sentences) {
    std::string text(sentence);
    for (char& c : text) {
      c = how == caption_words::lower_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    out.push_back(tokens_between_blanks(text));
  }
  return out;
}

/// The n-grams of a sentence with their counts, n = 1 .. 4, in order of appearance.
struct ngram_counts {
  std::array<std::vector<std::pair<std::string, int>>, 4> list;
  std::array<std::unordered_map<std::string, std::size_t>, 4> place;
  std::size_t words = 0;

  explicit ngram_counts(const caption_tokens& tokens) : words(tokens.size()) {
    for (std::size_t n = 0; n < 4; ++n) {
      for (std::size_t i = 0; i + n < tokens.size(); ++i) {
        std::string gram;
        for (std::size_t k = i; k <= i + n; ++k) { gram += tokens[k] + '\n'; } // no word holds one
        const auto [at, fresh] = place[n].emplace(gram, list[n].size());
        if (fresh) { list[n].emplace_back(std::move(gram), 0); }
        ++list[n][at->second].second;
      }
    }
  }
  int count(std::size_t n, const std::string& gram) const {
    const auto found = place[n].find(gram);
    return found == place[n].end() ? 0 : list[n][found->second].second;
  }
};

/// One caption, counted.
struct counted_caption {
  caption_tokens words;
  std::vector<caption_tokens> reference_words;
  ngram_counts prediction;
  std::vector<ngram_counts> references;
};

/// In how many captions a reference holds an n-gram.
using gram_frequency = std::array<std::unordered_map<std::string, int>, 4>;

inline gram_frequency reference_frequency(std::span<const counted_caption> set) {
  gram_frequency seen;
  for (const counted_caption& c : set) {
    for (std::size_t n = 0; n < 4; ++n) {
      std::unordered_set<std::string_view> here;
      for (const ngram_counts& r : c.references) {
        for (const auto& [gram, count] : r.list[n]) {
          if (here.insert(gram).second) { ++seen[n][gram]; }
        }
      }
    }
  }
  return seen;
}

/// Weights of the n-grams of a sentence: how often it says them times how rare they are.
struct gram_vector {
  std::array<std::vector<double>, 4> weight; ///< in the order of its list
  std::array<double, 4> length{};
  double bigrams = 0;

  gram_vector(const ngram_counts& sentence, const gram_frequency& seen, double log_of_captions) {
    for (std::size_t n = 0; n < 4; ++n) {
      for (const auto& [gram, count] : sentence.list[n]) {
        const auto found = seen[n].find(gram);
        const double rarity = log_of_captions - std::log(found == seen[n].end() ? 1.0 : std::max(1, found->second));
        const double w = count * rarity;
        weight[n].push_back(w);
        length[n] += w * w;
        bigrams += n == 1 ? count : 0;
      }
      length[n] = std::sqrt(length[n]);
    }
  }
};

inline double cider_of(const counted_caption& c, const gram_frequency& seen, double log_of_captions) {
  const gram_vector said(c.prediction, seen, log_of_captions);
  std::array<double, 4> sum{};
  for (const ngram_counts& r : c.references) {
    const gram_vector wanted(r, seen, log_of_captions);
    const double apart = said.bigrams - wanted.bigrams;
    for (std::size_t n = 0; n < 4; ++n) {
      double common = 0;
      for (std::size_t i = 0; i < said.weight[n].size(); ++i) {
        const auto other = r.place[n].find(c.prediction.list[n][i].first);
        if (other == r.place[n].end()) { continue; }
        const double w = wanted.weight[n][other->second];
        common += std::min(said.weight[n][i], w) * w;
      }
      const double lengths = said.length[n] * wanted.length[n];
      sum[n] += (lengths != 0 ? common / lengths : common) * std::exp(-(apart * apart) / (2 * 6.0 * 6.0));
    }
  }
  return (sum[0] + sum[1] + sum[2] + sum[3]) / 4 / static_cast<double>(c.references.size()) * 10;
}

inline std::array<double, 4> bleu_of(std::span<const counted_caption> set) {
  constexpr double tiny = 1e-15, small = 1e-9; // those of the toolkit
  std::array<double, 4> right{}, said{}, bleu{};
  double words = 0, wanted_words = 0;
  for (const counted_caption& c : set) {
    const auto length = static_cast<double>(c.prediction.words);
    double closest = 0, distance = std::numeric_limits<double>::infinity(); // of equally close ones the shorter
    for (const ngram_counts& r : c.references) {
      const auto l = static_cast<double>(r.words);
      const double d = std::abs(l - length);
      if (d < distance || (d == distance && l < closest)) { distance = d, closest = l; }
    }
    words += length, wanted_words += closest;
    for (std::size_t n = 0; n < 4; ++n) {
      said[n] += std::max(0.0, length - static_cast<double>(n));
      for (const auto& [gram, count] : c.prediction.list[n]) {
        int most = 0;
        for (const ngram_counts& r : c.references) { most = std::max(most, r.count(n, gram)); }
        right[n] += std::min(count, most);
      }
    }
  }
  const double ratio = (words + tiny) / (wanted_words + small), brevity = ratio < 1 ? std::exp(1 - 1 / ratio) : 1;
  double product = 1;
  for (std::size_t n = 0; n < 4; ++n) {
    product *= (right[n] + tiny) / (said[n] + small);
    bleu[n] = std::pow(product, 1 / static_cast<double>(n + 1)) * brevity;
  }
  return bleu;
}

inline std::size_t longest_common_subsequence(const caption_tokens& a, const caption_tokens& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (const std::string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

/// Words of a caption up to which the common subsequence, whose time grows with the product of two lengths, is looked for.
inline constexpr std::size_t most_words = 20000;

inline double rouge_l_of(const counted_caption& c) {
  constexpr double beta2 = 1.2 * 1.2;
  const auto in_bounds = [](const caption_tokens& words) {
    expects(words.size() <= most_words, "sqs::metric::score_captions: a caption has ", words.size(),
            " words; ROUGE-L takes "
            "up to ",
            most_words, ": judge it in parts");
  };
  in_bounds(c.words);
  double precision = 0, recall = 0;
  for (const caption_tokens& r : c.reference_words) {
    in_bounds(r);
    const auto common = static_cast<double>(longest_common_subsequence(c.words, r));
    precision = std::max(precision, c.words.empty() ? 0 : common / static_cast<double>(c.words.size()));
    recall = std::max(recall, r.empty() ? 0 : common / static_cast<double>(r.size()));
  }
  return precision == 0 || recall == 0 ? 0 : (1 + beta2) * precision * recall / (recall + beta2 * precision);
}

} // namespace detail

/// The captions without the last `n` of every group: equal neighbours in `group` belong together. HERMES leaves out the
/// two template questions that end every sample.
///
/// Errors      precondition_error if there is not one group for each caption.
inline std::vector<caption> without_last(std::span<const caption> captions, std::span<const std::string> group,
                                         std::size_t n = 2) {
  expects(captions.size() == group.size(), "sqs::metric::without_last: ", captions.size(), " captions in ",
          group.size(), " groups; name the group of every caption");
  std::vector<caption> kept;
  for (std::size_t i = 0, end = 0; i < captions.size(); ++i) {
    while (end < captions.size() && (end <= i || group[end] == group[i])) { ++end; }
    if (i + n < end) { kept.push_back(captions[i]); }
  }
  return kept;
}

/// Scores captions against their references. How rare an n-gram is, is counted over the references given here: a set
/// of one caption has a CIDEr of 0.
///
/// Errors      precondition_error for a caption without a reference.
/// Cost        6000 captions of 30 words, one reference: about 2 s.
/// Source      CIDEr-D: Vedantam et al. 2015; BLEU: Papineni et al. 2002, closest length; ROUGE-L: Lin 2004, beta 1.2
inline caption_scores score_captions(std::span<const caption> captions, caption_words how = caption_words::as_written) {
  std::vector<std::string_view> said, wanted;
  for (const caption& c : captions) {
    expects(!c.references.empty(), "sqs::metric::score_captions: caption ", said.size(), " ('",
            c.prediction.substr(0, 60), "') has no reference; give at least one");
    said.push_back(c.prediction);
    wanted.insert(wanted.end(), c.references.begin(), c.references.end());
  }
  auto said_words = detail::tokens_of(said, how), wanted_words = detail::tokens_of(wanted, how);
  std::vector<detail::counted_caption> set;
  std::size_t next = 0;
  for (std::size_t i = 0; i < captions.size(); ++i) {
    const detail::ngram_counts counts(said_words[i]);
    detail::counted_caption counted{std::move(said_words[i]), {}, counts, {}};
    for (std::size_t r = 0; r < captions[i].references.size(); ++r) {
      counted.references.emplace_back(wanted_words[next]);
      counted.reference_words.push_back(std::move(wanted_words[next++]));
    }
    set.push_back(std::move(counted));
  }
  caption_scores s;
  if (set.empty()) {
    s.cider = s.rouge_l = std::nan("");
    s.bleu.fill(std::nan(""));
    return s;
  }
  const auto seen = detail::reference_frequency(set);
  const auto count = static_cast<double>(set.size());
  for (const auto& c : set) {
    s.cider_of.push_back(detail::cider_of(c, seen, std::log(count)));
    s.rouge_l_of.push_back(detail::rouge_l_of(c));
    s.cider += s.cider_of.back() / count;
    s.rouge_l += s.rouge_l_of.back() / count;
  }
  s.bleu = detail::bleu_of(set);
  return s;
}

} // namespace sqs::metric

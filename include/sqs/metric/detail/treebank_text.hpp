// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A sentence as `treebank_patterns` look at it: code points, classes of them, lists of words.

#include <sqs/metric/detail/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace sqs::metric::detail {

/// Abbreviations that keep their point, whatever comes next.
inline constexpr auto treebank_abbreviations = std::to_array<std::string_view>(
    {"adj",  "adm",  "adv",  "al",   "ala",  "alex", "apr",  "ariz", "assn", "assoc", "asst", "atty", "aug",  "ave",
     "bhd",  "bldg", "blvd", "brig", "bros", "capt", "cf",   "cie",  "cmdr", "co",    "col",  "colo", "conn", "corp",
     "cos",  "cpl",  "ct",   "dak",  "dec",  "dept", "det",  "dr",   "drs",  "elec",  "ens",  "esq",  "est",  "etc",
     "ext",  "feb",  "fla",  "fri",  "ft",   "ga",   "gen",  "gov",  "govs", "hon",   "inc",  "ind",  "insp", "intl",
     "invt", "jan",  "jos",  "jr",   "jul",  "jun",  "kan",  "kans", "ky",   "lt",    "ltd",  "maj",  "mar",  "md",
     "mfg",  "mich", "minn", "mlle", "mme",  "mo",   "mon",  "mont", "mr",   "mrs",   "ms",   "msgr", "mt",   "mtg",
     "natl", "neb",  "nev",  "nov",  "oct",  "okla", "penn", "pfc",  "ph",   "plc",   "ppte", "ppty", "pres", "prof",
     "pte",  "ptes", "pty",  "ptys", "pvt",  "rd",   "rep",  "reps", "rev",  "rt",    "sen",  "sens", "sep",  "sept",
     "seq",  "sfc",  "sgt",  "spc",  "sq",   "sr",   "st",   "ste",  "supt", "sys",   "tel",  "tenn", "thu",  "thurs",
     "tue",  "tues", "univ", "va",   "vs",   "vt",   "wed",  "wis",  "wisc", "wm",    "wyo"});
/// Those that do so only with a capital letter, and those that do so before a number.
inline constexpr auto treebank_capital_abbreviations = std::to_array<std::string_view>(
    {"ark", "az", "calif", "del", "ill", "la", "mass", "miss", "ore", "pa", "tex", "wash"});
inline constexpr auto treebank_counted_abbreviations =
    std::to_array<std::string_view>({"art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"});
/// Words that begin a sentence after a single letter and a point: "at point B. The car ..."
inline constexpr auto treebank_sentence_starts = std::to_array<std::string_view>(
    {"a",    "about", "according", "additionally", "after", "an",    "as",    "at",    "but",   "earlier",
     "he",   "her",   "here",      "however",      "if",    "in",    "it",    "last",  "many",  "more",
     "mr.",  "ms.",   "now",       "once",         "one",   "other", "our",   "she",   "since", "so",
     "some", "such",  "that",      "the",          "their", "then",  "there", "these", "they",  "this",
     "we",   "what",  "when",      "while",        "yet",   "you"});

/// A sentence, the end of its line and the beginning of the next one.
class treebank_text {
protected:
  using place = std::size_t;

  treebank_text(std::string_view sentence, std::string_view following) : t_(code_points(sentence)) {
    std::replace_if(
        t_.begin(), t_.end(), [](char32_t c) { return c >= 10 && c <= 13; }, U' ');
    std::erase(t_, U'\u00AD'); // a soft hyphen shows only where a line breaks
    size_ = t_.size();
    t_.push_back('\n');
    const auto more = code_points(following.substr(0, 64));
    t_.insert(t_.end(), more.begin(), more.end());
  }

  static bool space(char32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x3000;
  }
  static bool upper(char32_t c) { return c >= 'A' && c <= 'Z'; }
  static bool ascii_letter(char32_t c) { return upper(c) || (c >= 'a' && c <= 'z'); }
  static bool digit(char32_t c) { return c >= '0' && c <= '9'; }
  static bool ascii(char32_t c) { return ascii_letter(c) || digit(c); }
  static bool letter(char32_t c) { return ascii_letter(c) || letter_beyond_ascii(c); }
  static bool alnum(char32_t c) { return letter(c) || digit(c); }
  static bool apostrophe(char32_t c) { return c == '\'' || c == 0x2019 || c == 0x92; }
  static bool hyphen(char32_t c) { return c == '-' || c == '_' || c == 0x2010 || c == 0x2011; }
  /// What the original leaves out: control characters, rare punctuation, emoji.
  static bool unknown(char32_t c) {
    constexpr auto out = std::to_array<std::pair<char32_t, char32_t>>(
        {{0, 8},           {14, 31},         {0x7F, 0x7F},     {0x81, 0x84},       {0x86, 0x91},
         {0x93, 0x9F},     {0x200B, 0x2012}, {0x2015, 0x2015}, {0x201B, 0x201B},   {0x2024, 0x2025},
         {0x2027, 0x2027}, {0x202A, 0x202E}, {0x2039, 0x203A}, {0x203C, 0x203D},   {0x2043, 0x2043},
         {0x2045, 0x206F}, {0x20A1, 0x20A3}, {0x20A5, 0x20AB}, {0x20AD, 0x20FF},   {0x215F, 0x2182},
         {0xFE00, 0xFE6F}, {0xFEFD, 0xFF00}, {0xFFE7, 0xFFFF}, {0x10000, 0x10FFFF}});
    return std::any_of(out.begin(), out.end(), [&](const auto& r) { return c >= r.first && c <= r.second; });
  }
  static bool one_of(char32_t c, std::string_view set) {
    return c != 0 && c < 128 && set.find(static_cast<char>(c)) != set.npos;
  }

  char32_t at(place i) const { return i < t_.size() ? t_[i] : 0; }
  /// The end of what is alike from `i` on; 4096 characters are long enough for every word.
  template <class F> place run(place i, F&& f) const {
    const place stop = i < t_.size() ? std::min(t_.size(), i + 4096) : i;
    while (i < stop && f(t_[i])) { ++i; }
    return i;
  }
  bool digits(place i, place count) const { return run(i, digit) >= i + count; }
  bool says(place i, std::string_view small) const {
    for (const char c : small) {
      if (small_letter(at(i++)) != static_cast<char32_t>(c)) { return false; }
    }
    return true;
  }

  std::vector<char32_t> t_; ///< with the end of the line and what follows
  place size_ = 0;          ///< of the sentence
};

} // namespace sqs::metric::detail

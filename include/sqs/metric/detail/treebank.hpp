// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Words as the Penn Treebank splits them, in the dialect that caption toolkits use: clitics and punctuation apart,
/// brackets by name, quotes by direction, abbreviations with their point.
///
/// At each place several patterns apply; the longest match wins.

#include <sqs/metric/detail/treebank_patterns.hpp>

#include <span>

namespace sqs::metric::detail {

/// Splits one sentence. Blanks within a token (as in "<a b>") split it, too: that is how scores read it. The original is
/// given all captions as lines of one file and looks past the end of a line: what follows decides a few points there.
class treebank_splitter : treebank_patterns {
public:
  explicit treebank_splitter(std::string_view sentence, std::string_view following = {})
      : treebank_patterns(sentence, following) {}

  std::vector<std::string> tokens() {
    while (p_ < size_) {
      if (space(at(p_)) || unknown(at(p_))) {
        ++p_;
      } else {
        next();
      }
    }
    return std::move(out_);
  }

private:
  void emit(place end) {
    std::string token;
    for (; p_ < end; ++p_) {
      const char32_t c = t_[p_];
      if (space(c)) {
        if (!token.empty()) { out_.push_back(std::exchange(token, {})); }
      } else if (c == '(' || c == ')') {
        token += c == '(' ? "-lrb-" : "-rrb-";
      } else {
        append_utf8(token, apostrophe(c) ? U'\'' : small_letter(c));
      }
    }
    if (!token.empty()) { out_.push_back(std::move(token)); }
  }
  void emit_as(place end, std::string token) {
    out_.push_back(std::move(token));
    p_ = end;
  }

  /// Words that are two: "cannot", "gonna".
  bool split_pair(place end) {
    for (const auto& [text, first] :
         {std::pair{"cannot", 3}, {"gonna", 3}, {"gotta", 3}, {"lemme", 3}, {"gimme", 3}, {"wanna", 3}}) {
      if (end - p_ == std::string_view(text).size() && says(p_, text)) {
        emit(p_ + static_cast<place>(first));
        emit(end);
        return true;
      }
    }
    return false;
  }

  void next() {
    const char32_t c = at(p_);
    const place plain = word(p_), joined = std::max({plain, hyphenated(p_), compound(p_), initials(p_)});
    place best = joined;
    for (const place end :
         {markup(p_), alternatives(p_), acronym(p_), number(p_), fraction(p_), telephone(p_), raised(p_), smiley(p_),
          abbreviation(p_), email(p_), address(p_), mention(p_), file_name(p_), elided(p_),
          small_letter(c) == 'c' && says(p_ + 1, "++") ? p_ + 3 : p_, currency(p_)}) {
      if (end <= size_) { best = std::max(best, end); } // not beyond the line
    }
    if (best == p_) { return mark(c); }
    if (best == p_ + 2 && at(p_ + 1) == '.' && space(at(best)) && sentence_starts(run(best, space))) { --best; }
    // "n't" is a word of its own.
    if (plain > p_ && best <= plain + 2 && plain == run(p_, ascii_letter) && says(plain - 1, "n") &&
        apostrophe(at(plain)) && says(plain + 1, "t")) {
      if (plain > p_ + 1) { emit(plain - 1); }
      return emit(plain + 2);
    }
    if (!clitic(best) && split_pair(best)) { return; }
    // A point before a comma ends no sentence.
    if (best == joined && at(best) == '.' && one_of(at(best + 1), ",;:")) { ++best; }
    emit(best);
  }

  void quote() {
    const char32_t c = at(p_), next = at(p_ + 1);
    if (c == '"') { return emit_as(p_ + 1, ascii(next) || next == '$' ? "``" : "''"); }
    if (next == '\'' && c == '\'') { return emit_as(p_ + 2, "''"); }
    if (clitic(p_)) {
      const place end = run(p_ + 1, ascii_letter);
      return emit(end);
    }
    for (const std::string_view w : {"tis", "twas"}) {
      if (says(p_ + 1, w) && !ascii_letter(at(p_ + 1 + w.size()))) {
        emit(p_ + 2);
        return emit(p_ + w.size() - 1);
      }
    }
    if (says(p_ + 1, "n'")) { return emit(p_ + 3); } // rock'n'roll
    for (const std::string_view w : {"em", "till", "til", "cause"}) {
      if (says(p_ + 1, w) && !ascii_letter(at(p_ + 1 + w.size()))) { return emit(p_ + 1 + w.size()); }
    }
    if (digits(p_ + 1, 2)) { // a year, a decade
      if (space(at(p_ + 3))) { return emit(p_ + 3); }
      if (next >= '2' && at(p_ + 2) == '0' && at(p_ + 3) == 's') { return emit(p_ + 4); }
    }
    const char32_t second = at(p_ + 2);
    emit_as(p_ + 1, ascii_letter(next) && second != 0 && !space(second) ? "`" : "'");
  }

  /// Quotes that have a direction: two of them are one token.
  static std::string_view curly(char32_t c) {
    switch (c) {
    case '`':
    case 0x2018:
      return "`";
    case 0x2019:
      return "'";
    case 0x201C:
    case 0xAB:
      return "``";
    case 0x201D:
    case 0xBB:
      return "''";
    case 0x201A:
      return "\u201A";
    case 0x201E:
      return "\u201E";
    case 0x201F:
      return "\u201F";
    default:
      return {};
    }
  }

  void mark(char32_t c) {
    static constexpr auto names = std::to_array<std::pair<char32_t, std::string_view>>(
        {{'[', "-lsb-"}, {']', "-rsb-"},  {'{', "-lcb-"},  {'}', "-rcb-"}, {0x80, "$"},    {0xA2, "cents"},
         {0xA3, "#"},    {0xA4, "$"},     {0x20AC, "$"},   {0x20A0, "$"},  {0xBC, "1/4"},  {0xBD, "1/2"},
         {0xBE, "3/4"},  {0x2153, "1/3"}, {0x2154, "2/3"}, {'`', "`"},     {0x2018, "`"},  {0x201C, "``"},
         {0x201D, "''"}, {0xAB, "``"},    {0xBB, "''"},    {0x2013, "--"}, {0x2014, "--"}, {0x2026, "..."}});
    if (const auto first = curly(c), second = curly(at(p_ + 1)); !first.empty() && !second.empty()) {
      return emit_as(p_ + 2, std::string(first) + std::string(second));
    }
    if (c == '"' || apostrophe(c)) { return quote(); }
    if (c == '-') {
      const place end = run(p_, [](char32_t h) { return h == '-'; });
      return end > p_ + 4 ? emit(end) : emit_as(end, end == p_ + 1 ? "-" : "--");
    }
    if ((c == '<' || c == '>') && at(p_ + 1) == c) { return emit(p_ + 2); }
    if (c == '.') {
      const place end = std::min(run(p_, [](char32_t d) { return d == '.'; }), p_ + 5);
      return end >= p_ + 3 ? emit_as(end, "...") : emit(p_ + 1);
    }
    if (c == '?' || c == '!') {
      return emit(run(p_, [](char32_t m) { return m == '?' || m == '!'; }));
    }
    if (c == '*' || c == '_' || c == '#' || c == '@') {
      return emit(run(p_, [&](char32_t m) { return m == c; }));
    }
    for (const auto& [sign, name] : names) {
      if (sign == c) { return emit_as(p_ + 1, std::string(name)); }
    }
    emit(p_ + 1);
  }

  place p_ = 0;
  std::vector<std::string> out_;
};

/// The words of a sentence without its punctuation, as caption toolkits hand them to their scores.
inline std::vector<std::string> treebank_words(std::string_view sentence, std::string_view following = {}) {
  auto words = treebank_splitter(sentence, following).tokens();
  constexpr auto marks =
      std::to_array<std::string_view>({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"});
  std::erase_if(words, [&](const std::string& w) { return std::find(marks.begin(), marks.end(), w) != marks.end(); });
  return words;
}

/// The same for sentences that the original finds as lines of one file.
inline std::vector<std::vector<std::string>> treebank_words(std::span<const std::string_view> lines) {
  std::vector<std::vector<std::string>> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string following;
    for (std::size_t k = i + 1; k < lines.size() && following.size() < 64; ++k) {
      following += std::string(lines[k].substr(0, 64)) + "\n";
    }
    out.push_back(treebank_words(lines[i], following));
  }
  return out;
}

} // namespace sqs::metric::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a word may look like. Every function gives the end of what it finds at `i`, or `i`.

#include <sqs/metric/detail/treebank_text.hpp>

namespace sqs::metric::detail {

/// The patterns of words, numbers and addresses.
class treebank_patterns : protected treebank_text {
protected:
  using treebank_text::treebank_text;

  // ------------------------------------------------------------------------------------------------ words and numbers

  /// Letters first, then letters and digits; points and marks between them: "end.Start".
  place word(place i) const {
    if (!letter(at(i))) { return i; }
    i = run(i, alnum);
    while (one_of(at(i), ".!?") && letter(at(i + 1))) { i = run(i + 1, alnum); }
    return i;
  }
  /// Letters and digits, an Irish or French beginning: "O'Brien".
  place part(place i) const {
    if (one_of(at(i), "dDoOlL") && apostrophe(at(i + 1)) && alnum(at(i + 2)) && alnum(at(i + 3))) { i += 2; }
    return run(i, alnum);
  }
  place hyphenated(place i) const {
    place end = part(i);
    if (end == i) { return i; }
    while (hyphen(at(end)) && part(end + 1) > end + 1) { end = part(end + 1); }
    return end;
  }
  /// Anything with points and commas before the first hyphen: "1.5-litre".
  place compound(place i) const {
    if (!alnum(at(i))) { return i; }
    place end = run(i + 1, [](char32_t c) { return ascii(c) || c == '.' || c == ','; });
    if (at(end) != '-' || !ascii(at(end + 1))) { return i; }
    while (at(end) == '-' && ascii(at(end + 1))) {
      const place dotted = acronym(end + 1);
      end = std::max(run(end + 1, ascii), dotted > end + 3 ? dotted : 0);
    }
    return end;
  }
  /// Up to three parts with slashes between them: "left/right".
  place alternatives(place i) const {
    const auto one = [&](place k) {
      place end = run(k, ascii);
      for (int n = 0; end > k && n < 2 && at(end) == '-' && ascii_letter(at(end + 1)); ++n) {
        end = run(end + 1, ascii_letter);
      }
      return end;
    };
    place end = one(i);
    if (end == i) { return i; }
    int slashes = 0;
    while (slashes < 2) {
      const place next = end + (at(end) == '\\' && at(end + 1) == '/' ? 2 : at(end) == '/' ? 1 : 0);
      if (next == end || one(next) == next) { break; }
      end = one(next), ++slashes;
    }
    return slashes == 0 ? i : end;
  }
  /// "AT&T", "C+D"
  place initials(place i) const {
    place end = run(i, upper);
    if (end == i || !one_of(at(end), "&+") || !upper(at(end + 1))) { return i; }
    while (one_of(at(end), "&+") && upper(at(end + 1))) { end = run(end + 1, upper); }
    return end;
  }
  /// "U.S.", "e.g.": the last point belongs to it.
  place acronym(place i) const {
    if (!ascii_letter(at(i))) { return i; }
    place end = i + 1;
    while (at(end) == '.' && ascii_letter(at(end + 1)) && !alnum(at(end + 2))) { end += 2; }
    return at(end) == '.' ? end + 1 : i;
  }
  place number(place i) const {
    const place begin = i + (one_of(at(i), "+-") ? 1 : 0);
    place end = run(begin, digit);
    while (one_of(at(end), ".:,") && digit(at(end + 1))) { end = run(end + 1, digit); }
    return end == begin ? i : end;
  }
  place fraction(place i) const {
    const place whole = run(i, digit);
    if (whole == i || whole > i + 4 || at(whole) != '-') { return i; }
    const place above = run(whole + 1, digit);
    if (above == whole + 1 || above > whole + 5 || at(above) != '/') { return i; }
    const place below = run(above + 1, digit);
    return below == above + 1 || below > above + 5 ? i : below;
  }
  /// "(555) 555-1234", "555 1234567": written with blanks, it may end within a word.
  place telephone(place i) const {
    const auto apart = [&](place k) { return space(at(k)) || at(k) == '-'; };
    place best = i;
    const auto rest = [&](place k) {
      for (place a = 3; a <= 4 && digits(k, a); ++a) {
        const place second = k + a + (apart(k + a) ? 1 : 0);
        for (place b = 3; b <= 5 && digits(second, b); ++b) { best = std::max(best, second + b); }
      }
    };
    if (at(i) == '(') {
      const place close = run(i + 1, digit);
      if (at(close) == ')' && (close == i + 3 || close == i + 4)) { rest(close + 1 + (at(close + 1) == ' ' ? 1 : 0)); }
      return best;
    }
    const place begin = run(i, [](char32_t c) { return c == '+'; });
    if (begin > i + 2) { return i; }
    const place one = run(begin, digit), two = run(one + 1, digit);
    if (one < begin + 2 || one > begin + 4 || !apart(one)) { return i; }
    rest(one + 1);
    if (two >= one + 3 && two <= one + 5 && apart(two)) { rest(two + 1); }
    return best;
  }
  /// ":-)" and its kin, unless a letter or digit follows.
  place smiley(place i) const {
    if (one_of(at(i), "-^x=~<>'") && at(i + 1) == '_' && one_of(at(i + 2), "-^x=~<>'")) { return i + 3; }
    place k = i + (one_of(at(i), "<>") ? 1 : 0);
    if (!one_of(at(k), ":;=")) { return i; }
    for (const place nose : {k + 1, k + 2}) { // the eyes are at k
      if (nose == k + 2 && !one_of(at(k + 1), "-o*'")) { continue; }
      if (one_of(at(nose), "()DPdpO\\{@|[]") && !ascii(at(nose + 1))) { return nose + 1; }
    }
    return i;
  }
  /// Digits that are raised or lowered: one kind, with a sign.
  place raised(place i) const {
    const auto sign = [](char32_t c) { return c == 0x207A || c == 0x207B || c == 0x208A || c == 0x208B; };
    const place begin = i + (sign(at(i)) ? 1 : 0);
    place end = run(begin, [](char32_t c) {
      return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079);
    });
    if (end == begin) {
      end = run(begin, [](char32_t c) { return c >= 0x2080 && c <= 0x2089; });
    }
    return end == begin ? i : end;
  }
  /// A word of a list and its point.
  place abbreviation(place i) const {
    const place end = run(i, ascii_letter);
    if (says(i, "ph.d.") || says(i, "ed.d.")) { return i + 5; }
    if (end == i || end > i + 6 || at(end) != '.') { return i; }
    std::string small;
    for (place k = i; k < end; ++k) { small += static_cast<char>(small_letter(t_[k])); }
    const auto in = [&](const auto& list) { return std::find(list.begin(), list.end(), small) != list.end(); };
    if (in(treebank_abbreviations) || (upper(at(i)) && in(treebank_capital_abbreviations))) { return end + 1; }
    if (in(treebank_counted_abbreviations) && digit(at(end + (space(at(end + 1)) ? 2 : 1)))) { return end + 1; }
    return i;
  }
  /// Whether a sentence begins at `i` with one of the words that tell.
  bool sentence_starts(place i) const {
    if (at(i) == '<') { return markup(i) > i; }
    if (!upper(at(i))) { return false; }
    for (const std::string_view w : treebank_sentence_starts) {
      if (says(i, w) && space(at(i + w.size()))) { return true; }
    }
    return false;
  }

  // ----------------------------------------------------------------------------------------------------- net addresses

  static bool address_character(char32_t c) { return c > 32 && c != 0xA0 && !one_of(c, "\"<>|(){}"); }
  place email(place i) const {
    const place begin = i + (at(i) == '<' ? 1 : 0);
    if (!ascii(at(begin))) { return i; }
    const place all = run(begin, address_character);
    for (place host = all; host > begin + 1; --host) {
      if (at(host - 1) != '@') { continue; }
      place end = host;
      while (end < all && at(end) != '.') {
        const place next = run(end, [](char32_t c) { return address_character(c) && c != '.'; });
        if (at(next) != '.' || next + 1 >= all || at(next + 1) == '.') { return next + (at(next) == '>' ? 1 : 0); }
        end = next + 1;
      }
    }
    return i;
  }
  place address(place i) const {
    const auto cut = [&](place end, place least) { // not at a point, comma ...
      while (end > least && one_of(at(end - 1), ".!?,-")) { --end; }
      return end > least ? end : i;
    };
    if (says(i, "http://") || says(i, "https://")) {
      const place host = i + (at(i + 4) == ':' ? 7 : 8);
      return cut(run(host, address_character), host + 1);
    }
    const bool web = says(i, "www.");
    const auto label = [&](char32_t c) { return web ? ascii(c) : ascii_letter(c); };
    place host = i, end = run(i, label), last = i;
    while (end > host && at(end) == '.') {
      host = end + 1, end = run(host, label);
      const place letters = run(host, ascii_letter);
      for (const std::string_view top : {"com", "net", "org", "edu"}) {
        if (says(host, top)) { last = host + 3; }
      }
      if (web && host > i + 4 && letters >= host + 2) { last = std::min(letters, host + 4); }
    }
    if (last > i && at(last) == '/') {
      const place more = cut(run(last + 1, address_character), last + 2);
      last = more > i ? more : last;
    }
    return last;
  }
  /// "@name_1" and "#topic"
  place mention(place i) const {
    if (at(i) == '#') { return letter(at(i + 1)) ? run(i + 1, letter) : i; }
    if (at(i) != '@' || !(ascii_letter(at(i + 1)) || at(i + 1) == '_')) { return i; }
    return run(i + 1, [](char32_t c) { return ascii(c) || c == '_'; });
  }
  /// A name with one of the endings that files have, at the end of a phrase.
  place file_name(place i) const {
    static constexpr auto endings = std::to_array<std::string_view>(
        {"bat", "bmp", "c",    "class", "cgi",  "cpp",  "dll", "doc", "docx", "exe", "gif", "gz",
         "h",   "htm", "html", "jar",   "java", "jpeg", "jpg", "mov", "mp3",  "mp4", "pdf", "php",
         "pl",  "png", "ppt",  "ps",    "py",   "sql",  "tar", "txt", "wav",  "x",   "xml", "zip"});
    place end = run(i, alnum), best = i;
    while (end > i && at(end) == '.' && alnum(at(end + 1))) {
      const place next = run(end + 1, alnum);
      const bool known = std::any_of(endings.begin(), endings.end(), [&](std::string_view e) {
        return next - end - 1 == e.size() && says(end + 1, e);
      });
      if (known && (space(at(next)) || one_of(at(next), ".?!,"))) { best = next; }
      end = next;
    }
    return best;
  }
  /// <tag>, </tag>, <tag with words>, <!-- note -->
  place markup(place i) const {
    if (at(i) != '<') { return i; }
    if (one_of(at(i + 1), "!?") && (ascii_letter(at(i + 2)) || at(i + 2) == '-')) {
      const place end = run(i, [](char32_t c) { return c != '>'; });
      return end < size_ ? end + 1 : i;
    }
    place k = i + (at(i + 1) == '/' ? 2 : 1);
    if (!ascii_letter(at(k))) { return i; }
    const auto name = [](char32_t c) { return ascii(c) || one_of(c, "_:.-"); };
    k = run(k, name);
    for (;;) {
      const place after = run(k, space);
      if (after == k || at(i + 1) == '/' || !ascii_letter(at(after))) { break; }
      k = run(after, name);
      const place equal = run(k, space);
      if (at(equal) != '=') { continue; }
      const place value = run(equal + 1, space);
      if (one_of(at(value), "'\"")) {
        const char32_t quote = at(value);
        k = run(value + 1, [&](char32_t c) { return c != quote; }) + 1;
      } else {
        k = run(value, name);
      }
    }
    k = run(k, space);
    k += at(k) == '/' ? 1 : 0;
    return at(k) == '>' ? k + 1 : i;
  }

  bool clitic(place i) const {
    if (!apostrophe(at(i))) { return false; }
    for (const std::string_view c : {"s", "m", "d", "re", "ve", "ll"}) {
      if (says(i + 1, c) && !ascii_letter(at(i + 1 + c.size()))) { return true; }
    }
    return false;
  }
  /// "US$"
  place currency(place i) const {
    const place end = run(i, upper);
    return at(end) == '$' ? end + 1 : i;
  }
  /// "l'", "d'", "y'" of "y'all" and the word "ma'am"
  place elided(place i) const {
    if (says(i, "ma") && apostrophe(at(i + 2)) && says(i + 3, "am")) { return i + 5; }
    if (!apostrophe(at(i + 1)) || clitic(i + 1)) { return i; }
    return one_of(at(i), "lLdDjJ") || (says(i, "y") && says(i + 2, "all")) ? i + 2 : i;
  }
};

} // namespace sqs::metric::detail

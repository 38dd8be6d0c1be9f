// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Walks the members of a JSON object and hands out the text of each value, so that a large file is parsed piece by
/// piece. The pieces are checked by whoever parses them; here only what stands between them is.

#include <sqs/core/error.hpp>

#include <string>
#include <string_view>

namespace sqs::metric::detail {

/// A cursor over JSON text.
struct json_cursor {
  std::string_view text;
  const std::string& name;
  std::size_t at = 0;

  [[noreturn]] void fail(const char* what) const {
    raise<file_error>("sqs::json: ", name, " at byte ", at, ": ", what, "; the file is damaged or no JSON");
  }
  void skip_blanks() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) { ++at; }
  }
  bool take(char c) {
    skip_blanks();
    if (at >= text.size() || text[at] != c) { return false; }
    ++at;
    return true;
  }
  /// Past a string, whose opening quote is next.
  void skip_string() {
    if (!take('"')) { fail("a key in quotes is expected"); }
    for (; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\') { ++at; }
    }
    if (at >= text.size()) { fail("a string does not end"); }
    ++at;
  }
  /// The text of the next value; brackets are counted, not matched: its parser does that.
  std::string_view value() {
    skip_blanks();
    const std::size_t begin = at;
    std::size_t open = 0;
    while (at < text.size()) {
      const char c = text[at];
      if (open == 0 && (c == ',' || c == '}' || c == ']')) { break; }
      if (c == '"') {
        skip_string();
        continue;
      }
      open += c == '{' || c == '[' ? 1 : 0;
      open -= c == '}' || c == ']' ? 1 : 0;
      ++at;
    }
    if (open != 0) { fail("the text ends inside a value"); }
    if (at == begin) { fail("a value is missing"); }
    return text.substr(begin, at - begin);
  }
};

/// Calls `each(key, value)` with the texts of every member of the object `text`: the key with its quotes.
///
/// Errors      file_error naming `name` and the byte, if `text` is no object.
template <class Each> void for_each_member(std::string_view text, const std::string& name, Each&& each) {
  json_cursor c{text, name};
  if (!c.take('{')) { c.fail("an object is expected"); }
  if (!c.take('}')) {
    do {
      c.skip_blanks();
      const std::size_t begin = c.at;
      c.skip_string();
      const std::string_view key = text.substr(begin, c.at - begin);
      if (!c.take(':')) { c.fail("a colon is expected"); }
      each(key, c.value());
    } while (c.take(','));
    if (!c.take('}')) { c.fail("a comma or a closing brace is expected"); }
  }
  c.skip_blanks();
  if (c.at != text.size()) { c.fail("bytes follow the object"); }
}

} // namespace sqs::metric::detail

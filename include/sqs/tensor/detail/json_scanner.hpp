// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tokeniser behind `json_record_reader`: it checks the grammar of RFC 8259 and points at values, no more.

#include <sqs/core/bytes.hpp>
#include <sqs/tensor/detail/json_text.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string_view>

namespace sqs::detail {

enum class json_kind : std::uint8_t { null, truth, number, text, list, object };

/// What a value is, for messages, in the words of `json_value::kind`.
inline const char* kind_of(json_kind k, std::string_view raw) {
  if (k == json_kind::number) { return raw.find_first_of(".eE") == raw.npos ? "an integer" : "a number"; }
  constexpr const char* names[] = {"null", "a truth value", "", "a string", "a list", "an object"};
  return names[static_cast<std::size_t>(k)];
}

/// Name and value of one field. A text is without quotes and with its escapes resolved; the others are as in the file.
struct json_field {
  std::string_view name, text;
  json_kind kind = json_kind::null;
};

enum class json_step { more, record, skipped, end };

/// Takes a list of objects apart, one object per `step`, as far as the bytes at hand go.
class json_scanner {
public:
  json_scanner(const std::string& name, const limits& most) : name_(name), most_(most) {}

  /// The bytes at hand; `offset` is where they stand in the file, `last` that no more will come.
  void set(const char* begin, const char* end, std::uint64_t offset, bool last) {
    begin_ = at_ = begin;
    end_ = end;
    offset_ = offset;
    last_ = last;
  }
  std::size_t taken() const { return static_cast<std::size_t>(at_ - begin_); }

  /// `more` takes nothing: the same bytes must come again, with more behind them.
  json_step step(std::vector<json_field>& fields) {
    space();
    if (at_ == end_) { return run_out(state_ == state::done); }
    switch (state_) {
    case state::start:
      if (*at_ != '[') { not_a_list(); }
      ++at_;
      state_ = state::first;
      return json_step::skipped;
    case state::done:
      bad("there are bytes behind the list");
    case state::next:
      if (*at_ == ',') {
        ++at_;
        state_ = state::element;
        return json_step::skipped;
      }
      if (*at_ != ']') { bad("expected ',' or ']' behind a record"); }
      [[fallthrough]];
    case state::first:
      if (*at_ == ']') {
        ++at_;
        state_ = state::done;
        return json_step::skipped;
      }
      [[fallthrough]];
    case state::element:
      break;
    }
    if (*at_ != '{') { not_a_list(); }
    fields.clear();
    resolved_.clear();
    if (!object(fields)) { return run_out(false); }
    check_names(fields);
    state_ = state::next;
    return json_step::record;
  }

  template <class... Parts> [[noreturn]] void bad(const Parts&... parts) const {
    raise<file_error>("sqs::parse_json: ", name_, " at byte ", offset_ + taken() + 1, ": parse error: ", parts...,
                      "; the file is damaged or no JSON");
  }

private:
  enum class state { start, first, element, next, done };

  json_step run_out(bool complete) {
    if (!last_) {
      at_ = begin_;
      return json_step::more;
    }
    if (complete) { return json_step::end; }
    at_ = end_;
    bad("the text ends inside the list");
  }
  [[noreturn]] void not_a_list() const {
    if (*at_ != '[' && *at_ != '{' && *at_ != '"' && *at_ != '-' && !(*at_ >= '0' && *at_ <= '9')) {
      bad("expected a list of records");
    }
    raise<file_error>("sqs::parse_json: ", name_, " does not hold a list of records; give a table of the data set");
  }
  void space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) { ++at_; }
  }
  /// Skips space; false where the bytes end.
  bool see() {
    space();
    return at_ != end_;
  }

  // Every function below returns false where the bytes end before its value does.

  bool object(std::vector<json_field>& fields) {
    ++at_;
    if (!see()) { return false; }
    if (*at_ == '}') { return ++at_, true; }
    for (;;) {
      if (*at_ != '"') { bad("expected a key in quotes"); }
      json_field f;
      if (!text(f.name) || !see()) { return false; }
      if (*at_ != ':') { bad("expected ':' behind a key"); }
      ++at_;
      if (!see() || !value(f)) { return false; }
      fields.push_back(f);
      if (!see()) { return false; }
      if (*at_ == '}') { return ++at_, true; }
      if (*at_ != ',') { bad("expected ',' or '}' behind a value"); }
      ++at_;
      if (!see()) { return false; }
    }
  }

  bool value(json_field& f) {
    const char* const begin = at_;
    switch (*at_) {
    case '"':
      f.kind = json_kind::text;
      return text(f.text);
    case '[':
    case '{':
      f.kind = *at_ == '[' ? json_kind::list : json_kind::object;
      if (!nested()) { return false; }
      break;
    case 't':
    case 'f':
      f.kind = json_kind::truth;
      if (!word(*at_ == 't' ? "true" : "false")) { return false; }
      break;
    case 'n':
      f.kind = json_kind::null;
      if (!word("null")) { return false; }
      break;
    default:
      f.kind = json_kind::number;
      if (!number()) { return false; }
    }
    f.text = {begin, static_cast<std::size_t>(at_ - begin)};
    return true;
  }

  bool word(std::string_view w) {
    for (const char c : w) {
      if (at_ == end_) { return false; }
      if (*at_ != c) { bad("invalid literal; expected ", w); }
      ++at_;
    }
    return true;
  }

  bool digits() {
    if (at_ == end_) { return false; }
    if (!(*at_ >= '0' && *at_ <= '9')) { bad("expected a digit"); }
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') { ++at_; }
    return true;
  }
  bool number() {
    if (*at_ == '-') { ++at_; }
    if (at_ == end_) { return false; }
    if (!(*at_ >= '0' && *at_ <= '9')) { bad("invalid literal; a value begins with one of \" [ { t f n - 0..9"); }
    if (*at_ == '0') {
      ++at_;
      if (at_ != end_ && *at_ >= '0' && *at_ <= '9') { bad("a number begins with 0"); }
    } else {
      digits();
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!digits()) { return false; }
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) { ++at_; }
      if (!digits()) { return false; }
    }
    return at_ != end_; // a list is still open: more must follow
  }

  bool text(std::string_view& out) {
    const char* const begin = ++at_;
    bool escaped = false;
    for (;;) {
      while (end_ - at_ >= 8) {
        std::uint64_t w = 0;
        std::memcpy(&w, at_, 8);
        if (special_in(w)) { break; }
        at_ += 8;
      }
      if (at_ == end_) { return false; }
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') { break; }
      if (c == '\\') {
        escaped = true;
        if (!escape()) { return false; }
      } else if (c < 0x20) {
        bad("a control character in a string");
      } else if (c < 0x80) {
        ++at_;
      } else {
        const int n = utf8_length(reinterpret_cast<const unsigned char*>(at_), // NOLINT: bytes as bytes
                                  reinterpret_cast<const unsigned char*>(end_));
        if (n < 0) { return false; }
        if (n == 0) { bad("ill-formed UTF-8"); }
        at_ += n;
      }
    }
    out = {begin, static_cast<std::size_t>(at_ - begin)};
    ++at_;
    if (escaped) { out = resolved_.emplace_back(unescaped(out)); }
    return true;
  }
  bool escape() {
    ++at_;
    if (at_ == end_) { return false; }
    if (*at_ != 'u') {
      if (std::string_view("\"\\/bfnrt").find(*at_) == std::string_view::npos) { bad("an unknown escape"); }
      ++at_;
      return true;
    }
    std::uint32_t first = 0, second = 0;
    if (!hex(first)) { return false; }
    if (first >= 0xDC00 && first < 0xE000) { bad("half a surrogate pair"); }
    if (first < 0xD800 || first >= 0xDC00) { return true; }
    if (at_ == end_ || (*at_ == '\\' && at_ + 1 == end_)) { return false; }
    if (at_[0] != '\\' || at_[1] != 'u') { bad("half a surrogate pair"); }
    ++at_;
    if (!hex(second)) { return false; }
    if (second < 0xDC00 || second >= 0xE000) { bad("half a surrogate pair"); }
    return true;
  }
  bool hex(std::uint32_t& out) {
    ++at_; // the u
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) { return false; }
      const char c = *at_;
      const int d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
      if (d < 0) { bad("expected four hexadecimal digits"); }
      out = out * 16 + static_cast<std::uint32_t>(d);
    }
    return true;
  }
  /// A list or object inside a record, checked and skipped; `open_` is the stack of its brackets.
  bool nested() {
    open_.clear();
    for (;;) {
      if (*at_ == '[' || *at_ == '{') {
        open_.push_back(*at_ == '[' ? ']' : '}');
        if (open_.size() + 2 > most_.json_depth) {
          raise<file_error>("sqs::parse_json: ", name_, " nests deeper than ", most_.json_depth,
                            " levels; raise limits::json_depth if this file is genuine");
        }
        ++at_;
        if (!see()) { return false; }
        if (*at_ != open_.back()) {
          if (open_.back() == '}' && !key()) { return false; }
          continue;
        }
      } else {
        json_field ignored;
        if (!value(ignored)) { return false; }
        if (!see()) { return false; }
      }
      while (*at_ == open_.back()) { // closes one or more
        ++at_;
        open_.pop_back();
        if (open_.empty()) { return true; }
        if (!see()) { return false; }
      }
      if (*at_ != ',') { bad("expected ',' or '", open_.back(), "' behind a value"); }
      ++at_;
      if (!see()) { return false; }
      if (open_.back() == '}' && !key()) { return false; }
    }
  }
  bool key() {
    std::string_view ignored;
    if (*at_ != '"') { bad("expected a key in quotes"); }
    if (!text(ignored) || !see()) { return false; }
    if (*at_ != ':') { bad("expected ':' behind a key"); }
    ++at_;
    return see();
  }

  /// No key twice. Records mostly have the names of the one before, which were checked.
  void check_names(const std::vector<json_field>& fields) {
    bool same = fields.size() == checked_.size();
    for (std::size_t i = 0; same && i < fields.size(); ++i) { same = fields[i].name == checked_[i]; }
    if (same) { return; }
    checked_.clear();
    for (const auto& f : fields) { checked_.emplace_back(f.name); }
    auto sorted = checked_;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) {
      raise<file_error>("sqs::parse_json: ", name_, ": the key '", twice->substr(0, 80),
                        "' occurs twice in one object; the file is damaged or hostile");
    }
  }

  const std::string& name_;
  limits most_;
  state state_ = state::start;
  const char *begin_ = nullptr, *at_ = nullptr, *end_ = nullptr;
  std::uint64_t offset_ = 0;
  bool last_ = false;
  std::vector<char> open_;
  std::vector<std::string> checked_;
  std::deque<std::string> resolved_;
};

/// Calls `each(kind, raw)` with the elements of a list that the scanner has checked; a text keeps its quotes.
template <class F> void for_each_json_element(std::string_view raw, F&& each) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  std::size_t at = 1; // behind '['
  for (;;) {
    while (blank(raw[at]) || raw[at] == ',') { ++at; }
    if (raw[at] == ']') { return; }
    const std::size_t begin = at;
    const char c = raw[at];
    const json_kind kind = c == '"'               ? json_kind::text
                           : c == '['             ? json_kind::list
                           : c == '{'             ? json_kind::object
                           : c == 't' || c == 'f' ? json_kind::truth
                           : c == 'n'             ? json_kind::null
                                                  : json_kind::number;
    int depth = 0;
    for (bool quoted = false;; ++at) {
      const char d = raw[at];
      if (quoted) {
        if (d == '\\') { ++at; }
        quoted = d != '"';
        if (!quoted && depth == 0) { break; }
        continue;
      }
      if (d == '"') { quoted = true; }
      if (depth == 0 && (d == ',' || d == ']' || blank(d))) { break; }
      if (d == '[' || d == '{') { ++depth; }
      if ((d == ']' || d == '}') && --depth == 0) { break; }
    }
    if (kind == json_kind::text || kind == json_kind::list || kind == json_kind::object) { ++at; }
    each(kind, raw.substr(begin, at - begin));
  }
}

} // namespace sqs::detail

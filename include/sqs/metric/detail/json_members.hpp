// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Walks through the members of JSON objects in a stream, so that a large file is parsed piece by piece in little memory.
/// The pieces are checked by whoever parses them; here only what stands between them is.

#include <sqs/core/error.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sqs::metric::detail {

/// A cursor in a stream of JSON.
class json_members {
public:
  /// `read(to, n)` fills at most n bytes and gives how many; 0 at the end. No piece may be longer than `most_piece`.
  json_members(std::function<std::size_t(char*, std::size_t)> read, std::string name,
               std::size_t most_piece = std::size_t{1} << 24, std::size_t buffer = std::size_t{1} << 18)
      : read_(std::move(read)),
        name_(std::move(name)),
        most_piece_(most_piece),
        buffer_(buffer) {}

  /// Calls `each(key)` for every member of the object that comes next: the text of the key with its quotes. `each` goes
  /// past the value: with `value`, `skip` or `for_each`.
  ///
  /// Errors      file_error naming the file and the byte, if there is no object.
  template <class Each> void for_each(Each&& each) {
    if (!take('{')) { fail("an object is expected"); }
    if (take('}')) { return; }
    do {
      skip_blanks();
      piece_.clear();
      string(true);
      const std::string key = piece_;
      if (!take(':')) { fail("a colon is expected"); }
      each(std::string_view(key));
    } while (take(','));
    if (!take('}')) { fail("a comma or a closing brace is expected"); }
  }
  /// The text of the value that comes next; it holds until the next call.
  std::string_view value() {
    piece_.clear();
    pass_value(true);
    return piece_;
  }
  void skip() { pass_value(false); }
  /// Nothing may follow.
  void end() {
    skip_blanks();
    if (next() != none) { fail("bytes follow the object"); }
  }

private:
  static constexpr int none = -1;

  [[noreturn]] void fail(const char* what) const {
    raise<file_error>("sqs::json: ", name_, " at byte ", before_ + at_, ": ", what, "; the file is damaged or no JSON");
  }
  int next() {
    if (at_ == end_) {
      before_ += end_;
      at_ = 0;
      end_ = ended_ ? 0 : read_(buffer_.data(), buffer_.size());
      ended_ = end_ == 0;
    }
    return at_ == end_ ? none : static_cast<unsigned char>(buffer_[at_]);
  }
  void advance(bool keep) {
    if (keep) {
      if (piece_.size() >= most_piece_) { fail("a value is too long"); }
      piece_ += buffer_[at_];
    }
    ++at_;
  }
  void skip_blanks() {
    for (int c = next(); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = next()) { ++at_; }
  }
  bool take(char c) {
    skip_blanks();
    if (next() != c) { return false; }
    ++at_;
    return true;
  }
  void string(bool keep) {
    if (next() != '"') { fail("a key in quotes is expected"); }
    advance(keep);
    for (int c = next(); c != '"'; c = next()) {
      if (c == none) { fail("a string does not end"); }
      advance(keep);
      if (c == '\\' && next() != none) { advance(keep); }
    }
    advance(keep);
  }
  /// Brackets are counted, not matched: the parser of the piece does that.
  void pass_value(bool keep) {
    skip_blanks();
    std::size_t open = 0, passed = 0;
    for (int c = next(); c != none; c = next(), ++passed) {
      if (open == 0 && (c == ',' || c == '}' || c == ']')) { break; }
      if (c == '"') {
        string(keep);
        continue;
      }
      open += c == '{' || c == '[' ? 1 : 0;
      open -= c == '}' || c == ']' ? 1 : 0;
      advance(keep);
    }
    if (open != 0) { fail("the text ends inside a value"); }
    if (passed == 0) { fail("a value is missing"); }
  }

  std::function<std::size_t(char*, std::size_t)> read_;
  std::string name_;
  std::size_t most_piece_;
  std::vector<char> buffer_;
  std::size_t at_ = 0, end_ = 0;
  std::uint64_t before_ = 0; ///< bytes before the buffer
  bool ended_ = false;
  std::string piece_;
};

} // namespace sqs::metric::detail

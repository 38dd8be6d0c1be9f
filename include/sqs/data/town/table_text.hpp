// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tables as text: a JSON list with one record a line.

#include <sqs/core/file.hpp>
#include <sqs/tensor/json.hpp>

#include <charconv>

namespace sqs::detail {

/// The shortest text that reads back as the same number.
inline std::string json_number(double x) {
  std::array<char, 32> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr};
}
inline std::string json_numbers(std::initializer_list<double> numbers) {
  std::string out = "[";
  for (const double x : numbers) { out += (out.size() > 1 ? "," : "") + json_number(x); }
  return out + "]";
}

/// One row of a table, as text.
class json_row {
public:
  json_row& text(const char* key, std::string_view value) { return raw(key, json_quoted(value)); }
  json_row& whole(const char* key, std::int64_t value) { return raw(key, std::to_string(value)); }
  json_row& list(const char* key, std::initializer_list<double> values) { return raw(key, json_numbers(values)); }
  json_row& raw(const char* key, std::string_view value) {
    text_ += text_.empty() ? "\"" : ",\"";
    text_ += key;
    text_ += "\":";
    text_ += value;
    return *this;
  }
  std::string braced() const { return "{" + text_ + "}"; }

private:
  std::string text_;
};

/// A table, as text.
class json_table {
public:
  void add(const json_row& row) { text_ += (text_.empty() ? "[\n" : ",\n") + row.braced(); }
  void write(const std::filesystem::path& path) const {
    const std::string all = (text_.empty() ? "[" : text_) + "\n]\n";
    write_file_atomic(path, bytes_of(all));
  }

private:
  std::string text_;
};

} // namespace sqs::detail

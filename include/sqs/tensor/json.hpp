// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// JSON as the library reads it: bounded in depth, without duplicate keys, strict UTF-8, one message with file and
/// byte.

#include <sqs/tensor/detail/json.hpp>

#include <array>

namespace sqs {

/// Parses a whole document.
///
/// Errors      file_error naming `name` and the byte: malformed text or UTF-8, deeper than `limits::json_depth`, a
///             duplicate key, an integer beyond 64 bits, a number beyond double, bytes after the document.
inline json_value parse_json(std::string_view text, const std::string& name, const limits& most = {}) {
  detail::json_builder builder(name, most, nullptr);
  detail::drive(text, builder);
  return std::move(builder.result);
}

/// Calls `each` with every element of a top-level array, in order, holding only one of them in memory.
///
/// Errors      as `parse_json`; file_error also if the document is not a list.
inline void for_each_record(std::string_view text, const std::string& name, const limits& most,
                            const std::function<void(json_value&&)>& each) {
  detail::json_builder builder(name, most, &each);
  detail::drive(text, builder);
}

/// Typed access to the fields of one record of a table. `place` (file and record) opens every message.
///
/// Errors      file_error naming place, field and what was found.
class json_fields {
public:
  json_fields(const json_value& record, std::string place) : record_(record), place_(std::move(place)) {}

  const std::string& place() const { return place_; }
  const json_value& get(const char* field) const {
    const json_value* v = record_.find(field);
    if (v == nullptr) { fail(field, "is missing"); }
    return *v;
  }
  const std::string& text(const char* field) const { return typed<std::string>(field, "a string"); }
  bool flag(const char* field) const { return typed<bool>(field, "true or false"); }
  std::int64_t integer(const char* field) const { return typed<std::int64_t>(field, "an integer"); }
  /// A list of exactly N finite numbers.
  template <std::size_t N> std::array<double, N> numbers(const char* field) const {
    return numbers_of<N>(get(field), field);
  }
  template <std::size_t N> std::array<double, N> numbers_of(const json_value& v, const char* field) const {
    const auto* list = v.as<json_value::array>();
    if (list == nullptr || list->size() != N) { fail(field, concat("is not a list of ", N, " numbers").c_str()); }
    std::array<double, N> out{};
    for (std::size_t i = 0; i < N; ++i) {
      const auto& e = (*list)[i];
      if (const auto* d = e.as<double>()) {
        out[i] = *d;
      } else if (const auto* n = e.as<std::int64_t>()) {
        out[i] = static_cast<double>(*n);
      } else {
        fail(field, concat("holds ", e.kind(), " as element ", i, " instead of a finite number").c_str());
      }
    }
    return out;
  }
  [[noreturn]] void fail(const char* field, const char* what) const {
    raise<file_error>("sqs::json: ", place_, ": field '", field, "' ", what, "; correct the file");
  }

private:
  template <class T> const T& typed(const char* field, const char* wanted) const {
    const json_value& v = get(field);
    const T* t = v.as<T>();
    if (t == nullptr) { fail(field, concat("is ", v.kind(), " instead of ", wanted).c_str()); }
    return *t;
  }
  const json_value& record_;
  std::string place_;
};

/// `text` as a JSON string with its quotes.
inline std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr const char* hex = "0123456789abcdef";
      out += "\\u00";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A parsed JSON value.

#include <sqs/core/bytes.hpp>

#include <string_view>
#include <variant>

namespace sqs {

struct json_member;

/// A parsed JSON value. Objects keep the order of the file; their keys are unique.
struct json_value {
  using array = std::vector<json_value>;
  using object = std::vector<json_member>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, array, object> value;

  template <class T> const T* as() const { return std::get_if<T>(&value); }
  /// The member of an object, or null.
  const json_value* find(std::string_view key) const;
  bool is_null() const { return value.index() == 0; }
  /// What the value is, for messages.
  const char* kind() const {
    constexpr const char* names[] = {"null",     "a truth value", "an integer", "a number",
                                     "a string", "a list",        "an object"};
    return names[value.index()];
  }
};

/// One key and its value.
struct json_member {
  std::string name;
  json_value value;
};

inline const json_value* json_value::find(std::string_view key) const {
  if (const auto* members = as<object>()) {
    for (const auto& m : *members) {
      if (m.name == key) { return &m.value; }
    }
  }
  return nullptr;
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The only place that includes nlohmann-json: its event parser, which does not recurse, drives our own bounded values.

#include <sqs/tensor/json_value.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

namespace sqs {

namespace detail {

/// Receives the parser's events and builds values on an explicit stack.
class json_builder {
public:
  json_builder(const std::string& name, const limits& most, const std::function<void(json_value&&)>* each)
      : name_(name),
        most_(most),
        each_(each) {}

  json_value result;

  bool null() { return add({}); }
  bool boolean(bool v) { return add({v}); }
  bool number_integer(std::int64_t v) { return add({v}); }
  bool number_unsigned(std::uint64_t v) {
    if (!std::in_range<std::int64_t>(v)) {
      raise<file_error>("sqs::parse_json: ", name_, ": the integer ", v,
                        " is beyond 2^63 - 1; the file is damaged or hostile");
    }
    return add({static_cast<std::int64_t>(v)});
  }
  bool number_float(double v, const std::string&) { return add({v}); }
  bool string(std::string& v) { return add({std::move(v)}); }
  bool binary(std::vector<std::uint8_t>&) { return false; }
  bool start_object(std::size_t) { return open({json_value::object{}}); }
  bool start_array(std::size_t) { return open({json_value::array{}}); }
  bool key(std::string& k) {
    stack_.back().key = std::move(k);
    return true;
  }
  bool end_object() {
    const auto& members = std::get<json_value::object>(stack_.back().value.value);
    std::vector<std::string_view> keys;
    for (const auto& [k, v] : members) { keys.push_back(k); }
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) {
      raise<file_error>("sqs::parse_json: ", name_, ": the key '", twice->substr(0, 80),
                        "' occurs twice in one object; the file is damaged or hostile");
    }
    return close();
  }
  bool end_array() { return close(); }
  template <class Exception> bool parse_error(std::size_t position, const std::string&, const Exception& e) {
    std::string why = e.what();
    why = why.substr(why.find("] ") == std::string::npos ? 0 : why.find("] ") + 2).substr(0, 300);
    raise<file_error>("sqs::parse_json: ", name_, " at byte ", position, ": ", why, "; the file is damaged or no JSON");
  }

private:
  struct frame {
    json_value value;
    std::string key;
  };
  bool open(json_value v) {
    if (stack_.size() >= most_.json_depth) {
      raise<file_error>("sqs::parse_json: ", name_, " nests deeper than ", most_.json_depth,
                        " levels; raise limits::json_depth if this file is genuine");
    }
    if (each_ != nullptr && stack_.empty() && v.as<json_value::array>() == nullptr) { not_a_list(); }
    stack_.push_back({std::move(v), {}});
    return true;
  }
  bool close() {
    json_value v = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(v));
  }
  bool add(json_value v) {
    if (stack_.empty()) {
      if (each_ != nullptr && v.as<json_value::array>() == nullptr) { not_a_list(); }
      result = std::move(v);
    } else if (each_ != nullptr && stack_.size() == 1) {
      (*each_)(std::move(v));
    } else if (auto* list = std::get_if<json_value::array>(&stack_.back().value.value)) {
      list->push_back(std::move(v));
    } else {
      auto& members = std::get<json_value::object>(stack_.back().value.value);
      members.push_back({std::move(stack_.back().key), std::move(v)});
    }
    return true;
  }
  [[noreturn]] void not_a_list() const {
    raise<file_error>("sqs::parse_json: ", name_, " does not hold a list of records; give a table of the data set");
  }

  const std::string& name_;
  const limits& most_;
  const std::function<void(json_value&&)>* each_;
  std::vector<frame> stack_;
};

inline void drive(std::string_view text, json_builder& builder) {
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
}

} // namespace detail

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Detection results in the JSON file of the nuScenes devkit, both ways.

#include <sqs/core/file.hpp>
#include <sqs/metric/detail/json_members.hpp>
#include <sqs/metric/detection.hpp>
#include <sqs/tensor/json.hpp>

#include <charconv>
#include <unordered_set>

namespace sqs::metric {

/// A submission: which sensors and data it used, and the boxes found in every sample of a split, in the file's order.
struct detection_result {
  bool use_camera = false, use_lidar = false, use_radar = false, use_map = false, use_external = false;
  std::vector<detection_sample> samples;
};

namespace detail {

inline constexpr std::array<std::pair<const char*, bool detection_result::*>, 5> detection_meta{
    {{"use_camera", &detection_result::use_camera},
     {"use_lidar", &detection_result::use_lidar},
     {"use_radar", &detection_result::use_radar},
     {"use_map", &detection_result::use_map},
     {"use_external", &detection_result::use_external}}};

/// Two speeds; NaN or null is an unknown one.
inline vec2<double> read_velocity(const json_fields& f) {
  const json_value& v = f.get("velocity");
  const auto* list = v.as<json_value::array>();
  if (list == nullptr || list->size() != 2) { f.fail("velocity", "is not a list of 2 numbers"); }
  const auto number = [&](const json_value& e) {
    if (e.is_null()) { return std::nan(""); }
    if (const auto* d = e.as<double>()) { return *d; }
    if (const auto* n = e.as<std::int64_t>()) { return static_cast<double>(*n); }
    f.fail("velocity", concat("holds ", e.kind(), " instead of a number or null").c_str());
  };
  return {number((*list)[0]), number((*list)[1])};
}

inline detection_box read_detection_box(const json_value& v, const std::string& token, const std::string& place) {
  if (v.as<json_value::object>() == nullptr) {
    raise<file_error>("sqs::read_detection_result: ", place, " is ", v.kind(), " instead of a box; correct the file");
  }
  const json_fields f(v, place);
  if (f.text("sample_token") != token) {
    f.fail("sample_token", concat("is '", f.text("sample_token"), "' in the list of sample ", token).c_str());
  }
  detection_box b;
  const auto t = f.numbers<3>("translation"), s = f.numbers<3>("size");
  const auto q = f.numbers<4>("rotation");
  b.translation = {t[0], t[1], t[2]}, b.size = {s[0], s[1], s[2]}, b.rotation = {q[0], q[1], q[2], q[3]};
  // The devkit trips over such a size only once the box is matched; say so here, with its place.
  if (!(s[0] > 0 && s[1] > 0 && s[2] > 0)) {
    f.fail("size", concat("is (", s[0], ", ", s[1], ", ", s[2], ") m; sizes are above 0").c_str());
  }
  if (!(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3] > 0)) {
    f.fail("rotation", "is (0, 0, 0, 0), which is no rotation; give a quaternion (w, x, y, z) of length 1");
  }
  b.velocity = read_velocity(f);
  const std::string &name = f.text("detection_name"), &attribute = f.text("attribute_name");
  b.label = static_cast<std::int8_t>(detection_label(name));
  if (b.label < 0) { f.fail("detection_name", concat("is '", name, "', which is none of the ten classes").c_str()); }
  b.attribute = static_cast<std::int8_t>(detection_attribute(attribute));
  if (b.attribute < 0 && !attribute.empty()) {
    f.fail("attribute_name", concat("is '", attribute, "', which is none of the eight attributes").c_str());
  }
  // The devkit lets a prediction without a score count as -1 and trips over it later; say so here.
  const json_value& score = f.get("detection_score");
  if (const auto* d = score.as<double>()) {
    b.score = *d;
  } else if (const auto* n = score.as<std::int64_t>()) {
    b.score = static_cast<double>(*n);
  } else {
    f.fail("detection_score", concat("is ", score.kind(), " instead of a number").c_str());
  }
  if (b.score < 0) { f.fail("detection_score", concat("is ", b.score, "; scores are not negative").c_str()); }
  return b;
}

/// The text with null in the place of NaN, which Python writes and reads and JSON does not know.
inline std::string without_nan(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\' && i + 1 < text.size()) {
      out += c;
      out += text[++i];
      continue;
    }
    if (c == '"') { quoted = !quoted; }
    if (!quoted && text.substr(i, 3) == "NaN") {
      out += "null";
      i += 2;
      continue;
    }
    out += c;
  }
  return out;
}

inline detection_sample read_detection_sample(std::string_view key, std::string_view list, const std::string& name,
                                              const limits& most) {
  detection_sample s;
  s.token = *parse_json(key, name, most).as<std::string>();
  const std::string place = concat(name, ", sample ", s.token.substr(0, 80));
  const json_value boxes = parse_json(without_nan(list), place, most);
  const auto* rows = boxes.as<json_value::array>();
  if (rows == nullptr) {
    raise<file_error>("sqs::read_detection_result: ", place, " holds ", boxes.kind(),
                      " instead of a list of boxes; correct the file");
  }
  s.boxes.reserve(rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i) {
    s.boxes.push_back(read_detection_box((*rows)[i], s.token, place + ", box " + std::to_string(i)));
  }
  return s;
}

inline void append(std::string& out, double x) {
  if (!std::isfinite(x)) {
    out += "NaN"; // no JSON, but what the devkit writes and reads
    return;
  }
  std::array<char, 32> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr);
}
template <std::size_t N> void append(std::string& out, const char* key, const std::array<double, N>& x) {
  out += concat("\"", key, "\": [");
  for (std::size_t i = 0; i < N; ++i) {
    out += i == 0 ? "" : ", ";
    append(out, x[i]);
  }
  out += "], ";
}

} // namespace detail

/// Reads a submission.
///
/// Errors      file_error naming file, sample, box and field: no `meta` or `results`, a sample twice, more boxes than
///             the settings allow, an unknown class or attribute, a box under another sample's name, a size
///             that is not above 0, a missing or negative score, anything that is not finite (a velocity may be NaN, as
///             Python writes it, or null).
/// Cost        the boxes and the text of one sample, which may have 16 MiB, whatever the size of the file; about 45 MB/s
inline detection_result read_detection_result(const std::filesystem::path& path, const limits& most = {},
                                              const detection_config& config = detection_cvpr_2019,
                                              const file_calls& calls = {}) {
  const sqs::detail::input_file file("read_detection_result", path, most, calls);
  const std::string& name = file.name();
  detail::json_members json([&](char* to, std::size_t n) { return file.read(to, n); }, name);
  detection_result result;
  bool has_meta = false, has_results = false;
  std::unordered_set<std::string> tokens;
  const auto once = [&](bool& seen, const char* field) {
    if (std::exchange(seen, true)) {
      raise<file_error>("sqs::read_detection_result: ", name, " has the field '", field, "' twice; correct the file");
    }
  };
  const auto add_sample = [&](std::string_view token) {
    auto sample = detail::read_detection_sample(token, json.value(), name, most);
    if (!tokens.insert(sample.token).second) {
      raise<file_error>("sqs::read_detection_result: ", name, " has the sample ", sample.token,
                        " twice; join its boxes");
    }
    if (sample.boxes.size() > config.max_boxes_per_sample) {
      raise<file_error>("sqs::read_detection_result: ", name, ", sample ", sample.token, " has ", sample.boxes.size(),
                        " boxes, at most ", config.max_boxes_per_sample,
                        " are allowed; keep those of the highest scores");
    }
    result.samples.push_back(std::move(sample));
  };
  json.for_each([&](std::string_view key) {
    if (key == "\"meta\"") {
      once(has_meta, "meta");
      const json_value meta = parse_json(json.value(), name, most);
      const json_fields f(meta, concat(name, ", meta"));
      for (const auto& [field, member] : detail::detection_meta) {
        result.*member = meta.find(field) != nullptr && f.flag(field);
      }
    } else if (key == "\"results\"") {
      once(has_results, "results");
      json.for_each(add_sample);
    } else {
      json.skip();
    }
  });
  json.end();
  if (!has_meta || !has_results) {
    raise<file_error>("sqs::read_detection_result: ", name, " has no field '", has_meta ? "results" : "meta",
                      "'; a submission is {\"meta\": {...}, \"results\": {sample: [boxes]}}");
  }
  return result;
}

/// Writes a submission that the devkit reads, numbers with all their digits. An unknown velocity is NaN, as the devkit has
/// it; other readers of JSON may not know that word.
///
/// Errors      precondition_error as `evaluate_detection` for its boxes; file_error if the file cannot be written.
inline void write_detection_result(const std::filesystem::path& path, const detection_result& result) {
  detail::check_boxes(result.samples, "the result");
  std::string out = "{\"meta\": {";
  for (const auto& [field, member] : detail::detection_meta) {
    out += concat(out.back() == '{' ? "" : ", ", "\"", field, "\": ", result.*member ? "true" : "false");
  }
  out += "},\n\"results\": {";
  for (const detection_sample& s : result.samples) {
    const std::string token = json_quoted(s.token);
    out += concat(&s == result.samples.data() ? "\n" : ",\n", token, ": [");
    for (const detection_box& b : s.boxes) {
      out += concat(&b == s.boxes.data() ? "\n" : ",\n", "  {\"sample_token\": ", token, ", ");
      detail::append<3>(out, "translation", {b.translation.x, b.translation.y, b.translation.z});
      detail::append<3>(out, "size", {b.size.x, b.size.y, b.size.z});
      detail::append<4>(out, "rotation", {b.rotation.w, b.rotation.x, b.rotation.y, b.rotation.z});
      detail::append<2>(out, "velocity", {b.velocity.x, b.velocity.y});
      out += concat("\"detection_name\": \"", detection_class_names[static_cast<std::size_t>(b.label)],
                    "\", \"detection_score\": ");
      detail::append(out, b.score);
      out += concat(", \"attribute_name\": \"",
                    b.attribute < 0 ? "" : detection_attribute_names[static_cast<std::size_t>(b.attribute)], "\"}");
    }
    out += "]";
  }
  out += "\n}}\n";
  write_file_atomic(path, std::as_bytes(std::span<const char>(out)));
}

} // namespace sqs::metric

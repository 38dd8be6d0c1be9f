// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The files that are handed to the metrics beside labels and boxes: sentences, plans, drivable areas. Each is read up
/// to 64 MiB; whatever is wrong is an error that names the file and the place in it.

#include <sqs/core/file.hpp>
#include <sqs/metric/captions.hpp>
#include <sqs/metric/confusion.hpp>
#include <sqs/metric/drivable.hpp>
#include <sqs/tensor/json.hpp>
#include <sqs/tensor/npy.hpp>
#include <sqs/tensor/stored_numbers.hpp>

#include <map>
#include <unordered_map>

namespace sqs::metric {

namespace detail {

inline limits prediction_file_limits(limits most) {
  most.file_bytes = std::min(most.file_bytes, std::uint64_t{64} << 20);
  return most;
}

/// The members of the object that a file is; `shape` says how such a file looks.
inline const json_value::object& file_members(const json_value& v, const char* where, const std::string& name,
                                              const char* shape) {
  const auto* m = v.as<json_value::object>();
  if (m == nullptr) {
    raise<file_error>("sqs::", where, ": ", name, " holds ", v.kind(), " instead of an object; it is ", shape);
  }
  return *m;
}
/// A key of a file in a message: files may hold what no message should.
inline std::string printable(const std::string& key) {
  std::string out = key.substr(0, 80);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) { c = '?'; }
  }
  return out;
}
inline std::string shown(const std::string& key) { return "'" + printable(key) + "'"; }

} // namespace detail

/// Decodes sentences, {id: sentence}, and what they may say, {id: [references]} or {id: reference}. In the order of the
/// references; sentences of other ids do not count.
///
/// Errors      file_error naming the file and the id: what `parse_json` says, no object, an id without sentence, a
///             sentence or reference that is no text, no references at all or none for an id.
inline std::vector<caption> decode_captions(std::string_view said, const std::string& said_name,
                                            std::string_view references, const std::string& references_name,
                                            const limits& most = {}) {
  constexpr const char* where = "read_captions";
  const json_value sentences = parse_json(said, said_name, most),
                   wanted = parse_json(references, references_name, most);
  std::unordered_map<std::string_view, const json_value*> sentence_of;
  for (const auto& [id, v] : detail::file_members(sentences, where, said_name, "{id: sentence}")) {
    sentence_of.emplace(id, &v);
  }
  std::vector<caption> out;
  for (const auto& [id, list] : detail::file_members(wanted, where, references_name, "{id: [references]}")) {
    const std::string key = detail::shown(id);
    auto& c = out.emplace_back();
    const auto found = sentence_of.find(id);
    if (found == sentence_of.end()) {
      raise<file_error>("sqs::", where, ": ", said_name, " has no sentence for ", key, ", which ", references_name,
                        " has references for; give one for every id");
    }
    const auto* sentence = found->second->as<std::string>();
    if (sentence == nullptr) {
      raise<file_error>("sqs::", where, ": ", said_name, ": ", key, " is ", found->second->kind(),
                        " instead of a sentence; a file of predictions is {id: sentence}");
    }
    c.prediction = *sentence;
    const auto add = [&](const json_value& r) {
      if (r.as<std::string>() == nullptr) {
        raise<file_error>("sqs::", where, ": ", references_name, ": ", key, ", reference ", c.references.size(), " is ",
                          r.kind(), " instead of a sentence; a file of references is {id: [references]}");
      }
      c.references.push_back(*r.as<std::string>());
    };
    if (const auto* many = list.as<json_value::array>()) {
      for (const auto& r : *many) { add(r); }
    } else {
      add(list);
    }
    if (c.references.empty()) {
      raise<file_error>("sqs::", where, ": ", references_name, ": ", key,
                        " has no references; give at least one, or leave the id out");
    }
  }
  if (out.empty()) {
    raise<file_error>("sqs::", where, ": ", references_name, " has no references; it is {id: [references]}");
  }
  return out;
}
/// `decode_captions` of two files.
inline std::vector<caption> read_captions(const std::filesystem::path& said, const std::filesystem::path& references,
                                          const limits& most = {}) {
  const auto small = detail::prediction_file_limits(most);
  const auto a = read_file(said, small), b = read_file(references, small);
  return decode_captions(text_of(a), said.string(), text_of(b), references.string(), small);
}

/// Plans by the token of their sample: points at 0.5, 1.0 ... 3.0 s.
///
/// Units       metres; the vehicle's frame at the present, x ahead, y left
using plan_set = std::map<std::string, std::vector<vec2<double>>, std::less<>>;

/// Decodes plans, {sample: [[x, y], ... six points]}.
///
/// Errors      file_error naming the file, the sample and the point: what `parse_json` says, no object, no plan at all,
///             a plan that has not six points of two numbers, a point
///             100 km away or more.
inline plan_set decode_plans(std::string_view text, const std::string& name, const limits& most = {}) {
  constexpr const char* where = "read_plans";
  constexpr const char* shape = "{\"SAMPLE\": [[x, y], ... six points]}, x ahead and y left";
  constexpr std::size_t steps = 6;
  const json_value file = parse_json(text, name, most);
  plan_set out;
  for (const auto& [token, points] : detail::file_members(file, where, name, shape)) {
    const auto* list = points.as<json_value::array>();
    const std::string place = concat(name, ", sample ", detail::printable(token));
    if (list == nullptr || list->size() != steps) {
      raise<file_error>("sqs::", where, ": ", place, " is ",
                        list == nullptr ? points.kind() : concat("a list of ", list->size()),
                        " instead of a list of six points; plans are ", shape);
    }
    auto& plan = out[token];
    for (std::size_t k = 0; k < steps; ++k) {
      const std::string point = concat("point ", k);
      const auto xy = json_fields((*list)[k], place).numbers_of<2>((*list)[k], point.c_str());
      if (!(std::abs(xy[0]) < 1e5 && std::abs(xy[1]) < 1e5)) {
        raise<file_error>("sqs::", where, ": ", place, ": point ", k, " is (", xy[0], ", ", xy[1],
                          "), 100 km away or more; give metres in the vehicle's frame");
      }
      plan.push_back({xy[0], xy[1]});
    }
  }
  if (out.empty()) { raise<file_error>("sqs::", where, ": ", name, " has no plans; it is ", shape); }
  return out;
}
/// `decode_plans` of a file.
inline plan_set read_plans(const std::filesystem::path& path, const limits& most = {}) {
  const auto small = detail::prediction_file_limits(most);
  return decode_plans(text_of(read_file(path, small)), path.string(), small);
}

/// Decodes a drivable area: an .npy array [1000, 1000] of whole numbers, 0 where driving is not allowed.
///
/// Errors      file_error naming the file: what `decode_npy` says, another shape, values that are no whole numbers.
inline drivable_area decode_drivable_area(std::span<const std::byte> file, const std::string& name,
                                          const limits& most = {}) {
  const auto array = decode_npy(file, name, most);
  constexpr int n = drivable_area::size;
  if (array.shape != std::vector<std::int64_t>{n, n}) {
    std::string shape;
    for (const auto d : array.shape) { shape += concat(shape.empty() ? "" : " x ", d); }
    raise<file_error>("sqs::read_drivable_area: ", name, " is ", array.shape.empty() ? "a single number" : shape,
                      " instead of 1000 x 1000 cells of 0.1 m; row y and column x from -50 m, x ahead, y left");
  }
  drivable_area area;
  area.cells.reserve(std::size_t{n} * n);
  for (const auto v : integers_of(array, name)) { area.cells.push_back(v != 0 ? 1 : 0); }
  return area;
}
/// `decode_drivable_area` of a file.
inline drivable_area read_drivable_area(const std::filesystem::path& path, const limits& most = {}) {
  const auto small = detail::prediction_file_limits(most);
  return decode_drivable_area(read_file(path, small), path.string(), small);
}

/// Raises where `add_voxels` would, before it does and with the name of the file: at the first voxel that counts and
/// whose predicted class is none.
///
/// Shapes      as `add_voxels`
/// Errors      file_error naming `name`, the voxel and its class.
inline void require_known_classes(const occupancy_labels& truth, std::span<const std::uint8_t> prediction,
                                  occupancy_mask mask, int classes, const std::string& name) {
  const auto& seen = mask == occupancy_mask::camera ? truth.mask_camera : truth.mask_lidar;
  const std::size_t n = std::min(truth.semantics.size(), prediction.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (prediction[i] < classes || truth.semantics[i] >= classes) { continue; }
    if (mask != occupancy_mask::none && i < seen.size() && seen[i] == 0) { continue; }
    const auto c = truth.grid.cell(static_cast<idx>(i));
    raise<file_error>("sqs::evaluate: ", name, ": voxel (", c[0], ", ", c[1], ", ", c[2], ") has the class ",
                      int{prediction[i]}, ", outside 0 .. ", classes - 1,
                      "; a prediction says something wherever it is judged");
  }
}

} // namespace sqs::metric

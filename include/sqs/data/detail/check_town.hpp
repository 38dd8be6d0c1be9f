// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What only a town has: the file that says how to make it again, texts, and the scenes of its split.

#include <sqs/data/detail/check_context.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/tensor/json.hpp>

#include <set>

namespace sqs::detail {

/// town/SCENE/TOKEN.json: where a town keeps what is said about a key frame.
inline std::filesystem::path town_text_path(const std::filesystem::path& town, const std::string& scene,
                                            const std::string& token) {
  return town / folder_name(scene) / (folder_name(token) + ".json");
}

/// Raises unless a file holds a speed, a command, the points that follow, and questions with their answers.
inline void check_town_text(const std::filesystem::path& path, limits most) {
  most.file_bytes = std::min(most.file_bytes, std::uint64_t{16} << 20);
  const json_value file = parse_json(text_of(read_file(path, most)), path.string(), most);
  const json_fields f(file, path.string());
  const auto& speed = f.get("speed");
  if (speed.as<double>() == nullptr && speed.as<std::int64_t>() == nullptr) { f.fail("speed", "is no number"); }
  const auto& command = f.text("command");
  if (command != "left" && command != "right" && command != "straight") {
    f.fail("command", "is none of left, right, straight");
  }
  const auto* future = f.get("future").as<json_value::array>();
  if (future == nullptr) { f.fail("future", "is no list of points"); }
  for (const auto& point : *future) { f.numbers_of<2>(point, "future"); }
  const auto* questions = f.get("questions").as<json_value::array>();
  if (questions == nullptr) { f.fail("questions", "is no list"); }
  for (std::size_t i = 0; i < questions->size(); ++i) {
    const json_fields q((*questions)[i], concat(path.string(), ", question ", i));
    for (const char* field : {"topic", "question", "answer"}) {
      if (q.text(field).empty()) { q.fail(field, "is empty"); }
    }
  }
}

/// splits.json names the scenes of splits that are not nuScenes' own; the devkit looks for them there.
inline void check_splits(nuscenes_check& c, const nuscenes_dataset& set) {
  const auto path = c.root / c.version / "splits.json";
  if (size_of(path) < 0) {
    if (c.again.is_town()) { c.report.add(concat("the file ", path.string(), " is missing"), c.again.tables()); }
    return;
  }
  const auto problem = problem_of([&] {
    std::set<std::string> scenes;
    for (const auto& s : set.tables().scenes) { scenes.insert(s.name); }
    const json_value file = parse_json(text_of(read_file(path, sample_file_limits(c.options.limit))), path.string());
    const json_fields f(file, path.string());
    const auto* splits = file.as<json_value::object>();
    if (splits == nullptr || splits->empty()) {
      raise<file_error>("sqs::check: ", path.string(), " names no split; it is {split: [scenes]}");
    }
    for (const auto& [split, names] : *splits) {
      const auto* list = names.as<json_value::array>();
      if (list == nullptr || list->empty()) { f.fail(split.c_str(), "is no list of scenes"); }
      std::set<std::string> seen;
      for (const auto& n : *list) {
        const auto* name = n.as<std::string>();
        if (name == nullptr) { f.fail(split.c_str(), "is no list of scenes"); }
        const std::string shown = "'" + name->substr(0, 80) + "'";
        if (!scenes.contains(*name)) {
          f.fail(split.c_str(), ("names " + shown + ", which is not in scene.json").c_str());
        }
        if (!seen.insert(*name).second) { f.fail(split.c_str(), ("names " + shown + " twice").c_str()); }
      }
    }
  });
  if (problem) { c.report.add(*problem, c.again.tables()); }
}

/// The file without which nobody can tell that a folder may be replaced, nor by what.
inline void check_town_marker(nuscenes_check& c, const nuscenes_dataset& set) {
  if (!c.again.is_town()) { return; }
  const auto marker = c.root / town_marker;
  if (size_of(marker) < 0) {
    c.report.add(concat("the file ", marker.string(), " is missing; make_town will not replace this town"),
                 town_from_nothing(c.root));
    return;
  }
  const auto problem = problem_of([&] {
    const auto text = text_of(read_file(marker, limits{.file_bytes = 4096}));
    const auto command = town_command(c.root);
    const bool whole = text.ends_with('\n') && command.find(" --camera-sweeps ") != std::string::npos &&
                       command.find(concat(" --scenes ", set.tables().scenes.size(), " ")) != std::string::npos;
    if (whole) { return; }
    raise<file_error>("sqs::check: ", marker.string(),
                      " does not hold the command that makes this town again; it is damaged");
  });
  if (problem) { c.report.add(*problem, town_from_nothing(c.root, false)); }
}

} // namespace sqs::detail

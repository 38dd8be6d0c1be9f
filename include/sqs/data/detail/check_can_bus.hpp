// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The CAN bus expansion: the messages that are read here, and that every other file of it is JSON.

#include <sqs/data/can_bus.hpp>
#include <sqs/data/detail/check_context.hpp>
#include <sqs/tensor/json.hpp>

#include <set>

namespace sqs::detail {

/// Whether nuScenes has messages of a scene of its own, "scene-0103"; some vehicles sent none.
///
/// Source      nuscenes-devkit 1.1.11, `NuScenesCanBus`
inline bool has_can_messages(const std::string& scene) {
  int n = 0;
  const bool numbered = scene.size() == 10 && scene.starts_with("scene-") &&
                        std::from_chars(scene.data() + 6, scene.data() + 10, n).ptr == scene.data() + 10;
  return numbered && !(n >= 161 && n <= 176 && n != 169) && !(n >= 309 && n <= 314);
}

/// No road vehicle moves like that: the number is not what its unit says, or was damaged.
inline constexpr double fastest_vehicle = 150, hardest_push = 500, fastest_turn = 100, widest_steering = 100;

/// Raises for messages that readers would stumble over, or would take for a vehicle that never moved, or that no
/// vehicle sends.
inline void check_can_scene(const nuscenes_check& c, const std::string& scene) {
  const auto messages = read_can_bus(c.root, scene, sample_file_limits(c.options.limit));
  const auto wrong = [&](const char* kind, const auto&... what) {
    raise<file_error>("sqs::check: ", (c.root / "can_bus" / (scene + kind)).string(), what...);
  };
  if (!messages) { return; }
  if (messages->poses.empty()) { wrong("_pose.json", " holds no messages"); }
  const bool turns = size_of(c.root / "can_bus" / (scene + "_steeranglefeedback.json")) >= 0;
  if (turns && messages->steering.empty()) { wrong("_steeranglefeedback.json", " holds no messages"); }
  for (std::size_t i = 0; i < messages->poses.size(); ++i) {
    const auto& m = messages->poses[i];
    const auto check = [&](const char* field, double value, double most, const char* unit) {
      if (!(value <= most)) {
        wrong("_pose.json", ", record ", i, ": '", field, "' of ", value, " ", unit, ", no vehicle");
      }
    };
    check("vel", length(m.velocity), fastest_vehicle, "m/s");
    check("accel", length(m.acceleration), hardest_push, "m/s^2");
    check("rotation_rate", length(m.rotation_rate), fastest_turn, "rad/s");
  }
  for (std::size_t i = 0; i < messages->steering.size(); ++i) {
    const double angle = messages->steering[i].angle;
    if (!(std::abs(angle) <= widest_steering)) {
      wrong("_steeranglefeedback.json", ", record ", i, ": 'value' of ", angle, " rad, no steering wheel");
    }
  }
}

/// Adds what is missing: a whole scene of nuScenes' own, or one of two files that come together.
inline void check_can_files(const nuscenes_check& c, const std::string& scene, std::vector<data_problem>& out) {
  const std::filesystem::path folder = "can_bus";
  const auto pose = folder / (scene + "_pose.json"), steering = folder / (scene + "_steeranglefeedback.json");
  const bool has_pose = size_of(c.root / pose) >= 0, has_steering = size_of(c.root / steering) >= 0;
  const bool wanted = c.again.is_published() && has_can_messages(scene);
  const auto missing = [&](const std::filesystem::path& file) {
    out.push_back({concat("the file ", (c.root / file).string(), " is missing"), c.again.can_bus(file)});
  };
  if (!has_pose && (wanted || has_steering)) { missing(pose); }
  if (!has_steering && wanted) { missing(steering); }
}

inline void check_can_bus(nuscenes_check& c, const nuscenes_dataset& set) {
  namespace fs = std::filesystem;
  if (!c.has_folder("can_bus")) { return; }
  std::vector<std::string> scenes, others;
  std::set<std::string> read;
  for (const auto& s : set.tables().scenes) {
    scenes.push_back(s.name);
    for (const char* kind : {"_pose.json", "_steeranglefeedback.json"}) { read.insert(s.name + kind); }
  }
  std::error_code ignored;
  for (const auto& e : fs::directory_iterator(c.root / "can_bus", ignored)) {
    const auto name = e.path().filename().string();
    const bool whole = c.options.decode && read.contains(name);
    if (e.path().extension() == ".json" && !whole) { others.push_back(name); }
  }
  std::sort(others.begin(), others.end());
  c.all("messages of the CAN bus", scenes.size(), [&](std::size_t i, std::vector<data_problem>& out) {
    const auto before = out.size();
    const auto& scene = scenes[i];
    if (const auto problem = problem_of([&] {
          contained_path(c.root, "can_bus/" + scene + "_pose.json", "the name of a scene");
          check_can_files(c, scene, out);
          if (c.options.decode && out.size() == before) { check_can_scene(c, scene); }
        })) {
      const bool turns = problem->find("_steeranglefeedback.json") != std::string::npos;
      out.push_back(
          {*problem, c.again.can_bus("can_bus/" + scene + (turns ? "_steeranglefeedback.json" : "_pose.json"))});
    }
  });
  if (c.report.counts.contains("files of the CAN bus")) { return; } // with the tables before these
  c.all("files of the CAN bus", others.size(), [&](std::size_t i, std::vector<data_problem>& out) {
    const auto path = c.root / "can_bus" / others[i];
    const auto problem = problem_of([&] {
      if (!c.options.decode) { return require_json_ends(path); }
      auto most = c.options.limit;
      most.file_bytes = std::min(most.file_bytes, std::uint64_t{64} << 20);
      parse_json(text_of(read_file(path, most)), path.string(), most);
    });
    if (problem) { out.push_back({*problem, c.again.can_bus(fs::path("can_bus") / others[i])}); }
  });
  c.report.counts["files of the CAN bus"] += static_cast<idx>(others.size());
}

} // namespace sqs::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The CAN bus expansion of nuScenes: how the vehicle moved, as it measured itself.

#include <sqs/core/math.hpp>
#include <sqs/tensor/json_stream.hpp>

#include <optional>

namespace sqs {

/// One message of the vehicle's own localisation. Vehicle frame, m/s, m/s^2, rad/s.
struct can_pose {
  std::int64_t timestamp_us = 0;
  vec3<double> acceleration{}, rotation_rate{}, velocity{};
};
struct can_steering {
  std::int64_t timestamp_us = 0;
  double angle = 0; ///< radians, left is positive
};

/// The messages of one scene, in time.
struct can_bus {
  std::vector<can_pose> poses;
  std::vector<can_steering> steering;

  /// The last message at or before a moment, the first if there is none earlier; none if there is none at all.
  template <class Message> static const Message* at(const std::vector<Message>& messages, std::int64_t timestamp_us) {
    const auto after = std::upper_bound(messages.begin(), messages.end(), timestamp_us,
                                        [](std::int64_t t, const Message& m) { return t < m.timestamp_us; });
    return messages.empty() ? nullptr : after == messages.begin() ? &messages.front() : &*(after - 1);
  }
  /// What planners are given of a moment: acceleration, rate of rotation, velocity, steering angle. 0 where there are
  /// no messages.
  ///
  /// Source      `ego_status` of VAD and SparseDrive.
  std::array<double, 10> ego_status(std::int64_t timestamp_us) const {
    std::array<double, 10> s{};
    if (const auto* p = at(poses, timestamp_us)) {
      s = {p->acceleration.x,  p->acceleration.y, p->acceleration.z, p->rotation_rate.x, p->rotation_rate.y,
           p->rotation_rate.z, p->velocity.x,     p->velocity.y,     p->velocity.z,      0};
    }
    if (const auto* w = at(steering, timestamp_us)) { s[9] = w->angle; }
    return s;
  }
};

namespace detail {

/// Whether a file is there. A folder that cannot be entered, or is a link to a disk that is not mounted, is no absence.
inline bool is_can_file(const std::filesystem::path& root, const std::filesystem::path& file) {
  std::error_code error, ignored;
  const bool there = std::filesystem::exists(file, error);
  const auto folder = root / "can_bus";
  const bool nowhere = std::filesystem::is_symlink(folder, ignored) && !std::filesystem::exists(folder, ignored);
  if (error || nowhere) {
    raise<file_error>("sqs::read_can_bus: ", file.string(), " cannot be reached",
                      nowhere ? ": can_bus is a link to a folder that is not there" : ": " + error.message(),
                      "; mount its disk or check the permissions");
  }
  return there;
}

} // namespace detail

/// Reads can_bus/SCENE_pose.json and can_bus/SCENE_steeranglefeedback.json below `root`; none if the first is not there
/// (a few scenes of nuScenes have no messages).
///
/// Errors      file_error naming file, record and field, also for messages that go back in time, and for a folder that
///             cannot be reached.
inline std::optional<can_bus> read_can_bus(const std::filesystem::path& root, const std::string& scene,
                                           const limits& most = {}) {
  const auto pose = contained_path(root, "can_bus/" + scene + "_pose.json", "the name of the scene");
  const auto steering = contained_path(root, "can_bus/" + scene + "_steeranglefeedback.json", "the name of the scene");
  if (!detail::is_can_file(root, pose)) { return std::nullopt; }
  can_bus out;
  const auto vector = [](const json_record& r, const char* field) {
    const auto v = r.numbers<3>(field);
    return vec3<double>{v[0], v[1], v[2]};
  };
  const auto time = [](const json_record& r, const auto& before) {
    const auto t = r.integer("utime");
    if (!before.empty() && t < before.back().timestamp_us) { r.fail("utime", "goes back in time"); }
    return t;
  };
  stream_records(pose, most, [&](const json_record& r) {
    out.poses.push_back({time(r, out.poses), vector(r, "accel"), vector(r, "rotation_rate"), vector(r, "vel")});
  });
  if (detail::is_can_file(root, steering)) {
    stream_records(steering, most, [&](const json_record& r) {
      out.steering.push_back({time(r, out.steering), r.number("value")});
    });
  }
  return out;
}

} // namespace sqs

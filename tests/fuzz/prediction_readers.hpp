// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// As readers.hpp, for the files that are handed to metrics, and for those that only the check of data sets looks at.

#include "readers.hpp"

#include <sqs/data/detail/check_town.hpp>
#include <sqs/data/detail/png_file.hpp>
#include <sqs/metric/prediction_files.hpp>

namespace sqs_fuzz {

inline std::string_view view(bytes file) { return {reinterpret_cast<const char*>(file.data()), file.size()}; }

/// Up to the first NUL byte, or the whole, is the file of sentences; what follows that of references.
inline bool captions(bytes file) {
  return survives([&] {
    const auto all = view(file);
    const auto cut = std::min(all.find('\0'), all.size());
    const auto set =
        sqs::metric::decode_captions(all.substr(0, cut), "said of fuzz.bin", all.substr(std::min(cut + 1, all.size())),
                                     "wanted of fuzz.bin", tight());
    require(!set.empty(), "no captions");
    for (const auto& c : set) { require(!c.references.empty(), "a caption without a reference"); }
  });
}
inline bool plans(bytes file) {
  return survives([&] {
    const auto all = sqs::metric::decode_plans(view(file), "fuzz.bin", tight());
    require(!all.empty(), "no plans");
    for (const auto& [token, points] : all) {
      require(points.size() == 6, "a plan that has not six points");
      for (const auto& p : points) { require(std::abs(p.x) < 1e5 && std::abs(p.y) < 1e5, "a point far away"); }
    }
  });
}
inline bool drivable_area(bytes file) {
  return survives([&] {
    const auto area = sqs::metric::decode_drivable_area(file, "fuzz.bin", tight());
    require(area.cells.size() == 1000u * 1000, "lost cells");
    for (const auto c : area.cells) { require(c <= 1, "a cell that is neither"); }
  });
}
/// The second file of a scene's messages; the first is good.
inline bool can_steering(bytes file) {
  const std::string pose = R"([{"utime": 1000, "accel": [0, 0, 9.8], "rotation_rate": [0, 0, 0], "vel": [5, 0, 0]}])";
  on_disk(std::as_bytes(std::span(pose)), "can_bus/fuzz.bin_pose.json");
  const auto folder = on_disk(file, "can_bus/fuzz.bin_steeranglefeedback.json").parent_path();
  const bool read = survives([&] {
    const auto messages = sqs::read_can_bus(folder.parent_path(), "fuzz.bin", tight());
    require(messages.has_value() && messages->poses.size() == 1, "a file that is there was not read");
    for (const auto& m : messages->steering) { require(std::isfinite(m.angle), "an angle that is not finite"); }
  });
  std::filesystem::remove(folder / "fuzz.bin_steeranglefeedback.json"); // others read this folder, too
  return read;
}
inline bool town_text(bytes file) {
  const auto path = on_disk(file, "fuzz.bin");
  return survives([&] { sqs::detail::check_town_text(path, tight()); });
}
/// A picture that is called whole can be decoded, where its kind and size allow.
inline bool png_walk(bytes file) {
  const auto path = on_disk(file, "fuzz.bin");
  return survives([&] { sqs::detail::require_whole_png(path, tight(), true); });
}

} // namespace sqs_fuzz

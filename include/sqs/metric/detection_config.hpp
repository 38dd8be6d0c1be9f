// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the nuScenes detection benchmark judges, and how: the settings, the boxes and the attribute names.

#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace sqs::metric {

/// The attributes a box may have; a box has one or none (-1).
inline constexpr std::array<std::string_view, 8> detection_attribute_names{
    "pedestrian.moving",   "pedestrian.sitting_lying_down",
    "pedestrian.standing", "cycle.with_rider",
    "cycle.without_rider", "vehicle.moving",
    "vehicle.parked",      "vehicle.stopped"};

/// The five errors of true positives, in the devkit's order.
inline constexpr std::array<std::string_view, 5> detection_error_names{"trans_err", "scale_err", "orient_err",
                                                                       "vel_err", "attr_err"};

/// The last digits of the devkit depend on the processor and the libraries below it. The defaults are numpy on a
/// processor with AVX-512 and the rotation matrix in closed form; they change a score by 1e-15, never more.
struct detection_arithmetic {
  bool fused_dots = true;          ///< false: numpy on a processor without AVX-512
  bool avx512_arctangent = true;   ///< false: the C library's, as numpy without AVX-512 uses
  bool quaternion_product = false; ///< true: the rotation matrix as pyquaternion's product of two 4 x 4 matrices
};

/// Settings of one evaluation. Classes are positions in `detection_class_names`.
///
/// Units       metres
struct detection_config {
  std::array<double, 10> class_range{50, 50, 50, 50, 50, 30, 40, 40, 40, 30}; ///< of the ego vehicle, exclusive
  std::array<std::size_t, 10> order{0, 1, 3, 4, 2, 8, 6, 7, 9, 5};            ///< in which class means are summed
  std::array<double, 4> distances{0.5, 1, 2, 4};                              ///< names of the thresholds of AP
  std::array<double, 4> matched_within{0.5, 1, 2, 4}; ///< the distance each of them matches at, exclusive
  std::size_t error_distance = 2;                     ///< the threshold whose matches give the errors
  double min_recall = 0.1, min_precision = 0.1;
  std::size_t max_boxes_per_sample = 500;
  double mean_ap_weight = 5;
  detection_arithmetic arithmetic{};
};
/// The configuration of the benchmark's leader board.
inline constexpr detection_config detection_cvpr_2019{};

/// A box of ground truth or of a prediction, as the benchmark's files hold it.
///
/// Units       metres, m/s; global frame; `rotation` turns the box's axes to the global ones, of any length
struct detection_box {
  vec3<double> translation{};
  vec3<double> size{1, 1, 1}; ///< width, length, height
  quaternion<double> rotation{};
  vec2<double> velocity{};    ///< NaN: unknown
  std::int8_t label = 0;      ///< position in `detection_class_names`
  std::int8_t attribute = -1; ///< position in `detection_attribute_names`, or -1
  int points = -1;            ///< LiDAR and radar points inside, of ground truth; -1: not counted
  double score = -1;          ///< of a prediction
};
/// A rack of bicycles: what stands inside is not judged.
struct bicycle_rack {
  vec3<double> translation{}, size{}; ///< size: width, length, height
  quaternion<double> rotation{};
};
/// The boxes of one key frame.
struct detection_sample {
  std::string token;
  std::vector<detection_box> boxes = {};
  vec3<double> ego{};                   ///< where the vehicle is at the LiDAR's time; of ground truth
  std::vector<bicycle_rack> racks = {}; ///< of ground truth
};

/// The place of a class name in `detection_class_names`, or -1.
constexpr int detection_label(std::string_view name) {
  for (std::size_t i = 0; i < detection_class_names.size(); ++i) {
    if (detection_class_names[i] == name) { return static_cast<int>(i); }
  }
  return -1;
}
/// The place of an attribute in `detection_attribute_names`, or -1.
constexpr int detection_attribute(std::string_view name) {
  for (std::size_t i = 0; i < detection_attribute_names.size(); ++i) {
    if (detection_attribute_names[i] == name) { return static_cast<int>(i); }
  }
  return -1;
}

} // namespace sqs::metric

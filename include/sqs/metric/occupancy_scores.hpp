// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// IoU per class, their mean and the IoU of "occupied" in the protocols of the occupancy benchmarks. All are ratios of
/// counts over a whole split, never means over frames.

#include <sqs/metric/confusion.hpp>
#include <sqs/metric/detail/numpy.hpp>

#include <string_view>

namespace sqs::metric {

/// What a class counts that ground truth does not have.
enum class absent_class {
  left_out,   ///< NaN: no part of the mean
  as_perfect, ///< IoU 1
  by_formula  ///< 0 if it was predicted anywhere; else 0 / (0 + epsilon), NaN without epsilon
};

/// How a benchmark reads counts. NaN are no part of a mean.
struct occupancy_protocol {
  std::string_view name;
  int classes;       ///< class numbers are 0 .. classes - 1
  int free;          ///< the number of "nothing here"
  int first, last;   ///< the classes whose mean is taken
  int unjudged = -1; ///< a true class whose voxels do not count
  absent_class absent = absent_class::left_out;
  double epsilon = 0; ///< added to the union of each class
};

/// Occ3D-nuScenes. Judge with `occupancy_mask::camera`, or `lidar`, or `none` for forecasts. Class 0, "others", counts.
inline constexpr occupancy_protocol occ3d_protocol{"occ3d", 18, 17, 0, 16};
/// OpenOcc v2: the same, in its own numbering.
inline constexpr occupancy_protocol open_occ_protocol{"open-occ", 17, 16, 0, 15};
/// SurroundOcc as GaussianFormer judges it: free is 17, true 0 is noise, a predicted 0 is occupied.
inline constexpr occupancy_protocol surround_occ_protocol{"surround-occ", 18, 17, 1, 16, 0, absent_class::as_perfect};
/// The same voxels in SurroundOcc's own numbers: free is 0, noise is ignored (255).
inline constexpr occupancy_protocol surround_occ_dense_protocol{"surround-occ-dense",    17, 0, 1, 16, -1,
                                                                absent_class::as_perfect};
/// nuScenes-Occupancy by its authors: free is 0, 255 is ignored. Where a class is neither there nor predicted the
/// original prints NaN as the mean; here it is left out.
inline constexpr occupancy_protocol open_occupancy_protocol{"open-occupancy",        17, 0, 1, 16, -1,
                                                            absent_class::by_formula};
/// nuScenes-Occupancy as SparseOcc's distributed evaluator judges it.
inline constexpr occupancy_protocol open_occupancy_sparse_occ_protocol{"open-occupancy-sparse-occ", 17,  0, 1, 16, -1,
                                                                       absent_class::by_formula,    1e-5};
/// The same over 20 classes of which 17 .. 19 stay empty: SparseOcc's evaluator on one device. 16/19 of the above.
inline constexpr occupancy_protocol open_occupancy_one_device_protocol{"open-occupancy-one-device", 20,  0, 1, 19, -1,
                                                                       absent_class::by_formula,    1e-5};
/// Semantic scene completion on SemanticKITTI as MonoScene and SparseOcc judge it.
inline constexpr occupancy_protocol semantic_kitti_protocol{"semantic-kitti",         20,  0, 1, 19, -1,
                                                            absent_class::by_formula, 1e-5};

/// Shares from 0 to 1; NaN where nothing is to be judged.
struct occupancy_scores {
  std::vector<double> iou;                             ///< of every class number
  double miou = 0;                                     ///< over the protocol's classes
  double geometric_iou = 0, precision = 0, recall = 0; ///< of "occupied"
};

/// The confusion counts of a protocol, empty.
inline confusion_counts make_counts(const occupancy_protocol& p) { return confusion_counts(p.classes); }

/// Reads counts the way a benchmark does.
///
/// Errors      precondition_error if the counts are of another number of classes.
/// Source      Occ3D, SurroundOcc, OpenOccupancy, SemanticKITTI: the evaluators named at the protocols.
inline occupancy_scores score_occupancy(const confusion_counts& c, const occupancy_protocol& p) {
  expects(c.classes == p.classes, "sqs::metric::score_occupancy: counts of ", c.classes, " classes, but ", p.name,
          " has ", p.classes, "; make them with make_counts");
  occupancy_scores s;
  const auto ratio = [](std::int64_t a, std::int64_t b) { return static_cast<double>(a) / static_cast<double>(b); };
  std::int64_t both = 0, truth_only = 0, predicted_only = 0;
  for (int k = 0; k < p.classes; ++k) {
    std::int64_t truth = 0, predicted = 0;
    for (int j = 0; j < p.classes; ++j) {
      truth += k == p.unjudged ? 0 : c.at(k, j);
      predicted += j == p.unjudged ? 0 : c.at(j, k);
      if (k == p.unjudged) { continue; }
      both += k != p.free && j != p.free ? c.at(k, j) : 0;
      truth_only += k != p.free && j == p.free ? c.at(k, j) : 0;
      predicted_only += k == p.free && j != p.free ? c.at(k, j) : 0;
    }
    const std::int64_t right = k == p.unjudged ? 0 : c.at(k, k);
    double iou = static_cast<double>(right) / (static_cast<double>(truth + predicted - right) + p.epsilon);
    if (truth == 0 && p.absent == absent_class::left_out) { iou = std::nan(""); }
    if (truth == 0 && p.absent == absent_class::as_perfect) { iou = 1; }
    s.iou.push_back(iou);
  }
  const auto first = static_cast<std::size_t>(p.first), last = static_cast<std::size_t>(p.last);
  s.miou = detail::nan_mean(std::span(s.iou).subspan(first, last + 1 - first));
  s.geometric_iou = ratio(both, both + truth_only + predicted_only);
  s.precision = ratio(both, both + predicted_only);
  s.recall = ratio(both, both + truth_only);
  return s;
}

// --------------------------------------------------------------------------------------------------------- forecasts

/// A forecast of 0, 1, 2 and 3 s, without mask. IoU is that of "occupied".
struct forecast_scores {
  std::array<occupancy_scores, 4> at; ///< by second
  double miou = 0, iou = 0;           ///< means of 1, 2 and 3 s: the present does not count
};
/// SparseWorld and PreWorld: a class that is absent and not predicted is no part of the mean, a predicted one counts 0.
inline constexpr occupancy_protocol forecast_sparse_world_protocol{"forecast-sparse-world", 18, 17, 0, 16, -1,
                                                                   absent_class::by_formula};
/// OccWorld: an absent class counts 1; classes 1 .. 16 of its own list.
inline constexpr occupancy_protocol forecast_occ_world_protocol{"forecast-occ-world",    18, 17, 1, 16, -1,
                                                                absent_class::as_perfect};

/// Scores counts taken at 0, 1, 2 and 3 s: key frames t, t + 2, t + 4 and t + 6.
inline forecast_scores score_forecast(const std::array<confusion_counts, 4>& counts,
                                      const occupancy_protocol& p = forecast_sparse_world_protocol) {
  forecast_scores s;
  for (std::size_t i = 0; i < 4; ++i) { s.at[i] = score_occupancy(counts[i], p); }
  s.miou = (s.at[1].miou + s.at[2].miou + s.at[3].miou) / 3;
  s.iou = (s.at[1].geometric_iou + s.at[2].geometric_iou + s.at[3].geometric_iou) / 3;
  return s;
}

/// The frames of a scene that a forecast is judged from: those with twelve more after them, moved on by five.
inline std::vector<std::size_t> forecast_starts(std::size_t frames) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i + 12 < frames; ++i) { starts.push_back(i + 5); }
  return starts;
}

} // namespace sqs::metric

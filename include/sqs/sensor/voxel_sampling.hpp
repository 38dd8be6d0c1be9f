// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Voxels drawn for training: rare classes and rare speeds more often.

#include <sqs/core/random.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <algorithm>
#include <span>

namespace sqs {

/// How often voxels of each class and speed occur in the training set; the weight of one is count^-0.5, normalised.
struct voxel_sampling_options {
  idx samples = 100'000;
  std::vector<double> class_counts = {89275612,  30702871,  14707768,  13641797,  5860037,    388063,
                                      543072,    5070078,   846475,    4671687,   468293495,  13572616,
                                      151618193, 211187466, 382769006, 454647803, 20007563961}; ///< OpenOcc's order
  std::array<double, 4> speed_limits{1, 2, 5, 10}; ///< m/s, upper ends, included
  std::array<double, 5> speed_counts{21813410495, 6412527, 12202872, 18054418, 5279688};
  bool standing_counts_as_fastest = false; ///< the reference's off-by-one: a speed of exactly 0 falls into the last bin
};

/// Weights proportional to count^-0.5 with sum 1; 0 for a count of 0.
inline std::vector<double> inverse_root_weights(std::span<const double> counts) {
  std::vector<double> w;
  double sum = 0;
  for (const double c : counts) {
    w.push_back(c > 0 ? 1 / std::sqrt(c) : 0);
    sum += w.back();
  }
  for (double& v : w) { v = sum > 0 ? v / sum : 0; }
  return w;
}

/// Draws `samples` voxels without replacement, each with a chance proportional to the weights of its class and speed;
/// all that have a weight if there are fewer. Ignored voxels have none. Ascending indices.
///
/// Errors      precondition_error for a label without a count and for flow of another size.
/// Cost        one logarithm per voxel and one selection.
/// Source      Efraimidis and Spirakis 2006 (the smallest of -log(u) / w); spec of VoxelSplat 2.5.
inline std::vector<idx> sample_voxels(const occupancy_labels& o, const voxel_sampling_options& options,
                                      const random_stream& draw) {
  const auto by_class = inverse_root_weights(options.class_counts),
             by_speed = inverse_root_weights(options.speed_counts);
  expects(o.flow.empty() || o.flow.size() == o.semantics.size(), "sqs::sample_voxels: flow of ", o.flow.size(),
          " voxels for ", o.semantics.size(), " labels; they must agree");
  std::vector<std::pair<double, idx>> keys;
  for (std::size_t i = 0; i < o.semantics.size(); ++i) {
    const auto c = o.semantics[i];
    if (c == occupancy_labels::ignore) { continue; }
    expects(c < by_class.size(), "sqs::sample_voxels: label ", int{c}, " of ", by_class.size(),
            " classes; give one count per class");
    const double speed = o.flow.empty() ? 0 : std::hypot(double{o.flow[i].x}, double{o.flow[i].y});
    auto bin =
        static_cast<std::size_t>(std::lower_bound(options.speed_limits.begin(), options.speed_limits.end(), speed) -
                                 options.speed_limits.begin());
    if (options.standing_counts_as_fastest && speed == 0) { bin = by_speed.size() - 1; }
    const double w = by_class[c] * by_speed[bin];
    if (w > 0) { keys.emplace_back(-std::log(1 - draw.uniform(static_cast<idx>(i))) / w, static_cast<idx>(i)); }
  }
  const auto kept = std::min(keys.size(), static_cast<std::size_t>(std::max<idx>(0, options.samples)));
  if (kept < keys.size()) {
    std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(kept), keys.end());
  }
  std::vector<idx> out;
  for (std::size_t i = 0; i < kept; ++i) { out.push_back(keys[i].second); }
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace sqs

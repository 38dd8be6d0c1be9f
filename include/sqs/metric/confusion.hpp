// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Counts of (true class, predicted class) over voxels: what every occupancy metric is a view of.

#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/occupancy.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace sqs::metric {

/// How often class t was predicted as class p: `at(t, p)`. 64 bits, so that no split is too large; counts of parts and
/// of processes add up with `merge`.
struct confusion_counts {
  int classes = 0;
  std::vector<std::int64_t> count; ///< [classes, classes], truth first
  std::int64_t samples = 0;

  explicit confusion_counts(int number_of_classes = 0)
      : classes(number_of_classes),
        count(static_cast<std::size_t>(number_of_classes) * static_cast<std::size_t>(number_of_classes)) {}

  std::int64_t at(int truth, int prediction) const { return count[place(truth, prediction)]; }
  std::int64_t& at(int truth, int prediction) { return count[place(truth, prediction)]; }
  /// Adds the counts of another part of the split.
  ///
  /// Errors      precondition_error if it counts another number of classes.
  void merge(const confusion_counts& other) {
    expects(classes == other.classes, "sqs::metric::confusion_counts: counts of ", other.classes,
            " classes cannot be added to counts of ", classes, "; use one protocol for all parts");
    for (std::size_t i = 0; i < count.size(); ++i) { count[i] += other.count[i]; }
    samples += other.samples;
  }

private:
  std::size_t place(int truth, int prediction) const {
    return static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes) + static_cast<std::size_t>(prediction);
  }
};

/// Adds one sample. Voxels whose mask is 0 and those whose true class is none of the counted ones (as `ignore`) do not
/// count, whatever is predicted there.
///
/// Shapes      truth, prediction [voxels]; mask [voxels] or nothing: all count
/// Execution   Voxels in parallel; the counts do not depend on the number of threads.
/// Errors      precondition_error if lengths differ, or for a prediction beyond the classes where it counts.
/// Cost        640,000 voxels: about 2 ms on one core.
inline void add_voxels(cpu& e, confusion_counts& counts, std::span<const std::uint8_t> truth,
                       std::span<const std::uint8_t> prediction, std::span<const std::uint8_t> mask = {}) {
  expects(truth.size() == prediction.size() && (mask.empty() || mask.size() == truth.size()),
          "sqs::metric::add_voxels: ", truth.size(), " true and ", prediction.size(), " predicted voxels, mask of ",
          mask.size(), "; all must be on the same grid");
  expects(counts.classes > 0 && counts.classes <= 256, "sqs::metric::add_voxels: counts of ", counts.classes,
          " classes; give 1 to 256");
  const int classes = counts.classes;
  struct part {
    std::vector<std::int64_t> count;
    int beyond = -1; ///< a predicted class that is none
  };
  const auto count_range = [&](idx begin, idx end) {
    part p{std::vector<std::int64_t>(counts.count.size()), -1};
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const int t = truth[i], q = prediction[i];
      if (t >= classes || (!mask.empty() && mask[i] == 0)) { continue; }
      if (q >= classes) {
        p.beyond = q;
        continue;
      }
      ++p.count[static_cast<std::size_t>(t * classes + q)];
    }
    return p;
  };
  const auto combine = [](part a, const part& b) {
    for (std::size_t i = 0; i < a.count.size(); ++i) { a.count[i] += b.count.empty() ? 0 : b.count[i]; }
    a.beyond = std::max(a.beyond, b.beyond);
    return a;
  };
  const part all = reduce(e, static_cast<idx>(truth.size()), idx{1} << 15,
                          part{std::vector<std::int64_t>(counts.count.size()), -1}, count_range, combine);
  expects(all.beyond < 0, "sqs::metric::add_voxels: class ", all.beyond, " is predicted where only 0 to ", classes - 1,
          " are known; map the prediction to the numbers of the protocol");
  for (std::size_t i = 0; i < counts.count.size(); ++i) { counts.count[i] += all.count[i]; }
  ++counts.samples;
}

/// Which voxels are judged: all, those seen by the LiDAR, or those seen by a camera.
enum class occupancy_mask { none, lidar, camera };

/// Adds one sample of labels.
///
/// Errors      as above; precondition_error also if the labels lack the mask.
inline void add_voxels(cpu& e, confusion_counts& counts, const occupancy_labels& truth,
                       std::span<const std::uint8_t> prediction, occupancy_mask mask) {
  const auto& seen = mask == occupancy_mask::camera ? truth.mask_camera : truth.mask_lidar;
  expects(mask == occupancy_mask::none || seen.size() == truth.semantics.size(),
          "sqs::metric::add_voxels: the labels have ", seen.size(), " mask values for ", truth.semantics.size(),
          " voxels; read labels with masks or judge all voxels");
  add_voxels(e, counts, truth.semantics, prediction,
             mask == occupancy_mask::none ? std::span<const std::uint8_t>{} : std::span<const std::uint8_t>(seen));
}

} // namespace sqs::metric

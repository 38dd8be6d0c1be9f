// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Matches predicted boxes of one class with ground truth, best score first, and draws what follows over recall.

#include <sqs/core/error.hpp>
#include <sqs/metric/detail/numpy.hpp>
#include <sqs/metric/detection_config.hpp>

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace sqs::metric {

/// Precision, score and mean errors of one class at recalls 0, 0.01, ... 1.
struct detection_curve {
  static constexpr std::size_t points = 101;
  std::array<double, points> precision{}, confidence{};
  std::array<std::array<double, points>, 5> errors{}; ///< in the order of `detection_error_names`
};

namespace detail {

inline double center_distance(const detection_box& a, const detection_box& b, bool fused) {
  const std::array<double, 2> d{b.translation.x - a.translation.x, b.translation.y - a.translation.y};
  return std::sqrt(dot(d, d, fused));
}

/// The heading of a box: the angle of its first axis in the ground plane.
inline double heading(quaternion<double> q, const detection_arithmetic& how) {
  const std::array<double, 4> c{q.w, q.x, q.y, q.z};
  const double squares = dot(c, c, how.fused_dots), length = std::sqrt(squares);
  if (!(std::abs(1 - squares) < 1e-14) && length > 0) { q = {q.w / length, q.x / length, q.y / length, q.z / length}; }
  double y = 0, x = 0;
  if (how.quaternion_product) {
    const std::array<double, 4> row{q.x, q.w, q.z, -q.y};
    y = dot<4>({q.y, q.z, q.w, -q.x}, row, true);
    x = dot<4>({q.x, q.w, -q.z, q.y}, row, true);
  } else {
    y = 2 * (product(q.x, q.y) + product(q.w, q.z));
    x = 1 - 2 * (product(q.y, q.y) + product(q.z, q.z));
  }
  return how.avx512_arctangent ? arctan2_avx512(y, x) : std::atan2(y, x);
}

/// |a - b| of two headings, modulo the period.
inline double heading_error(double a, double b, double period) {
  constexpr double pi = std::numbers::pi;
  double d = modulo(a - b + period / 2, period) - period / 2;
  if (d > pi) { d -= 2 * pi; }
  return std::abs(d);
}

/// 1 - IoU of two boxes moved onto each other.
inline double scale_error(const vec3<double>& a, const vec3<double>& b) {
  const auto volume = [](const vec3<double>& s) { return product(product(s.x, s.y), s.z); };
  const double va = volume(a), vb = volume(b);
  const double both = volume({std::min(a.x, b.x), std::min(a.y, b.y), std::min(a.z, b.z)});
  return 1 - both / (va + vb - both);
}

/// The errors of one match, in the order of `detection_error_names`; NaN where ground truth does not say.
inline std::array<double, 5> match_errors(const detection_box& truth, const detection_box& box, bool half_turns,
                                          const detection_arithmetic& how) {
  const auto sized = [](const vec3<double>& s) { return s.x > 0 && s.y > 0 && s.z > 0; };
  expects(sized(truth.size) && sized(box.size), "sqs::metric::detection: a matched box has the size (", box.size.x,
          ", ", box.size.y, ", ", box.size.z, ") m, its ground truth (", truth.size.x, ", ", truth.size.y, ", ",
          truth.size.z, "); sizes must be above 0");
  const std::array<double, 2> v{box.velocity.x - truth.velocity.x, box.velocity.y - truth.velocity.y};
  const double period = half_turns ? std::numbers::pi : 2 * std::numbers::pi;
  return {center_distance(truth, box, how.fused_dots), scale_error(truth.size, box.size),
          heading_error(heading(truth.rotation, how), heading(box.rotation, how), period),
          std::sqrt(dot(v, v, how.fused_dots)),
          truth.attribute < 0 ? std::nan("") : (truth.attribute == box.attribute ? 0.0 : 1.0)};
}

/// Running mean of what is not NaN; ones if all is.
inline std::vector<double> running_mean(std::span<const double> x) {
  std::vector<double> mean(x.size());
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isnan(x[i])) {
      sum += x[i];
      count += 1;
    }
    mean[i] = count > 0 ? sum / count : 0;
  }
  if (count == 0) { std::fill(mean.begin(), mean.end(), 1.0); }
  return mean;
}

/// What matching yields, in order of falling score.
struct detection_matches {
  std::size_t positives = 0;     ///< boxes of ground truth
  std::vector<double> score;     ///< of every prediction
  std::vector<std::uint8_t> hit; ///< whether it found its box
  std::vector<double> hit_score; ///< of those that did
  std::array<std::vector<double>, 5> errors;
};

/// A prediction's place: sample, box.
struct detection_place {
  std::uint32_t sample = 0, box = 0;
};

inline detection_matches match_detections(std::span<const detection_sample> truth,
                                          std::span<const detection_sample> predictions,
                                          std::span<const std::size_t> sample_of, int label, double within,
                                          const detection_arithmetic& how) {
  detection_matches m;
  std::vector<std::vector<std::uint32_t>> open(truth.size()); // boxes of the class that nobody has taken
  for (std::size_t s = 0; s < truth.size(); ++s) {
    for (std::size_t b = 0; b < truth[s].boxes.size(); ++b) {
      if (truth[s].boxes[b].label == label) { open[s].push_back(static_cast<std::uint32_t>(b)); }
    }
    m.positives += open[s].size();
  }
  if (m.positives == 0) { return m; }
  std::vector<detection_place> at;
  for (std::size_t s = 0; s < predictions.size(); ++s) {
    for (std::size_t b = 0; b < predictions[s].boxes.size(); ++b) {
      if (predictions[s].boxes[b].label != label) { continue; }
      at.push_back({static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(b)});
    }
  }
  const auto box_at = [&](const detection_place& p) -> const detection_box& {
    return predictions[p.sample].boxes[p.box];
  };
  // Of equal scores the later one comes first: the order of a list sorted upwards and then reversed.
  std::reverse(at.begin(), at.end());
  std::stable_sort(at.begin(), at.end(), [&](const detection_place& a, const detection_place& b) {
    return box_at(a).score > box_at(b).score;
  });
  for (const detection_place& p : at) {
    const detection_box& box = box_at(p);
    const std::size_t s = sample_of[p.sample];
    double nearest = std::numeric_limits<double>::infinity();
    std::size_t found = 0;
    for (std::size_t i = 0; i < open[s].size(); ++i) {
      const double d = center_distance(truth[s].boxes[open[s][i]], box, how.fused_dots);
      if (d < nearest) { nearest = d, found = i; }
    }
    m.score.push_back(box.score);
    m.hit.push_back(nearest < within);
    if (!(nearest < within)) { continue; }
    const bool half_turns = detection_class_names[static_cast<std::size_t>(label)] == "barrier";
    const auto errors = match_errors(truth[s].boxes[open[s][found]], box, half_turns, how);
    for (std::size_t e = 0; e < 5; ++e) { m.errors[e].push_back(errors[e]); }
    m.hit_score.push_back(box.score);
    open[s].erase(open[s].begin() + static_cast<std::ptrdiff_t>(found)); // the others keep their order: ties stay ties
  }
  return m;
}

/// The curve of a class; that of no predictions where nothing matches.
inline detection_curve draw_curve(const detection_matches& m) {
  detection_curve c;
  for (auto& e : c.errors) { e.fill(1); }
  if (m.hit_score.empty()) { return c; }
  std::vector<double> precision(m.hit.size()), recall(m.hit.size());
  double hits = 0;
  for (std::size_t i = 0; i < m.hit.size(); ++i) {
    hits += m.hit[i];
    precision[i] = hits / static_cast<double>(i + 1);
    recall[i] = hits / static_cast<double>(m.positives);
  }
  for (std::size_t r = 0; r < c.points; ++r) {
    const double at = r + 1 == c.points ? 1.0 : product(static_cast<double>(r), 0.01);
    c.precision[r] = interpolate(at, recall, precision, 0);
    c.confidence[r] = interpolate(at, recall, m.score, 0);
    const double before = c.confidence[r == 0 ? 0 : r - 1];
    expects(c.confidence[r] <= before, "sqs::metric::detection: scores fall to ", before,
            "; scores must not be negative");
  }
  const std::vector<double> up(m.hit_score.rbegin(), m.hit_score.rend());
  for (std::size_t e = 0; e < 5; ++e) {
    auto mean = running_mean(m.errors[e]);
    std::reverse(mean.begin(), mean.end());
    for (std::size_t r = 0; r < c.points; ++r) { c.errors[e][r] = interpolate(c.confidence[r], up, mean, mean.back()); }
  }
  return c;
}

} // namespace detail

/// Area under a curve of precision, above the least recall and precision of the settings, as a share of the possible.
inline double average_precision(const detection_curve& c, const detection_config& config) {
  const auto first = static_cast<std::size_t>(std::nearbyint(100 * config.min_recall)) + 1;
  expects(config.min_precision >= 0 && config.min_precision < 1 && config.min_recall >= 0 && first < c.points,
          "sqs::metric::average_precision: min_recall is ", config.min_recall, " and min_precision ",
          config.min_precision, "; give numbers from 0 to below 1");
  std::vector<double> above;
  for (std::size_t r = first; r < c.points; ++r) {
    above.push_back(c.precision[r] - config.min_precision < 0 ? 0 : c.precision[r] - config.min_precision);
  }
  return detail::mean(above) / (1.0 - config.min_precision);
}

/// The mean of error `e` from the least recall to the highest one reached; 1 if that is below the least.
inline double mean_error(const detection_curve& c, std::size_t e, const detection_config& config) {
  const auto first = static_cast<std::size_t>(std::nearbyint(100 * config.min_recall)) + 1;
  std::size_t last = 0;
  for (std::size_t r = 0; r < c.points; ++r) {
    if (c.confidence[r] != 0) { last = r; }
  }
  if (last < first) { return 1; }
  return detail::mean(std::span(c.errors[e]).subspan(first, last + 1 - first));
}

} // namespace sqs::metric

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// How good rendered images and depths are, beside what the best constant would score.

#include <sqs/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sqs::metric {

/// Scores of one sample or the mean over several.
struct rendering_score {
  double psnr_db = 0;             ///< mean over images of -10 log10(mean squared error); colours in 0 .. 1
  double baseline_psnr_db = 0;    ///< of the best constant colour of each image (its mean)
  double depth_l1_m = 0;          ///< mean over images of the mean absolute error on pixels with a return
  double baseline_depth_l1_m = 0; ///< of the best constant depth of each image (its median)
  idx samples = 0;
  idx with_depth = 0; ///< samples that have returns at all: the depth errors are means over these, NaN if there is none

  void add(const rendering_score& s) {
    const auto mean = [](double a, idx n, double b, idx m) {
      if (n + m == 0) { return std::nan(""); }
      return ((n > 0 ? static_cast<double>(n) * a : 0) + (m > 0 ? static_cast<double>(m) * b : 0)) /
             static_cast<double>(n + m);
    };
    psnr_db = mean(psnr_db, samples, s.psnr_db, s.samples);
    baseline_psnr_db = mean(baseline_psnr_db, samples, s.baseline_psnr_db, s.samples);
    depth_l1_m = mean(depth_l1_m, with_depth, s.depth_l1_m, s.with_depth);
    baseline_depth_l1_m = mean(baseline_depth_l1_m, with_depth, s.baseline_depth_l1_m, s.with_depth);
    samples += s.samples;
    with_depth += s.with_depth;
  }
};

/// Peak signal-to-noise ratio of one mean squared error, peak 1. Infinite for equal images.
inline double psnr(double mse) { return mse > 0 ? -10 * std::log10(mse) : std::numeric_limits<double>::infinity(); }

namespace detail {
/// Mean squared errors of image `v` against its target and against the target's mean colour.
template <class T>
std::pair<double, double> image_errors(const tensor<T, 4>& image, const tensor<T, 4>& target, idx v) {
  const idx channels = target.extent(3), pixels = target.extent(1) * target.extent(2);
  const T *a = image.data() + v * pixels * channels, *b = target.data() + v * pixels * channels;
  double error = 0, constant = 0;
  for (idx c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (idx p = 0; p < pixels; ++p) {
      const double x = static_cast<double>(b[p * channels + c]), d = static_cast<double>(a[p * channels + c]) - x;
      error += d * d;
      sum += x;
      squares += x * x;
    }
    constant += squares - sum * sum / static_cast<double>(pixels);
  }
  const double n = static_cast<double>(pixels * channels);
  return {error / n, std::max(0.0, constant / n)};
}
/// Mean absolute errors of depth `v` on valid pixels, and of the median of the valid depths. NaN without valid pixels.
template <class T>
std::pair<double, double> depth_errors(const tensor<T, 3>& depth, const tensor<T, 3>& target, idx v) {
  const idx pixels = target.extent(1) * target.extent(2);
  std::vector<double> valid;
  double error = 0;
  for (idx p = v * pixels; p < (v + 1) * pixels; ++p) {
    const double t = static_cast<double>(target.data()[p]);
    if (!(t > 0)) { continue; }
    error += std::abs(static_cast<double>(depth.data()[p]) - t);
    valid.push_back(t);
  }
  if (valid.empty()) { return {std::nan(""), std::nan("")}; }
  std::nth_element(valid.begin(), valid.begin() + static_cast<std::ptrdiff_t>(valid.size() / 2), valid.end());
  const double median = valid[valid.size() / 2], n = static_cast<double>(valid.size());
  double constant = 0;
  for (const double t : valid) { constant += std::abs(t - median); }
  return {error / n, constant / n};
}
} // namespace detail

/// Scores one sample.
///
/// Shapes      image, rgb [V, H, W, C] in 0 .. 1; depth, lidar [V, H, W] in metres, lidar 0 = no return
/// Errors      precondition_error if shapes differ.
template <class T> rendering_score score_rendering(const tensor<T, 4>& image, const tensor<T, 4>& rgb,
                                                   const tensor<T, 3>& depth, const tensor<T, 3>& lidar) {
  expects(image.shape() == rgb.shape() && depth.shape() == lidar.shape() && image.extent(0) == depth.extent(0),
          "sqs::metric::score_rendering: ", image.size(), " and ", rgb.size(), " colour values, ", depth.size(),
          " and ", lidar.size(), " depths; prediction and target must have equal shapes");
  rendering_score s;
  s.samples = 1;
  double with_depth = 0;
  const auto views = static_cast<double>(image.extent(0));
  for (idx v = 0; v < image.extent(0); ++v) {
    const auto [mse, constant] = detail::image_errors(image, rgb, v);
    s.psnr_db += psnr(mse) / views;
    s.baseline_psnr_db += psnr(constant) / views;
    const auto [error, median] = detail::depth_errors(depth, lidar, v);
    if (std::isnan(error)) { continue; }
    s.depth_l1_m += error;
    s.baseline_depth_l1_m += median;
    with_depth += 1;
  }
  s.with_depth = with_depth > 0 ? 1 : 0;
  s.depth_l1_m = with_depth > 0 ? s.depth_l1_m / with_depth : std::nan("");
  s.baseline_depth_l1_m = with_depth > 0 ? s.baseline_depth_l1_m / with_depth : std::nan("");
  return s;
}

} // namespace sqs::metric

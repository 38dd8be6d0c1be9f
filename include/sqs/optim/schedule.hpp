// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Learning-rate schedules: pure functions of the step.

#include <sqs/core/error.hpp>

#include <cmath>
#include <numbers>

namespace sqs::optim {

/// Linear warm-up, then half a cosine down to `final_fraction` of the peak.
struct warmup_cosine {
  double peak = 2e-4;
  std::int64_t warmup = 500;
  std::int64_t total = 1000;
  double final_fraction = 0.1;

  /// The rate of step 0, 1, 2, ... Steps beyond `total` keep the last rate.
  double operator()(std::int64_t step) const {
    if (step < warmup) { return peak * static_cast<double>(step + 1) / static_cast<double>(warmup); }
    const auto span = static_cast<double>(total > warmup ? total - warmup : 1);
    const double t = std::fmin(1.0, static_cast<double>(step - warmup) / span);
    const double low = peak * final_fraction;
    return low + 0.5 * (peak - low) * (1 + std::cos(std::numbers::pi * t));
  }
};

} // namespace sqs::optim

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Where queries begin.

#include <sqs/autodiff/initializer.hpp>
#include <sqs/query/anchor.hpp>

#include <numbers>

namespace sqs::query {

/// How the learnable anchors are drawn.
enum class anchor_placement {
  uniform, ///< means uniform in the box, scale logits of U(0,1): GaussianFormer's lifter
  polar    ///< azimuth uniform, log-range uniform in 3 .. 60 m, height uniform: dense near the vehicle, as images are
};

/// Initial anchors: identity rotation, opacity 0.5, mid-grey.
///
/// Shapes      [Q, config.width()]
template <class T>
tensor<T, 2> initial_anchors(const anchor_config& c, idx queries, anchor_placement placement, initializer& init) {
  const random_stream s = init.next();
  auto a = make_tensor<T, 2>({queries, c.width()});
  for (idx i = 0; i < queries; ++i) {
    const auto draw = [&](idx k) { return s.uniform(8 * i + k); };
    double unit[3] = {draw(0), draw(1), draw(2)};
    if (placement == anchor_placement::polar) {
      const double azimuth = 2 * std::numbers::pi * draw(0), range = 3 * std::pow(20.0, draw(1));
      const double p[3] = {range * std::cos(azimuth), range * std::sin(azimuth), -4 + 7 * draw(2)};
      for (int k = 0; k < 3; ++k) { unit[k] = (p[k] - c.low[k]) / (c.high[k] - c.low[k]); }
    }
    for (int k = 0; k < 3; ++k) {
      a(i, k) = static_cast<T>(safe_logit(unit[k]));
      a(i, anchor_config::scales + k) = static_cast<T>(safe_logit(draw(3 + k)));
    }
    a(i, anchor_config::rotation) = T(1);
  }
  return a;
}

} // namespace sqs::query

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What travels from images to queries: feature levels, channels last.

#include <sqs/autodiff/graph.hpp>

namespace sqs {

/// Feature maps of all views at several strides.
///
/// Shapes      levels[l] is [V, H / stride_l, W / stride_l, C]
template <class G, class T, int Levels> struct feature_pyramid {
  static constexpr int level_count = Levels;
  std::array<variable<G, T, 4>, Levels> levels;
};

} // namespace sqs

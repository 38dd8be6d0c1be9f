// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gaussians to start a fit from: one at each point of a LiDAR sweep or a reconstruction, as wide as the points lie apart.

#include <sqs/gaussian/cloud.hpp>

#include <limits>

namespace sqs {

namespace detail {

/// A balanced tree over points, stored as a permutation of their indices: the middle of each range divides it.
class point_tree {
public:
  explicit point_tree(std::span<const vec3<float>> points)
      : points_(points),
        order_(points.size()),
        axis_(points.size()) {
    for (std::size_t i = 0; i < order_.size(); ++i) { order_[i] = static_cast<std::uint32_t>(i); }
    build(0, order_.size());
  }
  /// Squared distances from point i to the K nearest others, ascending; infinite where there are too few.
  template <std::size_t K> std::array<float, K> nearest(std::size_t i) const {
    std::array<float, K> best;
    best.fill(std::numeric_limits<float>::infinity());
    search(0, order_.size(), i, best);
    return best;
  }

private:
  float coordinate(std::size_t i, int axis) const {
    const auto& p = points_[i];
    return axis == 0 ? p.x : axis == 1 ? p.y : p.z;
  }
  void build(std::size_t begin, std::size_t end) {
    if (end - begin < 2) { return; }
    int widest = 0;
    float width = -1;
    for (int axis = 0; axis < 3; ++axis) {
      float low = std::numeric_limits<float>::infinity(), high = -low;
      for (std::size_t k = begin; k < end; ++k) {
        low = std::min(low, coordinate(order_[k], axis));
        high = std::max(high, coordinate(order_[k], axis));
      }
      if (high - low > width) { width = high - low, widest = axis; }
    }
    const std::size_t middle = begin + (end - begin) / 2;
    const auto at = [this](std::size_t k) { return order_.begin() + static_cast<std::ptrdiff_t>(k); };
    // Ties by index: the tree, and so the order of equal distances, is the same everywhere.
    std::nth_element(at(begin), at(middle), at(end), [&](std::uint32_t a, std::uint32_t b) {
      const float x = coordinate(a, widest), y = coordinate(b, widest);
      return x != y ? x < y : a < b;
    });
    axis_[middle] = static_cast<std::uint8_t>(widest);
    build(begin, middle);
    build(middle + 1, end);
  }
  template <std::size_t K>
  void search(std::size_t begin, std::size_t end, std::size_t i, std::array<float, K>& best) const {
    if (begin == end) { return; }
    const std::size_t middle = begin + (end - begin) / 2, p = order_[middle];
    if (p != i) {
      const vec3<float> d = points_[p] - points_[i];
      float square = dot(d, d);
      for (auto& b : best) {
        if (square < b) { std::swap(square, b); }
      }
    }
    const float away = coordinate(i, axis_[middle]) - coordinate(p, axis_[middle]);
    const bool low_first = away < 0;
    low_first ? search(begin, middle, i, best) : search(middle + 1, end, i, best);
    if (away * away < best.back()) { low_first ? search(middle + 1, end, i, best) : search(begin, middle, i, best); }
  }

  std::span<const vec3<float>> points_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint8_t> axis_;
};

} // namespace detail

/// For each point the root mean square distance to its three nearest neighbours.
///
/// Execution   parallel over points.
/// Errors      precondition_error for fewer than four points, and for one that is not finite.
/// Cost        O(n log n).
/// Source      The initial scales of Kerbl et al. 2023.
inline std::vector<float> neighbour_distances(cpu& e, std::span<const vec3<float>> points) {
  expects(points.size() >= 4 && points.size() < (std::size_t{1} << 32), "sqs::neighbour_distances: ", points.size(),
          " points; give at least four, so that each has three neighbours");
  for (std::size_t i = 0; i < points.size(); ++i) {
    expects(std::isfinite(points[i].x) && std::isfinite(points[i].y) && std::isfinite(points[i].z),
            "sqs::neighbour_distances: point ", i, " is (", points[i].x, ", ", points[i].y, ", ", points[i].z,
            "); remove it");
  }
  const detail::point_tree tree(points);
  std::vector<float> out(points.size());
  parallel_for(e, static_cast<idx>(points.size()), 1 << 10, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      const auto d = tree.nearest<3>(static_cast<std::size_t>(i));
      out[static_cast<std::size_t>(i)] = std::sqrt((d[0] + d[1] + d[2]) / 3);
    }
  });
  return out;
}

/// Adds a round Gaussian of standard deviation `scale` metres and the colour `rgb` in 0 .. 1 to a cloud.
inline void add_round_gaussian(gaussian_cloud& g, vec3<float> mean, float scale, vec3<float> rgb,
                               float opacity = 0.1f) {
  expects(scale > 0 && std::isfinite(scale) && opacity > 0 && opacity < 1, "sqs::add_round_gaussian: scale is ", scale,
          " m and opacity ", opacity,
          "; give a positive scale (points may coincide: put a floor under their distance) and "
          "an opacity inside (0, 1)");
  const float s = std::log(scale);
  g.means.push_back(mean);
  g.log_scales.push_back({s, s, s});
  g.rotations.push_back({});
  g.opacity_logits.push_back(logit(opacity));
  g.sh.insert(g.sh.end(), {rgb_to_sh(rgb.x), rgb_to_sh(rgb.y), rgb_to_sh(rgb.z)});
  g.sh.resize(g.size() * 3 * g.coefficients(), 0.0f);
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Linear interpolation in a dense volume, channels last.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/detail/corners.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>

namespace sqs::sparse {

/// What a volume is beyond the middles of its outermost cells.
enum class outside_volume {
  zero,  ///< surrounded by cells of zeros
  border ///< continued by its outermost cells
};

/// y[i] = the volume at point i, between the 2^D cells around it (in three dimensions: trilinear).
///
/// Shapes      volume [B, X, Y, Z, C] (1 to 4 axes), points [M, D] (`map` takes them to cells:
///             `grid_map::of_unit_box` for -1 .. 1 with corners aligned or not), batch [M] or empty (all in batch 0)
///             -> y [M, C]
/// Gradient    volume, points; skips those nobody wants. On the border between two cells it is that towards larger
///             positions. Points that are no number see nothing and move nothing.
/// Errors      precondition_error for shapes that do not belong together or a batch number out of range.
/// Execution   Parallel; the gradient of a cell is a sum in the order of the points.
/// Cost        16 bytes (double) per point and corner; backward sorts them.
template <int D> struct sample_volume_op {
  grid_map<D> map = {};
  outside_volume outside = outside_volume::zero;

  template <class T> struct saved {
    tensor<T, D + 2> volume;
    tensor<T, 2> points;
    detail::mixture<T, idx> terms;
  };
  template <class T> auto forward(cpu& e, const tensor<T, D + 2>& volume, const tensor<T, 2>& points,
                                  const tensor<std::int32_t, 1>& batch = {}) const {
    detail::check_points<T, D>(e, points, batch, volume.extent(0), "sample_volume_op");
    expects(batch || volume.extent(0) > 0 || points.extent(0) == 0,
            "sqs::sparse::sample_volume_op: the volume has no batch items for ", points.extent(0),
            " points; give at least one");
    auto terms = terms_of(e, volume, points, batch);
    auto y = detail::mixed_rows(e, terms, volume.data(), volume.extent(D + 1));
    return result{std::move(y), saved<T>{volume, points, std::move(terms)}};
  }
  template <class T, std::size_t N>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const std::array<bool, N>& needs) const {
    detail::require_gradient("sample_volume_op", dy, s.points.extent(0), s.volume.extent(D + 1));
    tensor<T, D + 2> dv;
    tensor<T, 2> dp;
    if (needs[0]) {
      idx cells = s.volume.extent(0);
      for (const idx g : grid_of(s.volume)) { cells *= g; }
      const auto back = detail::group_terms(e, s.terms, cells);
      dv = detail::unmixed_rows(e, s.terms, back, dy, cells).template reshaped<D + 2>(s.volume.shape());
    }
    if (needs[1]) {
      dp = detail::point_gradient<T, D>(e, s.terms, s.volume.data(), dy, false,
                                        [&](idx i) { return box(s.volume, s.points, i); });
    }
    return std::tuple{std::move(dv), std::move(dp)};
  }

private:
  static constexpr std::size_t axes = static_cast<std::size_t>(D);

  template <class T> static std::array<idx, axes> grid_of(const tensor<T, D + 2>& volume) {
    std::array<idx, axes> g{};
    std::copy_n(volume.shape().begin() + 1, D, g.begin());
    return g;
  }
  template <class T>
  detail::corner_box<T, D> box(const tensor<T, D + 2>& volume, const tensor<T, 2>& points, idx i) const {
    return {map, points.data() + i * D, grid_of(volume), outside == outside_volume::border};
  }
  template <class T> detail::mixture<T, idx> terms_of(cpu& e, const tensor<T, D + 2>& volume,
                                                      const tensor<T, 2>& points,
                                                      const tensor<std::int32_t, 1>& batch) const {
    using corners = detail::corner_box<T, D>;
    constexpr idx count = static_cast<idx>(corners::count);
    const auto grid = grid_of(volume);
    auto m = detail::empty_mixture<T, idx>(e, points.extent(0), count);
    parallel_for(e, points.extent(0), detail::mixed_rows_of_task, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const corners c = box(volume, points, i);
        for (std::size_t k = 0; k < corners::count; ++k) {
          const idx cell = c.inside ? cell_of(c, k, grid, batch.size() > 0 ? batch.data()[i] : 0) : -1;
          m.source.data()[i * count + static_cast<idx>(k)] = cell;
          m.weight.data()[i * count + static_cast<idx>(k)] = cell < 0 ? T(0) : c.weight(k);
        }
      }
    });
    return m;
  }
  /// The number of a corner's cell in [B, X, Y, Z], -1 if it is outside.
  template <class T>
  idx cell_of(const detail::corner_box<T, D>& c, std::size_t k, const std::array<idx, axes>& grid, idx batch) const {
    idx n = batch;
    for (std::size_t a = 0; a < axes; ++a) {
      idx at = c.base[a] + c.bit(k, a);
      if (outside == outside_volume::border) { at = std::min(at, grid[a] - 1); }
      if (at < 0 || at >= grid[a]) { return -1; }
      n = n * grid[a] + at;
    }
    return n;
  }
};

} // namespace sqs::sparse

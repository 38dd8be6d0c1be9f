// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Linear interpolation in a dense volume in device memory, channels last: the twin of sample_volume.hpp.

#include <sqs/sparse/cuda/interpolate.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/sample_volume.hpp>

namespace sqs::sparse {

namespace detail {

/// Cells and weights of every point: one thread each.
template <class T, int D> struct volume_terms_kernel {
  static constexpr const char* name = "sqs::sparse::sample_volume";
  packed_box<D> grid;
  packed_map<D> map;
  const T* point;            ///< [outputs, D]
  const std::int32_t* batch; ///< [outputs]; null: 0
  idx batches, outputs;
  std::int32_t* source; ///< [outputs, 2^D]
  T* weight;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    constexpr int count = packed_corners<T, D>::count;
    const idx i = thread_of_grid(t);
    if (i >= outputs) { return; }
    const auto box = map.template around<T>(point + i * D, grid);
    const idx item = batch == nullptr ? 0 : batch[i];
    for (int k = 0; k < count; ++k) {
      const idx cell = box.inside && item >= 0 && item < batches ? cell_of(box, k, item) : -1;
      source[i * count + k] = static_cast<std::int32_t>(cell);
      weight[i * count + k] = cell < 0 ? T(0) : box.weight(k);
    }
  }

private:
  /// The number of a corner's cell in [B, X, Y, Z], -1 if it is outside.
  SQS_DEVICE idx cell_of(const packed_corners<T, D>& box, int k, idx item) const {
    idx n = item;
    for (int a = 0; a < D; ++a) {
      idx at = box.base[a] + packed_corners<T, D>::bit(k, a);
      if (grid.clamped && at >= grid.extent[a]) { at = grid.extent[a] - 1; }
      if (at < 0 || at >= grid.extent[a]) { return -1; }
      n = n * grid.extent[a] + at;
    }
    return n;
  }
};

} // namespace detail

/// y[i] = the volume at point i, between the 2^D cells around it; see `sample_volume_op`.
///
/// Shapes      volume [B, X, Y, Z, C] (1 to 4 axes), points [M, D] (`map` takes them to cells), batch [M] or empty (all
///             in batch 0) -> y [M, C]; a batch item that does not exist sees nothing
/// Gradient    volume, points; skips those nobody wants. Points that are no number see nothing and move nothing.
/// Errors      precondition_error for shapes that do not belong together, 2^31 cells or more.
/// Execution   Nothing waits for the device, no atomics; the gradient of a cell is a sum in the order of the points.
/// Cost        4 bytes and a number per point and corner; backward sorts them.
template <int D> struct device_sample_volume_op {
  grid_map<D> map = {};
  outside_volume outside = outside_volume::zero;

  template <class T> struct saved {
    tensor<T, D + 2, device> volume;
    tensor<T, 2, device> points;
    device_terms<T> terms;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, D + 2, device>& volume,
                                                     const tensor<T, 2, device>& points,
                                                     const tensor<std::int32_t, 1, device>& batch = {}) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_sample_volume_op");
    constexpr idx count = detail::packed_corners<T, D>::count;
    const idx n = points.extent(0), c = volume.extent(D + 1), cells = cells_of(volume);
    expects(points.extent(1) == D && (batch.size() == 0 || batch.size() == n),
            "sqs::sparse::device_sample_volume_op: points are [", n, ", ", points.extent(1), "] with ", batch.size(),
            " batch numbers; give ", D, " columns, and one batch number each or none");
    expects(cells < (idx{1} << 31) && n < (idx{1} << 31) / count, "sqs::sparse::device_sample_volume_op: ", cells,
            " cells and ", n, " points of ", count, " corners; both numbers must stay below 2^31, split the batch");
    device_terms<T> terms{cells, empty<std::int32_t, 2>(e, {n, count}), empty<T, 2>(e, {n, count})};
    launch(e, detail::grid_blocks(n), detail::grid_threads,
           detail::volume_terms_kernel<T, D>{box_of(volume), detail::packed_map<D>(map), points.data(),
                                             batch.size() > 0 ? batch.data() : nullptr, volume.extent(0), n,
                                             terms.source.data(), terms.weight.data()});
    auto y = detail::mixed_rows(e, terms, volume.template reshaped<2>({cells, c}));
    return result{std::move(y), saved<T>{volume, points, std::move(terms)}};
  }
  template <device_executor E, class T, std::size_t N>
  auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy, const std::array<bool, N>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_sample_volume_op (backward)");
    const idx n = s.points.extent(0), c = s.volume.extent(D + 1);
    detail::require_device_gradient("device_sample_volume_op", dy, n, c);
    tensor<T, D + 2, device> dv;
    tensor<T, 2, device> dp;
    if (needs[0]) {
      const auto back = detail::group_terms(e, s.terms);
      dv = detail::unmixed_rows(e, s.terms, back, dy).template reshaped<D + 2>(s.volume.shape());
    }
    if (needs[1]) {
      dp = empty<T, 2>(e, s.points.shape());
      launch(e, detail::grid_blocks(n * warp_size), detail::grid_threads,
             detail::point_gradient_kernel<T, D>{box_of(s.volume), detail::packed_map<D>(map), false,
                                                 s.terms.source.data(), s.terms.weight.data(), s.volume.data(),
                                                 dy.data(), s.points.data(), n, c, dp.data()});
    }
    return std::tuple{std::move(dv), std::move(dp)};
  }

private:
  template <class T> static idx cells_of(const tensor<T, D + 2, device>& volume) {
    idx cells = 1;
    for (int a = 0; a <= D; ++a) { cells *= volume.extent(a); }
    return cells;
  }
  template <class T> detail::packed_box<D> box_of(const tensor<T, D + 2, device>& volume) const {
    detail::packed_box<D> box;
    for (int a = 0; a < D; ++a) { box.extent[a] = volume.extent(a + 1); }
    box.clamped = outside == outside_volume::border;
    return box;
  }
};

} // namespace sqs::sparse

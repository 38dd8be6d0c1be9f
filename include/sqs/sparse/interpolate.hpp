// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Features of a sparse tensor between its sites: at those of another tensor, or at any points.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/detail/corners.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>

namespace sqs::sparse {

/// How a value between cells is made.
enum class interpolation {
  linear, ///< of the 2^D cells around the position
  nearest ///< of the nearest of them; of equally near ones that of the lowest coordinates
};

/// What stands for a cell without a row.
enum class missing_neighbours {
  zero,       ///< zero: as a linear interpolation of the dense tensor would have it
  renormalise ///< nothing: the others share its weight (nearest: the nearest that is there). None there: zero
};

struct interpolation_rule {
  interpolation kind = interpolation::linear;
  missing_neighbours missing = missing_neighbours::zero;
};

namespace detail {

/// From all 2^D weights and rows of a position to the terms that make its value.
template <class T, std::size_t K>
void apply_rule(const interpolation_rule& rule, std::array<T, K>& weight, std::array<std::int32_t, K>& row) {
  const bool present_only = rule.missing == missing_neighbours::renormalise;
  if (rule.kind == interpolation::nearest) {
    std::size_t best = K;
    for (std::size_t k = 0; k < K; ++k) {
      if (present_only && row[k] < 0) { continue; }
      if (best == K ? weight[k] > T(0) : weight[k] > weight[best]) { best = k; }
    }
    row[0] = best < K ? row[best] : -1;
    weight[0] = row[0] < 0 ? T(0) : T(1);
    return;
  }
  T sum(0);
  for (std::size_t k = 0; k < K; ++k) { sum += row[k] < 0 ? T(0) : weight[k]; }
  for (std::size_t k = 0; k < K; ++k) {
    if (row[k] < 0) {
      weight[k] = T(0);
    } else if (present_only && sum > T(0)) {
      weight[k] /= sum;
    }
  }
}

/// The terms of every position. `box(i)` are the cells around position i, `batch(i)` its batch item.
template <class T, int D, class Box, class Batch>
mixture<T, std::int32_t> sparse_mixture(cpu& e, const sites<D>& from, idx outputs, const interpolation_rule& rule,
                                        Box&& box, Batch&& batch) {
  constexpr std::size_t count = corner_box<T, D>::count;
  const idx terms = rule.kind == interpolation::nearest ? 1 : static_cast<idx>(count);
  auto m = empty_mixture<T, std::int32_t>(e, outputs, terms);
  parallel_for(e, outputs, mixed_rows_of_task, [&](idx begin, idx end) {
    corner_finder<D> finder(from);
    for (idx i = begin; i < end; ++i) {
      const corner_box<T, D> corners = box(i);
      std::array<T, count> weight{};
      std::array<std::int32_t, count> row;
      row.fill(-1);
      if (corners.inside) {
        finder.find(batch(i), corners.base, row.data());
        for (std::size_t k = 0; k < count; ++k) { weight[k] = corners.weight(k); }
        apply_rule(rule, weight, row);
      }
      std::copy_n(weight.begin(), terms, m.weight.data() + i * terms);
      std::copy_n(row.begin(), terms, m.source.data() + i * terms);
    }
  });
  return m;
}

} // namespace detail

/// Which rows of a sparse tensor make each row of an interpolation, and with what weights. A value: made once for two
/// sets of sites, shared by layers.
template <class T> struct interpolation_plan {
  idx inputs = 0;
  detail::mixture<T, std::int32_t> terms;
  detail::terms_by_source<std::int32_t> back; ///< the way back, in order

  idx outputs() const { return terms.outputs(); }
};

/// Plan of the interpolation of features at `from` to the sites `to`. `map` takes the coordinates of `to` to those of
/// `from`. Where rows of `from` share a voxel, the lowest one represents it.
///
/// Errors      precondition_error if the batches differ.
/// Execution   Parallel; the same for any thread count.
/// Cost        A search of 2^(D-1) places per site (short, if `to` is sorted), a sort of the terms, 12 bytes each.
template <class T, int D>
interpolation_plan<T> make_interpolation_plan(cpu& e, const sites<D>& from, const sites<D>& to,
                                              const std::type_identity_t<grid_map<D>>& map = {},
                                              const interpolation_rule& rule = {}) {
  expects(from.batches() == to.batches(), "sqs::sparse::make_interpolation_plan: features have ", from.batches(),
          " batches, the sites wanted ", to.batches(), "; both must have the same");
  const auto c = to.coordinates(e);
  const auto box = [&](idx i) { return detail::corner_box<T, D>(map, c.data() + i * (D + 1) + 1, from.grid(), false); };
  interpolation_plan<T> plan;
  plan.inputs = from.rows;
  plan.terms = detail::sparse_mixture<T, D>(e, from, to.rows, rule, box, [&](idx i) { return c.data()[i * (D + 1)]; });
  plan.back = detail::group_terms(e, plan.terms, from.rows);
  return plan;
}

/// y[i] = the sum of x[row] weight over the plan's terms of output i.
///
/// Shapes      x [inputs, C] -> y [outputs, C]
/// Gradient    x: a sum in the order of the outputs
/// Errors      precondition_error if x has another number of rows than the plan.
template <class T> struct interpolate_op {
  interpolation_plan<T> plan;
  struct saved {};

  auto forward(cpu& e, const tensor<T, 2>& x) const {
    expects(x.extent(0) == plan.inputs, "sqs::sparse::interpolate_op: x has ", x.extent(0), " rows, the plan ",
            plan.inputs, "; use the plan made for these sites");
    return result{detail::mixed_rows(e, plan.terms, x.data(), x.extent(1)), saved{}};
  }
  auto backward(cpu& e, const saved&, const tensor<T, 2>& dy) const {
    detail::require_gradient("interpolate_op", dy, plan.outputs());
    return detail::unmixed_rows(e, plan.terms, plan.back, dy, plan.inputs);
  }
};

/// y[i] = the features between the sites `at`, at point i.
///
/// Shapes      x [N, C], points [M, D] (`map` takes them to cells), batch [M] or empty (all in batch 0) -> y [M, C]
/// Gradient    x, points; skips those nobody wants. On the border between two cells it is that towards larger
///             positions; the nearest cell's is zero. Points outside or not a number see nothing and move nothing.
/// Errors      precondition_error for shapes that do not belong together or a batch number out of range.
/// Execution   Parallel; the gradient of x is a sum in the order of the points.
/// Cost        12 bytes per term; backward sorts them. Points in the order of the sites are found fastest.
template <int D> struct interpolate_at_op {
  sites<D> at;
  grid_map<D> map = {};
  interpolation_rule rule = {};

  template <class T> struct saved {
    tensor<T, 2> x, points;
    detail::mixture<T, std::int32_t> terms;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 2>& points,
                                  const tensor<std::int32_t, 1>& batch = {}) const {
    expects(x.extent(0) == at.rows, "sqs::sparse::interpolate_at_op: x has ", x.extent(0), " rows, the sites ", at.rows,
            "; give one row per site");
    detail::check_points<T, D>(e, points, batch, at.batches(), "interpolate_at_op");
    auto terms = detail::sparse_mixture<T, D>(
        e, at, points.extent(0), rule, [&](idx i) { return box(points, i); },
        [&](idx i) { return batch.size() > 0 ? batch.data()[i] : 0; });
    auto y = detail::mixed_rows(e, terms, x.data(), x.extent(1));
    return result{std::move(y), saved<T>{x, points, std::move(terms)}};
  }
  template <class T, std::size_t N>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const std::array<bool, N>& needs) const {
    detail::require_gradient("interpolate_at_op", dy, s.points.extent(0), s.x.extent(1));
    tensor<T, 2> dx, dp;
    if (needs[0]) { dx = detail::unmixed_rows(e, s.terms, detail::group_terms(e, s.terms, at.rows), dy, at.rows); }
    if (needs[1] && rule.kind == interpolation::nearest) {
      dp = zeros<T, 2>(e, s.points.shape());
    } else if (needs[1]) {
      dp = detail::point_gradient<T, D>(e, s.terms, s.x.data(), dy, rule.missing == missing_neighbours::renormalise,
                                        [&](idx i) { return box(s.points, i); });
    }
    return std::tuple{std::move(dx), std::move(dp)};
  }

private:
  template <class T> detail::corner_box<T, D> box(const tensor<T, 2>& points, idx i) const {
    return {map, points.data() + i * D, at.grid(), false};
  }
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Features of a sparse tensor between its sites, in device memory: the twin of interpolate.hpp.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/interpolation_kernels.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/sites.hpp>

#include <tuple>

namespace sqs::sparse {

/// Which rows make each row of an interpolation, and with what weights.
template <class T> struct device_terms {
  idx inputs = 0;
  tensor<std::int32_t, 2, device> source; ///< [outputs, terms]; -1: nothing
  tensor<T, 2, device> weight;            ///< [outputs, terms]

  idx outputs() const { return source.extent(0); }
  idx terms() const { return source.extent(1); }
};
/// The same by their sources, those of a source in order of the outputs.
struct device_terms_by_source {
  tensor<std::uint32_t, 1, device> source; ///< ascending; what is no term has the number of inputs
  tensor<std::int32_t, 1, device> entry;   ///< i terms + k
};

namespace detail {

template <class T, int D, device_executor E>
device_terms<T> empty_terms(E& e, const device_sites<D>& from, idx outputs, const interpolation_rule& rule) {
  const idx terms = rule.kind == interpolation::nearest ? 1 : idx{packed_corners<T, D>::count};
  expects(outputs < (idx{1} << 31) / terms, "sqs::sparse::device_interpolate: ", outputs, " outputs of ", terms,
          " terms each are 2^31 or more; split the batch");
  return {from.capacity, empty<std::int32_t, 2>(e, {outputs, terms}), empty<T, 2>(e, {outputs, terms})};
}
template <class T, device_executor E> device_terms_by_source group_terms(E& e, const device_terms<T>& m) {
  const idx n = m.source.size();
  device_terms_by_source g{empty<std::uint32_t, 1>(e, {n}), empty<std::int32_t, 1>(e, {n})};
  auto other_source = empty<std::uint32_t, 1>(e, {n});
  auto other_entry = empty<std::int32_t, 1>(e, {n});
  launch(e, grid_blocks(n), grid_threads,
         term_keys_kernel<T>{m.source.data(), m.weight.data(), n, m.inputs, g.source.data(), g.entry.data()});
  radix_sort_pairs(e, g.source.data(), g.entry.data(), other_source.data(), other_entry.data(), n,
                   bits_for(m.inputs + 1));
  return g;
}
template <class T, device_executor E>
tensor<T, 2, device> mixed_rows(E& e, const device_terms<T>& m, const tensor<T, 2, device>& x) {
  auto y = empty<T, 2>(e, {m.outputs(), x.extent(1)});
  launch(
      e, grid_blocks(y.size()), grid_threads,
      mixed_rows_kernel<T>{m.source.data(), m.weight.data(), x.data(), m.outputs(), m.terms(), x.extent(1), y.data()});
  return y;
}
template <class T, device_executor E> tensor<T, 2, device> unmixed_rows(E& e, const device_terms<T>& m,
                                                                        const device_terms_by_source& g,
                                                                        const tensor<T, 2, device>& dy) {
  auto dx = empty<T, 2>(e, {m.inputs, dy.extent(1)});
  launch(e, grid_blocks(dx.size()), grid_threads,
         unmixed_rows_kernel<T>{g.source.data(), g.entry.data(), m.weight.data(), dy.data(), g.source.size(), m.inputs,
                                m.terms(), dy.extent(1), dx.data()});
  return dx;
}

} // namespace detail

/// Terms of the interpolation of features at `from` to other sites; see `interpolation_plan`.
template <class T> struct device_interpolation_plan {
  device_terms<T> terms;
  device_terms_by_source back; ///< the way back, in order
};

/// Plan of the interpolation of features at `from` to the sites `to`; see `make_interpolation_plan`.
///
/// Errors      precondition_error if the batches differ.
/// Execution   Nothing waits for the device. So for all of this file.
/// Cost        A search of 2^(D-1) places per site, a sort of the terms, 16 bytes each.
template <class T, int D, device_executor E>
device_interpolation_plan<T> make_device_interpolation_plan(E& e, const device_sites<D>& from,
                                                            const device_sites<D>& to,
                                                            const std::type_identity_t<grid_map<D>>& map = {},
                                                            const interpolation_rule& rule = {}) {
  const auto asking = detail::memory_for(e, "sqs::sparse::make_device_interpolation_plan");
  expects(from.batches() == to.batches(), "sqs::sparse::make_device_interpolation_plan: features have ", from.batches(),
          " batches, the sites wanted ", to.batches(), "; both must have the same");
  const auto c = to.coordinates(e); // -1, no batch item, in rows that do not exist
  auto terms = detail::empty_terms<T>(e, from, to.capacity, rule);
  launch(e, detail::grid_blocks(to.capacity), detail::grid_threads,
         detail::corner_terms_kernel<T, D, std::int32_t>{
             detail::packed_layout<D>(from.layout), detail::packed_map<D>(map), rule, from.key.data(),
             from.order_data(), from.status.data(), c.data() + 1, c.data(), D + 1, D + 1, to.capacity,
             terms.source.data(), terms.weight.data()});
  auto back = detail::group_terms(e, terms);
  return {std::move(terms), std::move(back)};
}

/// y[i] = the sum of x[row] weight over the plan's terms of output i.
///
/// Shapes      x [inputs, C] -> y [outputs, C]
/// Gradient    x: a sum in the order of the outputs, no atomics
/// Errors      precondition_error if x has another number of rows than the plan.
template <class T> struct device_interpolate_op {
  device_interpolation_plan<T> plan;
  struct saved {
    idx channels;
  };
  template <device_executor E> auto forward(E& e, const tensor<T, 2, device>& x) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_interpolate_op");
    expects(x.extent(0) == plan.terms.inputs, "sqs::sparse::device_interpolate_op: x has ", x.extent(0),
            " rows, the plan ", plan.terms.inputs, "; use the plan made for these sites");
    return result{detail::mixed_rows(e, plan.terms, x), saved{x.extent(1)}};
  }
  template <device_executor E> auto backward(E& e, const saved& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_interpolate_op (backward)");
    detail::require_device_gradient("device_interpolate_op", dy, plan.terms.outputs(), s.channels);
    return detail::unmixed_rows(e, plan.terms, plan.back, dy);
  }
};

/// y[i] = the features between the sites `at`, at point i; see `interpolate_at_op`.
///
/// Shapes      x [N, C], points [M, D] (`map` takes them to cells), batch [M] or empty (all in batch 0) -> y [M, C];
///             a batch item that does not exist sees nothing
/// Gradient    x, points; skips those nobody wants
/// Errors      precondition_error for shapes that do not belong together.
template <int D> struct device_interpolate_at_op {
  device_sites<D> at;
  grid_map<D> map = {};
  interpolation_rule rule = {};

  template <class T> struct saved {
    tensor<T, 2, device> x, points;
    device_terms<T> terms;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x,
                                                     const tensor<T, 2, device>& points,
                                                     const tensor<std::int32_t, 1, device>& batch = {}) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_interpolate_at_op");
    const idx n = points.extent(0);
    expects(x.extent(0) == at.capacity, "sqs::sparse::device_interpolate_at_op: x has ", x.extent(0),
            " rows, the sites room for ", at.capacity, "; give one row per site");
    expects(points.extent(1) == D && (batch.size() == 0 || batch.size() == n),
            "sqs::sparse::device_interpolate_at_op: points are [", n, ", ", points.extent(1), "] with ", batch.size(),
            " batch numbers; give ", D, " columns, and one batch number each or none");
    auto terms = detail::empty_terms<T>(e, at, n, rule);
    launch(e, detail::grid_blocks(n), detail::grid_threads,
           detail::corner_terms_kernel<T, D, T>{detail::packed_layout<D>(at.layout), detail::packed_map<D>(map), rule,
                                                at.key.data(), at.order_data(), at.status.data(), points.data(),
                                                batch.size() > 0 ? batch.data() : nullptr, D, 1, n, terms.source.data(),
                                                terms.weight.data()});
    auto y = detail::mixed_rows(e, terms, x);
    return result{std::move(y), saved<T>{x, points, std::move(terms)}};
  }
  template <device_executor E, class T, std::size_t N>
  auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy, const std::array<bool, N>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_interpolate_at_op (backward)");
    const idx n = s.points.extent(0), c = s.x.extent(1);
    detail::require_device_gradient("device_interpolate_at_op", dy, n, c);
    tensor<T, 2, device> dx, dp;
    if (needs[0]) { dx = detail::unmixed_rows(e, s.terms, detail::group_terms(e, s.terms), dy); }
    if (needs[1] && rule.kind == interpolation::nearest) {
      dp = zeros<T, 2>(e, s.points.shape());
    } else if (needs[1]) {
      dp = empty<T, 2>(e, s.points.shape());
      launch(e, detail::grid_blocks(n * warp_size), detail::grid_threads,
             detail::point_gradient_kernel<T, D>{
                 detail::packed_box<D>(detail::packed_layout<D>(at.layout)), detail::packed_map<D>(map),
                 rule.missing == missing_neighbours::renormalise, s.terms.source.data(), s.terms.weight.data(),
                 s.x.data(), dy.data(), s.points.data(), n, c, dp.data()});
    }
    return std::tuple{std::move(dx), std::move(dp)};
  }
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse convolution in device memory: the twin of convolution.hpp. Every variant is this operator on another plan.

#include <sqs/autodiff/result.hpp>
#include <sqs/core/bfloat16.hpp>
#include <sqs/sparse/cuda/bricks.hpp>
#include <sqs/sparse/cuda/column_sums.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/mma_brick_kernels.hpp>
#include <sqs/sparse/cuda/mma_product.hpp>
#include <sqs/sparse/cuda/mma_weight_gradient.hpp>
#include <sqs/sparse/cuda/plan.hpp>

#include <tuple>

namespace sqs::sparse {

/// Features may be stored as X where weights and sums are T.
template <class X, class T>
concept stored_as = std::is_same_v<X, T> ||
    ((std::is_same_v<X, bfloat16> || std::is_same_v<X, float16>)&&std::is_same_v<T, float>);

/// What the factors of products are rounded to. Sums are float in any case (double for tensors of double).
enum class product_precision {
  full,     ///< nothing: products of the scalar type
  tf32,     ///< 10 bits of the fraction, on tensor cores
  bfloat16, ///< 7 bits of the fraction, on tensor cores
  float16   ///< 10 bits of the fraction, on tensor cores, at the speed of bfloat16; at most 65504, and coarse below
            ///< 2^-14: scale losses so that gradients stay between
};

/// What follows a convolution, done before its results leave the registers: y = act(y scale + shift + residual).
template <class T> struct device_epilogue {
  tensor<T, 1, device> scale, shift; ///< [Cout]; no elements: none
  tensor<T, 2, device> residual;     ///< [outputs, Cout]; not set: none
  activation act;
};

/// y[out] = bias + the sum of x[in] W[tap] over the plan's pairs (in, out, tap); see `convolution_op`.
///
/// Shapes      x [inputs, Cin], weight [taps, Cin / groups, Cout], bias [Cout] (no elements: none) -> y [outputs,
///             Cout]; inputs and outputs are the rows there is room for, of which those that do not exist become zero
/// Gradient    x, weight, bias; skips those nobody wants. Weights must be finite: a row without a neighbour adds zero
///             times the weight.
/// Execution   Nothing waits for the device, no atomics: the same bits in every run. A row's sum starts from the bias;
///             then come the middle tap and the others in order. Weight gradients are summed over at most 32 ranges of
///             tiles, added in order. Features may be bfloat16 or float16: sums, weights and their gradients are float.
///             Products on tensor cores round rows, weights and gradients as `precision` says; depthwise ones do not
///             use them. Their factors are copied to shared memory 16 bytes at a time, two or three steps ahead.
/// Errors      precondition_error for shapes that do not belong together, and for tensor cores with double.
/// Cost        2 outputs Cin Cout / groups flops per tap that a tile of 64 outputs has, the same back to x; weight
///             gradients only the pairs there are, and 64 MiB at most (or one gradient) for partial ones. For tensor
///             cores the weights are rounded once per call, and rows too unless they are stored as what is multiplied
///             with channels (of a group) in whole 16 bytes.
struct device_convolution_op {
  device_plan plan;
  idx groups = 1;
  product_precision precision = product_precision::full;
  brick_policy bricks = brick_policy::automatic; ///< on plans that have some: see `with_bricks`

  template <class X, class T> struct saved {
    tensor<X, 2, device> x;
    tensor<T, 3, device> weight;
    bool has_bias;
  };
  template <device_executor E, class X, class T>
    requires stored_as<X, T>
  auto forward(E& e, const tensor<X, 2, device>& x, const tensor<T, 3, device>& weight,
               const tensor<T, 1, device>& bias) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_convolution_op");
    return result{finished(e, x, weight, bias, {}), saved<X, T>{x, weight, bias.size() > 0}};
  }
  /// The forward pass and what follows it, for inference: there is no way back.
  ///
  /// Errors      precondition_error if a part of the epilogue has another shape than y.
  template <device_executor E, class X, class T>
    requires stored_as<X, T> tensor<X, 2, device> finished(E& e, const tensor<X, 2, device>& x,
                                                           const tensor<T, 3, device>& weight,
                                                           const tensor<T, 1, device>& bias,
                                                           const std::type_identity_t<device_epilogue<T>>& then)
  const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_convolution_op");
    check(x, weight, bias);
    auto y = empty<X, 2>(e, {plan.forward.outputs, weight.extent(2)});
    const bool affine = then.scale.size() > 0, residual = static_cast<bool>(then.residual);
    expects(then.scale.size() == then.shift.size() && (!affine || then.scale.extent(0) == y.extent(1)) &&
                (!residual || then.residual.shape() == y.shape()),
            "sqs::sparse::device_convolution: y is [", y.extent(0), ", ", y.extent(1), "], the epilogue has ",
            then.scale.size(), " scales, ", then.shift.size(), " shifts and a residual of ", then.residual.size(),
            " elements; give one scale and shift per channel and a residual of y's shape, or leave them out");
    const detail::packed_epilogue<T> f{affine ? then.scale.data() : nullptr, affine ? then.shift.data() : nullptr,
                                       residual ? then.residual.data() : nullptr, then.act.kind,
                                       static_cast<T>(then.act.slope)};
    multiply<false>(e, plan.forward, plan.forward_flipped(), x, weight, bias.size() > 0 ? bias.data() : nullptr, y, f);
    return y;
  }
  template <device_executor E, class X, class T>
  auto backward(E& e, const saved<X, T>& s, const tensor<X, 2, device>& dy, const std::array<bool, 3>& needs) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_convolution_op (backward)");
    expects(dy.extent(0) == plan.forward.outputs && dy.extent(1) == s.weight.extent(2),
            "sqs::sparse::device_convolution: the gradient of y is [", dy.extent(0), ", ", dy.extent(1), "] but y is [",
            plan.forward.outputs, ", ", s.weight.extent(2), "]; give a gradient of y's shape");
    tensor<X, 2, device> dx;
    tensor<T, 3, device> dw;
    tensor<T, 1, device> db;
    if (needs[0]) {
      dx = empty<X, 2>(e, s.x.shape());
      multiply<true>(e, plan.backward, plan.backward_flipped(), dy, s.weight, nullptr, dx,
                     detail::packed_epilogue<T>{});
    }
    if (needs[1]) { dw = weight_gradient(e, s, dy); }
    if (needs[2]) {
      const idx c = s.has_bias ? dy.extent(1) : 0;
      db = detail::column_sums<T>(e, detail::element_term<X, T>{dy.data(), dy.extent(1)}, plan.forward.status.data(),
                                  dy.extent(0), c);
    }
    return std::tuple{std::move(dx), std::move(dw), std::move(db)};
  }

private:
  bool depthwise(idx cin, idx cout) const { return groups == cin && groups == cout && groups > 1; }
  /// Calls f with the words of tensor cores, if they are to be used: not for sums over no channels.
  template <class T, class F> bool on_tensor_cores(idx depth, F&& f) const {
    expects(precision == product_precision::full || (std::is_same_v<T, float>),
            "sqs::sparse::device_convolution: tensor cores sum floats, the weights are double; use "
            "product_precision::full");
    if (depth == 0) { return false; }
    if constexpr (std::is_same_v<T, float>) {
      if (precision == product_precision::tf32) { f(detail::tf32_words{}); }
      if (precision == product_precision::bfloat16) { f(detail::bfloat16_words{}); }
      if (precision == product_precision::float16) { f(detail::float16_words{}); }
    }
    return precision != product_precision::full;
  }
  template <bool Transposed, class E, class X, class T>
  void multiply(E& e, const neighbour_table& n, bool flipped, const tensor<X, 2, device>& x,
                const tensor<T, 3, device>& weight, std::type_identity_t<const T*> bias, tensor<X, 2, device>& y,
                const detail::packed_epilogue<T>& finish) const {
    const idx from = x.extent(1), to = y.extent(1);
    if (depthwise(from, to)) {
      launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
             detail::depthwise_kernel<X, T>{n.packed(flipped), x.data(), weight.data(), bias, y.data(), to, finish});
      return;
    }
    if (take_bricks(from / groups, to / groups, idx{sizeof(X)})) {
      return multiply_bricks<Transposed>(e, flipped, x, weight, bias, y, finish);
    }
    const bool done = on_tensor_cores<T>(from, [&]<class Words>(Words) {
      const auto rows = detail::rows_of_words<Words>::of(e, x, groups);
      const auto shape = detail::product_shape(n.outputs, groups, to / groups);
      const auto panels =
          detail::weights_of_words<Words>::of(e, weight, groups, from / groups, to / groups, Transposed, shape.columns);
      detail::with_shape(shape, [&]<detail::mma_shape Shape>() {
        each_split(e, n, flipped, y, [&](const detail::packed_table& table, const T* before, T* sums) {
          run(e,
              detail::mma_product_kernel<X, Words, Shape>{table, rows.data, panels.panels.data(), bias, y.data(),
                                                          groups, to / groups, panels.room, rows.words, finish, before,
                                                          sums},
              Shape.threads());
        });
      });
    });
    if (done) { return; }
    each_split(e, n, flipped, y, [&](const detail::packed_table& table, const T* before, T* sums) {
      run(e,
          detail::table_product_kernel<X, T, detail::product_mode{.transposed = Transposed}>{
              table, x.data(), weight.data(), bias, y.data(), groups, from / groups, to / groups, finish, before, sums},
          detail::product_tile::threads);
    });
  }
  template <class E, class Kernel> static void run(E& e, const Kernel& k, int threads) {
    launch(e, k.blocks(), threads, k);
  }
  /// Calls f(table, where sums begin, where they go on) for the table or, one after the other, for its splits.
  template <class E, class X, class F>
  static void each_split(E& e, const neighbour_table& n, bool flipped, tensor<X, 2, device>& y, F&& f) {
    using T = std::conditional_t<std::is_same_v<X, double>, double, float>;
    if (n.splits.empty()) { return f(n.packed(flipped), nullptr, nullptr); }
    tensor<T, 2, device> between; // sums from one split to the next: in y, if it can hold them
    if constexpr (std::is_same_v<X, T>) {
      between = y;
    } else {
      between = empty<T, 2>(e, y.shape());
    }
    for (const auto& s : n.splits) {
      const bool first = s.first == 0, last = s.first + s.taps == n.taps;
      f(n.packed(s, flipped), first ? nullptr : between.data(), last ? nullptr : between.data());
    }
  }
  bool take_bricks(idx depth, idx columns, idx element_bytes) const {
    if (!plan.bricks || bricks == brick_policy::never) { return false; }
    device_cost cost{.depth = depth, .columns = columns, .element_bytes = element_bytes};
    if (precision != product_precision::full) { cost.flops_per_byte = 100; }
    return bricks == brick_policy::always || detail::bricks_pay(plan.bricks, cost);
  }
  template <bool Transposed, class E, class X, class T>
  void multiply_bricks(E& e, bool flipped, const tensor<X, 2, device>& x, const tensor<T, 3, device>& weight,
                       const T* bias, tensor<X, 2, device>& y, const detail::packed_epilogue<T>& finish) const {
    const idx depth = x.extent(1) / groups, columns = y.extent(1) / groups, count = plan.bricks.rows.extent(0);
    const auto packed = detail::packed(plan.bricks, flipped);
    fill(e, y.data(), y.size(), X(0)); // rows outside the grid and rows that do not exist are in no brick
    const bool done = on_tensor_cores<T>(depth, [&]<class Words>(Words) {
      using kernel = detail::mma_brick_kernel<X, Words>;
      const auto rows = detail::rows_of_words<Words>::of(e, x, groups);
      const auto panels =
          detail::weights_of_words<Words>::of(e, weight, groups, depth, columns, Transposed, kernel::shape.columns);
      run(e,
          kernel{packed, count, rows.data, panels.panels.data(), bias, y.data(), groups, columns, panels.room,
                 rows.words, finish},
          kernel::most_threads);
    });
    if (done) { return; }
    run(e,
        detail::brick_product_kernel<X, T, detail::product_mode{.transposed = Transposed}>{
            packed, count, x.data(), weight.data(), bias, y.data(), groups, depth, columns, finish},
        detail::product_tile::threads);
  }
  template <class E, class X, class T>
  tensor<T, 3, device> weight_gradient(E& e, const saved<X, T>& s, const tensor<X, 2, device>& dy) const {
    auto dw = empty<T, 3>(e, s.weight.shape());
    const idx elements = dw.size();
    const auto ranges = detail::gradient_ranges::of(plan.forward.tiles(), elements * static_cast<idx>(sizeof(T)));
    if (ranges.count == 1) {
      range_gradients(e, s, dy, ranges, dw.data());
      return dw;
    }
    auto partial = empty<T, 2>(e, {ranges.count, elements});
    range_gradients(e, s, dy, ranges, partial.data());
    launch(e, detail::grid_blocks(elements), detail::grid_threads,
           detail::ordered_sum_kernel<T>{partial.data(), ranges.count, elements, dw.data()});
    return dw;
  }
  template <class E, class X, class T> void range_gradients(E& e, const saved<X, T>& s, const tensor<X, 2, device>& dy,
                                                            const detail::gradient_ranges& ranges, T* sums) const {
    const idx cin = s.x.extent(1), cout = dy.extent(1);
    const auto table = plan.forward.packed(plan.forward_flipped());
    if (depthwise(cin, cout)) {
      launch(e, detail::grid_blocks(ranges.count * table.taps * cin), detail::grid_threads,
             detail::depthwise_gradient_kernel<X, T>{table, s.x.data(), dy.data(), cin, ranges, sums});
      return;
    }
    const bool done = on_tensor_cores<T>(std::min(cin, cout), [&]<class Words>(Words) {
      const auto x = detail::rows_of_words<Words>::of(e, s.x, groups),
                 d = detail::rows_of_words<Words>::of(e, dy, groups);
      run(e,
          detail::mma_weight_gradient_kernel<Words>{table, x.data, d.data, x.pieces(groups), d.pieces(groups), groups,
                                                    cin / groups, cout / groups, ranges, sums},
          detail::mma_weight_gradient_kernel<Words>::most_threads);
    });
    if (done) { return; }
    run(e,
        detail::weight_gradient_kernel<X, T>{table, s.x.data(), dy.data(), groups, cin / groups, cout / groups, ranges,
                                             sums},
        detail::product_tile::threads);
  }
  template <class X, class T>
  void check(const tensor<X, 2, device>& x, const tensor<T, 3, device>& w, const tensor<T, 1, device>& bias) const {
    const idx cin = x.extent(1), cout = w.extent(2);
    const int p = static_cast<int>(precision);
    expects(p >= 0 && p <= static_cast<int>(product_precision::float16), "sqs::sparse::device_convolution: precision ",
            p, " is none of product_precision; take full, tf32, bfloat16 or float16");
    expects(x.extent(0) == plan.forward.inputs && w.extent(0) == plan.forward.taps,
            "sqs::sparse::device_convolution: x has ", x.extent(0), " rows and weight ", w.extent(0),
            " taps, the plan has ", plan.forward.inputs, " input rows and ", plan.forward.taps,
            " taps; use the plan of x's sites and this kernel");
    expects(groups > 0 && cin % groups == 0 && cout % groups == 0, "sqs::sparse::device_convolution: ", groups,
            " groups do not divide ", cin, " input and ", cout, " output channels; choose a common divisor");
    expects(w.extent(1) == cin / groups && (bias.size() == 0 || bias.extent(0) == cout),
            "sqs::sparse::device_convolution: x has ", cin, " channels in ", groups, " groups, weight is [",
            w.extent(0), ", ", w.extent(1), ", ", cout, "], bias has ", bias.size(),
            " elements; weight must be [taps, Cin / groups, Cout] and bias [Cout] or empty");
  }
};

} // namespace sqs::sparse

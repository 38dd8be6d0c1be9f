// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse convolution on pair lists: every variant (submanifold, strided, transposed, inverse, generative) is this
/// operator on another plan.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/nn/cast.hpp>
#include <sqs/sparse/bricks.hpp>
#include <sqs/sparse/detail/brick_product.hpp>
#include <sqs/sparse/detail/depthwise.hpp>
#include <sqs/sparse/detail/tile_unit_product.hpp>
#include <sqs/sparse/detail/weight_gradient.hpp>

namespace sqs::sparse {

namespace detail {

/// s[j] = sum_i x[i, j], by ranges of rows that are added in order.
template <class T> tensor<T, 1> sum_of_rows(cpu& e, const tensor<T, 2>& x) {
  const idx n = x.extent(0), c = x.extent(1), step = std::max<idx>(1024, (n + 63) / 64), parts = (n + step - 1) / step;
  auto partial = zeros<T, 2>(e, {parts, c});
  parallel_for(e, n, step, [&](idx begin, idx end) {
    T* const sum = partial.data() + begin / step * c;
    for (idx i = begin; i < end; ++i) {
      for (idx j = 0; j < c; ++j) { sum[j] += x.data()[i * c + j]; }
    }
  });
  auto total = zeros<T, 1>(e, {c});
  for (idx p = 0; p < parts; ++p) {
    for (idx j = 0; j < c; ++j) { total.data()[j] += partial.data()[p * c + j]; }
  }
  return total;
}

} // namespace detail

/// What follows a convolution, done to each tile of rows while it is in the cache: y = act(y scale + shift + residual).
/// The results are bit for bit those of the steps one after another (`row_affine_op`, `nn::add_op`, `activate`).
template <class T> struct epilogue {
  tensor<T, 1> scale, shift; ///< [Cout]; no elements: none
  tensor<T, 2> residual;     ///< [outputs, Cout]; not set: none
  activation act;
};

/// Whether features of bfloat16 are multiplied on the processor's matrix unit (AMX), which rounds weights to bfloat16, too.
enum class unit_policy {
  automatic, ///< where there is one, each group has 32 channels or more on both sides, and bricks are not forced
  never      ///< in float, as where there is none
};

/// y[out] = bias + the sum of x[in] W[tap] over the plan's pairs (in, out, tap); group g of the input channels gives
/// group g of the output channels. `groups` equal to Cin and Cout is the depthwise convolution.
///
/// Shapes      x [inputs, Cin], weight [taps, Cin / groups, Cout], bias [Cout] (no elements: none) -> y [outputs, Cout]
/// Gradient    x, weight, bias; skips those nobody wants.
/// Execution   Tasks of one tile of the plan, or of some columns of one. A row's sum starts from the bias; then come the
///             pairs of the middle tap, those of the other taps in order and, within a tap, in the plan's: neither the
///             threads nor the size of the tiles change a bit. Where the plan has tables for it (`with_bricks`; almost
///             full volumes) and its counts say that it pays, products are taken over bricks: the same sums. Weight
///             gradients are summed over at most 32 ranges of tiles, added in order. Features of bfloat16 may go to a
///             matrix unit (`unit_policy`): taps in order, channels in blocks of 32, the same for any number of threads.
/// Errors      precondition_error for shapes that do not belong together.
/// Cost        2 pairs Cin Cout / groups flops forward, twice that backward; a copy of the weights each way, and 64 MiB
///             at most (or one gradient) for partial weight gradients.
struct convolution_op {
  convolution_plan plan;
  idx groups = 1;
  brick_policy bricks = brick_policy::automatic;
  unit_policy unit = unit_policy::automatic;

  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 3> weight;
    bool has_bias;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 3>& weight, const tensor<T, 1>& bias) const {
    return result{finished(e, x, weight, bias, {}), saved<T>{x, weight, bias.size() > 0}};
  }
  /// The forward pass and what follows it, for inference: there is no way back.
  ///
  /// Errors      precondition_error if a part of the epilogue has another shape than y.
  template <class T> tensor<T, 2> finished(cpu& e, const tensor<T, 2>& x, const tensor<T, 3>& weight,
                                           const tensor<T, 1>& bias, const epilogue<T>& then) const {
    check(x, weight, bias);
    auto y = empty<T, 2>(e, {plan.forward.outputs, weight.extent(2)});
    multiply(e, plan.forward, false, plan.forward_flipped(), x, weight, bias.size() > 0 ? bias.data() : nullptr, y,
             checked(then, y.shape()));
    return y;
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const std::array<bool, 3>& needs) const {
    expects(dy.extent(0) == plan.forward.outputs && dy.extent(1) == s.weight.extent(2),
            "sqs::sparse::convolution: the gradient of y is [", dy.extent(0), ", ", dy.extent(1), "] but y is [",
            plan.forward.outputs, ", ", s.weight.extent(2), "]; give a gradient of y's shape");
    tensor<T, 2> dx;
    tensor<T, 3> dw;
    tensor<T, 1> db;
    if (needs[0]) {
      dx = empty<T, 2>(e, s.x.shape());
      multiply<T>(e, plan.backward, true, plan.backward_flipped(), dy, s.weight, nullptr, dx, {});
    }
    if (needs[1]) {
      dw = empty<T, 3>(e, s.weight.shape());
      const idx cin = s.x.extent(1), cout = dy.extent(1);
      if (depthwise(cin, cout)) {
        detail::depthwise_weight_gradient(e, plan.forward, plan.forward_flipped(), s.x.data(), dy.data(), dw.data(),
                                          cin);
      } else {
        detail::weight_gradient(e, plan.forward, plan.forward_flipped(), groups, cin / groups, s.x.data(), cin,
                                dy.data(), cout, cout, dw.data());
      }
    }
    if (needs[2]) { db = s.has_bias ? detail::sum_of_rows(e, dy) : zeros<T, 1>(e, {0}); }
    return std::tuple{std::move(dx), std::move(dw), std::move(db)};
  }

  /// Features kept as bfloat16: they and their gradients are widened, computed with in float and rounded once; weights
  /// and their gradients stay float. On a matrix unit (`unit_policy`) y and dx are sums of products of bfloat16 numbers,
  /// weights among them, in float; weights must be finite there.
  struct narrow_saved {
    tensor<bfloat16, 2> x;
    tensor<float, 3> weight;
    bool has_bias;
  };
  auto forward(cpu& e, const tensor<bfloat16, 2>& x, const tensor<float, 3>& weight,
               const tensor<float, 1>& bias) const {
    return result{finished(e, x, weight, bias, {}), narrow_saved{x, weight, bias.size() > 0}};
  }
  tensor<bfloat16, 2> finished(cpu& e, const tensor<bfloat16, 2>& x, const tensor<float, 3>& weight,
                               const tensor<float, 1>& bias, const epilogue<float>& then) const {
    if (takes_unit(weight)) { return finished_on<detail::amx_unit>(e, x, weight, bias, then); }
    return nn::converted<bfloat16>(e, finished(e, nn::converted<float>(e, x), weight, bias, then));
  }
  auto backward(cpu& e, const narrow_saved& s, const tensor<bfloat16, 2>& dy, const std::array<bool, 3>& needs) const {
    const auto widened = [&](const tensor<bfloat16, 2>& t, bool read) {
      return read ? nn::converted<float>(e, t) : empty<float, 2>(e, t.shape());
    };
    const bool on_unit = needs[0] && takes_unit(s.weight), data = needs[0] && !on_unit;
    const saved<float> wide{widened(s.x, needs[1]), s.weight, s.has_bias};
    auto [dx, dw, db] =
        backward(e, wide, widened(dy, data || needs[1] || needs[2]), std::array{data, needs[1], needs[2]});
    tensor<bfloat16, 2> narrow;
    if (on_unit) {
      narrow = data_gradient_on<detail::amx_unit>(e, s.weight, dy);
    } else if (needs[0]) {
      narrow = nn::converted<bfloat16>(e, dx);
    }
    return std::tuple{std::move(narrow), std::move(dw), std::move(db)};
  }
  /// What `finished` and the way back to x do on a matrix unit.
  template <detail::matrix_unit Unit>
  tensor<bfloat16, 2> finished_on(cpu& e, const tensor<bfloat16, 2>& x, const tensor<float, 3>& weight,
                                  const tensor<float, 1>& bias, const epilogue<float>& then) const {
    check(x, weight, bias);
    auto y = empty<bfloat16, 2>(e, {plan.forward.outputs, weight.extent(2)});
    const auto w = detail::pack_for_unit(e, weight, groups, false, plan.forward_flipped());
    detail::unit_product<Unit>(e, plan.forward, w, x.data(), x.extent(1), bias.size() > 0 ? bias.data() : nullptr,
                               y.data(), y.extent(1), checked(then, y.shape()));
    return y;
  }
  template <detail::matrix_unit Unit>
  tensor<bfloat16, 2> data_gradient_on(cpu& e, const tensor<float, 3>& weight, const tensor<bfloat16, 2>& dy) const {
    auto dx = empty<bfloat16, 2>(e, {plan.backward.outputs, weight.extent(1) * groups});
    const auto w = detail::pack_for_unit(e, weight, groups, true, plan.backward_flipped());
    detail::unit_product<Unit>(e, plan.backward, w, dy.data(), dy.extent(1), nullptr, dx.data(), dx.extent(1), {});
    return dx;
  }

private:
  bool depthwise(idx cin, idx cout) const { return groups == cin && groups == cout && groups > 1; }
  template <class T> void multiply(cpu& e, const pair_lists& l, bool transposed, bool flipped, const tensor<T, 2>& x,
                                   const tensor<T, 3>& weight, const T* bias, tensor<T, 2>& y,
                                   const detail::row_epilogue<T>& finish) const {
    const idx from = x.extent(1), to = y.extent(1);
    T* const out = y.data();
    if (depthwise(from, to)) {
      parallel_for(e, l.tiles(), 1, [&](idx t, idx) {
        detail::start_tile(l, t, bias, out, to, to);
        detail::depthwise_tile(l, t, flipped, weight.data(), x.data(), out, to);
        if (!finish.nothing()) { detail::finish_tile(l, t, finish, out, to, 0, to); }
      });
      return;
    }
    const auto panels = detail::pack_weights(e, weight, groups, transposed, flipped);
    if (takes_bricks(l, panels.depth, panels.blocks.columns, panels.blocks.lanes)) {
      detail::brick_product(e, l, panels, x.data(), from, bias, out, to, finish);
    } else {
      detail::product(e, l, panels, x.data(), from, bias, out, to, finish);
    }
  }
  bool takes_unit(const tensor<float, 3>& weight) const {
    constexpr idx least = 32; // fewer channels leave registers half empty
    return unit == unit_policy::automatic && bricks != brick_policy::always && groups > 0 &&
           weight.extent(1) >= least && weight.extent(2) / groups >= least && detail::has_amx_unit();
  }
  template <class T> static detail::row_epilogue<T> checked(const epilogue<T>& then, extents<2> y) {
    const bool affine = then.scale.size() > 0, residual = static_cast<bool>(then.residual);
    expects(then.scale.size() == then.shift.size() && (!affine || then.scale.extent(0) == y[1]) &&
                (!residual || then.residual.shape() == y),
            "sqs::sparse::convolution: y is [", y[0], ", ", y[1], "], the epilogue has ", then.scale.size(),
            " scales, ", then.shift.size(), " shifts and a residual of ", then.residual.size(),
            " elements; give one scale and shift per channel and a residual of y's shape, or leave them out");
    return {affine ? then.scale.data() : nullptr, affine ? then.shift.data() : nullptr,
            residual ? then.residual.data() : nullptr, then.act};
  }
  bool takes_bricks(const pair_lists& l, idx depth, idx columns, idx lanes) const {
    const bool possible = static_cast<bool>(l.neighbours);
    expects(bricks != brick_policy::always || possible || l.pairs() == 0,
            "sqs::sparse::convolution: the policy is to use bricks always, but the plan has none; make them with "
            "with_bricks(exec, plan, brick_policy::always)");
    return possible && depth > 0 && l.taps > 0 && bricks != brick_policy::never &&
           (bricks == brick_policy::always || detail::bricks_pay(l, depth, columns, lanes));
  }
  template <class X, class T> void check(const tensor<X, 2>& x, const tensor<T, 3>& w, const tensor<T, 1>& bias) const {
    const idx cin = x.extent(1), cout = w.extent(2);
    expects(x.extent(0) == plan.forward.inputs && w.extent(0) == plan.forward.taps, "sqs::sparse::convolution: x has ",
            x.extent(0), " rows and weight ", w.extent(0), " taps, the plan has ", plan.forward.inputs,
            " input rows and ", plan.forward.taps, " taps; use the plan made for these sites and this kernel");
    expects(groups > 0 && cin % groups == 0 && cout % groups == 0, "sqs::sparse::convolution: ", groups,
            " groups do not divide ", cin, " input and ", cout, " output channels; choose a common divisor");
    expects(w.extent(1) == cin / groups && (bias.size() == 0 || bias.extent(0) == cout),
            "sqs::sparse::convolution: x has ", cin, " channels in ", groups, " groups, weight is [", w.extent(0), ", ",
            w.extent(1), ", ", cout, "], bias has ", bias.size(),
            " elements; weight must be [taps, Cin / groups, Cout] and bias [Cout] or empty");
    expects(plan.backward.inputs == plan.forward.outputs && plan.backward.outputs == plan.forward.inputs &&
                plan.backward.taps == plan.forward.taps,
            "sqs::sparse::convolution: the plan goes from ", plan.forward.inputs, " rows to ", plan.forward.outputs,
            " and back from ", plan.backward.inputs, " to ", plan.backward.outputs, ", with ", plan.forward.taps,
            " and ", plan.backward.taps, " taps; build both ways from the same sites");
  }
};

namespace detail {
/// Uniform within 1/sqrt(fan-in), where the fan-in counts all taps: PyTorch's default of weights and biases.
inline double default_bound(idx in, idx out, idx taps, idx groups) {
  expects(groups > 0 && in % groups == 0 && out % groups == 0, "sqs::sparse::convolution: ", groups,
          " groups do not divide ", in, " input and ", out, " output channels; choose a common divisor");
  return 1 / std::sqrt(static_cast<double>(std::max<idx>(1, taps * in / groups)));
}
} // namespace detail

/// A sparse convolution layer without a bias, as it stands before a norm; the plan is given with each call.
template <class T> struct bias_free_convolution {
  parameter<T, 3> weight; ///< [taps, in / groups, out]
  idx groups = 1;

  static bias_free_convolution make(idx in, idx out, idx taps, initializer& init, idx groups = 1) {
    const double bound = detail::default_bound(in, out, taps, groups);
    return {{init.uniform<T, 3>({taps, in / groups, out}, bound), {}}, groups};
  }
  /// X is T, or bfloat16 where T is float.
  template <graph G, class X>
  variable<G, X, 2> operator()(G& g, variable<G, X, 2> x, const convolution_plan& plan) const {
    return sqs::apply(g, convolution_op{plan, groups}, std::move(x), weight, zeros<T, 1>(g.exec(), {0}));
  }
  SQS_MEMBERS(bias_free_convolution, weight, groups)
};

/// A sparse convolution layer; the plan is given with each call. `bias` may have no elements.
template <class T> struct convolution {
  parameter<T, 3> weight; ///< [taps, in / groups, out]
  parameter<T, 1> bias;
  idx groups = 1;

  static convolution make(idx in, idx out, idx taps, bool with_bias, initializer& init, idx groups = 1) {
    const double bound = detail::default_bound(in, out, taps, groups);
    return {{init.uniform<T, 3>({taps, in / groups, out}, bound), {}},
            {init.uniform<T, 1>({with_bias ? out : 0}, bound), {}, with_bias},
            groups};
  }
  /// X is T, or bfloat16 where T is float.
  template <graph G, class X>
  variable<G, X, 2> operator()(G& g, variable<G, X, 2> x, const convolution_plan& plan) const {
    return sqs::apply(g, convolution_op{plan, groups}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(convolution, weight, bias, groups)
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Convolution, norm, activation and residual as one block: recorded step by step on a training graph, fused on an
/// inference graph.

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/normalization.hpp>

#include <optional>

namespace sqs::sparse {

/// What stands around the convolutions of a block. Derive from it and say what differs.
struct block_policy {
  template <class T> using norm = batch_norm<T>; ///< or `voxel_group_norm`, `nn::layer_norm`, `no_norm`, your own
  static constexpr activation act{activation_kind::relu};
  static constexpr bool bias = false; ///< of the convolutions
};
/// With the leaky relu of slope 0.01.
struct leaky_block_policy : block_policy {
  static constexpr activation act{activation_kind::leaky_relu, 0.01};
};

namespace detail {
template <class G, class Norm>
concept foldable_norm = requires(const Norm& n, G& g) {
  { n.template is_affine<G>() } -> std::convertible_to<bool>;
  n.folded(g);
};
} // namespace detail

/// y = act(norm(conv(x)) + residual).
///
/// Gradient    all parameters, x, residual
/// Execution   On an inference graph one pass, if the norm folds into a scale and a shift or there is none: its results
///             are bit for bit those of the steps.
template <class T, class Policy = block_policy> struct convolution_block {
  static constexpr bool has_bias = Policy::bias;
  std::conditional_t<has_bias, convolution<T>, bias_free_convolution<T>> conv;
  typename Policy::template norm<T> norm;

  static convolution_block make(idx in, idx out, idx taps, initializer& init, idx groups = 1) {
    if constexpr (has_bias) {
      auto conv = convolution<T>::make(in, out, taps, true, init, groups);
      return {std::move(conv), Policy::template norm<T>::make(out, init)};
    } else {
      auto conv = bias_free_convolution<T>::make(in, out, taps, init, groups);
      return {std::move(conv), Policy::template norm<T>::make(out, init)};
    }
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x, const convolution_plan& plan) const {
    return then(g, std::move(x), plan, std::nullopt, Policy::act);
  }
  /// With a residual (or none), and an activation in the place of the policy's.
  template <graph G> variable<G, T, 2> then(G& g, variable<G, T, 2> x, const convolution_plan& plan,
                                            std::type_identity_t<std::optional<variable<G, T, 2>>> residual,
                                            activation act) const {
    if constexpr (!G::records) {
      epilogue<T> last{{}, {}, residual ? residual->value() : tensor<T, 2>{}, act};
      if (fold(g, last)) { return g.input(fused(g.exec(), x.value(), plan, last)); }
    }
    auto y = norm(g, conv(g, std::move(x), plan));
    if (residual) { y = nn::add(g, std::move(y), *std::move(residual)); }
    return activate(g, act, std::move(y));
  }
  SQS_MEMBERS(convolution_block, conv, norm)

private:
  template <graph G> bool fold(G& g, epilogue<T>& into) const {
    using type = typename Policy::template norm<T>;
    if constexpr (std::is_same_v<type, no_norm<T>>) {
      return true;
    } else if constexpr (detail::foldable_norm<G, type>) {
      if (!norm.template is_affine<G>()) { return false; }
      auto [scale, shift] = norm.folded(g);
      into.scale = scale.value();
      into.shift = shift.value();
      return true;
    } else {
      return false;
    }
  }
  tensor<T, 2> fused(cpu& e, const tensor<T, 2>& x, const convolution_plan& plan, const epilogue<T>& last) const {
    const convolution_op op{plan, conv.groups};
    if constexpr (has_bias) {
      return op.finished(e, x, conv.weight.value, conv.bias.value, last);
    } else {
      return op.finished(e, x, conv.weight.value, zeros<T, 1>(e, {0}), last);
    }
  }
};

/// y = act(norm(conv(act(norm(conv(x))))) + x), both convolutions on the same submanifold plan.
template <class T, class Policy = block_policy> struct residual_block {
  convolution_block<T, Policy> first, second;

  static residual_block make(idx channels, idx taps, initializer& init) {
    auto first = convolution_block<T, Policy>::make(channels, channels, taps, init);
    return {std::move(first), convolution_block<T, Policy>::make(channels, channels, taps, init)};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x, const convolution_plan& plan) const {
    auto y = first(g, x, plan);
    return second.then(g, std::move(y), plan, std::move(x), Policy::act);
  }
  SQS_MEMBERS(residual_block, first, second)
};

} // namespace sqs::sparse

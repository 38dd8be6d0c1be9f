// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gradient checks against central differences, for ops and for whole models. Public: every op of a host project
/// deserves one too.

#include <sqs/autodiff/apply.hpp>
#include <sqs/core/random.hpp>

#include <functional>
#include <limits>

namespace sqs {

/// The worst disagreement found.
struct gradient_report {
  double worst = 0;    ///< relative error beyond the rounding of the difference quotient
  std::string where;   ///< input (or parameter) and element
  double analytic = 0; ///< the two numbers there
  double numeric = 0;
  double difference = 0; ///< largest |analytic - numeric|, rounding included
  double largest = 0;    ///< largest |analytic|: what to hold `difference` against
  idx checked = 0;       ///< elements compared
  idx nonzero = 0;       ///< of them with a gradient that is not zero: a check of only zeros proves nothing
};

/// How a gradient is checked.
struct gradient_check {
  double step = 1e-4;    ///< of the fourth-order difference quotient
  idx samples = 1 << 30; ///< most elements per tensor, chosen by `seed`
  std::uint64_t seed = 1;
};

namespace detail {

/// Compares dL/dx[i] with (8(L(+h) - L(-h)) - (L(+2h) - L(-2h))) / 12h for the elements of x. Not a template: it would
/// be compiled for every input of every op that is checked.
inline void compare_gradient(const gradient_check& check, gradient_report& r, const std::string& name, double* x,
                             const double* gradient, idx n, const std::function<double()>& loss) {
  const auto pick = random_stream::of(check.seed, n);
  const idx count = std::min(n, check.samples);
  for (idx k = 0; k < count; ++k) {
    const idx i = count == n ? k : static_cast<idx>(pick.uniform(k) * static_cast<double>(n));
    const double kept = x[i], h = check.step;
    const auto at = [&](double v) {
      x[i] = v;
      return loss();
    };
    const double p1 = at(kept + h), m1 = at(kept - h), p2 = at(kept + 2 * h), m2 = at(kept - 2 * h);
    x[i] = kept;
    const double numeric = (8 * (p1 - m1) - (p2 - m2)) / (12 * h);
    const double size = std::max({std::abs(p1), std::abs(m1), std::abs(p2), std::abs(m2), 1e-3});
    const double rounding = 16 * std::numeric_limits<double>::epsilon() * size / h;
    const double analytic = gradient == nullptr ? 0.0 : gradient[i];
    const double gap = std::abs(analytic - numeric);
    // Written so that NaN is an error: it fails the first comparison and every one after.
    const double error = gap <= rounding ? 0 : (gap - rounding) / std::max(std::abs(analytic), std::abs(numeric));
    r.difference = std::max(r.difference, gap);
    r.largest = std::max(r.largest, std::abs(analytic));
    ++r.checked;
    r.nonzero += analytic != 0 ? 1 : 0;
    if (!(error <= r.worst)) {
      r.worst = std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
      r.where = name + "[" + std::to_string(i) + "]";
      r.analytic = analytic;
      r.numeric = numeric;
    }
  }
}

/// A fixed random weighting turns any value into one number: sum_i w_i y_i.
template <class Value, class F> void for_each_output(Value& value, F&& f) {
  if constexpr (is_tuple<std::remove_const_t<Value>>) {
    std::apply([&](auto&... v) { (f(v), ...); }, value);
  } else {
    f(value);
  }
}
template <class Value> double project(const Value& value, const gradient_check& check) {
  double sum = 0;
  int output = 0;
  for_each_output(value, [&](const auto& v) {
    if constexpr (is_differentiable_tensor<std::remove_cvref_t<decltype(v)>>) {
      const auto w = random_stream::of(check.seed, 7, output++);
      for (idx i = 0; i < v.size(); ++i) { sum += w.uniform(i, -1, 1) * v.data()[i]; }
    }
  });
  return sum;
}
template <class E, class Value> auto projection_gradient(E& e, const Value& value, const gradient_check& check) {
  int output = 0;
  const auto one = [&](const auto& v) {
    using type = std::remove_cvref_t<decltype(v)>;
    if constexpr (is_differentiable_tensor<type>) {
      const auto w = random_stream::of(check.seed, 7, output++);
      auto d = empty<double, type::rank>(e, v.shape());
      for (idx i = 0; i < d.size(); ++i) { d.data()[i] = w.uniform(i, -1, 1); }
      return std::tuple<type>(d);
    } else {
      return std::tuple<>{};
    }
  };
  if constexpr (is_tuple<Value>) {
    return std::apply(
        [&](const auto&... v) {
          const std::tuple<decltype(one(v))...> parts{one(v)...}; // braces: evaluated in order
          return std::apply([](const auto&... t) { return std::tuple_cat(t...); }, parts);
        },
        value);
  } else {
    return one(value);
  }
}

} // namespace detail

/// Checks an op's backward pass: every element of every differentiable input against central differences of a random
/// projection of its outputs. Tensors are double and are restored.
///
/// Example     `EXPECT_LE(check_gradient(exec, nn::relu{}, x).worst, 1e-7);`
template <executor E, class Op, class... In>
gradient_report check_gradient(E& e, const Op& op, gradient_check check, In&... in) {
  gradient_report r;
  auto forward = op.forward(e, std::as_const(in)...);
  // Two outputs are weighted in one order for the value and for the gradient: forwards.
  auto d = detail::projection_gradient(e, forward.value, check);
  std::array<bool, sizeof...(In)> needs;
  needs.fill(true);
  auto gradients = detail::as_tuple(
      std::apply([&](const auto&... each) { return detail::call_backward(op, e, forward.saved, needs, each...); }, d));
  constexpr std::size_t count = std::tuple_size_v<decltype(gradients)>;
  auto inputs = std::tie(in...);
  const std::function<double()> loss = [&] {
    return detail::project(op.forward(e, std::as_const(in)...).value, check);
  };
  const auto one = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
    if constexpr (I < count) {
      auto& x = std::get<I>(inputs);
      const auto& g = std::get<I>(gradients);
      expects(g.shape() == x.shape(), "sqs::check_gradient: the gradient of input ", I,
              " has another shape than the input");
      detail::compare_gradient(check, r, "input " + std::to_string(I), x.data(), g.data(), x.size(), loss);
    }
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) { (one(std::integral_constant<std::size_t, I>{}), ...); }
  (std::index_sequence_for<In...>{});
  return r;
}
template <executor E, class Op, class... In> gradient_report check_gradient(E& e, const Op& op, In&... in) {
  return check_gradient(e, op, gradient_check{}, in...);
}

/// Checks a whole model: `loss(graph)` returns a rank-0 variable; the parameters of `model` (double) are sampled.
template <executor E, reflected Model, class Loss>
gradient_report check_model_gradient(E& e, Model& model, gradient_check check, Loss&& loss) {
  gradient_report r;
  zero_gradients(model); // in place: an optimiser may hold the handles
  {
    training_graph<E> g{e};
    g.backward(loss(g));
  }
  for_each_parameter(model, [&](const std::string& name, auto& p) {
    if (!p.trainable) { return; }
    detail::compare_gradient(check, r, name, p.value.data(), p.gradient ? p.gradient.data() : nullptr, p.value.size(),
                             [&] {
                               inference_graph<E> g{e};
                               return *loss(g).value().data();
                             });
  });
  return r;
}

} // namespace sqs

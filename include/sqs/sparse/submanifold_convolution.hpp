// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Submanifold sparse convolution: outputs live exactly where inputs do.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/exec/gemm.hpp>
#include <sqs/sparse/submanifold_plan.hpp>

namespace sqs::sparse {

/// y[out] += x[in] W[tap] for every pair of the plan (cross-correlation: tap k sees the voxel at offset k - kernel/2).
///
/// Shapes      x [N, Cin], weight [taps, Cin, Cout] -> y [N, Cout]
/// Gradient    x, weight
/// Execution   Tap after tap: gather, product, scatter. Rows are added in plan order.
/// Cost        2 pairs Cin Cout flops forward, twice that backward.
struct submanifold_convolution_op {
  submanifold_plan plan;
  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 3> weight;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 3>& weight) const {
    const idx cin = x.extent(1), cout = weight.extent(2);
    expects(x.extent(0) == plan.rows && weight.extent(0) == plan.taps() && weight.extent(1) == cin,
            "sqs::sparse::submanifold_convolution: x is [", x.extent(0), ", ", cin, "], weight [", weight.extent(0),
            ", ", weight.extent(1), ", ", cout, "], the plan has ", plan.rows, " rows and ", plan.taps(),
            " taps; x must have the plan's rows and weight be [taps, Cin, Cout]");
    auto y = zeros<T, 2>(e, {plan.rows, cout});
    for (idx tap = 0; tap < plan.taps(); ++tap) {
      const auto in = gathered(e, x, plan.input, tap);
      auto out = empty<T, 2>(e, {in.extent(0), cout});
      gemm<T>(e, false, false, in.extent(0), cout, cin, in.data(), cin, tap_of(weight, tap), cout, out.data(), cout);
      scatter(out, plan.output, tap, y);
    }
    return result{std::move(y), saved<T>{x, weight}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy) const {
    const idx cin = s.x.extent(1), cout = dy.extent(1);
    auto dx = zeros<T, 2>(e, s.x.shape());
    auto dw = zeros<T, 3>(e, s.weight.shape());
    for (idx tap = 0; tap < plan.taps(); ++tap) {
      const auto in = gathered(e, s.x, plan.input, tap), d = gathered(e, dy, plan.output, tap);
      const idx pairs = in.extent(0);
      if (pairs == 0) { continue; }
      auto back = empty<T, 2>(e, {pairs, cin});
      gemm<T>(e, false, true, pairs, cin, cout, d.data(), cout, tap_of(s.weight, tap), cout, back.data(), cin);
      scatter(back, plan.input, tap, dx);
      gemm<T>(e, true, false, cin, cout, pairs, in.data(), cin, d.data(), cout, dw.data() + tap * cin * cout, cout);
    }
    return std::tuple{std::move(dx), std::move(dw)};
  }

private:
  template <class T> static const T* tap_of(const tensor<T, 3>& w, idx tap) {
    return w.data() + tap * w.extent(1) * w.extent(2);
  }
  template <class T>
  tensor<T, 2> gathered(cpu& e, const tensor<T, 2>& x, const tensor<std::int32_t, 1>& rows, idx tap) const {
    const idx first = plan.offsets(tap), n = plan.offsets(tap + 1) - first, c = x.extent(1);
    auto out = empty<T, 2>(e, {n, c});
    for (idx i = 0; i < n; ++i) { std::copy_n(x.data() + rows.data()[first + i] * c, c, out.data() + i * c); }
    return out;
  }
  template <class T>
  void scatter(const tensor<T, 2>& from, const tensor<std::int32_t, 1>& rows, idx tap, tensor<T, 2>& to) const {
    const idx first = plan.offsets(tap), n = from.extent(0), c = to.extent(1);
    for (idx i = 0; i < n; ++i) {
      T* row = to.data() + rows.data()[first + i] * c;
      for (idx j = 0; j < c; ++j) { row[j] += from.data()[i * c + j]; }
    }
  }
};

/// A submanifold convolution without bias.
template <class T> struct submanifold_convolution {
  parameter<T, 3> weight;
  /// Xavier-uniform with the fans PyTorch computes for spconv's stored layout [out, kx, ky, kz, in].
  static submanifold_convolution make(idx in, idx out, idx kernel, initializer& init) {
    const idx fan_in = kernel * kernel * kernel * in, fan_out = out * kernel * kernel * in;
    return {{init.xavier<T, 3>({kernel * kernel * kernel, in, out}, fan_in, fan_out), {}}};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x, const submanifold_plan& plan) const {
    return sqs::apply(g, submanifold_convolution_op{plan}, std::move(x), weight);
  }
  SQS_MEMBERS(submanifold_convolution, weight)
};

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The affine map y = x W^T + b.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/exec/gemm.hpp>
#include <sqs/nn/column_sums.hpp>

namespace sqs::nn {

/// y = x W^T + b.
///
/// Shapes      x [N, In], W [Out, In], b [Out] -> y [N, Out]
/// Gradient    x, W, b; skips the products nobody wants.
/// Cost        2 N In Out flops forward, twice that backward.
struct linear_op {
  template <class T> struct saved { tensor<T, 2> x, w; };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 2>& w, const tensor<T, 1>& b) const {
    const idx n = x.extent(0), in = x.extent(1), out = w.extent(0);
    expects(w.extent(1) == in && b.extent(0) == out, "sqs::nn::linear: x is [", n, ", ", in, "], W is [", out, ", ",
            w.extent(1), "], b is [", b.extent(0), "]; x and W must agree in their last extent, b with W's first");
    auto y = empty<T, 2>(e, {n, out});
    parallel_for(e, n, 512, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) { std::copy_n(b.data(), out, y.data() + i * out); }
    });
    gemm<T>(e, false, true, n, out, in, x.data(), in, w.data(), in, y.data(), out, true);
    return result{std::move(y), saved<T>{x, w}};
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const std::array<bool, 3>& needs) const {
    const idx n = s.x.extent(0), in = s.x.extent(1), out = s.w.extent(0);
    tensor<T, 2> dx, dw;
    tensor<T, 1> db;
    if (needs[0]) {
      dx = empty<T, 2>(e, {n, in});
      gemm<T>(e, false, false, n, in, out, dy.data(), out, s.w.data(), in, dx.data(), in);
    }
    if (needs[1]) {
      dw = empty<T, 2>(e, {out, in});
      gemm<T>(e, true, false, out, in, n, dy.data(), out, s.x.data(), in, dw.data(), in);
    }
    if (needs[2]) { db = column_sums(e, dy); }
    return std::tuple{std::move(dx), std::move(dw), std::move(db)};
  }
};

/// A linear layer.
template <class T> struct linear {
  parameter<T, 2> weight;
  parameter<T, 1> bias;

  /// PyTorch's default initialisation: uniform within 1/sqrt(In).
  static linear make(idx in, idx out, initializer& init) {
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    return {{init.uniform<T, 2>({out, in}, bound), {}}, {init.uniform<T, 1>({out}, bound), {}}};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x) const {
    return sqs::apply(g, linear_op{}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(linear, weight, bias)
};

} // namespace sqs::nn

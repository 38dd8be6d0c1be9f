// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Small networks of linear layers, and the op that cuts columns out of a matrix.

#include <sqs/nn/activation.hpp>
#include <sqs/nn/linear.hpp>
#include <sqs/nn/normalization.hpp>

namespace sqs::nn {

/// y = x[:, first : first + count].
///
/// Shapes      x [N, C] -> y [N, count]
/// Gradient    x
struct columns_op {
  idx first = 0, count = 1;
  struct saved {
    extents<2> shape;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    const idx n = x.extent(0), c = x.extent(1);
    expects(first >= 0 && count >= 0 && first + count <= c, "sqs::nn::columns: columns ", first, " to ", first + count,
            " of ", c, " do not exist");
    auto y = empty<T, 2>(e, {n, count});
    for (idx i = 0; i < n; ++i) { std::copy_n(x.data() + i * c + first, count, y.data() + i * count); }
    return result{std::move(y), saved{x.shape()}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    auto dx = zeros<T, 2>(e, s.shape);
    for (idx i = 0; i < s.shape[0]; ++i) {
      std::copy_n(dy.data() + i * count, count, dx.data() + i * s.shape[1] + first);
    }
    return dx;
  }
};

/// y = [a | b].
///
/// Shapes      a [N, A], b [N, B] -> y [N, A + B]
/// Gradient    a, b
struct concatenate_op {
  struct saved {
    idx a, b;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& a, const tensor<T, 2>& b) const {
    const idx n = a.extent(0), ca = a.extent(1), cb = b.extent(1);
    expects(b.extent(0) == n, "sqs::nn::concatenate: ", n, " and ", b.extent(0), " rows; they must agree");
    auto y = empty<T, 2>(e, {n, ca + cb});
    for (idx i = 0; i < n; ++i) {
      std::copy_n(a.data() + i * ca, ca, y.data() + i * (ca + cb));
      std::copy_n(b.data() + i * cb, cb, y.data() + i * (ca + cb) + ca);
    }
    return result{std::move(y), saved{ca, cb}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    const idx n = dy.extent(0), c = s.a + s.b;
    auto da = empty<T, 2>(e, {n, s.a}), db = empty<T, 2>(e, {n, s.b});
    for (idx i = 0; i < n; ++i) {
      std::copy_n(dy.data() + i * c, s.a, da.data() + i * s.a);
      std::copy_n(dy.data() + i * c + s.a, s.b, db.data() + i * s.b);
    }
    return std::tuple{std::move(da), std::move(db)};
  }
};

/// `outer` times { `inner` times {linear, relu}, layer norm }: the block of GaussianFormer and Sparse4D.
///
/// Shapes      [N, In] -> [N, Out]
template <class T> struct linear_relu_norm {
  std::vector<linear<T>> linears;
  std::vector<layer_norm<T>> norms;
  int inner = 1;

  static linear_relu_norm make(idx in, idx out, int inner, int outer, initializer& init) {
    linear_relu_norm m;
    m.inner = inner;
    for (int o = 0; o < outer; ++o) {
      for (int i = 0; i < inner; ++i) { m.linears.push_back(linear<T>::make(o + i == 0 ? in : out, out, init)); }
      m.norms.push_back(layer_norm<T>::make(out, init));
    }
    return m;
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x) const {
    for (std::size_t o = 0; o < norms.size(); ++o) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(inner); ++i) {
        x = relu(g, linears[o * static_cast<std::size_t>(inner) + i](g, std::move(x)));
      }
      x = norms[o](g, std::move(x));
    }
    return x;
  }
  SQS_MEMBERS(linear_relu_norm, linears, norms, inner)
};

/// The feed-forward block of GaussianFormer: x <- norm(x); identity(x) + second(dropout(relu(first(x)))).
///
/// Shapes      [N, In] -> [N, Out]. The shortcut is a linear map of the *normalised* input, also where In == Out.
template <class T> struct asymmetric_feed_forward {
  layer_norm<T> norm;
  linear<T> first, second, identity;
  double dropout = 0;

  static asymmetric_feed_forward make(idx in, idx hidden, idx out, double dropout, initializer& init) {
    auto norm = layer_norm<T>::make(in, init);
    auto first = linear<T>::make(in, hidden, init);
    auto second = linear<T>::make(hidden, out, init);
    return {std::move(norm), std::move(first), std::move(second), linear<T>::make(in, out, init), dropout};
  }
  /// `stream` addresses the dropout mask; it is used only where the graph records.
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x, random_stream stream) const {
    x = norm(g, std::move(x));
    auto h = relu(g, first(g, x));
    if (dropout > 0 && g.recording()) { h = sqs::apply(g, dropout_op{dropout, stream}, std::move(h)); }
    h = second(g, std::move(h));
    return add(g, identity(g, std::move(x)), std::move(h));
  }
  SQS_MEMBERS(asymmetric_feed_forward, norm, first, second, identity, dropout)
};

} // namespace sqs::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Features in another scalar type: float for computing, `bfloat16` for keeping.

#include <sqs/autodiff/apply.hpp>
#include <sqs/exec/parallel.hpp>

namespace sqs::nn {

/// x in another scalar type, rounded to the nearest.
template <class To, class From, int Rank> tensor<To, Rank> converted(cpu& e, const tensor<From, Rank>& x) {
  auto y = empty<To, Rank>(e, x.shape());
  const From* const from = x.data();
  To* const to = y.data();
  parallel_for(e, x.size(), idx{1} << 15, [=](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { to[i] = static_cast<To>(from[i]); }
  });
  return y;
}

/// y = x in the scalar type To.
///
/// Shapes      x of any rank -> y of the same
/// Gradient    x: dy in x's type
/// Cost        one pass
template <class To> struct cast_op {
  template <class From> struct saved {};
  template <class From, int Rank> auto forward(cpu& e, const tensor<From, Rank>& x) const {
    return result{converted<To>(e, x), saved<From>{}};
  }
  template <class From, int Rank> auto backward(cpu& e, const saved<From>&, const tensor<To, Rank>& dy) const {
    return converted<From>(e, dy);
  }
};

/// `cast<bfloat16>(g, x)`
template <class To, graph G, class From, int Rank> variable<G, To, Rank> cast(G& g, variable<G, From, Rank> x) {
  return sqs::apply(g, cast_op<To>{}, std::move(x));
}

} // namespace sqs::nn

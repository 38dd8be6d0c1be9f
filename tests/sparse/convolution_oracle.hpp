// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the tests of sparse convolution share: sites and pairs at random, the operator in its plainest form, comparisons.

#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "pairs_oracle.hpp"

#include <sqs/sparse/convolution.hpp>

#include <set>

namespace sqs::test {

using sparse::convolution_op;

/// n distinct sites of two batches in a cube of `side`, sorted.
inline std::vector<site> random_sites(idx n, int side, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::set<site> sites;
  for (idx i = 0; static_cast<idx>(sites.size()) < n; i += 4) {
    const auto draw = [&](idx k, int most) { return static_cast<int>(s.uniform(i + k) * most); };
    sites.insert({draw(0, 2), draw(1, side), draw(2, side), draw(3, side)});
  }
  return {sites.begin(), sites.end()};
}
/// Pairs without any geometry, some of them twice; every third output gets none.
inline std::vector<pair> random_pairs(idx n, idx inputs, idx outputs, idx taps, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::vector<pair> pairs;
  for (idx i = 0; i < n; ++i) {
    const auto draw = [&](idx k, idx most) {
      return static_cast<std::int32_t>(s.uniform(4 * i + k) * static_cast<double>(most));
    };
    const pair p{draw(0, taps), draw(1, inputs), draw(2, outputs)};
    if (p.output % 3 == 2) { continue; }
    pairs.push_back(p);
    if (i % 5 == 0) { pairs.push_back({p.tap, draw(3, inputs), p.output}); }
  }
  return pairs;
}
/// Every second site, halved: the outputs of a strided convolution.
inline std::vector<site> coarse(const std::vector<site>& fine) {
  std::set<site> sites;
  for (const auto& f : fine) { sites.insert({f[0], f[1] / 2, f[2] / 2, f[3] / 2}); }
  return {sites.begin(), sites.end()};
}

/// What the operator computes, in its plainest form: one number times another, in double.
struct plain {
  std::vector<pair> pairs;
  idx inputs, outputs, taps, cin, cout, groups;

  template <class F> void for_each_product(F&& f) const {
    const idx in = cin / groups, out = cout / groups;
    for (const auto& p : pairs) {
      for (idx o = 0; o < cout; ++o) {
        for (idx k = 0; k < in; ++k) {
          f(p.input * cin + o / out * in + k, (p.tap * in + k) * cout + o, p.output * cout + o);
        }
      }
    }
  }
  template <class T>
  std::vector<double> forward(const tensor<T, 2>& x, const tensor<T, 3>& w, const tensor<T, 1>& bias) const {
    std::vector<double> y(static_cast<std::size_t>(outputs * cout));
    for (std::size_t i = 0; i < y.size() && bias.size() > 0; ++i) { y[i] = bias.data()[static_cast<idx>(i) % cout]; }
    for_each_product([&](idx i, idx k, idx o) {
      y[static_cast<std::size_t>(o)] += static_cast<double>(x.data()[i]) * static_cast<double>(w.data()[k]);
    });
    return y;
  }
  template <class T> std::vector<double> dx(const tensor<T, 3>& w, const tensor<T, 2>& dy) const {
    std::vector<double> d(static_cast<std::size_t>(inputs * cin));
    for_each_product([&](idx i, idx k, idx o) {
      d[static_cast<std::size_t>(i)] += static_cast<double>(dy.data()[o]) * static_cast<double>(w.data()[k]);
    });
    return d;
  }
  template <class T> std::vector<double> dw(const tensor<T, 2>& x, const tensor<T, 2>& dy) const {
    std::vector<double> d(static_cast<std::size_t>(taps * (cin / groups) * cout));
    for_each_product([&](idx i, idx k, idx o) {
      d[static_cast<std::size_t>(k)] += static_cast<double>(dy.data()[o]) * static_cast<double>(x.data()[i]);
    });
    return d;
  }
};

template <class T, int R> double worst(const tensor<T, R>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), static_cast<idx>(b.size()));
  double gap = 0;
  for (idx i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - b[static_cast<std::size_t>(i)]);
    gap = d <= gap ? gap : d; // NaN stays
  }
  return gap;
}
template <int R> double dot(const tensor<double, R>& a, const tensor<double, R>& b) {
  double sum = 0;
  for (idx i = 0; i < a.size(); ++i) { sum += a.data()[i] * b.data()[i]; }
  return sum;
}
inline constexpr std::array<bool, 3> all_gradients{true, true, true};
inline const tensor<double, 1> no_bias = make_tensor<double, 1>({0});
inline const tensor<float, 1> no_bias_float = make_tensor<float, 1>({0});

/// Forward pass and all gradients of `op` on random numbers against the plain sums.
inline void expect_plain(cpu& e, const convolution_op& op, const plain& p, double bound) {
  const auto x = random<2>({p.inputs, p.cin}, 1), dy = random<2>({p.outputs, p.cout}, 2);
  const auto w = random<3>({p.taps, p.cin / p.groups, p.cout}, 3);
  const auto bias = random<1>({p.cout}, 4);
  const auto r = op.forward(e, x, w, bias);
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all_gradients);
  EXPECT_LE(worst(r.value, p.forward(x, w, bias)), bound);
  EXPECT_LE(worst(dx, p.dx(w, dy)), bound);
  EXPECT_LE(worst(dw, p.dw(x, dy)), bound);
  for (idx o = 0; o < p.cout; ++o) {
    double sum = 0;
    for (idx i = 0; i < p.outputs; ++i) { sum += dy(i, o); }
    EXPECT_NEAR(db(o), sum, bound);
  }
}

} // namespace sqs::test

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The arithmetic of numpy where official evaluators rest on it, operation for operation: to agree with them in every
/// digit, sums must run in their order and products must be rounded where theirs are.

#include <sqs/core/math.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <vector>

namespace sqs::metric::detail {

/// a * b, rounded: no compiler may fuse it with the sum it goes into, as it may with a plain product.
inline double product(double a, double b) { return std::fma(a, b, 0.0); }

/// numpy.sum: eight sums side by side below 129 numbers, halves above.
inline double sum(std::span<const double> x) {
  const std::size_t n = x.size();
  if (n < 8) {
    double s = 0;
    for (const double v : x) { s += v; }
    return s;
  }
  if (n > 128) {
    const std::size_t half = n / 2 - n / 2 % 8;
    return sum(x.first(half)) + sum(x.subspan(half));
  }
  std::array<double, 8> r{};
  std::copy_n(x.begin(), 8, r.begin());
  std::size_t i = 8;
  for (; i + 8 <= n; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) { r[k] += x[i + k]; }
  }
  double s = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < n; ++i) { s += x[i]; }
  return s;
}
/// numpy.mean; NaN of nothing.
inline double mean(std::span<const double> x) { return sum(x) / static_cast<double>(x.size()); }
/// numpy.nanmean: NaN where every number is NaN.
inline double nan_mean(std::span<const double> x) {
  std::vector<double> kept(x.begin(), x.end());
  double count = 0;
  for (double& v : kept) {
    if (std::isnan(v)) {
      v = 0;
    } else {
      count += 1;
    }
  }
  return sum(kept) / count;
}

/// numpy.interp(x, xp, fp, right=right): linear between the points, the first value left of them. `xp` ascends.
inline double interpolate(double x, std::span<const double> xp, std::span<const double> fp, double right) {
  if (x > xp.back()) { return right; }
  if (x < xp.front()) { return fp.front(); }
  const auto j = static_cast<std::size_t>(std::upper_bound(xp.begin(), xp.end(), x) - xp.begin()) - 1;
  if (j + 1 == xp.size() || xp[j] == x) { return fp[j]; }
  const double slope = (fp[j + 1] - fp[j]) / (xp[j + 1] - xp[j]);
  return product(slope, x - xp[j]) + fp[j];
}

/// Python's x % m for positive m: the result is never negative.
inline double modulo(double x, double m) {
  const double r = std::fmod(x, m);
  return r < 0 ? r + m : r;
}

/// numpy.dot of two vectors of `N` numbers. With `fused` as OpenBLAS computes short ones for AVX-512, else for AVX2.
template <std::size_t N> double dot(const std::array<double, N>& a, const std::array<double, N>& b, bool fused) {
  double s = product(a[0], b[0]);
  for (std::size_t i = 1; i < N; ++i) { s = fused ? std::fma(a[i], b[i], s) : product(a[i], b[i]) + s; }
  return s;
}

/// numpy.arctan2 on a processor with AVX-512, which is not the C library's: one quotient and one odd polynomial of
/// degree 39, within 4 units in the last place.
///
/// Source      the polynomial and its order of evaluation: Intel SVML (svml_z0_atan2_d_la), as numpy ships it.
inline double arctan2_avx512(double y, double x) {
  const double ay = std::abs(y), ax = std::abs(x);
  if (!(std::min(ax, ay) > 0x1p-1020 && std::max(ax, ay) < 0x1p993)) { return std::atan2(y, x); }
  const bool flat = ay < ax;
  const double q = flat ? ay / ax : -ax / ay, q2 = product(q, q), q4 = product(q2, q2), q8 = product(q4, q4);
  // Coefficients of q^3, q^5, ... q^39; four chains in powers of q^8.
  constexpr std::array<double, 19> c{
      -0x1.55555555553c5p-2,  0x1.999999997ee34p-3,  -0x1.2492491ee55c7p-3, 0x1.c71c707f7d5b5p-4,
      -0x1.745d009bada94p-4,  0x1.3b12a49295651p-4,  -0x1.11084009435e0p-4, 0x1.e1749bd612dcfp-5,
      -0x1.ad261eaa09954p-5,  0x1.7ec0fbc50683bp-5,  -0x1.4efa2e563c1bcp-5, 0x1.169980cb6ad4fp-5,
      -0x1.a5e83b081f69cp-6,  0x1.14f4c661116a5p-6,  -0x1.2b2ec618e4badp-7, 0x1.f5a1dae82afb3p-9,
      -0x1.2e67c93954c23p-10, 0x1.ced0a36665209p-13, -0x1.4fdb537abc7a3p-16};
  const auto chain = [&](std::size_t lowest) {
    std::size_t i = lowest + 4 * ((c.size() - 1 - lowest) / 4);
    double s = c[i];
    for (; i > lowest; i -= 4) { s = std::fma(q8, s, c[i - 4]); }
    return s;
  };
  const double high = std::fma(q2, chain(2), chain(1)), low = std::fma(q2, chain(0), product(chain(3), q8));
  double angle = std::fma(q, std::fma(q4, high, low), q) + (flat ? 0.0 : std::numbers::pi / 2);
  if (x < 0) { angle = std::numbers::pi - angle; }
  return std::copysign(angle, y);
}

} // namespace sqs::metric::detail

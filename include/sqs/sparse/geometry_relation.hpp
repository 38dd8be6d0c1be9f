// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The one relation behind every sparse convolution: fine = stride coarse + dilation tap - pad.

#include <sqs/sparse/taps.hpp>

namespace sqs::sparse {

/// Tap k joins the fine site f and the coarse site c where f = stride c + dilation k - pad on every axis. A convolution
/// goes from fine to coarse, a transposed one from coarse to fine, a submanifold one from a set of sites to itself.
///
/// Source      The relation as a whole: fVDB. Grids: spconv.
template <int D> struct relation {
  using position = std::array<idx, static_cast<std::size_t>(D)>;
  tap_set<D> taps;
  position stride = detail::filled<D>(1), pad = {}, dilation = detail::filled<D>(1);

  /// Errors      precondition_error if an extent, stride or dilation is not positive, or a number (of taps, too) is
  ///             beyond 2^31.
  void check() const {
    idx count = 1;
    for (std::size_t a = 0; a < stride.size(); ++a) {
      const idx k = taps.extent[a], s = stride[a], d = dilation[a], p = pad[a];
      constexpr idx most = idx{1} << 31;
      expects(k > 0 && s > 0 && d > 0 && k < most && s < most && d < most && p > -most && p < most,
              "sqs::sparse::relation: axis ", a, " has kernel ", k, ", stride ", s, ", dilation ", d, ", pad ", p,
              "; kernel, stride and dilation must be positive and all below 2^31");
      count = std::min(most, count * k);
    }
    expects(count < idx{1} << 31, "sqs::sparse::relation: the kernel ", detail::extents_text(taps.extent),
            " has 2^31 taps or more; give a smaller one");
  }
  friend constexpr bool operator==(const relation&, const relation&) = default;

  /// The coarse grid of a convolution: floor((fine + 2 pad - dilation (kernel - 1) - 1) / stride) + 1.
  ///
  /// Errors      precondition_error if the kernel does not fit the padded grid.
  position coarse_grid(const position& fine) const {
    position g{};
    for (std::size_t a = 0; a < g.size(); ++a) {
      const idx room = fine[a] + 2 * pad[a] - dilation[a] * (taps.extent[a] - 1) - 1;
      expects(room >= 0, "sqs::sparse::relation: a kernel of ", taps.extent[a], " with dilation ", dilation[a],
              " does not fit axis ", a, " of ", fine[a], " cells with pad ", pad[a], "; give more padding");
      g[a] = room / stride[a] + 1;
    }
    return g;
  }
  /// The fine grid of a transposed convolution: (coarse - 1) stride - 2 pad + kernel + extra. As in spconv, dilation
  /// does not enter: with one, give what is missing as `extra`.
  ///
  /// Errors      precondition_error if an axis would have no cell.
  position fine_grid(const position& coarse, const position& extra = {}) const {
    position g{};
    for (std::size_t a = 0; a < g.size(); ++a) {
      constexpr idx most = idx{1} << 31;
      expects(extra[a] > -most && extra[a] < most, "sqs::sparse::relation: an output padding of ", extra[a],
              " on axis ", a, "; give fewer than 2^31 cells");
      g[a] = (coarse[a] - 1) * stride[a] - 2 * pad[a] + taps.extent[a] + extra[a];
      expects(g[a] > 0, "sqs::sparse::relation: a transposed convolution of ", coarse[a], " cells on axis ", a,
              " would have ", g[a], " cells; use less padding");
    }
    return g;
  }
};

/// The relation of a submanifold convolution: stride 1, and the middle tap sees the site itself.
///
/// Errors      precondition_error for an even kernel: it has no middle.
template <int D>
relation<D> submanifold_relation(const tap_set<D>& taps, const typename tap_set<D>::position& dilation) {
  relation<D> r{.taps = taps, .dilation = dilation};
  r.check();
  for (std::size_t a = 0; a < r.pad.size(); ++a) {
    expects(taps.extent[a] % 2 == 1, "sqs::sparse::submanifold_relation: the kernel is ",
            detail::extents_text(taps.extent), "; submanifold kernels are odd on every axis");
    r.pad[a] = taps.extent[a] / 2 * dilation[a];
  }
  return r;
}

namespace detail {

/// The relation on one axis, asked from one end: which input coordinate does an output meet at a tap?
struct axis_rule {
  idx stride, pad, dilation, extent; ///< extent: of the grid of the inputs
  bool to_fine;                      ///< outputs are fine, inputs coarse

  /// -1 where there is none.
  idx input(idx output, idx tap) const {
    idx c = 0;
    if (to_fine) {
      c = output + pad - dilation * tap;
      if (c < 0 || c % stride != 0) { return -1; }
      c /= stride;
    } else {
      c = stride * output + dilation * tap - pad;
    }
    return c >= 0 && c < extent ? c : -1;
  }
};

template <int D> axis_rule rule_of(const relation<D>& r, std::size_t axis, idx input_extent, bool to_fine) {
  return {r.stride[axis], r.pad[axis], r.dilation[axis], input_extent, to_fine};
}

} // namespace detail

} // namespace sqs::sparse

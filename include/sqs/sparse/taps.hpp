// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The taps of a kernel: a box of 1 to 4 dimensions, as a type and as a value.

#include <sqs/core/error.hpp>

#include <array>

namespace sqs::sparse {

namespace detail {
template <int D> constexpr std::array<idx, static_cast<std::size_t>(D)> filled(idx value) {
  std::array<idx, static_cast<std::size_t>(D)> a{};
  a.fill(value);
  return a;
}
/// "3 x 3 x 1"
template <std::size_t D> std::string extents_text(const std::array<idx, D>& e) {
  std::string s;
  for (const idx v : e) { s += (s.empty() ? "" : " x ") + std::to_string(v); }
  return s;
}
} // namespace detail

/// The taps of a kernel, numbered row by row: in three dimensions tap (kx, ky, kz) has the number (kx Ky + ky) Kz + kz.
template <int D> struct tap_set {
  static_assert(D >= 1 && D <= 4, "sqs::sparse::tap_set: kernels have 1 to 4 dimensions");
  using position = std::array<idx, static_cast<std::size_t>(D)>;
  position extent = detail::filled<D>(1);

  constexpr idx count() const {
    idx n = 1;
    for (const idx k : extent) { n *= k; }
    return n;
  }
  constexpr position at(idx tap) const {
    position p{};
    for (std::size_t a = extent.size(); a-- > 0; tap /= extent[a]) { p[a] = tap % extent[a]; }
    return p;
  }
  constexpr idx number(const position& p) const {
    idx n = 0;
    for (std::size_t a = 0; a < extent.size(); ++a) { n = n * extent[a] + p[a]; }
    return n;
  }
  /// True if the taps lie in the middle of `larger`: each axis is shorter by an even number.
  constexpr bool inside(const tap_set& larger) const {
    for (std::size_t a = 0; a < extent.size(); ++a) {
      if (extent[a] > larger.extent[a] || (larger.extent[a] - extent[a]) % 2 != 0) { return false; }
    }
    return true;
  }
  /// The number in `larger` of this set's tap, the middles of the two laid on each other.
  constexpr idx number_in(const tap_set& larger, idx tap) const {
    position p = at(tap);
    for (std::size_t a = 0; a < extent.size(); ++a) { p[a] += (larger.extent[a] - extent[a]) / 2; }
    return larger.number(p);
  }
  friend constexpr bool operator==(const tap_set&, const tap_set&) = default;
};

/// The same as a type: `taps<3, 3, 1>` is the plane of x and y. Converts to the value.
template <idx... K> struct taps {
  static_assert(sizeof...(K) >= 1 && sizeof...(K) <= 4 && ((K >= 1) && ...),
                "sqs::sparse::taps: give 1 to 4 extents of at least 1");
  static constexpr int dimensions = static_cast<int>(sizeof...(K));
  static constexpr tap_set<dimensions> set{{K...}};
  static constexpr idx count = set.count();

  constexpr operator tap_set<dimensions>() const { return set; }
  /// The numbers of these taps in a larger set: `taps<3, 3, 1>::numbers_in<taps<3, 3, 3>>()`.
  template <class Larger> static constexpr std::array<idx, static_cast<std::size_t>(count)> numbers_in() {
    static_assert(Larger::dimensions == dimensions && set.inside(Larger::set),
                  "sqs::sparse::taps: these taps do not lie in the middle of the larger set; on every axis the extents "
                  "must differ by an even number");
    std::array<idx, static_cast<std::size_t>(count)> n{};
    for (idx t = 0; t < count; ++t) { n[static_cast<std::size_t>(t)] = set.number_in(Larger::set, t); }
    return n;
  }
};

} // namespace sqs::sparse

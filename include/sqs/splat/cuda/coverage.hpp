// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Which tiles a projected Gaussian reaches: for each row of tiles an interval, from one rule that all stages ask.

#include <sqs/exec/team.hpp>
#include <sqs/splat/record.hpp>

#include <cmath>

namespace sqs::splat::detail {

/// The largest form at which a record reaches the cut. The slack covers rounding here and in the blend: a tile more costs
/// time, one less is an error.
template <class K, class T> SQS_HD T reach_of(const projected_gaussian<T>& r) {
  using std::fma;
  return fma(r.log2_opacity - K::log2_cut, T(1.0001), T(1e-3));
}

/// Columns of tiles, half-open.
struct tile_span {
  int first = 0, last = 0;
  SQS_HD constexpr int count() const { return last - first; }
};

/// The tiles of a box that its record reaches at a pixel centre's height and width, row by row: an ellipse meets a row in
/// one interval. Products are summed by fma alone, so that no compiler may round them in two ways: whoever asks again, in
/// another kernel, gets the same tiles.
///
/// Source      The interval of Speedy-Splat's AccuTile; the rightmost point of the part of an ellipse between two heights
///             is its own rightmost point, moved to the nearest of these heights.
template <class K, class T> class covered_rows {
public:
  SQS_HD covered_rows(const projected_gaussian<T>& record, const tile_box& tiles) : r(record), box(tiles) {
    using std::abs;
    using std::fma;
    using std::sqrt;
    reach = reach_of<K>(r);
    const T up = sqrt(reach) / r.ly, m = r.k * r.lx;
    turn = up * (m / sqrt(fma(m, m, r.ly * r.ly)));
    half = up + fma(rounding, abs(r.y), slack);
  }

  /// Those of tile row y.
  SQS_HD tile_span operator[](int y) const {
    using std::abs;
    using std::ceil;
    using std::floor;
    using std::fma;
    using std::max;
    using std::min;
    const T top = T(y * K::tile) + T(0.5) - r.y; // pixel centres, seen from the record's
    const T low = max(top, -half), high = min(top + T(K::tile - 1), half);
    if (!(low <= high)) { return {}; }
    const T at_left = max(low, min(turn, high)), at_right = max(low, min(-turn, high));
    const T left = fma(-r.k, at_left, -half_width(at_left)), right = fma(-r.k, at_right, half_width(at_right));
    const T more = fma(rounding, fma(abs(r.k), max(abs(low), abs(high)), abs(r.x)), slack);
    constexpr T per_tile = T(1) / T(K::tile); // exact
    // In this order what is not a number covers the row.
    const T first = max(T(box.x0), ceil((r.x + (left - more) + T(0.5)) * per_tile) - T(1));
    const T last = min(T(box.x1), floor((r.x + (right + more) - T(0.5)) * per_tile) + T(1));
    return first < last ? tile_span{static_cast<int>(first), static_cast<int>(last)} : tile_span{};
  }

private:
  static constexpr T slack = T(0.01), rounding = T(4) * std::numeric_limits<T>::epsilon();
  projected_gaussian<T> r;
  tile_box box;
  T reach, turn, half; ///< its rightmost point lies `turn` above the centre; half its height

  SQS_HD T half_width(const T& dy) const {
    using std::fma;
    using std::max;
    using std::sqrt;
    const T u = r.ly * dy;
    return sqrt(max(fma(-u, u, reach), T(0))) / r.lx;
  }
};

/// Boxes of up to this many tiles have a bit for each; of larger ones only the number of covered tiles is kept.
inline constexpr idx covered_tiles = 64;

/// Bits of a small box's covered tiles, the lowest for its first; the number of a large box's.
template <class K, class T> SQS_HD std::uint64_t coverage_of(const projected_gaussian<T>& r, const tile_box& box) {
  const covered_rows<K, T> rows(r, box);
  const bool small = box.tiles() <= covered_tiles;
  std::uint64_t coverage = 0;
  int bit = 0;
  for (int y = box.y0; y < box.y1; ++y, bit += box.x1 - box.x0) {
    const tile_span span = rows[y];
    if (!small) {
      coverage += static_cast<std::uint64_t>(span.count());
    } else if (span.count() > 0) {
      coverage |= (~std::uint64_t{0} >> (64 - span.count())) << (bit + span.first - box.x0);
    }
  }
  return coverage;
}

/// How many tiles of a box are covered.
SQS_HD inline idx covered(const tile_box& box, std::uint64_t coverage) {
  if (box.tiles() > covered_tiles) { return static_cast<idx>(coverage); }
#if defined(__CUDA_ARCH__)
  return __popcll(coverage);
#else
  return __builtin_popcountll(coverage);
#endif
}
/// The n-th covered tile of a small box, counted among all of the box.
SQS_HD inline idx covered_tile(std::uint64_t bits, idx n) {
  for (; n > 0; --n) { bits &= bits - 1; }
  const auto low = static_cast<unsigned>(bits), high = static_cast<unsigned>(bits >> 32);
  return low != 0 ? lowest_bit(low) : 32 + lowest_bit(high);
}

} // namespace sqs::splat::detail

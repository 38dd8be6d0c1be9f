// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A register of Gaussians read from a scene: what projecting and its way back share.

#include <sqs/core/simd_shuffle.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>
#include <sqs/splat/flatten.hpp>
#include <sqs/splat/scene.hpp>

namespace sqs::splat {

namespace detail {

/// Asks the cache for what will be read, or written, soon.
template <bool Write = false, class T> SQS_INLINE void fetch(const T* first, idx count) {
  constexpr idx line = 64;
  const char* const bytes = reinterpret_cast<const char*>(first);
  for (idx i = 0; i < count * idx{sizeof(T)}; i += line) { __builtin_prefetch(bytes + i, Write ? 1 : 0); }
}
/// Asks for Gaussians that are read one after the other: the hardware, which follows one stream, cannot follow five.
template <class T> class gaussian_stream {
  static constexpr idx n = native_lanes<T>;
  const scene<T>& s_;
  idx next_;

public:
  static constexpr idx distance = 128; ///< far enough for memory to answer, near enough for the first-level cache

  /// For a reader about to start at Gaussian `first`.
  gaussian_stream(const scene<T>& s, idx first) : s_(s), next_(first + distance) {}

  /// Asks for the next register of them unless it lies at `limit` or beyond.
  SQS_INLINE void next_before(idx limit) {
    if (next_ >= limit || next_ + n > s_.count()) { return; }
    const idx columns = s_.colours.extent(1);
    fetch(s_.means.data() + 3 * next_, 3 * n), fetch(s_.scales.data() + 3 * next_, 3 * n);
    fetch(s_.rotations.data() + 4 * next_, 4 * n), fetch(s_.opacities.data() + next_, n);
    fetch(s_.colours.data() + columns * next_, columns * n);
    next_ += n;
  }
};

/// Are these `native_lanes` rows next to each other? `index` ascends; its last number may be repeated.
template <class T> bool are_neighbours(const std::int32_t* index) {
  constexpr int n = native_lanes<T>;
  return index[n - 1] - index[0] == n - 1 && index[n - 1] > index[n - 2];
}

/// Rows of three numbers that lie one after the other.
template <class T> SQS_INLINE vec3<simd<T, native_lanes<T>>> next_triples(const T* rows) {
  simd<T, native_lanes<T>> c[3];
  load_triples(rows, c);
  return {c[0], c[1], c[2]};
}
/// The first three of `Columns` columns of rows of a matrix.
template <idx Columns, class T>
SQS_INLINE vec3<simd<T, native_lanes<T>>> three_columns(const tensor<T, 2>& x, const std::int32_t* index) {
  constexpr int n = native_lanes<T>;
  simd<T, n> c[4];
  const T* const rows = x.data();
  if (Columns > 3 || index[n - 1] + 1 < x.extent(0)) { // four numbers of each row, the last perhaps of the next one
    load_fours<T, n>([=](int l) { return rows + Columns * index[l]; }, c);
  } else {
    for (int i = 0; i < 3; ++i) { c[i] = simd<T, n>::gather(rows + i, index, static_cast<int>(Columns)); }
  }
  return {c[0], c[1], c[2]};
}

/// The rotations of a register of Gaussians; lane l is row(l).
template <class T, class Row>
SQS_INLINE quaternion<simd<T, native_lanes<T>>> read_rotations(const scene<T>& s, Row row) {
  const T* const rows = s.rotations.data();
  simd<T, native_lanes<T>> q[4];
  load_fours<T, native_lanes<T>>([=](int l) { return rows + 4 * idx{row(l)}; }, q);
  return {q[0], q[1], q[2], q[3]};
}

/// A register of Gaussians. `index` ascends; its last number may be repeated.
template <class T> struct gaussian_lanes {
  static constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  vec3<number> mean, scale;
  quaternion<number> rotation;
  number opacity;

  SQS_INLINE gaussian_lanes(const scene<T>& s, const std::int32_t* index) {
    if (are_neighbours<T>(index)) {
      const idx first = index[0];
      mean = next_triples(s.means.data() + 3 * first), scale = next_triples(s.scales.data() + 3 * first);
      rotation = read_rotations(s, [=](int l) { return first + l; });
      opacity = number::load(s.opacities.data() + first);
    } else {
      mean = three_columns<3>(s.means, index), scale = three_columns<3>(s.scales, index);
      rotation = read_rotations(s, [=](int l) { return index[l]; });
      opacity = number::gather(s.opacities.data(), index, 1);
    }
  }
};

/// Spherical harmonics of a register of Gaussians, seen from a camera's centre.
template <class K, class T> struct sh_lanes {
  using number = simd<T, native_lanes<T>>;
  static constexpr int degree = K::sh_degree < 0 ? 0 : K::sh_degree;
  vec3<number> unit;
  number per_length, basis[sh_count(degree)], colour[3];

  sh_lanes(const scene<T>& s, const view_constants<T>& v, const vec3<number>& mean, const std::int32_t* index) {
    const vec3<number> d{mean.x - v.centre.x, mean.y - v.centre.y, mean.z - v.centre.z};
    per_length = T(1) / sqrt(max(dot(d, d), number(std::numeric_limits<T>::min())));
    unit = {d.x * per_length, d.y * per_length, d.z * per_length};
    sh_basis<degree>(unit, basis);
    for (int c = 0; c < 3; ++c) {
      colour[c] = sh_colour<degree>(basis, [&](int k) {
        T coefficient[native_lanes<T>];
        for (int l = 0; l < native_lanes<T>; ++l) {
          coefficient[l] = s.colours.data()[idx{index[l]} * K::columns + 3 * k + c];
        }
        return number::load(coefficient);
      });
    }
  }
};

} // namespace detail
} // namespace sqs::splat

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The projection's first look: which Gaussians may be seen by which view, by a bound on their extent.

#include <sqs/splat/lanes.hpp>

#include <cmath>

namespace sqs::splat::detail {

/// Appends what is needed to read the last register of a list whole: its last number again.
template <class T> void pad(std::int32_t* list, idx count) {
  if (count > 0) { std::fill_n(list + count, native_lanes<T>, list[count - 1]); }
}

/// Whether many numbers are finite: 0 x is 0 for a finite number and NaN otherwise. A sum could overflow on its own.
template <class T> class finite_check {
  using number = simd<T, native_lanes<T>>;
  number a_{}, b_{}, c_{};

public:
  SQS_INLINE void add(const vec3<number>& x) {
    const number none(0);
    a_ = fma(x.x, none, a_), b_ = fma(x.y, none, b_), c_ = fma(x.z, none, c_);
  }
  /// A register's worth of rows, whole.
  SQS_INLINE void add_rows(const T* rows, idx columns) {
    number sum{};
    for (idx i = 0; i < columns; ++i) { sum = fma(number::load(rows + i * number::size), number(0), sum); }
    a_ += sum;
  }
  bool passed() const { return sum_of(a_ + b_ + c_) == T(0); }
};

/// A pinhole camera's image for the look, which multiplies by z where projecting divides.
template <class T> struct pinhole_bounds {
  /// An axis of the image: its half, the principal point from its middle, and the most that |row of J|^2 z^2 is.
  struct axis {
    T focal, half, shift, spread;
  } x, y;

  explicit pinhole_bounds(const view_constants<T>& v) {
    const auto& c = v.camera;
    const auto along = [](T focal, T centre, T pixels, T low, T high) {
      const T steepest = std::max(std::abs(low), std::abs(high)); // J is taken inside these limits
      return axis{focal, pixels / 2, centre - pixels / 2, focal * focal * (1 + steepest * steepest)};
    };
    x = along(c.fx, c.cx, v.width, c.low_x, c.high_x), y = along(c.fy, c.cy, v.height, c.low_y, c.high_y);
  }
  pinhole_bounds() = default;
};

/// Candidates of one view that wait to be projected, with what the look has read and computed of them.
template <class T> class waiting_candidates {
  static constexpr idx n = native_lanes<T>;
  using number = simd<T, n>;

public:
  static constexpr idx most = 192; ///< that may be added at once
  std::int32_t index[most + 3 * n];
  idx count = 0;

  SQS_INLINE void keep(idx at, typename number::mask which, const vec3<number>& p, const vec3<number>& scale,
                       const number& opacity) {
    const auto put = [&](int i, const number& x) { store_set(which, x, numbers_[i] + at); };
    put(0, p.x), put(1, p.y), put(2, p.z), put(3, scale.x), put(4, scale.y), put(5, scale.z), put(6, opacity);
  }
  SQS_INLINE vec3<number> p(idx at) const { return {read(0, at), read(1, at), read(2, at)}; }
  SQS_INLINE vec3<number> scale(idx at) const { return {read(3, at), read(4, at), read(5, at)}; }
  SQS_INLINE number opacity(idx at) const { return read(6, at); }
  /// Forgets the first `done`; fewer than a register remain.
  void drop(idx done) {
    count -= done;
    if (done == 0) { return; }
    std::copy_n(index + done, count, index);
    for (auto& row : numbers_) { number::load(row + done).store(row); }
  }

private:
  SQS_INLINE number read(int i, idx at) const { return number::load(numbers_[i] + at); }
  T numbers_[7][most + 3 * n];
};

/// Finds which of some Gaussians may be seen by which view. What is drawn is always among what it finds.
template <class K, class T> class candidate_search {
  static constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  const scene<T>& s_;
  const view_constants<T>* views_;
  idx view_count_;
  std::array<pinhole_bounds<T>, camera_rig<T>::capacity> pinhole_{};

public:
  candidate_search(const scene<T>& s, const view_constants<T>* views, idx count)
      : s_(s),
        views_(views),
        view_count_(count) {
    for (idx v = 0; v < count; ++v) { pinhole_[static_cast<std::size_t>(v)] = pinhole_bounds<T>(views[v]); }
  }

  /// Writes those of begin .. end-1 that view v may see to lists + v step, in order, and adds their number to found[v],
  /// which was zero. Up to `native_lanes` numbers past the last may be overwritten. Returns how many are rejected for NaN
  /// or Inf. With `waiting`, which takes those of the only view, writes what it knows of them there, too.
  idx operator()(idx begin, idx end, gaussian_stream<T>& ahead, std::int32_t* lists, idx step, int* found,
                 waiting_candidates<T>* waiting = nullptr) const {
    idx rejected = 0;
    for (const bool one_by_one : {false, true}) {
      finite_check<T> finite;
      for (idx first = begin; first < end; first += n) {
        ahead.next_before(first + gaussian_stream<T>::distance + n);
        const bool whole = first + n <= end && !one_by_one;
        const auto [mean, scale, opacity] = whole ? read(first, finite) : read_one_by_one(first, end, rejected);
        const auto drawn = opacity >= number(K::alpha_cut);
        if (!any(drawn)) { continue; }
        const number variance = max(scale.x * scale.x, max(scale.y * scale.y, scale.z * scale.z));
        // Squared half extent in standard deviations, a little too large.
        const number reach = T(slack * 2 * ln2) * (log2_above(opacity) - K::log2_cut) + T(1e-3);
        for (idx v = 0; v < view_count_; ++v) {
          const auto p = to_camera(views_[v], mean);
          const auto hits = drawn & may_be_seen(v, p, variance, reach);
          if (waiting != nullptr) { waiting->keep(waiting->count + found[v], hits, p, scale, opacity); }
          found[v] += store_indices(hits, static_cast<std::int32_t>(first), lists + v * step + found[v]);
        }
      }
      if (finite.passed()) { break; }
      if (!one_by_one) { std::fill_n(found, view_count_, 0), rejected = 0; }
    }
    return rejected;
  }

private:
  /// A register of what the look needs.
  struct extent {
    vec3<number> mean, scale;
    number opacity;
  };
  SQS_INLINE extent read(idx first, finite_check<T>& finite) const {
    const extent x{next_triples(s_.means.data() + 3 * first), next_triples(s_.scales.data() + 3 * first),
                   number::load(s_.opacities.data() + first)};
    finite.add(x.mean), finite.add(x.scale), finite.add_rows(s_.opacities.data() + first, 1);
    finite.add_rows(s_.rotations.data() + 4 * first, 4);
    const idx columns = s_.colours.extent(1);
    finite.add_rows(s_.colours.data() + columns * first, columns);
    return x;
  }
  bool is_finite(idx i) const {
    const auto row = [i](const auto& x) {
      const idx columns = x.size() / x.extent(0);
      return std::all_of(x.data() + columns * i, x.data() + columns * (i + 1), [](T v) { return std::isfinite(v); });
    };
    return row(s_.means) && row(s_.scales) && row(s_.rotations) && row(s_.opacities) && row(s_.colours);
  }
  /// Fewer than a register, or some with NaN or Inf: these are counted and get no opacity.
  extent read_one_by_one(idx first, idx end, idx& rejected) const {
    const int here = static_cast<int>(std::min<idx>(n, end - first));
    std::int32_t index[n];
    T opacities[n] = {}; // none: not drawn
    for (int l = 0; l < n; ++l) { index[l] = static_cast<std::int32_t>(first) + std::min(l, here - 1); }
    for (int l = 0; l < here; ++l) {
      const bool sound = is_finite(first + l);
      opacities[l] = sound ? s_.opacities.data()[first + l] : T(0);
      rejected += sound ? 0 : 1;
    }
    return {three_columns<3>(s_.means, index), three_columns<3>(s_.scales, index), number::load(opacities)};
  }

  SQS_INLINE typename number::mask may_be_seen(idx v, const vec3<number>& p, const number& variance,
                                               const number& reach) const {
    const auto& view = views_[v];
    const auto in_range = (p.z > number(K::near)) & (p.z < number(K::far));
    return in_range & (view.model == camera_model::pinhole
                           ? near_pinhole_image(pinhole_[static_cast<std::size_t>(v)], p, variance, reach)
                           : near_image(view, p, variance, reach));
  }
  // "Not beyond", here and below: where numbers overflowed, the exact projection decides and counts.
  // |row of J|^2 times the largest variance bounds the variance along an image axis.
  SQS_INLINE static typename number::mask near_pinhole_image(const pinhole_bounds<T>& image, const vec3<number>& p,
                                                             const number& variance, const number& reach) {
    const number spread = reach * variance;
    const number least = fma(reach, number(K::low_pass), number(T(slack_pixels))) * (p.z * p.z);
    const auto within = [&](const typename pinhole_bounds<T>::axis& a, const number& x) {
      const number from_middle = fma(number(a.focal), x, number(a.shift) * p.z);
      const number outside = max(fma(-p.z, number(a.half), abs(from_middle)), number(0));
      return !(outside * outside > fma(spread, number(a.spread), least));
    };
    return within(image.x, p.x) & within(image.y, p.y);
  }
  static typename number::mask near_image(const view_constants<T>& v, const vec3<number>& p, const number& variance,
                                          const number& reach) {
    return with_model(v.model, [&](auto model) {
      const auto point = project_point<decltype(model)::value>(v.camera, p);
      const auto within = [&](const number& at, const vec3<number>& row, T pixels) {
        const number half(pixels / 2), outside = max(abs(at - half) - half, number(0));
        const number most2 = fma(fused_dot(row, row), variance, number(K::low_pass));
        return !(outside * outside > fma(reach, most2, number(T(slack_pixels))));
      };
      return within(point.u, point.du, v.width) & within(point.v, point.dv, v.height);
    });
  }
  static constexpr double slack = 1.001, slack_pixels = 0.01; ///< for rounding: a factor, and squared pixels
};

} // namespace sqs::splat::detail

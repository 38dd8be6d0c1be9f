// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The projection's first look: which Gaussians may be seen by which view, by a bound on their extent.

#include <sqs/splat/lanes.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace sqs::splat::detail {

/// Repeats the last number of a list, so that its last register can be read whole.
template <class T, class Number> void pad(Number* list, idx count) {
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

/// How much the look's bounds are widened for rounding: squared lengths by a factor, and squared pixels. (There is half a
/// pixel more: bounds are compared with the distance to the border, and what is drawn reaches the middle of a pixel.)
template <class T> struct look_slack { static constexpr T factor = T(1.001), pixels2 = T(0.01); };

/// A pinhole camera's image for the look, which multiplies by z where projecting divides.
template <class T> struct pinhole_bounds {
  /// An axis of the image, from its middle: half its pixels and the principal point; upper bounds of |row of J|^2 z^2 for
  /// centres before the first pixel and past the last; squared pixels of slack.
  struct axis {
    T focal, half, shift, before, past, pixels2;
  } x, y;

  explicit pinhole_bounds(const view_constants<T>& v) {
    const auto& c = v.camera;
    const auto along = [](T focal, T centre, T pixels, T low, T high) {
      if (focal < 0) { std::swap(low, high); }
      // J is taken between an edge and the limit beyond it.
      const auto bound = [=](T limit, T edge) {
        const T steepest = std::max(std::abs(limit), std::abs((edge - centre) / focal));
        return focal * focal * (1 + steepest * steepest);
      };
      const T half = pixels / 2, shift = centre - half;
      // The projection rounds the position on its own, by a few bits of the largest number in it.
      const T rounding = 4 * std::numeric_limits<T>::epsilon() * (std::abs(shift) + half);
      return axis{
          focal, half, shift, bound(low, T(0)), bound(high, pixels), look_slack<T>::pixels2 + rounding * rounding};
    };
    x = along(c.fx, c.cx, v.width, c.low_x, c.high_x), y = along(c.fy, c.cy, v.height, c.low_y, c.high_y);
  }
  pinhole_bounds() = default;
};

/// Candidates of one view that wait to be projected, with what the look has read and computed of them.
///
/// Their index is written by `candidate_search`, the rest by `keep`; then `count` is raised.
template <class T> class waiting_candidates {
  static constexpr idx n = native_lanes<T>;
  using number = simd<T, n>;

public:
  static constexpr idx most = 192; ///< Gaussians looked at between two `drop`s
  static_assert(most % n == 0);
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
  /// Makes the last register whole.
  void pad_last() {
    pad<T>(index, count);
    for (auto& row : numbers_) { pad<T>(row, count); }
  }
  /// Forgets the first `done`; the rest must be fewer than a register.
  void drop(idx done) {
    count -= done;
    SQS_ASSERT(count < n);
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

  /// Writes those of begin .. end-1 that view v may see to lists + v step, in order, and sets found[v], which must be
  /// zero, to their number. Up to `native_lanes` numbers past the last may be overwritten. Returns how many are rejected for
  /// NaN or Inf. With `waiting`, which takes those of the only view, keeps what it has read and computed of them there.
  idx operator()(idx begin, idx end, gaussian_stream<T>& ahead, std::int32_t* lists, idx step, int* found,
                 waiting_candidates<T>* waiting = nullptr) const {
    idx rejected = 0;
    for (const bool one_by_one : {false, true}) { // if anything was not finite, all is done again with care
      finite_check<T> finite;
      for (idx first = begin; first < end; first += n) {
        ahead.next_before(first + gaussian_stream<T>::distance + n);
        const bool whole = first + n <= end && !one_by_one;
        const auto [mean, scale, opacity] = whole ? read(first, finite) : read_one_by_one(first, end, rejected);
        const auto drawn = opacity >= number(K::alpha_cut);
        if (!any(drawn)) { continue; }
        const number variance = max(scale.x * scale.x, max(scale.y * scale.y, scale.z * scale.z));
        // Squared half extent in standard deviations, a little too large; with the slack.
        const number reach = look_slack<T>::factor * T(2 * ln2) * (log2_above(opacity) - K::log2_cut) + T(1e-3);
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
  // |row of J|^2 times the largest variance bounds the variance along an image axis. Written as "not larger", so that NaN,
  // and Inf against Inf, count as near: then the exact projection decides.
  SQS_INLINE static typename number::mask near_pinhole_image(const pinhole_bounds<T>& image, const vec3<number>& p,
                                                             const number& variance, const number& reach) {
    const number spread = reach * variance;
    const number low_pass = reach * number(K::low_pass), z2 = p.z * p.z;
    const auto within = [&](const typename pinhole_bounds<T>::axis& a, const number& x) {
      const number from_middle = fma(number(a.focal), x, number(a.shift) * p.z);
      const number outside = max(fma(-p.z, number(a.half), abs(from_middle)), number(0));
      const number steepness = select(from_middle < number(0), number(a.before), number(a.past));
      return !(outside * outside > fma(spread, steepness, (low_pass + number(a.pixels2)) * z2));
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
        return !(outside * outside > fma(reach, most2, number(look_slack<T>::pixels2)));
      };
      return within(point.u, point.du, v.width) & within(point.v, point.dv, v.height);
    });
  }
};

} // namespace sqs::splat::detail

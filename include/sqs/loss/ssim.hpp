// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Structural similarity of a rendered and a true picture, as a loss.

#include <sqs/core/simd.hpp>
#include <sqs/loss/photometric.hpp>

namespace sqs::loss {

namespace detail {

/// The weights of the 11-pixel window: a Gaussian of 1.5 pixels.
template <class T> std::array<T, 11> ssim_window() {
  std::array<T, 11> w{};
  double sum = 0;
  for (int i = 0; i < 11; ++i) { sum += std::exp(-(i - 5) * (i - 5) / 4.5); }
  for (int i = 0; i < 11; ++i) {
    w[static_cast<std::size_t>(i)] = static_cast<T>(std::exp(-(i - 5) * (i - 5) / 4.5) / sum);
  }
  return w;
}

/// Calls f(i, R) for the numbers of a line: with R = simd<T, N> for N at a time, with R = T for the rest.
template <class T, class F> void for_line(idx n, F&& f) {
  constexpr idx lanes = native_lanes<T>;
  idx i = 0;
  for (; i + lanes <= n; i += lanes) { f(i, std::type_identity<simd<T, native_lanes<T>>>{}); }
  for (; i < n; ++i) { f(i, std::type_identity<T>{}); }
}
template <class R, class T> R number_at(const T* p) {
  if constexpr (std::is_same_v<R, T>) {
    return *p;
  } else {
    return R::load(p);
  }
}
template <class R, class T> void put_at(T* p, const R& v) {
  if constexpr (std::is_same_v<R, T>) {
    *p = v;
  } else {
    v.store(p);
  }
}

/// Memory of one thread for one row of n numbers with C channels: maps, zeros, and a row with five pixels of zeros at
/// either side.
template <class T> struct blur_scratch {
  static idx size(idx n, idx channels) { return 7 * n + 10 * channels; }
  T *maps, *zeros, *padded;
  idx n, channels;
  std::array<T, 11> weights = ssim_window<T>();

  blur_scratch(T* memory, idx row, idx c)
      : maps(memory),
        zeros(memory + 5 * row),
        padded(memory + 6 * row),
        n(row),
        channels(c) {
    std::fill(zeros, memory + size(n, channels), T(0));
  }
  /// out[i] = sum_k weights[k] lines[k][i].
  void sum_of(const std::array<const T*, 11>& lines, T* out) const {
    for_line<T>(n, [&](idx i, auto type) {
      using R = typename decltype(type)::type;
      R sum = R(weights[0]) * number_at<R>(lines[0] + i);
      for (std::size_t k = 1; k < 11; ++k) { sum = sum + R(weights[k]) * number_at<R>(lines[k] + i); }
      put_at(out + i, sum);
    });
  }
  /// Blurs the row f(0) .. f(n - 1) along itself.
  template <class F> void along_row(F&& f, T* out) {
    T* row = padded + 5 * channels;
    for (idx i = 0; i < n; ++i) { row[i] = f(i); }
    std::array<const T*, 11> lines;
    for (std::size_t k = 0; k < 11; ++k) { lines[k] = padded + static_cast<idx>(k) * channels; }
    sum_of(lines, out);
  }
  /// Blurs down the columns, for one row of a view of `height` rows.
  void down_columns(const T* view, idx row, idx height, T* out) const {
    std::array<const T*, 11> lines;
    for (std::size_t k = 0; k < 11; ++k) {
      const idx from = row + static_cast<idx>(k) - 5;
      lines[k] = from < 0 || from >= height ? zeros : view + from * n;
    }
    sum_of(lines, out);
  }
};

} // namespace detail

/// 1 - the mean structural similarity of two pictures: 0 for equal ones.
///
/// Shapes      image, target [V,H,W,C], the same, in 0 .. 1 -> rank 0
/// Gradient    of the image, exact. The target is data and has none.
/// Execution   parallel over rows; the mean is summed in double, in a fixed order: bitwise the same for any thread count.
/// Errors      precondition_error for shapes that differ, or empty tensors.
/// Cost        eight separable blurs of 22 multiplications per number, forward and backward together.
/// Source      Wang et al. 2004 with their constants (0.01 and 0.03 of the range); zeros beyond the border and the
///             factor in L = 0.8 L1 + 0.2 (1 - SSIM) as in Kerbl et al. 2023.
struct structural_dissimilarity {
  /// The picture, and the derivative of SSIM at each pixel with respect to the blurred image, its square and its product
  /// with the target there.
  template <class T> struct saved { tensor<T, 4> image, target, by_mean, by_square, by_product; };

  template <class T> auto forward(cpu& e, const tensor<T, 4>& image, const tensor<T, 4>& target) const {
    expects(image.shape() == target.shape() && image.size() > 0, "sqs::loss::structural_dissimilarity: the image is ",
            detail::shape_text(image.shape()), ", the target ", detail::shape_text(target.shape()),
            "; render at the size of the target, at least one pixel");
    const idx channels = image.extent(3), height = image.extent(1), n = image.extent(2) * channels;
    const idx rows = image.extent(0) * height, all = image.size(),
              per_thread = detail::blur_scratch<T>::size(n, channels);
    auto across = empty<T, 2>(e, {5, all}); // image, target, squares and product, blurred along rows
    auto memory = empty<T, 2>(e, {(rows + grain - 1) / grain, per_thread});
    parallel_for(e, rows, grain, [&](idx begin, idx end) {
      detail::blur_scratch<T> scratch(memory.data() + begin / grain * per_thread, n, channels);
      for (idx r = begin; r < end; ++r) {
        const T *a = image.data() + r * n, *b = target.data() + r * n;
        T* to = across.data() + r * n;
        scratch.along_row([=](idx i) { return a[i]; }, to);
        scratch.along_row([=](idx i) { return b[i]; }, to + all);
        scratch.along_row([=](idx i) { return a[i] * a[i]; }, to + 2 * all);
        scratch.along_row([=](idx i) { return b[i] * b[i]; }, to + 3 * all);
        scratch.along_row([=](idx i) { return a[i] * b[i]; }, to + 4 * all);
      }
    });
    saved<T> s{image, target, empty<T, 4>(e, image.shape()), empty<T, 4>(e, image.shape()),
               empty<T, 4>(e, image.shape())};
    const double sum = reduce(
        e, rows, grain, 0.0,
        [&](idx begin, idx end) { // at least `grain` rows: the memory of another range is never met
          const detail::blur_scratch<T> scratch(memory.data() + begin / grain * per_thread, n, channels);
          double part = 0;
          for (idx r = begin; r < end; ++r) {
            for (idx map = 0; map < 5; ++map) {
              const T* view = across.data() + map * all + r / height * height * n;
              scratch.down_columns(view, r % height, height, scratch.maps + map * n);
            }
            similarity(scratch.maps, n, s, r * n);
            for (idx i = 0; i < n; ++i) { part += static_cast<double>(scratch.maps[i]); }
          }
          return part;
        },
        [](double x, double y) { return x + y; });
    return result{full<T, 0>(e, {}, static_cast<T>(1 - sum / static_cast<double>(all))), std::move(s)};
  }

  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 0>& d) const {
    const idx channels = s.image.extent(3), height = s.image.extent(1), n = s.image.extent(2) * channels;
    const idx rows = s.image.extent(0) * height, all = s.image.size(),
              per_thread = detail::blur_scratch<T>::size(n, channels);
    auto across = empty<T, 2>(e, {3, all});
    auto memory = empty<T, 2>(e, {(rows + grain - 1) / grain, per_thread});
    parallel_for(e, rows, grain, [&](idx begin, idx end) {
      detail::blur_scratch<T> scratch(memory.data() + begin / grain * per_thread, n, channels);
      for (idx r = begin; r < end; ++r) {
        T* to = across.data() + r * n;
        for (const auto* x : {&s.by_mean, &s.by_square, &s.by_product}) {
          scratch.along_row([from = x->data() + r * n](idx i) { return from[i]; }, to);
          to += all;
        }
      }
    });
    auto out = empty<T, 4>(e, s.image.shape());
    const T step = -*d.data() / static_cast<T>(all);
    parallel_for(e, rows, grain, [&](idx begin, idx end) {
      const detail::blur_scratch<T> scratch(memory.data() + begin / grain * per_thread, n, channels);
      for (idx r = begin; r < end; ++r) {
        for (idx map = 0; map < 3; ++map) {
          const T* view = across.data() + map * all + r / height * height * n;
          scratch.down_columns(view, r % height, height, scratch.maps + map * n);
        }
        const T *a = s.image.data() + r * n, *b = s.target.data() + r * n, *m = scratch.maps;
        T* g = out.data() + r * n;
        detail::for_line<T>(n, [&](idx i, auto type) {
          using R = typename decltype(type)::type;
          const auto at = [](const T* p) { return detail::number_at<R>(p); };
          detail::put_at(g + i,
                         R(step) * (at(m + i) + R(T(2)) * at(a + i) * at(m + n + i) + at(b + i) * at(m + 2 * n + i)));
        });
      }
    });
    return std::tuple{std::move(out)};
  }

private:
  static constexpr idx grain = 8; // rows
  /// The similarity of one row from its five blurred maps, written over the first of them; keeps the derivatives.
  template <class T> static void similarity(T* maps, idx n, saved<T>& s, idx at) {
    T *by_mean = s.by_mean.data() + at, *by_square = s.by_square.data() + at, *by_product = s.by_product.data() + at;
    detail::for_line<T>(n, [&](idx i, auto type) {
      using R = typename decltype(type)::type;
      const auto map = [&](idx m) { return detail::number_at<R>(maps + m * n + i); };
      const R c1(T(0.01 * 0.01)), c2(T(0.03 * 0.03)), one(T(1)), two(T(2)), a = map(0), b = map(1);
      const R means = two * a * b + c1, products = two * (map(4) - a * b) + c2, mean_squares = a * a + b * b + c1;
      const R variances = (map(2) - a * a) + (map(3) - b * b) + c2;
      const R per = one / (mean_squares * variances), value = means * products * per;
      const R product = two * means * per, square = R(T(0)) - value / variances;
      detail::put_at(by_product + i, product);
      detail::put_at(by_square + i, square);
      detail::put_at(by_mean + i,
                     two * b * products * per - two * a * value / mean_squares - b * product - two * a * square);
      detail::put_at(maps + i, value);
    });
  }
};

} // namespace sqs::loss

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Losses between a rendered and a true picture.

#include <sqs/autodiff/result.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

#include <cmath>
#include <tuple>

namespace sqs::loss {

namespace detail {
/// Prints a shape as [2, 3]. Not a string: a check that passes must not build its message, or each step would allocate.
template <std::size_t R> struct shape_text {
  const std::array<idx, R>& shape;
  explicit shape_text(const std::array<idx, R>& s) : shape(s) {}
  friend std::ostream& operator<<(std::ostream& out, const shape_text& s) {
    out << '[';
    for (std::size_t i = 0; i < R; ++i) { out << (i == 0 ? "" : ", ") << s.shape[i]; }
    return out << ']';
  }
};
/// -1, 0 or 1.
template <class T> T sign(T x) { return static_cast<T>((x > T(0)) - (x < T(0))); }
} // namespace detail

/// Mean absolute difference of two tensors of one shape: (1/n) sum |a - b|.
///
/// Shapes      image, target [...], the same -> rank 0
/// Gradient    of the image; 0 where the two agree. The target is data and has none.
/// Execution   parallel; summed in double, in a fixed order: bitwise the same for any thread count.
/// Errors      precondition_error for shapes that differ, or empty tensors.
/// Source      L_rgb of the SQS pre-training, Kerbl et al. 2023 (without the D-SSIM term).
struct photometric_l1 {
  template <class T, int R> struct saved { tensor<T, R> image, target; };

  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& image, const tensor<T, R>& target) const {
    expects(image.shape() == target.shape(), "sqs::loss::photometric_l1: the image is ",
            detail::shape_text(image.shape()), ", the target ", detail::shape_text(target.shape()),
            "; render at the size of the target");
    expects(image.size() > 0, "sqs::loss::photometric_l1: the image is ", detail::shape_text(image.shape()),
            "; the mean of nothing is not defined: give at least one pixel");
    const T *a = image.data(), *b = target.data();
    const double sum = reduce(
        e, image.size(), 1 << 14, 0.0,
        [a, b](idx begin, idx end) {
          double s = 0;
          for (idx i = begin; i < end; ++i) { s += static_cast<double>(std::abs(a[i] - b[i])); }
          return s;
        },
        [](double x, double y) { return x + y; });
    return result{full<T, 0>(e, {}, static_cast<T>(sum / static_cast<double>(image.size()))),
                  saved<T, R>{image, target}};
  }

  template <class T, int R> auto backward(cpu& e, const saved<T, R>& s, const tensor<T, 0>& d) const {
    auto out = empty<T, R>(e, s.image.shape());
    const T step = *d.data() / static_cast<T>(s.image.size());
    const T *a = s.image.data(), *b = s.target.data();
    T* g = out.data();
    parallel_for(e, out.size(), 1 << 14, [=](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) { g[i] = step * detail::sign(a[i] - b[i]); }
    });
    return std::tuple{std::move(out)};
  }
};

} // namespace sqs::loss

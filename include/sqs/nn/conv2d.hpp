// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Dense 2D convolution of channels-last images by im2col and matrix products.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/exec/gemm.hpp>
#include <sqs/nn/column_sums.hpp>

namespace sqs::nn {

/// Kernel size, stride and zero padding, equal in both directions.
struct conv2d_geometry {
  using sqs_setting = void;
  idx kernel = 3, stride = 1, padding = 1;
  constexpr idx out(idx in) const { return (in + 2 * padding - kernel) / stride + 1; }
};

namespace detail {

inline constexpr idx conv_rows = 256; ///< output pixels per matrix product: the columns buffer stays in cache

/// Where one image's convolution lives: extents of input, output and the columns matrix.
struct conv_shape {
  idx h, w, cin, oh, ow, cout, depth; ///< depth = kernel * kernel * cin
  conv2d_geometry geometry;
};

/// Copies the patches of output pixels [first, last) to rows of `columns`; outside the image is zero.
template <class T> void gather_columns(const conv_shape& s, const T* image, idx first, idx last, T* columns) {
  const auto [kernel, stride, padding] = std::tuple{s.geometry.kernel, s.geometry.stride, s.geometry.padding};
  for (idx p = first; p < last; ++p) {
    const idx y0 = p / s.ow * stride - padding, x0 = p % s.ow * stride - padding;
    T* row = columns + (p - first) * s.depth;
    for (idx ky = 0; ky < kernel; ++ky) {
      const idx y = y0 + ky;
      const idx a = std::max<idx>(0, -x0), b = std::max(a, std::min(kernel, s.w - x0)); // taps inside the row
      T* to = row + ky * kernel * s.cin;
      if (y < 0 || y >= s.h) {
        std::fill_n(to, kernel * s.cin, T(0));
        continue;
      }
      std::fill(to, to + a * s.cin, T(0));
      std::copy_n(image + (y * s.w + x0 + a) * s.cin, (b - a) * s.cin, to + a * s.cin);
      std::fill(to + b * s.cin, to + kernel * s.cin, T(0));
    }
  }
}
/// The transpose of `gather_columns`: adds rows of `columns` back to the pixels they came from.
template <class T> void scatter_columns(const conv_shape& s, const T* columns, idx first, idx last, T* image) {
  const auto [kernel, stride, padding] = std::tuple{s.geometry.kernel, s.geometry.stride, s.geometry.padding};
  for (idx p = first; p < last; ++p) {
    const idx y0 = p / s.ow * stride - padding, x0 = p % s.ow * stride - padding;
    const idx a = std::max<idx>(0, -x0), b = std::max(a, std::min(kernel, s.w - x0));
    for (idx ky = std::max<idx>(0, -y0); ky < std::min(kernel, s.h - y0); ++ky) {
      const T* from = columns + (p - first) * s.depth + (ky * kernel + a) * s.cin;
      T* to = image + ((y0 + ky) * s.w + x0 + a) * s.cin;
      for (idx j = 0; j < (b - a) * s.cin; ++j) { to[j] += from[j]; }
    }
  }
}

} // namespace detail

/// y[n, oy, ox, :] = sum over taps of W[:, ky, kx, :] x[n, oy stride - padding + ky, ox stride - padding + kx, :] + b.
///
/// Shapes      x [N, H, W, Cin], weight [Cout, k, k, Cin], bias [Cout] (no elements: none) -> y [N, H', W', Cout]
/// Gradient    x, weight, bias
/// Execution   Forward: tasks of 256 output pixels. Backward: one task per image, weight gradients added in image order.
/// Cost        2 N H' W' k k Cin Cout flops forward, twice that backward.
struct conv2d_op {
  conv2d_geometry geometry;
  template <class T> struct saved {
    tensor<T, 4> x, weight;
    bool has_bias;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 4>& x, const tensor<T, 4>& weight, const tensor<T, 1>& bias) const {
    const auto s = shape_of(x, weight, bias);
    const idx n = x.extent(0), pixels = s.oh * s.ow, tasks = (pixels + detail::conv_rows - 1) / detail::conv_rows;
    auto y = empty<T, 4>(e, {n, s.oh, s.ow, s.cout});
    const bool direct =
        s.depth == s.cin && geometry.stride == 1 && geometry.padding == 0; // 1x1: the image is the columns
    // A few tasks at a time, so that the columns of all of them stay a bounded buffer.
    constexpr idx wave = 64;
    auto columns = empty<T, 2>(e, {direct ? 0 : std::min(wave, n * tasks) * detail::conv_rows, s.depth});
    for (idx start = 0; start < n * tasks; start += wave) {
      parallel_for(e, std::min(wave, n * tasks - start), 1, [&](idx slot, idx) {
        const idx image = (start + slot) / tasks, first = (start + slot) % tasks * detail::conv_rows;
        const idx last = std::min(pixels, first + detail::conv_rows);
        const T* in = x.data() + image * s.h * s.w * s.cin;
        T* c = columns.data() + slot * detail::conv_rows * s.depth;
        if (!direct) { detail::gather_columns(s, in, first, last, c); }
        T* out = y.data() + (image * pixels + first) * s.cout;
        for (idx p = 0; p < last - first; ++p) {
          if (bias.size() > 0) {
            std::copy_n(bias.data(), s.cout, out + p * s.cout);
          } else {
            std::fill_n(out + p * s.cout, s.cout, T(0));
          }
        }
        sqs::detail::gemm_block<T>(false, true, last - first, s.cout, s.depth, direct ? in + first * s.cin : c, s.depth,
                                   weight.data(), s.depth, out, s.cout, true);
      });
    }
    return result{std::move(y), saved<T>{x, weight, bias.size() > 0}};
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& v, const tensor<T, 4>& dy, const std::array<bool, 3>& needs) const {
    const auto s = shape_of(v.x, v.weight, {});
    const idx n = v.x.extent(0), pixels = s.oh * s.ow;
    tensor<T, 4> dx, dw;
    tensor<T, 1> db;
    if (needs[0]) { dx = zeros<T, 4>(e, v.x.shape()); }
    auto partial = empty<T, 2>(e, {needs[1] ? n : 0, s.cout * s.depth});
    auto columns = empty<T, 3>(e, {n, detail::conv_rows, s.depth});
    parallel_for(e, n, 1, [&](idx image, idx) {
      const T *in = v.x.data() + image * s.h * s.w * s.cin, *d = dy.data() + image * pixels * s.cout;
      T* c = &columns(image, 0, 0);
      for (idx first = 0; first < pixels; first += detail::conv_rows) {
        const idx rows = std::min(detail::conv_rows, pixels - first);
        if (needs[1]) {
          detail::gather_columns(s, in, first, first + rows, c);
          sqs::detail::gemm_block<T>(true, false, s.cout, s.depth, rows, d + first * s.cout, s.cout, c, s.depth,
                                     partial.data() + image * s.cout * s.depth, s.depth, first > 0);
        }
        if (needs[0]) {
          sqs::detail::gemm_block<T>(false, false, rows, s.depth, s.cout, d + first * s.cout, s.cout, v.weight.data(),
                                     s.depth, c, s.depth, false);
          detail::scatter_columns(s, c, first, first + rows, dx.data() + image * s.h * s.w * s.cin);
        }
      }
    });
    if (needs[1]) {
      const auto sums = column_sums(e, partial);
      dw = sums.template reshaped<4>(v.weight.shape());
    }
    if (needs[2]) {
      db = v.has_bias ? column_sums(e, dy.template reshaped<2>({n * pixels, s.cout})) : zeros<T, 1>(e, {0});
    }
    return std::tuple{std::move(dx), std::move(dw), std::move(db)};
  }

private:
  template <class T>
  detail::conv_shape shape_of(const tensor<T, 4>& x, const tensor<T, 4>& w, const tensor<T, 1>& bias) const {
    const idx k = geometry.kernel;
    expects(w.extent(1) == k && w.extent(2) == k && w.extent(3) == x.extent(3) &&
                (bias.size() == 0 || bias.extent(0) == w.extent(0)),
            "sqs::nn::conv2d: x has ", x.extent(3), " channels, weight is [", w.extent(0), ", ", w.extent(1), ", ",
            w.extent(2), ", ", w.extent(3), "], bias has ", bias.size(), " elements, kernel ", k,
            "; weight must be [Cout, kernel, kernel, Cin]");
    const idx oh = geometry.out(x.extent(1)), ow = geometry.out(x.extent(2));
    const idx p = geometry.padding;
    expects(geometry.stride > 0 && p >= 0 && p < k, "sqs::nn::conv2d: stride ", geometry.stride, ", padding ", p,
            ", kernel ", k, "; the stride must be positive and the padding smaller than the kernel");
    expects(x.extent(1) + 2 * p >= k && x.extent(2) + 2 * p >= k, "sqs::nn::conv2d: an image of ", x.extent(1), " x ",
            x.extent(2), " is smaller than the kernel (", k, "); use larger images");
    return {x.extent(1), x.extent(2), x.extent(3), oh, ow, w.extent(0), k * k * x.extent(3), geometry};
  }
};

/// A convolution layer. `bias` has no elements when a norm follows.
template <class T> struct conv2d {
  parameter<T, 4> weight;
  parameter<T, 1> bias;
  conv2d_geometry geometry;

  /// Kaiming-normal initialisation over the fan-in (He et al.), as residual networks with ReLU use it.
  static conv2d make(idx in, idx out, conv2d_geometry geometry, bool with_bias, initializer& init) {
    const idx k = geometry.kernel;
    const double deviation = std::sqrt(2.0 / static_cast<double>(k * k * in));
    return {{init.normal<T, 4>({out, k, k, in}, deviation), {}},
            {init.constant<T, 1>({with_bias ? out : 0}, 0), {}, with_bias},
            geometry};
  }
  template <graph G> variable<G, T, 4> operator()(G& g, variable<G, T, 4> x) const {
    return sqs::apply(g, conv2d_op{geometry}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(conv2d, weight, bias, geometry)
};

} // namespace sqs::nn

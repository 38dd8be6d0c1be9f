// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Max pooling and nearest upsampling of channels-last images.

#include <sqs/autodiff/apply.hpp>

#include <limits>

namespace sqs::nn {

/// Maximum over windows of `kernel` x `kernel`, `stride` apart; padding never wins. Ties go to the first tap.
///
/// Shapes      x [N, H, W, C] -> y [N, (H + 2 padding - kernel) / stride + 1, ..., C]
/// Gradient    x
struct max_pool_op {
  idx kernel = 3, stride = 2, padding = 1;
  struct saved {
    tensor<std::int32_t, 4> winner; ///< pixel index y * W + x of each maximum
    extents<4> shape;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 4>& x) const {
    const idx n = x.extent(0), h = x.extent(1), w = x.extent(2), c = x.extent(3);
    const idx oh = (h + 2 * padding - kernel) / stride + 1, ow = (w + 2 * padding - kernel) / stride + 1;
    expects(h + 2 * padding >= kernel && w + 2 * padding >= kernel && padding < kernel,
            "sqs::nn::max_pool: an image of ", h, " x ", w, " is smaller than the window (", kernel,
            "); use larger images");
    auto y = empty<T, 4>(e, {n, oh, ow, c});
    auto winner = empty<std::int32_t, 4>(e, {n, oh, ow, c});
    parallel_for(e, n * oh, 4, [&](idx begin, idx end) {
      for (idx row = begin; row < end; ++row) {
        for (idx ox = 0; ox < ow; ++ox) { pool_one(x, y, winner, row / oh, row % oh, ox); }
      }
    });
    return result{std::move(y), saved{std::move(winner), x.shape()}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 4>& dy) const {
    const idx n = s.shape[0], image = s.shape[1] * s.shape[2], c = s.shape[3];
    const idx outputs = dy.extent(1) * dy.extent(2);
    auto dx = zeros<T, 4>(e, s.shape);
    parallel_for(e, n, 1, [&](idx i, idx) { // windows overlap: one task per image adds in order
      for (idx p = 0; p < outputs; ++p) {
        const idx base = (i * outputs + p) * c;
        for (idx j = 0; j < c; ++j) {
          dx.data()[(i * image + s.winner.data()[base + j]) * c + j] += dy.data()[base + j];
        }
      }
    });
    return dx;
  }

private:
  template <class T>
  void pool_one(const tensor<T, 4>& x, tensor<T, 4>& y, tensor<std::int32_t, 4>& winner, idx n, idx oy, idx ox) const {
    const idx h = x.extent(1), w = x.extent(2), c = x.extent(3);
    T* best = &y(n, oy, ox, 0);
    std::int32_t* at = &winner(n, oy, ox, 0);
    std::fill_n(best, c, -std::numeric_limits<T>::infinity());
    std::fill_n(at, c, -1);
    for (idx py = std::max<idx>(0, oy * stride - padding); py < std::min(h, oy * stride - padding + kernel); ++py) {
      for (idx px = std::max<idx>(0, ox * stride - padding); px < std::min(w, ox * stride - padding + kernel); ++px) {
        const T* in = &x(n, py, px, 0);
        for (idx j = 0; j < c; ++j) {
          // NaN wins, and the first tap does where all are -infinity: the winner always is a pixel of the window.
          if (!(in[j] <= best[j]) || at[j] < 0) {
            best[j] = in[j];
            at[j] = static_cast<std::int32_t>(py * w + px);
          }
        }
      }
    }
  }
};

/// y = a + nearest(b): b is enlarged to the exact size of a (source row = floor(row * Hb / Ha)). The top-down step of a
/// feature pyramid.
///
/// Shapes      a [N, H, W, C], b [N, h, w, C] -> y like a
/// Gradient    a, b
struct upsample_add_op {
  struct saved {
    extents<4> small;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 4>& a, const tensor<T, 4>& b) const {
    const idx n = a.extent(0), h = a.extent(1), w = a.extent(2), c = a.extent(3);
    expects(b.extent(0) == n && b.extent(3) == c && b.extent(1) <= h && b.extent(2) <= w,
            "sqs::nn::upsample_add: b is ", b.extent(1), " x ", b.extent(2), " with ", b.extent(3), " channels, a is ",
            h, " x ", w, " with ", c, "; b must be the smaller one with the same channels");
    auto y = empty<T, 4>(e, a.shape());
    parallel_for(e, n * h, 8, [&](idx begin, idx end) {
      for (idx row = begin; row < end; ++row) {
        const idx source = row % h * b.extent(1) / h;
        for (idx px = 0; px < w; ++px) {
          const T *from = &b(row / h, source, px * b.extent(2) / w, 0), *base = &a(row / h, row % h, px, 0);
          T* to = &y(row / h, row % h, px, 0);
          for (idx j = 0; j < c; ++j) { to[j] = base[j] + from[j]; }
        }
      }
    });
    return result{std::move(y), saved{b.shape()}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 4>& dy) const {
    const idx n = dy.extent(0), h = dy.extent(1), w = dy.extent(2), c = dy.extent(3);
    auto db = zeros<T, 4>(e, s.small);
    parallel_for(e, n, 1, [&](idx i, idx) {
      for (idx py = 0; py < h; ++py) {
        for (idx px = 0; px < w; ++px) {
          const T* from = &dy(i, py, px, 0);
          T* to = &db(i, py * s.small[1] / h, px * s.small[2] / w, 0);
          for (idx j = 0; j < c; ++j) { to[j] += from[j]; }
        }
      }
    });
    return std::tuple{dy, std::move(db)};
  }
};

} // namespace sqs::nn

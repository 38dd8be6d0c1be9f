// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Losses between a rendered depth and the sparse depth of a LiDAR.

#include <sqs/loss/photometric.hpp>

namespace sqs::loss {

/// Mean absolute difference over the pixels that have a return: sum |d - target| / max(1, number of returns).
///
/// Shapes      depth, target [...], the same -> rank 0
/// Units       metres of camera-frame z; a target of 0 (or less, or NaN) means "no return" and counts for nothing.
/// Gradient    of the depth; 0 where the two agree and where there is no return. Without any return the loss is 0.
/// Execution   parallel; summed in double, in a fixed order: bitwise the same for any thread count.
/// Errors      precondition_error for shapes that differ.
/// Source      L_depth of the SQS pre-training (valid LiDAR pixels only).
struct depth_l1 {
  template <class T, int R> struct saved {
    tensor<T, R> depth, target;
    idx returns = 0;
  };

  template <class T, int R> auto forward(cpu& e, const tensor<T, R>& depth, const tensor<T, R>& target) const {
    expects(depth.shape() == target.shape(), "sqs::loss::depth_l1: the depth is ", detail::shape_text(depth.shape()),
            ", the target ", detail::shape_text(target.shape()), "; render at the size of the target");
    struct partial {
      double sum = 0;
      idx count = 0;
    };
    const T *a = depth.data(), *b = target.data();
    const partial total = reduce(
        e, depth.size(), 1 << 14, partial{},
        [a, b](idx begin, idx end) {
          partial p;
          for (idx i = begin; i < end; ++i) {
            if (!(b[i] > T(0))) { continue; }
            p.sum += static_cast<double>(std::abs(a[i] - b[i]));
            ++p.count;
          }
          return p;
        },
        [](partial x, const partial& y) {
          return partial{x.sum + y.sum, x.count + y.count};
        });
    const double value = total.sum / static_cast<double>(std::max<idx>(1, total.count));
    return result{full<T, 0>(e, {}, static_cast<T>(value)), saved<T, R>{depth, target, total.count}};
  }

  template <class T, int R> auto backward(cpu& e, const saved<T, R>& s, const tensor<T, 0>& d) const {
    auto out = empty<T, R>(e, s.depth.shape());
    const T step = *d.data() / static_cast<T>(std::max<idx>(1, s.returns));
    const T *a = s.depth.data(), *b = s.target.data();
    T* g = out.data();
    parallel_for(e, out.size(), 1 << 14, [=](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) { g[i] = b[i] > T(0) ? step * detail::sign(a[i] - b[i]) : T(0); }
    });
    return std::tuple{std::move(out)};
  }
};

} // namespace sqs::loss

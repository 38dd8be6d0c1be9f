// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Layer norm over the last extent, group norm over channels-last images, and batch norm with frozen statistics.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>

#include <cmath>

namespace sqs::nn {

namespace detail {
/// Sums of rows of [parts, 2, C] in order: the gradients of gain and shift.
template <class T> std::pair<tensor<T, 1>, tensor<T, 1>> sum_parts(cpu& e, const tensor<T, 3>& partial) {
  const idx parts = partial.extent(0), c = partial.extent(2);
  auto gain = zeros<T, 1>(e, {c}), shift = zeros<T, 1>(e, {c});
  for (idx p = 0; p < parts; ++p) {
    for (idx j = 0; j < c; ++j) {
      gain.data()[j] += partial(p, 0, j);
      shift.data()[j] += partial(p, 1, j);
    }
  }
  return {std::move(gain), std::move(shift)};
}
} // namespace detail

/// y = (x - mean) / sqrt(variance + eps) * gain + shift, statistics of each row.
///
/// Shapes      x [N, C], gain [C], shift [C] -> y [N, C]
/// Gradient    x, gain, shift
struct layer_norm_op {
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 1> gain, mean, scale;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& gain, const tensor<T, 1>& shift) const {
    const idx n = x.extent(0), c = x.extent(1);
    expects(c > 0 && gain.extent(0) == c && shift.extent(0) == c, "sqs::nn::layer_norm: x has ", c, " channels, gain ",
            gain.extent(0), ", shift ", shift.extent(0), "; they must agree");
    auto y = empty<T, 2>(e, {n, c});
    auto mean = empty<T, 1>(e, {n}), scale = empty<T, 1>(e, {n});
    parallel_for(e, n, 64, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const T* in = x.data() + i * c;
        T sum = 0, squares = 0;
        for (idx j = 0; j < c; ++j) { sum += in[j]; }
        const T m = sum / static_cast<T>(c);
        for (idx j = 0; j < c; ++j) { squares += (in[j] - m) * (in[j] - m); }
        const T s = T(1) / std::sqrt(squares / static_cast<T>(c) + static_cast<T>(eps));
        T* out = y.data() + i * c;
        for (idx j = 0; j < c; ++j) { out[j] = (in[j] - m) * s * gain.data()[j] + shift.data()[j]; }
        mean.data()[i] = m;
        scale.data()[i] = s;
      }
    });
    return result{std::move(y), saved<T>{x, gain, std::move(mean), std::move(scale)}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy) const {
    const idx n = s.x.extent(0), c = s.x.extent(1);
    const idx step = std::max<idx>(256, (n + 63) / 64);
    auto dx = empty<T, 2>(e, {n, c});
    auto partial = zeros<T, 3>(e, {n == 0 ? 0 : (n + step - 1) / step, 2, c});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      T *dgain = &partial(begin / step, 0, 0), *dshift = &partial(begin / step, 1, 0);
      for (idx i = begin; i < end; ++i) {
        const T *x = s.x.data() + i * c, *d = dy.data() + i * c;
        const T m = s.mean.data()[i], scale = s.scale.data()[i];
        T sum = 0, product = 0; // of the gradient before gain, and with the normalised input
        for (idx j = 0; j < c; ++j) {
          const T z = (x[j] - m) * scale, t = d[j] * s.gain.data()[j];
          dgain[j] += d[j] * z;
          dshift[j] += d[j];
          sum += t;
          product += t * z;
        }
        sum /= static_cast<T>(c);
        product /= static_cast<T>(c);
        T* out = dx.data() + i * c;
        for (idx j = 0; j < c; ++j) { out[j] = scale * (d[j] * s.gain.data()[j] - sum - (x[j] - m) * scale * product); }
      }
    });
    auto [dgain, dshift] = detail::sum_parts(e, partial);
    return std::tuple{std::move(dx), std::move(dgain), std::move(dshift)};
  }
};

/// A layer norm with gain and shift.
template <class T> struct layer_norm {
  parameter<T, 1> weight, bias;
  static layer_norm make(idx channels, initializer& init) {
    return {{init.constant<T, 1>({channels}, 1), {}}, {init.constant<T, 1>({channels}, 0), {}}};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x) const {
    return sqs::apply(g, layer_norm_op{}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(layer_norm, weight, bias)
};

/// Group norm of channels-last images: statistics over (H, W, C/groups) of each image and group.
///
/// Shapes      x [N, H, W, C], gain [C], shift [C] -> y like x
/// Gradient    x, gain, shift
/// Execution   One task per image: the sums of an image are taken in one order.
struct group_norm_op {
  idx groups = 1;
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 4> x;
    tensor<T, 1> gain;
    tensor<T, 2> mean, scale; ///< [N, groups]
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 4>& x, const tensor<T, 1>& gain, const tensor<T, 1>& shift) const {
    const idx n = x.extent(0), pixels = x.extent(1) * x.extent(2), c = x.extent(3);
    expects(groups > 0 && c % groups == 0 && gain.extent(0) == c && shift.extent(0) == c, "sqs::nn::group_norm: ", c,
            " channels in ", groups, " groups with ", gain.extent(0), " gains; groups must divide the channels");
    const idx width = c / groups;
    auto y = empty<T, 4>(e, x.shape());
    auto mean = empty<T, 2>(e, {n, groups}), scale = empty<T, 2>(e, {n, groups});
    parallel_for(e, n * groups, 1, [&](idx task, idx) {
      const idx image = task / groups, group = task % groups;
      const T* in = x.data() + image * pixels * c + group * width;
      const auto sum_of = [&](auto&& f) { // row sums first: fp32 stays accurate over many pixels
        T total = 0;
        for (idx p = 0; p < pixels; ++p) {
          T row = 0;
          for (idx j = 0; j < width; ++j) { row += f(in[p * c + j]); }
          total += row;
        }
        return total / static_cast<T>(pixels * width);
      };
      const T m = sum_of([](T v) { return v; });
      const T s = T(1) / std::sqrt(sum_of([m](T v) { return (v - m) * (v - m); }) + static_cast<T>(eps));
      T* out = y.data() + image * pixels * c + group * width;
      for (idx p = 0; p < pixels; ++p) {
        for (idx j = 0; j < width; ++j) {
          const idx ch = group * width + j;
          out[p * c + j] = (in[p * c + j] - m) * s * gain.data()[ch] + shift.data()[ch];
        }
      }
      mean(image, group) = m;
      scale(image, group) = s;
    });
    return result{std::move(y), saved<T>{x, gain, std::move(mean), std::move(scale)}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 4>& dy) const {
    const idx n = s.x.extent(0), pixels = s.x.extent(1) * s.x.extent(2), c = s.x.extent(3), width = c / groups;
    auto dx = empty<T, 4>(e, s.x.shape());
    auto partial = zeros<T, 3>(e, {n, 2, c});
    parallel_for(e, n * groups, 1, [&](idx task, idx) {
      const idx image = task / groups, group = task % groups, offset = image * pixels * c + group * width;
      const T *x = s.x.data() + offset, *d = dy.data() + offset, *gain = s.gain.data() + group * width;
      const T m = s.mean(image, group), scale = s.scale(image, group);
      T *dgain = &partial(image, 0, group * width), *dshift = &partial(image, 1, group * width);
      for (idx p = 0; p < pixels; ++p) {
        for (idx j = 0; j < width; ++j) {
          dgain[j] += d[p * c + j] * (x[p * c + j] - m) * scale;
          dshift[j] += d[p * c + j];
        }
      }
      T sum = 0, product = 0;
      for (idx j = 0; j < width; ++j) {
        sum += gain[j] * dshift[j];
        product += gain[j] * dgain[j];
      }
      sum /= static_cast<T>(pixels * width);
      product /= static_cast<T>(pixels * width);
      T* out = dx.data() + offset;
      for (idx p = 0; p < pixels; ++p) {
        for (idx j = 0; j < width; ++j) {
          out[p * c + j] = scale * (d[p * c + j] * gain[j] - sum - (x[p * c + j] - m) * scale * product);
        }
      }
    });
    auto [dgain, dshift] = detail::sum_parts(e, partial);
    return std::tuple{std::move(dx), std::move(dgain), std::move(dshift)};
  }
};

/// Group norm for networks trained from scratch on few images. Eight channels a group.
template <class T> struct group_norm {
  parameter<T, 1> weight, bias;
  idx groups = 1;
  static group_norm make(idx channels, initializer& init) {
    return {{init.constant<T, 1>({channels}, 1), {}},
            {init.constant<T, 1>({channels}, 0), {}},
            channels % 8 == 0 ? channels / 8 : 1};
  }
  template <graph G> variable<G, T, 4> operator()(G& g, variable<G, T, 4> x) const {
    return sqs::apply(g, group_norm_op{.groups = groups}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(group_norm, weight, bias, groups)
};

/// y = x * gain / sqrt(variance + eps) + (shift - mean * gain / sqrt(variance + eps)), per channel, statistics fixed.
///
/// Shapes      x [N, H, W, C]; the others [C]
/// Gradient    x, gain, shift
struct frozen_batch_norm_op {
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 4> x;
    tensor<T, 1> gain, mean, variance;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 4>& x, const tensor<T, 1>& gain, const tensor<T, 1>& shift,
                                  const tensor<T, 1>& mean, const tensor<T, 1>& variance) const {
    const idx c = x.extent(3), n = c == 0 ? 0 : x.size() / c;
    expects(gain.extent(0) == c && shift.extent(0) == c && mean.extent(0) == c && variance.extent(0) == c,
            "sqs::nn::frozen_batch_norm: x has ", c, " channels, gain ", gain.extent(0), "; they must agree");
    auto y = empty<T, 4>(e, x.shape());
    parallel_for(e, n, 512, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        for (idx j = 0; j < c; ++j) {
          const T s = T(1) / std::sqrt(variance.data()[j] + static_cast<T>(eps));
          y.data()[i * c + j] = (x.data()[i * c + j] - mean.data()[j]) * s * gain.data()[j] + shift.data()[j];
        }
      }
    });
    return result{std::move(y), saved<T>{x, gain, mean, variance}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 4>& dy) const {
    const idx c = s.x.extent(3), n = c == 0 ? 0 : s.x.size() / c, step = std::max<idx>(512, (n + 63) / 64);
    auto dx = empty<T, 4>(e, dy.shape());
    auto partial = zeros<T, 3>(e, {n == 0 ? 0 : (n + step - 1) / step, 2, c});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      T *dgain = &partial(begin / step, 0, 0), *dshift = &partial(begin / step, 1, 0);
      for (idx i = begin; i < end; ++i) {
        for (idx j = 0; j < c; ++j) {
          const T scale = T(1) / std::sqrt(s.variance.data()[j] + static_cast<T>(eps)), d = dy.data()[i * c + j];
          dx.data()[i * c + j] = d * scale * s.gain.data()[j];
          dgain[j] += d * (s.x.data()[i * c + j] - s.mean.data()[j]) * scale;
          dshift[j] += d;
        }
      }
    });
    auto [dgain, dshift] = detail::sum_parts(e, partial);
    return std::tuple{std::move(dx), std::move(dgain), std::move(dshift)};
  }
};

/// Batch norm in evaluation mode, as pre-trained detection backbones keep it.
template <class T> struct frozen_batch_norm {
  parameter<T, 1> weight, bias;
  state<T, 1> running_mean, running_var;
  static frozen_batch_norm make(idx channels, initializer& init) {
    return {{init.constant<T, 1>({channels}, 1), {}},
            {init.constant<T, 1>({channels}, 0), {}},
            {init.constant<T, 1>({channels}, 0)},
            {init.constant<T, 1>({channels}, 1)}};
  }
  template <graph G> variable<G, T, 4> operator()(G& g, variable<G, T, 4> x) const {
    return sqs::apply(g, frozen_batch_norm_op{}, std::move(x), weight, bias, running_mean.value, running_var.value);
  }
  SQS_MEMBERS(frozen_batch_norm, weight, bias, running_mean, running_var)
};

} // namespace sqs::nn

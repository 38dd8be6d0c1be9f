// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Norms of the rows of a sparse tensor: batch norm over all rows, group norm of each voxel. (Layer norm of each voxel
/// is `nn::layer_norm`.)

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/nn/activation.hpp>
#include <sqs/sparse/detail/column_moments.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>

namespace sqs::sparse {

/// y = x scale + shift, channel by channel.
///
/// Shapes      x [N, C], scale [C], shift [C] -> y [N, C]
/// Gradient    x, scale, shift
struct row_affine_op {
  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 1> scale;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& scale, const tensor<T, 1>& shift) const {
    const idx c = x.extent(1);
    expects(scale.extent(0) == c && shift.extent(0) == c, "sqs::sparse::row_affine: x has ", c, " channels, scale ",
            scale.extent(0), ", shift ", shift.extent(0), "; they must agree");
    auto y = empty<T, 2>(e, x.shape());
    detail::scale_rows(e, x, scale, shift, y);
    return result{std::move(y), saved<T>{x, scale}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy) const {
    const idx c = dy.extent(1);
    detail::require_gradient("row_affine_op", dy, s.x.extent(0), s.x.extent(1));
    auto dx = empty<T, 2>(e, dy.shape());
    detail::scale_rows(e, dy, s.scale, zeros<T, 1>(e, {c}), dx);
    auto [dshift, dscale] = detail::gradient_sums(e, s.x, dy, zeros<T, 1>(e, {c}));
    return std::tuple{std::move(dx), std::move(dscale), std::move(dshift)};
  }
};

/// Batch norm in evaluation as a scale and a shift: scale = gain / sqrt(variance + eps), shift = bias - mean scale.
///
/// Shapes      all [C] -> (scale, shift)
/// Gradient    gain, bias
struct folded_batch_norm_op {
  double eps = 1e-5;
  template <class T> struct saved { tensor<T, 1> mean, variance; };
  template <class T> auto forward(cpu& e, const tensor<T, 1>& gain, const tensor<T, 1>& bias, const tensor<T, 1>& mean,
                                  const tensor<T, 1>& variance) const {
    const idx c = gain.extent(0);
    expects(bias.extent(0) == c && mean.extent(0) == c && variance.extent(0) == c, "sqs::sparse::batch_norm: gain has ",
            c, " channels, bias ", bias.extent(0), ", mean ", mean.extent(0), ", variance ", variance.extent(0),
            "; they must agree");
    auto scale = empty<T, 1>(e, {c}), shift = empty<T, 1>(e, {c});
    for (idx j = 0; j < c; ++j) {
      scale.data()[j] = gain.data()[j] * factor(variance, j);
      shift.data()[j] = bias.data()[j] - mean.data()[j] * scale.data()[j];
    }
    return result{std::tuple{std::move(scale), std::move(shift)}, saved<T>{mean, variance}};
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 1>& dscale, const tensor<T, 1>& dshift) const {
    auto dgain = empty<T, 1>(e, dscale.shape());
    for (idx j = 0; j < dgain.size(); ++j) {
      dgain.data()[j] = (dscale.data()[j] - s.mean.data()[j] * dshift.data()[j]) * factor(s.variance, j);
    }
    return std::tuple{std::move(dgain), dshift};
  }

private:
  template <class T> T factor(const tensor<T, 1>& variance, idx j) const {
    return T(1) / std::sqrt(variance.data()[j] + static_cast<T>(eps));
  }
};

/// y = (x - mean) / sqrt(variance + eps) gain + bias with the mean and the biased variance of all rows, which are
/// results, too.
///
/// Shapes      x [N, C], gain [C], bias [C] -> (y [N, C], mean [C], variance [C]); without rows mean and variance are 0
/// Gradient    x, gain, bias, from all three results
/// Execution   Sums over ranges of 256 rows, joined in order and in double.
/// Source      Chan, Golub, LeVeque 1979 for joining the ranges.
struct batch_norm_op {
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 1> gain, mean, variance;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& gain, const tensor<T, 1>& bias) const {
    const idx c = x.extent(1);
    expects(gain.extent(0) == c && bias.extent(0) == c, "sqs::sparse::batch_norm: x has ", c, " channels, gain ",
            gain.extent(0), ", bias ", bias.extent(0), "; they must agree");
    auto [mean, variance] = detail::column_moments(e, x);
    auto scale = empty<T, 1>(e, {c});
    for (idx j = 0; j < c; ++j) {
      scale.data()[j] = gain.data()[j] / std::sqrt(variance.data()[j] + static_cast<T>(eps));
    }
    auto y = empty<T, 2>(e, x.shape());
    detail::normalise_rows(e, x, mean, scale, bias, y);
    return result{std::tuple{std::move(y), mean, variance}, saved<T>{x, gain, mean, variance}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const tensor<T, 1>& dmean,
                                   const tensor<T, 1>& dvariance) const {
    const idx n = s.x.extent(0), c = s.x.extent(1);
    detail::require_gradient("batch_norm_op", dy, n, c);
    const T rows = static_cast<T>(std::max<idx>(n, 1));
    auto [dbias, product] = detail::gradient_sums(e, s.x, dy, s.mean); // sum dy, sum dy (x - mean)
    auto dgain = empty<T, 1>(e, {c}), of_dy = empty<T, 1>(e, {c}), of_x = empty<T, 1>(e, {c});
    auto constant = empty<T, 1>(e, {c});
    for (idx j = 0; j < c; ++j) {
      const T factor = T(1) / std::sqrt(s.variance.data()[j] + static_cast<T>(eps)), scale = s.gain.data()[j] * factor;
      dgain.data()[j] = product.data()[j] * factor;
      of_dy.data()[j] = scale;
      of_x.data()[j] = (2 * dvariance.data()[j] - scale * factor * factor * product.data()[j]) / rows;
      constant.data()[j] = (dmean.data()[j] - scale * dbias.data()[j]) / rows;
    }
    auto dx = empty<T, 2>(e, s.x.shape());
    detail::combine_rows(e, s.x, s.mean, dy, of_x, of_dy, constant, dx);
    return std::tuple{std::move(dx), std::move(dgain), std::move(dbias)};
  }
};

/// Where the statistics of a batch norm come from.
enum class norm_statistics {
  by_graph, ///< a training graph takes the batch's and updates the running ones, an inference graph the running ones
  batch,    ///< the batch's; a training graph updates the running ones
  running   ///< the running ones, which stay as they are: a frozen norm
};

/// Batch norm over the rows of a sparse tensor, of all batch items together.
///
/// The running variance takes the unbiased variance N / (N - 1), as in PyTorch; of a single row it takes none, and of no
/// rows neither takes anything.
template <class T> struct batch_norm {
  parameter<T, 1> weight, bias;
  state<T, 1> running_mean, running_var;
  double eps = 1e-5, momentum = 0.1;
  norm_statistics statistics = norm_statistics::by_graph;

  static batch_norm make(idx channels, initializer& init) {
    return {{init.constant<T, 1>({channels}, 1), {}},
            {init.constant<T, 1>({channels}, 0), {}},
            {init.constant<T, 1>({channels}, 0)},
            {init.constant<T, 1>({channels}, 1)}};
  }
  /// True if on this kind of graph the norm is a scale and a shift that do not depend on x.
  template <class G> bool is_affine() const {
    return statistics == norm_statistics::running || (statistics == norm_statistics::by_graph && !G::records);
  }
  /// (scale, shift) of the running statistics.
  template <graph G> auto folded(G& g) const {
    return sqs::apply(g, folded_batch_norm_op{eps}, weight, bias, running_mean.value, running_var.value);
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x) const {
    if (is_affine<G>()) {
      auto [scale, shift] = folded(g);
      return sqs::apply(g, row_affine_op{}, std::move(x), std::move(scale), std::move(shift));
    }
    const idx rows = x.extent(0);
    auto [y, mean, variance] = sqs::apply(g, batch_norm_op{eps}, std::move(x), weight, bias);
    if constexpr (G::records) { update(rows, mean.value(), variance.value()); }
    return std::move(y);
  }
  SQS_MEMBERS(batch_norm, weight, bias, running_mean, running_var, eps, momentum, statistics)

private:
  void update(idx rows, const tensor<T, 1>& mean, const tensor<T, 1>& variance) const {
    const T m = static_cast<T>(momentum), unbiased = static_cast<T>(rows) / static_cast<T>(std::max<idx>(rows - 1, 1));
    for (idx j = 0; j < mean.size() && rows > 0; ++j) {
      T &r = running_mean.value.data()[j], &v = running_var.value.data()[j];
      r += m * (mean.data()[j] - r);
      if (rows > 1) { v += m * (variance.data()[j] * unbiased - v); }
    }
  }
};

/// Group norm of each voxel by itself: statistics over the channels of a group of one row. (Over a dense volume they
/// would run over all its cells.)
///
/// Shapes      x [N, C], gain [C], bias [C] -> y [N, C]; groups divides C
/// Gradient    x, gain, bias
struct voxel_group_norm_op {
  idx groups = 1;
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 2> x;
    tensor<T, 1> gain;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& gain, const tensor<T, 1>& bias) const {
    const idx n = x.extent(0), c = x.extent(1);
    expects(groups > 0 && c > 0 && c % groups == 0 && gain.extent(0) == c && bias.extent(0) == c,
            "sqs::sparse::voxel_group_norm: ", c, " channels in ", groups, " groups with ", gain.extent(0),
            " gains and ", bias.extent(0), " biases; groups must divide the channels, and gain and bias have as many");
    const idx width = c / groups;
    auto y = empty<T, 2>(e, x.shape());
    parallel_for(e, n, 64, [&](idx begin, idx end) {
      for (idx i = begin * groups; i < end * groups; ++i) {
        const T* const in = x.data() + i * width;
        const idx first = i % groups * width;
        const auto [mean, factor] = moments(in, width);
        for (idx j = 0; j < width; ++j) {
          y.data()[i * width + j] = (in[j] - mean) * factor * gain.data()[first + j] + bias.data()[first + j];
        }
      }
    });
    return result{std::move(y), saved<T>{x, gain}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy) const {
    const idx n = s.x.extent(0), c = s.x.extent(1), width = c / groups, step = std::max<idx>(256, (n + 63) / 64);
    const idx parts = (n + step - 1) / step;
    detail::require_gradient("voxel_group_norm_op", dy, n, c);
    auto dx = empty<T, 2>(e, s.x.shape());
    auto sums = zeros<T, 3>(e, {parts, 2, c}); // of dy xhat and of dy
    parallel_for(e, n, step, [&](idx begin, idx end) {
      T *const dgain = &sums(begin / step, 0, 0), *const dbias = &sums(begin / step, 1, 0);
      for (idx i = begin * groups; i < end * groups; ++i) {
        const T *const in = s.x.data() + i * width, *const d = dy.data() + i * width;
        T* const out = dx.data() + i * width;
        const idx first = i % groups * width;
        const T* const gain = s.gain.data() + first;
        const auto [mean, factor] = moments(in, width);
        T sum = 0, product = 0;
        for (idx j = 0; j < width; ++j) {
          const T z = (in[j] - mean) * factor, t = d[j] * gain[j];
          dgain[first + j] += d[j] * z;
          dbias[first + j] += d[j];
          sum += t;
          product += t * z;
        }
        sum /= static_cast<T>(width);
        product /= static_cast<T>(width);
        for (idx j = 0; j < width; ++j) {
          out[j] = factor * (d[j] * gain[j] - sum - (in[j] - mean) * factor * product);
        }
      }
    });
    auto dgain = zeros<T, 1>(e, {c}), dbias = zeros<T, 1>(e, {c});
    for (idx p = 0; p < parts; ++p) {
      for (idx j = 0; j < c; ++j) {
        dgain.data()[j] += sums(p, 0, j);
        dbias.data()[j] += sums(p, 1, j);
      }
    }
    return std::tuple{std::move(dx), std::move(dgain), std::move(dbias)};
  }

private:
  /// Mean and 1 / sqrt(variance + eps).
  template <class T> std::pair<T, T> moments(const T* x, idx width) const {
    T sum = 0, squares = 0;
    for (idx j = 0; j < width; ++j) { sum += x[j]; }
    const T mean = sum / static_cast<T>(width);
    for (idx j = 0; j < width; ++j) { squares += (x[j] - mean) * (x[j] - mean); }
    return {mean, T(1) / std::sqrt(squares / static_cast<T>(width) + static_cast<T>(eps))};
  }
};

/// A group norm of each voxel, with gain and bias.
template <class T> struct voxel_group_norm {
  parameter<T, 1> weight, bias;
  idx groups = 32;
  double eps = 1e-5;
  static voxel_group_norm make(idx channels, initializer& init, idx groups = 32) {
    expects(groups > 0 && channels % groups == 0, "sqs::sparse::voxel_group_norm: ", groups, " groups do not divide ",
            channels, " channels; choose a divisor");
    return {{init.constant<T, 1>({channels}, 1), {}}, {init.constant<T, 1>({channels}, 0), {}}, groups};
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> x) const {
    return sqs::apply(g, voxel_group_norm_op{groups, eps}, std::move(x), weight, bias);
  }
  SQS_MEMBERS(voxel_group_norm, weight, bias, groups, eps)
};

/// Nothing, where a norm could be.
template <class T> struct no_norm {
  static no_norm make(idx, initializer&) { return {}; }
  template <graph G> variable<G, T, 2> operator()(G&, variable<G, T, 2> x) const { return x; }
  SQS_MEMBERS(no_norm)
};

/// The activation as an op on the graph.
template <graph G, class T> variable<G, T, 2> activate(G& g, activation a, variable<G, T, 2> x) {
  switch (a.kind) {
  case activation_kind::relu:
    return sqs::apply(g, nn::relu_op{}, std::move(x));
  case activation_kind::leaky_relu:
    return sqs::apply(g, nn::leaky_relu_op{a.slope}, std::move(x));
  case activation_kind::identity:
    break;
  }
  return x;
}

} // namespace sqs::sparse

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Queries become Gaussians: the head refines anchors, `decode_op` turns raw anchors into metric Gaussians.

#include <sqs/nn/mlp.hpp>
#include <sqs/query/anchor.hpp>

namespace sqs::gaussian {

/// The refinement rules: position moves by a bounded step in logit space, everything else is replaced.
///
/// position' = position + (2 safe_sigmoid(o) - 1) logit_step;  rotation' = o / |o|;  scale', opacity', colour' = o
/// with o = gain * raw.
///
/// Shapes      anchors, raw [Q, D], gain [D] -> [Q, D]
/// Gradient    all three
/// Source      GaussianFormer, SparseGaussian3DRefinementModule.
struct refine_op {
  query::anchor_config config;
  static constexpr idx most_columns = 64;
  template <class T> struct saved {
    tensor<T, 2> raw;
    tensor<T, 1> gain;
  };
  template <class T>
  auto forward(cpu& e, const tensor<T, 2>& anchors, const tensor<T, 2>& raw, const tensor<T, 1>& gain) const {
    const idx n = anchors.extent(0), d = config.width();
    expects(d <= most_columns, "sqs::gaussian::refine: an anchor has ", d, " columns; at most ", most_columns,
            " are supported: carry wide features apart from the anchor");
    expects(anchors.extent(1) == d && raw.shape() == anchors.shape() && gain.extent(0) == d,
            "sqs::gaussian::refine: anchors are [", n, ", ", anchors.extent(1), "], raw [", raw.extent(0), ", ",
            raw.extent(1), "]; both must be [Q, ", d, "]");
    auto y = empty<T, 2>(e, {n, d});
    parallel_for(e, n, 256, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        for (idx k = 0; k < d; ++k) { y(i, k) = gain(k) * raw(i, k); }
        for (int k = 0; k < 3; ++k) {
          y(i, k) = anchors(i, k) + (2 * safe_sigmoid(y(i, k)) - 1) * T(config.logit_step(k));
        }
        store_rotation(&y(i, 0), normalized(rotation_of(&y(i, 0))));
      }
    });
    return result{std::move(y), saved<T>{raw, gain}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy) const {
    const idx n = dy.extent(0), d = dy.extent(1), step = std::max<idx>(256, (n + 63) / 64);
    auto da = zeros<T, 2>(e, dy.shape()), draw = empty<T, 2>(e, dy.shape());
    auto partial = zeros<T, 2>(e, {(n + step - 1) / step, d});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        T o[most_columns]{}, g[most_columns]{}; // D is a handful of columns
        for (idx k = 0; k < d; ++k) {
          o[k] = s.gain(k) * s.raw(i, k);
          g[k] = dy(i, k);
        }
        for (int k = 0; k < 3; ++k) {
          da(i, k) = g[k];
          g[k] *= 2 * safe_sigmoid_slope(o[k], safe_sigmoid(o[k])) * T(config.logit_step(k));
        }
        store_rotation(g, normalized_backward(rotation_of(o), rotation_of(g)));
        for (idx k = 0; k < d; ++k) {
          draw(i, k) = g[k] * s.gain(k);
          partial(begin / step, k) += g[k] * s.raw(i, k);
        }
      }
    });
    return std::tuple{std::move(da), std::move(draw), nn::column_sums(e, partial)};
  }

private:
  template <class T> static quaternion<T> rotation_of(const T* a) {
    const T* r = a + query::anchor_config::rotation;
    return {r[0], r[1], r[2], r[3]};
  }
  template <class T> static void store_rotation(T* a, quaternion<T> q) {
    T* r = a + query::anchor_config::rotation;
    r[0] = q.w, r[1] = q.x, r[2] = q.y, r[3] = q.z;
  }
};

/// Raw anchors -> Gaussians as the rasterizer takes them.
///
/// Shapes      anchors [Q, D] -> means [Q, 3] (m), scales [Q, 3] (m), rotations [Q, 4], opacities [Q], colours [Q, C]
/// Units       opacity and colour through the sigmoid. The rotation is the *conjugate* of the anchor's quaternion: the
///             rasterizer builds R S S^T R^T, the anchor means R^T S S^T R (see query/anchor.hpp).
/// Gradient    anchors
struct decode_op {
  query::anchor_config config;
  template <class T> struct saved { tensor<T, 2> anchors; };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& anchors) const {
    const idx n = anchors.extent(0), c = config.colour_channels;
    expects(anchors.extent(1) == config.width(), "sqs::gaussian::decode: anchors have ", anchors.extent(1),
            " columns; the configuration has ", config.width());
    auto means = empty<T, 2>(e, {n, 3}), scales = empty<T, 2>(e, {n, 3}), rotations = empty<T, 2>(e, {n, 4});
    auto opacities = empty<T, 1>(e, {n});
    auto colours = empty<T, 2>(e, {n, c});
    parallel_for(e, n, 256, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const T* a = &anchors(i, 0);
        for (int k = 0; k < 3; ++k) {
          means(i, k) = query::decode_position(config, k, a[k]);
          scales(i, k) = query::decode_scale(config, a[query::anchor_config::scales + k]);
        }
        const T* r = a + query::anchor_config::rotation;
        const auto q = conjugate(normalized(quaternion<T>{r[0], r[1], r[2], r[3]}));
        rotations(i, 0) = q.w, rotations(i, 1) = q.x, rotations(i, 2) = q.y, rotations(i, 3) = q.z;
        opacities(i) = safe_sigmoid(a[query::anchor_config::opacity]);
        for (idx k = 0; k < c; ++k) { colours(i, k) = sigmoid(a[query::anchor_config::colour + k]); }
      }
    });
    return result{
        std::tuple{std::move(means), std::move(scales), std::move(rotations), std::move(opacities), std::move(colours)},
        saved<T>{anchors}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& d_means, const tensor<T, 2>& d_scales,
                                   const tensor<T, 2>& d_rotations, const tensor<T, 1>& d_opacities,
                                   const tensor<T, 2>& d_colours) const {
    auto da = empty<T, 2>(e, s.anchors.shape());
    const idx c = config.colour_channels;
    parallel_for(e, da.extent(0), 256, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        const T* a = &s.anchors(i, 0);
        T* d = &da(i, 0);
        for (int k = 0; k < 3; ++k) {
          d[k] = d_means(i, k) * query::position_slope(config, k, a[k]);
          d[query::anchor_config::scales + k] =
              d_scales(i, k) * query::scale_slope(config, a[query::anchor_config::scales + k]);
        }
        const T* r = a + query::anchor_config::rotation;
        const auto q = normalized_backward(
            quaternion<T>{r[0], r[1], r[2], r[3]},
            conjugate(quaternion<T>{d_rotations(i, 0), d_rotations(i, 1), d_rotations(i, 2), d_rotations(i, 3)}));
        T* dr = d + query::anchor_config::rotation;
        dr[0] = q.w, dr[1] = q.x, dr[2] = q.y, dr[3] = q.z;
        const T raw = a[query::anchor_config::opacity];
        d[query::anchor_config::opacity] = d_opacities(i) * safe_sigmoid_slope(raw, safe_sigmoid(raw));
        for (idx k = 0; k < c; ++k) {
          const T v = sigmoid(a[query::anchor_config::colour + k]);
          d[query::anchor_config::colour + k] = d_colours(i, k) * v * (1 - v);
        }
      }
    });
    return da;
  }
};

/// The Gaussian head: a small network on content and anchor embedding, then the refinement rules.
///
/// Shapes      content, embedding [Q, C], anchors [Q, D] -> refined anchors [Q, D]
template <class T> struct head {
  nn::linear_relu_norm<T> body;
  nn::linear<T> output;
  parameter<T, 1> gain;

  /// Opacities start at `config.initial_opacity_logit`, rotations at the identity.
  static head make(const query::anchor_config& c, idx channels, initializer& init) {
    expects(c.width() <= 64, "sqs::gaussian::head: an anchor has ", c.width(), " columns; at most 64");
    head h{nn::linear_relu_norm<T>::make(channels, channels, 2, 2, init),
           nn::linear<T>::make(channels, c.width(), init),
           {init.constant<T, 1>({c.width()}, 1), {}}};
    h.output.bias.value(query::anchor_config::opacity) += static_cast<T>(c.initial_opacity_logit);
    h.output.bias.value(query::anchor_config::rotation) += T(1);
    return h;
  }
  template <graph G> variable<G, T, 2> operator()(G& g, variable<G, T, 2> content, variable<G, T, 2> embedding,
                                                  variable<G, T, 2> anchors, const query::anchor_config& c) const {
    auto raw = output(g, body(g, nn::add(g, std::move(content), std::move(embedding))));
    return sqs::apply(g, refine_op{c}, std::move(anchors), std::move(raw), gain);
  }
  SQS_MEMBERS(head, body, output, gain)
};

} // namespace sqs::gaussian

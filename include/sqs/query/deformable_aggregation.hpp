// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Queries look at images: features of all views and levels, sampled at projected key points and summed with softmaxed
/// weights. One fused op: the tensor [Q, points, C] of samples never exists.

#include <sqs/autodiff/apply.hpp>
#include <sqs/core/math.hpp>
#include <sqs/core/random.hpp>

#include <limits>

namespace sqs::query {

namespace detail {

/// The four taps of a bilinear sample at (u, v) in [0,1]: pixel centres at half, zero outside.
template <class T> struct bilinear_taps {
  idx index[4]; ///< y * w + x, -1 outside
  T weight[4];
  T du[4], dv[4]; ///< d weight / d u, d weight / d v
};
template <class T> bilinear_taps<T> taps_at(T u, T v, idx w, idx h) {
  const T x = u * static_cast<T>(w) - T(0.5), y = v * static_cast<T>(h) - T(0.5);
  const T fx = std::floor(x), fy = std::floor(y), a = x - fx, b = y - fy;
  const auto x0 = static_cast<idx>(fx), y0 = static_cast<idx>(fy);
  bilinear_taps<T> t;
  for (int k = 0; k < 4; ++k) {
    const bool right = (k & 1) != 0, below = (k & 2) != 0;
    const idx px = x0 + (right ? 1 : 0), py = y0 + (below ? 1 : 0);
    t.index[k] = px >= 0 && py >= 0 && px < w && py < h ? py * w + px : -1;
    const T wx = right ? a : 1 - a, wy = below ? b : 1 - b;
    t.weight[k] = wx * wy;
    t.du[k] = (right ? wy : -wy) * static_cast<T>(w);
    t.dv[k] = (below ? wx : -wx) * static_cast<T>(h);
  }
  return t;
}

/// Where a key point falls in a view. u, v in (0, 1) when visible.
template <class T> struct projected_point {
  T u, v, depth;
  bool visible;
};
/// `m`: 4x4 row-major projection matrix of the view. `image`: width and height the matrix refers to.
template <class T> projected_point<T> project_point(const T* m, const T* p, vec2<T> image) {
  const T x = m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3], y = m[4] * p[0] + m[5] * p[1] + m[6] * p[2] + m[7];
  const T z = m[8] * p[0] + m[9] * p[1] + m[10] * p[2] + m[11];
  const T s = T(1) / std::max(z, T(1e-5));
  const T u = x * s / image.x, v = y * s / image.y;
  return {u, v, z, z > T(1e-5) && u > 0 && u < 1 && v > 0 && v < 1};
}

/// The visible (query, view, point) triples, query by query: views in order, points in order.
template <class T> struct visible_points {
  tensor<idx, 1> offsets;       ///< [Q + 1]
  tensor<std::int32_t, 1> code; ///< [visible], view * points + point
  tensor<T, 2> uv;              ///< [visible, 2]
};
template <class T>
visible_points<T> find_visible(cpu& e, const tensor<T, 3>& points, const tensor<T, 3>& projections, vec2<T> image) {
  const idx q = points.extent(0), p = points.extent(1), views = projections.extent(0);
  visible_points<T> out;
  out.offsets = zeros<idx, 1>(e, {q + 1});
  const auto each = [&](idx i, auto&& f) {
    for (idx v = 0; v < views; ++v) {
      for (idx k = 0; k < p; ++k) {
        const auto at = project_point(&projections(v, 0, 0), &points(i, k, 0), image);
        if (at.visible) { f(v * p + k, at); }
      }
    }
  };
  parallel_for(e, q, 128, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      each(i, [&](idx, const auto&) { ++out.offsets(i); });
    }
  });
  const idx n = exclusive_scan(e, out.offsets.data(), out.offsets.data(), q + 1);
  out.code = empty<std::int32_t, 1>(e, {n});
  out.uv = empty<T, 2>(e, {n, 2});
  parallel_for(e, q, 128, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      idx at = out.offsets(i);
      each(i, [&](idx code, const auto& point) {
        out.code(at) = static_cast<std::int32_t>(code);
        out.uv(at, 0) = point.u;
        out.uv(at, 1) = point.v;
        ++at;
      });
    }
  });
  return out;
}

} // namespace detail

/// out[i, c] = sum over visible (view, point) and levels of w[i, view, level, point, group(c)] * sample(level, view, u, v)[c].
///
/// The weights are a softmax, per query and group, over all visible (view, point, level) entries of
/// point_logits[i, (level P + point) G + group] + camera_logits[view, the same]; a query that no view sees gets 0.
/// (The linear map that makes the logits is applied to query and camera embedding apart and added: the same numbers,
/// V times less work.)
///
/// Shapes      points [Q, P, 3]; point_logits [Q, L P G]; camera_logits [V, L P G]; each level [V, h, w, C] -> [Q, C]
/// Units       points in metres, reference frame; `projections` [V, 4, 4] map them to pixels of an image of `image_size`
/// Gradient    points, point_logits, camera_logits, levels
/// Execution   Forward and the gradients of a query: tasks of queries. Gradients of features: one task per view and
///             level, so that sums are taken in query order.
/// Source      GaussianFormer / Sparse4D deformable aggregation (pixel centres at half, zero padding, 0 < u, v < 1).
template <class T> struct deformable_aggregation_op {
  tensor<T, 3> projections;
  vec2<T> image_size;
  idx groups = 4;
  double drop = 0; ///< probability that a weight is left out (training)
  random_stream stream{};

  template <int L> struct saved {
    tensor<T, 3> points;
    detail::visible_points<T> visible;
    tensor<T, 2> weights; ///< [visible, L G], softmaxed
    std::array<tensor<T, 4>, L> levels;
    idx camera_rows;
  };

  template <class... Levels> auto forward(cpu& e, const tensor<T, 3>& points, const tensor<T, 2>& point_logits,
                                          const tensor<T, 2>& camera_logits, const Levels&... each_level) const {
    constexpr int L = sizeof...(Levels);
    const std::array<tensor<T, 4>, L> levels{each_level...};
    const idx q = points.extent(0), p = points.extent(1), c = levels[0].extent(3), row = L * p * groups;
    expects(c % groups == 0, "sqs::query::deformable_aggregation: ", c, " channels in ", groups,
            " groups; groups must divide the channels");
    expects(point_logits.extent(0) == q && point_logits.extent(1) == row && camera_logits.extent(1) == row &&
                camera_logits.extent(0) == projections.extent(0),
            "sqs::query::deformable_aggregation: point logits are [", point_logits.extent(0), ", ",
            point_logits.extent(1), "], camera logits [", camera_logits.extent(0), ", ", camera_logits.extent(1),
            "]; expected [", q, ", ", row, "] and [", projections.extent(0), ", ", row, "] (levels x points x groups)");
    for (const auto& f : levels) {
      expects(f.extent(0) == projections.extent(0) && f.extent(3) == c,
              "sqs::query::deformable_aggregation: a level has ", f.extent(0), " views and ", f.extent(3),
              " channels; expected ", projections.extent(0), " and ", c);
    }
    auto visible = detail::find_visible(e, points, projections, image_size);
    auto weights = empty<T, 2>(e, {visible.code.size(), L * groups});
    auto out = zeros<T, 2>(e, {q, c});
    parallel_for(e, q, 64, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        softmax<L>(visible, point_logits, camera_logits, i, p, weights);
        for (idx n = visible.offsets(i); n < visible.offsets(i + 1); ++n) {
          const idx view = visible.code(n) / p;
          for (int l = 0; l < L; ++l) {
            sample(levels[static_cast<std::size_t>(l)], view, &visible.uv(n, 0), &weights(n, l * groups), &out(i, 0));
          }
        }
      }
    });
    return result{std::move(out),
                  saved<L>{points, std::move(visible), std::move(weights), levels, camera_logits.extent(0)}};
  }

  template <int L> auto backward(cpu& e, const saved<L>& s, const tensor<T, 2>& dy) const {
    const idx q = s.points.extent(0), p = s.points.extent(1), row = L * p * groups;
    auto d_points = zeros<T, 3>(e, s.points.shape());
    auto d_logits = zeros<T, 2>(e, {q, row});
    const idx step = std::max<idx>(64, (q + 63) / 64);
    auto partial = zeros<T, 3>(e, {(q + step - 1) / step, s.camera_rows, row});
    auto dw = empty<T, 2>(e, s.weights.shape());
    parallel_for(e, q, step, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        backward_query<L>(s, i, &dy(i, 0), dw, &d_points(i, 0, 0));
        backward_softmax<L>(s, i, p, dw, &d_logits(i, 0), &partial(begin / step, 0, 0), row);
      }
    });
    auto d_camera = zeros<T, 2>(e, {s.camera_rows, row});
    for (idx part = 0; part < partial.extent(0); ++part) {
      for (idx k = 0; k < d_camera.size(); ++k) { d_camera.data()[k] += partial.data()[part * d_camera.size() + k]; }
    }
    auto d_levels = backward_levels<L>(e, s, dy);
    return std::tuple_cat(std::tuple{std::move(d_points), std::move(d_logits), std::move(d_camera)},
                          std::move(d_levels));
  }

private:
  template <int L> void softmax(const detail::visible_points<T>& visible, const tensor<T, 2>& point_logits,
                                const tensor<T, 2>& camera_logits, idx i, idx p, tensor<T, 2>& weights) const {
    const idx first = visible.offsets(i), last = visible.offsets(i + 1);
    for (idx g = 0; g < groups; ++g) {
      T most = -std::numeric_limits<T>::infinity();
      for (idx n = first; n < last; ++n) {
        const idx view = visible.code(n) / p, point = visible.code(n) % p;
        for (idx l = 0; l < L; ++l) {
          const idx k = (l * p + point) * groups + g;
          const bool left_out =
              drop > 0 && stream.uniform(((i * camera_logits.extent(0) + view) * L * p * groups) + k) < drop;
          const T logit = left_out ? -std::numeric_limits<T>::infinity() : point_logits(i, k) + camera_logits(view, k);
          weights(n, l * groups + g) = logit;
          most = std::max(most, logit);
        }
      }
      T sum = 0;
      for (idx n = first; n < last; ++n) {
        for (idx l = 0; l < L; ++l) {
          T& w = weights(n, l * groups + g);
          w = most == -std::numeric_limits<T>::infinity() ? T(0) : std::exp(w - most); // all left out: exactly zero
          sum += w;
        }
      }
      const T scale = sum > 0 ? T(1) / sum : T(0);
      for (idx n = first; n < last; ++n) {
        for (idx l = 0; l < L; ++l) { weights(n, l * groups + g) *= scale; }
      }
    }
  }
  void sample(const tensor<T, 4>& level, idx view, const T* uv, const T* weight, T* out) const {
    const idx h = level.extent(1), w = level.extent(2), c = level.extent(3), width = c / groups;
    const auto t = detail::taps_at(uv[0], uv[1], w, h);
    const T* base = level.data() + view * h * w * c;
    for (int k = 0; k < 4; ++k) {
      if (t.index[k] < 0) { continue; }
      const T* f = base + t.index[k] * c;
      for (idx g = 0; g < groups; ++g) {
        const T s = weight[g] * t.weight[k];
        for (idx j = g * width; j < (g + 1) * width; ++j) { out[j] += s * f[j]; }
      }
    }
  }
  /// Gradients of the softmaxed weights and of the key points of query i.
  template <int L> void backward_query(const saved<L>& s, idx i, const T* dy, tensor<T, 2>& dw, T* d_points) const {
    const idx p = s.points.extent(1), c = s.levels[0].extent(3), width = c / groups;
    for (idx n = s.visible.offsets(i); n < s.visible.offsets(i + 1); ++n) {
      const idx view = s.visible.code(n) / p, point = s.visible.code(n) % p;
      T du = 0, dv = 0;
      for (int l = 0; l < L; ++l) {
        const auto& level = s.levels[static_cast<std::size_t>(l)];
        const idx h = level.extent(1), w = level.extent(2);
        const auto t = detail::taps_at(s.visible.uv(n, 0), s.visible.uv(n, 1), w, h);
        const T* base = level.data() + view * h * w * c;
        std::fill_n(&dw(n, l * groups), groups, T(0));
        for (int k = 0; k < 4; ++k) {
          if (t.index[k] < 0) { continue; }
          const T* f = base + t.index[k] * c;
          T weighted = 0; // sum over groups of w_g <f_g, dy_g>
          for (idx g = 0; g < groups; ++g) {
            T product = 0;
            for (idx j = g * width; j < (g + 1) * width; ++j) { product += f[j] * dy[j]; }
            dw(n, l * groups + g) += t.weight[k] * product;
            weighted += s.weights(n, l * groups + g) * product;
          }
          du += t.du[k] * weighted;
          dv += t.dv[k] * weighted;
        }
      }
      add_projection_gradient(&projections(view, 0, 0), &s.points(i, point, 0), du, dv, d_points + 3 * point);
    }
  }
  void add_projection_gradient(const T* m, const T* x, T du, T dv, T* dx) const {
    const auto at = detail::project_point(m, x, image_size);
    const T s = T(1) / at.depth;
    for (int k = 0; k < 3; ++k) {
      dx[k] += du * s * (m[k] / image_size.x - at.u * m[8 + k]) + dv * s * (m[4 + k] / image_size.y - at.v * m[8 + k]);
    }
  }
  template <int L> void backward_softmax(const saved<L>& s, idx i, idx p, const tensor<T, 2>& dw, T* d_logits,
                                         T* d_camera, idx row) const {
    const idx first = s.visible.offsets(i), last = s.visible.offsets(i + 1);
    for (idx g = 0; g < groups; ++g) {
      T mean = 0;
      for (idx n = first; n < last; ++n) {
        for (idx l = 0; l < L; ++l) { mean += s.weights(n, l * groups + g) * dw(n, l * groups + g); }
      }
      for (idx n = first; n < last; ++n) {
        const idx view = s.visible.code(n) / p, point = s.visible.code(n) % p;
        for (idx l = 0; l < L; ++l) {
          const T d = s.weights(n, l * groups + g) * (dw(n, l * groups + g) - mean);
          d_logits[(l * p + point) * groups + g] += d;
          d_camera[view * row + (l * p + point) * groups + g] += d;
        }
      }
    }
  }
  template <int L> auto backward_levels(cpu& e, const saved<L>& s, const tensor<T, 2>& dy) const {
    const idx q = s.points.extent(0), p = s.points.extent(1), views = projections.extent(0), c = dy.extent(1);
    std::array<tensor<T, 4>, L> d;
    for (std::size_t l = 0; l < L; ++l) { d[l] = zeros<T, 4>(e, s.levels[l].shape()); }
    parallel_for(e, L * views, 1, [&](idx task, idx) {
      const idx l = task / views, view = task % views, width = c / groups;
      auto& level = d[static_cast<std::size_t>(l)];
      const idx h = level.extent(1), w = level.extent(2);
      T* base = level.data() + view * h * w * c;
      for (idx i = 0; i < q; ++i) {
        for (idx n = s.visible.offsets(i); n < s.visible.offsets(i + 1); ++n) {
          if (s.visible.code(n) / p != view) { continue; }
          const auto t = detail::taps_at(s.visible.uv(n, 0), s.visible.uv(n, 1), w, h);
          for (int k = 0; k < 4; ++k) {
            if (t.index[k] < 0) { continue; }
            T* f = base + t.index[k] * c;
            for (idx g = 0; g < groups; ++g) {
              const T weight = s.weights(n, l * groups + g) * t.weight[k];
              for (idx j = g * width; j < (g + 1) * width; ++j) { f[j] += weight * dy(i, j); }
            }
          }
        }
      }
    });
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, d);
  }
};

} // namespace sqs::query

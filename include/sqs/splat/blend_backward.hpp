// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Backward pass of the blend. It replays the tiles front to back: with s_i = c_i . dImage + z_i dDepth and
/// S_i = sum_{j>i} w_j s_j + the background's share,
///   dL/dalpha_i = T_i s_i - S_i / (1 - alpha_i),
/// and S_i = S_total - sum_{j<=i} w_j s_j where S_total comes from the stored outputs: one number per pixel, no
/// checkpoints, and the same T sequence as forward.

#include <sqs/splat/blend.hpp>

namespace sqs::splat {

/// Output of `blend_backward`.
template <class T> struct blend_gradients {
  tensor<projected_gradient<T>, 2> records; ///< [V,G]; set where the record is visible
  tensor<T, 2> colours;                     ///< [G,C]
  tensor<T, 2> background;                  ///< [V,C]
};

namespace detail {

/// Sums kept per (tile, Gaussian): sum g, g dx, g dy, g dx^2, g dx dy, g dy^2 with g = alpha dL/dalpha, then depth and
/// colours. Everything else follows per Gaussian.
inline constexpr int moment_count = 6;
template <class K> inline constexpr int slot_width = moment_count + 1 + K::channels;

/// The pixels of one tile, laid out as in `forward_tile`.
template <class K, class T> struct backward_tile {
  static constexpr int tile = K::tile, channels = K::channels, width = slot_width<K>;
  static constexpr int n = lane_count<T, tile>, per_row = tile / n;
  using vector = lanes<T, n>;
  vector t[tile * per_row];
  vector rest[tile * per_row]; ///< S_i
  vector d_depth[tile * per_row];
  vector d_colour[channels][tile * per_row];

  void load(const tile_place& at, const blended<T>& out, const tensor<T, 4>& d_image, const tensor<T, 3>& d_z,
            const tensor<T, 3>& d_t) {
    const idx w = out.depth.extent(2), h = out.depth.extent(1);
    start_transmittance<tile, n>(at, t);
    for (int i = 0; i < tile * tile; ++i) {
      const int x = i % tile, y = i / tile, p = i / n, lane = i % n;
      const bool inside = x < at.width && y < at.height;
      const idx pixel = inside ? (at.view * h + at.y0 + y) * w + at.x0 + x : 0;
      T sum = T(0);
      for (int c = 0; c < channels; ++c) {
        const T d = inside ? d_image.data()[pixel * channels + c] : T(0);
        d_colour[c][p][lane] = d;
        sum += inside ? d * out.image.data()[pixel * channels + c] : T(0);
      }
      const T d = inside ? d_z.data()[pixel] : T(0);
      d_depth[p][lane] = d;
      rest[p][lane] =
          inside ? sum + d * out.depth.data()[pixel] + d_t.data()[pixel] * out.transmittance.data()[pixel] : T(0);
    }
  }

  /// Replays one Gaussian and adds its pixels to the sums.
  void add(const tile_splat<T>& s, const T* c, const tile_place& at, T* slot) {
    vector sums[width]{};
    const vector zero{}, cap = zero + K::alpha_max;
    for (int part = 0; part < per_row; ++part) {
      const vector x = iota<T, n>() + (T(at.x0 + part * n) + T(0.5));
      for (int row = s.row0; row < s.row1; ++row) {
        const int p = row * per_row + part;
        const T dy = T(at.y0 + row) + T(0.5) - s.y;
        vector dx, alpha;
        evaluate<n>(s, x, dy, dx, alpha);
        const vector capped = alpha < cap ? alpha : cap, before = t[p];
        const vector w = blend_step<K, n, T>(capped, t[p]);
        vector along = s.depth * d_depth[p];
        for (int k = 0; k < channels; ++k) { along += c[k] * d_colour[k][p]; }
        rest[p] -= w * along;
        const vector d_alpha = before * along - rest[p] / (T(1) - capped);
        const vector g_open = alpha < cap ? alpha * d_alpha : zero;
        const vector g = w > zero ? g_open : zero;
        const vector gx = g * dx, gy = g * dy;
        sums[0] += g;
        sums[1] += gx;
        sums[2] += gy;
        sums[3] += gx * dx;
        sums[4] += gx * dy;
        sums[5] += gy * dy;
        sums[6] += w * d_depth[p];
        for (int k = 0; k < channels; ++k) { sums[moment_count + 1 + k] += w * d_colour[k][p]; }
      }
    }
    for (int m = 0; m < width; ++m) { slot[m] = sum_of<T, n>(sums[m]); }
  }
};

/// dL/dbackground of the pixels of one tile.
template <class K, class T>
void background_of_tile(const tile_place& at, const blended<T>& out, const backward_tile<K, T>& tile_data, T* sums) {
  const idx w = out.depth.extent(2), h = out.depth.extent(1);
  for (int c = 0; c < K::channels; ++c) { sums[c] = T(0); }
  for (int y = 0; y < at.height; ++y) {
    for (int x = 0; x < at.width; ++x) {
      const T t = out.transmittance.data()[(at.view * h + at.y0 + y) * w + at.x0 + x];
      const int p = (y * K::tile + x) / tile_data.n;
      for (int c = 0; c < K::channels; ++c) { sums[c] += t * tile_data.d_colour[c][p][x % tile_data.n]; }
    }
  }
}

/// The slot of Gaussian g in tile (tx, ty) of a view.
template <class T> idx slot_of(const projected_gaussian<T>& r, idx first_slot, const tile_place& at) {
  return first_slot + (at.ty - r.tile_y0) * (r.tile_x1 - r.tile_x0) + (at.tx - r.tile_x0);
}

/// Sums the slots of one (view, Gaussian) pair, finishes what is common to its pixels, adds to its colours' gradient.
template <class K, class T>
projected_gradient<T> gather_slots(const projected_gaussian<T>& r, const T* slots, idx count, T* d_colour) {
  T m[slot_width<K>]{};
  for (idx i = 0; i < count; ++i) {
    for (int j = 0; j < slot_width<K>; ++j) { m[j] += slots[i * slot_width<K> + j]; }
  }
  for (int c = 0; c < K::channels; ++c) { d_colour[c] += m[moment_count + 1 + c]; }
  return {.x = r.a * m[1] + r.b * m[2],
          .y = r.b * m[1] + r.c * m[2],
          .depth = m[6],
          .a = T(-0.5) * m[3],
          .b = -m[4],
          .c = T(-0.5) * m[5],
          .opacity = m[0] / r.opacity};
}

} // namespace detail

/// Backward pass of `blend`.
///
/// Shapes      `out` is what `blend` returned for the same arguments; d_image [V,H,W,C], d_depth and d_transmittance
///             [V,H,W].
/// Gradient    records (centre, depth, conic, opacity), colours and background. None passes a capped alpha.
/// Execution   parallel over tiles, then over Gaussians; bitwise the same for any thread count: every (tile, Gaussian)
///             pair writes its own slot, and slots are summed in order.
/// Cost        45 + 6C flop per pair looked at, 4 (7 + C) bytes per intersection in float.
template <raster_config Config, class T>
blend_gradients<T> blend_backward(cpu& e, const tensor<projected_gaussian<T>, 2>& records, const tile_bins& bins,
                                  const tensor<T, 2>& colours, const blended<T>& out, const tensor<T, 4>& d_image,
                                  const tensor<T, 3>& d_depth, const tensor<T, 3>& d_transmittance) {
  using k = raster_constants<Config, T>;
  constexpr int channels = k::channels, tile = k::tile, slot = detail::slot_width<k>;
  const idx views = bins.views, n = records.extent(1), h = out.depth.extent(1), w = out.depth.extent(2);
  auto slots = empty<T, 2>(e, {bins.intersections(), slot});
  auto tile_background = empty<T, 2>(e, {views * bins.tiles(), channels});
  const auto one_tile = [&](idx index) {
    const auto at = detail::place_of<tile>(bins, index, w, h);
    detail::backward_tile<k, T> pixels;
    pixels.load(at, out, d_image, d_depth, d_transmittance);
    detail::background_of_tile<k>(at, out, pixels, tile_background.data() + index * channels);
    const idx first = bins.tile_begin.data()[index], last = bins.tile_begin.data()[index + 1];
    const idx stop = first + out.visited.data()[index];
    for (idx i = first; i < last; ++i) {
      const idx g = bins.order.data()[i], pair = at.view * n + g;
      const auto& r = records.data()[pair];
      T* target = slots.data() + detail::slot_of(r, bins.first_slot.data()[pair], at) * slot;
      if (i < stop) {
        pixels.add(detail::make_tile_splat<tile>(r, at.x0, at.y0), colours.data() + g * channels, at, target);
      } else {
        std::fill_n(target, slot, T(0));
      }
    }
  };
  parallel_for(e, views * bins.tiles(), 1, [&](idx begin, idx end) {
    for (idx t = begin; t < end; ++t) { one_tile(t); }
  });
  blend_gradients<T> d{empty<projected_gradient<T>, 2>(e, {views, n}), zeros<T, 2>(e, {n, channels}),
                       zeros<T, 2>(e, {views, channels})};
  parallel_for(e, n, 128, [&](idx begin, idx end) {
    for (idx g = begin; g < end; ++g) {
      for (idx v = 0; v < views; ++v) {
        const idx pair = v * n + g, first = bins.first_slot.data()[pair];
        const auto& r = records.data()[pair];
        if (!r.visible()) { continue; }
        d.records.data()[pair] = detail::gather_slots<k>(
            r, slots.data() + first * slot, bins.first_slot.data()[pair + 1] - first, d.colours.data() + g * channels);
      }
    }
  });
  for (idx t = 0; t < views * bins.tiles(); ++t) {
    T* sum = d.background.data() + t / bins.tiles() * channels;
    for (int c = 0; c < channels; ++c) { sum[c] += tile_background.data()[t * channels + c]; }
  }
  return d;
}

} // namespace sqs::splat

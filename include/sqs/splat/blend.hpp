// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Third stage of the rasterizer: alpha blending, front to back, tile by tile, one row of a tile at a time.
///
/// Per pixel, over its Gaussians i in order of depth, with d = pixel centre - centre_i:
///   alpha_i = min(alpha_max, o_i exp(-(a dx^2 + c dy^2) / 2 - b dx dy)), skipped below alpha_cut
///   w_i = alpha_i T_i,  T_{i+1} = T_i (1 - alpha_i),  until T reaches `stop`
///   image = sum w_i c_i + T_end background,  depth = sum w_i z_i (not divided),  transmittance = T_end

#include <sqs/splat/bin.hpp>
#include <sqs/splat/detail/lanes.hpp>

namespace sqs::splat {

/// Output of `blend`.
template <class T> struct blended {
  tensor<T, 4> image;         ///< [V,H,W,C]
  tensor<T, 3> depth;         ///< [V,H,W], m times opacity
  tensor<T, 3> transmittance; ///< [V,H,W], of everything together
  tensor<idx, 1> visited;     ///< [V*tiles], entries looked at before all pixels of the tile were finished
};

namespace detail {

/// A Gaussian made ready for the rows of one tile: the quadratic form in powers of two, negated.
template <class T> struct tile_splat {
  T x, y, depth, xx, xy, yy, opacity;
  int row0, row1;
};
/// The rows are exactly those where the ellipse of the cut meets the tile's columns; none if it passes the tile by.
template <int Tile, class T> tile_splat<T> make_tile_splat(const projected_gaussian<T>& r, idx x0, idx y0) {
  constexpr T log2e = T(1.4426950408889634074);
  tile_splat<T> s{r.x, r.y, r.depth, T(-0.5) * log2e * r.a, -log2e * r.b, T(-0.5) * log2e * r.c, r.opacity, 0, 0};
  const T left = std::max(T(x0) + T(0.5) - r.x, -r.radius_x);
  const T right = std::min(T(x0) + T(Tile) - T(0.5) - r.x, r.radius_x);
  if (!(left <= right)) { return s; }
  const auto bulge = [&](T d) {
    const T u = d / r.radius_x;
    return r.half_height * std::sqrt(std::max(T(0), T(1) - u * u));
  };
  // The lower edge is concave and the upper convex in d: their extremes lie at +-crest or at the nearest column.
  const T at_end = std::clamp(r.crest, left, right), at_begin = std::clamp(-r.crest, left, right);
  const T slack = T(0.05) + T(1e-5) * std::abs(r.shear) * T(Tile); // px, covers rounding
  const T middle = r.y - T(0.5) - T(y0);
  const T from = std::ceil(middle + r.shear * at_begin - bulge(at_begin) - slack);
  const T to = std::floor(middle + r.shear * at_end + bulge(at_end) + slack) + T(1);
  s.row0 = static_cast<int>(std::clamp(from, T(0), T(Tile)));
  s.row1 = static_cast<int>(std::clamp(to, T(0), T(Tile)));
  return s;
}

/// dx and o 2^q of neighbouring pixels of one row. Forward and backward share it, and every product in it has one use:
/// so they see the same bits, whichever products the compiler fuses.
template <int N, class T>
inline void evaluate(const tile_splat<T>& s, const lanes<T, N>& pixel_x, T dy, lanes<T, N>& dx, lanes<T, N>& alpha) {
  const T slope = s.xy * dy, level = s.yy * dy * dy;
  const lanes<T, N> zero{}, least = zero + T(-100);
  dx = pixel_x - s.x;
  const lanes<T, N> q = dx * (s.xx * dx + slope) + level;
  // Below 2^-100 everything is under any cut; q > 0 is rounding of an almost singular form and is skipped.
  const lanes<T, N> value = s.opacity * exp2_of<T, N>(q > least ? q : least);
  alpha = q <= zero ? value : zero;
}

/// One step of the recursion: the weight of this Gaussian; t becomes the transmittance after it. A finished pixel is
/// marked by a negative T, which stays below `stop` and so needs neither a mask nor a branch.
template <class K, int N, class T> inline lanes<T, N> blend_step(const lanes<T, N>& alpha, lanes<T, N>& t) {
  const lanes<T, N> zero{}, stop = zero + K::stop;
  lanes<T, N> a = alpha >= zero + K::alpha_cut ? alpha : zero;
  if constexpr (!K::exclusive) { a = t > zero ? a : zero; }
  const lanes<T, N> next = t * (T(1) - a), weight = a * t;
  const auto open = next > stop;
  const lanes<T, N> last = K::exclusive ? t : next; // the value that stays
  t = open ? next : (last > zero ? -last : last);
  return K::exclusive ? (open ? weight : zero) : weight;
}

/// Where tile `t` (over all views) stands.
struct tile_place {
  idx view, tx, ty, x0, y0;
  int width, height; ///< pixels of the tile inside the image
};
template <int Tile> tile_place place_of(const tile_bins& b, idx t, idx image_width, idx image_height) {
  const idx view = t / b.tiles(), in_view = t % b.tiles(), tx = in_view % b.tiles_x, ty = in_view / b.tiles_x;
  return {view,
          tx,
          ty,
          tx * Tile,
          ty * Tile,
          static_cast<int>(std::min<idx>(Tile, image_width - tx * Tile)),
          static_cast<int>(std::min<idx>(Tile, image_height - ty * Tile))};
}

/// Sets T to 1 inside the image and to "finished" outside, so that padding never holds a tile open.
template <int Tile, int N, class T, std::size_t Size> void start_transmittance(const tile_place& at, T (&t)[Size]) {
  for (int p = 0; p < Tile * Tile; ++p) { t[p / N][p % N] = p / Tile < at.height && p % Tile < at.width ? 1 : -1; }
}
template <class T, int N, std::size_t Size> bool any_open(const lanes<T, N> (&t)[Size]) {
  lanes<T, N> most = t[0];
  for (const auto& v : t) { most = v > most ? v : most; }
  T top = T(-1);
  for (int i = 0; i < N; ++i) { top = most[i] > top ? most[i] : top; }
  return top > T(0);
}

/// How many entries pass between two looks at whether a tile is finished.
inline constexpr idx entries_between_checks = 16;

/// The pixels of one tile. Pixel (x, y) is lane p % N of vector p / N with p = y * tile + x.
template <class K, class T> struct forward_tile {
  static constexpr int tile = K::tile, channels = K::channels, n = lane_count<T, tile>, per_row = tile / n;
  using vector = lanes<T, n>;
  vector t[tile * per_row];
  vector depth[tile * per_row];
  vector colour[channels][tile * per_row];

  void start(const tile_place& at) {
    start_transmittance<tile, n>(at, t);
    for (auto& v : depth) { v = vector{}; }
    for (auto& c : colour) {
      for (auto& v : c) { v = vector{}; }
    }
  }
  void add(const tile_splat<T>& s, const T* c, const tile_place& at) {
    for (int part = 0; part < per_row; ++part) {
      const vector x = iota<T, n>() + (T(at.x0 + part * n) + T(0.5));
      for (int row = s.row0; row < s.row1; ++row) {
        const int p = row * per_row + part;
        vector dx, alpha;
        evaluate<n>(s, x, T(at.y0 + row) + T(0.5) - s.y, dx, alpha);
        const vector cap = vector{} + K::alpha_max;
        const vector w = blend_step<K, n, T>(alpha < cap ? alpha : cap, t[p]);
        depth[p] += w * s.depth;
        for (int k = 0; k < channels; ++k) { colour[k][p] += w * c[k]; }
      }
    }
  }
};

} // namespace detail

/// Blends the tiles' lists.
///
/// Shapes      records [V,G] and bins of the same configuration; colours [G,C]; background [V,C].
/// Execution   parallel over tiles; bitwise the same for any thread count.
/// Cost        20 + 2C flop per (pixel, Gaussian) pair looked at.
template <raster_config Config, class T> blended<T> blend(cpu& e, const tensor<projected_gaussian<T>, 2>& records,
                                                          const tile_bins& bins, const tensor<T, 2>& colours,
                                                          const tensor<T, 2>& background, int width, int height) {
  using k = raster_constants<Config, T>;
  constexpr int channels = k::channels, tile = k::tile, n_lanes = detail::lane_count<T, tile>;
  const idx views = bins.views, n = records.extent(1), w = width, h = height;
  blended<T> out{empty<T, 4>(e, {views, h, w, channels}), empty<T, 3>(e, {views, h, w}), empty<T, 3>(e, {views, h, w}),
                 empty<idx, 1>(e, {views * bins.tiles()})};
  const auto one_tile = [&](idx index) {
    const auto at = detail::place_of<tile>(bins, index, w, h);
    detail::forward_tile<k, T> pixels;
    pixels.start(at);
    const idx first = bins.tile_begin.data()[index], last = bins.tile_begin.data()[index + 1];
    idx i = first;
    for (; i < last; ++i) {
      if ((i - first) % detail::entries_between_checks == 0 && !detail::any_open<T, n_lanes>(pixels.t)) { break; }
      const idx g = bins.order.data()[i];
      pixels.add(detail::make_tile_splat<tile>(records.data()[at.view * n + g], at.x0, at.y0),
                 colours.data() + g * channels, at);
    }
    out.visited.data()[index] = i - first;
    const T* back = background.data() + at.view * channels;
    for (int y = 0; y < at.height; ++y) {
      for (int x = 0; x < at.width; ++x) {
        const idx pixel = (at.view * h + at.y0 + y) * w + at.x0 + x;
        const int p = (y * tile + x) / n_lanes, lane = x % n_lanes;
        const T t = std::abs(pixels.t[p][lane]);
        out.depth.data()[pixel] = pixels.depth[p][lane];
        out.transmittance.data()[pixel] = t;
        for (int c = 0; c < channels; ++c) {
          out.image.data()[pixel * channels + c] = pixels.colour[c][p][lane] + t * back[c];
        }
      }
    }
  };
  parallel_for(e, views * bins.tiles(), 1, [&](idx begin, idx end) {
    for (idx t = begin; t < end; ++t) { one_tile(t); }
  });
  return out;
}

} // namespace sqs::splat

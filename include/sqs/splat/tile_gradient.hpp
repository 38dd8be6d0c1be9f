// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the blend's backward pass reads: gradients of the outputs, tile by tile.

#include <sqs/splat/blend.hpp>

namespace sqs::splat {

/// dL/d(outputs), over the pixels of all views.
template <class T> struct image_gradients {
  tensor<T, 2> image;         ///< [P,C]
  tensor<T, 2> depth;         ///< [P,D]
  tensor<T, 1> transmittance; ///< [P]
};

namespace detail {

/// The gradients of one tile's pixels, a row of cells at a time, so that what is read is still in the first-level cache when
/// the cells take it: dL/d(channels), and the sum of all outputs times their gradients; zero outside the image.
template <class K, class T> struct tile_gradient {
  using plan = channel_plan<K>;
  using shape = tile_shape<K, T>;
  using number = typename shape::number;
  static constexpr int edge = shape::tile, area = shape::edge * edge; ///< of a tile; of a row of its cells

  T rest[area], value[(plan::fused + plan::features) * area], median[K::median ? area : 1];
  T background[K::channels][edge]{}; ///< sums of the background's gradient so far, column by column

  void read(int row, const tile_place& at, const tile_grid& grid, const blended<T>& out, const image_gradients<T>& d) {
    if (at.width == edge) {
      read(row, at, grid, out, d, std::integral_constant<int, edge>{});
    } else {
      read(row, at, grid, out, d, at.width);
    }
  }

private:
  template <class Width> void read(int row_of_cells, const tile_place& at, const tile_grid& grid, const blended<T>& out,
                                   const image_gradients<T>& d, Width width) {
    const auto& view = grid[at.view];
    const int top = row_of_cells * shape::edge, rows = std::clamp(at.height - top, 0, shape::edge);
    if (at.width < edge || rows < shape::edge) { clear(); }
    if constexpr (K::depths > 0) {
      std::fill_n(value + plan::near_colours * area, (plan::fused - plan::near_colours) * area, T(0));
    }
    for (int y = 0; y < rows; ++y) {
      const idx first = view.first_pixel + idx{at.y0 + top + y} * view.width + at.x0;
      const T *d_image = d.image.data() + first * K::channels, *image = out.image.data() + first * K::channels;
      const T *t = out.transmittance.data() + first, *d_t = d.transmittance.data() + first;
      T* const row = rest + y * edge;
      const auto plane = [&](int c) {
        return value + (c < plan::near_colours ? c : c - plan::near_colours + plan::fused) * area + y * edge;
      };
      if constexpr (!std::is_same_v<Width, int>) { // a whole row, a register at a time
        constexpr int n = edge < number::size ? edge : number::size, fours = K::channels / 4 * 4;
        using lanes = simd<T, n>;
        for (int x = 0; x < edge; x += n) {
          const lanes left = lanes::load(t + x);
          lanes toward = left * lanes::load(d_t + x);
          const auto add = [&](int c, const lanes& v, const lanes& i) {
            v.store(plane(c) + x);
            toward += v * i;
            (lanes::load(background[c] + x) + left * v).store(background[c] + x);
          };
          if constexpr (K::channels == 3) {
            lanes v[3], i[3];
            load_triples(d_image + 3 * x, v);
            load_triples(image + 3 * x, i);
            for (int c = 0; c < 3; ++c) { add(c, v[c], i[c]); }
          } else {
            for (int c = 0; c < fours; c += 4) {
              lanes v[4], i[4];
              load_fours<T, n>([&](int l) { return d_image + (x + l) * K::channels + c; }, v);
              load_fours<T, n>([&](int l) { return image + (x + l) * K::channels + c; }, i);
              for (int k = 0; k < 4; ++k) { add(c + k, v[k], i[k]); }
            }
            for (int c = fours; c < K::channels; ++c) {
              const idx first_of = x * K::channels + c;
              add(c, lanes::strided(d_image + first_of, K::channels), lanes::strided(image + first_of, K::channels));
            }
          }
          toward.store(row + x);
        }
      } else {
        for (int x = 0; x < width; ++x) {
          row[x] = t[x] * d_t[x];
          for (int c = 0; c < K::channels; ++c) {
            const T v = d_image[x * K::channels + c];
            plane(c)[x] = v;
            row[x] += v * image[x * K::channels + c];
            background[c][x] += t[x] * v;
          }
        }
      }
      if constexpr (K::depths > 0) {
        for (int x = 0; x < width; ++x) { read_depth(y * edge + x, first + x, t[x], out, d); }
      }
    }
  }
  void clear() {
    std::fill_n(rest, area, T(0));
    std::fill_n(value, (plan::fused + plan::features) * area, T(0));
    std::fill_n(median, K::median ? area : 1, T(0));
  }
  void read_depth(int to, idx pixel, T t, const blended<T>& out, const image_gradients<T>& d) {
    const T *d_depth = d.depth.data() + pixel * K::depths, *depth = out.depth.data() + pixel * K::depths;
    T& d_z = value[(plan::z ? plan::near_colours : 0) * area + to];
    if constexpr (K::accumulated) {
      d_z += *d_depth;
      rest[to] += *d_depth++ * *depth++;
    }
    if constexpr (K::expected) { // z / (1 - T) depends on both, and T is everyone's
      const T opacity = T(1) - t;
      if (opacity > T(0)) {
        d_z += *d_depth / opacity;
        rest[to] += *d_depth * *depth * (T(1) + t / opacity);
      }
      ++d_depth, ++depth;
    }
    if constexpr (K::inverse) {
      value[(plan::fused - 1) * area + to] = *d_depth;
      rest[to] += *d_depth++ * *depth++;
    }
    if constexpr (K::median) { median[to] = *d_depth; }
  }
};

} // namespace detail
} // namespace sqs::splat

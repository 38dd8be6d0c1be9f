// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Baseline: the tile loop of the usual GPU kernels, ported line by line to one thread. Every tile has a list of
/// Gaussians sorted by depth; every pixel walks it front to back, and back to front for the gradients. One liberty that
/// favours it: a Gaussian beyond its own cut is left before the exponential.

#include "plain.hpp"

#include <array>

namespace scalar_tile {

using plain::splat;

inline constexpr int tile = 16;

/// Gaussians of every tile, nearest first.
struct lists {
  int tiles_x = 0, tiles_y = 0;
  std::vector<std::int32_t> order;
  std::vector<std::int64_t> begin; ///< tiles + 1
};

inline int tile_of(float pixels, int tiles) {
  return static_cast<int>(std::clamp(std::floor(pixels / static_cast<float>(tile)), 0.0f, static_cast<float>(tiles)));
}

/// One key of 64 bits, (tile, depth), per intersection, and one sort.
inline lists make_lists(const std::vector<splat>& splats, const plain::camera& c) {
  struct entry {
    std::uint64_t key;
    std::int32_t owner;
  };
  lists out{(c.width + tile - 1) / tile, (c.height + tile - 1) / tile, {}, {}};
  std::vector<entry> entries;
  for (std::size_t g = 0; g < splats.size(); ++g) {
    const splat& s = splats[g];
    if (!s.visible()) { continue; }
    const int x0 = tile_of(s.x - s.extent_x, out.tiles_x), y0 = tile_of(s.y - s.extent_y, out.tiles_y);
    const int x1 = std::min(out.tiles_x, tile_of(s.x + s.extent_x, out.tiles_x) + 1);
    const int y1 = std::min(out.tiles_y, tile_of(s.y + s.extent_y, out.tiles_y) + 1);
    std::uint32_t depth;
    __builtin_memcpy(&depth, &s.z, sizeof(depth));
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) {
        entries.push_back({static_cast<std::uint64_t>(y * out.tiles_x + x) << 32 | depth, static_cast<int>(g)});
      }
    }
  }
  std::vector<entry> other(entries.size());
  for (int shift = 0; shift < 64; shift += 8) {
    std::array<std::size_t, 257> first{};
    for (const auto& e : entries) { ++first[(e.key >> shift & 255) + 1]; }
    if (std::find(first.begin(), first.end(), entries.size()) != first.end()) { continue; } // all have one digit
    for (std::size_t i = 0; i < 256; ++i) { first[i + 1] += first[i]; }
    for (const auto& e : entries) { other[first[e.key >> shift & 255]++] = e; }
    entries.swap(other);
  }
  out.begin.resize(static_cast<std::size_t>(out.tiles_x * out.tiles_y + 1));
  std::size_t at = 0;
  for (std::size_t t = 0; t < out.begin.size(); ++t) {
    while (at < entries.size() && entries[at].key >> 32 < t) { ++at; }
    out.begin[t] = static_cast<std::int64_t>(at);
  }
  out.order.reserve(entries.size());
  for (const auto& e : entries) { out.order.push_back(e.owner); }
  return out;
}

struct picture {
  std::vector<float> image, transmittance; ///< [H,W,3], [H,W]
  std::vector<std::int64_t> last;          ///< [H,W], one past the last entry that was blended
};

inline picture blend(const plain::numbers& k, const std::vector<splat>& splats, const lists& l, const float* colours,
                     const float* background, const plain::camera& c) {
  const auto pixels = static_cast<std::size_t>(c.width) * static_cast<std::size_t>(c.height);
  picture out{std::vector<float>(3 * pixels), std::vector<float>(pixels), std::vector<std::int64_t>(pixels)};
  for (int t = 0; t < l.tiles_x * l.tiles_y; ++t) {
    const int x0 = t % l.tiles_x * tile, y0 = t / l.tiles_x * tile;
    const std::int64_t begin = l.begin[static_cast<std::size_t>(t)], end = l.begin[static_cast<std::size_t>(t) + 1];
    for (int y = y0; y < std::min(y0 + tile, c.height); ++y) {
      for (int x = x0; x < std::min(x0 + tile, c.width); ++x) {
        const float px = static_cast<float>(x) + 0.5f, py = static_cast<float>(y) + 0.5f;
        float through = 1, red = 0, green = 0, blue = 0;
        std::int64_t last = begin;
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int32_t g = l.order[static_cast<std::size_t>(i)];
          const splat& s = splats[static_cast<std::size_t>(g)];
          const float dx = px - s.x, dy = py - s.y;
          const float sigma = 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy;
          if (sigma < 0 || sigma > s.reach + 1e-3f) { continue; }
          const float alpha = std::min(k.alpha_max, s.opacity * std::exp(-sigma));
          if (alpha < k.alpha_cut) { continue; }
          const float next = through * (1 - alpha);
          if (next <= k.stop) { break; }
          const float weight = alpha * through;
          red += weight * colours[3 * g], green += weight * colours[3 * g + 1], blue += weight * colours[3 * g + 2];
          through = next;
          last = i + 1;
        }
        const auto pixel =
            static_cast<std::size_t>(y) * static_cast<std::size_t>(c.width) + static_cast<std::size_t>(x);
        out.image[3 * pixel] = red + through * background[0];
        out.image[3 * pixel + 1] = green + through * background[1];
        out.image[3 * pixel + 2] = blue + through * background[2];
        out.transmittance[pixel] = through;
        out.last[pixel] = last;
      }
    }
  }
  return out;
}

/// Back to front: T before a Gaussian is T after it divided by 1 - alpha. Adds to `d_colours` [G,3] and
/// `d_background` [3].
inline std::vector<plain::splat_gradient> blend_backward(const plain::numbers& k, const std::vector<splat>& splats,
                                                         const lists& l, const picture& p, const float* colours,
                                                         const float* background, const plain::camera& c,
                                                         const float* d_image, float* d_colours, float* d_background) {
  std::vector<plain::splat_gradient> out(splats.size());
  double background_sum[3] = {}; // of all pixels: a float would lose digits
  for (int t = 0; t < l.tiles_x * l.tiles_y; ++t) {
    const int x0 = t % l.tiles_x * tile, y0 = t / l.tiles_x * tile;
    const std::int64_t begin = l.begin[static_cast<std::size_t>(t)];
    for (int y = y0; y < std::min(y0 + tile, c.height); ++y) {
      for (int x = x0; x < std::min(x0 + tile, c.width); ++x) {
        const auto pixel =
            static_cast<std::size_t>(y) * static_cast<std::size_t>(c.width) + static_cast<std::size_t>(x);
        const float px = static_cast<float>(x) + 0.5f, py = static_cast<float>(y) + 0.5f;
        const float* v = d_image + 3 * pixel;
        const float end = p.transmittance[pixel];
        float through = end, behind = 0; // behind: what lies further back, times v
        for (int ch = 0; ch < 3; ++ch) {
          behind += end * background[ch] * v[ch];
          background_sum[ch] += static_cast<double>(end * v[ch]);
        }
        for (std::int64_t i = p.last[pixel]; i-- > begin;) {
          const std::int32_t g = l.order[static_cast<std::size_t>(i)];
          const splat& s = splats[static_cast<std::size_t>(g)];
          const float dx = px - s.x, dy = py - s.y;
          const float sigma = 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy;
          if (sigma < 0 || sigma > s.reach + 1e-3f) { continue; }
          const float fall = std::exp(-sigma), full = s.opacity * fall, alpha = std::min(k.alpha_max, full);
          if (alpha < k.alpha_cut) { continue; }
          const float inverse = 1 / (1 - alpha);
          through *= inverse;
          const float weight = alpha * through;
          float own = 0;
          for (int ch = 0; ch < 3; ++ch) {
            own += colours[3 * g + ch] * v[ch];
            d_colours[3 * g + ch] += weight * v[ch];
          }
          if (full <= k.alpha_max) {
            const float d_alpha = through * own - behind * inverse, d_sigma = -full * d_alpha;
            auto& o = out[static_cast<std::size_t>(g)];
            o.a += 0.5f * d_sigma * dx * dx;
            o.b += d_sigma * dx * dy;
            o.c += 0.5f * d_sigma * dy * dy;
            o.x -= d_sigma * (s.a * dx + s.b * dy);
            o.y -= d_sigma * (s.b * dx + s.c * dy);
            o.opacity += fall * d_alpha;
          }
          behind += weight * own;
        }
      }
    }
  }
  for (int ch = 0; ch < 3; ++ch) { d_background[ch] += static_cast<float>(background_sum[ch]); }
  return out;
}

/// The work an image asks for, by definition: contributing pairs, and the lanes an engine spends on them if it takes
/// blocks of `block_width` x `block_height` pixels, leaves out blocks where the Gaussian stays below the cut, and blocks
/// that are finished.
struct work {
  double pairs = 0, slots = 0;
};
inline work count_work(const plain::numbers& k, const std::vector<splat>& splats, const lists& l,
                       const plain::camera& c, int block_width, int block_height) {
  work out;
  std::vector<float> through(static_cast<std::size_t>(block_width * block_height));
  /// Blends one Gaussian into the block of `columns` x `rows` pixels at (x0, y0); counts in `open` the unfinished ones.
  const auto add = [&](const splat& s, int x0, int y0, int columns, int rows, int& open) {
    bool passed = false;
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) {
        const float dx = static_cast<float>(x0 + x) + 0.5f - s.x, dy = static_cast<float>(y0 + y) + 0.5f - s.y;
        const float sigma = 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy;
        if (sigma < 0 || sigma > s.reach + 1e-3f) { continue; }
        const float alpha = std::min(k.alpha_max, s.opacity * std::exp(-sigma));
        if (alpha < k.alpha_cut) { continue; }
        passed = true;
        float& t = through[static_cast<std::size_t>(y * block_width + x)];
        if (t < 0) { continue; }
        const bool stops = t * (1 - alpha) <= k.stop;
        open -= stops ? 1 : 0;
        out.pairs += stops ? 0 : 1;
        t = stops ? -1 : t * (1 - alpha);
      }
    }
    out.slots += passed ? block_width * block_height : 0;
  };
  for (int y0 = 0; y0 < c.height; y0 += block_height) {
    for (int x0 = 0; x0 < c.width; x0 += block_width) {
      const auto t = static_cast<std::size_t>(y0 / tile * l.tiles_x + x0 / tile);
      const int columns = std::min(block_width, c.width - x0), rows = std::min(block_height, c.height - y0);
      int open = columns * rows;
      std::fill(through.begin(), through.end(), 1.0f);
      for (std::int64_t i = l.begin[t]; i < l.begin[t + 1] && open > 0; ++i) {
        add(splats[static_cast<std::size_t>(l.order[static_cast<std::size_t>(i)])], x0, y0, columns, rows, open);
      }
    }
  }
  return out;
}

} // namespace scalar_tile

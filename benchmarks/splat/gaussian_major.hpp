// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Baseline: the Gaussian-major engine, the shape of the one maintained rasterizer for CPUs. All Gaussians of a view in
/// order of depth, the pixels of the box of each, and for every pixel a list on the heap of who contributed; the lists
/// are walked back to front for the gradients. Scalar, one thread.

#include "plain.hpp"

#include <memory>
#include <numeric>

namespace gaussian_major {

using plain::splat;

/// Visible Gaussians, nearest first.
inline std::vector<std::int32_t> order_of(const std::vector<splat>& splats) {
  std::vector<std::int32_t> order;
  for (std::size_t g = 0; g < splats.size(); ++g) {
    if (splats[g].visible()) { order.push_back(static_cast<std::int32_t>(g)); }
  }
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return splats[static_cast<std::size_t>(a)].z < splats[static_cast<std::size_t>(b)].z;
  });
  return order;
}

struct picture {
  std::vector<float> image, transmittance; ///< [H,W,3], [H,W]
  std::unique_ptr<std::vector<std::int32_t>[]> lists;
  std::unique_ptr<bool[]> done;
};

/// Boxes reach 3.33 standard deviations along each axis, where an opaque Gaussian meets the cut (that engine: 3, and
/// two pixels more; one here, to round outwards). A Gaussian beyond its own cut is left before the exponential.
inline picture blend(const plain::numbers& k, const std::vector<splat>& splats, const std::vector<std::int32_t>& order,
                     const float* colours, const float* background, const plain::camera& c) {
  const auto width = static_cast<std::size_t>(c.width), pixels = width * static_cast<std::size_t>(c.height);
  picture out{std::vector<float>(3 * pixels), std::vector<float>(pixels, 1.0f),
              std::make_unique<std::vector<std::int32_t>[]>(pixels), std::make_unique<bool[]>(pixels)};
  const float widest = std::sqrt(2 * std::log(1 / k.alpha_cut));
  const auto inside = [](float v, int limit) {
    return static_cast<int>(std::clamp(v, 0.0f, static_cast<float>(limit)));
  };
  for (const std::int32_t g : order) {
    const splat& s = splats[static_cast<std::size_t>(g)];
    const int x0 = inside(std::floor(s.x - widest * s.sigma_x), c.width);
    const int x1 = inside(std::ceil(s.x + widest * s.sigma_x) + 1, c.width);
    const int y0 = inside(std::floor(s.y - widest * s.sigma_y), c.height);
    const int y1 = inside(std::ceil(s.y + widest * s.sigma_y) + 1, c.height);
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) {
        const std::size_t pixel = static_cast<std::size_t>(y) * width + static_cast<std::size_t>(x);
        if (out.done[pixel]) { continue; }
        const float dx = static_cast<float>(x) + 0.5f - s.x, dy = static_cast<float>(y) + 0.5f - s.y;
        const float sigma = 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy;
        if (sigma < 0 || sigma > s.reach + 1e-3f) { continue; }
        const float alpha = std::min(k.alpha_max, s.opacity * std::exp(-sigma));
        if (alpha < k.alpha_cut) { continue; }
        const float through = out.transmittance[pixel], next = through * (1 - alpha);
        if (next <= k.stop) {
          out.done[pixel] = true;
          continue;
        }
        const float weight = alpha * through;
        for (int ch = 0; ch < 3; ++ch) {
          out.image[3 * pixel + static_cast<std::size_t>(ch)] += weight * colours[3 * g + ch];
        }
        out.transmittance[pixel] = next;
        out.lists[pixel].push_back(g);
      }
    }
  }
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    for (std::size_t ch = 0; ch < 3; ++ch) { out.image[3 * pixel + ch] += out.transmittance[pixel] * background[ch]; }
  }
  return out;
}

/// Pixel by pixel, back to front along its list. Adds to `d_colours` [G,3] and `d_background` [3].
inline std::vector<plain::splat_gradient> blend_backward(const plain::numbers& k, const std::vector<splat>& splats,
                                                         const picture& p, const float* colours,
                                                         const float* background, const plain::camera& c,
                                                         const float* d_image, float* d_colours, float* d_background) {
  std::vector<plain::splat_gradient> out(splats.size());
  double background_sum[3] = {}; // of all pixels: a float would lose digits
  for (int y = 0; y < c.height; ++y) {
    for (int x = 0; x < c.width; ++x) {
      const auto pixel = static_cast<std::size_t>(y) * static_cast<std::size_t>(c.width) + static_cast<std::size_t>(x);
      const float px = static_cast<float>(x) + 0.5f, py = static_cast<float>(y) + 0.5f;
      const float* v = d_image + 3 * pixel;
      const float end = p.transmittance[pixel];
      float through = end, behind = 0; // behind: what lies further back, times v
      for (int ch = 0; ch < 3; ++ch) {
        behind += end * background[ch] * v[ch];
        background_sum[ch] += static_cast<double>(end * v[ch]);
      }
      for (auto it = p.lists[pixel].rbegin(); it != p.lists[pixel].rend(); ++it) {
        const std::int32_t g = *it;
        const splat& s = splats[static_cast<std::size_t>(g)];
        const float dx = px - s.x, dy = py - s.y;
        const float sigma = 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy;
        const float fall = std::exp(-sigma), full = s.opacity * fall, alpha = std::min(k.alpha_max, full);
        const float inverse = 1 / (1 - alpha);
        through *= inverse;
        const float weight = alpha * through;
        float own = 0;
        for (int ch = 0; ch < 3; ++ch) {
          own += colours[3 * g + ch] * v[ch];
          d_colours[3 * g + ch] += weight * v[ch];
        }
        const float d_alpha = through * own - behind * inverse;
        behind += weight * own;
        if (full > k.alpha_max) { continue; }
        const float d_sigma = -full * d_alpha;
        auto& o = out[static_cast<std::size_t>(g)];
        o.a += 0.5f * d_sigma * dx * dx;
        o.b += d_sigma * dx * dy;
        o.c += 0.5f * d_sigma * dy * dy;
        o.x -= d_sigma * (s.a * dx + s.b * dy);
        o.y -= d_sigma * (s.b * dx + s.c * dy);
        o.opacity += fall * d_alpha;
      }
    }
  }
  for (int ch = 0; ch < 3; ++ch) { d_background[ch] += static_cast<float>(background_sum[ch]); }
  return out;
}

} // namespace gaussian_major

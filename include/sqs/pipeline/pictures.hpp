// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tensors as pictures: renderings, depth, and Gaussians seen from above.

#include <sqs/data/image_io.hpp>
#include <sqs/tensor/tensor.hpp>

#include <numeric>

namespace sqs::pipeline {

/// View `v` of colours in 0 .. 1.
///
/// Shapes      rgb [V, H, W, 3]
template <class T> image colour_picture(const tensor<T, 4>& rgb, idx v) {
  expects(rgb.extent(3) == 3, "sqs::colour_picture: ", rgb.extent(3), " channels; give three");
  image out(static_cast<int>(rgb.extent(1)), static_cast<int>(rgb.extent(2)));
  const T* from = rgb.data() + v * static_cast<idx>(out.pixels.size());
  for (std::size_t i = 0; i < out.pixels.size(); ++i) {
    out.pixels[i] = static_cast<std::uint8_t>(std::clamp(static_cast<double>(from[i]), 0.0, 1.0) * 255 + 0.5);
  }
  return out;
}

/// View `v` of depths in metres, 0 = none. `spread` enlarges single returns to blocks of 2 spread + 1 pixels, so that a
/// sparse LiDAR image can be seen; nearer returns lie on top.
///
/// Shapes      depth [V, H, W]
template <class T> image depth_picture(const tensor<T, 3>& depth, idx v, int spread = 0) {
  const int h = static_cast<int>(depth.extent(1)), w = static_cast<int>(depth.extent(2));
  std::vector<float> shown(static_cast<std::size_t>(h) * static_cast<std::size_t>(w), 0.f);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const auto d = static_cast<float>(depth(v, y, x));
      if (!(d > 0)) { continue; }
      for (int py = std::max(0, y - spread); py <= std::min(h - 1, y + spread); ++py) {
        for (int px = std::max(0, x - spread); px <= std::min(w - 1, x + spread); ++px) {
          float& s = shown[static_cast<std::size_t>(py) * static_cast<std::size_t>(w) + static_cast<std::size_t>(px)];
          s = s > 0 ? std::min(s, d) : d;
        }
      }
    }
  }
  return colour_depth(shown, h, w);
}

/// Gaussians from above: each a translucent disc of its colour and horizontal size, low ones first. The vehicle stands in
/// the middle and looks up; rings every 10 m.
///
/// Shapes      means, scales [G, 3] in metres, opacities [G], colours [G, 3] in 0 .. 1
template <class T> image bird_eye_picture(const tensor<T, 2>& means, const tensor<T, 2>& scales,
                                          const tensor<T, 1>& opacities, const tensor<T, 2>& colours,
                                          double range_m = 50, int size = 700) {
  std::vector<double> canvas(static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * 3, 0.06);
  const double pixel = 2 * range_m / size;
  const auto at = [&](int x, int y) {
    return canvas.data() +
           (static_cast<std::size_t>(y) * static_cast<std::size_t>(size) + static_cast<std::size_t>(x)) * 3;
  };
  std::vector<idx> order(static_cast<std::size_t>(means.extent(0)));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](idx a, idx b) { return means(a, 2) < means(b, 2); });
  for (const idx g : order) {
    const double cx = (static_cast<double>(means(g, 0)) + range_m) / pixel;
    const double cy = (range_m - static_cast<double>(means(g, 1))) / pixel;
    const double s =
        std::clamp(std::max(static_cast<double>(scales(g, 0)), static_cast<double>(scales(g, 1))) / pixel, 0.7, 40.0);
    if (!(std::abs(cx) < 4 * size && std::abs(cy) < 4 * size)) { continue; }
    const double reach = 2.5 * s;
    for (int y = std::max(0, static_cast<int>(cy - reach)); y <= std::min(size - 1, static_cast<int>(cy + reach));
         ++y) {
      for (int x = std::max(0, static_cast<int>(cx - reach)); x <= std::min(size - 1, static_cast<int>(cx + reach));
           ++x) {
        const double dx = x + 0.5 - cx, dy = y + 0.5 - cy;
        const double a = static_cast<double>(opacities(g)) * std::exp(-(dx * dx + dy * dy) / (2 * s * s));
        double* p = at(x, y);
        for (int c = 0; c < 3; ++c) { p[c] += a * (static_cast<double>(colours(g, c)) - p[c]); }
      }
    }
  }
  for (double r = 10; r <= range_m; r += 10) {
    for (int k = 0; k < 2000; ++k) {
      const double angle = k * 3.14159265358979 / 1000;
      const int x = static_cast<int>((r * std::cos(angle) + range_m) / pixel);
      const int y = static_cast<int>((range_m - r * std::sin(angle)) / pixel);
      if (x >= 0 && y >= 0 && x < size && y < size) {
        for (int c = 0; c < 3; ++c) { at(x, y)[c] = 0.7 * at(x, y)[c] + 0.12; }
      }
    }
  }
  image out(size, size);
  for (std::size_t i = 0; i < canvas.size(); ++i) {
    out.pixels[i] = static_cast<std::uint8_t>(std::clamp(canvas[i], 0.0, 1.0) * 255 + 0.5);
  }
  return out;
}

} // namespace sqs::pipeline

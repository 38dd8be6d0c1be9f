// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Random colours and masked grids of training images.

#include <sqs/core/error.hpp>
#include <sqs/core/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

namespace sqs {

struct photometric_options {
  double brightness = 32; ///< added, to either side
  double contrast_low = 0.5, contrast_high = 1.5;
  double saturation_low = 0.5, saturation_high = 1.5;
  double hue = 18; ///< degrees, to either side
};

/// One draw, for one image. Each part is drawn with probability 1/2, else it changes nothing.
struct photometric_distortion {
  float brightness = 0, contrast = 1, saturation = 1, hue = 0;
  bool contrast_first = true; ///< before saturation and hue, or after them
  std::array<int, 3> channels{0, 1, 2};
};

inline photometric_distortion draw_photometric(const photometric_options& o, const random_stream& draw) {
  const auto coin = [&](idx i) { return draw.uniform(i) < 0.5; };
  const auto between = [&](idx i, double low, double high) { return static_cast<float>(draw.uniform(i, low, high)); };
  photometric_distortion d;
  if (coin(0)) { d.brightness = between(1, -o.brightness, o.brightness); }
  d.contrast_first = coin(2);
  if (coin(3)) { d.contrast = between(4, o.contrast_low, o.contrast_high); }
  if (coin(5)) { d.saturation = between(6, o.saturation_low, o.saturation_high); }
  if (coin(7)) { d.hue = between(8, -o.hue, o.hue); }
  if (coin(9)) {
    for (int i = 2; i > 0; --i) {
      std::swap(d.channels[static_cast<std::size_t>(i)],
                d.channels[static_cast<std::size_t>(draw.bits(10 + i) % static_cast<std::uint64_t>(i + 1))]);
    }
  }
  return d;
}

/// Hue 0 .. 360, saturation 0 .. 1, value as large as the largest channel.
///
/// Source      OpenCV's conversion of float images.
inline std::array<float, 3> hsv_of_rgb(const std::array<float, 3>& c) {
  const float v = std::max({c[0], c[1], c[2]}), range = v - std::min({c[0], c[1], c[2]});
  constexpr float tiny = std::numeric_limits<float>::epsilon();
  const float s = range / (std::abs(v) + tiny), step = 60.0f / (range + tiny);
  float h = v == c[0]   ? (c[1] - c[2]) * step
            : v == c[1] ? (c[2] - c[0]) * step + 120.0f
                        : (c[0] - c[1]) * step + 240.0f;
  if (h < 0) { h += 360.0f; }
  return {h, s, v};
}
inline std::array<float, 3> rgb_of_hsv(const std::array<float, 3>& c) {
  const float s = c[1], v = c[2];
  if (s == 0) { return {v, v, v}; }
  float h = c[0] / 60.0f;
  h -= 6.0f * std::floor(h / 6.0f);
  const int sector = std::clamp(static_cast<int>(h), 0, 5);
  const float f = h - static_cast<float>(sector);
  const float p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
  switch (sector) {
  case 0:
    return {v, t, p};
  case 1:
    return {q, v, p};
  case 2:
    return {p, v, t};
  case 3:
    return {p, q, v};
  case 4:
    return {t, p, v};
  default:
    return {v, p, q};
  }
}

/// Changes an image in place: brightness, contrast, saturation and hue, order of the channels. Values are not clipped.
///
/// Shapes      pixels: H * W * 3, RGB, 0 .. 255
/// Source      `PhotoMetricDistortionMultiViewImage` of the mmdet3d family; spec of the detectors 0.5.
inline void distort(std::span<float> pixels, const photometric_distortion& d) {
  expects(pixels.size() % 3 == 0, "sqs::distort: ", pixels.size(), " values are no whole pixels; give H * W * 3");
  const bool colour = d.saturation != 1 || d.hue != 0;
  for (std::size_t i = 0; i < pixels.size(); i += 3) {
    std::array<float, 3> c{pixels[i], pixels[i + 1], pixels[i + 2]};
    const auto scale = [&] {
      for (float& v : c) { v *= d.contrast; }
    };
    for (float& v : c) { v += d.brightness; }
    if (d.contrast_first) { scale(); }
    if (colour) {
      auto hsv = hsv_of_rgb(c);
      hsv[1] *= d.saturation;
      hsv[0] += d.hue;
      if (hsv[0] > 360) { hsv[0] -= 360; }
      if (hsv[0] < 0) { hsv[0] += 360; }
      c = rgb_of_hsv(hsv);
    }
    if (!d.contrast_first) { scale(); }
    for (std::size_t k = 0; k < 3; ++k) { pixels[i + k] = c[static_cast<std::size_t>(d.channels[k])]; }
  }
}

/// One draw of GridMask, for all images of a batch: pixels stay inside the bars of a grid and are zero between them.
struct grid_mask {
  bool active = false;
  int height = 0, width = 0;
  int period = 2, length = 1; ///< of the bars, pixels
  int row = 0, column = 0;    ///< where they begin, on a canvas of one and a half times the size

  bool keeps(int y, int x) const {
    return !active || in_bar(y + (height * 3 / 2 - height) / 2, row, height * 3 / 2) ||
           in_bar(x + (width * 3 / 2 - width) / 2, column, width * 3 / 2);
  }

private:
  bool in_bar(int at, int phase, int canvas) const {
    const int t = at - phase;
    return t >= 0 && t / period < canvas / period && t % period < length;
  }
};

/// Draws a mask: active with probability `probability`, with a period of 2 .. height - 1 and bars of half of it.
///
/// Source      GridMask (Chen et al. 2020), mode 1, ratio 0.5, as SparseBEV and Sparse4D use it: spec 0.5.
inline grid_mask draw_grid_mask(int height, int width, const random_stream& draw, double probability = 0.7) {
  expects(height > 2 && width > 2, "sqs::draw_grid_mask: an image of ", height, " x ", width,
          " pixels; give at least 3 x 3");
  const auto below = [&](idx i, int n) { return static_cast<int>(draw.bits(i) % static_cast<std::uint64_t>(n)); };
  grid_mask m{.active = draw.uniform(0) < probability, .height = height, .width = width};
  m.period = 2 + below(1, height - 2);
  m.length = std::clamp(static_cast<int>(m.period * 0.5 + 0.5), 1, m.period - 1);
  m.row = below(2, m.period);
  m.column = below(3, m.period);
  return m;
}
/// Zeroes what the mask does not keep.
///
/// Shapes      pixels: H * W * channels, as normalised for the network
inline void mask_out(std::span<float> pixels, const grid_mask& m, int channels = 3) {
  const auto line = static_cast<std::size_t>(m.width) * static_cast<std::size_t>(channels);
  expects(pixels.size() == line * static_cast<std::size_t>(m.height), "sqs::mask_out: ", pixels.size(),
          " values for an image of ", m.height, " x ", m.width, " x ", channels, "; they must agree");
  for (int y = 0; m.active && y < m.height; ++y) {
    for (int x = 0; x < m.width; ++x) {
      if (m.keeps(y, x)) { continue; }
      const auto at =
          static_cast<std::size_t>(y) * line + static_cast<std::size_t>(x) * static_cast<std::size_t>(channels);
      std::fill_n(pixels.begin() + static_cast<std::ptrdiff_t>(at), channels, 0.0f);
    }
  }
}

} // namespace sqs

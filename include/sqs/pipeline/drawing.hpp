// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Lines, discs and pictures beside each other.

#include <sqs/core/math.hpp>
#include <sqs/sensor/image.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace sqs::pipeline {

using colour = std::array<std::uint8_t, 3>;

/// A picture of one colour.
inline image plain_picture(int height, int width, const colour& c) {
  image out(height, width);
  for (std::size_t i = 0; i < out.pixels.size(); ++i) { out.pixels[i] = c[i % 3]; }
  return out;
}

/// Mixes a colour into a pixel, if there is one.
inline void mix(image& picture, int row, int column, const colour& c, double share) {
  if (row < 0 || row >= picture.height || column < 0 || column >= picture.width) { return; }
  std::uint8_t* p = picture.at(row, column);
  for (std::size_t k = 0; k < 3; ++k) {
    p[k] = static_cast<std::uint8_t>(p[k] + (c[k] - p[k]) * std::clamp(share, 0.0, 1.0) + 0.5);
  }
}

/// A line with smooth borders. Coordinates in pixels, x to the right, y down, pixel centres at integer + 0.5; parts
/// outside the picture are left away.
inline void draw_segment(image& picture, vec2<double> a, vec2<double> b, const colour& c, double width = 2,
                         double share = 1) {
  const double most = 4.0 * (picture.height + picture.width);
  const auto far = [&](vec2<double> p) { return !(std::abs(p.x) < most && std::abs(p.y) < most); };
  if (far(a) || far(b)) { // cut to a circle around the picture, so that loops stay short
    const vec2<double> d = b - a;
    const double length2 = d.x * d.x + d.y * d.y;
    if (!(length2 > 0 && length2 < 1e300)) { return; }
    const vec2<double> m{picture.width / 2.0 - a.x, picture.height / 2.0 - a.y};
    const double nearest = (m.x * d.x + m.y * d.y) / length2, reach = most / 2 / std::sqrt(length2);
    const double from = std::clamp(nearest - reach, 0.0, 1.0), to = std::clamp(nearest + reach, 0.0, 1.0);
    const vec2<double> start = a;
    a = start + from * d, b = start + to * d;
    if (far(a) || far(b)) { return; }
  }
  const vec2<double> d = b - a;
  const double length2 = d.x * d.x + d.y * d.y, edge = width / 2 + 1;
  const auto first = [&](double p, double q) { return std::max(0, static_cast<int>(std::min(p, q) - edge)); };
  const auto last = [&](double p, double q, int size) {
    return std::min(size - 1, static_cast<int>(std::max(p, q) + edge));
  };
  for (int y = first(a.y, b.y); y <= last(a.y, b.y, picture.height); ++y) {
    for (int x = first(a.x, b.x); x <= last(a.x, b.x, picture.width); ++x) {
      const double px = x + 0.5 - a.x, py = y + 0.5 - a.y;
      const double along = length2 > 0 ? std::clamp((px * d.x + py * d.y) / length2, 0.0, 1.0) : 0;
      const double apart = std::hypot(px - along * d.x, py - along * d.y);
      mix(picture, y, x, c, share * (width / 2 + 0.5 - apart));
    }
  }
}
inline void draw_disc(image& picture, vec2<double> at, double radius, const colour& c, double share = 1) {
  draw_segment(picture, at, at, c, 2 * radius, share);
}
/// A line with a head at `b`.
inline void draw_arrow(image& picture, vec2<double> a, vec2<double> b, const colour& c, double width = 2) {
  draw_segment(picture, a, b, c, width);
  const vec2<double> d = b - a;
  const double length = std::hypot(d.x, d.y);
  if (length < 1e-6) { return; }
  const vec2<double> back = (std::min(0.35 * length, 4 * width) / length) * d, side{-back.y, back.x};
  draw_segment(picture, b, b - back + 0.6 * side, c, width);
  draw_segment(picture, b, b - back - 0.6 * side, c, width);
}

/// Pictures in rows of `columns`, with white between them. Smaller ones stand in the upper left of their place.
inline image beside(std::span<const image> pictures, int columns = 2, int gap = 6) {
  expects(columns > 0 && gap >= 0, "sqs::beside: ", columns, " columns with gaps of ", gap, "; give at least one");
  int height = 0, width = 0;
  for (const image& p : pictures) { height = std::max(height, p.height), width = std::max(width, p.width); }
  const int count = static_cast<int>(pictures.size()), across = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  if (count == 0) { return {}; }
  image out = plain_picture(rows * (height + gap) - gap, across * (width + gap) - gap, {255, 255, 255});
  for (int i = 0; i < count; ++i) {
    const image& p = pictures[static_cast<std::size_t>(i)];
    for (int y = 0; y < p.height; ++y) {
      std::copy_n(p.at(y, 0), 3 * static_cast<std::size_t>(p.width),
                  out.at((i / columns) * (height + gap) + y, (i % columns) * (width + gap)));
    }
  }
  return out;
}
inline image beside(const image& a, const image& b, int gap = 6) {
  const std::array<image, 2> both{a, b};
  return beside(both, 2, gap);
}

} // namespace sqs::pipeline

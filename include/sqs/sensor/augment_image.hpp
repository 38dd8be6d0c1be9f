// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The random geometry of training images: resize, crop, flip, rotate, and the matrix that does the same to pixels.

#include <sqs/core/math.hpp>
#include <sqs/core/random.hpp>
#include <sqs/sensor/image.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace sqs {

/// One draw: resize by `resize`, cut out height x width at (crop_x, crop_y), mirror, rotate about the middle. One draw
/// is shared by all cameras of a sample.
struct image_augmentation {
  double resize = 1;
  int crop_x = 0, crop_y = 0, height = 0, width = 0;
  bool flip = false;
  double rotation = 0; ///< degrees, counter-clockwise as seen
};

/// What is drawn. The presets are those of the published configurations.
struct image_augmentation_options {
  int height = 256, width = 704;
  double resize_low = 0.40, resize_high = 0.47;
  double bottom_low = 0, bottom_high = 0; ///< share of the height cut off below
  double rotation = 0;                    ///< degrees to either side
  bool flip = true;
};

/// What is drawn for a training sample; a function of the stream alone.
///
/// Source      spec of the detectors 0.4: `ResizeCropFlipImage` of the mmdet3d family.
inline image_augmentation draw_image_augmentation(const image_augmentation_options& o, int source_height,
                                                  int source_width, const random_stream& draw) {
  expects(source_height > 0 && source_width > 0 && o.height > 0 && o.width > 0 && o.resize_low > 0 &&
              o.resize_low <= o.resize_high,
          "sqs::draw_image_augmentation: from ", source_height, " x ", source_width, " to ", o.height, " x ", o.width,
          " pixels at a scale of ", o.resize_low, " to ", o.resize_high, "; give positive sizes and scales in order");
  image_augmentation a;
  a.resize = draw.uniform(0, o.resize_low, o.resize_high);
  a.height = o.height;
  a.width = o.width;
  const int new_height = static_cast<int>(source_height * a.resize),
            new_width = static_cast<int>(source_width * a.resize);
  a.crop_y = static_cast<int>((1 - draw.uniform(1, o.bottom_low, o.bottom_high)) * new_height) - o.height;
  a.crop_x = static_cast<int>(draw.uniform(2, 0, std::max(0, new_width - o.width)));
  a.flip = o.flip && draw.uniform(3) < 0.5;
  a.rotation = draw.uniform(4, -o.rotation, o.rotation);
  return a;
}
/// What is done at test time: the scale that covers the target, the bottom, the middle.
inline image_augmentation fixed_image_augmentation(const image_augmentation_options& o, int source_height,
                                                   int source_width) {
  expects(source_height > 0 && source_width > 0 && o.height > 0 && o.width > 0, "sqs::fixed_image_augmentation: from ",
          source_height, " x ", source_width, " to ", o.height, " x ", o.width, " pixels; give positive sizes");
  image_augmentation a;
  a.resize = std::max(static_cast<double>(o.height) / source_height, static_cast<double>(o.width) / source_width);
  a.height = o.height;
  a.width = o.width;
  // A hair above: 1600 * (704 / 1600) may fall below 704.
  const int new_height = static_cast<int>(source_height * a.resize + 1e-6);
  const int new_width = static_cast<int>(source_width * a.resize + 1e-6);
  a.crop_y = static_cast<int>((1 - (o.bottom_low + o.bottom_high) / 2) * new_height) - o.height;
  a.crop_x = std::max(0, new_width - o.width) / 2;
  return a;
}

/// Pixels of the source -> pixels of the result: u' = a (u, v) + b. It stands in rows 0 and 1 of a 3 x 3 matrix;
/// `image_matrix(a) * K` are the intrinsics, which a rotation leaves skewed, so that no `pinhole_camera` holds them.
///
/// Note        The scale is `resize` itself although sizes are cut to whole pixels: what the references do.
/// Source      spec of the detectors 0.4, of SparseOcc 12.2.
inline mat3<double> image_matrix(const image_augmentation& a) {
  double m[2][3] = {{a.resize, 0, -static_cast<double>(a.crop_x)}, {0, a.resize, -static_cast<double>(a.crop_y)}};
  if (a.flip) {
    for (double& v : m[0]) { v = -v; }
    m[0][2] += a.width;
  }
  const double angle = a.rotation * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
  const double x = a.width / 2.0, y = a.height / 2.0;
  mat3<double> out = mat3<double>::identity();
  for (int k = 0; k < 3; ++k) {
    out(0, k) = c * m[0][k] + s * m[1][k];
    out(1, k) = -s * m[0][k] + c * m[1][k];
  }
  out(0, 2) += x - (c * x + s * y);
  out(1, 2) += y - (-s * x + c * y);
  return out;
}
/// The 4 x 4 form, to be multiplied from the left onto a projection to (u z, v z, z, 1).
inline mat4<double> image_matrix4(const image_augmentation& a) {
  const auto m = image_matrix(a);
  return {{m(0, 0), m(0, 1), m(0, 2), 0, m(1, 0), m(1, 1), m(1, 2), 0, 0, 0, 1, 0, 0, 0, 0, 1}};
}

enum class resize_filter { bilinear, bicubic };

namespace detail {

/// The taps of one output pixel in fixed point.
struct fixed_taps {
  int first = 0;
  std::vector<std::int32_t> weight;
};
inline constexpr int tap_bits = 22;

/// Antialiased filters widened by the reduction, normalised, rounded to 22 bits: Pillow's arithmetic.
inline std::vector<fixed_taps> make_fixed_taps(int size, int new_size, resize_filter filter) {
  const double scale = static_cast<double>(size) / new_size, wide = std::max(scale, 1.0);
  const double support = (filter == resize_filter::bicubic ? 2.0 : 1.0) * wide;
  const auto kernel = [&](double x) {
    x = std::abs(x);
    if (filter == resize_filter::bilinear) { return x < 1 ? 1 - x : 0.0; }
    constexpr double a = -0.5;
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
  };
  std::vector<fixed_taps> out(static_cast<std::size_t>(new_size));
  std::vector<double> w;
  for (int i = 0; i < new_size; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(size, static_cast<int>(centre + support + 0.5));
    w.clear();
    double sum = 0;
    for (int j = first; j < last; ++j) {
      w.push_back(kernel((j - centre + 0.5) * (1.0 / wide)));
      sum += w.back();
    }
    auto& t = out[static_cast<std::size_t>(i)];
    t.first = first;
    for (const double v : w) {
      const double f = (sum != 0 ? v / sum : v) * (1 << tap_bits);
      t.weight.push_back(static_cast<std::int32_t>(f < 0 ? f - 0.5 : f + 0.5));
    }
  }
  return out;
}
inline std::uint8_t clipped_byte(std::int64_t sum) {
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> tap_bits, 0, 255));
}

} // namespace detail

/// The whole image at another size.
///
/// Errors      precondition_error for empty sizes.
/// Cost        O(pixels times taps), one thread.
/// Source      Pillow's `Image.resize`, to the bit: columns first, bytes between the passes.
inline image resized(const image& source, int height, int width, resize_filter filter = resize_filter::bicubic) {
  expects(source.height > 0 && source.width > 0 && height > 0 && width > 0, "sqs::resized: from ", source.height, " x ",
          source.width, " to ", height, " x ", width, " pixels; give positive sizes");
  const auto pass = [&](const image& from, int h, int w, bool columns) {
    const auto taps =
        columns ? detail::make_fixed_taps(from.width, w, filter) : detail::make_fixed_taps(from.height, h, filter);
    image to(h, w);
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        const auto& t = taps[static_cast<std::size_t>(columns ? x : y)];
        std::array<std::int64_t, 3> sum;
        sum.fill(std::int64_t{1} << (detail::tap_bits - 1));
        const std::uint8_t* p = columns ? from.at(y, t.first) : from.at(t.first, x);
        const std::size_t step = columns ? 3 : static_cast<std::size_t>(from.width) * 3;
        for (const std::int64_t weight : t.weight) {
          for (std::size_t c = 0; c < 3; ++c) { sum[c] += weight * p[c]; }
          p += step;
        }
        for (std::size_t c = 0; c < 3; ++c) { to.at(y, x)[c] = detail::clipped_byte(sum[c]); }
      }
    }
    return to;
  };
  const image wide = width == source.width ? source : pass(source, source.height, width, true);
  return height == source.height ? wide : pass(wide, height, width, false);
}

/// Rotated about the middle, counter-clockwise as seen, nearest pixel, black where nothing is.
///
/// Source      Pillow's `Image.rotate`, to the bit: 16 bits behind the point.
inline image turned(const image& source, double degrees) {
  if (std::remainder(degrees, 360.0) == 0) { return source; }
  const double angle = -degrees * std::numbers::pi / 180;
  const auto rounded = [](double v) { return std::nearbyint(v * 1e15) / 1e15; };
  const double c = rounded(std::cos(angle)), s = rounded(std::sin(angle));
  const double x = source.width / 2.0, y = source.height / 2.0;
  const auto fix = [](double v) { return static_cast<std::int64_t>(std::floor(v * 65536.0 + 0.5)); };
  const double bx = x + c * -x + s * -y, by = y - s * -x + c * -y;
  std::int64_t row_x = fix(bx + c * 0.5 + s * 0.5), row_y = fix(by - s * 0.5 + c * 0.5);
  image out(source.height, source.width);
  for (int v = 0; v < out.height; ++v, row_x += fix(s), row_y += fix(c)) {
    std::int64_t at_x = row_x, at_y = row_y;
    for (int u = 0; u < out.width; ++u, at_x += fix(c), at_y += fix(-s)) {
      const std::int64_t i = at_x >> 16, j = at_y >> 16;
      if (i < 0 || j < 0 || i >= source.width || j >= source.height) { continue; }
      std::copy_n(source.at(static_cast<int>(j), static_cast<int>(i)), 3, out.at(v, u));
    }
  }
  return out;
}

/// The image after a draw. What the crop takes from outside of the resized image is black.
///
/// Errors      precondition_error for empty sizes.
/// Source      spec of the detectors 0.4.
inline image augmented(const image& source, const image_augmentation& a,
                       resize_filter filter = resize_filter::bicubic) {
  const int h = static_cast<int>(source.height * a.resize + 1e-6), w = static_cast<int>(source.width * a.resize + 1e-6);
  const image whole = resized(source, h, w, filter);
  image cut(a.height, a.width);
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const int i = x + a.crop_x, j = y + a.crop_y;
      if (i < 0 || j < 0 || i >= w || j >= h) { continue; }
      std::copy_n(whole.at(j, i), 3, cut.at(y, a.flip ? a.width - 1 - x : x));
    }
  }
  return turned(cut, a.rotation);
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Resize, crop and flip of images, together with the map of pixels to hand to the camera.

#include <sqs/sensor/sample.hpp>

#include <algorithm>
#include <cmath>

namespace sqs {

/// The geometric part of the image path: resize by `scale`, cut out `height` x `width` pixels at (crop_y, crop_x) of
/// the resized image, then mirror if `flip`. One plan is shared by all views of a sample.
struct image_plan {
  double scale = 1;
  int crop_x = 0, crop_y = 0;
  int height = 0, width = 0;
  bool flip = false;
};

/// The plan of inference and validation: the smallest scale that covers the target, the bottom rows, the middle
/// columns. 900 x 1600 -> 176 x 320 is a scale of 0.2 with the top 4 rows dropped.
///
/// Errors      precondition_error for empty sizes.
inline image_plan fitting_plan(int source_height, int source_width, int height, int width) {
  expects(source_height > 0 && source_width > 0 && height > 0 && width > 0, "sqs::fitting_plan: from ", source_height,
          " x ", source_width, " to ", height, " x ", width, " pixels; give positive sizes");
  const double scale = std::max(static_cast<double>(height) / source_height, static_cast<double>(width) / source_width);
  // A hair above: 1600 * (704 / 1600) may fall below 704.
  const int resized_height = static_cast<int>(source_height * scale + 1e-6);
  const int resized_width = static_cast<int>(source_width * scale + 1e-6);
  return {.scale = scale,
          .crop_x = (resized_width - width) / 2,
          .crop_y = resized_height - height,
          .height = height,
          .width = width};
}

namespace detail {

/// For one output line, the input indices and weights that make it.
struct filter_taps {
  int first = 0;
  std::vector<float> weight;
};

/// Triangle filter widened by the reduction, so that it averages all pixels it skips over. An output pixel centre i +
/// 0.5 lies at (i + 0.5) * step of the input. Outputs [begin, end).
inline std::vector<filter_taps> triangle_taps(int size, double step, int begin, int end) {
  const double support = std::max(1.0, step);
  std::vector<filter_taps> taps;
  for (int i = begin; i < end; ++i) {
    const double centre = (i + 0.5) * step;
    const int first = std::clamp(static_cast<int>(std::floor(centre - support)), 0, size - 1);
    const int last = std::clamp(static_cast<int>(std::ceil(centre + support)), first + 1, size);
    filter_taps t{.first = first, .weight = {}};
    double sum = 0;
    for (int j = first; j < last; ++j) {
      const double w = std::max(0.0, 1.0 - std::abs(j + 0.5 - centre) / support);
      t.weight.push_back(static_cast<float>(w));
      sum += w;
    }
    for (float& w : t.weight) { w = static_cast<float>(w / sum); }
    taps.push_back(std::move(t));
  }
  return taps;
}

} // namespace detail

/// An image after a plan, and where its pixels came from: u' = ax u + bx, v' = ay v + by.
struct prepared_image {
  image picture;
  image_transform<double> transform;
};

/// Applies `plan` to an image: separable antialiased bilinear resize of only what the crop keeps.
///
/// Units       The resized image has int(H scale) x int(W scale) pixels; `transform` holds the exact ratio of the
///             sizes. Pixel centres lie at +0.5, so a resize scales u by exactly that ratio and a flip is u' = width -
/// u.
/// Errors      precondition_error if the crop leaves the resized image or the plan is empty.
/// Cost        O(H W + kept W H) multiply-adds times the taps (2 scale^-1 per axis).
/// Source      `transform_matrix` and the image pipeline shared by the mmdet3d family.
inline prepared_image prepared(const image& source, const image_plan& plan) {
  const int resized_h = static_cast<int>(source.height * plan.scale + 1e-6);
  const int resized_w = static_cast<int>(source.width * plan.scale + 1e-6);
  expects(plan.height > 0 && plan.width > 0 && plan.crop_x >= 0 && plan.crop_y >= 0 &&
              plan.crop_x + plan.width <= resized_w && plan.crop_y + plan.height <= resized_h,
          "sqs::prepared: the crop of ", plan.height, " x ", plan.width, " at row ", plan.crop_y, ", column ",
          plan.crop_x, " leaves the resized image of ", resized_h, " x ", resized_w,
          " pixels; use fitting_plan or a larger scale");
  const double step_x = static_cast<double>(source.width) / resized_w;
  const double step_y = static_cast<double>(source.height) / resized_h;
  const auto columns = detail::triangle_taps(source.width, step_x, plan.crop_x, plan.crop_x + plan.width);
  const auto rows = detail::triangle_taps(source.height, step_y, plan.crop_y, plan.crop_y + plan.height);

  prepared_image out{.picture = image(plan.height, plan.width), .transform = {}};
  const auto line = static_cast<std::size_t>(plan.width) * 3;
  const int first_row = rows.front().first;
  const int last_row = rows.back().first + static_cast<int>(rows.back().weight.size());
  std::vector<float> wide(static_cast<std::size_t>(last_row - first_row) * line);
  for (int y = first_row; y < last_row; ++y) {
    float* to = wide.data() + static_cast<std::size_t>(y - first_row) * line;
    for (const auto& t : columns) {
      const std::uint8_t* from = source.at(y, t.first);
      float r = 0, g = 0, b = 0;
      for (const float w : t.weight) {
        r += w * static_cast<float>(from[0]);
        g += w * static_cast<float>(from[1]);
        b += w * static_cast<float>(from[2]);
        from += 3;
      }
      *to++ = r, *to++ = g, *to++ = b;
    }
  }
  std::vector<float> sum(line);
  for (int y = 0; y < plan.height; ++y) {
    const auto& t = rows[static_cast<std::size_t>(y)];
    std::fill(sum.begin(), sum.end(), 0.5f); // rounds to nearest below
    for (std::size_t k = 0; k < t.weight.size(); ++k) {
      const float* from = wide.data() + (static_cast<std::size_t>(t.first - first_row) + k) * line;
      for (std::size_t i = 0; i < line; ++i) { sum[i] += t.weight[k] * from[i]; }
    }
    for (int x = 0; x < plan.width; ++x) {
      std::uint8_t* to = out.picture.at(y, plan.flip ? plan.width - 1 - x : x);
      for (std::size_t c = 0; c < 3; ++c) {
        to[c] = static_cast<std::uint8_t>(std::min(255.0f, sum[static_cast<std::size_t>(x) * 3 + c]));
      }
    }
  }
  const double sign = plan.flip ? -1.0 : 1.0, mirror = plan.flip ? plan.width : 0;
  out.transform = {.ax = sign / step_x,
                   .ay = 1 / step_y,
                   .bx = mirror - sign * plan.crop_x,
                   .by = -static_cast<double>(plan.crop_y)};
  return out;
}

/// A view after a plan: picture and intrinsics change together, the pose stays.
inline camera_view prepared(const camera_view& view, const image_plan& plan) {
  auto [picture, transform] = prepared(view.picture, plan);
  camera_view out{.name = view.name,
                  .picture = std::move(picture),
                  .camera = {},
                  .T_cam_ref = view.T_cam_ref,
                  .timestamp_us = view.timestamp_us};
  out.camera = transformed(view.camera, transform, plan.width, plan.height);
  return out;
}

} // namespace sqs

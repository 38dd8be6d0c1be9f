// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The exposure of each camera: what makes one surface brighter in one picture than in another.

#include <sqs/autodiff/result.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

#include <cmath>
#include <tuple>

namespace sqs {

/// image times exp(log_gains), channel by channel: a scene rendered as each camera would have exposed it.
///
/// Shapes      image [V,H,W,C]; log_gains [N,C]: view v takes row first_row + v -> [V,H,W,C]
/// Gradient    both; rows of other views get zero. All gains together are undetermined against the colours of the scene:
///             keep their mean at 0.
/// Execution   parallel over rows of pixels; sums in double, in a fixed order: bitwise the same for any thread count.
/// Errors      precondition_error for rows that do not exist and for another number of channels.
/// Source      Per-image exposure as in Rematas et al. 2022 (Urban Radiance Fields), diagonal, without offset.
struct expose_op {
  idx first_row = 0;

  template <class T> struct saved {
    tensor<T, 4> image;
    tensor<T, 2> log_gains;
  };

  template <class T> auto forward(cpu& e, const tensor<T, 4>& image, const tensor<T, 2>& log_gains) const {
    const idx channels = image.extent(3);
    expects(first_row >= 0 && first_row + image.extent(0) <= log_gains.extent(0) && log_gains.extent(1) == channels,
            "sqs::expose_op: ", image.extent(0), " views of ", channels, " channels take rows ", first_row,
            " and following of gains [", log_gains.extent(0), ", ", log_gains.extent(1),
            "]; give one row per view and one column per channel");
    auto out = empty<T, 4>(e, image.shape());
    const idx width = image.extent(2), height = image.extent(1);
    parallel_for(e, image.extent(0) * height, 8, [&](idx begin, idx end) {
      for (idx row = begin; row < end; ++row) {
        for (idx c = 0; c < channels; ++c) {
          const T gain = std::exp(log_gains(first_row + row / height, c));
          const T* from = image.data() + row * width * channels + c;
          T* to = out.data() + row * width * channels + c;
          for (idx x = 0; x < width; ++x) { to[x * channels] = gain * from[x * channels]; }
        }
      }
    });
    return result{std::move(out), saved<T>{image, log_gains}};
  }

  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 4>& d) const {
    auto d_image = empty<T, 4>(e, s.image.shape());
    auto d_gains = zeros<T, 2>(e, s.log_gains.shape());
    const idx channels = d.extent(3), width = d.extent(2), height = d.extent(1), rows = d.extent(0) * height;
    auto sums = empty<double, 2>(e, {rows, channels}); // dL/d(log gain) of one row of pixels
    parallel_for(e, rows, 8, [&](idx begin, idx end) {
      for (idx row = begin; row < end; ++row) {
        for (idx c = 0; c < channels; ++c) {
          const T gain = std::exp(s.log_gains(first_row + row / height, c));
          const idx at = row * width * channels + c;
          double sum = 0;
          for (idx x = 0; x < width; ++x) {
            const T v = gain * d.data()[at + x * channels];
            d_image.data()[at + x * channels] = v;
            sum += static_cast<double>(v * s.image.data()[at + x * channels]);
          }
          sums(row, c) = sum;
        }
      }
    });
    for (idx v = 0; v < d.extent(0); ++v) {
      for (idx c = 0; c < channels; ++c) {
        double sum = 0;
        for (idx row = v * height; row < (v + 1) * height; ++row) { sum += sums(row, c); }
        d_gains(first_row + v, c) = static_cast<T>(sum);
      }
    }
    return std::tuple{std::move(d_image), std::move(d_gains)};
  }
};

} // namespace sqs

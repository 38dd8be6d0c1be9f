// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A colour image on the host.

#include <sqs/core/error.hpp>

#include <vector>

namespace sqs {

/// 8-bit RGB, rows from top to bottom, `pixels[(row * width + column) * 3 + channel]`.
struct image {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;

  image() = default;
  /// A black image.
  image(int h, int w) : height(h), width(w) {
    expects(h >= 0 && w >= 0, "sqs::image: size ", h, " x ", w, " is negative; give height and width in pixels");
    pixels.resize(static_cast<std::size_t>(h) * static_cast<std::size_t>(w) * 3);
  }
  std::uint8_t* at(int row, int column) { return pixels.data() + offset(row, column); }
  const std::uint8_t* at(int row, int column) const { return pixels.data() + offset(row, column); }
  bool operator==(const image&) const = default;

private:
  std::size_t offset(int row, int column) const {
    return (static_cast<std::size_t>(row) * static_cast<std::size_t>(width) + static_cast<std::size_t>(column)) * 3;
  }
};

} // namespace sqs

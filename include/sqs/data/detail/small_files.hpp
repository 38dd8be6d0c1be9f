// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Limits for files of one sample: far above real ones, far below what would fill the memory.

#include <sqs/core/bytes.hpp>

#include <algorithm>

namespace sqs::detail {

/// A LiDAR sweep, the labels of a key frame: real ones have 0.3 to 30 MB.
inline limits sample_file_limits(limits most) {
  most.file_bytes = std::min(most.file_bytes, std::uint64_t{256} << 20);
  return most;
}

} // namespace sqs::detail

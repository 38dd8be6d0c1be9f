// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Chunks that only grow and are rewound at once, and the storage of a tape made of them.

#include <sqs/memory/pool.hpp>

#include <memory>
#include <vector>

namespace sqs {

/// Bump allocation in kept chunks of 64 KiB. `rewind` forgets everything and keeps the memory.
class monotonic {
public:
  void* allocate(std::size_t bytes, std::size_t alignment) {
    std::size_t begin = (used_ + alignment - 1) / alignment * alignment;
    if (current_ >= chunks_.size() || begin + bytes > chunks_[current_].bytes) {
      next_chunk(bytes);
      begin = 0;
    }
    used_ = begin + bytes;
    return chunks_[current_].data.get() + begin;
  }
  void rewind() {
    current_ = 0;
    used_ = 0;
  }

private:
  static constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
  struct chunk {
    std::unique_ptr<std::byte[]> data;
    std::size_t bytes;
  };
  void next_chunk(std::size_t bytes) {
    std::size_t next = chunks_.empty() ? 0 : current_ + 1;
    while (next < chunks_.size() && chunks_[next].bytes < bytes) { ++next; }
    if (next >= chunks_.size()) {
      const std::size_t size = bytes > chunk_bytes ? bytes : chunk_bytes;
      chunks_.push_back({std::make_unique<std::byte[]>(size), size});
      next = chunks_.size() - 1;
    }
    current_ = next;
    used_ = 0;
  }
  std::vector<chunk> chunks_;
  std::size_t current_ = 0;
  std::size_t used_ = 0;
};

/// What a training graph records into. It belongs to the executor, so that graphs are made anew each step for free.
struct tape_storage {
  monotonic nodes;
  std::vector<erased_tensor> gradients; ///< one per variable of the step; capacity is kept
  std::uint64_t graphs_made = 0;        ///< serial number of the latest graph
  bool in_use = false;
};

} // namespace sqs

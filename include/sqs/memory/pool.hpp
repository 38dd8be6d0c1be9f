// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A pool of reference-counted blocks: two-level segregated fit over a few slabs. Descriptors live apart from the
/// memory they describe, so the same code manages device memory. After warm-up it takes nothing from the system.

#include <sqs/core/error.hpp>

#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace sqs {

/// Where a pool takes its slabs from: plain functions, so that a pool does not depend on the memory space.
struct slab_source {
  static constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();
  /// Null if there is no room; other failures are raised in the name of who asks.
  void* (*take)(std::size_t bytes, const char* who);
  /// Null, or what went wrong. Called in destructors.
  const char* (*give)(void* slab);
  std::size_t (*left)() = nullptr; ///< bytes there is room for, `unknown` if that cannot be told
  const char* space = "the system";
};

namespace detail {
// Named functions: nvcc does not take lambdas in a braced return.
inline void* take_host_slab(std::size_t bytes, const char*) { return std::aligned_alloc(64, bytes); }
inline const char* give_host_slab(void* slab) {
  std::free(slab);
  return nullptr;
}
} // namespace detail

/// Slabs from the host's heap, aligned to 64 bytes.
inline slab_source host_slabs() { return {&detail::take_host_slab, &detail::give_host_slab}; }

class pool;

/// One block of a pool. The descriptor is the reference count.
struct memory_block {
  std::atomic<int> references{0};
  bool free = false;
  std::size_t bytes = 0;
  char* data = nullptr;
  pool* owner = nullptr; ///< null for a block that stands alone
  memory_block* before = nullptr;
  memory_block* after = nullptr;
  memory_block* previous_free = nullptr;
  memory_block* next_free = nullptr;
};

/// What a pool has handed out. Bytes.
struct pool_statistics {
  std::size_t live = 0;        ///< in blocks now
  std::size_t peak = 0;        ///< most ever in blocks, since `reset_peak`
  std::size_t window_peak = 0; ///< most ever in blocks, since `reset_window`
  std::size_t slabs = 0;       ///< taken from the system
  std::int64_t takes = 0;      ///< how often the system was asked
};

/// Two-level segregated fit. O(1) allocate and release, neighbours merge.
///
/// Execution   One thread at a time. Reference counts may be changed from any thread, but the last handle of a block
///             must go on the thread that uses the pool. The pool lives until its last block is released.
class pool {
public:
  static constexpr std::size_t granule = 64;

  /// While it lives, errors name `who` as the one who asked for memory, and say how he can do with less. The outermost
  /// counts: an op, not the sort it calls. Both are string literals.
  class user {
  public:
    user(pool& p, const char* who, const char* help) : pool_(p.who_ == nullptr ? &p : nullptr) {
      if (pool_ != nullptr) { p.who_ = who, p.help_ = help; }
    }
    ~user() {
      if (pool_ != nullptr) { pool_->who_ = nullptr; }
    }
    user(const user&) = delete;
    user& operator=(const user&) = delete;

  private:
    pool* pool_;
  };

  explicit pool(slab_source source) : source_(source) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  /// A block of at least `bytes` with one reference.
  ///
  /// Errors      error naming who asks, what is left and what the pool holds, if there is no room.
  memory_block* allocate(std::size_t bytes) {
    expects(bytes <= (std::size_t{1} << 46), "sqs::pool: a block of ", bytes,
            " bytes was asked for; check the extents");
    const std::size_t size = bytes == 0 ? granule : (bytes + granule - 1) / granule * granule;
    memory_block* b = find(size);
    if (b == nullptr) {
      add_slab(size);
      b = find(size);
    }
    unlink(b);
    split(b, size);
    b->references.store(1, std::memory_order_relaxed);
    statistics_.live += b->bytes;
    if (statistics_.live > statistics_.peak) { statistics_.peak = statistics_.live; }
    if (statistics_.live > statistics_.window_peak) { statistics_.window_peak = statistics_.live; }
    ++blocks_;
    return b;
  }
  /// Called by the last handle.
  void release(memory_block* b) {
    statistics_.live -= b->bytes;
    --blocks_;
    b = merge(b);
    link(b);
    if (abandoned_ && blocks_ == 0) { delete this; }
  }
  /// Takes a slab now, so that later steps need none.
  void reserve(std::size_t bytes) {
    if (bytes > 0) { add_slab((bytes + granule - 1) / granule * granule); }
  }
  const pool_statistics& statistics() const { return statistics_; }
  void reset_peak() { statistics_.peak = statistics_.live; }
  void reset_window() { statistics_.window_peak = statistics_.live; }

  /// The owner lets go: the pool deletes itself now or with its last block.
  static void abandon(pool* p) noexcept {
    p->abandoned_ = true;
    if (p->blocks_ == 0) { delete p; }
  }

private:
  static constexpr int second_level = 16;
  static constexpr int first_level = 48;

  ~pool() {
    // A destructor cannot raise, and there may be no next call to raise instead: one line a pool says it.
    const char* what = nullptr;
    for (void* s : slabs_) {
      if (const char* const failed = source_.give(s); failed != nullptr) { what = failed; }
    }
    if (what != nullptr) {
      std::fprintf(stderr, "sqs::pool: could not give memory back to %s: %s; an earlier call may have failed unseen\n",
                   source_.space, what);
    }
    for (memory_block* chunk : descriptors_) { delete[] chunk; }
  }

  struct cell {
    int first, second;
  };
  // Sizes below 16 granules have a list each; above, every power of two is divided into 16.
  static cell cell_of(std::size_t size) {
    const std::size_t g = size / granule;
    if (g < second_level) { return {0, static_cast<int>(g)}; }
    const int log = static_cast<int>(std::bit_width(g)) - 1;
    return {log - 3, static_cast<int>((g >> (log - 4)) - second_level)};
  }
  memory_block* find(std::size_t size) {
    // Round up to the next list boundary: every block of that list is then large enough.
    const std::size_t g = size / granule;
    std::size_t rounded = size;
    if (g >= second_level) { rounded += (std::size_t{1} << (std::bit_width(g) - 5)) * granule - granule; }
    auto [first, second] = cell_of(rounded);
    std::uint32_t map = second_map_[first] & (~std::uint32_t{0} << second);
    if (map == 0) {
      const std::uint64_t upper = first + 1 < 64 ? first_map_ & (~std::uint64_t{0} << (first + 1)) : 0;
      if (upper == 0) { return nullptr; }
      first = std::countr_zero(upper);
      map = second_map_[first];
    }
    return heads_[first][std::countr_zero(map)];
  }
  void link(memory_block* b) {
    const auto [first, second] = cell_of(b->bytes);
    b->free = true;
    b->previous_free = nullptr;
    b->next_free = heads_[first][second];
    if (b->next_free != nullptr) { b->next_free->previous_free = b; }
    heads_[first][second] = b;
    first_map_ |= std::uint64_t{1} << first;
    second_map_[first] |= std::uint32_t{1} << second;
  }
  void unlink(memory_block* b) {
    const auto [first, second] = cell_of(b->bytes);
    b->free = false;
    if (b->next_free != nullptr) { b->next_free->previous_free = b->previous_free; }
    if (b->previous_free != nullptr) {
      b->previous_free->next_free = b->next_free;
      return;
    }
    heads_[first][second] = b->next_free;
    if (b->next_free != nullptr) { return; }
    second_map_[first] &= ~(std::uint32_t{1} << second);
    if (second_map_[first] == 0) { first_map_ &= ~(std::uint64_t{1} << first); }
  }
  void split(memory_block* b, std::size_t size) {
    if (b->bytes - size < granule) { return; }
    memory_block* rest = new_descriptor();
    rest->owner = this;
    rest->data = b->data + size;
    rest->bytes = b->bytes - size;
    rest->before = b;
    rest->after = b->after;
    if (rest->after != nullptr) { rest->after->before = rest; }
    b->after = rest;
    b->bytes = size;
    link(rest);
  }
  memory_block* merge(memory_block* b) {
    if (b->after != nullptr && b->after->free) {
      unlink(b->after);
      absorb(b, b->after);
    }
    if (b->before != nullptr && b->before->free) {
      memory_block* left = b->before;
      unlink(left);
      absorb(left, b);
      return left;
    }
    return b;
  }
  void absorb(memory_block* left, memory_block* right) {
    left->bytes += right->bytes;
    left->after = right->after;
    if (left->after != nullptr) { left->after->before = left; }
    right->next_free = spare_;
    spare_ = right;
  }
  memory_block* new_descriptor() {
    if (spare_ == nullptr) {
      constexpr int count = 512;
      auto chunk = std::make_unique<memory_block[]>(count);
      descriptors_.push_back(chunk.get());
      memory_block* first = chunk.release();
      for (int i = 0; i < count; ++i) {
        first[i].next_free = spare_;
        spare_ = first + i;
      }
    }
    memory_block* b = spare_;
    spare_ = b->next_free;
    b->free = false;
    b->before = b->after = b->previous_free = b->next_free = nullptr;
    return b;
  }
  /// A slab of `bytes`, or else of `least`, to which `bytes` is set then. `unused` is not lost if there is none.
  char* take(std::size_t& bytes, std::size_t least, std::size_t asked, memory_block* unused) {
    const char* const who = who_ != nullptr ? who_ : "sqs::pool";
    const auto keep = [&] {
      unused->next_free = spare_;
      spare_ = unused;
    };
    void* slab = nullptr;
    try {
      slab = source_.take(bytes, who);
      if (slab == nullptr && least < bytes) { slab = source_.take(bytes = least, who); }
    } catch (...) {
      keep();
      throw;
    }
    if (slab != nullptr) { return static_cast<char*>(slab); }
    keep();
    const std::size_t left = source_.left != nullptr ? source_.left() : slab_source::unknown;
    raise<error>(who, ": no memory for ", asked, " bytes: ",
                 left == slab_source::unknown ? std::string(source_.space) + " has no room"
                                              : concat(left, " bytes are free in ", source_.space),
                 ", and the pool holds ", statistics_.slabs, " bytes, of which ", statistics_.live, " are in use; ",
                 who_ != nullptr ? help_ : "use a smaller batch");
  }
  void add_slab(std::size_t size) {
    // A request is rounded up by `find` to its list's upper edge (1/16 more at most); slabs grow with the total.
    const std::size_t least = (size + size / 8) / granule * granule + granule;
    std::size_t bytes = least;
    const std::size_t minimum =
        statistics_.slabs / 2 > (std::size_t{1} << 20) ? statistics_.slabs / 2 : std::size_t{1} << 20;
    bytes = (bytes > minimum ? bytes : minimum) / granule * granule;
    slabs_.reserve(slabs_.size() + 1);
    memory_block* b = new_descriptor();
    b->owner = this;
    b->data = take(bytes, least, size, b);
    b->bytes = bytes;
    slabs_.push_back(b->data);
    statistics_.slabs += bytes;
    ++statistics_.takes;
    link(b);
  }

  slab_source source_;
  pool_statistics statistics_;
  std::int64_t blocks_ = 0;
  bool abandoned_ = false;
  const char* who_ = nullptr;
  const char* help_ = nullptr;
  std::uint64_t first_map_ = 0;
  std::uint32_t second_map_[first_level]{};
  memory_block* heads_[first_level][second_level]{};
  memory_block* spare_ = nullptr;
  std::vector<void*> slabs_;
  std::vector<memory_block*> descriptors_;
};

/// A counted handle to a block; copying shares, the last one returns the block.
class block_handle {
public:
  block_handle() = default;
  explicit block_handle(memory_block* adopted) : block_(adopted) {}
  block_handle(const block_handle& other) : block_(other.block_) {
    if (block_ != nullptr) { block_->references.fetch_add(1, std::memory_order_relaxed); }
  }
  block_handle(block_handle&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  block_handle& operator=(block_handle other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~block_handle() {
    if (block_ == nullptr || block_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) { return; }
    if (block_->owner != nullptr) {
      block_->owner->release(block_);
    } else {
      std::free(block_->data);
      delete block_;
    }
  }
  /// A block that belongs to no pool: for what outlives executors (parameters, loaded data).
  static block_handle alone(std::size_t bytes) {
    auto b = std::make_unique<memory_block>();
    b->bytes = bytes == 0 ? pool::granule : (bytes + pool::granule - 1) / pool::granule * pool::granule;
    b->data = static_cast<char*>(detail::take_host_slab(b->bytes, ""));
    if (b->data == nullptr) {
      raise<error>("sqs::make_tensor: no memory for ", b->bytes, " bytes; use a smaller batch");
    }
    b->references.store(1, std::memory_order_relaxed);
    return block_handle{b.release()};
  }
  void* data() const { return block_ == nullptr ? nullptr : block_->data; }
  bool unique() const { return block_ != nullptr && block_->references.load(std::memory_order_acquire) == 1; }
  explicit operator bool() const { return block_ != nullptr; }

private:
  memory_block* block_ = nullptr;
};

/// A tensor without its type: what a graph keeps for gradients. Rank at most 8.
struct erased_tensor {
  block_handle block;
  void* data = nullptr;
  idx extents[8]{};
};

} // namespace sqs

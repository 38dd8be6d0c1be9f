// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A CUDA device on the CPU: an executor with device memory of its own whose kernels run under the emulator. What is
/// written for `device_executor` runs on it unchanged, so that tests need no GPU.

#include <sqs/exec/emulator.hpp>
#include <sqs/exec/parallel.hpp>

#include <memory>
#include <numeric>

namespace sqs::emulator {

namespace detail {
/// Memory of the pretended device starts with bytes that are NaN as floating-point numbers: nothing may rely on zeros.
inline void* take_dirty_slab(std::size_t bytes, const char* who) {
  void* const p = sqs::detail::take_host_slab(bytes, who);
  if (p != nullptr) { std::memset(p, 0xff, bytes); }
  return p;
}
inline slab_source dirty_slabs() { return {&take_dirty_slab, &sqs::detail::give_host_slab}; }
/// A kernel that is not known by its type.
struct any_kernel {
  const void* kernel;
  void (*call)(const void* kernel, emulated_team<>& t);
  void operator()(emulated_team<>& t) const { call(kernel, t); }
};
struct gpu_state {
  explicit gpu_state(slab_source slabs = dirty_slabs()) : memory(new pool(slabs)) {}
  ~gpu_state() { pool::abandon(memory); }
  gpu_state(const gpu_state&) = delete;
  gpu_state& operator=(const gpu_state&) = delete;
  pool* memory;
  tape_storage tape;
  profiler profile;
};
} // namespace detail

/// The pretended device: `emulator::gpu exec{.seed = 1};`. Threads of a block go on in an order drawn from the seed.
///
/// Execution   Everything runs at once, on the calling thread; see `emulator::launch` for what it shows and what not.
struct gpu {
  using memory_space = device;
  std::uint64_t seed = 0;
  std::shared_ptr<detail::gpu_state> shared = std::make_shared<detail::gpu_state>();

  pool& memory() { return *shared->memory; }
  tape_storage& tape() { return shared->tape; }
  profiler& profile() { return shared->profile; }
};

static_assert(device_executor<gpu>);

/// Runs `kernel(team)` for every thread of every block.
///
/// Errors      as `emulator::launch`.
template <class Kernel> void launch(gpu& e, idx blocks, int threads, const Kernel& kernel) {
  expects(blocks >= 0 && blocks < (idx{1} << 31), "sqs::launch: ", blocks, " blocks; give 0 to 2^31 - 1");
  if constexpr (requires { Kernel::most_threads; }) {
    expects(threads <= Kernel::most_threads, Kernel::name, ": a block of ", threads,
            " threads of a kernel that says most_threads = ", Kernel::most_threads, "; launch fewer or raise it");
  }
  // Behind a pointer: the loop around a kernel is compiled once, not for every kernel.
  const detail::any_kernel any{&kernel, [](const void* k, emulated_team<>& t) { (*static_cast<const Kernel*>(k))(t); }};
  launch(static_cast<int>(blocks), threads, any, ++e.seed);
}

/// The twins of exec/cuda.hpp.
inline void synchronize(gpu&) {}
inline void upload(gpu&, void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) { std::memcpy(to, from, bytes); }
}
inline void download(gpu&, void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) { std::memcpy(to, from, bytes); }
}
template <class T> void fill(gpu&, T* p, idx n, T value) { std::fill_n(p, n, value); }
template <class T> void exclusive_scan(gpu&, const T* in, T* out, idx n, T* total) {
  static_assert(std::is_integral_v<T>);
  T sum{};
  for (idx i = 0; i < n; ++i) {
    const T v = in[i];
    out[i] = sum;
    sum = static_cast<T>(sum + v);
  }
  *total = sum;
}
template <class Key, class Value> void radix_sort_pairs(gpu&, Key* keys, Value* values, Key*, Value*, idx n, int bits) {
  static_assert(std::is_unsigned_v<Key>);
  if (n <= 0 || bits <= 0) { return; }
  const Key low = bits >= static_cast<int>(8 * sizeof(Key)) ? ~Key{} : static_cast<Key>((Key{1} << bits) - 1);
  std::vector<std::pair<Key, Value>> pairs(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < pairs.size(); ++i) { pairs[i] = {keys[i], values[i]}; }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [low](const auto& a, const auto& b) { return (a.first & low) < (b.first & low); });
  for (std::size_t i = 0; i < pairs.size(); ++i) { keys[i] = pairs[i].first, values[i] = pairs[i].second; }
}
template <class Key> void radix_sort_keys(gpu& e, Key* keys, Key* scratch, idx n, int bits) {
  std::vector<std::uint8_t> nothing(static_cast<std::size_t>(std::max<idx>(n, 0)));
  radix_sort_pairs(e, keys, nothing.data(), scratch, nothing.data(), n, bits);
}

} // namespace sqs::emulator

// SPDX-License-Identifier: Apache-2.0
#pragma once
// The emulated device as the tests of this folder use it: with a CUDA graph, and with the kernels of convolutions compiled
// once for all files, which is most of the time their compilation takes.

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/tensor/copy.hpp>

#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace sqs::test {

/// `test_gpu e{.seed = 1};`. While it captures, work is put down and not done; what a stream in capture refuses is
/// refused here.
struct test_gpu {
  using memory_space = device;
  using work = std::function<void(emulator::gpu&)>;
  std::uint64_t seed = 0;
  emulator::gpu gpu{.seed = seed};
  bool captures = false;
  std::vector<work> graph{}; ///< what was put down, in order
  std::int64_t takes = 0;    ///< of memory from the system, before the capture

  pool& memory() { return gpu.memory(); }
  tape_storage& tape() { return gpu.tape(); }
  profiler& profile() { return gpu.profile(); }

  void begin_capture() {
    captures = true;
    takes = memory().statistics().takes;
  }
  /// Errors      error if memory was taken from the system since the beginning.
  void end_capture() {
    captures = false;
    const auto taken = memory().statistics().takes - takes;
    if (taken != 0) { raise<error>("test_gpu: memory was taken from the system ", taken, " times"); }
  }
  /// Runs what was captured.
  void replay() {
    for (const auto& w : graph) { w(gpu); }
  }
  /// Now, or in the graph.
  void put(work w) {
    if (captures) {
      graph.push_back(std::move(w));
    } else {
      w(gpu);
    }
  }
  void refuse(const char* what) const {
    if (captures) { raise<error>("test_gpu: ", what, " while a graph is captured"); }
  }
};

/// Runs the kernel whose bytes are given.
using kernel_runner = void(emulator::gpu&, const void* kernel, idx blocks, int threads);
template <class Kernel> void run_kernel(emulator::gpu& g, const void* kernel, idx blocks, int threads) {
  emulator::launch(g, blocks, threads, *static_cast<const Kernel*>(kernel));
}
/// The same, defined in test_gpu_kernels.hpp, for those who compile kernels for the others.
template <class Kernel> SQS_NOINLINE void run_compiled_kernel(emulator::gpu&, const void* kernel, idx, int);

/// Whether cuda_kernels_..._test.cpp hold the kernel: all of what `device_convolution_op` runs. A kernel with a planted
/// fault is run on an `emulator::gpu`.
template <class Kernel> constexpr bool compiled_elsewhere() {
  if constexpr (requires { Kernel::name; }) {
    const std::string_view name = Kernel::name;
    const auto is = [&](std::string_view part) {
      return name.substr(std::string_view("sqs::sparse::").size()).starts_with(part);
    };
    return name.starts_with("sqs::sparse::") && (is("convolution") || is("depthwise") || is("weight_gradient"));
  } else {
    return false;
  }
}
template <class Kernel> constexpr kernel_runner* runner_of() {
  if constexpr (compiled_elsewhere<Kernel>()) {
    return &run_compiled_kernel<Kernel>;
  } else {
    return &run_kernel<Kernel>;
  }
}
inline void run_or_put(test_gpu& e, kernel_runner* run, const void* kernel, std::size_t bytes, idx blocks,
                       int threads) {
  if (!e.captures) { return run(e.gpu, kernel, blocks, threads); }
  std::vector<std::byte> copy(bytes);
  std::memcpy(copy.data(), kernel, bytes);
  e.put([=](emulator::gpu& g) { run(g, copy.data(), blocks, threads); });
}

template <class Kernel> void launch(test_gpu& e, idx blocks, int threads, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel>, "a graph keeps the bytes of a kernel");
  run_or_put(e, runner_of<Kernel>(), &kernel, sizeof(Kernel), blocks, threads);
}
template <class T> void fill(test_gpu& e, T* p, idx n, T value) {
  e.put([=](emulator::gpu& g) { emulator::fill(g, p, n, value); });
}
template <class T> void exclusive_scan(test_gpu& e, const T* in, T* out, idx n, T* total) {
  e.put([=](emulator::gpu& g) { emulator::exclusive_scan(g, in, out, n, total); });
}
template <class Key, class Value>
void radix_sort_pairs(test_gpu& e, Key* keys, Value* values, Key* more, Value* more_values, idx n, int bits) {
  e.put([=](emulator::gpu& g) { emulator::radix_sort_pairs(g, keys, values, more, more_values, n, bits); });
}
template <class Key> void radix_sort_keys(test_gpu& e, Key* keys, Key* more, idx n, int bits) {
  e.put([=](emulator::gpu& g) { emulator::radix_sort_keys(g, keys, more, n, bits); });
}
inline void synchronize(test_gpu& e) { e.refuse("the host waits"); }
inline void upload(test_gpu& e, void* to, const void* from, std::size_t bytes) {
  e.refuse("memory of the host is read"); // a replay would read it again, whatever is there then
  upload(e.gpu, to, from, bytes);
}
inline void download(test_gpu& e, void* to, const void* from, std::size_t bytes) {
  e.refuse("memory of the host is written");
  download(e.gpu, to, from, bytes);
}
static_assert(device_executor<test_gpu>);

} // namespace sqs::test

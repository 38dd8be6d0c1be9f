// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// An emulated device that is as small as a test wants.

#include <sqs/exec/emulated_gpu.hpp>

namespace sqs_test {

/// A device with so much room. One thread uses it, one test at a time.
struct small_device {
  static inline std::size_t room = 0;
  static inline const char* refuses_to_take_back = nullptr;
  static inline bool captures = false;

  static void* take(std::size_t bytes, const char* who) {
    if (captures) { sqs::raise<sqs::error>(who, ": no memory while a graph is captured"); }
    if (bytes > room) { return nullptr; }
    room -= bytes;
    return sqs::emulator::detail::take_dirty_slab(bytes, who);
  }
  static const char* give(void* slab) {
    (void)sqs::detail::give_host_slab(slab);
    return refuses_to_take_back;
  }
  static std::size_t left() { return room; }
};
inline sqs::emulator::gpu device_of(std::size_t bytes) {
  small_device::room = bytes;
  small_device::refuses_to_take_back = nullptr, small_device::captures = false;
  const sqs::slab_source slabs{&small_device::take, &small_device::give, &small_device::left, "the device"};
  return {.seed = 1, .shared = std::make_shared<sqs::emulator::detail::gpu_state>(slabs)};
}

} // namespace sqs_test

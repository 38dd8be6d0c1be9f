// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What an executor is: where work runs, which memory it reads, and whose storage a step uses.

#include <sqs/core/profile.hpp>
#include <sqs/memory/monotonic.hpp>
#include <sqs/memory/space.hpp>

#include <concepts>

#if defined(SQS_NVTX)
#include <nvtx3/nvToolsExt.h>
#endif

namespace sqs {

/// An executor: a value passed explicitly to everything that computes. It owns the pool tensors come from and the
/// storage of the tape. An executor belongs to one thread at a time.
template <class E>
concept executor = requires(E& e) {
  typename E::memory_space;
  { e.memory() } -> std::same_as<pool&>;
  { e.tape() } -> std::same_as<tape_storage&>;
  { e.profile() } -> std::same_as<profiler&>;
};

/// An executor whose memory the host cannot read: `cuda`, or its emulation `emulator::gpu`. What runs on one is written
/// once for both on these functions, which lookup by argument finds:
///
///   launch(e, blocks, threads, kernel)     runs a kernel, see exec/team.hpp
///   exclusive_scan, radix_sort_pairs,
///   radix_sort_keys                        as in exec/cuda.hpp
///   fill(e, p, n, value)                   sets n numbers
///   upload(e, to, from, bytes)             from the host; `from` may be changed once it returns
///   download(e, to, from, bytes)           to the host; there after `synchronize(e)`
template <class E>
concept device_executor = executor<E> && std::same_as<typename E::memory_space, device>;

/// Times a stage while it lives and records the executor's peak memory meanwhile. With SQS_NVTX defined (and the CUDA
/// toolkit's headers at hand) it also marks the stage for NVIDIA's profilers. `name` and `direction` are literals.
template <executor E> class profile_scope {
public:
  profile_scope(E& e, const char* name, const char* direction) : exec_(e), name_(name), direction_(direction) {
#if defined(SQS_NVTX)
    nvtxRangePushA(name);
#endif
    if (!exec_.profile().enabled) { return; }
    exec_.memory().reset_window();
    begin_ = profiler::clock::now();
  }
  ~profile_scope() {
#if defined(SQS_NVTX)
    nvtxRangePop();
#endif
    if (!exec_.profile().enabled || begin_ == profiler::clock::time_point{}) { return; }
    exec_.profile().add(name_, direction_, begin_, profiler::clock::now(), exec_.memory().statistics().window_peak);
  }
  profile_scope(const profile_scope&) = delete;
  profile_scope& operator=(const profile_scope&) = delete;

private:
  E& exec_;
  const char *name_, *direction_;
  profiler::clock::time_point begin_{};
};

} // namespace sqs

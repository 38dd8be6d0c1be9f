// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the CUDA executor needs of the CUDA runtime: errors, device memory, launches.

#include <sqs/exec/cuda.hpp>
#include <sqs/exec/team.hpp>

#include <cuda_runtime.h>

#include <limits>

namespace sqs {

/// Raises if a call of the CUDA runtime failed; `where` is the library function that made it.
///
/// Errors      error with CUDA's own name and text of the failure.
inline void check_cuda(cudaError_t status, const char* where) {
  if (status != cudaSuccess) [[unlikely]] {
    (void)cudaGetLastError(); // a failed launch must not be reported again by the next call
    raise<error>(
        where, ": CUDA reports ", cudaGetErrorName(status), " (", cudaGetErrorString(status),
        "); check that a device is visible, has free memory, and that the program was built for its architecture");
  }
}

namespace detail {
// Functions, not lambdas: nvcc 13.0 generates wrong host code for `return {lambda, lambda}` of a struct of pointers.
inline void* take_device_slab(std::size_t bytes) {
  void* p = nullptr;
  check_cuda(cudaMalloc(&p, bytes), "sqs::pool");
  return p;
}
inline void give_device_slab(void* slab) { (void)cudaFree(slab); }
} // namespace detail

/// Slabs of device memory.
inline slab_source device_slabs() { return {&detail::take_device_slab, &detail::give_device_slab}; }

/// Gives the executor its device memory; every algorithm does so on first use.
inline cuda& open(cuda& e) {
  if (e.shared == nullptr) { e.shared = std::make_shared<detail::cuda_state>(device_slabs()); }
  return e;
}

/// Waits until everything on the executor's stream is done. For the end of a program and for tests; no op calls it.
inline void synchronize(cuda& e) { check_cuda(cudaStreamSynchronize(e.stream), "sqs::synchronize"); }

namespace detail {

template <class Kernel> __global__ void team_kernel(const Kernel kernel) {
  cuda_team t;
  kernel(t);
}

/// Device memory for one call: returned to the pool at once, which the order of the stream makes safe.
struct cuda_scratch {
  block_handle block;
  cuda_scratch(cuda& e, std::size_t bytes) : block(open(e).memory().allocate(bytes)) {}
  void* data() const { return block.data(); }
};

} // namespace detail

/// Runs `kernel(team)` for `blocks` blocks of `threads` threads. `kernel` is a plain struct of views, the same that
/// `emulator::launch` runs on the CPU.
///
/// Errors      precondition_error for sizes that no device takes; error if the launch fails.
template <class Kernel> void launch(cuda& e, idx blocks, int threads, const Kernel& kernel) {
  expects(threads > 0 && threads <= 1024 && threads % warp_size == 0, "sqs::launch: a block of ", threads,
          " threads; give a multiple of ", warp_size, " up to 1024");
  expects(blocks >= 0 && blocks <= std::numeric_limits<int>::max(), "sqs::launch: ", blocks,
          " blocks; give 0 to 2^31 - 1");
  if (blocks == 0) { return; } // CUDA refuses an empty grid
  detail::team_kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, e.stream>>>(kernel);
  check_cuda(cudaGetLastError(), "sqs::launch");
}

} // namespace sqs

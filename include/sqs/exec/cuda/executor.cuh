// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the CUDA executor needs of the CUDA runtime: errors, device memory, launches.

#include <sqs/exec/cuda.hpp>
#include <sqs/exec/team.hpp>

#include <cuda_runtime.h>

#include <cstdlib>
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
inline void* take_device_slab(std::size_t bytes, const char* who) {
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, bytes);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError(); // it is told in another way
    return nullptr;
  }
  if (status == cudaErrorStreamCaptureUnsupported) {
    (void)cudaGetLastError();
    raise<error>(who, ": ", bytes,
                 " bytes are missing while a graph is captured, and memory cannot be taken then; run "
                 "the same pass once before, or reserve memory");
  }
  check_cuda(status, who);
  return p;
}
inline const char* give_device_slab(void* slab) {
  const cudaError_t status = cudaFree(slab);
  // Where the program has ended, the driver has taken everything back already.
  if (status == cudaSuccess || status == cudaErrorCudartUnloading) { return nullptr; }
  (void)cudaGetLastError();
  return cudaGetErrorName(status);
}
inline std::size_t device_bytes_left() {
  std::size_t left = 0, all = 0;
  if (cudaMemGetInfo(&left, &all) == cudaSuccess) { return left; }
  (void)cudaGetLastError();
  return slab_source::unknown;
}
} // namespace detail

/// Slabs of device memory.
inline slab_source device_slabs() {
  return {&detail::take_device_slab, &detail::give_device_slab, &detail::device_bytes_left, "the device"};
}

// Emitted in any case, for host code that links a compiled target.
__attribute__((used)) inline cuda& open(cuda& e) {
  if (e.shared == nullptr) { e.shared = std::make_shared<detail::cuda_state>(device_slabs()); }
  return e;
}

__attribute__((used)) inline void synchronize(cuda& e) {
  check_cuda(cudaStreamSynchronize(e.stream), "sqs::synchronize");
}
__attribute__((used)) inline void upload(cuda& e, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) { return; }
  // CUDA has copied pageable memory elsewhere when the call returns.
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, e.stream), "sqs::upload");
}
__attribute__((used)) inline void download(cuda& e, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) { return; }
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, e.stream), "sqs::download");
}

namespace detail {

template <class Kernel> __global__ void team_kernel(const Kernel kernel) {
  cuda_team t;
  kernel(t);
}

/// The blocks of a kernel that a multiprocessor should hold at once, if it says so: bounds its registers.
template <class Kernel> constexpr int least_blocks() {
  if constexpr (requires { Kernel::least_blocks; }) {
    return Kernel::least_blocks;
  } else {
    return 1;
  }
}
/// The same for kernels that say how many threads a block of theirs has at most: more registers for small blocks, and none
/// too many for large ones.
template <class Kernel> __global__ void __launch_bounds__(Kernel::most_threads, least_blocks<Kernel>())
    bounded_team_kernel(const Kernel kernel) {
  cuda_team t;
  kernel(t);
}

/// What an error calls a kernel: its `name`, if it has one.
template <class Kernel> constexpr const char* kernel_name() {
  if constexpr (requires { Kernel::name; }) {
    return Kernel::name;
  } else {
    return "sqs::launch";
  }
}
/// Whether the environment asks to wait after every kernel, so that an error names the one that failed: SQS_SYNC=1.
inline bool wait_for_kernels() {
  static const bool wait = [] {
    const char* const value = std::getenv("SQS_SYNC");
    return value != nullptr && value[0] == '1';
  }();
  return wait;
}

/// Then waits, in the name of what was just put on the stream.
inline void wait_if_asked(cuda& e, const char* where) {
  if (wait_for_kernels()) { check_cuda(cudaStreamSynchronize(e.stream), where); }
}

/// Device memory for one call: returned to the pool at once, which the order of the stream makes safe.
struct cuda_scratch {
  block_handle block;
  cuda_scratch(cuda& e, std::size_t bytes) : block(open(e).memory().allocate(bytes)) {}
  void* data() const { return block.data(); }
};

} // namespace detail

/// Runs `kernel(team)` for `blocks` blocks of `threads` threads. `kernel` is a plain struct of views, the same that
/// `emulator::launch` runs on the CPU. One with `static constexpr int most_threads` is compiled for blocks of up to so
/// many: above 256 it would otherwise be given more registers than such a block has.
///
/// Errors      precondition_error for sizes that no device takes; error if the launch fails. What goes wrong while a
///             kernel runs shows in a later call; with SQS_SYNC=1 in the environment every launch waits, and the error
///             names the kernel.
template <class Kernel> void launch(cuda& e, idx blocks, int threads, const Kernel& kernel) {
  expects(threads > 0 && threads <= 1024 && threads % warp_size == 0, "sqs::launch: a block of ", threads,
          " threads; give a multiple of ", warp_size, " up to 1024");
  expects(blocks >= 0 && blocks <= std::numeric_limits<int>::max(), "sqs::launch: ", blocks,
          " blocks; give 0 to 2^31 - 1");
  if (blocks == 0) { return; } // CUDA refuses an empty grid
  const auto grid = static_cast<unsigned>(blocks), block = static_cast<unsigned>(threads);
  if constexpr (requires { Kernel::most_threads; }) {
    expects(threads <= Kernel::most_threads, detail::kernel_name<Kernel>(), ": a block of ", threads,
            " threads of a kernel that says most_threads = ", Kernel::most_threads, "; launch fewer or raise it");
    detail::bounded_team_kernel<<<grid, block, 0, e.stream>>>(kernel);
  } else {
    detail::team_kernel<<<grid, block, 0, e.stream>>>(kernel);
  }
  check_cuda(cudaGetLastError(), detail::kernel_name<Kernel>());
  detail::wait_if_asked(e, detail::kernel_name<Kernel>());
}

} // namespace sqs

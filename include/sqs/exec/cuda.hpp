// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The CUDA executor as a value. Compiles without the CUDA toolkit, so that host code can carry it; what computes on it
/// is declared here or with its CPU twin, and defined in `exec/cuda/*.cuh`, which need nvcc.

#include <sqs/exec/concept.hpp>

#include <memory>

struct CUstream_st; // what cudaStream_t points to

namespace sqs {

namespace detail {

/// The memory pool, tape and profile of one CUDA executor.
struct cuda_state {
  explicit cuda_state(slab_source slabs) : memory(new pool(slabs)) {}
  ~cuda_state() { pool::abandon(memory); }
  cuda_state(const cuda_state&) = delete;
  cuda_state& operator=(const cuda_state&) = delete;
  pool* memory;
  tape_storage tape;
  profiler profile;
};

} // namespace detail

/// The CUDA executor: `cuda exec{stream};`. The caller makes and destroys the stream, on the device it is to run on.
///
/// Execution   Everything runs in the order of the stream, nothing waits for the device. Copies share memory. One thread
///             at a time may use it.
struct cuda {
  using memory_space = device;
  CUstream_st* stream = nullptr;
  std::shared_ptr<detail::cuda_state> shared = nullptr; ///< made by `open`

  /// Errors      precondition_error before the first use: host code alone cannot reach the device.
  pool& memory() { return *state().memory; }
  tape_storage& tape() { return state().tape; }
  /// Times in it are those of the host: when work was put on the stream, not when the device did it.
  profiler& profile() { return state().profile; }

private:
  detail::cuda_state& state() {
    expects(shared != nullptr,
            "sqs::cuda: this executor has no device memory yet; call sqs::open(exec) first, in a .cu "
            "file or linked with sqs::cuda_instances");
    return *shared;
  }
};

static_assert(device_executor<cuda>);

/// Gives the executor its device memory; every algorithm does so on first use.
///
/// Execution   This and the following are defined in <sqs/exec/cuda/executor.cuh>.
cuda& open(cuda& e);
/// Waits until everything on the executor's stream is done. For the end of a program and for tests; no op calls it.
void synchronize(cuda& e);
/// Copies bytes from the host to the device in the order of the stream. Pageable `from` may be changed once it returns,
/// page-locked memory only after `synchronize`.
void upload(cuda& e, void* to, const void* from, std::size_t bytes);
/// Copies bytes from the device to the host in the order of the stream: they are there after `synchronize`.
void download(cuda& e, void* to, const void* from, std::size_t bytes);

// Never inlined where they are defined: host code calls what another file compiled.

#if defined(SQS_USE_CUDA_INSTANCES) || defined(__CUDACC__)
/// Runs a kernel, see <sqs/exec/cuda/executor.cuh>, which defines it. A host compiler calls what a compiled target holds:
/// an undefined reference to a launch names the kernel that is missing there.
template <class Kernel> SQS_NOINLINE void launch(cuda& e, idx blocks, int threads, const Kernel& kernel);
#else
/// Kernels are compiled by nvcc: a host compiler only calls what a compiled target holds.
template <class Kernel> void launch(cuda&, idx, int, const Kernel&) {
  static_assert(sizeof(Kernel) == 0,
                "sqs::launch: only nvcc compiles kernels for sqs::cuda; move the call to a .cu file, "
                "or link sqs::cuda_instances, which holds the usual ones");
}
#endif

/// Sets n numbers in device memory.
///
/// Execution   Defined in <sqs/exec/cuda/algorithms.cuh>.
template <class T> SQS_NOINLINE void fill(cuda& e, T* p, idx n, T value);

/// out[i] = in[0] + ... + in[i-1], and `*total` the sum of all; all three in device memory. `in` and `out` may be the
/// same. Integers only: device scans of floating-point numbers do not repeat bit for bit.
///
/// Execution   Defined in <sqs/exec/cuda/algorithms.cuh>. Scratch from the pool.
template <class T> SQS_NOINLINE void exclusive_scan(cuda& e, const T* in, T* out, idx n, T* total);

/// Sorts (key, value) pairs by the low `bits` of the unsigned keys; stable. The result is in `keys` and `values`; the
/// two scratch arrays have the same length. All in device memory.
///
/// Execution   Defined in <sqs/exec/cuda/algorithms.cuh>. More scratch from the pool.
template <class Key, class Value> SQS_NOINLINE void radix_sort_pairs(cuda& e, Key* keys, Value* values,
                                                                     Key* scratch_keys, Value* scratch_values, idx n,
                                                                     int bits);

/// The same of keys alone.
template <class Key> SQS_NOINLINE void radix_sort_keys(cuda& e, Key* keys, Key* scratch, idx n, int bits);

} // namespace sqs

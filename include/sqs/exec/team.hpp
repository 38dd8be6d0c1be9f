// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a CUDA kernel sees of its block, as a value: so that a kernel's body is a template that runs on the device with
/// `cuda_team` and, unchanged, on the CPU under `emulator::launch`. And the algorithms of a block, written once on it.
///
/// A kernel is a plain struct of views with `template <team Team> SQS_DEVICE void operator()(Team& t) const`.

#include <sqs/core/config.hpp>

#include <concepts>

namespace sqs {

/// Threads per warp, on every CUDA device so far.
inline constexpr int warp_size = 32;

/// The block of threads a kernel's body runs in. Blocks and threads are numbered in one dimension.
///
///   thread() size()     this thread's number in the block, threads in the block
///   block() blocks()    this block's number in the grid, blocks in the grid
///   sync()              waits for all threads of the block; all of them must come
///   sync_any(p)         the same, and whether p holds for any of them
///   sync_warp()         waits for the lanes of the warp, and makes what they wrote to shared memory visible to each other
///   ballot(p)           bit i: p holds for lane i of the warp
///   shfl(v, lane), shfl_up(v, n), shfl_down(v, n), shfl_xor(v, n)
///                       the value of another lane of the warp, all 32 must come; where there is none, the own `v`
///   add(p, v)           adds v to *p, which other threads of the grid may do at the same time, in any order
///   shared<Tag, T, N>() the block's array of N values, not initialised; one array per Tag
template <class Team>
concept team = requires(Team& t, float v, int n) {
  { t.thread() } -> std::same_as<int>;
  { t.size() } -> std::same_as<int>;
  { t.block() } -> std::same_as<int>;
  { t.blocks() } -> std::same_as<int>;
  t.sync();
  { t.sync_any(true) } -> std::same_as<bool>;
  t.sync_warp();
  { t.ballot(true) } -> std::same_as<unsigned>;
  { t.shfl(v, n) } -> std::same_as<float>;
  { t.shfl_up(v, n) } -> std::same_as<float>;
  { t.shfl_down(v, n) } -> std::same_as<float>;
  { t.shfl_xor(v, n) } -> std::same_as<float>;
  t.add(static_cast<float*>(nullptr), v);
  { t.template shared<void, float, 1>() } -> std::same_as<float*>;
};

/// A team that copies beside its computing (cp.async).
///
///   copy_async(to, from, there)
///                       16 bytes from global to shared memory, or zeros if not `there` (`from` is some address of
///                       global memory all the same); both are multiples of 16. It happens any time from now to the wait
///   commit_copies()     makes a group of the copies this thread has begun since the last call
///   wait_copies<N>()    until all groups of this thread but the last N have arrived; other threads see them after a
///                       `sync()` that follows
template <class Team>
concept copying_team = team<Team> && requires(Team& t, void* to, const void* from) {
  t.copy_async(to, from, true);
  t.commit_copies();
  t.template wait_copies<1>();
};

/// The block's array of N values of T. Tag tells apart arrays of the same type: `shared_array<struct tile_a, float, 256>(t)`.
template <class Tag, class T, int N, team Team> SQS_DEVICE T* shared_array(Team& t) {
  return t.template shared<Tag, T, N>();
}

/// Place of the lowest bit that is set; there must be one.
SQS_HD inline int lowest_bit(unsigned bits) {
#if defined(__CUDA_ARCH__)
  return __ffs(static_cast<int>(bits)) - 1;
#else
  return __builtin_ctz(bits);
#endif
}

/// The sum over the warp, in every lane.
///
/// Execution   All lanes of the warp must call it. Adds in a fixed order: the same bits in every run.
template <class T, team Team> SQS_DEVICE T warp_sum(Team& t, T v) {
  // Pairs (i, i + 16), then (i, i + 8) ...: lane 0 ends with the sum.
  for (int n = warp_size / 2; n > 0; n /= 2) { v += t.shfl_down(v, n); }
  return t.shfl(v, 0);
}

/// The sums over the warp of N numbers a lane: the return value is that of number `place`, which is -1 in lanes that have
/// none. Spoils `v`.
///
/// Execution   All lanes of the warp must call it. Adds in a fixed order. N is a power of two up to 32.
/// Cost        N + log2(32 / N) - 1 shuffles, where N single sums take 5 N.
template <int N, class T, team Team> SQS_DEVICE T warp_sums(Team& t, T (&v)[N], int& place) {
  static_assert(N >= 1 && N <= warp_size && (N & (N - 1)) == 0);
  const int lane = t.thread() % warp_size;
  int lanes = warp_size / 2;
  for (int half = N / 2; half > 0; half /= 2, lanes /= 2) { // two lanes share the numbers that each had of
    const bool upper = (lane & lanes) != 0;
    for (int i = 0; i < half; ++i) {
      const T sent = upper ? v[i] : v[i + half], kept = upper ? v[i + half] : v[i];
      v[i] = kept + t.shfl_xor(sent, lanes);
    }
  }
  constexpr int sharing = warp_size / N; // lanes that end with the same number
  for (; lanes > 0; lanes /= 2) { v[0] = v[0] + t.shfl_xor(v[0], lanes); }
  place = lane % sharing == 0 ? lane / sharing : -1;
  return v[0];
}

/// v of lane 0 + ... + v of this lane.
///
/// Execution   All lanes of the warp must call it. Adds in a fixed order.
template <class T, team Team> SQS_DEVICE T warp_inclusive_scan(Team& t, T v) {
  const int lane = t.thread() % warp_size;
  for (int n = 1; n < warp_size; n *= 2) {
    const T before = t.shfl_up(v, n);
    if (lane >= n) { v = before + v; }
  }
  return v;
}

/// v of thread 0 + ... + v of this thread, over the block.
///
/// Execution   All threads of the block must call it; the block is a multiple of 32 threads. Adds in a fixed order.
/// Cost        Three barriers, 32 values of shared memory.
template <class T, team Team> SQS_DEVICE T block_inclusive_scan(Team& t, T v) {
  T* const totals = shared_array<struct block_scan_totals, T, warp_size>(t);
  const int lane = t.thread() % warp_size, warp = t.thread() / warp_size, warps = t.size() / warp_size;
  v = warp_inclusive_scan(t, v);
  if (lane == warp_size - 1) { totals[warp] = v; }
  t.sync();
  if (warp == 0) {
    const T scanned = warp_inclusive_scan(t, lane < warps ? totals[lane] : T{});
    if (lane < warps) { totals[lane] = scanned; }
  }
  t.sync();
  const T result = warp == 0 ? v : totals[warp - 1] + v;
  t.sync(); // the next call writes `totals` again
  return result;
}

/// The sum over the block, in every thread.
///
/// Execution   As block_inclusive_scan.
template <class T, team Team> SQS_DEVICE T block_sum(Team& t, T v) {
  T* const total = shared_array<struct block_sum_total, T, 1>(t);
  const T scanned = block_inclusive_scan(t, v);
  if (t.thread() == t.size() - 1) { *total = scanned; }
  t.sync();
  return *total; // the next call writes it behind barriers of its own
}

#if defined(__CUDACC__)
/// The team of a CUDA kernel: the block it runs in.
struct cuda_team {
  SQS_DEVICE int thread() const { return static_cast<int>(threadIdx.x); }
  SQS_DEVICE int size() const { return static_cast<int>(blockDim.x); }
  SQS_DEVICE int block() const { return static_cast<int>(blockIdx.x); }
  SQS_DEVICE int blocks() const { return static_cast<int>(gridDim.x); }
  SQS_DEVICE void sync() const { __syncthreads(); }
  SQS_DEVICE bool sync_any(bool p) const { return __syncthreads_or(p ? 1 : 0) != 0; }
  SQS_DEVICE void sync_warp() const { __syncwarp(); }
  SQS_DEVICE unsigned ballot(bool p) const { return __ballot_sync(0xffffffffu, p); }
  template <class T> SQS_DEVICE T shfl(T v, int lane) const { return __shfl_sync(0xffffffffu, v, lane); }
  template <class T> SQS_DEVICE T shfl_up(T v, int n) const {
    return __shfl_up_sync(0xffffffffu, v, static_cast<unsigned>(n));
  }
  template <class T> SQS_DEVICE T shfl_down(T v, int n) const {
    return __shfl_down_sync(0xffffffffu, v, static_cast<unsigned>(n));
  }
  template <class T> SQS_DEVICE T shfl_xor(T v, int n) const { return __shfl_xor_sync(0xffffffffu, v, n); }
  template <class T> SQS_DEVICE void add(T* p, T v) const { atomicAdd(p, v); }
  template <class Tag, class T, int N> SQS_DEVICE T* shared() const {
    // Bytes, because a shared variable may have no constructor.
    alignas(T) __shared__ unsigned char bytes[sizeof(T) * N];
    return reinterpret_cast<T*>(bytes);
  }
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  // Volatile and "memory": neither these nor what reads the copies may change places with a wait or a barrier.
  SQS_DEVICE void copy_async(void* to, const void* from, bool there) const {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(__cvta_generic_to_global(from)), "r"(there ? 16 : 0)
                 : "memory");
  }
  SQS_DEVICE void commit_copies() const { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int N> SQS_DEVICE void wait_copies() const { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
#else
  SQS_DEVICE void copy_async(void* to, const void* from, bool there) const {
    *static_cast<int4*>(to) = there ? *static_cast<const int4*>(from) : int4{0, 0, 0, 0};
  }
  SQS_DEVICE void commit_copies() const {}
  template <int N> SQS_DEVICE void wait_copies() const {}
#endif
};
#endif

} // namespace sqs

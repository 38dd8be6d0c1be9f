// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Loops, reductions, scans and sorts on the CUDA executor: the twins of `exec/parallel.hpp`. Results stay in device
/// memory, because reading one back would wait for the device.

#include <sqs/exec/cuda/executor.cuh>

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>

#include <algorithm>
#include <type_traits>

namespace sqs {

namespace detail {

template <class T> struct fill_kernel {
  static constexpr const char* name = "sqs::fill";
  T* p;
  idx n;
  T value;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (i < n) { p[i] = value; }
  }
};

template <class F> struct range_kernel {
  static constexpr const char* name = "sqs::parallel_for";
  F f;
  idx n, grain;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx begin = (static_cast<idx>(t.block()) * t.size() + t.thread()) * grain;
    if (begin < n) { f(begin, begin + grain < n ? begin + grain : n); }
  }
};

template <class R, class Map> struct partial_kernel {
  static constexpr const char* name = "sqs::reduce";
  Map map;
  R* partial;
  idx n, grain;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx chunk = static_cast<idx>(t.block()) * t.size() + t.thread(), begin = chunk * grain;
    if (begin < n) { partial[chunk] = map(begin, begin + grain < n ? begin + grain : n); }
  }
};

/// total = the last input before the scan, then plus the last output after it: in and out may be the same array.
template <class T> struct scan_total_kernel {
  static constexpr const char* name = "sqs::exclusive_scan";
  const T* last;
  T* total;
  bool after;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (t.thread() == 0) { *total = after ? static_cast<T>(*total + *last) : (last != nullptr ? *last : T{}); }
  }
};

/// Calls a device algorithm of cub twice, as it wants: for the size of its scratch, then to run.
template <class Call> void with_cub_scratch(cuda& e, const char* where, Call call) {
  std::size_t bytes = 0;
  check_cuda(call(nullptr, bytes), where);
  const pool::user asking(open(e).memory(), where, "sort or sum fewer numbers at a time");
  const cuda_scratch scratch(e, bytes);
  check_cuda(call(scratch.data(), bytes), where);
  wait_if_asked(e, where);
}
/// Copies within the device.
inline void copy_on_device(cuda& e, void* to, const void* from, std::size_t bytes, const char* where) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, e.stream), where);
  wait_if_asked(e, where);
}

inline constexpr int loop_threads = 256;
inline idx loop_blocks(idx chunks) { return (chunks + loop_threads - 1) / loop_threads; }

} // namespace detail

template <class T> void fill(cuda& e, T* p, idx n, T value) {
  if (n > 0) { launch(e, detail::loop_blocks(n), detail::loop_threads, detail::fill_kernel<T>{p, n, value}); }
}

/// Calls `f(begin, end)` on the device for consecutive ranges of `grain` indices that cover [0, n).
///
/// Execution   One device thread per range: `grain` 1 for simple loops.
/// Errors      precondition_error if grain < 1.
template <class F> void parallel_for(cuda& e, idx n, idx grain, F f) {
  expects(grain > 0, "sqs::parallel_for: grain is ", grain, "; give at least 1");
  if (n <= 0) { return; }
  launch(e, detail::loop_blocks((n + grain - 1) / grain), detail::loop_threads, detail::range_kernel<F>{f, n, grain});
}

/// `*out` = init combined with `map(begin, end)` over ranges of `grain` indices that cover [0, n); `out` in device
/// memory. `combine` is associative and commutative up to rounding.
///
/// Execution   Repeats bit for bit on one device; another device may round differently.
/// Errors      precondition_error if grain < 1.
template <class R, class Map, class Combine>
void reduce(cuda& e, idx n, idx grain, R init, Map map, Combine combine, R* out) {
  expects(grain > 0, "sqs::reduce: grain is ", grain, "; give at least 1");
  const idx chunks = n <= 0 ? 0 : (n + grain - 1) / grain;
  const detail::cuda_scratch partials(e, static_cast<std::size_t>(chunks) * sizeof(R));
  R* const partial = static_cast<R*>(partials.data());
  launch(e, detail::loop_blocks(chunks), detail::loop_threads, detail::partial_kernel<R, Map>{map, partial, n, grain});
  detail::with_cub_scratch(e, "sqs::reduce", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceReduce::Reduce(scratch, bytes, partial, out, chunks, combine, init, e.stream);
  });
}

template <class T> void exclusive_scan(cuda& e, const T* in, T* out, idx n, T* total) {
  static_assert(std::is_integral_v<T>, "sqs::exclusive_scan: on CUDA only integers; a device scan of floating-point "
                                       "numbers does not repeat bit for bit");
  launch(e, 1, warp_size, detail::scan_total_kernel<T>{n > 0 ? in + n - 1 : nullptr, total, false});
  if (n <= 0) { return; }
  detail::with_cub_scratch(e, "sqs::exclusive_scan", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceScan::ExclusiveSum(scratch, bytes, in, out, n, e.stream);
  });
  launch(e, 1, warp_size, detail::scan_total_kernel<T>{out + n - 1, total, true});
}

template <class Key, class Value>
void radix_sort_pairs(cuda& e, Key* keys, Value* values, Key* scratch_keys, Value* scratch_values, idx n, int bits) {
  static_assert(std::is_unsigned_v<Key>, "sqs::radix_sort_pairs: keys are unsigned integers");
  if (n <= 0 || bits <= 0) { return; }
  cub::DoubleBuffer<Key> k(keys, scratch_keys);
  cub::DoubleBuffer<Value> v(values, scratch_values);
  const int end_bit = std::min(bits, static_cast<int>(8 * sizeof(Key)));
  detail::with_cub_scratch(e, "sqs::radix_sort_pairs", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(scratch, bytes, k, v, n, 0, end_bit, e.stream);
  });
  if (k.Current() == keys) { return; }
  const auto count = static_cast<std::size_t>(n);
  detail::copy_on_device(e, keys, k.Current(), count * sizeof(Key), "sqs::radix_sort_pairs");
  detail::copy_on_device(e, values, v.Current(), count * sizeof(Value), "sqs::radix_sort_pairs");
}

template <class Key> void radix_sort_keys(cuda& e, Key* keys, Key* scratch, idx n, int bits) {
  static_assert(std::is_unsigned_v<Key>, "sqs::radix_sort_keys: keys are unsigned integers");
  if (n <= 0 || bits <= 0) { return; }
  cub::DoubleBuffer<Key> k(keys, scratch);
  const int end_bit = std::min(bits, static_cast<int>(8 * sizeof(Key)));
  detail::with_cub_scratch(e, "sqs::radix_sort_keys", [&](void* temporary, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortKeys(temporary, bytes, k, n, 0, end_bit, e.stream);
  });
  if (k.Current() == keys) { return; }
  detail::copy_on_device(e, keys, k.Current(), static_cast<std::size_t>(n) * sizeof(Key), "sqs::radix_sort_keys");
}

} // namespace sqs

// SPDX-License-Identifier: Apache-2.0
// The algorithms of the CUDA executor against those of the CPU executor.
#include "support/device.cuh"

#include <sqs/exec/cuda/algorithms.cuh>
#include <sqs/exec/parallel.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace {

using namespace sqs::test;
using cuda_device = device_test;
using sqs::idx;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct square_ranges {
  int* out;
  SQS_DEVICE void operator()(idx begin, idx end) const {
    for (idx i = begin; i < end; ++i) { out[i] = static_cast<int>(i * i) + static_cast<int>(end - begin); }
  }
};
struct sum_range {
  const int* in;
  SQS_HD long long operator()(idx begin, idx end) const {
    long long sum = 0;
    for (idx i = begin; i < end; ++i) { sum += in[i]; }
    return sum;
  }
};
struct empty_kernel {
  template <sqs::team Team> SQS_DEVICE void operator()(Team&) const {}
};
struct add {
  template <class T> SQS_HD T operator()(T a, T b) const { return a + b; }
};

std::vector<int> numbers(idx n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  for (idx i = 0; i < n; ++i) { v[static_cast<std::size_t>(i)] = static_cast<int>((i * 7919 + 13) % 1009) - 300; }
  return v;
}

TEST_F(cuda_device, parallel_for_covers_all_ranges) {
  for (const idx grain : {1, 3, 64}) {
    for (const idx n : {0, 1, 255, 256, 257, 100003}) {
      const device_array<int> out(static_cast<std::size_t>(n));
      sqs::parallel_for(exec, n, grain, square_ranges{out.data()});
      const auto v = out.read(exec);
      for (idx i = 0; i < n; ++i) {
        const idx begin = i / grain * grain;
        ASSERT_EQ(v[static_cast<std::size_t>(i)],
                  static_cast<int>(i * i) + static_cast<int>(std::min(n, begin + grain) - begin));
      }
    }
  }
}

TEST_F(cuda_device, reduce_matches_cpu) {
  sqs::cpu host{.threads = 2};
  for (const idx n : {0, 1, 1000, 65537, 1000003}) {
    const auto in = numbers(n);
    const device_array<int> d_in(in);
    const device_array<long long> d_out(1);
    sqs::reduce(exec, n, 32, 5LL, sum_range{d_in.data()}, add{}, d_out.data());
    const long long expected = sqs::reduce(host, n, 32, 5LL, sum_range{in.data()}, add{});
    EXPECT_EQ(d_out.read(exec)[0], expected) << n;
  }
}

TEST_F(cuda_device, exclusive_scan_matches_cpu_also_in_place) {
  sqs::cpu host{.threads = 2};
  for (const idx n : {0, 1, 1000, 65537, 1000003}) {
    const auto in = numbers(n);
    auto expected = in;
    const int total = sqs::exclusive_scan(host, in.data(), expected.data(), n);
    const device_array<int> d_in(in), d_out(in.size()), d_total(1);
    sqs::exclusive_scan(exec, static_cast<const int*>(d_in.data()), d_out.data(), n, d_total.data());
    EXPECT_EQ(d_out.read(exec), expected);
    EXPECT_EQ(d_total.read(exec)[0], total);
    sqs::exclusive_scan(exec, static_cast<const int*>(d_in.data()), d_in.data(), n, d_total.data());
    EXPECT_EQ(d_in.read(exec), expected);
    EXPECT_EQ(d_total.read(exec)[0], total);
  }
}

template <class Key> void sort_like_cpu(sqs::cuda& exec, idx n, int bits) {
  sqs::cpu host{.threads = 2};
  std::vector<Key> keys(static_cast<std::size_t>(n)), scratch_keys(keys.size());
  std::vector<std::uint32_t> values(keys.size()), scratch_values(keys.size());
  std::uint64_t state = 88172645463325252u;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    keys[i] = static_cast<Key>(state % 5000 + (state >> 60 << (bits - 4))); // many equal keys: stability shows
    values[i] = static_cast<std::uint32_t>(i);
  }
  const device_array<Key> d_keys(keys), d_scratch_keys(keys.size());
  const device_array<std::uint32_t> d_values(values), d_scratch_values(values.size());
  sqs::radix_sort_pairs(exec, d_keys.data(), d_values.data(), d_scratch_keys.data(), d_scratch_values.data(), n, bits);
  sqs::radix_sort_pairs(host, keys.data(), values.data(), scratch_keys.data(), scratch_values.data(), n, bits);
  EXPECT_EQ(d_keys.read(exec), keys) << n << " pairs, " << bits << " bits";
  EXPECT_EQ(d_values.read(exec), values) << n << " pairs, " << bits << " bits";
}

TEST_F(cuda_device, radix_sort_matches_cpu) {
  for (const idx n : {0, 1, 1000, 65537, 1000003}) {
    sort_like_cpu<std::uint32_t>(exec, n, 17);
    sort_like_cpu<std::uint32_t>(exec, n, 32);
    sort_like_cpu<std::uint64_t>(exec, n, 45);
  }
}

TEST_F(cuda_device, second_run_takes_no_memory) {
  const auto in = numbers(100000);
  const device_array<int> d_in(in), d_out(in.size()), d_total(1);
  sqs::exclusive_scan(exec, static_cast<const int*>(d_in.data()), d_out.data(), 100000, d_total.data());
  const auto takes = exec.memory().statistics().takes;
  EXPECT_GT(takes, 0);
  sqs::exclusive_scan(exec, static_cast<const int*>(d_in.data()), d_out.data(), 100000, d_total.data());
  EXPECT_EQ(exec.memory().statistics().takes, takes);
}

TEST(cuda, failing_call_names_the_function) { // needs no device
  EXPECT_THAT([] { sqs::check_cuda(cudaErrorInvalidValue, "sqs::launch"); },
              ThrowsMessage<sqs::error>(HasSubstr("sqs::launch: CUDA reports cudaErrorInvalidValue (")));
  sqs::cuda exec{};
  EXPECT_THAT([&] { sqs::launch(exec, 1, 33, empty_kernel{}); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("a block of 33 threads")));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The pretended device: its memory, its algorithms, the calls of the team it adds to those of team_test.cpp.

#include "../support/check.hpp"

#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/tensor/copy.hpp>

#include <cmath>
#include <numeric>

namespace emulated_gpu_test {

using namespace sqs;

TEST(emulated_gpu, memory_is_another_space_and_starts_dirty) {
  emulator::gpu e;
  static_assert(std::is_same_v<decltype(empty<float, 1>(e, {1})), tensor<float, 1, device>>);
  EXPECT_TRUE(std::isnan(to_host(e, empty<float, 1>(e, {3}))(1)));
}

TEST(emulated_gpu, tensors_go_there_and_back) {
  emulator::gpu e;
  auto x = make_tensor<int, 2>({2, 3});
  std::iota(x.begin(), x.end(), 5);
  const auto there = to_device(e, x);
  x(0, 0) = 99;
  const auto back = to_host(e, there);
  EXPECT_EQ(back.shape(), (extents<2>{2, 3}));
  EXPECT_EQ(back(0, 0), 5);
  EXPECT_EQ(back(1, 2), 10);
  EXPECT_FALSE(to_device(e, tensor<int, 1>{}));
  EXPECT_FALSE((to_host(e, tensor<int, 1, device>{})));
  EXPECT_EQ(to_host(e, to_device(e, make_tensor<int, 1>({0}))).size(), 0);
  EXPECT_EQ(to_host(e, full<int, 1>(e, {4}, 7))(3), 7);
}

TEST(emulated_gpu, scans_and_sorts) {
  emulator::gpu e;
  idx in[] = {3, 0, 2, 5}, total = 0;
  exclusive_scan(e, in, in, 4, &total);
  EXPECT_THAT(in, ::testing::ElementsAre(0, 3, 3, 5));
  EXPECT_EQ(total, 10);
  std::uint32_t keys[] = {0x105, 3, 0x205, 1}, other_keys[4];
  int values[] = {0, 1, 2, 3}, other_values[4];
  radix_sort_pairs(e, keys, values, other_keys, other_values, 4, 8); // the ninth bit does not count
  EXPECT_THAT(values, ::testing::ElementsAre(3, 1, 0, 2));
}

/// What every lane sees of its warp and block.
struct votes_kernel {
  int* out;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const unsigned odd = t.ballot(t.thread() % 2 == 1), first = t.ballot(t.thread() == 40);
    const bool any = t.sync_any(t.thread() == 63), none = t.sync_any(t.thread() == 64);
    const int partner = t.shfl_xor(t.thread(), 5);
    out[t.thread()] = (odd == 0xaaaaaaaau ? 1 : 0) + (first == (t.thread() < 32 ? 0u : 1u << 8) ? 2 : 0) +
                      (any ? 4 : 0) + (none ? 0 : 8) + (partner == (t.thread() ^ 5) ? 16 : 0);
  }
};
TEST(emulated_gpu, votes_and_exchanges) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u}) {
    emulator::gpu e{.seed = seed};
    auto out = empty<int, 1>(e, {64});
    launch(e, 1, 64, votes_kernel{out.data()});
    for (const int v : to_host(e, out)) { EXPECT_EQ(v, 31); }
  }
}

template <int N> struct warp_sums_kernel {
  double* out; ///< [2, N]
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    double v[N];
    for (int i = 0; i < N; ++i) { v[i] = (i + 1) * (t.thread() + 1); }
    int place;
    const double sum = warp_sums(t, v, place);
    if (place >= 0) { out[t.thread() / warp_size * N + place] = sum; }
  }
};
template <int N> void expect_sums() {
  emulator::gpu e{.seed = 8};
  auto out = empty<double, 1>(e, {2 * N});
  launch(e, 1, 64, warp_sums_kernel<N>{out.data()});
  const auto sums = to_host(e, out);
  for (int i = 0; i < N; ++i) {
    EXPECT_EQ(sums(i), (i + 1) * 528.0) << N; // 1 + ... + 32
    EXPECT_EQ(sums(N + i), (i + 1) * (528.0 + 32 * 32)) << N;
  }
}
TEST(emulated_gpu, sums_of_many_numbers_over_a_warp) {
  expect_sums<1>(), expect_sums<2>(), expect_sums<8>(), expect_sums<16>(), expect_sums<32>();
}

TEST(emulated_gpu, refuses_blocks_no_device_takes) {
  emulator::gpu e;
  EXPECT_THAT(test::message_of([&] { launch(e, idx{1} << 31, 32, votes_kernel{nullptr}); }),
              ::testing::HasSubstr("sqs::launch: 2147483648 blocks; give 0 to 2^31 - 1"));
  EXPECT_THAT(test::message_of([&] { launch(e, 1, 33, votes_kernel{nullptr}); }),
              ::testing::HasSubstr("a block of 33 threads; give a multiple of 32 up to 1024"));
}

} // namespace emulated_gpu_test

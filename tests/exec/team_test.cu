// SPDX-License-Identifier: Apache-2.0
// The kernels of team_kernels.hpp on a device, against the same loops as under the emulator.
#include "exec/team_kernels.hpp"
#include "support/device.cuh"

#include <gtest/gtest.h>

namespace {

using namespace sqs::test;
using team_device = device_test;

std::vector<float> numbers(int n) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) { v[static_cast<std::size_t>(i)] = static_cast<float>(i * 37 % 101 - 50); }
  return v;
}

TEST_F(team_device, block_scan_matches_a_loop) {
  for (const int threads : {32, 96, 256, 1024}) {
    const int n = 5 * threads + 7;
    std::vector<int> in(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) { in[static_cast<std::size_t>(i)] = i * i % 17 - 5; }
    const device_array<int> d_in(in), d_out(in.size());
    sqs::launch(exec, (n + threads - 1) / threads, threads, block_scan_kernel{d_in.data(), d_out.data(), n});
    const auto out = d_out.read(exec);
    for (int i = 0, sum = 0; i < n; ++i) {
      sum = i % threads == 0 ? in[static_cast<std::size_t>(i)] : sum + in[static_cast<std::size_t>(i)];
      ASSERT_EQ(out[static_cast<std::size_t>(i)], sum) << i;
    }
  }
}

TEST_F(team_device, shuffles_match_the_emulator) {
  constexpr int n = 64;
  const device_array<int> up(n), down(n), from_five(n), scan(n);
  const device_array<double> sum(n);
  sqs::launch(exec, 1, n, shuffle_kernel{up.data(), down.data(), from_five.data(), scan.data(), sum.data()});
  const auto h_up = up.read(exec), h_down = down.read(exec), h_five = from_five.read(exec), h_scan = scan.read(exec);
  const auto h_sum = sum.read(exec);
  for (int i = 0; i < n; ++i) {
    const int lane = i % 32, warp = i - lane;
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(h_up[at], lane >= 3 ? i - 3 : i);
    EXPECT_EQ(h_down[at], lane < 2 ? i + 30 : i);
    EXPECT_EQ(h_five[at], warp + 5);
    EXPECT_EQ(h_scan[at], (lane + 1) * warp + lane * (lane + 1) / 2);
    EXPECT_EQ(h_sum[at], 32 * warp + 31 * 16);
  }
}

TEST_F(team_device, tiled_transpose) {
  const int rows = 133, columns = 250;
  const auto in = numbers(rows * columns);
  const device_array<float> d_in(in), d_out(in.size());
  const int blocks = (rows + 15) / 16 * ((columns + 15) / 16);
  sqs::launch(exec, blocks, 256, transpose_kernel<true>{d_in.data(), d_out.data(), rows, columns});
  const auto out = d_out.read(exec);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      ASSERT_EQ(out[static_cast<std::size_t>(c * rows + r)], in[static_cast<std::size_t>(r * columns + c)]);
    }
  }
}

TEST_F(team_device, tiled_matrix_product) { // integers below 2^24: exact in any order
  const int m = 70, n = 45, k = 83;
  const auto a = numbers(m * k), b = numbers(k * n);
  const device_array<float> d_a(a), d_b(b), d_c(static_cast<std::size_t>(m * n));
  const int blocks = (m + 15) / 16 * ((n + 15) / 16);
  sqs::launch(exec, blocks, 256, matrix_product_kernel<true>{d_a.data(), d_b.data(), d_c.data(), m, n, k});
  const auto c = d_c.read(exec);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int l = 0; l < k; ++l) {
        sum += a[static_cast<std::size_t>(i * k + l)] * b[static_cast<std::size_t>(l * n + j)];
      }
      ASSERT_EQ(c[static_cast<std::size_t>(i * n + j)], sum) << i << " " << j;
    }
  }
}

} // namespace

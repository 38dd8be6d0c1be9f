// SPDX-License-Identifier: Apache-2.0
// Bricks on emulated tensor cores: rows and weights that come beside the threads; waits and barriers that are left out show.
#include "cuda_bricks_cases.hpp"
#include "cuda_mma_faults.hpp"

namespace cuda_mma_bricks_test {

using namespace sqs;
using namespace sqs::test;
using namespace sqs::sparse::detail;

/// A layer on bricks, by `run(kernel)`, which launches it.
template <class X, class Words, class Run>
tensor<X, 2> in_bricks(emulator::gpu& e, const sparse::device_plan& plan, idx depth, idx columns, Run&& run) {
  const idx n = plan.forward.outputs;
  const auto wide = random_float<2>({n, depth}, 1);
  auto x = make_tensor<X, 2>(wide.shape());
  std::transform(wide.begin(), wide.end(), x.begin(), [](float v) { return X(v); });
  const auto dx = to_device(e, x);
  const auto w = to_device(e, random_float<3>({plan.forward.taps, depth, columns}, 2));
  const auto rows = rows_of_words<Words>::of(e, dx, 1);
  const auto panels = weights_of_words<Words>::of(e, w, 1, depth, columns, false, 64);
  auto y = zeros<X, 2>(e, {n, columns});
  run(mma_brick_kernel<X, Words>{packed(plan.bricks, false),
                                 plan.bricks.rows.extent(0),
                                 rows.data,
                                 panels.panels.data(),
                                 nullptr,
                                 y.data(),
                                 1,
                                 columns,
                                 panels.room,
                                 rows.words,
                                 {}});
  return to_host(e, y);
}
const auto launch_on = [](emulator::gpu& e) {
  return [&e](const auto& k) { launch(e, k.blocks(), k.most_threads, k); };
};

TEST(cuda_mma_bricks, of_a_single_tap_keep_their_rows_apart) {
  // The halo of the next channels is filled two steps ahead: with one tap these are two chunks of channels.
  emulator::gpu e{.seed = 1};
  cpu host{.threads = 1};
  const auto plan = plan_with_bricks(e, {{5, 7, 4}, 120, 1, sparse::taps<1, 1, 1>{}}, 2);
  const auto y = in_bricks<float, tf32_words>(e, plan.device, 150, 9, launch_on(e)); // ten chunks
  const auto x = rounded<tf32_words>(random_float<2>({120, 150}, 1));
  const auto w = rounded<tf32_words>(random_float<3>({1, 150, 9}, 2));
  const auto right = sparse::convolution_op{plan.host}.forward(host, x, w, make_tensor<float, 1>({0})).value;
  EXPECT_LE(relative_gap(y, right), 1e-5);
}

TEST(cuda_mma_bricks, repeat_bit_for_bit) {
  const auto run = [](std::uint64_t seed) {
    emulator::gpu e{.seed = seed};
    const auto plan = plan_with_bricks(e, {{5, 7, 4}, 120}, 2).device;
    return in_bricks<bfloat16, bfloat16_words>(e, plan, 72, 60, launch_on(e));
  };
  EXPECT_TRUE(same_bits(run(7), run(1)));
}

TEST(cuda_mma_bricks, planted_faults_are_found) {
  emulator::gpu e{.seed = 1};
  const auto plan = plan_with_bricks(e, {{5, 7, 4}, 120}, 2).device;
  const auto right = in_bricks<bfloat16, bfloat16_words>(e, plan, 72, 60, launch_on(e));
  const auto found = [&](fault what, int nth = 0) {
    const auto run = [&](const auto& k) { launch_hastily(e, k, k.blocks(), k.most_threads, what, nth); };
    try {
      return !same_bits(in_bricks<bfloat16, bfloat16_words>(e, plan, 72, 60, run), right);
    } catch (const precondition_error&) { return true; }
  };
  EXPECT_FALSE(found(fault::none));
  EXPECT_TRUE(found(fault::late_copies));
  EXPECT_TRUE(found(fault::no_commit));
  EXPECT_TRUE(found(fault::rows_that_are_not_there));
  // The first barrier belongs to a table that is read behind the second.
  for (const int nth : {1, 2, 20, 60}) { EXPECT_TRUE(found(fault::no_barrier, nth)) << nth; }
}

} // namespace cuda_mma_bricks_test

// SPDX-License-Identifier: Apache-2.0
// The product on emulated tensor cores: every tile has the bits of the plain sums; waits and barriers that are left out
// show.
#include "cuda_mma_faults.hpp"
#include "cuda_mma_product_cases.hpp"

namespace cuda_mma_product_test {

using namespace sqs;
using namespace sqs::test;
using namespace sqs::sparse::detail;

template <class Words, mma_shape Shape, class X>
void expect_plain_bits(emulator::gpu& e, const sparse::neighbour_table& n, const product_case<X>& c) {
  EXPECT_TRUE(same_bits((tiled_product<Words, Shape>(e, n, c)), plain_product<Words>(e, n, c)))
      << c.groups << " groups of " << c.depth << " to " << c.columns << ", tile " << Shape.rows << " x "
      << Shape.columns << ", " << sizeof(X) << " bytes";
}

TEST(cuda_mma_product, every_tile_has_the_bits_of_the_plain_sums) {
  emulator::gpu e{.seed = 1};
  const auto n = cube_of(e, 130, sparse::taps<3, 3, 3>{}); // three tiles, the last is not full
  expect_plain_bits<bfloat16_words, small_product>(e, n, product_case<bfloat16>{n, 1, 40, 70}); // rows as they lie
  expect_plain_bits<bfloat16_words, tall_product>(e, n, product_case<bfloat16>{n, 1, 40, 30});
  expect_plain_bits<bfloat16_words, wide_product>(e, n, product_case<bfloat16>{n, 1, 24, 70});
  expect_plain_bits<float16_words, tall_product>(e, n, product_case<float16>{n, 2, 20, 7}); // rows are copied
  expect_plain_bits<tf32_words, wide_product>(e, n, product_case<float>{n, 1, 20, 130});
  expect_plain_bits<tf32_words, small_product>(e, n, product_case<float>{n, 1, 4, 3});
  expect_plain_bits<bfloat16_words, wide_product>(e, n, product_case<float>{n, 1, 1, 1});
}

TEST(cuda_mma_product, of_small_integers_is_exact) {
  emulator::gpu e{.seed = 5};
  expect_exact_tiles<float16_words>(e, 70);
}

TEST(cuda_mma_product, goes_back_with_the_same_bits) {
  emulator::gpu e{.seed = 2};
  const auto n = cube_of(e, 70, sparse::taps<3, 3, 3>{});
  expect_plain_bits<float16_words, tall_product>(e, n, product_case<float16>{n, 1, 34, 33, true});
  expect_plain_bits<tf32_words, small_product>(e, n, product_case<float>{n, 3, 5, 6, true});
}

TEST(cuda_mma_product, kernels_may_have_more_taps_than_a_warp_has_lanes) {
  emulator::gpu e{.seed = 3};
  const auto n = cube_of(e, 40, sparse::taps<5, 5, 5>{});
  expect_plain_bits<bfloat16_words, small_product>(e, n, product_case<bfloat16>{n, 1, 8, 5});
  const auto sparse_taps = cube_of(e, 3, sparse::taps<5, 5, 5>{}); // whole looks without a tap
  expect_plain_bits<bfloat16_words, tall_product>(e, sparse_taps, product_case<bfloat16>{sparse_taps, 1, 8, 5});
}

TEST(cuda_mma_product, sorted_outputs_are_written_where_they_belong) {
  emulator::gpu e{.seed = 4};
  const auto sorted = sparse::detail::sorted_by_taps(e, cube_of(e, 90, sparse::taps<3, 3, 3>{}));
  expect_plain_bits<float16_words, tall_product>(e, sorted, product_case<float16>{sorted, 1, 9, 12});
}

template <class Words, mma_shape Shape, class X> bool differs(emulator::gpu& e, const sparse::neighbour_table& n,
                                                              const product_case<X>& c, const tensor<X, 2>& right,
                                                              fault what, int nth = 0) {
  try {
    const auto y = tiled_product<Words, Shape>(
        e, n, c, [&](const auto& k, int threads) { launch_hastily(e, k, k.blocks(), threads, what, nth); });
    return !same_bits(y, right);
  } catch (const precondition_error&) { return true; } // threads that met at different barriers
}

TEST(cuda_mma_product, planted_faults_are_found) {
  emulator::gpu e{.seed = 1};
  const auto n = cube_of(e, 120, sparse::taps<3, 3, 3>{});
  const product_case<bfloat16> c{n, 1, 72, 20};
  const auto right = plain_product<bfloat16_words>(e, n, c);
  const auto found = [&](fault what, int nth = 0) {
    return differs<bfloat16_words, small_product>(e, n, c, right, what, nth);
  };
  EXPECT_FALSE(found(fault::none));
  EXPECT_TRUE(found(fault::late_copies));
  EXPECT_TRUE(found(fault::no_commit));
  EXPECT_TRUE(found(fault::rows_that_are_not_there));
  for (const int nth : {0, 1, 2, 7, 20}) { EXPECT_TRUE(found(fault::no_barrier, nth)) << nth; }
}

TEST(cuda_mma_product, rings_of_other_lengths_do_the_same) {
  emulator::gpu e{.seed = 1};
  const auto n = cube_of(e, 120, sparse::taps<3, 3, 3>{});
  const product_case<bfloat16> c{n, 1, 72, 20};
  const auto right = plain_product<bfloat16_words>(e, n, c);
  EXPECT_TRUE(same_bits((tiled_product<bfloat16_words, mma_shape{64, 64, 2}>(e, n, c)), right));
  EXPECT_TRUE(same_bits((tiled_product<bfloat16_words, mma_shape{64, 64, 3}>(e, n, c)), right));
}

TEST(cuda_mma_product, tiles_grow_with_the_product) {
  const auto is = [](const mma_shape& a, const mma_shape& b) { return a.rows == b.rows && a.columns == b.columns; };
  EXPECT_TRUE(is(product_shape(100, 1, 64), small_product));
  EXPECT_TRUE(is(product_shape(263 * 128, 1, 64), small_product));
  EXPECT_TRUE(is(product_shape(264 * 128, 1, 64), tall_product));
  EXPECT_TRUE(is(product_shape(263 * 128 + 1, 1, 1), tall_product));
  EXPECT_TRUE(is(product_shape(264 * 128, 1, 128), wide_product));
  EXPECT_TRUE(is(product_shape(132 * 128, 1, 128), tall_product)); // as many blocks, half as wide
  EXPECT_TRUE(is(product_shape(132 * 128, 1, 256), wide_product));
  EXPECT_TRUE(is(product_shape(264 * 128, 1, 192), tall_product)); // a wide tile would be half empty
  EXPECT_TRUE(is(product_shape(66 * 128, 4, 64), tall_product));
  EXPECT_TRUE(is(product_shape(0, 1, 64), small_product));
}

} // namespace cuda_mma_product_test

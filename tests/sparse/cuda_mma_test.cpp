// SPDX-License-Identifier: Apache-2.0
// Products on tensor cores, emulated: the layout of their operands, their rounding, convolutions with them.
#include "cuda_mma_cases.hpp"

#include "test_gpu.hpp"

namespace cuda_mma_test {

using namespace sqs;
using namespace sqs::test;
using sparse::detail::bfloat16_words;
using sparse::detail::float16_words;
using sparse::detail::tf32_words;

TEST(cuda_mma, one_step_is_a_matrix_product) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    test_gpu e{.seed = seed};
    expect_exact_step<bfloat16_words>(e);
    expect_exact_step<tf32_words>(e);
    expect_exact_step<float16_words>(e);
  }
}

TEST(cuda_mma, numbers_are_rounded_to_nearest) {
  const auto tf32 = [](float v) { return tf32_words::value(tf32_words::of(v), 0); };
  EXPECT_EQ(tf32(1.0f), 1.0f);
  EXPECT_EQ(tf32(1.0f + 0x1p-10f), 1.0f + 0x1p-10f);
  EXPECT_EQ(tf32(1.0f + 0x1p-11f), 1.0f + 0x1p-10f); // half way: away from zero
  EXPECT_EQ(tf32(1.0f + 0x1p-12f), 1.0f);
  EXPECT_EQ(tf32(-1.0f - 0x1p-11f), -1.0f - 0x1p-10f);
  EXPECT_EQ(tf32(2.0f - 0x1p-23f), 2.0f);
  EXPECT_EQ(tf32(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(tf32(std::numeric_limits<float>::quiet_NaN())));
  const auto word = bfloat16_words::of(1.5f, -0x1p-120f);
  EXPECT_EQ(bfloat16_words::value(word, 0), 1.5f);
  EXPECT_EQ(bfloat16_words::value(word, 1), -0x1p-120f);
  EXPECT_EQ(bfloat16_words::value(bfloat16_words::of(0, 1.0f + 0x1p-8f), 1), 1.0f); // half way: to even
  const auto half = float16_words::of(1.5f, -0x1p-24f);
  EXPECT_EQ(half, 0x80013e00u);
  EXPECT_EQ(float16_words::value(half, 0), 1.5f);
  EXPECT_EQ(float16_words::value(half, 1), -0x1p-24f);
  EXPECT_EQ(float16_words::value(float16_words::of(0, 1.0f + 0x1p-11f), 1), 1.0f); // half way: to even
  EXPECT_EQ(float16_words::value(float16_words::of(70000, 0), 0), std::numeric_limits<float>::infinity());
}

TEST(cuda_mma, convolutions_lose_nothing_but_the_rounding) {
  test_gpu e{.seed = 1};
  expect_tensor_cores_of_many_shapes(e, 66, 1);
  expect_same_on_tensor_cores<bfloat16_words>(e, some_plans(e, 20, 2)[3], {5, 9}, 2);
  expect_same_on_tensor_cores<tf32_words>(e, some_plans(e, 20, 2)[4], {5, 9}, 3);
}

// Nothing is multiplied: the result is the bias, the gradient zero.
TEST(cuda_mma, sums_over_no_channels) {
  test_gpu e;
  const auto plan = some_plans(e, 30, 3)[0];
  const idx rows = plan.device.forward.inputs;
  for (const auto precision : {sparse::product_precision::full, sparse::product_precision::tf32,
                               sparse::product_precision::bfloat16, sparse::product_precision::float16}) {
    const sparse::device_convolution_op op{plan.device, 1, precision};
    const auto x = empty<float, 2>(e, {rows, 0});
    const auto r = op.forward(e, x, empty<float, 3>(e, {27, 0, 4}), full<float, 1>(e, {4}, 0.5f));
    const auto y = to_host(e, r.value);
    for (const float v : y) { EXPECT_EQ(v, 0.5f); }
    const auto [dx, dw, db] = op.backward(e, r.saved, r.value, {true, true, true});
    EXPECT_EQ(dx.size() + dw.size(), 0);
    const auto none =
        op.forward(e, full<float, 2>(e, {rows, 4}, 1.0f), empty<float, 3>(e, {27, 4, 0}), empty<float, 1>(e, {0}));
    const auto back = op.backward(e, none.saved, none.value, {true, true, false});
    const auto d = to_host(e, std::get<0>(back));
    for (const float v : d) { EXPECT_EQ(v, 0.0f); }
  }
  const auto unknown = static_cast<sparse::product_precision>(9);
  EXPECT_THAT(message_of([&] {
                sparse::device_convolution_op{plan.device, 1, unknown}.forward(e, full<float, 2>(e, {rows, 4}, 1.0f),
                                                                               full<float, 3>(e, {27, 4, 4}, 1.0f),
                                                                               empty<float, 1>(e, {0}));
              }),
              ::testing::HasSubstr("precision 9 is none of product_precision"));
}

TEST(cuda_mma, the_rounding_is_that_of_the_format) {
  // Numbers that are not rounded yet: the error is that of 8 or 11 bits, and not smaller.
  test_gpu e;
  cpu host{.threads = 1};
  const auto plan = some_plans(e, 64, 3)[0];
  const auto x = random_float<2>({64, 40}, 1), dy = random_float<2>({64, 24}, 2);
  const auto w = random_float<3>({27, 40, 24}, 3);
  const auto b = random_float<1>({24}, 4);
  const auto y = sparse::convolution_op{plan.host}.forward(host, x, w, b).value;
  const auto gap = [&](sparse::product_precision p) {
    return relative_gap(std::get<0>(on_device(e, sparse::device_convolution_op{plan.device, 1, p}, x, w, b, dy)), y);
  };
  const double bf16 = gap(sparse::product_precision::bfloat16), tf32 = gap(sparse::product_precision::tf32);
  EXPECT_LT(bf16, 1.0 / 256);
  EXPECT_GT(bf16, 1.0 / 4096);
  const double f16 = gap(sparse::product_precision::float16);
  EXPECT_LT(tf32, 1.0 / 2048);
  EXPECT_GT(tf32, 1.0 / 65536);
  EXPECT_LT(f16, 1.0 / 2048);
  EXPECT_GT(f16, 1.0 / 65536);
}

} // namespace cuda_mma_test

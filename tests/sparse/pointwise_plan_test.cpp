// SPDX-License-Identifier: Apache-2.0
// Convolutions of one tap without a search: the plan against the searched one, the operator against products of matrices.
#include "convolution_oracle.hpp"

#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/pointwise_plan.hpp>

namespace pointwise_plan_test {

using namespace sqs;
using namespace sqs::test;
using sparse::make_pointwise_plan;

std::vector<pair> identity(idx n) {
  std::vector<pair> pairs;
  for (std::int32_t i = 0; i < n; ++i) { pairs.push_back({0, i, i}); }
  return pairs;
}

TEST(pointwise_plan, lists_every_row_once) {
  cpu e{.threads = 2};
  for (const idx n : {0, 1, 31, 32, 33, 5000, 40000}) {
    const auto plan = make_pointwise_plan(e, n);
    const auto& l = plan.forward;
    const auto expected = lists_of(identity(n), n, n, 1, l.tile);
    ASSERT_EQ(l.inputs, n);
    ASSERT_EQ(l.outputs, n);
    ASSERT_EQ(l.taps, 1);
    EXPECT_TRUE(same_bits(l.begin, expected.begin)) << n;
    EXPECT_TRUE(same_bits(l.input, expected.input)) << n;
    EXPECT_TRUE(same_bits(l.output, expected.output)) << n;
    EXPECT_EQ(plan.backward.input.data(), l.input.data()) << "both ways share one list";
  }
}

TEST(pointwise_plan, an_operator_is_a_product_of_matrices) {
  cpu e{.threads = 2};
  for (const idx groups : {1, 3}) {
    constexpr idx n = 150, cin = 21, cout = 9;
    expect_plain(e, {make_pointwise_plan(e, n), groups}, {identity(n), n, n, 1, cin, cout, groups}, 1e-12);
  }
}

TEST(pointwise_plan, gives_the_bits_of_the_plan_that_was_searched) {
  cpu e{.threads = 2};
  constexpr idx n = 700;
  const auto sites = random_sites(n, 12, 5);
  auto at = make_tensor<std::int32_t, 2>({n, 4});
  for (idx i = 0; i < at.size(); ++i) {
    at.data()[i] = sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  const auto searched =
      sparse::make_submanifold_plan(e, sparse::make_sites<3>(e, at, {12, 12, 12}, 2), sparse::taps<1, 1, 1>{});
  const auto x = random<2>({n, 20}, 1);
  const auto w = random<3>({1, 20, 40}, 2);
  const auto b = random<1>({40}, 3);
  const auto shift = random<1>({40}, 4), scale = random<1>({40}, 5);
  const sparse::epilogue<double> then{scale, shift, {}, {sparse::activation_kind::relu, 0}};
  const auto finished = [&](const sparse::convolution_plan& plan, int threads) {
    cpu some{.threads = threads};
    return persistent_copy<double>(convolution_op{plan}.finished(some, x, w, b, then));
  };
  const auto y = finished(make_pointwise_plan(e, n), 1);
  EXPECT_TRUE(same_bits(y, finished(searched, 1)));
  EXPECT_TRUE(same_bits(y, finished(make_pointwise_plan(e, n), 2)));
  EXPECT_TRUE(same_bits(y, finished(make_pointwise_plan(e, n), 3)));
}

TEST(pointwise_plan, refuses_a_number_of_rows_that_cannot_be) {
  cpu e;
  EXPECT_THAT(message_of([&] { make_pointwise_plan(e, -1); }),
              testing::HasSubstr("sqs::sparse::make_pointwise_plan: -1 rows; give 0 to 2147483647"));
  EXPECT_THAT(message_of([&] { make_pointwise_plan(e, idx{1} << 31); }), testing::HasSubstr("2147483648 rows"));
}

} // namespace pointwise_plan_test

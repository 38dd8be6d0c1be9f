// SPDX-License-Identifier: Apache-2.0
// Features of 16 bits: values and gradients against double within the rounding of the type, sums in float, memory, a
// layer on a graph.
#include "convolution_oracle.hpp"
#include "weighted_sum.hpp"

namespace bfloat16_test {

using namespace sqs;
using namespace sqs::test;

struct narrow : testing::Test {
  static constexpr idx n = 300, cin = 24, cout = 20;
  cpu e{.threads = 2};
  std::vector<site> sites = random_sites(n, 8, 3);
  std::vector<pair> pairs = pairs_of(sites, sites, cube(3));
  convolution_op op{mirrored_plan_of(pairs, n, 27, 64)};
  tensor<bfloat16, 2> x = persistent_copy<bfloat16>(persistent_copy<float>(random<2>({n, cin}, 1)));
  tensor<bfloat16, 2> dy = persistent_copy<bfloat16>(persistent_copy<float>(random<2>({n, cout}, 2)));
  tensor<float, 3> w = persistent_copy<float>(random<3>({27, cin, cout}, 3));
  tensor<float, 1> bias = persistent_copy<float>(random<1>({cout}, 4));
  plain oracle{pairs, n, n, 27, cin, cout, 1};

  static tensor<float, 2> wide(const tensor<bfloat16, 2>& t) { return persistent_copy<float>(t); }
  static double most(const std::vector<double>& v) {
    double m = 0;
    for (const double a : v) { m = std::max(m, std::abs(a)); }
    return m;
  }
};

TEST_F(narrow, values_and_gradients_are_off_by_one_rounding) {
  const auto r = op.forward(e, x, w, bias);
  const auto y = oracle.forward(wide(x), w, bias);
  for (idx i = 0; i < r.value.size(); ++i) {
    const double exact = y[static_cast<std::size_t>(i)];
    ASSERT_LE(std::abs(static_cast<float>(r.value.data()[i]) - exact), std::abs(exact) / 256 + 1e-4 * most(y)) << i;
  }
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, all_gradients);
  const auto exact_dx = oracle.dx(w, wide(dy)), exact_dw = oracle.dw(wide(x), wide(dy));
  for (idx i = 0; i < dx.size(); ++i) {
    const double exact = exact_dx[static_cast<std::size_t>(i)];
    ASSERT_LE(std::abs(static_cast<float>(dx.data()[i]) - exact), std::abs(exact) / 256 + 1e-4 * most(exact_dx));
  }
  EXPECT_LE(worst(dw, exact_dw), 1e-5 * most(exact_dw)) << "weights keep all the digits of float";
  EXPECT_EQ(db.size(), cout);
}

TEST_F(narrow, sums_in_float_not_in_sixteen_bits) {
  // 27 C products of one: 648 needs ten bits, a running sum in bfloat16 would stop at 256.
  const auto full = [&] {
    std::vector<site> box;
    for (int i = 0; i < 27; ++i) { box.push_back({0, i / 9, i / 3 % 3, i % 3}); }
    return mirrored_plan_of(pairs_of(box, box, cube(3)), 27, 27, 8);
  }();
  const auto ones = make_tensor<bfloat16, 2>({27, cin}, bfloat16(1.0f));
  const auto y = convolution_op{full}.forward(e, ones, make_tensor<float, 3>({27, cin, 1}, 1.0f), no_bias_float).value;
  EXPECT_EQ(static_cast<float>(y(13, 0)), 648.0f);
}

TEST_F(narrow, keeps_half_the_bytes_and_only_what_is_wanted) {
  const auto r = op.forward(e, x, w, bias);
  static_assert(sizeof(*r.saved.x.data()) == 2);
  EXPECT_EQ(r.saved.x.data(), x.data()) << "the features themselves, no wider copy";
  const auto [dx, dw, db] = op.backward(e, r.saved, dy, {false, true, false});
  EXPECT_FALSE(static_cast<bool>(dx));
  EXPECT_TRUE(static_cast<bool>(dw));
  EXPECT_FALSE(static_cast<bool>(db));
}

TEST_F(narrow, a_layer_learns_on_a_graph) {
  initializer init(5);
  const auto layer = sparse::convolution<float>::make(cin, cout, 27, true, init);
  training_graph<cpu> g{e};
  const auto y = nn::cast<float>(g, layer(g, nn::cast<bfloat16>(g, g.input(wide(x))), op.plan));
  EXPECT_EQ(y.value().shape(), (extents<2>{n, cout}));
  g.backward(sqs::apply(g, weighted_sum_op{}, y));
  ASSERT_TRUE(static_cast<bool>(layer.weight.gradient));
  const auto direct = op.forward(e, x, layer.weight.value, layer.bias.value).value;
  for (idx i = 0; i < direct.size(); ++i) { ASSERT_EQ(y.value().data()[i], static_cast<float>(direct.data()[i])); }
  auto weights = make_tensor<bfloat16, 2>({n, cout}); // what the loss sends back
  for (idx i = 0; i < weights.size(); ++i) {
    weights.data()[i] = bfloat16(static_cast<float>(weighted_sum_op::weight(i)));
  }
  const auto dw = oracle.dw(wide(x), wide(weights));
  EXPECT_LE(worst(layer.weight.gradient, dw), 1e-5 * most(dw));
}

} // namespace bfloat16_test

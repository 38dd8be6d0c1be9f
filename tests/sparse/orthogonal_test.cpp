// SPDX-License-Identifier: Apache-2.0
// Orthogonal blocks: one search serves all planes, what they reach, the sum of branches, gradients, policies.
#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "weighted_sum.hpp"

#include <sqs/sparse/orthogonal.hpp>

#include <set>

namespace orthogonal_test {

using namespace sqs;
using namespace sqs::test;
using sparse::in_parallel;
using sparse::in_sequence;
using sparse::taps;
using testing::HasSubstr;

using sqs::test::same_bits;
sparse::sites<3> random_sites(cpu& e, idx n, idx side) {
  const auto s = random_stream::of(4);
  std::set<std::array<std::int32_t, 3>> cells;
  for (idx i = 0; static_cast<idx>(cells.size()) < n; i += 3) {
    const auto draw = [&](idx k) { return static_cast<std::int32_t>(s.uniform(i + k) * static_cast<double>(side)); };
    cells.insert({draw(0), draw(1), draw(2)});
  }
  auto c = make_tensor<std::int32_t, 2>({n, 4});
  idx row = 0;
  for (const auto& cell : cells) {
    for (int a = 0; a < 3; ++a) { c(row, a + 1) = cell[static_cast<std::size_t>(a)]; }
    ++row;
  }
  return sparse::make_sites<3>(e, c, {side, side, side});
}

TEST(shared_plans, one_search_gives_every_smaller_kernel) {
  cpu e{.threads = 2};
  const auto s = random_sites(e, 120, 7);
  sparse::shared_plans<3> plans(e, s, taps<5, 5, 3>{});
  for (const sparse::tap_set<3>& t : {taps<5, 5, 1>::set, taps<3, 3, 1>::set, taps<3, 1, 3>::set, taps<1, 3, 3>::set,
                                      taps<1, 1, 1>::set, taps<5, 5, 3>::set}) {
    const auto a = plans.of(e, t).forward, b = sparse::make_submanifold_plan(e, s, t).forward;
    EXPECT_TRUE(std::equal(a.input.begin(), a.input.end(), b.input.begin(), b.input.end()));
    EXPECT_TRUE(std::equal(a.output.begin(), a.output.end(), b.output.begin(), b.output.end()));
    EXPECT_TRUE(std::equal(a.begin.begin(), a.begin.end(), b.begin.begin(), b.begin.end()));
    EXPECT_EQ(plans.of(e, t).forward.input.data(), plans.of(e, t).forward.input.data()); // made once
  }
  EXPECT_THAT(message_of([&] { plans.of(e, taps<3, 3, 5>{}); }),
              HasSubstr("3 x 3 x 5 does not lie in the middle of 5 x 5 x 3"));
}

TEST(orthogonal_block, knows_its_kernel) {
  static_assert(sparse::asymmetric_planes::kernel() == taps<3, 3, 3>::set);
  static_assert(sparse::wide_planes::kernel() == taps<5, 5, 1>::set);
  static_assert(in_parallel<in_sequence<taps<5, 1>>, in_sequence<taps<1, 3>, taps<3, 1>>>::kernel() == taps<5, 3>::set);
}

TEST(orthogonal_block, is_its_branches_by_the_ops) {
  cpu e{.threads = 2};
  const auto s = random_sites(e, 90, 6);
  sparse::shared_plans<3> plans(e, s, sparse::orthogonal_block<double>::kernel);
  initializer init(2);
  const auto block = sparse::orthogonal_block<double>::make(4, 6, init);
  const auto x = random<2>({90, 4}, 1);
  inference_graph<cpu> g{e};
  const auto y = block(g, g.input(x), plans).value();
  ASSERT_EQ(y.shape(), (extents<2>{90, 6}));
  const auto branch = [&](std::size_t b, const sparse::tap_set<3>& first, const sparse::tap_set<3>& second) {
    auto v = x;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto plan = sparse::make_submanifold_plan(e, s, i == 0 ? first : second);
      v = sparse::convolution_op{plan}
              .forward(e, v, block.branches[b].layers[i].conv.weight.value, make_tensor<double, 1>({0}))
              .value;
      for (idx k = 0; k < v.size(); ++k) {
        v.data()[k] /= std::sqrt(1 + 1e-5); // fresh running statistics: mean 0, variance 1
        if (i == 0 && v.data()[k] < 0) { v.data()[k] *= 0.01; }
      }
    }
    return v;
  };
  const auto a = branch(0, taps<3, 3, 1>{}, taps<3, 1, 3>{}), b = branch(1, taps<1, 3, 3>{}, taps<3, 3, 1>{});
  for (idx i = 0; i < y.size(); ++i) { ASSERT_NEAR(y.data()[i], a.data()[i] + b.data()[i], 1e-13); }
}

struct bare_planes : sparse::orthogonal_policy {
  using shape = sparse::plane_sequence;
  template <class T> using norm = sparse::no_norm<T>;
  static constexpr sparse::activation act{};
};

TEST(orthogonal_block, three_planes_in_sequence_reach_a_cube_of_five) {
  cpu e{.threads = 1};
  auto c = make_tensor<std::int32_t, 2>({125, 4}); // a full cube
  for (int i = 0; i < 125; ++i) { c(i, 1) = i / 25, c(i, 2) = i / 5 % 5, c(i, 3) = i % 5; }
  const auto s = sparse::make_sites<3>(e, c, {5, 5, 5});
  sparse::shared_plans<3> plans(e, s, bare_planes::shape::kernel());
  initializer init(2);
  auto block = sparse::orthogonal_block<double, bare_planes>::make(1, 1, init);
  for_each_parameter(block, [](const std::string&, auto& p) { std::fill(p.value.begin(), p.value.end(), 1); });
  auto x = make_tensor<double, 2>({125, 1});
  x(62, 0) = 1; // the middle
  inference_graph<cpu> g{e};
  const auto y = block(g, g.input(x), plans).value();
  // Ways from the middle: each axis takes part in two of the three planes: 1 2 3 2 1 along each.
  const idx ways[] = {1, 2, 3, 2, 1};
  for (int i = 0; i < 125; ++i) {
    EXPECT_EQ(y(i, 0), static_cast<double>(ways[i / 25] * ways[i / 5 % 5] * ways[i % 5]));
  }
}

struct user_policy : sparse::orthogonal_policy {
  using shape = in_parallel<in_sequence<taps<3, 3, 1>, taps<3, 1, 3>>, in_sequence<taps<5, 5, 1>>>;
  static constexpr sparse::activation act{sparse::activation_kind::relu}, after{sparse::activation_kind::relu};
  static constexpr bool bias = true;
};

TEST(orthogonal_block, a_user_overrides_the_policy) {
  cpu e{.threads = 2};
  initializer init(2);
  auto block = sparse::orthogonal_block<double, user_policy>::make(8, 16, init);
  static_assert(decltype(block)::kernel == taps<5, 5, 3>::set);
  std::string names;
  for_each_parameter(block, [&](const std::string& name, const auto&) { names += name + ' '; });
  EXPECT_EQ(names, "branches.0.layers.0.conv.weight branches.0.layers.0.conv.bias branches.0.layers.0.norm.weight "
                   "branches.0.layers.0.norm.bias branches.0.layers.1.conv.weight branches.0.layers.1.conv.bias "
                   "branches.0.layers.1.norm.weight branches.0.layers.1.norm.bias branches.1.layers.0.conv.weight "
                   "branches.1.layers.0.conv.bias branches.1.layers.0.norm.weight branches.1.layers.0.norm.bias ");
  const auto s = random_sites(e, 200, 8);
  sparse::shared_plans<3> plans(e, s, block.kernel);
  const auto x = random<2>({200, 8}, 1);
  inference_graph<cpu> g{e};
  const auto y = block(g, g.input(x), plans).value();
  idx zeros_found = 0;
  for (idx i = 0; i < y.size(); ++i) {
    EXPECT_GE(y.data()[i], 0);
    zeros_found += y.data()[i] == 0 ? 1 : 0;
  }
  EXPECT_GT(zeros_found, y.size() / 8);
  for (auto& b : block.branches) {
    for (auto& l : b.layers) { l.norm.statistics = sparse::norm_statistics::running; }
  }
  training_graph<cpu> t{e}; // step by step: the same bits
  EXPECT_TRUE(same_bits(block(t, t.input(x), plans).value(), y));
}

TEST(orthogonal_block, gradients) {
  cpu e{.threads = 2};
  const auto s = random_sites(e, 40, 5);
  sparse::shared_plans<3> plans(e, s, sparse::orthogonal_block<double>::kernel);
  initializer init(9);
  auto block = sparse::orthogonal_block<double>::make(2, 3, init);
  for (auto& b : block.branches) {
    for (auto& l : b.layers) { l.norm.statistics = sparse::norm_statistics::batch, l.norm.momentum = 0; }
  }
  const auto x = random<2>({40, 2}, 1);
  gradient_check check;
  check.samples = 12;
  EXPECT_GRADIENT(
      check_model_gradient(e, block, check,
                           [&](auto& g) { return sqs::apply(g, weighted_sum_op{}, block(g, g.input(x), plans)); }),
      1e-6);
}

} // namespace orthogonal_test

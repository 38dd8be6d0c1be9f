// SPDX-License-Identifier: Apache-2.0
// Blocks: the fused pass against the steps bit by bit, gradients, residuals, names, what a policy changes.
#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "pairs_oracle.hpp"
#include "weighted_sum.hpp"

#include <sqs/sparse/block.hpp>

namespace block_test {

using namespace sqs;
using namespace sqs::test;
using sparse::activation;
using sparse::activation_kind;
using sparse::convolution_op;
using testing::HasSubstr;

using sqs::test::same_bits;
std::vector<pair> some_pairs(idx n, idx rows, idx taps, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::vector<pair> pairs;
  for (idx i = 0; i < n; ++i) {
    const auto draw = [&](idx k, idx most) {
      return static_cast<std::int32_t>(s.uniform(3 * i + k) * static_cast<double>(most));
    };
    pairs.push_back({draw(0, taps), draw(1, rows), draw(2, rows)});
  }
  return pairs;
}
sparse::convolution_plan some_plan(idx rows, std::uint64_t seed = 1, idx tile = 16) {
  return plan_of(some_pairs(4 * rows, rows, 5, seed), rows, rows, 5, tile);
}
constexpr activation activations[] = {{}, {activation_kind::relu}, {activation_kind::leaky_relu, 0.25}};

/// The parts of an epilogue as ops, one after another.
template <class T> tensor<T, 2> step_by_step(cpu& e, tensor<T, 2> y, const sparse::epilogue<T>& then) {
  if (then.scale.size() > 0) { y = sparse::row_affine_op{}.forward(e, y, then.scale, then.shift).value; }
  if (then.residual) { y = nn::add_op{}.forward(e, y, then.residual).value; }
  inference_graph<cpu> g{e};
  return sparse::activate(g, then.act, g.input(y)).value();
}

TEST(epilogue, is_the_steps_bit_by_bit) {
  cpu e{.threads = 2};
  const idx rows = 53;
  const auto plan = some_plan(rows);
  for (const auto& [cin, cout, groups] : std::vector<std::array<idx, 3>>{
           {3, 1, 1}, {4, 7, 1}, {5, 16, 1}, {5, 33, 1}, {3, 150, 1}, {6, 34, 2}, {19, 19, 19}}) {
    const auto x = random_float<2>({rows, cin}, 1);
    const auto w = random_float<3>({5, cin / groups, cout}, 2);
    const auto bias = random_float<1>({cout}, 3), scale = random_float<1>({cout}, 4),
               shift = random_float<1>({cout}, 5);
    const auto residual = random_float<2>({rows, cout}, 6);
    const convolution_op op{plan, groups};
    const auto plain = op.forward(e, x, w, bias).value;
    for (const auto& act : activations) {
      for (const bool affine : {false, true}) {
        for (const bool add : {false, true}) {
          const sparse::epilogue<float> then{affine ? scale : tensor<float, 1>{}, affine ? shift : tensor<float, 1>{},
                                             add ? residual : tensor<float, 2>{}, act};
          ASSERT_TRUE(same_bits(op.finished(e, x, w, bias, then), step_by_step(e, plain, then)))
              << cout << " channels, affine " << affine << ", residual " << add;
        }
      }
    }
  }
}

TEST(epilogue, by_hand) {
  // One output that sees 3 and 4 through weights 1 and -2: 3 - 8 + 1 = -4; times 2 plus 5 = -3; plus 1 = -2; / 4.
  cpu e{.threads = 1};
  const std::vector<pair> pairs{{0, 0, 0}, {1, 1, 0}};
  const convolution_op op{plan_of(pairs, 2, 1, 2, 4)};
  auto x = make_tensor<double, 2>({2, 1});
  x(0, 0) = 3, x(1, 0) = 4;
  auto w = make_tensor<double, 3>({2, 1, 1});
  w(0, 0, 0) = 1, w(1, 0, 0) = -2;
  const auto one = [](double v) { return make_tensor<double, 1>({1}, v); };
  const sparse::epilogue<double> then{one(2), one(5), make_tensor<double, 2>({1, 1}, 1), activations[2]};
  EXPECT_EQ(op.finished(e, x, w, one(1), then)(0, 0), -0.5);
}

TEST(epilogue, of_no_taps_and_no_rows) {
  cpu e{.threads = 1};
  sparse::pair_lists none;
  none.outputs = 3, none.tile = 2;
  none.begin = make_tensor<idx, 1>({1});
  none.input = make_tensor<std::int32_t, 1>({0}), none.output = make_tensor<std::int32_t, 1>({0});
  sparse::pair_lists back = none;
  back.inputs = 3, back.outputs = 0;
  const convolution_op op{{none, back, false}};
  const auto bias = random<1>({2}, 1);
  const sparse::epilogue<double> then{random<1>({2}, 2), random<1>({2}, 3), random<2>({3, 2}, 4), {}};
  const auto y = op.finished(e, make_tensor<double, 2>({0, 4}), make_tensor<double, 3>({0, 4, 2}), bias, then);
  EXPECT_NEAR(y(2, 1), bias(1) * then.scale(1) + then.shift(1) + then.residual(2, 1), 1e-15);
  const convolution_op empty{some_plan(0)};
  EXPECT_EQ(empty.finished(e, make_tensor<double, 2>({0, 4}), random<3>({5, 4, 2}, 1), bias, {}).extent(0), 0);
}

TEST(epilogue, what_is_not_finite_stays) {
  cpu e{.threads = 1};
  const convolution_op op{plan_of({{0, 0, 0}, {0, 1, 1}}, 2, 2, 1, 2)};
  auto x = make_tensor<double, 2>({2, 1});
  x(0, 0) = std::nan(""), x(1, 0) = -std::numeric_limits<double>::infinity();
  const sparse::epilogue<double> then{{}, {}, {}, {activation_kind::relu}};
  const auto y = op.finished(e, x, make_tensor<double, 3>({1, 1, 1}, 1), make_tensor<double, 1>({0}), then);
  EXPECT_TRUE(std::isnan(y(0, 0)));
  EXPECT_EQ(y(1, 0), 0);
}

TEST(epilogue, errors) {
  cpu e{.threads = 1};
  const convolution_op op{some_plan(6)};
  const auto x = random<2>({6, 3}, 1);
  const auto w = random<3>({5, 3, 4}, 2);
  const auto none = make_tensor<double, 1>({0});
  EXPECT_THAT(message_of([&] {
                op.finished(e, x, w, none, {random<1>({4}, 1), random<1>({3}, 1), {}, {}});
              }),
              HasSubstr("y is [6, 4], the epilogue has 4 scales, 3 shifts and a residual of 0 elements; give one scale "
                        "and shift per channel and a residual of y's shape, or leave them out"));
  EXPECT_THAT(message_of([&] {
                op.finished(e, x, w, none, {{}, {}, random<2>({6, 3}, 1), {}});
              }),
              HasSubstr("a residual of 18 elements"));
}

struct biased : sparse::leaky_block_policy {
  static constexpr bool bias = true;
};
struct bare : sparse::block_policy {
  template <class T> using norm = sparse::no_norm<T>;
};
struct group_normed : sparse::block_policy {
  template <class T> struct norm : sparse::voxel_group_norm<T> {
    static norm make(idx channels, initializer& init) { return {sparse::voxel_group_norm<T>::make(channels, init, 2)}; }
    SQS_MEMBERS(norm, weight, bias, groups, eps)
  };
};

template <class Module> std::string names_of(const Module& m) {
  std::string names;
  for_each_tensor(m, [&](const std::string& name, const auto&) { names += name + ' '; });
  return names;
}
/// Gives running statistics that change something.
template <class Norm> void stir(Norm& norm) {
  const idx c = norm.weight.value.extent(0);
  norm.running_mean.value = random<1>({c}, 11);
  norm.weight.value = random<1>({c}, 12);
  for (idx j = 0; j < c; ++j) { norm.running_var.value(j) = 0.5 + static_cast<double>(j); }
}

TEST(convolution_block, on_an_inference_graph_is_the_frozen_training_graph) {
  cpu e{.threads = 2};
  initializer init(3);
  const auto plan = some_plan(40);
  auto block = sparse::convolution_block<double>::make(5, 19, 5, init);
  stir(block.norm);
  const auto x = random<2>({40, 5}, 1), residual = random<2>({40, 19}, 2);
  inference_graph<cpu> g{e};
  const auto fused = block.then(g, g.input(x), plan, g.input(residual), activations[2]).value();
  block.norm.statistics = sparse::norm_statistics::running;
  training_graph<cpu> t{e};
  EXPECT_TRUE(
      same_bits(fused, block.then(t, t.input(x), plan, std::optional{t.input(residual)}, activations[2]).value()));
  block.norm.statistics = sparse::norm_statistics::batch; // nothing to fold: step by step on both
  EXPECT_TRUE(same_bits(block(g, g.input(x), plan).value(), block(t, t.input(x), plan).value()));
}

TEST(convolution_block, policies_say_what_stands_around) {
  cpu e{.threads = 1};
  initializer init(3);
  EXPECT_EQ(names_of(sparse::convolution_block<double>::make(4, 6, 5, init)),
            "conv.weight norm.weight norm.bias norm.running_mean norm.running_var ");
  EXPECT_EQ(names_of(sparse::convolution_block<double, bare>::make(4, 6, 5, init)), "conv.weight ");
  EXPECT_EQ(names_of(sparse::convolution_block<double, biased>::make(4, 6, 5, init)),
            "conv.weight conv.bias norm.weight norm.bias norm.running_mean norm.running_var ");
  const auto plan = some_plan(20);
  const auto x = random<2>({20, 4}, 1);
  inference_graph<cpu> g{e};
  const auto relu = [](double v) { return v < 0 ? 0 : v; };
  const auto bare_block = sparse::convolution_block<double, bare>::make(4, 6, 5, init);
  const auto plain =
      convolution_op{plan}.forward(e, x, bare_block.conv.weight.value, make_tensor<double, 1>({0})).value;
  const auto y = bare_block(g, g.input(x), plan).value();
  for (idx i = 0; i < y.size(); ++i) { ASSERT_EQ(y.data()[i], relu(plain.data()[i])); }
  // A norm that does not fold runs step by step.
  const auto normed = sparse::convolution_block<double, group_normed>::make(4, 6, 5, init);
  const auto z = normed(g, g.input(x), plan).value();
  const auto before = convolution_op{plan}.forward(e, x, normed.conv.weight.value, make_tensor<double, 1>({0})).value;
  const auto after =
      sparse::voxel_group_norm_op{2}.forward(e, before, normed.norm.weight.value, normed.norm.bias.value).value;
  for (idx i = 0; i < z.size(); ++i) { ASSERT_EQ(z.data()[i], relu(after.data()[i])); }
}

TEST(residual_block, gradients) {
  cpu e{.threads = 2};
  initializer init(5);
  const auto plan = some_plan(24, 3);
  auto block = sparse::residual_block<double, sparse::leaky_block_policy>::make(3, 5, init);
  for (auto* norm : {&block.first.norm, &block.second.norm}) {
    norm->statistics = sparse::norm_statistics::batch; // the differences run on inference graphs
    norm->momentum = 0;
  }
  auto x = random<2>({24, 3}, 2);
  gradient_check check;
  check.samples = 30;
  EXPECT_GRADIENT(
      check_model_gradient(e, block, check,
                           [&](auto& g) { return sqs::apply(g, weighted_sum_op{}, block(g, g.input(x), plan)); }),
      1e-6);
  // And by x, which goes two ways.
  training_graph<cpu> g{e};
  const auto leaf = g.leaf(x);
  g.backward(sqs::apply(g, weighted_sum_op{}, block(g, leaf, plan)));
  const auto dx = g.gradient(leaf);
  for (const idx i : {0, 31, 71}) {
    const auto loss = [&](double v) {
      const double kept = x.data()[i];
      x.data()[i] = v;
      inference_graph<cpu> other{e};
      const double l = *sqs::apply(other, weighted_sum_op{}, block(other, other.input(x), plan)).value().data();
      x.data()[i] = kept;
      return l;
    };
    const double v = x.data()[i], h = 1e-5;
    EXPECT_NEAR(dx.data()[i], (loss(v + h) - loss(v - h)) / (2 * h), 1e-6);
  }
}

TEST(residual_block, of_zero_weights_is_the_activation_of_x) {
  cpu e{.threads = 1};
  initializer init(5);
  const auto plan = some_plan(9, 3);
  auto block = sparse::residual_block<double>::make(2, 5, init);
  std::fill(block.second.conv.weight.value.begin(), block.second.conv.weight.value.end(), 0);
  const auto x = random<2>({9, 2}, 2);
  inference_graph<cpu> g{e};
  const auto y = block(g, g.input(x), plan).value();
  for (idx i = 0; i < y.size(); ++i) { EXPECT_EQ(y.data()[i], std::max(0.0, x.data()[i])); }
}

} // namespace block_test

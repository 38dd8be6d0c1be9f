// SPDX-License-Identifier: Apache-2.0
// From coordinates to a submanifold convolution: against a dense one, orientation, duplicates, gradient, the adjoint.
#include "../support/check.hpp"
#include "weighted_sum.hpp"

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>

#include <set>

namespace submanifold_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

tensor<std::int32_t, 2> coordinates(const std::vector<std::array<int, 4>>& rows) {
  auto c = make_tensor<std::int32_t, 2>({static_cast<idx>(rows.size()), 4});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t k = 0; k < 4; ++k) { c(static_cast<idx>(i), static_cast<idx>(k)) = rows[i][k]; }
  }
  return c;
}
tensor<std::int32_t, 2> random_unique(idx n, idx side, std::uint64_t seed) {
  const auto s = random_stream::of(seed);
  std::set<std::array<int, 4>> seen;
  std::vector<std::array<int, 4>> rows;
  for (idx i = 0; static_cast<idx>(rows.size()) < n; i += 4) {
    const auto draw = [&](idx k) { return static_cast<int>(s.uniform(i + k) * static_cast<double>(side)); };
    const std::array<int, 4> r{static_cast<int>(s.uniform(i + 3) * 2), draw(0), draw(1), draw(2)};
    if (seen.insert(r).second) { rows.push_back(r); }
  }
  return coordinates(rows);
}

const tensor<double, 1> no_bias = make_tensor<double, 1>({0});
sparse::convolution_plan plan_at(cpu& e, const tensor<std::int32_t, 2>& c, idx side, idx kernel,
                                 sparse::duplicate_rule rule = sparse::duplicate_rule::symmetric) {
  const auto s = sparse::make_sites<3>(e, c, {side, side, side}, 2, sparse::voxel_sharing::allowed);
  return sparse::make_submanifold_plan(e, s, {{kernel, kernel, kernel}}, {1, 1, 1}, rule);
}

TEST(submanifold, equals_dense_convolution_at_active_sites) {
  cpu e{.threads = 2};
  for (const idx kernel : {3, 5}) {
    for (const auto rule : {sparse::duplicate_rule::symmetric, sparse::duplicate_rule::representative}) {
      const idx side = 6, n = 90;
      const auto c = random_unique(n, side, 3);
      auto x = random<2>({n, 3}, 4);
      auto w = random<3>({kernel * kernel * kernel, 3, 2}, 5);
      const auto plan = plan_at(e, c, side, kernel, rule);
      const auto y = sparse::convolution_op{plan}.forward(e, x, w, no_bias).value;
      for (idx i = 0; i < n; ++i) {
        for (idx o = 0; o < 2; ++o) {
          double sum = 0; // every row j at offset k - kernel/2 of row i
          for (idx j = 0; j < n; ++j) {
            idx tap = 0;
            bool inside = c(i, 0) == c(j, 0);
            for (int d = 1; d < 4; ++d) {
              const idx k = c(j, d) - c(i, d) + kernel / 2;
              inside = inside && k >= 0 && k < kernel;
              tap = tap * kernel + k;
            }
            if (!inside) { continue; }
            for (idx q = 0; q < 3; ++q) { sum += w(tap, q, o) * x(j, q); }
          }
          ASSERT_NEAR(y(i, o), sum, 1e-11);
        }
      }
    }
  }
}

TEST(submanifold, one_hot_kernel_shows_the_orientation) {
  cpu e{.threads = 1};
  const auto c = coordinates({{0, 1, 1, 1}, {0, 2, 1, 1}});
  const auto plan = plan_at(e, c, 4, 3);
  auto w = make_tensor<double, 3>({27, 1, 1});
  w((2 * 3 + 1) * 3 + 1, 0, 0) = 1; // kx = 2: sees x + 1
  auto x = make_tensor<double, 2>({2, 1});
  x(0, 0) = 5, x(1, 0) = 7;
  const auto y = sparse::convolution_op{plan}.forward(e, x, w, no_bias).value;
  EXPECT_EQ(y(0, 0), 7);
  EXPECT_EQ(y(1, 0), 0);
}

TEST(submanifold, duplicates) {
  cpu e{.threads = 1};
  // Rows 0 and 1 share a voxel, row 2 is its +x neighbour.
  const auto c = coordinates({{0, 1, 1, 1}, {0, 1, 1, 1}, {0, 2, 1, 1}});
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 1, x(1, 0) = 10, x(2, 0) = 100;
  auto w = make_tensor<double, 3>({27, 1, 1}, 1.0);
  const auto run = [&](sparse::duplicate_rule rule) {
    const auto plan = plan_at(e, c, 4, 3, rule);
    return sparse::convolution_op{plan}.forward(e, x, w, no_bias).value;
  };
  const auto s = run(sparse::duplicate_rule::symmetric);
  EXPECT_EQ(s(0, 0), 101); // itself and the neighbour; rows of one voxel never mix
  EXPECT_EQ(s(1, 0), 110);
  EXPECT_EQ(s(2, 0), 111);
  // Scanned half: taps with a smaller index, so row 2 scans the voxel at x - 1 and meets its representative, row 0.
  const auto r = run(sparse::duplicate_rule::representative);
  EXPECT_EQ(r(0, 0), 101); // the representative hears every row that scanned it
  EXPECT_EQ(r(1, 0), 10);  // the other row is met by nobody
  EXPECT_EQ(r(2, 0), 101); // row 2 hears the representative only
}

TEST(submanifold, gradient_with_duplicates) {
  cpu e{.threads = 2};
  auto c = random_unique(30, 3, 8);
  for (int k = 0; k < 4; ++k) { c(1, k) = c(0, k), c(2, k) = c(0, k); }
  for (const auto rule : {sparse::duplicate_rule::symmetric, sparse::duplicate_rule::representative}) {
    const auto plan = plan_at(e, c, 3, 3, rule);
    auto x = random<2>({30, 3}, 9);
    auto w = random<3>({27, 3, 2}, 10);
    auto bias = random<1>({2}, 11);
    EXPECT_GRADIENT(check_gradient(e, sparse::convolution_op{plan}, x, w, bias), 1e-7);
    EXPECT_GRADIENT(check_gradient(e, sparse::convolution_op{plan.adjoint()}, x, w, bias), 1e-7);
  }
}

TEST(submanifold, the_adjoint_flips_the_taps) {
  cpu e{.threads = 1};
  const auto plan = plan_at(e, coordinates({{0, 1, 1, 1}, {0, 2, 1, 1}}), 4, 3);
  auto w = make_tensor<double, 3>({27, 1, 1});
  w((2 * 3 + 1) * 3 + 1, 0, 0) = 1; // kx = 2: sees x + 1, so its adjoint x - 1
  auto x = make_tensor<double, 2>({2, 1});
  x(0, 0) = 5, x(1, 0) = 7;
  const sparse::convolution_op adjoint{plan.adjoint()};
  const auto r = adjoint.forward(e, x, w, no_bias);
  EXPECT_EQ(r.value(0, 0), 0);
  EXPECT_EQ(r.value(1, 0), 5);
  const auto [dx, dw, db] = adjoint.backward(e, r.saved, x, {true, true, false});
  EXPECT_EQ(dx(0, 0), 7);
  EXPECT_EQ(dx(1, 0), 0);
  EXPECT_EQ(dw((2 * 3 + 1) * 3 + 1, 0, 0), 5 * 7); // input 0 at output 1
  EXPECT_EQ(dw((0 * 3 + 1) * 3 + 1, 0, 0), 7 * 5); // input 1 at output 0
  const auto twice = plan.adjoint().adjoint();
  EXPECT_EQ(sparse::convolution_op{twice}.forward(e, x, w, no_bias).value(0, 0), 7);
  EXPECT_FALSE(twice.flipped);
  const auto line = sparse::restricted_plan<3>(e, plan.adjoint(), sparse::taps<3, 3, 3>{}, sparse::taps<3, 1, 1>{});
  auto short_w = make_tensor<double, 3>({3, 1, 1});
  short_w(2, 0, 0) = 1;
  EXPECT_EQ(sparse::convolution_op{line}.forward(e, x, short_w, no_bias).value(1, 0), 5);
}

TEST(submanifold, no_rows) {
  cpu e{.threads = 1};
  const auto none = plan_at(e, make_tensor<std::int32_t, 2>({0, 4}), 4, 3);
  EXPECT_EQ(none.forward.pairs(), 0);
  const sparse::convolution_op op{none};
  const auto r = op.forward(e, make_tensor<double, 2>({0, 3}), random<3>({27, 3, 2}, 1), no_bias);
  EXPECT_EQ(r.value.extent(1), 2);
  const auto [dx, dw, db] = op.backward(e, r.saved, make_tensor<double, 2>({0, 2}), {true, true, true});
  EXPECT_EQ(dw.size(), 27 * 3 * 2);
  EXPECT_EQ(dw(0, 0, 0), 0);
}

TEST(bias_free_convolution, learns_its_weight_alone) {
  cpu e{.threads = 2};
  const auto plan = plan_at(e, random_unique(40, 4, 3), 4, 3);
  initializer init(1);
  auto layer = sparse::bias_free_convolution<double>::make(4, 6, 27, init, 2);
  std::string names;
  for_each_tensor(layer, [&](const std::string& name, const auto&) { names += name; });
  EXPECT_EQ(names, "weight");
  const auto x = random<2>({40, 4}, 27);
  gradient_check check;
  check.samples = 40;
  const auto report = check_model_gradient(e, layer, check, [&](auto& g) {
    const auto y = layer(g, g.input(x), plan);
    return sqs::apply(g, weighted_sum_op{}, y);
  });
  EXPECT_GRADIENT(report, 1e-7);
}

} // namespace submanifold_test

// SPDX-License-Identifier: Apache-2.0
// Transposed upsampling is a convolution on the plan of the adjoint: inverse, generative, and what they undo.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>

namespace upsample_test {

using namespace sqs;
using namespace sqs::test;
using sparse::convolution_op;
using sparse::relation;
using sparse::taps;

const tensor<double, 1> no_bias = make_tensor<double, 1>({0});

tensor<double, 3> exchanged_channels(const tensor<double, 3>& w) {
  auto t = make_tensor<double, 3>({w.extent(0), w.extent(2), w.extent(1)});
  for (idx k = 0; k < w.extent(0); ++k) {
    for (idx i = 0; i < w.extent(1); ++i) {
      for (idx o = 0; o < w.extent(2); ++o) { t(k, o, i) = w(k, i, o); }
    }
  }
  return t;
}
double dot(const tensor<double, 2>& a, const tensor<double, 2>& b) {
  double sum = 0;
  for (idx i = 0; i < a.size(); ++i) { sum += a.data()[i] * b.data()[i]; }
  return sum;
}

struct levels {
  cpu e{.threads = 2};
  std::vector<cell> cells = random_cells{3}.draw(160, 2, {9, 8, 7});
  sparse::sites<3> fine = sparse::make_sites<3>(e, as_tensor(cells, 3), {9, 8, 7}, 2);
  relation<3> down{.taps = taps<3, 3, 2>{}, .stride = {2, 2, 2}, .pad = {1, 1, 0}};
};

TEST(upsample, inverse_is_the_adjoint_of_the_strided_convolution) {
  levels l;
  const auto down = sparse::make_convolution_plan(l.e, l.fine, l.down);
  const auto up = sparse::make_inverse_plan(down);
  EXPECT_TRUE(up.output.same(l.fine)); // back to exactly the sites it came from
  const auto w = random<3>({18, 5, 6}, 1);
  const auto x = random<2>({l.fine.rows, 5}, 2), y = random<2>({down.output.rows, 6}, 3);
  const auto ax = convolution_op{down.plan}.forward(l.e, x, w, no_bias).value;
  const auto ay = convolution_op{up.plan}.forward(l.e, y, exchanged_channels(w), no_bias).value;
  EXPECT_NEAR(dot(ax, y), dot(x, ay), 1e-12 * std::abs(dot(ax, y)));
}

TEST(upsample, generative_makes_all_that_is_reached) {
  levels l;
  const auto coarse = sparse::make_convolution_plan(l.e, l.fine, l.down).output;
  const auto up = sparse::make_transposed_plan(l.e, coarse, l.down);
  std::set<cell> expected;
  for (const auto& c : as_cells(coarse.coordinates(l.e))) {
    for (const auto& t : plain_relation{{3, 3, 2}, {2, 2, 2}, {1, 1, 0}, {1, 1, 1}}.taps()) {
      cell f{c[0]};
      bool inside = true;
      for (std::size_t a = 0; a < 3; ++a) {
        f.push_back(static_cast<int>(2 * c[a + 1] + t[a] - (a < 2 ? 1 : 0)));
        inside = inside && f.back() >= 0 && f.back() < up.output.grid()[a];
      }
      if (inside) { expected.insert(f); }
    }
  }
  EXPECT_EQ(as_cells(up.output.coordinates(l.e)), std::vector<cell>(expected.begin(), expected.end()));
  // The adjoint of the strided convolution from those sites to the coarse ones.
  const auto w = random<3>({18, 4, 3}, 1);
  const auto y = random<2>({coarse.rows, 4}, 2), x = random<2>({up.output.rows, 3}, 3);
  const auto down = sparse::make_plan_between(l.e, up.output, coarse, l.down);
  const auto ay = convolution_op{up.plan}.forward(l.e, y, w, no_bias).value;
  const auto ax = convolution_op{down}.forward(l.e, x, exchanged_channels(w), no_bias).value;
  EXPECT_NEAR(dot(ay, x), dot(y, ax), 1e-12 * std::abs(dot(ay, x)));
  auto p = random<2>({coarse.rows, 2}, 5);
  auto v = random<3>({18, 2, 2}, 6);
  auto b = random<1>({2}, 7);
  EXPECT_GRADIENT(check_gradient(l.e, convolution_op{up.plan}, {.samples = 40}, p, v, b), 1e-7);
}

TEST(upsample, kernel_2_stride_2_gives_each_child_its_tap) {
  cpu e{.threads = 1};
  const auto coarse = sparse::make_sites<2>(e, as_tensor({{0, 1, 0}, {0, 0, 2}}, 2), {2, 3});
  const auto up = sparse::make_transposed_plan<2>(e, coarse, {.taps = taps<2, 2>{}, .stride = {2, 2}});
  EXPECT_EQ(up.output.grid(), (std::array<idx, 2>{4, 6}));
  auto w = make_tensor<double, 3>({4, 1, 1});
  for (idx k = 0; k < 4; ++k) { w(k, 0, 0) = static_cast<double>(k + 1); }
  auto x = make_tensor<double, 2>({2, 1});
  x(0, 0) = 10, x(1, 0) = 100;
  const auto y = convolution_op{up.plan}.forward(e, x, w, no_bias).value;
  const auto at = [&](idx i, idx j) { return y(up.output.find({0, i, j}), 0); };
  EXPECT_EQ(up.output.rows, 8);
  EXPECT_EQ(at(2, 0), 10);
  EXPECT_EQ(at(2, 1), 20);
  EXPECT_EQ(at(3, 0), 30);
  EXPECT_EQ(at(3, 1), 40);
  EXPECT_EQ(at(0, 4), 100);
  EXPECT_EQ(at(1, 5), 400);
}

TEST(upsample, to_given_sites) {
  // A decoder that only fills the sites its encoder had: the adjoint of the plan between the two.
  levels l;
  const auto coarse = sparse::make_convolution_plan(l.e, l.fine, l.down).output;
  const auto down = sparse::make_plan_between(l.e, l.fine, coarse, l.down);
  const auto w = random<3>({18, 2, 3}, 1);
  const auto x = random<2>({coarse.rows, 2}, 2);
  const auto whole = sparse::make_transposed_plan(l.e, coarse, l.down, {0, 1, 1});
  const auto all = convolution_op{whole.plan}.forward(l.e, x, w, no_bias).value;
  const auto some = convolution_op{down.adjoint()}.forward(l.e, x, w, no_bias).value;
  idx found = 0;
  for (std::size_t i = 0; i < l.cells.size(); ++i) {
    const auto& c = l.cells[i];
    const idx row = whole.output.find({c[0], c[1], c[2], c[3]});
    for (idx ch = 0; ch < 3 && row >= 0; ++ch) {
      EXPECT_NEAR(some(static_cast<idx>(i), ch), all(row, ch), 1e-13);
      ++found;
    }
  }
  EXPECT_GT(found, 200);
}

} // namespace upsample_test

// SPDX-License-Identifier: Apache-2.0
// Pooling over neighbours that exist: numbers by hand, a map of coordinates, gradients, ties, bits across threads.
#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/global_pooling.hpp>
#include <sqs/sparse/plan_builder.hpp>

#include <map>

namespace pooling_test {

using namespace sqs;
using namespace sqs::test;
using sparse::pooling;
using sparse::pooling_op;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array kinds{pooling::max, pooling::mean, pooling::sum};

template <int D> tensor<double, 2> column(const std::array<double, D>& values) {
  auto t = make_tensor<double, 2>({D, 1});
  std::copy(values.begin(), values.end(), t.begin());
  return t;
}
using sqs::test::same_bits;

/// Kernel 3, stride 2, pad 1 on a line of 8: output o sees 2 o - 1, 2 o, 2 o + 1.
struct line {
  cpu e{.threads = 2};
  sparse::sites<1> at = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 1}, {0, 3}, {0, 7}}, 1), {8});
  sparse::site_plan<1> plan =
      sparse::make_convolution_plan(e, at, {.taps = sparse::taps<3>{}, .stride = {2}, .pad = {1}});
};

TEST(pooling, a_line_by_hand) {
  line l;
  ASSERT_EQ(as_cells(l.plan.output.coordinates(l.e)), (std::vector<cell>{{0, 0}, {0, 1}, {0, 2}, {0, 3}}));
  // Sites 0, 1, 3, 7; outputs see {0, 1}, {1, 3}, {3}, {7}. All negative: absent neighbours are not zeros.
  const auto x = column<4>({-6, -2, -4, -8}), dy = column<4>({1, 10, 100, 1000});
  const auto run = [&](pooling kind) {
    const pooling_op op{l.plan.plan, kind};
    const auto r = op.forward(l.e, x);
    const auto dx = op.backward(l.e, r.saved, dy);
    std::vector<double> all(r.value.begin(), r.value.end());
    all.insert(all.end(), dx.begin(), dx.end());
    return all;
  };
  EXPECT_THAT(run(pooling::max), ElementsAre(-2, -2, -4, -8, 0, 11, 100, 1000));
  EXPECT_THAT(run(pooling::mean), ElementsAre(-4, -3, -4, -8, 0.5, 5.5, 105, 1000));
  EXPECT_THAT(run(pooling::sum), ElementsAre(-8, -6, -4, -8, 1, 11, 110, 1000));
}

TEST(pooling, the_first_of_equal_ones_gets_the_gradient) {
  line l;
  const auto dy = column<4>({1, 10, 100, 1000});
  const pooling_op op{l.plan.plan, pooling::max};
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const auto gradient = [&](const tensor<double, 2>& x) { return op.backward(l.e, op.forward(l.e, x).saved, dy); };
  EXPECT_THAT(gradient(column<4>({5, 5, 5, 5})).span(), ElementsAre(1, 10, 100, 1000));
  EXPECT_THAT(gradient(column<4>({-inf, -inf, -inf, -inf})).span(), ElementsAre(1, 10, 100, 1000));
  const auto with_nan = column<4>({9, nan, 9, 9});
  for (const auto& y : {op.forward(l.e, with_nan).value, op.pooled(l.e, with_nan)}) {
    EXPECT_TRUE(std::isnan(y(0, 0)) && std::isnan(y(1, 0)));
    EXPECT_EQ(y(2, 0), 9);
  }
  EXPECT_THAT(gradient(with_nan).span(), ElementsAre(0, 11, 100, 1000));
}

TEST(pooling, an_output_without_a_neighbour_is_zero) {
  cpu e{.threads = 1};
  const auto fine = sparse::make_sites<1>(e, as_tensor({{0, 0}}, 1), {8});
  const auto coarse = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 3}}, 1), {4});
  const auto plan = sparse::make_plan_between<1>(e, fine, coarse, {.taps = sparse::taps<2>{}, .stride = {2}});
  for (const auto kind : kinds) {
    const pooling_op op{plan, kind};
    const auto r = op.forward(e, column<1>({-3}));
    EXPECT_THAT(r.value.span(), ElementsAre(-3, 0));
    EXPECT_THAT(op.backward(e, r.saved, column<2>({2, 7})).span(), ElementsAre(2));
  }
}

/// Forward and backward by looking up every tap of every output in a map.
struct plain_pooling {
  plain_relation r;
  std::vector<cell> fine, coarse;
  pooling kind;

  template <class F> void run(const tensor<double, 2>& x, F&& f) const {
    std::map<cell, idx> row;
    for (std::size_t i = 0; i < fine.size(); ++i) { row[fine[i]] = static_cast<idx>(i); }
    const auto taps = r.taps();
    for (std::size_t o = 0; o < coarse.size(); ++o) {
      std::vector<idx> seen;
      for (const auto& t : taps) {
        cell at{coarse[o][0]};
        for (std::size_t a = 0; a < t.size(); ++a) {
          at.push_back(static_cast<int>(r.stride[a] * coarse[o][a + 1] + r.dilation[a] * t[a] - r.pad[a]));
        }
        if (row.contains(at)) { seen.push_back(row[at]); }
      }
      for (idx c = 0; c < x.extent(1) && !seen.empty(); ++c) {
        double sum = 0;
        idx best = seen[0];
        for (const idx i : seen) { sum += x(i, c), best = x(i, c) > x(best, c) ? i : best; }
        const double n = kind == pooling::mean ? static_cast<double>(seen.size()) : 1.0;
        f(static_cast<idx>(o), c, kind == pooling::max ? x(best, c) : sum / n);
      }
    }
  }
};

TEST(pooling, equals_a_map_of_coordinates) {
  cpu e{.threads = 2};
  const std::vector<idx> grid{9, 8, 70};
  const plain_relation pr{{3, 2, 3}, {2, 2, 1}, {1, 0, 2}, {1, 1, 2}};
  const auto fine = random_cells{7}.draw(900, 2, grid);
  const auto at = sparse::make_sites<3>(e, as_tensor(fine, 3), {9, 8, 70}, 2);
  const auto p = sparse::make_convolution_plan(
      e, at, {.taps = sparse::taps<3, 2, 3>{}, .stride = {2, 2, 1}, .pad = {1, 0, 2}, .dilation = {1, 1, 2}});
  const auto coarse = as_cells(p.output.coordinates(e));
  for (const idx channels : {1, 7, 33}) {
    const auto x = random<2>({at.rows, channels}, 3);
    for (const auto kind : kinds) {
      const auto y = pooling_op{p.plan, kind}.forward(e, x).value;
      idx compared = 0;
      plain_pooling{pr, fine, coarse, kind}.run(x, [&](idx o, idx c, double expected) {
        EXPECT_NEAR(y(o, c), expected, 1e-14) << o << ", " << c;
        ++compared;
      });
      EXPECT_EQ(compared, y.size());
    }
  }
}

TEST(pooling, gradients) {
  cpu e{.threads = 2};
  const auto at = sparse::make_sites<3>(e, as_tensor(random_cells{3}.draw(120, 2, {5, 6, 7}), 3), {5, 6, 7}, 2);
  const auto strided =
      sparse::make_convolution_plan(e, at, {.taps = sparse::taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}});
  const auto same = sparse::make_submanifold_plan(e, at, sparse::taps<3, 3, 3>{});
  for (const auto& plan : {strided.plan, same, sparse::make_inverse_plan(strided).plan}) {
    for (const auto kind : kinds) {
      for (const idx channels : {1, 7}) {
        auto x = random<2>({plan.forward.inputs, channels}, 5);
        EXPECT_GRADIENT(check_gradient(e, pooling_op{plan, kind}, x), 1e-9);
      }
    }
  }
  const pooling_op sum{strided.plan, pooling::sum};
  const auto x = random<2>({at.rows, 33}, 1), y = random<2>({strided.output.rows, 33}, 2);
  const auto ax = sum.forward(e, x).value;
  const auto ay = sum.backward(e, {}, y);
  double left = 0, right = 0;
  for (idx i = 0; i < y.size(); ++i) { left += y.data()[i] * ax.data()[i]; }
  for (idx i = 0; i < x.size(); ++i) { right += x.data()[i] * ay.data()[i]; }
  EXPECT_NEAR(left, right, 1e-12 * std::abs(left));
}

TEST(pooling, is_the_same_for_any_number_of_threads) {
  const auto rows = as_tensor(random_cells{9}.draw(6000, 3, {30, 30, 30}), 3);
  const auto x = random_float<2>({rows.extent(0), 19}, 1);
  std::array<std::vector<tensor<float, 2>>, 5> of;
  for (const int threads : {1, 2, 3, 4, 1}) {
    cpu e{.threads = threads};
    const auto at = sparse::make_sites<3>(e, rows, {30, 30, 30}, 3);
    const auto p =
        sparse::make_convolution_plan(e, at, {.taps = sparse::taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}});
    std::vector<tensor<float, 2>> now;
    for (const auto kind : kinds) {
      const pooling_op op{p.plan, kind};
      const auto r = op.forward(e, x);
      EXPECT_TRUE(same_bits(op.pooled(e, x), r.value)); // what inference takes
      const sparse::global_pooling_op<3> whole{at, kind};
      const auto g = whole.forward(e, x);
      now.insert(now.end(), {r.value, op.backward(e, r.saved, r.value), g.value, whole.backward(e, g.saved, g.value)});
    }
    auto& kept = of[0];
    if (kept.empty()) { kept = now; }
    for (std::size_t i = 0; i < now.size(); ++i) { EXPECT_TRUE(same_bits(now[i], kept[i])) << threads << " " << i; }
  }
}

TEST(pooling, nothing_in_nothing_out) {
  cpu e{.threads = 1};
  const auto none = sparse::make_sites<2>(e, as_tensor({}, 2), {4, 4}, 2);
  const auto p = sparse::make_convolution_plan(e, none, {.taps = sparse::taps<2, 2>{}, .stride = {2, 2}});
  for (const auto kind : kinds) {
    const pooling_op op{p.plan, kind};
    const auto x = make_tensor<double, 2>({0, 3});
    const auto r = op.forward(e, x);
    EXPECT_EQ(r.value.shape(), (extents<2>{0, 3}));
    EXPECT_EQ(op.backward(e, r.saved, r.value).shape(), x.shape());
    const sparse::global_pooling_op<2> whole{none, kind};
    const auto g = whole.forward(e, x);
    EXPECT_THAT(g.value.span(), ElementsAre(0, 0, 0, 0, 0, 0));
    EXPECT_EQ(whole.backward(e, g.saved, g.value).shape(), x.shape());
  }
}

TEST(pooling, errors) {
  line l;
  const pooling_op op{l.plan.plan, pooling::mean};
  EXPECT_THAT(message_of([&] {
                op.forward(l.e, make_tensor<float, 2>({3, 2}));
              }),
              HasSubstr("pooling_op: x has 3 rows, the plan 4; use the plan made for these sites"));
  EXPECT_THAT(message_of([&] {
                op.backward(l.e, {}, make_tensor<float, 2>({3, 2}));
              }),
              HasSubstr("the gradient of y has 3 rows, y 4"));
  EXPECT_THAT(message_of([&] {
                sparse::global_pooling_op<1>{l.at}.forward(l.e, make_tensor<float, 2>({3, 2}));
              }),
              HasSubstr("global_pooling_op: x has 3 rows, the sites 4"));
}

TEST(global_pooling, by_hand) {
  cpu e{.threads = 2};
  // Rows not in order of the sites; item 1 of 3 has none.
  const auto at = sparse::make_sites<1>(e, as_tensor({{2, 4}, {0, 3}, {2, 1}, {0, 0}, {2, 0}}, 1), {5}, 3);
  const auto x = column<5>({7, -1, 4, -5, 7}), dy = column<3>({10, 20, 30});
  const auto run = [&](pooling kind) {
    const sparse::global_pooling_op<1> op{at, kind};
    const auto r = op.forward(e, x);
    const auto dx = op.backward(e, r.saved, dy);
    std::vector<double> all(r.value.begin(), r.value.end());
    all.insert(all.end(), dx.begin(), dx.end());
    return all;
  };
  EXPECT_THAT(run(pooling::max), ElementsAre(-1, 0, 7, 30, 10, 0, 0, 0)); // rows 0 and 4 are equal: row 0
  EXPECT_THAT(run(pooling::mean), ElementsAre(-3, 0, 6, 10, 5, 10, 5, 10));
  EXPECT_THAT(run(pooling::sum), ElementsAre(-6, 0, 18, 30, 10, 30, 10, 30));
}

TEST(global_pooling, gradients_and_a_plain_loop) {
  cpu e{.threads = 3};
  // More than one piece of rows, and rows that share voxels.
  const auto cells = random_cells{2}.draw(9000, 2, {40, 40}, false);
  const auto at = sparse::make_sites<2>(e, as_tensor(cells, 2), {40, 40}, 2, sparse::voxel_sharing::allowed);
  auto x = random<2>({at.rows, 3}, 8);
  for (const auto kind : kinds) {
    const sparse::global_pooling_op<2> op{at, kind};
    const auto y = op.forward(e, x).value;
    for (idx b = 0; b < 2; ++b) {
      for (idx c = 0; c < 3; ++c) {
        double sum = 0, most = -1e300, n = 0;
        for (idx i = 0; i < at.rows; ++i) {
          if (cells[static_cast<std::size_t>(i)][0] != b) { continue; }
          sum += x(i, c), most = std::max(most, x(i, c)), ++n;
        }
        EXPECT_NEAR(y(b, c), kind == pooling::max ? most : kind == pooling::mean ? sum / n : sum, 1e-11);
      }
    }
    const auto report = check_gradient(e, op, {.samples = 200}, x);
    EXPECT_LE(report.worst, 1e-7) << report.where;
  }
  auto few = random<2>({5, 2}, 1);
  const auto small = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 2}, {1, 1}, {1, 2}, {1, 3}}, 1), {4}, 2);
  for (const auto kind : kinds) {
    const auto report = check_gradient(e, sparse::global_pooling_op<1>{small, kind}, few);
    EXPECT_LE(report.worst, 1e-9);
    EXPECT_EQ(report.nonzero, kind == pooling::max ? 4 : 10);
  }
}

} // namespace pooling_test

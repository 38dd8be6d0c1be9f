// SPDX-License-Identifier: Apache-2.0
// Features between sites: numbers by hand, weights by a plain loop over a map, gradients, bits across threads, errors.
#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/interpolate.hpp>

#include <map>

namespace interpolate_test {

using namespace sqs;
using namespace sqs::test;
using sparse::grid_map;
using sparse::interpolation;
using sparse::interpolation_rule;
using sparse::missing_neighbours;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array<interpolation_rule, 4> rules{
    interpolation_rule{interpolation::linear, missing_neighbours::zero},
    interpolation_rule{interpolation::linear, missing_neighbours::renormalise},
    interpolation_rule{interpolation::nearest, missing_neighbours::zero},
    interpolation_rule{interpolation::nearest, missing_neighbours::renormalise}};

template <int D> tensor<double, 2> points_at(const std::vector<std::array<double, D>>& p) {
  auto t = make_tensor<double, 2>({static_cast<idx>(p.size()), D});
  for (std::size_t i = 0; i < p.size(); ++i) {
    std::copy(p[i].begin(), p[i].end(), t.data() + static_cast<idx>(i) * D);
  }
  return t;
}
using sqs::test::same_bits;
tensor<std::int32_t, 1> batches_of(idx n, int batches) {
  auto t = make_tensor<std::int32_t, 1>({n});
  for (idx i = 0; i < n; ++i) { t(i) = static_cast<std::int32_t>(i * 5 % batches); }
  return t;
}

TEST(interpolate, a_line_by_hand) {
  cpu e{.threads = 1};
  // Sites 0, 1, 4 (not in order) of 6 hold 10, 20, 40.
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 4}, {0, 0}, {0, 1}}, 1), {6});
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 40, x(1, 0) = 10, x(2, 0) = 20;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const auto p =
      points_at<1>({{0.25}, {1}, {1.5}, {3.75}, {-0.25}, {2.5}, {nan}, {0.5}, {1e30}, {-inf}, {4.25}, {-1.5}, {3.25}});
  const auto run = [&](std::size_t rule) {
    return sparse::interpolate_at_op<1>{s, {}, rules[rule]}.forward(e, x, p).value;
  };
  EXPECT_THAT(run(0).span(), ElementsAre(12.5, 20, 10, 30, 7.5, 0, 0, 15, 0, 0, 30, 0, 10));
  EXPECT_THAT(run(1).span(), ElementsAre(12.5, 20, 20, 40, 10, 0, 0, 15, 0, 0, 40, 0, 40));
  EXPECT_THAT(run(2).span(), ElementsAre(10, 20, 20, 40, 10, 0, 0, 10, 0, 0, 40, 0, 0));
  EXPECT_THAT(run(3).span(), ElementsAre(10, 20, 20, 40, 10, 0, 0, 10, 0, 0, 40, 0, 40));
}

TEST(interpolate, what_has_no_weight_is_not_looked_at) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 1}}, 1), {3});
  auto x = make_tensor<double, 2>({2, 1}, 7.0);
  x(1, 0) = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sparse::interpolate_at_op<1>{s}.forward(e, x, points_at<1>({{0}})).value(0, 0), 7);
}

TEST(interpolate, maps_by_hand) {
  const auto at = [](const auto& m, double p) { return m.scale[0] * p + m.shift[0]; };
  // A box from -1 to 3 in cells of 2: middles at 0 and 2.
  const auto box = grid_map<1>::of_box(sparse::voxel_grid<float, 1>{{-1}, {3}, {2}});
  EXPECT_EQ(at(box, 0), 0);
  EXPECT_EQ(at(box, 2), 1);
  EXPECT_EQ(at(box, -1), -0.5);
  const auto aligned = grid_map<1>::of_unit_box({5}, true), faces = grid_map<1>::of_unit_box({5}, false);
  EXPECT_EQ(at(aligned, -1), 0);
  EXPECT_EQ(at(aligned, 1), 4);
  EXPECT_EQ(at(faces, -1), -0.5);
  EXPECT_EQ(at(faces, 1), 4.5);
  const auto up = grid_map<1>::of_cells({8}, {4}, false), up_aligned = grid_map<1>::of_cells({7}, {4}, true);
  EXPECT_EQ(at(up, 0), -0.25);
  EXPECT_EQ(at(up, 7), 3.25);
  EXPECT_EQ(at(up_aligned, 6), 3);
  EXPECT_EQ(at(up_aligned, 1), 0.5);
  EXPECT_EQ(at(grid_map<1>::of_cells({1}, {4}, true), 0), 0);
}

/// All 2^D neighbours looked up in a map, in double.
std::vector<double> plain(const std::map<cell, idx>& rows, const tensor<double, 2>& x, const std::vector<double>& p,
                          int batch, const interpolation_rule& rule) {
  const std::size_t d = p.size();
  std::vector<std::pair<double, idx>> terms; // weight, row
  for (std::size_t k = 0; k < (1u << d); ++k) {
    double w = 1;
    cell at{batch};
    for (std::size_t a = 0; a < d; ++a) {
      const double low = std::floor(p[a]);
      const bool up = (k >> (d - 1 - a) & 1) != 0;
      at.push_back(static_cast<int>(low) + (up ? 1 : 0));
      w *= up ? p[a] - low : 1 - (p[a] - low);
    }
    const auto found = rows.find(at);
    if (found != rows.end()) {
      terms.emplace_back(w, found->second);
    } else if (rule.missing == missing_neighbours::zero) {
      terms.emplace_back(w, -1);
    }
  }
  if (rule.kind == interpolation::nearest && !terms.empty()) {
    const auto best = *std::max_element(terms.begin(), terms.end(), [](auto& a, auto& b) { return a.first < b.first; });
    terms = {{1, best.second}};
  }
  double sum = 0;
  for (const auto& t : terms) { sum += t.first; }
  std::vector<double> y(static_cast<std::size_t>(x.extent(1)));
  for (const auto& [w, row] : terms) {
    for (idx c = 0; c < x.extent(1) && row >= 0; ++c) { y[static_cast<std::size_t>(c)] += w / sum * x(row, c); }
  }
  return y;
}

TEST(interpolate, equals_a_map_of_coordinates) {
  cpu e{.threads = 2};
  const auto cells = random_cells{3}.draw(500, 2, {6, 5, 70});
  std::map<cell, idx> rows;
  for (std::size_t i = 0; i < cells.size(); ++i) { rows[cells[i]] = static_cast<idx>(i); }
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {6, 5, 70}, 2);
  auto p = random<2>({700, 3}, 1, 0.7);
  for (idx i = 0; i < 700; ++i) { p(i, 0) = 3 + 3 * p(i, 0), p(i, 1) = 2 + 3 * p(i, 1), p(i, 2) = 35 + 40 * p(i, 2); }
  const auto batch = batches_of(700, 2);
  for (const idx channels : {1, 7, 33}) {
    const auto x = random<2>({s.rows, channels}, 2);
    for (const auto& rule : rules) {
      const auto y = sparse::interpolate_at_op<3>{s, {}, rule}.forward(e, x, p, batch).value;
      for (idx i = 0; i < 700; ++i) {
        const auto expected = plain(rows, x, {p(i, 0), p(i, 1), p(i, 2)}, batch(i), rule);
        for (idx c = 0; c < channels; ++c) { EXPECT_NEAR(y(i, c), expected[static_cast<std::size_t>(c)], 1e-13) << i; }
      }
    }
  }
}

TEST(interpolate, from_sites_to_sites) {
  cpu e{.threads = 2};
  // From a grid of half the resolution to the sites of the finer one, faces together.
  const auto coarse = random_cells{3}.draw(60, 2, {4, 5}), fine = random_cells{4}.draw(150, 2, {8, 10});
  std::map<cell, idx> rows;
  for (std::size_t i = 0; i < coarse.size(); ++i) { rows[coarse[i]] = static_cast<idx>(i); }
  const auto from = sparse::make_sites<2>(e, as_tensor(coarse, 2), {4, 5}, 2),
             to = sparse::make_sites<2>(e, as_tensor(fine, 2), {8, 10}, 2);
  auto x = random<2>({from.rows, 7}, 1);
  for (const auto& rule : rules) {
    const auto plan = sparse::make_interpolation_plan<double>(
        e, from, to, grid_map<2>::of_cells(to.grid(), from.grid(), false), rule);
    const sparse::interpolate_op<double> op{plan};
    const auto y = op.forward(e, x).value;
    for (std::size_t i = 0; i < fine.size(); ++i) {
      const auto& c = fine[i];
      const auto expected = plain(rows, x, {(c[1] + 0.5) / 2 - 0.5, (c[2] + 0.5) / 2 - 0.5}, c[0], rule);
      for (idx ch = 0; ch < 7; ++ch) {
        EXPECT_NEAR(y(static_cast<idx>(i), ch), expected[static_cast<std::size_t>(ch)], 1e-14);
      }
    }
    EXPECT_GRADIENT(check_gradient(e, op, x), 1e-9);
    const auto dy = random<2>(y.shape(), 5);
    const auto dx = op.backward(e, {}, dy);
    double left = 0, right = 0;
    for (idx i = 0; i < y.size(); ++i) { left += dy.data()[i] * y.data()[i]; }
    for (idx i = 0; i < x.size(); ++i) { right += x.data()[i] * dx.data()[i]; }
    EXPECT_NEAR(left, right, 1e-12 * std::abs(left));
  }
  // To the same sites it is the identity, and one term each.
  const auto same = sparse::make_interpolation_plan<double>(e, from, from);
  EXPECT_EQ(same.back.entry.size(), from.rows);
  EXPECT_TRUE(same_bits(sparse::interpolate_op<double>{same}.forward(e, x).value, x));
}

TEST(interpolate, gradients_to_features_and_points) {
  cpu e{.threads = 2};
  const auto s = sparse::make_sites<2>(e, as_tensor(random_cells{8}.draw(18, 2, {5, 6}), 2), {5, 6}, 2);
  const auto batch = batches_of(200, 2);
  grid_map<2> map{{2, 0.5}, {-0.3, 0.2}};
  for (const auto& rule : rules) {
    for (const idx channels : {1, 7}) {
      auto x = random<2>({s.rows, channels}, 2);
      auto p = random<2>({200, 2}, 3);
      for (idx i = 0; i < 200; ++i) { p(i, 0) = 1 + p(i, 0), p(i, 1) = 5 + 5 * p(i, 1); }
      const sparse::interpolate_at_op<2> op{s, map, rule};
      auto b = batch;
      const auto report = check_gradient(e, op, {.step = 1e-5}, x, p, b);
      EXPECT_LE(report.worst, 1e-7) << report.where << " " << report.analytic << " " << report.numeric;
      EXPECT_GT(report.nonzero, s.rows / 2 * channels);
    }
  }
}

TEST(interpolate, the_slope_on_a_cell_is_that_towards_larger_positions) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 1}, {0, 2}}, 1), {3});
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 1, x(1, 0) = 3, x(2, 0) = 10;
  const sparse::interpolate_at_op<1> op{s, {{2}, {0}}};
  const auto p = points_at<1>({{0.5}, {0.25}, {1}, {7}, {std::numeric_limits<double>::quiet_NaN()}});
  const auto r = op.forward(e, x, p);
  const auto [dx, dp] = op.backward(e, r.saved, make_tensor<double, 2>({5, 1}, 1.0), std::array{true, true});
  EXPECT_THAT(dp.span(), ElementsAre(14, 4, -20, 0, 0));
  EXPECT_THAT(dx.span(), ElementsAre(0.5, 1.5, 1));
  const auto [none, only] = op.backward(e, r.saved, make_tensor<double, 2>({5, 1}, 1.0), std::array{false, true});
  EXPECT_FALSE(none);
  EXPECT_TRUE(same_bits(only, dp));
}

TEST(interpolate, rows_that_share_a_voxel_are_represented_by_the_lowest) {
  cpu e{.threads = 1};
  const auto s =
      sparse::make_sites<1>(e, as_tensor({{0, 2}, {0, 1}, {0, 1}}, 1), {3}, 1, sparse::voxel_sharing::allowed);
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 10, x(1, 0) = 2, x(2, 0) = 1000;
  EXPECT_EQ(sparse::interpolate_at_op<1>{s}.forward(e, x, points_at<1>({{1.5}})).value(0, 0), 6);
}

TEST(interpolate, is_the_same_for_any_number_of_threads) {
  const auto rows = as_tensor(random_cells{9}.draw(3000, 2, {20, 20, 20}), 3);
  const auto x = random_float<2>({rows.extent(0), 19}, 1);
  auto p = random_float<2>({4000, 3}, 2, 5);
  for (auto& v : p.span()) { v += 10; }
  std::vector<tensor<float, 2>> kept;
  for (const int threads : {1, 2, 3, 4, 1}) {
    cpu e{.threads = threads};
    const auto s = sparse::make_sites<3>(e, rows, {20, 20, 20}, 2);
    const sparse::interpolate_at_op<3> op{s, {}, rules[1]};
    const auto r = op.forward(e, x, p);
    const auto [dx, dp] = op.backward(e, r.saved, r.value, std::array{true, true});
    const std::vector<tensor<float, 2>> now{r.value, dx, dp};
    if (kept.empty()) { kept = now; }
    for (std::size_t i = 0; i < now.size(); ++i) { EXPECT_TRUE(same_bits(now[i], kept[i])) << threads << " " << i; }
  }
}

TEST(interpolate, nothing_between_nothing) {
  cpu e{.threads = 1};
  const auto none = sparse::make_sites<2>(e, as_tensor({}, 2), {3, 3});
  const sparse::interpolate_at_op<2> op{none};
  const auto x = make_tensor<double, 2>({0, 2});
  const auto r = op.forward(e, x, points_at<2>({{1, 1}}));
  EXPECT_THAT(r.value.span(), ElementsAre(0, 0));
  const auto [dx, dp] = op.backward(e, r.saved, r.value, std::array{true, true});
  EXPECT_EQ(dx.shape(), x.shape());
  EXPECT_THAT(dp.span(), ElementsAre(0, 0));
  const auto plan = sparse::make_interpolation_plan<double>(e, none, none);
  EXPECT_EQ(sparse::interpolate_op<double>{plan}.forward(e, x).value.shape(), x.shape());
}

TEST(interpolate, errors) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 2}}, 1), {3});
  const auto two = sparse::make_sites<1>(e, as_tensor({{1, 2}}, 1), {3}, 2);
  EXPECT_THAT(message_of([&] { sparse::make_interpolation_plan<float>(e, s, two); }),
              HasSubstr("features have 1 batches, the sites wanted 2; both must have the same"));
  const sparse::interpolate_at_op<1> op{s};
  const auto x = make_tensor<double, 2>({1, 1}), p = make_tensor<double, 2>({2, 1});
  EXPECT_THAT(message_of([&] { op.forward(e, p, p); }), HasSubstr("x has 2 rows, the sites 1"));
  EXPECT_THAT(message_of([&] {
                op.forward(e, x, make_tensor<double, 2>({2, 3}));
              }),
              HasSubstr("interpolate_at_op: points have 3 columns, the grid 1 axes"));
  EXPECT_THAT(message_of([&] { op.forward(e, x, p, batches_of(3, 1)); }), HasSubstr("3 batch numbers for 2 points"));
  EXPECT_THAT(message_of([&] { op.forward(e, x, p, batches_of(2, 6)); }), HasSubstr("point 1 is in batch 5 of 1"));
  const auto plan = sparse::make_interpolation_plan<double>(e, s, s);
  EXPECT_THAT(message_of([&] { sparse::interpolate_op<double>{plan}.forward(e, p); }),
              HasSubstr("interpolate_op: x has 2 rows, the plan 1"));
}

sparse::sites<1> line(cpu& e, std::initializer_list<std::int32_t> cells, idx grid) {
  auto c = make_tensor<std::int32_t, 2>({static_cast<idx>(cells.size()), 2});
  idx i = 0;
  for (const auto x : cells) { c(i, 0) = 0, c(i++, 1) = x; }
  return sparse::make_sites<1>(e, c, {grid});
}
TEST(interpolate, cells_that_no_float_can_name) {
  cpu e{.threads = 1};
  const auto s = line(e, {16777215, 16777216, 16777217, 16777218}, idx{1} << 26);
  auto x = make_tensor<float, 2>({4, 1});
  for (idx i = 0; i < 4; ++i) { x(i, 0) = static_cast<float>(i + 1); }
  const auto plan = sparse::make_interpolation_plan<float>(e, s, s, sparse::grid_map<1>{});
  const auto y = sparse::interpolate_op<float>{plan}.forward(e, x).value;
  for (idx i = 0; i < 4; ++i) { EXPECT_EQ(y(i, 0), x(i, 0)) << i; }
}
TEST(interpolate, a_weight_that_is_all_rounding_is_none) {
  cpu e{.threads = 1}; // the target lies on the absent cell 1; 49 * (1/49) need not be 1
  const auto from = line(e, {0}, 2), to = line(e, {49}, 50);
  auto x = make_tensor<double, 2>({1, 1});
  x(0, 0) = 7;
  const auto plan = sparse::make_interpolation_plan<double>(
      e, from, to, sparse::grid_map<1>::of_cells({50}, {2}, true),
      {.kind = sparse::interpolation::linear, .missing = sparse::missing_neighbours::renormalise});
  EXPECT_EQ(sparse::interpolate_op<double>{plan}.forward(e, x).value(0, 0), 0);
}

} // namespace interpolate_test

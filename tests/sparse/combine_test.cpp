// SPDX-License-Identifier: Apache-2.0
// Several sparse tensors become one: numbers by hand, maps of coordinates, gradients, bits across threads, errors.
#include "../support/check.hpp"
#include "plan_oracle.hpp"
#include "weighted_sum.hpp"

#include <sqs/sparse/combine.hpp>
#include <sqs/sparse/coo_tensor.hpp>
#include <sqs/sparse/stack.hpp>

#include <map>

namespace combine_test {

using namespace sqs;
using namespace sqs::test;
using sparse::combination;
using sparse::combine_op;
using sparse::concatenate_channels_op;
using testing::ElementsAre;
using testing::HasSubstr;

tensor<double, 2> rows_of(const std::vector<std::vector<double>>& v) {
  auto t = make_tensor<double, 2>({static_cast<idx>(v.size()), static_cast<idx>(v[0].size())});
  idx n = 0;
  for (const auto& r : v) {
    for (const double d : r) { t.data()[n++] = d; }
  }
  return t;
}
constexpr std::array kinds{combination::sum, combination::mean, combination::product};

/// a at 3, 0, 5 (in this order), b at 5, 1.
struct pair_of_lines {
  cpu e{.threads = 2};
  sparse::sites<1> a = sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 0}, {0, 5}}, 1), {6});
  sparse::sites<1> b = sparse::make_sites<1>(e, as_tensor({{0, 5}, {0, 1}}, 1), {6});
  tensor<double, 2> x = rows_of({{3, 30}, {2, 20}, {5, 50}}), y = rows_of({{7, 70}, {1, 10}});
};

TEST(combine, union_by_hand) {
  pair_of_lines l;
  const auto j = sparse::unite(l.e, l.a, l.b);
  EXPECT_EQ(as_cells(j.at.coordinates(l.e)), (std::vector<cell>{{0, 0}, {0, 1}, {0, 3}, {0, 5}}));
  EXPECT_THAT(j.rows.row[0].span(), ElementsAre(1, -1, 0, 2));
  EXPECT_THAT(j.rows.row[1].span(), ElementsAre(-1, 1, -1, 0));
  EXPECT_THAT(j.rows.output[0].span(), ElementsAre(2, 0, 3));
  EXPECT_THAT(j.rows.output[1].span(), ElementsAre(3, 1));
  const auto run = [&](combination how) { return combine_op<2>{j.rows, how}.forward(l.e, l.x, l.y).value; };
  EXPECT_THAT(run(combination::sum).span(), ElementsAre(2, 20, 1, 10, 3, 30, 12, 120));
  EXPECT_THAT(run(combination::mean).span(), ElementsAre(2, 20, 1, 10, 3, 30, 6, 60));
  EXPECT_THAT(run(combination::product).span(), ElementsAre(0, 0, 0, 0, 0, 0, 35, 3500));
  const auto c = concatenate_channels_op<2>{j.rows}.forward(l.e, l.x, l.y).value;
  EXPECT_THAT(c.span(), ElementsAre(2, 20, 0, 0, 0, 0, 1, 10, 3, 30, 0, 0, 5, 50, 7, 70));
}

TEST(combine, intersection_by_hand) {
  pair_of_lines l;
  const auto j = sparse::intersect(l.e, l.a, l.b);
  EXPECT_EQ(as_cells(j.at.coordinates(l.e)), (std::vector<cell>{{0, 5}}));
  EXPECT_THAT(combine_op<2>{j.rows}.forward(l.e, l.x, l.y).value.span(), ElementsAre(12, 120));
  const auto c = concatenate_channels_op<2>{j.rows};
  const auto r = c.forward(l.e, l.x, l.y);
  EXPECT_THAT(r.value.span(), ElementsAre(5, 50, 7, 70));
  const auto [dx, dy] = c.backward(l.e, r.saved, rows_of({{1, 2, 3, 4}}), {true, true});
  EXPECT_THAT(dx.span(), ElementsAre(0, 0, 0, 0, 1, 2));
  EXPECT_THAT(dy.span(), ElementsAre(3, 4, 0, 0));
}

TEST(combine, gradients_nobody_wants_are_not_made) {
  pair_of_lines l;
  const auto j = sparse::unite(l.e, l.a, l.b);
  const combine_op<2> op{j.rows};
  const auto [dx, dy] =
      op.backward(l.e, op.forward(l.e, l.x, l.y).saved, make_tensor<double, 2>({4, 2}), {false, true});
  EXPECT_FALSE(dx);
  EXPECT_TRUE(dy);
}

TEST(combine, the_same_sites_stay_as_they_are) {
  pair_of_lines l;
  const auto j = sparse::unite(l.e, l.a, l.a, l.a);
  EXPECT_TRUE(j.at.same(l.a));
  EXPECT_TRUE(sparse::intersect(l.e, l.a, l.a).at.same(l.a));
  auto three = combine_op<3>{j.rows}.forward(l.e, l.x, l.x, l.x).value;
  EXPECT_THAT(three.span(), ElementsAre(9, 90, 6, 60, 15, 150));
  // Equal sites in other handles are joined by coordinate.
  const auto other = sparse::make_sites<1>(l.e, as_tensor({{0, 5}, {0, 3}, {0, 0}}, 1), {6});
  const auto k = sparse::intersect(l.e, l.a, other);
  EXPECT_THAT(k.rows.row[0].span(), ElementsAre(1, 0, 2));
  EXPECT_THAT(k.rows.row[1].span(), ElementsAre(2, 1, 0));
  const auto side_by_side =
      concatenate_channels_op<2>{sparse::join_of_equal_rows<2>(3)}.forward(l.e, l.x, rows_of({{1}, {2}, {3}})).value;
  EXPECT_THAT(side_by_side.span(), ElementsAre(3, 30, 1, 2, 20, 2, 5, 50, 3));
}

/// Three sets that overlap, in two batches.
struct three_sets {
  std::array<std::vector<cell>, 3> cells;
  std::array<sparse::sites<3>, 3> at;

  three_sets(cpu& e, int n, const std::array<idx, 3>& grid = {5, 6, 130}) {
    for (std::size_t k = 0; k < 3; ++k) {
      cells[k] = random_cells{k + 5}.draw(n + static_cast<int>(k), 2, {grid.begin(), grid.end()});
      at[k] = sparse::make_sites<3>(e, as_tensor(cells[k], 3), grid, 2);
    }
  }
};

TEST(combine, equals_a_map_of_coordinates) {
  cpu e{.threads = 2};
  for (const int n : {1, 64, 1500}) {
    const three_sets s(e, n);
    const idx c = n == 64 ? 33 : 3;
    const std::array x{random<2>({s.at[0].rows, c}, 1), random<2>({s.at[1].rows, c}, 2),
                       random<2>({s.at[2].rows, c}, 3)};
    std::map<cell, std::array<idx, 3>> expected;
    for (std::size_t k = 0; k < 3; ++k) {
      for (std::size_t i = 0; i < s.cells[k].size(); ++i) {
        expected.try_emplace(s.cells[k][i], std::array<idx, 3>{-1, -1, -1}).first->second[k] = static_cast<idx>(i);
      }
    }
    const auto check = [&](const sparse::site_join<3, 3>& j, bool all) {
      const auto got = as_cells(j.at.coordinates(e));
      std::array<tensor<double, 2>, 3> y;
      for (std::size_t h = 0; h < 3; ++h) { y[h] = combine_op<3>{j.rows, kinds[h]}.forward(e, x[0], x[1], x[2]).value; }
      const auto beside = concatenate_channels_op<3>{j.rows}.forward(e, x[0], x[1], x[2]).value;
      idx row = 0;
      for (const auto& [at, from] : expected) {
        const auto n_here = std::count_if(from.begin(), from.end(), [](idx f) { return f >= 0; });
        if (all && n_here < 3) { continue; }
        ASSERT_LT(row, j.at.rows);
        EXPECT_EQ(got[static_cast<std::size_t>(row)], at);
        for (idx ch = 0; ch < c; ++ch) {
          double sum = 0, product = 1;
          for (std::size_t k = 0; k < 3; ++k) {
            const double v = from[k] < 0 ? 0 : x[k](from[k], ch);
            sum += v, product *= v;
            EXPECT_EQ(beside(row, static_cast<idx>(k) * c + ch), v);
          }
          EXPECT_NEAR(y[0](row, ch), sum, 1e-15);
          EXPECT_NEAR(y[1](row, ch), sum / static_cast<double>(n_here), 1e-15);
          EXPECT_NEAR(y[2](row, ch), product, 1e-14);
        }
        ++row;
      }
      EXPECT_EQ(row, j.at.rows);
    };
    check(sparse::unite(e, s.at[0], s.at[1], s.at[2]), false);
    check(sparse::intersect(e, s.at[0], s.at[1], s.at[2]), true);
  }
}

TEST(combine, gradients) {
  cpu e{.threads = 2};
  const three_sets s(e, 60, {3, 4, 5});
  const auto everywhere = sparse::unite(e, s.at[0], s.at[1], s.at[2]);
  const auto common = sparse::intersect(e, s.at[0], s.at[1], s.at[2]);
  ASSERT_GT(common.at.rows, 9);
  auto x = random<2>({s.at[0].rows, 2}, 1), y = random<2>({s.at[1].rows, 2}, 2), z = random<2>({s.at[2].rows, 2}, 3);
  for (const auto& j : {everywhere.rows, common.rows}) {
    for (const auto how : kinds) {
      const auto report = check_gradient(e, combine_op<3>{j, how}, x, y, z);
      EXPECT_LE(report.worst, 1e-9) << report.where;
      EXPECT_GE(report.nonzero, 6 * common.at.rows);
    }
    const auto report = check_gradient(e, concatenate_channels_op<3>{j}, x, y, z);
    EXPECT_LE(report.worst, 1e-9) << report.where;
    EXPECT_GE(report.nonzero, 6 * common.at.rows);
  }
  pair_of_lines l;
  for (const auto how : kinds) {
    EXPECT_GRADIENT(check_gradient(e, combine_op<2>{sparse::unite(e, l.a, l.b).rows, how}, l.x, l.y), 1e-9);
  }
  EXPECT_GRADIENT(check_gradient(e, concatenate_channels_op<2>{sparse::unite(e, l.a, l.b).rows}, l.x, l.y), 1e-9);
}

TEST(combine, in_a_graph) {
  pair_of_lines l;
  const auto j = sparse::unite(l.e, l.a, l.b);
  parameter<double, 2> x{l.x, {}}, y{l.y, {}}, frozen{l.y, {}, false};
  training_graph<cpu> g{l.e};
  const auto once = sqs::apply(g, combine_op<2>{j.rows}, x, y);
  EXPECT_THAT(once.value().span(), ElementsAre(2, 20, 1, 10, 3, 30, 12, 120));
  // Stacked gradients are parts of one block; a second use of x adds to its part and to nobody else's.
  const auto twice = sqs::apply(g, sparse::stack_rows_op<3>{}, x, frozen, once);
  g.backward(sqs::apply(g, weighted_sum_op{}, twice));
  const auto w = [](idx i) { return weighted_sum_op::weight(i); };
  for (idx c = 0; c < 2; ++c) { // output rows 0 .. 3 of the union are rows 5 .. 8 of the stack
    EXPECT_DOUBLE_EQ(x.gradient(0, c), w(c) + w(14 + c));
    EXPECT_DOUBLE_EQ(x.gradient(1, c), w(2 + c) + w(10 + c));
    EXPECT_DOUBLE_EQ(x.gradient(2, c), w(4 + c) + w(16 + c));
    EXPECT_DOUBLE_EQ(y.gradient(0, c), w(16 + c));
    EXPECT_DOUBLE_EQ(y.gradient(1, c), w(12 + c));
  }
  EXPECT_FALSE(frozen.gradient);
}

TEST(combine, is_the_same_for_any_number_of_threads) {
  std::vector<double> kept;
  for (const int threads : {1, 2, 3, 4}) {
    cpu e{.threads = threads};
    const three_sets s(e, 2500);
    const auto j = sparse::unite(e, s.at[0], s.at[1], s.at[2]), k = sparse::intersect(e, s.at[2], s.at[0], s.at[1]);
    std::vector<double> now;
    const auto keep = [&](const auto& t) {
      for (const auto v : t.span()) { now.push_back(static_cast<double>(v)); }
    };
    for (std::size_t i = 0; i < 3; ++i) { keep(j.rows.row[i]), keep(j.rows.output[i]), keep(k.rows.row[i]); }
    keep(j.at.coordinates(e)), keep(k.at.coordinates(e));
    const auto x = random<2>({s.at[0].rows, 5}, 1), y = random<2>({s.at[1].rows, 5}, 2),
               z = random<2>({s.at[2].rows, 5}, 3);
    keep(combine_op<3>{j.rows, combination::mean}.forward(e, x, y, z).value);
    if (kept.empty()) { kept = now; }
    EXPECT_EQ(now, kept) << threads;
  }
}

TEST(combine, nothing_joins_nothing) {
  cpu e{.threads = 1};
  const auto none = sparse::make_sites<1>(e, as_tensor({}, 1), {6}),
             other = sparse::make_sites<1>(e, as_tensor({}, 1), {6});
  const auto some = sparse::make_sites<1>(e, as_tensor({{0, 2}}, 1), {6});
  EXPECT_EQ(sparse::unite(e, none, other).at.rows, 0);
  EXPECT_EQ(sparse::unite(e, none, some).at.rows, 1);
  const auto j = sparse::intersect(e, some, none);
  EXPECT_EQ(j.at.rows, 0);
  const combine_op<2> op{j.rows};
  const auto x = make_tensor<double, 2>({1, 2}), y = make_tensor<double, 2>({0, 2});
  const auto r = op.forward(e, x, y);
  EXPECT_EQ(r.value.shape(), (extents<2>{0, 2}));
  const auto [dx, dy] = op.backward(e, r.saved, r.value, {true, true});
  EXPECT_THAT(dx.span(), ElementsAre(0, 0));
  EXPECT_EQ(dy.shape(), y.shape());
}

TEST(combine, errors) {
  pair_of_lines l;
  const auto larger = sparse::make_sites<1>(l.e, as_tensor({{0, 5}}, 1), {7});
  EXPECT_THAT(
      message_of([&] { sparse::unite(l.e, l.a, larger); }),
      HasSubstr("unite: input 1 has 1 batches of a grid of 7, input 0 has 1 of 6; bring both to the same grid"));
  const auto twice = sparse::make_sites<1>(l.e, as_tensor({{0, 5}, {0, 5}}, 1), {6}, 1, sparse::voxel_sharing::allowed);
  EXPECT_THAT(message_of([&] { sparse::intersect(l.e, l.a, twice); }),
              HasSubstr("intersect: rows of input 1 share voxels; merge them first"));
  const auto j = sparse::unite(l.e, l.a, l.b).rows;
  EXPECT_THAT(message_of([&] { combine_op<2>{j}.forward(l.e, l.x, l.x); }),
              HasSubstr("combine_op: input 1 has 3 rows, the join was made for 2"));
  EXPECT_THAT(message_of([&] {
                combine_op<2>{j}.forward(l.e, l.x, make_tensor<double, 2>({2, 3}));
              }),
              HasSubstr("combine_op: input 1 has 3 channels, input 0 has 2"));
}

TEST(stack, batches_follow_each_other) {
  pair_of_lines l;
  const auto two = sparse::make_sites<1>(l.e, as_tensor({{1, 2}, {0, 4}}, 1), {6}, 2);
  const std::vector<sparse::sites<1>> items{l.a, two, l.b};
  const auto s = sparse::stack_sites<1>(l.e, items);
  EXPECT_EQ(s.batches(), 4);
  EXPECT_EQ(as_cells(s.coordinates(l.e)), (std::vector<cell>{{0, 3}, {0, 0}, {0, 5}, {2, 2}, {1, 4}, {3, 5}, {3, 1}}));
  EXPECT_EQ(s.find({2, 2}), 3);
  EXPECT_EQ(s.find({3, 1}), 6);
  EXPECT_EQ(s.find({0, 1}), -1);
  const auto back = sparse::slice_batch(l.e, s, 3);
  EXPECT_THAT(back.rows.span(), ElementsAre(5, 6));
}

TEST(stack, equals_sites_made_at_once) {
  cpu e{.threads = 2};
  for (const bool shared : {false, true}) {
    std::vector<sparse::sites<3>> items;
    std::vector<cell> all;
    for (const unsigned k : {1u, 2u, 3u}) {
      const auto cells = k == 2 ? std::vector<cell>{} : random_cells{k}.draw(700, 2, {4, 5, 70}, !shared);
      items.push_back(sparse::make_sites<3>(e, as_tensor(cells, 3), {4, 5, 70}, 2, sparse::voxel_sharing::allowed));
      for (auto c : cells) {
        c[0] += static_cast<int>(2 * (k - 1));
        all.push_back(c);
      }
    }
    const auto s = sparse::stack_sites<3>(e, items);
    const auto expected = sparse::make_sites<3>(e, as_tensor(all, 3), {4, 5, 70}, 6, sparse::voxel_sharing::allowed);
    EXPECT_EQ(as_cells(s.coordinates(e)), all);
    EXPECT_EQ(s.shared(), shared);
    EXPECT_THAT(s.key.span(), testing::ElementsAreArray(expected.key.span()));
    EXPECT_THAT(s.order.span(), testing::ElementsAreArray(expected.order.span()));
    EXPECT_THAT(s.words.mask.span(), testing::ElementsAreArray(expected.words.mask.span()));
  }
}

TEST(stack, rows_and_gradients) {
  pair_of_lines l;
  const sparse::stack_rows_op<3> op;
  const auto r = op.forward(l.e, l.x, l.y, make_tensor<double, 2>({0, 2}));
  EXPECT_THAT(r.value.span(), ElementsAre(3, 30, 2, 20, 5, 50, 7, 70, 1, 10));
  auto z = random<2>({4, 2}, 1);
  EXPECT_GRADIENT(check_gradient(l.e, op, l.x, l.y, z), 1e-9);
}

TEST(stack, errors) {
  pair_of_lines l;
  const std::vector<sparse::sites<1>> items{l.a, sparse::make_sites<1>(l.e, as_tensor({{0, 5}}, 1), {7})};
  EXPECT_THAT(message_of([&] { sparse::stack_sites<1>(l.e, items); }),
              HasSubstr("stack_sites: item 1 has a grid of 7, item 0 has 6; they must agree"));
  EXPECT_THAT(message_of([&] { sparse::stack_sites<1>(l.e, {}); }), HasSubstr("no sites; give at least one"));
  EXPECT_THAT(message_of([&] {
                sparse::stack_rows_op<2>{}.forward(l.e, l.x, make_tensor<double, 2>({2, 3}));
              }),
              HasSubstr("stack_rows: item 1 has 3 channels, item 0 has 2"));
}

} // namespace combine_test

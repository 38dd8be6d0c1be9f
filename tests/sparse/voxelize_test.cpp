// SPDX-License-Identifier: Apache-2.0
// Points to voxels: which voxel, which row, which features.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/voxelize.hpp>

#include <map>

namespace voxelize_test {

using namespace sqs;
using namespace sqs::test;
using sparse::point_reduction;
using testing::ElementsAre;
using testing::HasSubstr;

const sparse::voxel_grid<double, 2> box{{-1, 0}, {1, 3}, {0.5, 1}};

tensor<double, 2> points_at(const std::vector<std::array<double, 2>>& p) {
  auto t = make_tensor<double, 2>({static_cast<idx>(p.size()), 2});
  for (std::size_t i = 0; i < p.size(); ++i) {
    for (std::size_t a = 0; a < 2; ++a) { t(static_cast<idx>(i), static_cast<idx>(a)) = p[i][a]; }
  }
  return t;
}

TEST(voxelize, floor_rule_by_hand) {
  cpu e{.threads = 1};
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(box.extents(), (std::array<idx, 2>{4, 3}));
  const auto v = sparse::voxelize(
      e,
      points_at(
          {{0.5, 2}, {-1, 0}, {-1.01, 0}, {0.49, 1.99}, {1, 0}, {-0.6, 0.9}, {nan, 1}, {0, inf}, {0.9, 2.5}, {0, 3}}),
      box);
  // On a face: the voxel above it; on the upper end, outside, NaN and infinite: none.
  EXPECT_EQ(as_cells(v.at.coordinates(e)), (std::vector<cell>{{0, 0, 0}, {0, 2, 1}, {0, 3, 2}}));
  EXPECT_THAT(v.row_of_point.span(), ElementsAre(2, 0, -1, 1, -1, 0, -1, -1, 2, -1));
  EXPECT_THAT(v.point.span(), ElementsAre(1, 5, 3, 0, 8));
  EXPECT_THAT(v.begin.span(), ElementsAre(0, 2, 3, 5));
  EXPECT_TRUE(v.at.sorted());
  EXPECT_EQ(v.at.find({0, 3, 2}), 2);
}

TEST(voxelize, features_by_hand) {
  cpu e{.threads = 1};
  const auto v = sparse::voxelize(e, points_at({{0, 0}, {9, 9}, {0.1, 0.2}, {0.9, 2}, {0.2, 0.4}}), box);
  auto x = make_tensor<double, 2>({5, 2});
  const double values[5][2] = {{3, 8}, {100, 100}, {6, 2}, {5, -7}, {0, 8}};
  for (idx i = 0; i < 5; ++i) { x(i, 0) = values[i][0], x(i, 1) = values[i][1]; }
  const auto run = [&](point_reduction r) { return sparse::voxel_features_op<2>{v, r}.forward(e, x).value; };
  EXPECT_THAT(run(point_reduction::mean).span(), ElementsAre(3, 6, 5, -7));
  EXPECT_THAT(run(point_reduction::max).span(), ElementsAre(6, 8, 5, -7));
  EXPECT_THAT(run(point_reduction::first).span(), ElementsAre(3, 8, 5, -7));
  // Of equal largest ones the lowest point gets the gradient.
  const sparse::voxel_features_op<2> max{v, point_reduction::max};
  auto d = make_tensor<double, 2>({2, 2}, 1.0);
  EXPECT_THAT(max.backward(e, max.forward(e, x).saved, d).span(), ElementsAre(0, 1, 0, 0, 1, 0, 1, 1, 0, 0));
  x(2, 0) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(run(point_reduction::max)(0, 0)));
}

TEST(voxelize, gradients) {
  cpu e{.threads = 2};
  auto p = random<2>({60, 2}, 3, 0.8);
  for (idx i = 0; i < 60; ++i) { p(i, 1) += 1.5; }
  const auto v = sparse::voxelize(e, p, box);
  ASSERT_LT(v.at.rows, v.point.size());
  ASSERT_LT(v.point.size(), 60);
  for (const auto r : {point_reduction::mean, point_reduction::max, point_reduction::first}) {
    for (const idx channels : {1, 7}) {
      auto x = random<2>({60, channels}, 4);
      const sparse::voxel_features_op<2> op{v, r};
      const auto report = check_gradient(e, op, x);
      EXPECT_LE(report.worst, 1e-9) << report.where;
      EXPECT_EQ(report.nonzero, (r == point_reduction::mean ? v.point.size() : v.at.rows) * channels);
    }
  }
}

TEST(voxelize, equals_a_map_of_cells) {
  cpu e{.threads = 2};
  const sparse::voxel_grid<float, 3> cube{{-4, -4, -1}, {4, 4, 3}, {0.25f, 0.25f, 0.5f}};
  const auto p = random_float<2>({5000, 4}, 5, 2);
  auto batch = make_tensor<std::int32_t, 1>({5000});
  for (idx i = 0; i < 5000; ++i) { batch(i) = static_cast<std::int32_t>(i * 7 % 3); }
  const auto v = sparse::voxelize(e, p, cube, batch, 3);
  std::map<cell, std::vector<idx>> expected;
  for (idx i = 0; i < 5000; ++i) {
    const float x = p(i, 0), y = p(i, 1), z = p(i, 2);
    if (x < -4 || x >= 4 || y < -4 || y >= 4 || z < -1 || z >= 3) { continue; }
    expected[{batch(i), static_cast<int>((x + 4) / 0.25f), static_cast<int>((y + 4) / 0.25f),
              static_cast<int>((z + 1) / 0.5f)}]
        .push_back(i);
  }
  const auto cells = as_cells(v.at.coordinates(e));
  ASSERT_EQ(cells.size(), expected.size());
  idx row = 0;
  for (const auto& [c, points] : expected) {
    EXPECT_EQ(cells[static_cast<std::size_t>(row)], c);
    for (const idx i : points) { EXPECT_EQ(v.row_of_point(i), row); }
    EXPECT_EQ(std::vector<idx>(v.point.data() + v.begin(row), v.point.data() + v.begin(row + 1)), points);
    ++row;
  }
}

TEST(voxelize, is_the_same_for_any_number_of_threads) {
  const sparse::voxel_grid<float, 3> cube{{-4, -4, -1}, {4, 4, 3}, {0.25f, 0.25f, 0.5f}};
  const auto p = random_float<2>({40000, 3}, 5, 2);
  const auto x = random_float<2>({40000, 5}, 6);
  const auto build = [&](int threads) {
    cpu e{.threads = threads};
    const auto v = sparse::voxelize(e, p, cube);
    const auto y = sparse::voxel_features_op<3>{v, point_reduction::mean}.forward(e, x).value;
    std::vector<float> all(y.begin(), y.end());
    for (const auto r : v.row_of_point.span()) { all.push_back(static_cast<float>(r)); }
    return all;
  };
  const auto one = build(1);
  for (const int threads : {1, 2, 3, 4}) { EXPECT_EQ(build(threads), one) << threads; }
}

TEST(voxelize, no_points) {
  cpu e{.threads = 1};
  for (const auto& p : {points_at({}), points_at({{5, 5}})}) {
    const auto v = sparse::voxelize(e, p, box);
    EXPECT_EQ(v.at.rows, 0);
    const sparse::voxel_features_op<2> op{v, point_reduction::mean};
    const auto x = random<2>({p.extent(0), 3}, 1);
    const auto r = op.forward(e, x);
    EXPECT_EQ(r.value.shape(), (extents<2>{0, 3}));
    EXPECT_EQ(op.backward(e, r.saved, r.value).shape(), x.shape());
  }
}

TEST(voxelize, errors) {
  cpu e{.threads = 1};
  const auto p = points_at({{0, 0}, {0, 1}});
  auto batch = make_tensor<std::int32_t, 1>({2});
  EXPECT_THAT(message_of([&] {
                sparse::voxelize(e, p, sparse::voxel_grid<double, 3>{{0, 0, 0}, {1, 1, 1}, {1, 1, 1}});
              }),
              HasSubstr("points have 2 columns; the first 3 must be the position"));
  EXPECT_THAT(message_of([&] {
                sparse::voxelize(e, p, sparse::voxel_grid<double, 2>{{0, 0}, {1, -1}, {1, 1}});
              }),
              HasSubstr("axis 1 goes from 0 to -1 in steps of 1"));
  EXPECT_THAT(message_of([&] {
                sparse::voxelize(e, p, sparse::voxel_grid<double, 2>{{0, 0}, {1, 1}, {0, 1}});
              }),
              HasSubstr("axis 0 goes from 0 to 1 in steps of 0"));
  batch(1) = 2;
  EXPECT_THAT(message_of([&] { sparse::voxelize(e, p, box, batch, 2); }), HasSubstr("point 1 is in batch 2 of 2"));
  EXPECT_THAT(message_of([&] { sparse::voxelize(e, p, box, batch.rows(0, 1), 2); }),
              HasSubstr("1 batch numbers for 2 points"));
  const auto v = sparse::voxelize(e, p, box);
  EXPECT_THAT(message_of([&] {
                sparse::voxel_features_op<2>{v}.forward(e, random<2>({3, 2}, 1));
              }),
              HasSubstr("x has 3 rows for 2 points"));
}

} // namespace voxelize_test

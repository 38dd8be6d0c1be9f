// SPDX-License-Identifier: Apache-2.0
// Sparse tensors and rows taken from them.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/coo_tensor.hpp>

namespace coo_tensor_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(coo_tensor, slices_by_batch) {
  cpu e{.threads = 2};
  const auto cells = random_cells{1}.draw(60, 3, {4, 5, 6});
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {4, 5, 6}, 4);
  const auto x = sparse::make_coo_tensor(s, random<2>({s.rows, 7}, 2));
  EXPECT_EQ(x.rows(), 60);
  EXPECT_EQ(x.channels(), 7);
  idx total = 0;
  for (int b = 0; b < 4; ++b) {
    const auto part = sparse::slice_batch(e, x.at, b);
    std::vector<cell> expected;
    for (const auto& c : cells) {
      if (c[0] == b) { expected.push_back(c); }
    }
    EXPECT_EQ(as_cells(part.at.coordinates(e)), expected); // order and batch number stay
    const auto y = sparse::take_rows_op{part.rows}.forward(e, x.features).value;
    for (idx i = 0; i < part.at.rows; ++i) {
      const idx row = s.find({b, expected[static_cast<std::size_t>(i)][1], expected[static_cast<std::size_t>(i)][2],
                              expected[static_cast<std::size_t>(i)][3]});
      for (idx c = 0; c < 7; ++c) { EXPECT_EQ(y(i, c), x.features(row, c)); }
    }
    total += part.at.rows;
  }
  EXPECT_EQ(total, s.rows);
  EXPECT_EQ(sparse::slice_batch(e, s, 3).at.rows, 0); // an item without sites
}

TEST(coo_tensor, selects_shared_voxels) {
  cpu e{.threads = 1};
  const auto s =
      sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}, {0, 3}, {0, 3}}, 1), {4}, 1, sparse::voxel_sharing::allowed);
  const auto kept = sparse::select_sites(e, s, [](idx row) { return row != 1; });
  EXPECT_THAT(kept.rows.span(), testing::ElementsAre(0, 2, 3));
  EXPECT_EQ(kept.at.voxels(), 1);
}

TEST(coo_tensor, gradient_of_taken_rows) {
  cpu e{.threads = 2};
  auto rows = make_tensor<std::int32_t, 1>({4});
  rows(0) = 7, rows(1) = 0, rows(2) = 3, rows(3) = 8;
  for (const idx channels : {1, 7, 33}) {
    auto x = random<2>({9, channels}, 3);
    const sparse::take_rows_op op{rows};
    const auto report = check_gradient(e, op, x);
    EXPECT_LE(report.worst, 1e-9) << report.where;
    EXPECT_EQ(report.nonzero, 4 * channels); // the other five rows have none
  }
  auto empty_rows = make_tensor<std::int32_t, 1>({0});
  EXPECT_EQ(sparse::take_rows_op{empty_rows}.forward(e, random<2>({9, 2}, 1)).value.extent(0), 0);
}

TEST(coo_tensor, errors) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}}, 1), {4});
  EXPECT_THAT(message_of([&] {
                sparse::make_coo_tensor(s, random<2>({3, 2}, 1));
              }),
              HasSubstr("3 rows of features for 2 sites; give one row per site"));
  EXPECT_THAT(message_of([&] { sparse::slice_batch(e, s, 1); }), HasSubstr("batch 1 of 1 does not exist"));
  auto rows = make_tensor<std::int32_t, 1>({2});
  rows(1) = 9;
  EXPECT_THAT(message_of([&] {
                sparse::take_rows_op{rows}.forward(e, random<2>({9, 2}, 1));
              }),
              HasSubstr("row 9 of 9 does not exist"));
}

TEST(coo_tensor, a_row_taken_twice_gets_both_gradients) {
  cpu e{.threads = 2};
  auto rows = make_tensor<std::int32_t, 1>({3});
  rows(0) = 2, rows(1) = 0, rows(2) = 2;
  const sparse::take_rows_op op{rows};
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 5, x(1, 0) = 6, x(2, 0) = 7;
  const auto [y, saved] = op.forward(e, x);
  EXPECT_EQ(y(0, 0), 7);
  EXPECT_EQ(y(1, 0), 5);
  EXPECT_EQ(y(2, 0), 7);
  auto dy = make_tensor<double, 2>({3, 1});
  dy(0, 0) = 1, dy(1, 0) = 10, dy(2, 0) = 100;
  const auto dx = op.backward(e, saved, dy);
  EXPECT_EQ(dx(0, 0), 10);
  EXPECT_EQ(dx(1, 0), 0);
  EXPECT_EQ(dx(2, 0), 101);
}

} // namespace coo_tensor_test

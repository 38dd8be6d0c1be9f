// SPDX-License-Identifier: Apache-2.0
// Volumes from sparse tensors and back.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/dense.hpp>

namespace dense_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(dense, holds_the_rows_and_zeros) {
  cpu e{.threads = 2};
  for (const idx channels : {1, 7, 33}) {
    const auto cells = random_cells{1}.draw(40, 2, {4, 5, 6});
    const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {4, 5, 6}, 2);
    const auto x = random<2>({40, channels}, 2);
    const sparse::to_dense_op<3> op{s};
    const auto y = op.forward(e, x).value;
    ASSERT_EQ(y.shape(), (extents<5>{2, 4, 5, 6, channels}));
    for (int b = 0; b < 2; ++b) {
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 5; ++j) {
          for (int k = 0; k < 6; ++k) {
            const auto row = std::find(cells.begin(), cells.end(), cell{b, i, j, k}) - cells.begin();
            for (idx c = 0; c < channels; ++c) { ASSERT_EQ(y(b, i, j, k, c), row < 40 ? x(row, c) : 0.0); }
          }
        }
      }
    }
    // From the volume come the same rows, in the order of the sites.
    const auto back = sparse::from_dense_op<3>{s}.forward(e, y).value;
    EXPECT_TRUE(std::equal(back.begin(), back.end(), x.begin(), x.end()));
  }
}

TEST(dense, rows_of_a_voxel_are_added) {
  cpu e{.threads = 1};
  const auto s =
      sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}, {0, 3}}, 1), {4}, 1, sparse::voxel_sharing::allowed);
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 1, x(1, 0) = 10, x(2, 0) = 100;
  const sparse::to_dense_op<1> op{s};
  EXPECT_THAT(op.forward(e, x).value.span(), testing::ElementsAre(0, 10, 0, 101));
  EXPECT_GRADIENT(check_gradient(e, op, x), 1e-9);
}

TEST(dense, gradients_and_adjoints) {
  cpu e{.threads = 2};
  const auto cells = random_cells{4}.draw(12, 2, {3, 4});
  const auto s = sparse::make_sites<2>(e, as_tensor(cells, 2), {3, 4}, 2);
  auto x = random<2>({s.rows, 3}, 5);
  auto v = random<4>({2, 3, 4, 3}, 6);
  const sparse::to_dense_op<2> to{s};
  const sparse::from_dense_op<2> from{s};
  EXPECT_GRADIENT(check_gradient(e, to, x), 1e-9);
  EXPECT_GRADIENT(check_gradient(e, from, v), 1e-9);
  const auto dense = to.forward(e, x).value;
  const auto rows = from.forward(e, v).value;
  double a = 0, b = 0;
  for (idx i = 0; i < v.size(); ++i) { a += dense.data()[i] * v.data()[i]; }
  for (idx i = 0; i < x.size(); ++i) { b += x.data()[i] * rows.data()[i]; }
  EXPECT_NEAR(a, b, 1e-12);
}

template <int D> void check_mask(const std::vector<idx>& grid) {
  cpu e{.threads = 2};
  extents<D + 1> shape{2};
  std::copy(grid.begin(), grid.end(), shape.begin() + 1);
  extents<D + 2> wide{2};
  std::copy(grid.begin(), grid.end(), wide.begin() + 1);
  wide.back() = 2;
  auto mask = make_tensor<std::uint8_t, D + 1>(shape);
  auto volume = make_tensor<double, D + 2>(wide);
  std::set<cell> expected;
  for (const auto& c : random_cells{8}.draw(60, 2, grid)) {
    idx at = c[0];
    for (std::size_t a = 0; a < grid.size(); ++a) { at = at * grid[a] + c[a + 1]; }
    mask.data()[at] = 2;
    volume.data()[2 * at + at % 2] = -0.5; // one channel is enough
    expected.insert(c);
  }
  const std::vector<cell> all(expected.begin(), expected.end());
  EXPECT_EQ(as_cells(sparse::sites_of_mask(e, mask).coordinates(e)), all);
  const auto s = sparse::sites_of_nonzero(e, volume);
  EXPECT_EQ(as_cells(s.coordinates(e)), all);
  for (idx i = 0; i < s.rows; ++i) {
    std::array<idx, D + 1> at{};
    std::copy(all[static_cast<std::size_t>(i)].begin(), all[static_cast<std::size_t>(i)].end(), at.begin());
    EXPECT_EQ(s.find(at), i);
  }
}
TEST(dense, sites_of_masks_and_volumes) {
  check_mask<1>({150});
  check_mask<2>({4, 64});
  check_mask<3>({4, 3, 65});
  check_mask<4>({3, 4, 5, 6});
}

TEST(dense, none_and_nan) {
  cpu e{.threads = 1};
  auto v = make_tensor<float, 3>({1, 5, 2});
  EXPECT_EQ(sparse::sites_of_nonzero(e, v).rows, 0);
  v(0, 3, 1) = std::numeric_limits<float>::quiet_NaN();
  v(0, 4, 0) = -0.0f;
  EXPECT_EQ(as_cells(sparse::sites_of_nonzero(e, v).coordinates(e)), (std::vector<cell>{{0, 3}}));
}

TEST(dense, errors) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}}, 1), {4});
  EXPECT_THAT(message_of([&] {
                sparse::to_dense_op<1>{s}.forward(e, random<2>({3, 2}, 1));
              }),
              HasSubstr("x has 3 rows, the sites 2"));
  EXPECT_THAT(message_of([&] {
                sparse::from_dense_op<1>{s}.forward(e, random<3>({1, 5, 2}, 1));
              }),
              HasSubstr("x is [1 x 5 x 2], the sites need [1 x 4 x 2]"));
}

} // namespace dense_test

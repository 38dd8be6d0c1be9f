// SPDX-License-Identifier: Apache-2.0
// Fewer rows and the way back: numbers by hand, sorting in full, bits across threads, errors.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/prune.hpp>

namespace prune_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T> tensor<T, 1> list(const std::vector<T>& v) {
  auto t = make_tensor<T, 1>({static_cast<idx>(v.size())});
  std::copy(v.begin(), v.end(), t.begin());
  return t;
}

TEST(prune, by_mask) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<2>(e, as_tensor({{0, 2, 1}, {1, 0, 0}, {0, 1, 3}, {1, 2, 2}}, 2), {3, 4}, 2);
  const auto kept = sparse::prune(e, s, list<std::uint8_t>({1, 0, 255, 1}));
  EXPECT_THAT(kept.rows.span(), ElementsAre(0, 2, 3));
  EXPECT_EQ(as_cells(kept.at.coordinates(e)), (std::vector<cell>{{0, 2, 1}, {0, 1, 3}, {1, 2, 2}}));
  EXPECT_EQ(kept.at.batches(), 2);
  // Features there and back.
  auto x = random<2>({4, 3}, 1);
  const sparse::take_rows_op take{kept.rows};
  const auto report = check_gradient(e, take, x);
  EXPECT_LE(report.worst, 1e-9);
  EXPECT_EQ(report.nonzero, 9);
  const auto y = take.forward(e, x).value;
  const sparse::put_rows_op put{kept.rows, 4};
  const auto z = put.forward(e, y).value;
  for (idx c = 0; c < 3; ++c) {
    EXPECT_EQ(z(0, c), x(0, c));
    EXPECT_EQ(z(1, c), 0);
    EXPECT_EQ(z(3, c), x(3, c));
  }
  auto some = random<2>({3, 3}, 2);
  EXPECT_GRADIENT(check_gradient(e, put, some), 1e-9);
}

TEST(prune, crops_boxes) {
  cpu e{.threads = 2};
  const auto cells = random_cells{4}.draw(300, 2, {9, 10, 11});
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {9, 10, 11}, 2);
  const auto kept = sparse::crop(e, s, {2, -5, 0}, {7, 4, 11});
  const auto moved = sparse::crop(e, s, {2, -5, 0}, {7, 4, 11}, sparse::crop_grid::moved);
  EXPECT_EQ(kept.at.grid(), s.grid());
  EXPECT_EQ(moved.at.grid(), (std::array<idx, 3>{5, 9, 11}));
  std::vector<cell> expected, expected_moved;
  std::vector<idx> rows;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto& c = cells[i];
    if (c[1] < 2 || c[1] >= 7 || c[2] >= 4) { continue; }
    expected.push_back(c);
    expected_moved.push_back({c[0], c[1] - 2, c[2] + 5, c[3]});
    rows.push_back(static_cast<idx>(i));
  }
  EXPECT_EQ(as_cells(kept.at.coordinates(e)), expected);
  EXPECT_EQ(as_cells(moved.at.coordinates(e)), expected_moved);
  EXPECT_THAT(kept.rows.span(), testing::ElementsAreArray(rows));
  EXPECT_THAT(moved.rows.span(), testing::ElementsAreArray(rows));
  for (std::size_t i = 0; i < expected_moved.size(); ++i) {
    const auto& c = expected_moved[i];
    EXPECT_EQ(moved.at.find({c[0], c[1], c[2], c[3]}), static_cast<idx>(i));
  }
  EXPECT_EQ(sparse::crop(e, s, {9, 0, 0}, {20, 10, 11}).at.rows, 0);
}

TEST(prune, keeps_shared_voxels_shared) {
  cpu e{.threads = 1};
  const auto s =
      sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}, {0, 3}}, 1), {4}, 1, sparse::voxel_sharing::allowed);
  const auto moved = sparse::crop(e, s, {2}, {4}, sparse::crop_grid::moved);
  EXPECT_THAT(moved.rows.span(), ElementsAre(0, 2));
  EXPECT_EQ(moved.at.voxels(), 1);
}

TEST(top_k, by_hand) {
  cpu e{.threads = 1};
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const auto s =
      sparse::make_sites<1>(e, as_tensor({{1, 0}, {0, 5}, {0, 1}, {0, 2}, {1, 3}, {0, 4}, {0, 3}, {1, 1}}, 1), {6}, 3);
  const auto rows = [&](const std::vector<double>& score, idx k) {
    const auto kept = sparse::top_k(e, s, list(score), k);
    return std::vector<int>(kept.rows.begin(), kept.rows.end());
  };
  // Item 0: rows 1, 2, 3, 5, 6; item 1: rows 0, 4, 7; item 2: none.
  EXPECT_EQ(rows({5, 1, 4, 4, -2, 4, 9, -1}, 2), (std::vector<int>{0, 2, 6, 7})); // 4 three times: the lowest row
  EXPECT_EQ(rows({5, 1, 4, 4, -2, 4, 9, -1}, 4), (std::vector<int>{0, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(rows({0, -0.0, 0, -0.0, -0.0, 0, 0, 0}, 2), (std::vector<int>{0, 1, 2, 4})); // -0 equals 0
  EXPECT_EQ(rows({nan, nan, -inf, nan, -inf, nan, inf, nan}, 2), (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(rows({5, 1, 4, 4, -2, 4, 9, -1}, 0), (std::vector<int>{}));
  EXPECT_EQ(rows({5, 1, 4, 4, -2, 4, 9, -1}, 100).size(), 8u);
}

template <class T> void expect_sorted_in_full() {
  cpu e{.threads = 2};
  const auto cells = random_cells{6}.draw(5000, 3, {20, 20, 20});
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {20, 20, 20}, 3);
  auto score = make_tensor<T, 1>({s.rows});
  const auto r = random_stream::of(5);
  for (idx i = 0; i < s.rows; ++i) { score(i) = static_cast<T>(std::round(20 * r.normal(i)) / 8); } // many equal ones
  for (const idx k : {1, 63, 700}) {
    std::vector<std::int32_t> expected;
    for (int b = 0; b < 3; ++b) {
      std::vector<std::int32_t> rows;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (cells[i][0] == b) { rows.push_back(static_cast<std::int32_t>(i)); }
      }
      std::stable_sort(rows.begin(), rows.end(), [&](int p, int q) { return score(p) > score(q); });
      rows.resize(std::min(rows.size(), static_cast<std::size_t>(k)));
      expected.insert(expected.end(), rows.begin(), rows.end());
    }
    std::sort(expected.begin(), expected.end());
    const auto kept = sparse::top_k(e, s, score, k);
    EXPECT_THAT(kept.rows.span(), testing::ElementsAreArray(expected)) << k;
    EXPECT_EQ(kept.at.rows, static_cast<idx>(expected.size()));
  }
}
TEST(top_k, equals_sorting_in_full) {
  expect_sorted_in_full<float>();
  expect_sorted_in_full<double>();
}

TEST(top_k, is_the_same_for_any_number_of_threads) {
  const auto cells = as_tensor(random_cells{6}.draw(40000, 2, {60, 60, 60}), 3);
  const auto score = random_float<1>({cells.extent(0)}, 2);
  std::vector<std::int32_t> kept;
  for (const int threads : {1, 2, 3, 4}) {
    cpu e{.threads = threads};
    const auto s = sparse::make_sites<3>(e, cells, {60, 60, 60}, 2);
    const auto now = sparse::top_k(e, s, score, 9000);
    if (kept.empty()) { kept.assign(now.rows.begin(), now.rows.end()); }
    EXPECT_THAT(now.rows.span(), testing::ElementsAreArray(kept)) << threads;
  }
}

TEST(prune, nothing_of_nothing) {
  cpu e{.threads = 1};
  const auto none = sparse::make_sites<2>(e, as_tensor({}, 2), {3, 3});
  EXPECT_EQ(sparse::prune(e, none, make_tensor<std::uint8_t, 1>({0})).at.rows, 0);
  EXPECT_EQ(sparse::crop(e, none, {0, 0}, {2, 2}, sparse::crop_grid::moved).at.rows, 0);
  EXPECT_EQ(sparse::top_k(e, none, make_tensor<float, 1>({0}), 3).at.rows, 0);
  EXPECT_EQ((sparse::put_rows_op{make_tensor<std::int32_t, 1>({0}), 0}
                 .forward(e, make_tensor<float, 2>({0, 4}))
                 .value.shape()),
            (extents<2>{0, 4}));
}

TEST(prune, errors) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<1>(e, as_tensor({{0, 3}, {0, 1}}, 1), {4});
  EXPECT_THAT(message_of([&] { sparse::prune(e, s, make_tensor<std::uint8_t, 1>({3})); }),
              HasSubstr("prune: the mask has 3 elements for 2 sites; give one per row"));
  EXPECT_THAT(message_of([&] { sparse::crop(e, s, {3}, {3}); }),
              HasSubstr("crop: axis 0 goes from 3 to 3; give lower < upper in cells"));
  EXPECT_THAT(message_of([&] { sparse::top_k(e, s, make_tensor<float, 1>({2}), -1); }), HasSubstr("k is -1; give 0"));
  EXPECT_THAT(message_of([&] { sparse::top_k(e, s, make_tensor<float, 1>({1}), 1); }),
              HasSubstr("1 scores for 2 sites"));
  EXPECT_THAT(message_of([&] {
                sparse::put_rows_op{list<std::int32_t>({0, 4}), 4}.forward(e, make_tensor<float, 2>({2, 1}));
              }),
              HasSubstr("put_rows_op: row 4 of 4 does not exist"));
  EXPECT_THAT(message_of([&] {
                sparse::put_rows_op{list<std::int32_t>({0, 1}), 4}.forward(e, make_tensor<float, 2>({3, 1}));
              }),
              HasSubstr("put_rows_op: x has 3 rows for 2 places"));
}

TEST(crop, a_box_may_be_without_bounds) {
  cpu e{.threads = 2};
  auto c = make_tensor<std::int32_t, 2>({2, 2});
  c(0, 0) = 0, c(0, 1) = 3, c(1, 0) = 0, c(1, 1) = 7;
  const auto s = sparse::make_sites<1>(e, c, {10});
  constexpr idx most = std::numeric_limits<idx>::max();
  EXPECT_EQ(sparse::crop(e, s, {-most}, {most}).at.rows, 2);
  EXPECT_EQ(sparse::crop(e, s, {4}, {most}).at.rows, 1);
  EXPECT_THROW(sparse::crop(e, s, {4}, {most}, sparse::crop_grid::moved), precondition_error);
}

} // namespace prune_test

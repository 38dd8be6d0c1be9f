// SPDX-License-Identifier: Apache-2.0
// Sites: order, permutation, finding, shared voxels, key widths, errors.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/sites.hpp>

namespace sites_test {

using namespace sqs;
using namespace sqs::test;
using sparse::make_sites;
using testing::HasSubstr;

/// The voxels of the sites, decoded in the order of the keys.
template <int D> std::vector<cell> voxels_of(const sparse::sites<D>& s) {
  std::vector<cell> all;
  for (idx v = 0; v < s.voxels(); ++v) {
    cell c;
    for (std::size_t a = 0; a <= D; ++a) { c.push_back(static_cast<int>(s.layout.coordinate(s.key(v), a))); }
    all.push_back(c);
  }
  return all;
}

template <int D> void check_order(const std::vector<idx>& grid, int count) {
  cpu e{.threads = 2};
  std::array<idx, static_cast<std::size_t>(D)> g{};
  std::copy(grid.begin(), grid.end(), g.begin());
  const auto cells = random_cells{static_cast<std::uint64_t>(D)}.draw(count, 3, grid);
  const auto s = make_sites<D>(e, as_tensor(cells, D), g, 3);
  EXPECT_EQ(s.rows, static_cast<idx>(cells.size()));
  auto sorted = cells;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(voxels_of(s), sorted);              // ascending, unique
  EXPECT_EQ(as_cells(s.coordinates(e)), cells); // the user's order is kept
  EXPECT_FALSE(s.sorted());
  for (idx i = 0; i < s.rows; ++i) {
    EXPECT_EQ(cells[static_cast<std::size_t>(s.row_at(i))], sorted[static_cast<std::size_t>(i)]);
  }
  const auto again = make_sites<D>(e, as_tensor(sorted, D), g, 3);
  EXPECT_TRUE(again.sorted()); // no permutation is kept where none is needed
  EXPECT_EQ(as_cells(again.coordinates(e)), sorted);
}

TEST(sparse_sites, keep_the_order_of_rows_and_sort_voxels) {
  check_order<1>({400}, 100);
  check_order<2>({30, 70}, 300);
  check_order<3>({20, 9, 130}, 1000);
  check_order<4>({5, 6, 7, 8}, 500);
}

TEST(sparse_sites, find) {
  cpu e{.threads = 1};
  const auto cells = random_cells{2}.draw(200, 2, {6, 7, 80});
  const auto s = make_sites<3>(e, as_tensor(cells, 3), {6, 7, 80}, 2);
  for (int b = -1; b <= 2; ++b) {
    for (int x = -1; x <= 6; ++x) {
      for (int y = -1; y <= 7; ++y) {
        for (int z = -1; z <= 80; ++z) {
          const auto at = std::find(cells.begin(), cells.end(), cell{b, x, y, z});
          ASSERT_EQ(s.find({b, x, y, z}), at == cells.end() ? -1 : at - cells.begin());
        }
      }
    }
  }
}

TEST(sparse_sites, shared_voxels_keep_their_rows_apart) {
  cpu e{.threads = 1};
  const auto c = as_tensor({{0, 2, 0, 0}, {0, 1, 1, 1}, {0, 2, 0, 0}, {0, 0, 0, 3}, {0, 2, 0, 0}}, 3);
  const auto s = make_sites<3>(e, c, {3, 3, 4}, 1, sparse::voxel_sharing::allowed);
  EXPECT_EQ(s.rows, 5);
  EXPECT_EQ(s.voxels(), 3);
  EXPECT_THAT(s.order.span(), testing::ElementsAre(3, 1, 0, 2, 4)); // equal keys by row
  EXPECT_THAT(s.voxel.span(), testing::ElementsAre(0, 1, 2, 2, 2));
  EXPECT_THAT(s.first.span(), testing::ElementsAre(0, 1, 2, 5));
  EXPECT_EQ(as_cells(s.coordinates(e)), as_cells(c));
  EXPECT_EQ(s.find({0, 2, 0, 0}), 0); // the lowest row stands for the voxel
  // Allowed, but not needed: as if it had not been asked for.
  EXPECT_FALSE(make_sites<3>(e, c.rows(0, 2), {3, 3, 4}, 1, sparse::voxel_sharing::allowed).shared());
}

TEST(sparse_sites, none_and_one) {
  cpu e{.threads = 2};
  const auto none = make_sites<3>(e, as_tensor({}, 3), {4, 4, 4});
  EXPECT_EQ(none.rows, 0);
  EXPECT_EQ(none.coordinates(e).extent(0), 0);
  EXPECT_EQ(none.find({0, 0, 0, 0}), -1);
  const auto one = make_sites<3>(e, as_tensor({{0, 3, 3, 3}}, 3), {4, 4, 4});
  EXPECT_EQ(one.find({0, 3, 3, 3}), 0);
  EXPECT_TRUE(one.same(sparse::sites<3>(one)));
}

TEST(sparse_sites, the_widest_keys) {
  cpu e{.threads = 1};
  // 9 + 18 + 18 + 18 bits, all in use.
  const int far = (1 << 18) - 1;
  const auto s = make_sites<3>(e, as_tensor({{511, far, far, far}, {0, 0, 0, 0}, {511, far, far, 0}}, 3),
                               {1 << 18, 1 << 18, 1 << 18}, 512);
  EXPECT_EQ(as_cells(s.coordinates(e)), (std::vector<cell>{{511, far, far, far}, {0, 0, 0, 0}, {511, far, far, 0}}));
  EXPECT_EQ(s.find({511, far, far, far}), 0);
  EXPECT_THAT(s.order.span(), testing::ElementsAre(1, 2, 0));
  EXPECT_THAT(message_of([&] {
                make_sites<3>(e, as_tensor({}, 3), {1 << 18, 1 << 18, 1 << 19}, 512);
              }),
              HasSubstr("take b 9 + 18 + 18 + 19 = 64 bits, a key has 63"));
  // A short last axis saves nothing: its word needs a place.
  const int wide = (1 << 30) - 1;
  const auto flat = make_sites<3>(e, as_tensor({{1, wide, wide, 0}}, 3), {1 << 30, 1 << 30, 1}, 2);
  EXPECT_EQ(flat.find({1, wide, wide, 0}), 0);
  EXPECT_THAT(message_of([&] {
                make_sites<3>(e, as_tensor({}, 3), {1 << 30, 1 << 30, 1}, 4);
              }),
              HasSubstr("take b 2 + 30 + 30 + 0 = 62 bits, a key has 63 (61 for all but the last axis)"));
  EXPECT_EQ(make_sites<1>(e, as_tensor({{0, 2147483647}}, 1), {idx{1} << 31}).find({0, 2147483647}), 0);
}

TEST(sparse_sites, errors) {
  cpu e{.threads = 2};
  const auto make = [&](const std::vector<cell>& c) {
    return message_of([&] { make_sites<3>(e, as_tensor(c, 3), {4, 5, 6}, 2); });
  };
  EXPECT_THAT(make({{0, 0, 0, 0}, {1, 3, 5, 0}, {0, -1, 0, 0}}),
              HasSubstr("row 1 has coordinates (b 1, x 3, y 5, z 0) outside 2 batches of a grid of 4 x 5 x 6; clip"));
  EXPECT_THAT(make({{0, 0, 0, 0}, {0, 0, 0, -1}}), HasSubstr("row 1 has coordinates (b 0, x 0, y 0, z -1)"));
  EXPECT_THAT(make({{2, 0, 0, 0}}), HasSubstr("row 0 has coordinates (b 2, x 0"));
  EXPECT_THAT(make({{-2147483647, 0, 0, 0}}), HasSubstr("row 0 has coordinates (b -2147483647, x 0"));
  // Of several pairs the one with the lowest coordinate is named.
  EXPECT_THAT(make({{1, 3, 4, 5}, {0, 1, 2, 3}, {1, 3, 4, 5}, {0, 0, 0, 0}, {0, 1, 2, 3}, {0, 1, 2, 3}}),
              HasSubstr("rows 1 and 4 are both at (b 0, x 1, y 2, z 3); merge them first"));
  EXPECT_THAT(message_of([&] {
                make_sites<2>(e, as_tensor({{0, 0, 0, 0}}, 3), {4, 4});
              }),
              HasSubstr("coordinates have 4 columns; give 3"));
  EXPECT_THAT(message_of([&] { make_sites<2>(e, as_tensor({}, 2), {4, 0}); }), HasSubstr("the grid is 4 x 0"));
  EXPECT_THAT(message_of([&] { make_sites<2>(e, as_tensor({}, 2), {4, 4}, 0); }), HasSubstr("batches is 0"));
  // More rows than a row number holds, without the memory: the check comes before the first read.
  const auto few = make_tensor<std::int32_t, 1>({4});
  const tensor<std::int32_t, 2> many(few.block(), const_cast<std::int32_t*>(few.data()), {idx{1} << 31, 4});
  EXPECT_THAT(message_of([&] {
                make_sites<3>(e, many, {4, 4, 4});
              }),
              HasSubstr("2147483648 rows do not fit 32-bit row numbers; split the batch"));
}

TEST(sparse_sites, are_the_same_for_any_number_of_threads) {
  const auto cells = random_cells{13}.draw(40000, 2, {60, 60, 90}, false);
  const auto build = [&](int threads) {
    cpu e{.threads = threads};
    const auto s = make_sites<3>(e, as_tensor(cells, 3), {60, 60, 90}, 2, sparse::voxel_sharing::allowed);
    std::vector<std::uint64_t> all(s.key.begin(), s.key.end());
    for (const auto* t : {&s.order, &s.voxel, &s.first, &s.words.before}) {
      all.insert(all.end(), t->begin(), t->end());
    }
    all.insert(all.end(), s.words.mask.begin(), s.words.mask.end());
    return all;
  };
  const auto one = build(1);
  for (const int threads : {1, 2, 3, 4}) { EXPECT_EQ(build(threads), one) << threads; }
}

} // namespace sites_test

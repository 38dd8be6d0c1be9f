// SPDX-License-Identifier: Apache-2.0
// Plans against brute force, for every variant; invariants; shared voxels; faces; threads; errors.
#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/plan_builder.hpp>

namespace plan_test {

using namespace sqs;
using namespace sqs::test;
using sparse::relation;
using sparse::taps;
using testing::HasSubstr;

template <std::size_t D> std::vector<idx> list(const std::array<idx, D>& a) { return {a.begin(), a.end()}; }
template <int D> plain_relation plain(const relation<D>& r) {
  return {list(r.taps.extent), list(r.stride), list(r.pad), list(r.dilation)};
}
template <class Set> std::multiset<tap_pair> multi(const Set& s) { return {s.begin(), s.end()}; }

/// Both directions of a plan hold the expected (tap, input, output).
void expect_pairs(const sparse::convolution_plan& plan, const std::multiset<tap_pair>& expected) {
  EXPECT_EQ(pairs_of(plan.forward), expected);
  if (!plan.mirrored) {
    EXPECT_EQ(exchanged(pairs_of(plan.backward)), expected);
    return;
  }
  std::multiset<tap_pair> mirrored;
  for (const auto& p : pairs_of(plan.backward)) { mirrored.insert({plan.forward.taps - 1 - p.tap, p.output, p.input}); }
  EXPECT_EQ(mirrored, expected);
}

template <int D> void check_all_variants(const relation<D>& r, const std::array<idx, static_cast<std::size_t>(D)>& grid,
                                         int rows, std::uint64_t seed, idx extra = 1) {
  SCOPED_TRACE(concat("kernel ", sparse::detail::extents_text(r.taps.extent), ", stride ",
                      sparse::detail::extents_text(r.stride), ", pad ", sparse::detail::extents_text(r.pad),
                      ", dilation ", sparse::detail::extents_text(r.dilation)));
  cpu e{.threads = 2};
  const auto cells = random_cells{seed}.draw(rows, 2, list(grid));
  const auto s = sparse::make_sites<D>(e, as_tensor(cells, D), grid, 2);
  const auto slow = plain(r);
  const auto forward = sparse::make_convolution_plan(e, s, r);
  const auto out = as_cells(forward.output.coordinates(e));
  EXPECT_EQ(out, slow.reached(cells, list(r.coarse_grid(grid)), true));
  expect_pairs(forward.plan, multi(slow.pairs(cells, out)));
  // Back again over the same pairs.
  const auto inverse = sparse::make_inverse_plan(forward);
  expect_pairs(inverse.plan, exchanged(slow.pairs(cells, out)));
  EXPECT_TRUE(inverse.output.same(s));
  const auto transposed = sparse::make_transposed_plan(e, s, r, sparse::detail::filled<D>(extra));
  const auto fine = as_cells(transposed.output.coordinates(e));
  EXPECT_EQ(fine, slow.reached(cells, list(r.fine_grid(grid, sparse::detail::filled<D>(extra))), false));
  expect_pairs(transposed.plan, exchanged(slow.pairs(fine, cells)));
}

TEST(sparse_plan, all_variants_in_three_dimensions) {
  std::uint64_t seed = 1;
  for (const idx kernel : {1, 2, 3, 5}) {
    for (const idx stride : {1, 2, 3}) {
      for (const idx pad : {0, 1, 2}) {
        for (const idx dilation : {1, 2}) {
          check_all_variants<3>({.taps = {{kernel, 3, kernel}},
                                 .stride = {stride, 2, stride},
                                 .pad = {pad, 1, pad},
                                 .dilation = {dilation, 1, dilation}},
                                {9, 5, 10}, 40, ++seed);
        }
      }
    }
  }
}

TEST(sparse_plan, other_dimensions) {
  std::uint64_t seed = 100;
  for (const idx kernel : {2, 3}) {
    for (const idx stride : {1, 2}) {
      for (const idx dilation : {1, 3}) {
        check_all_variants<1>({.taps = {{kernel}}, .stride = {stride}, .pad = {1}, .dilation = {dilation}}, {150}, 90,
                              ++seed);
        check_all_variants<2>({.taps = {{3, kernel}}, .stride = {1, stride}, .pad = {2, 1}, .dilation = {2, dilation}},
                              {5, 140}, 60, ++seed);
        check_all_variants<4>({.taps = {{kernel, 2, 1, 3}},
                               .stride = {stride, 2, 1, 2},
                               .pad = {1, 0, 0, 1},
                               .dilation = {dilation, 1, 1, 1}},
                              {6, 4, 3, 5}, 40, ++seed);
      }
    }
  }
}

TEST(sparse_plan, rows_of_several_words_and_far_taps) {
  // Taps further apart than the 64 cells of a word, and grids that end within and at the end of one.
  for (const idx length : {63, 64, 65, 128, 200}) {
    check_all_variants<1>({.taps = {{3}}, .stride = {1}, .pad = {40}, .dilation = {40}}, {length}, 50, 7, 80);
    check_all_variants<1>({.taps = {{7}}, .stride = {2}, .pad = {3}, .dilation = {31}}, {length + 150}, 70, 8, 170);
    check_all_variants<2>({.taps = {{2, 4}}, .stride = {1, 3}, .pad = {0, 90}, .dilation = {1, 29}}, {3, length}, 60, 9,
                          120);
    check_all_variants<2>({.taps = {{4, 5}}, .stride = {4, 4}, .pad = {1, 2}}, {11, length}, 60, 10);
    check_all_variants<1>({.taps = {{9}}, .stride = {8}, .pad = {1}, .dilation = {3}}, {length}, 50, 11);
    check_all_variants<1>({.taps = {{3}}, .stride = {128}, .pad = {1}, .dilation = {5}}, {3 * length}, 90, 12);
  }
}

TEST(sparse_plan, examples_by_hand) {
  cpu e{.threads = 1};
  const auto site = [&](int z) { return sparse::make_sites<3>(e, as_tensor({{0, 0, 0, z}}, 3), {1, 1, 5}); };
  // One site at z = 2 and a kernel of three: outputs 1, 2, 3 by taps 2, 1, 0.
  auto p = sparse::make_convolution_plan(e, site(2), {.taps = taps<1, 1, 3>{}, .pad = {0, 0, 1}});
  EXPECT_EQ(as_cells(p.output.coordinates(e)), (std::vector<cell>{{0, 0, 0, 1}, {0, 0, 0, 2}, {0, 0, 0, 3}}));
  EXPECT_EQ(pairs_of(p.plan.forward), (std::multiset<tap_pair>{{2, 0, 0}, {1, 0, 1}, {0, 0, 2}}));
  // Stride 2, site at z = 3: outputs 1 (tap 2) and 2 (tap 0) of a grid of three.
  p = sparse::make_convolution_plan(e, site(3), {.taps = taps<1, 1, 3>{}, .stride = {1, 1, 2}, .pad = {0, 0, 1}});
  EXPECT_EQ(p.output.grid()[2], 3);
  EXPECT_EQ(as_cells(p.output.coordinates(e)), (std::vector<cell>{{0, 0, 0, 1}, {0, 0, 0, 2}}));
  EXPECT_EQ(pairs_of(p.plan.forward), (std::multiset<tap_pair>{{2, 0, 0}, {0, 0, 1}}));
  // Transposed, two cells, kernel 3, stride 2, pad 1: three cells; 0 reaches 0 and 1, 1 reaches 1 and 2.
  const auto two = sparse::make_sites<1>(e, as_tensor({{0, 0}, {0, 1}}, 1), {2});
  const auto t = sparse::make_transposed_plan(e, two, {.taps = taps<3>{}, .stride = {2}, .pad = {1}});
  EXPECT_EQ(t.output.grid()[0], 3);
  EXPECT_EQ(pairs_of(t.plan.forward), (std::multiset<tap_pair>{{1, 0, 0}, {2, 0, 1}, {0, 1, 1}, {1, 1, 2}}));
  // Kernel 2, stride 2: every voxel has eight children of its own.
  const auto children = sparse::make_transposed_plan(e, site(4), {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}});
  EXPECT_EQ(children.output.rows, 8);
  EXPECT_EQ(children.plan.forward.pairs(), 8);
}

TEST(sparse_plan, submanifold_equals_brute_force) {
  cpu e{.threads = 2};
  std::uint64_t seed = 40;
  for (const auto& kernel :
       std::vector<std::array<idx, 3>>{{3, 3, 3}, {5, 5, 5}, {1, 3, 5}, {3, 3, 1}, {1, 1, 1}, {1, 1, 9}}) {
    for (const idx dilation : {1, 2}) {
      const std::array<idx, 3> grid{7, 6, 9};
      const auto cells = random_cells{++seed}.draw(120, 2, list(grid));
      const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), grid, 2);
      const auto plan = sparse::make_submanifold_plan(e, s, {kernel}, {dilation, dilation, 1});
      const auto r = sparse::submanifold_relation<3>({kernel}, {dilation, dilation, 1});
      EXPECT_TRUE(plan.mirrored);
      expect_pairs(plan, multi(plain(r).pairs(cells, cells)));
      for (idx i = 0; i < s.rows; ++i) { // the middle tap sees the row itself
        EXPECT_EQ(pairs_of(plan.forward).count({r.taps.count() / 2, i, i}), 1u);
      }
    }
  }
}

TEST(sparse_plan, tiles_of_every_size) {
  cpu e{.threads = 2};
  for (const int n : {0, 1, 63, 64, 65, 127, 128, 129, 1023, 1025}) {
    const std::array<idx, 3> grid{16, 8, 16};
    const auto cells = random_cells{9}.draw(n, 1, list(grid));
    const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), grid);
    ASSERT_EQ(s.rows, n);
    const auto r = sparse::submanifold_relation<3>(taps<3, 1, 3>{}, {1, 1, 1});
    expect_pairs(sparse::make_submanifold_plan(e, s, taps<3, 1, 3>{}), multi(plain(r).pairs(cells, cells)));
    const auto strided = sparse::make_convolution_plan(e, s, {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}});
    EXPECT_EQ(strided.plan.forward.pairs(), n); // every voxel has one parent
    EXPECT_EQ(sparse::make_transposed_plan(e, s, {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}}).output.rows, 8 * n);
  }
  // The size of a tile depends on the number of outputs alone.
  EXPECT_EQ(sparse::detail::tile_size(0), 64);
  EXPECT_EQ(sparse::detail::tile_size(20000), 256);
  EXPECT_EQ(sparse::detail::tile_size(65535), 512);
  EXPECT_EQ(sparse::detail::tile_size(65536), 1024);
  EXPECT_EQ(sparse::detail::tile_size(idx{1} << 30), 1024);
}

TEST(sparse_plan, faces_of_the_grid_do_not_touch) {
  // A full grid whose extents are powers of two: a carry between the fields of a key would join opposite faces.
  cpu e{.threads = 1};
  std::vector<cell> cells;
  for (int b = 0; b < 2; ++b) {
    for (int x = 0; x < 4; ++x) {
      for (int y = 0; y < 2; ++y) {
        for (int z = 0; z < 64; ++z) { cells.push_back({b, x, y, z}); }
      }
    }
  }
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {4, 2, 64}, 2);
  const auto plan = sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{});
  EXPECT_EQ(plan.forward.pairs(), 2 * (3 * 4 - 2) * (3 * 2 - 2) * (3 * 64 - 2));
}

TEST(sparse_plan, rows_in_another_order_are_the_same_rows) {
  cpu e{.threads = 2};
  const std::array<idx, 3> grid{9, 9, 9};
  auto cells = random_cells{3}.draw(200, 2, list(grid));
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), grid, 2);
  std::vector<idx> moved(cells.size());
  std::vector<cell> other(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    moved[i] = static_cast<idx>((i * 77 + 5) % cells.size());
    other[static_cast<std::size_t>(moved[i])] = cells[i];
  }
  const auto so = sparse::make_sites<3>(e, as_tensor(other, 3), grid, 2);
  std::multiset<tap_pair> renamed;
  for (const auto& p : pairs_of(sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{}).forward)) {
    renamed.insert({p.tap, moved[static_cast<std::size_t>(p.input)], moved[static_cast<std::size_t>(p.output)]});
  }
  EXPECT_EQ(pairs_of(sparse::make_submanifold_plan(e, so, taps<3, 3, 3>{}).forward), renamed);
  // What is generated does not depend on the order at all.
  const relation<3> r{.taps = taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}};
  EXPECT_EQ(as_cells(sparse::make_convolution_plan(e, s, r).output.coordinates(e)),
            as_cells(sparse::make_convolution_plan(e, so, r).output.coordinates(e)));
}

TEST(sparse_plan, shared_voxels) {
  cpu e{.threads = 2};
  const std::array<idx, 3> grid{3, 3, 4};
  const auto cells = random_cells{5}.draw(150, 1, list(grid), false);
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), grid, 1, sparse::voxel_sharing::allowed);
  ASSERT_TRUE(s.shared());
  const auto r = sparse::submanifold_relation<3>(taps<3, 3, 3>{}, {1, 1, 1});
  std::multiset<tap_pair> symmetric, representative;
  const auto first_of = [&](idx row) {
    return std::find(cells.begin(), cells.end(), cells[static_cast<std::size_t>(row)]) - cells.begin();
  };
  for (const auto& p : plain(r).pairs(cells, cells)) {
    if (p.tap == 13 && p.input != p.output) { continue; }
    symmetric.insert(p);
    if (p.tap == 13) { representative.insert(p); }
    if (p.tap < 13 && first_of(p.input) == p.input) {
      representative.insert(p);
      representative.insert({26 - p.tap, p.output, p.input});
    }
  }
  expect_pairs(sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{}), symmetric);
  expect_pairs(sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{}, {1, 1, 1}, sparse::duplicate_rule::representative),
               representative);
  // Elsewhere a tap sees all rows of a voxel.
  const relation<3> strided{.taps = taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}};
  const auto p = sparse::make_convolution_plan(e, s, strided);
  EXPECT_FALSE(p.output.shared());
  expect_pairs(p.plan, multi(plain(strided).pairs(cells, as_cells(p.output.coordinates(e)))));
}

TEST(sparse_plan, between_sites_that_exist) {
  // Neither end is generated: sites without partners, and rows that share voxels at one end or at both.
  cpu e{.threads = 2};
  const relation<2> r{.taps = {{3, 2}}, .stride = {2, 1}, .pad = {1, 0}, .dilation = {1, 2}};
  for (const bool fine_distinct : {true, false}) {
    for (const bool coarse_distinct : {true, false}) {
      const auto fine = random_cells{21}.draw(90, 2, {9, 7}, fine_distinct);
      const auto coarse = random_cells{22}.draw(70, 2, {6, 8}, coarse_distinct);
      constexpr auto allowed = sparse::voxel_sharing::allowed;
      const auto f = sparse::make_sites<2>(e, as_tensor(fine, 2), {9, 7}, 2, allowed);
      const auto c = sparse::make_sites<2>(e, as_tensor(coarse, 2), {6, 8}, 2, allowed);
      ASSERT_EQ(f.shared(), !fine_distinct);
      ASSERT_EQ(c.shared(), !coarse_distinct);
      expect_pairs(sparse::make_plan_between(e, f, c, r), multi(plain(r).pairs(fine, coarse)));
    }
  }
}

TEST(sparse_plan, planes_come_out_of_the_cube) {
  static_assert(taps<3, 3, 1>::numbers_in<taps<3, 3, 3>>() == std::array<idx, 9>{1, 4, 7, 10, 13, 16, 19, 22, 25});
  static_assert(taps<1, 3, 1>::numbers_in<taps<1, 5, 1>>() == std::array<idx, 3>{1, 2, 3});
  cpu e{.threads = 2};
  const auto cells = random_cells{11}.draw(250, 2, {8, 8, 8});
  const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {8, 8, 8}, 2);
  const auto cube = sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{});
  const auto same = [&](const sparse::tap_set<3>& t) {
    const auto plane = sparse::restricted_plan(e, cube, taps<3, 3, 3>{}, t);
    const auto direct = sparse::make_submanifold_plan(e, s, t);
    const auto equal = [](const auto& a, const auto& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
    EXPECT_TRUE(equal(plane.forward.begin, direct.forward.begin));
    EXPECT_TRUE(equal(plane.forward.input, direct.forward.input));
    EXPECT_TRUE(equal(plane.forward.output, direct.forward.output));
  };
  same(taps<3, 3, 1>{});
  same(taps<3, 1, 3>{});
  same(taps<1, 3, 3>{});
  same(taps<1, 1, 1>{});
  EXPECT_THAT(message_of([&] {
                sparse::restricted_plan<3>(e, cube, taps<3, 3, 3>{}, {{2, 3, 3}});
              }),
              HasSubstr("2 x 3 x 3 does not lie in the middle of 3 x 3 x 3"));
  EXPECT_THAT(message_of([&] { sparse::restricted_plan<3>(e, cube, taps<5, 3, 3>{}, taps<3, 3, 3>{}); }),
              HasSubstr("the plan has 27 taps, the kernel 5 x 3 x 3 has 45"));
}

TEST(sparse_plan, is_the_same_for_any_number_of_threads) {
  const auto cells = random_cells{12}.draw(3000, 2, {20, 20, 70});
  const auto build = [&](int threads) {
    cpu e{.threads = threads};
    const auto s = sparse::make_sites<3>(e, as_tensor(cells, 3), {20, 20, 70}, 2);
    const auto a = sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{});
    const auto b =
        sparse::make_convolution_plan(e, s, {.taps = taps<3, 3, 3>{}, .stride = {2, 2, 2}, .pad = {1, 1, 1}});
    std::vector<idx> all;
    for (const auto* p : {&a.forward, &b.plan.forward, &b.plan.backward}) {
      all.insert(all.end(), p->begin.begin(), p->begin.end());
      all.insert(all.end(), p->input.begin(), p->input.end());
      all.insert(all.end(), p->output.begin(), p->output.end());
    }
    all.insert(all.end(), b.output.key.begin(), b.output.key.end());
    return all;
  };
  const auto one = build(1);
  for (const int threads : {1, 2, 3, 4}) { EXPECT_EQ(build(threads), one) << threads; }
}

TEST(sparse_plan, errors) {
  cpu e{.threads = 1};
  const auto s = sparse::make_sites<3>(e, as_tensor({{0, 0, 0, 0}}, 3), {4, 4, 4});
  EXPECT_THAT(message_of([&] {
                sparse::make_submanifold_plan(e, s, {{3, 2, 3}});
              }),
              HasSubstr("the kernel is 3 x 2 x 3; submanifold kernels are odd on every axis"));
  EXPECT_THAT(message_of([&] {
                sparse::make_convolution_plan(e, s, {.taps = {{5, 5, 5}}});
              }),
              HasSubstr("a kernel of 5 with dilation 1 does not fit axis 0 of 4 cells with pad 0; give more padding"));
  EXPECT_THAT(message_of([&] {
                sparse::make_convolution_plan(e, s, {.taps = {{1, 1, 1}}, .stride = {1, 0, 1}});
              }),
              HasSubstr("axis 1 has kernel 1, stride 0, dilation 1, pad 0"));
  EXPECT_THAT(message_of([&] {
                sparse::make_transposed_plan(e, s, {.taps = {{1, 1, 1}}, .pad = {0, 2, 0}});
              }),
              HasSubstr("a transposed convolution of 4 cells on axis 1 would have 0 cells; use less padding"));
  const auto other = sparse::make_sites<3>(e, as_tensor({{0, 0, 0, 0}}, 3), {4, 4, 4}, 2);
  EXPECT_THAT(message_of([&] { sparse::make_plan_between(e, s, other, relation<3>{}); }),
              HasSubstr("the fine sites have 1 batches, the coarse ones 2"));
  EXPECT_THAT(message_of([&] {
                sparse::make_inverse_plan<3>({sparse::make_submanifold_plan(e, s, taps<3, 3, 3>{}), s, s});
              }),
              HasSubstr("a submanifold plan cannot be inverted"));
}

} // namespace plan_test

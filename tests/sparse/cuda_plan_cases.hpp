// SPDX-License-Identifier: Apache-2.0
#pragma once
// Sites and plans on a device against those of the host: written once, run on the emulated device by cuda_plan_test.cpp
// and on a real one by cuda_sparse_test.cu.

#include "../support/check.hpp"
#include "plan_oracle.hpp"

#include <sqs/sparse/cuda/plan.hpp>
#include <sqs/sparse/plan_builder.hpp>

namespace sqs::test {

/// (tap, input row, output row) of every pair, sorted.
using pair_table = std::vector<std::array<idx, 3>>;
inline pair_table as_table(const std::multiset<tap_pair>& pairs) {
  pair_table t;
  for (const auto& p : pairs) { t.push_back({p.tap, p.input, p.output}); }
  return t;
}
inline pair_table with_ends_exchanged(pair_table t) {
  for (auto& p : t) { std::swap(p[1], p[2]); }
  std::sort(t.begin(), t.end());
  return t;
}

/// The pairs of a table; checks that nothing stands outside the rows that exist, and that `used` says what is there.
template <class E> pair_table pairs_of(E& e, const sparse::neighbour_table& n) {
  const auto input = to_host(e, n.input);
  const auto order = to_host(e, n.order);
  const auto used = to_host(e, n.used);
  const idx rows = to_host(e, n.status)(0).rows;
  pair_table all;
  std::set<std::pair<idx, idx>> seen;
  for (idx k = 0; k < n.taps; ++k) {
    for (idx i = 0; i < n.outputs; ++i) {
      const idx in = input(k, i);
      EXPECT_TRUE(in >= -1 && in < n.inputs) << "tap " << k << ", output " << i;
      if (in < 0) { continue; }
      EXPECT_LT(i, rows);
      seen.insert({i / sparse::device_quarter_rows, k});
      all.push_back({k, in, order ? order(i) : i});
    }
  }
  for (idx t = 0; t < n.tiles(); ++t) {
    for (idx k = 0; k < n.taps; ++k) {
      for (idx q = 0; q < 4; ++q) {
        EXPECT_EQ(used(t, k) >> q & 1, seen.contains({4 * t + q, k}) ? 1 : 0) << t << " " << k;
      }
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

template <class E> void expect_plan(E& e, const sparse::device_plan& p, const sparse::convolution_plan& expected) {
  EXPECT_EQ(p.mirrored, expected.mirrored);
  EXPECT_EQ(p.flipped, expected.flipped);
  EXPECT_EQ(pairs_of(e, p.forward), as_table(test::pairs_of(expected.forward)));
  EXPECT_EQ(pairs_of(e, p.backward), as_table(test::pairs_of(expected.backward)));
}
/// The same rows in the same order, and the rest of the room empty.
template <class E, int D>
void expect_sites(E& e, const sparse::device_sites<D>& s, cpu& host, const sparse::sites<D>& expected) {
  EXPECT_EQ(s.grid(), expected.grid());
  EXPECT_EQ(sparse::status_of(e, s).rows, expected.rows);
  const auto all = as_cells(to_host(e, s.coordinates(e)));
  const auto there = as_cells(expected.coordinates(host));
  ASSERT_GE(all.size(), there.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i], i < there.size() ? there[i] : cell(static_cast<std::size_t>(D) + 1, -1)) << "row " << i;
  }
}

template <int D> struct plan_case {
  std::vector<idx> grid;
  idx batches;
  int rows;
  sparse::relation<D> relation; ///< of strided and transposed plans
  sparse::tap_set<D> taps;      ///< of submanifold plans
  typename sparse::sites<D>::position dilation;
};

/// Every kind of plan of one set of sites.
template <class E, int D> void expect_all_plans(E& e, const plan_case<D>& c, std::uint64_t seed) {
  cpu host{.threads = 1};
  typename sparse::sites<D>::position grid;
  std::copy(c.grid.begin(), c.grid.end(), grid.begin());
  const auto rows = as_tensor(random_cells{seed}.draw(c.rows, static_cast<int>(c.batches), c.grid), D);
  const auto at = sparse::make_sites<D>(host, rows, grid, c.batches);
  const auto s = sparse::make_device_sites<D>(e, to_device(e, rows), grid, c.batches);
  sparse::check_sites(e, s);
  expect_sites(e, s, host, at);
  expect_plan(e, sparse::make_device_submanifold_plan<D>(e, s, c.taps, c.dilation),
              sparse::make_submanifold_plan<D>(host, at, c.taps, c.dilation));
  const auto strided = sparse::make_convolution_plan<D>(host, at, c.relation);
  const auto on_device = sparse::make_device_convolution_plan<D>(e, s, c.relation);
  sparse::check_sites(e, on_device.output);
  expect_sites(e, on_device.output, host, strided.output);
  expect_plan(e, on_device.plan, strided.plan);
  expect_plan(e, sparse::make_device_inverse_plan(on_device).plan, sparse::make_inverse_plan(strided).plan);
  const auto transposed = sparse::make_transposed_plan<D>(host, at, c.relation);
  const auto generated = sparse::make_device_transposed_plan<D>(e, s, c.relation);
  expect_sites(e, generated.output, host, transposed.output);
  expect_plan(e, generated.plan, transposed.plan);
  // From sites only the device has counted, on to the next ones.
  const auto next = sparse::make_convolution_plan<D>(host, transposed.output, c.relation);
  const auto next_on_device = sparse::make_device_convolution_plan<D>(e, generated.output, c.relation);
  expect_sites(e, next_on_device.output, host, next.output);
  expect_plan(e, next_on_device.plan, next.plan);
  // And from sites of the host.
  expect_plan(e, sparse::make_device_submanifold_plan<D>(e, to_device(e, at), c.taps, c.dilation),
              sparse::make_submanifold_plan<D>(host, at, c.taps, c.dilation));
}

/// A few shapes of everything.
template <class E> void expect_plans_of_many_shapes(E& e, std::uint64_t seed) {
  for (const int rows : {0, 1, 64, 65, 150}) {
    expect_all_plans<E, 3>(e,
                           {{9, 8, 11},
                            2,
                            rows,
                            {sparse::taps<3, 3, 3>{}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
                            sparse::taps<3, 3, 3>{},
                            {1, 1, 1}},
                           seed);
  }
  // Every axis different; taps that never fit the stride; dilations; a pad beyond the kernel.
  expect_all_plans<E, 3>(e,
                         {{7, 13, 30},
                          3,
                          150,
                          {sparse::taps<2, 3, 5>{}, {2, 3, 4}, {0, 3, 2}, {1, 2, 2}},
                          sparse::taps<1, 3, 5>{},
                          {1, 2, 7}},
                         seed);
  expect_all_plans<E, 2>(
      e, {{20, 33}, 1, 90, {sparse::taps<4, 2>{}, {1, 2}, {0, 0}, {3, 1}}, sparse::taps<5, 3>{}, {1, 11}}, seed);
  expect_all_plans<E, 1>(e, {{500}, 2, 120, {sparse::taps<3>{}, {2}, {1}, {1}}, sparse::taps<7>{}, {2}}, seed);
  expect_all_plans<E, 4>(e,
                         {{5, 4, 3, 6},
                          2,
                          80,
                          {sparse::taps<2, 1, 3, 2>{}, {2, 1, 1, 2}, {0, 0, 1, 0}, {1, 1, 1, 1}},
                          sparse::taps<3, 1, 3, 3>{},
                          {1, 1, 1, 1}},
                         seed);
}

} // namespace sqs::test

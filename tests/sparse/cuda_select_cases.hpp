// SPDX-License-Identifier: Apache-2.0
#pragma once
// Fewer rows on a device against the operators of the host: written once, run on the emulated device by
// cuda_select_test.cpp and on a real one by cuda_rows_test.cu.

#include "cuda_convolution_cases.hpp"

#include <sqs/sparse/cuda/prune.hpp>
#include <sqs/sparse/prune.hpp>

namespace sqs::test {

/// The same sites on both sides; on the device there is room for more.
struct sites_pair {
  sparse::sites<3> host;
  sparse::device_sites<3> device;
};
inline constexpr extents<3> pair_grid{9, 8, 11};

/// Rows in no order (`made`), or in order of their keys, as the outputs of plans are.
template <class E> sites_pair some_sites(E& e, int rows, idx room, std::uint64_t seed, bool ordered, int batches = 3) {
  cpu host{.threads = 1};
  auto cells = random_cells{seed}.draw(rows, batches, {9, 8, 11});
  const auto s = sparse::make_sites<3>(host, as_tensor(cells, 3), pair_grid, batches);
  const auto count = static_cast<std::int32_t>(cells.size());
  cells.resize(cells.size() + static_cast<std::size_t>(room), cell(4, 0));
  const auto d = sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), pair_grid, batches,
                                              to_device(e, make_tensor<std::int32_t, 1>({1}, count)));
  if (!ordered) { return {s, d}; }
  const sparse::relation<3> same{sparse::taps<1, 1, 1>{}};
  return {sparse::make_convolution_plan<3>(host, s, same).output,
          sparse::make_device_convolution_plan<3>(e, d, same, d.capacity).output};
}
/// Rows of the host, and no numbers in the room behind them.
template <class T> tensor<T, 2> in_room(const tensor<T, 2>& x, idx room) {
  auto t = make_tensor<T, 2>({room, x.extent(1)}, std::numeric_limits<T>::quiet_NaN());
  std::copy(x.begin(), x.end(), t.begin());
  return t;
}
template <class T> void expect_rows(const tensor<T, 2>& got, const tensor<T, 2>& wanted) {
  ASSERT_GE(got.extent(0), wanted.extent(0));
  EXPECT_TRUE(same_bits(got.rows(0, wanted.extent(0)), wanted));
  EXPECT_THAT(got.rows(wanted.extent(0), got.extent(0)).span(), testing::Each(T(0)));
}

/// The same coordinates row by row, and keys that ascend as the order says.
template <class E> void expect_same_sites(E& e, const sparse::device_sites<3>& s, cpu& host,
                                          const sparse::sites<3>& wanted, bool with_plan = true) {
  EXPECT_EQ(s.grid(), wanted.grid());
  EXPECT_EQ(s.batches(), wanted.batches());
  const auto status = sparse::status_of(e, s);
  ASSERT_EQ(status.rows, wanted.rows);
  EXPECT_EQ(status.wanted, wanted.rows);
  EXPECT_EQ(status.outside, 0);
  EXPECT_EQ(status.shared, 0);
  const auto all = as_cells(to_host(e, s.coordinates(e))), there = as_cells(wanted.coordinates(host));
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i], i < there.size() ? there[i] : cell(4, -1)) << "row " << i;
  }
  const auto key = to_host(e, s.key);
  EXPECT_TRUE(std::is_sorted(key.begin(), key.end()));
  if (!with_plan) { return; }
  // What follows finds neighbours on them.
  const auto plan = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{});
  idx pairs = 0;
  for (const auto in : to_host(e, plan.forward.input)) { pairs += in >= 0 ? 1 : 0; }
  EXPECT_EQ(pairs, sparse::make_submanifold_plan<3>(host, wanted, sparse::taps<3, 3, 3>{}).forward.pairs());
}
template <class T, class E> void expect_same_selection(E& e, const sparse::device_site_selection<3>& s,
                                                       const sparse::site_selection<3>& wanted, const tensor<T, 2>& x,
                                                       idx room, std::uint64_t seed, bool with_plan = false) {
  cpu host{.threads = 1};
  expect_same_sites(e, s.at, host, wanted.at, with_plan);
  const auto rows = to_host(e, s.rows);
  for (idx i = 0; i < rows.size(); ++i) { ASSERT_EQ(rows(i), i < wanted.rows.size() ? wanted.rows(i) : -1) << i; }
  const sparse::take_rows_op take{wanted.rows};
  const auto r = take.forward(host, x);
  const auto dy = numbers<T, 2>(r.value.shape(), seed), dz = numbers<T, 2>(x.shape(), seed + 1);
  const auto on_x = to_device(e, in_room(x, room)), on_dy = to_device(e, in_room(dy, s.at.capacity)),
             on_dz = to_device(e, in_room(dz, room));
  const sparse::put_rows_op put{wanted.rows, x.extent(0)};
  for (const auto& kept : {s.kept, decltype(s.kept){}}) {
    const sparse::device_take_rows_op on{s.rows, kept};
    const auto q = on.forward(e, on_x);
    expect_rows(to_host(e, q.value), r.value);
    expect_rows(to_host(e, on.backward(e, q.saved, on_dy)), take.backward(host, r.saved, dy));
    const sparse::device_put_rows_op back{s.rows, room, kept};
    const auto p = back.forward(e, on_dy);
    expect_rows(to_host(e, p.value), put.forward(host, dy).value);
    expect_rows(to_host(e, back.backward(e, p.saved, on_dz)), put.backward(host, {}, dz));
  }
}

template <class T, class E> void expect_same_selections(E& e, int rows, idx room, std::uint64_t seed, bool ordered) {
  cpu host{.threads = 1};
  const auto s = some_sites(e, rows, room, seed, ordered);
  const idx n = s.host.rows, capacity = s.device.capacity;
  const auto x = numbers<T, 2>({n, 3}, seed);
  auto mask = make_tensor<std::uint8_t, 1>({n});
  auto wide = make_tensor<std::uint8_t, 1>({capacity}, 1); // of rows that do not exist: 1
  auto score = make_tensor<T, 1>({n}), wide_score = make_tensor<T, 1>({capacity}, T(1e30));
  for (idx i = 0; i < n; ++i) {
    mask(i) = static_cast<std::uint8_t>(i % 3 != 0);
    score(i) = i % 4 == 0 ? T(0.5) : i % 7 == 1 ? std::numeric_limits<T>::quiet_NaN() : x(i, 0);
    if (i % 11 == 0) { score(i) = i % 2 == 0 ? T(0) : -T(0); }
  }
  std::copy(mask.begin(), mask.end(), wide.begin());
  std::copy(score.begin(), score.end(), wide_score.begin());
  const auto on_mask = to_device(e, wide);
  const auto on_score = to_device(e, wide_score);
  expect_same_selection(e, sparse::prune(e, s.device, on_mask), sparse::prune(host, s.host, mask), x, capacity, seed,
                        true);
  for (const idx k : {0, 5, 10000}) {
    expect_same_selection(e, sparse::top_k(e, s.device, on_score, k), sparse::top_k(host, s.host, score, k), x,
                          capacity, seed);
  }
  expect_same_selection(e, sparse::slice_batch(e, s.device, 1), sparse::slice_batch(host, s.host, 1), x, capacity,
                        seed);
  for (const auto grid : {sparse::crop_grid::kept, sparse::crop_grid::moved}) {
    expect_same_selection(e, sparse::crop(e, s.device, {2, -3, 1}, {7, 5, 30}, grid),
                          sparse::crop(host, s.host, {2, -3, 1}, {7, 5, 30}, grid), x, capacity, seed,
                          grid == sparse::crop_grid::moved);
  }
}

} // namespace sqs::test

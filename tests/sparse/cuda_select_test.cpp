// SPDX-License-Identifier: Apache-2.0
// Fewer rows on the emulated device: the choices of the host, row by row, numbers by hand, misuse.
#include "cuda_select_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_select_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_select, rows_are_those_of_the_host) {
  for (const bool ordered : {false, true}) {
    emulator::gpu e{.seed = 3};
    expect_same_selections<float>(e, 100, 60, 2, ordered);
    if (ordered) { continue; }
    expect_same_selections<double>(e, 130, 0, 1, ordered);
    expect_same_selections<float>(e, 1, 5, 3, ordered);
    expect_same_selections<double>(e, 0, 2, 4, ordered);
  }
}

TEST(cuda_select, the_lowest_row_of_equal_scores_by_hand) {
  // Two zeros of either sign are equal; a number that is none is below all; rows of batch 1 in between.
  emulator::gpu e;
  const auto s = sparse::make_device_sites<1>(
      e, to_device(e, as_tensor({{0, 5}, {1, 5}, {0, 3}, {0, 4}, {1, 0}, {0, 1}}, 1)), {6}, 2);
  const auto best = [&]<class T>(T, idx k) {
    auto score = make_tensor<T, 1>({6});
    score(0) = -T(0), score(1) = std::numeric_limits<T>::quiet_NaN(), score(2) = T(0), score(3) = T(-1);
    score(4) = -std::numeric_limits<T>::infinity(), score(5) = T(-0.5);
    return to_host(e, sparse::top_k(e, s, to_device(e, score), k).rows);
  };
  EXPECT_THAT(best(0.0f, 1).span(), ElementsAre(0, 4));
  EXPECT_THAT(best(0.0, 1).span(), ElementsAre(0, 4));
  EXPECT_THAT(best(0.0f, 3).span(), ElementsAre(0, 1, 2, 4, 5, -1));
  EXPECT_THAT(best(0.0, 3).span(), ElementsAre(0, 1, 2, 4, 5, -1));
}

TEST(cuda_select, what_does_not_fit_is_told) {
  emulator::gpu e;
  const auto s = some_sites(e, 40, 3, 5, false);
  const auto all = to_device(e, make_tensor<std::uint8_t, 1>({43}, 1));
  const auto few = sparse::prune(e, s.device, all, 30);
  EXPECT_EQ(few.at.capacity, 30);
  EXPECT_THAT(message_of([&] { sparse::check_sites(e, few.at); }),
              HasSubstr("sqs::sparse::check_sites: 40 sites do not fit the room for 30; give a larger capacity"));
  const auto rows = to_host(e, few.rows), kept = to_host(e, few.kept);
  for (idx i = 0; i < 43; ++i) { EXPECT_EQ(kept(i), i < 30 ? i : -1); } // the rows of the largest numbers are missing
  for (idx i = 0; i < 30; ++i) { EXPECT_EQ(rows(i), i); }
  const auto key = to_host(e, few.at.key);
  const auto order = to_host(e, few.at.order);
  EXPECT_TRUE(std::is_sorted(key.begin(), key.end()));
  std::set<std::int32_t> places(order.begin(), order.end());
  EXPECT_EQ(places.size(), 30u);
}

TEST(cuda_select, rows_outside_the_grid_are_left_out_and_shared_voxels_counted) {
  emulator::gpu e;
  const auto rows = to_device(e, as_tensor({{0, 4}, {0, 9}, {0, 1}, {0, 4}, {1, 2}}, 1));
  const auto s = sparse::make_device_sites<1>(e, rows, {6});
  EXPECT_EQ(sparse::status_of(e, s).outside, 2);
  const auto kept = sparse::prune(e, s, to_device(e, make_tensor<std::uint8_t, 1>({5}, 1)));
  const auto status = sparse::status_of(e, kept.at);
  EXPECT_EQ(status.rows, 3);
  EXPECT_EQ(status.outside, 0);
  EXPECT_EQ(status.shared, 1);
  EXPECT_THAT(to_host(e, kept.rows).span(), ElementsAre(0, 2, 3, -1, -1));
}

TEST(cuda_select, rows_taken_twice_give_back_their_sum) {
  emulator::gpu e;
  auto rows = make_tensor<std::int32_t, 1>({5});
  rows(0) = 2, rows(1) = 0, rows(2) = 2, rows(3) = 7, rows(4) = -1;
  auto x = make_tensor<double, 2>({3, 1}), dy = make_tensor<double, 2>({5, 1});
  for (idx i = 0; i < 3; ++i) { x(i, 0) = static_cast<double>(10 * i + 10); }
  for (idx i = 0; i < 5; ++i) { dy(i, 0) = static_cast<double>(i + 1); }
  const sparse::device_take_rows_op op{to_device(e, rows)};
  const auto r = op.forward(e, to_device(e, x));
  EXPECT_THAT(to_host(e, r.value).span(), ElementsAre(30, 10, 30, 0, 0));
  EXPECT_THAT(to_host(e, op.backward(e, r.saved, to_device(e, dy))).span(), ElementsAre(2, 0, 4));
}

TEST(cuda_select, misuse_is_told) {
  emulator::gpu e;
  const auto s = some_sites(e, 20, 0, 1, false).device;
  const auto mask = zeros<std::uint8_t, 1>(e, {19});
  const auto score = zeros<float, 1>(e, {20}), few = zeros<float, 1>(e, {19});
  EXPECT_THAT(message_of([&] { sparse::prune(e, s, mask); }),
              HasSubstr("sqs::sparse::prune: the mask has 19 elements, the sites room for 20; give one per row"));
  EXPECT_THAT(message_of([&] { sparse::top_k(e, s, score, -1); }),
              HasSubstr("sqs::sparse::top_k: k is -1; give 0 or more"));
  EXPECT_THAT(message_of([&] { sparse::top_k(e, s, few, 1); }),
              HasSubstr("sqs::sparse::top_k: 19 scores, the sites have room for 20; give one per row"));
  EXPECT_THAT(message_of([&] { sparse::slice_batch(e, s, 3); }),
              HasSubstr("sqs::sparse::slice_batch: batch 3 of 3 does not exist; give 0 <= batch < batches"));
  EXPECT_THAT(message_of([&] {
                sparse::crop(e, s, {1, 1, 1}, {5, 1, 5});
              }),
              HasSubstr("sqs::sparse::crop: axis 1 goes from 1 to 1; give lower < upper in cells"));
  EXPECT_THAT(message_of([&] {
                sparse::crop(e, s, {1, 1, 1}, {5, idx{1} << 40, 5}, sparse::crop_grid::moved);
              }),
              HasSubstr("sqs::sparse::crop: axis 1 of the new grid would go from 1 to 1099511627776; give a box"));
  const auto rows = zeros<std::int32_t, 1>(e, {5}), kept = zeros<std::int32_t, 1>(e, {20});
  const auto x = zeros<float, 2>(e, {6, 2});
  EXPECT_THAT(message_of([&] {
                sparse::device_take_rows_op{rows, kept}.forward(e, x);
              }),
              HasSubstr("sqs::sparse::device_take_rows_op: x has 6 rows, the selection was made of 20; give the"));
  EXPECT_THAT(message_of([&] {
                sparse::device_put_rows_op{rows, 9}.forward(e, x);
              }),
              HasSubstr("sqs::sparse::device_put_rows_op: x has 6 rows for 5 places; give one place per row"));
  EXPECT_THAT(message_of([&] {
                sparse::device_put_rows_op{rows, 9}.backward(e, {2}, x);
              }),
              HasSubstr("sqs::sparse::device_put_rows_op: the gradient of y is [6, 2], y is [9, 2]; give a gradient"));
}

} // namespace cuda_select_test

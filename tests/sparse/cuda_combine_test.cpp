// SPDX-License-Identifier: Apache-2.0
// Joined and stacked sparse tensors on the emulated device: the numbers of the host, numbers by hand, misuse.
#include "cuda_combine_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_combine_test {

using namespace sqs;
using namespace sqs::test;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(cuda_combine, joins_are_those_of_the_host) {
  emulator::gpu e{.seed = 3};
  expect_same_joins<double>(e, {150, 200, 170}, 0, 1);
  expect_same_joins<float>(e, {300, 1, 250}, 40, 2);
  expect_same_joins<double>(e, {0, 60, 3}, 5, 3);
}

TEST(cuda_combine, equal_sites_stay_as_they_are) {
  emulator::gpu e{.seed = 4};
  expect_same_join_of_equal_sites<double>(e, 1);
  expect_same_join_of_equal_sites<float>(e, 2);
}

TEST(cuda_combine, stacks_are_those_of_the_host) {
  emulator::gpu e{.seed = 5};
  expect_same_stack<double>(e, {60, 80, 70}, 0, 1);
  expect_same_stack<float>(e, {60, 1, 70}, 30, 2);
  expect_same_stack<double>(e, {0, 50, 0}, 3, 3);
}

TEST(cuda_combine, keys_are_sorted_by_their_low_bits) {
  emulator::gpu e;
  expect_sorted_keys(e);
}

tensor<double, 2, device> column(emulator::gpu& e, std::initializer_list<double> v) {
  auto t = make_tensor<double, 2>({static_cast<idx>(v.size()), 1});
  std::copy(v.begin(), v.end(), t.begin());
  return to_device(e, t);
}

TEST(cuda_combine, a_union_by_hand) {
  // a at 3, 0, 5 (in this order), b at 5, 1. The numbers of the host's test.
  emulator::gpu e;
  const auto a = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 3}, {0, 0}, {0, 5}}, 1)), {6});
  const auto b = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 5}, {0, 1}}, 1)), {6});
  const auto j = sparse::unite(e, a, b);
  EXPECT_EQ(j.at.capacity, 5);
  EXPECT_THAT(to_host(e, j.rows.row[0]).span(), ElementsAre(1, -1, 0, 2, -1));
  EXPECT_THAT(to_host(e, j.rows.row[1]).span(), ElementsAre(-1, 1, -1, 0, -1));
  EXPECT_THAT(to_host(e, j.rows.output[0]).span(), ElementsAre(2, 0, 3));
  EXPECT_THAT(to_host(e, j.rows.output[1]).span(), ElementsAre(3, 1));
  const auto run = [&](sparse::combination how) {
    const sparse::device_combine_op<2> op{j.rows, how};
    return to_host(e, op.forward(e, column(e, {3, 2, 5}), column(e, {7, 1})).value);
  };
  EXPECT_THAT(run(sparse::combination::sum).span(), ElementsAre(2, 1, 3, 12, 0));
  EXPECT_THAT(run(sparse::combination::mean).span(), ElementsAre(2, 1, 3, 6, 0));
  EXPECT_THAT(run(sparse::combination::product).span(), ElementsAre(0, 0, 0, 35, 0));
  const auto small = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 1}, {0, 0}}, 1)), {2});
  const auto other = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 0}, {0, 1}}, 1)), {2});
  EXPECT_EQ(sparse::unite(e, small, other).at.capacity, 2); // a grid of two cells
}

TEST(cuda_combine, rows_outside_meet_nobody_and_the_lowest_row_of_a_voxel_is_taken) {
  emulator::gpu e;
  const auto a = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 4}, {0, 9}, {0, 1}, {0, 4}}, 1)), {6});
  const auto b = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 9}, {0, 4}}, 1)), {6});
  const auto both = sparse::unite(e, a, b), common = sparse::intersect(e, a, b);
  EXPECT_EQ(sparse::status_of(e, both.at).rows, 2);
  EXPECT_THAT(to_host(e, both.rows.row[0]).rows(0, 2).span(), ElementsAre(2, 0));
  EXPECT_EQ(sparse::status_of(e, common.at).rows, 1);
  EXPECT_THAT(to_host(e, common.rows.row[0]).span(), ElementsAre(0, -1));
  EXPECT_THAT(to_host(e, common.rows.row[1]).span(), ElementsAre(1, -1));
  const std::array items{a, b};
  const auto all = sparse::stack_sites<1>(e, std::span<const sparse::device_sites<1>>(items));
  const auto status = sparse::status_of(e, all.at);
  EXPECT_EQ(status.rows, 6);
  EXPECT_EQ(status.outside, 2);
  EXPECT_EQ(status.shared, 1);
  EXPECT_EQ(as_cells(to_host(e, all.at.coordinates(e))),
            (std::vector<cell>{{0, 4}, {-1, -1}, {0, 1}, {0, 4}, {-1, -1}, {1, 4}}));
}

TEST(cuda_combine, a_stack_knows_what_its_inputs_had_no_room_for) {
  emulator::gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 4}, {0, 2}, {0, 1}, {0, 5}}, 1)), {6});
  const auto few = sparse::make_device_convolution_plan<1>(e, s, {.taps = sparse::taps<1>{}}, 3).output;
  const std::array items{s, few, few};
  const auto all = sparse::stack_sites<1>(e, std::span<const sparse::device_sites<1>>(items));
  const auto status = sparse::status_of(e, all.at);
  EXPECT_EQ(status.rows, 10);
  EXPECT_EQ(status.wanted, 12);
  EXPECT_THAT(message_of([&] { sparse::check_sites(e, all.at); }), HasSubstr("12 sites do not fit the room for 10"));
}

TEST(cuda_combine, misuse_is_told) {
  emulator::gpu e;
  const auto rows = to_device(e, as_tensor({{0, 4}, {0, 0}, {0, 1}}, 1));
  const auto one = sparse::make_device_sites<1>(e, rows, {6}), two = sparse::make_device_sites<1>(e, rows, {6}, 2),
             wide = sparse::make_device_sites<1>(e, rows, {7});
  EXPECT_THAT(message_of([&] { sparse::unite(e, one, two); }),
              HasSubstr("sqs::sparse::unite: input 1 has 2 batches of a grid of 6, input 0 has 1 of 6; bring both"));
  EXPECT_THAT(message_of([&] { sparse::intersect(e, one, wide); }),
              HasSubstr("sqs::sparse::intersect: input 1 has 1 batches of a grid of 7, input 0 has 1 of 6; bring"));
  const sparse::device_combine_op<2> op{sparse::device_join_of_equal_rows<2>(3)};
  const auto x = zeros<double, 2>(e, {3, 2}), y = zeros<double, 2>(e, {3, 1}), z = zeros<double, 2>(e, {4, 2});
  EXPECT_THAT(message_of([&] { op.forward(e, x, z); }),
              HasSubstr("sqs::sparse::device_combine_op: input 1 has 4 rows, the join was made for 3; give the"));
  EXPECT_THAT(message_of([&] { op.forward(e, x, y); }),
              HasSubstr("sqs::sparse::device_combine_op: input 1 has 1 channels, input 0 has 2; they must agree"));
  EXPECT_THAT(message_of([&] {
                op.backward(e, op.forward(e, x, x).saved, y, {true, true});
              }),
              HasSubstr("sqs::sparse::device_combine_op: the gradient of y is [3, 1], y is [3, 2]; give a gradient"));
  EXPECT_THAT(message_of([&] { sparse::stack_sites<1>(e, std::span<const sparse::device_sites<1>>{}); }),
              HasSubstr("sqs::sparse::stack_sites: no sites; give at least one"));
  const std::array items{one, wide};
  EXPECT_THAT(message_of([&] { sparse::stack_sites<1>(e, std::span<const sparse::device_sites<1>>(items)); }),
              HasSubstr("sqs::sparse::stack_sites: item 1 has a grid of 7, item 0 has 6; they must agree"));
  const auto first = zeros<std::int32_t, 1>(e, {4});
  EXPECT_THAT(message_of([&] { sparse::device_stack_rows_op<2>{first}.forward(e, x, x); }),
              HasSubstr("sqs::sparse::stack_rows: 2 tensors, but 3 sets of sites were stacked; give one each"));
}

} // namespace cuda_combine_test

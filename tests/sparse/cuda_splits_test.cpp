// SPDX-License-Identifier: Apache-2.0
// Plans in parts on the emulated device: the same bits, fewer products, the choice, numbers by hand.
#include "cuda_splits_cases.hpp"
#include "test_gpu.hpp"

#include <bit>
#include <map>

namespace cuda_splits_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(cuda_splits, results_have_the_same_bits) {
  test_gpu e{.seed = 1};
  expect_same_of_all_splits(e, 70, 1);
}

idx products_of(test_gpu& e, const sparse::neighbour_table& n) {
  idx products = 0;
  const auto add = [&](const tensor<std::uint8_t, 2, device>& used) {
    for (const auto q : to_host(e, used)) { products += std::popcount(static_cast<unsigned>(q)); }
  };
  if (n.splits.empty()) { add(n.used); }
  for (const auto& s : n.splits) { add(s.used); }
  return products;
}
/// Sites on a thin plane and a few around: neighbours are many ways there or not.
sparse::device_plan thin_plan(test_gpu& e) {
  const auto cells = random_cells{5}.draw(500, 1, {26, 26, 3});
  const auto s = sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), {26, 26, 3});
  return sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 3, 3>{});
}

TEST(cuda_splits, parts_multiply_less) {
  test_gpu e;
  const auto plan = thin_plan(e);
  const idx whole = products_of(e, plan.forward), sorted = products_of(e, sparse::sorted_by_taps(e, plan).forward),
            two = products_of(e, sparse::split_by_taps(e, plan, 2).forward),
            three = products_of(e, sparse::split_by_taps(e, plan, 3).forward);
  EXPECT_LT(sorted, whole);
  EXPECT_LT(two, sorted);
  EXPECT_LT(three, two);
  auto count = zeros<idx, 1>(e, {1});
  sparse::detail::count_products(e, sparse::split_by_taps(e, plan, 3).forward, count.data());
  EXPECT_EQ(to_host(e, count)(0), three);
}

TEST(cuda_splits, every_pair_is_in_one_part) {
  test_gpu e;
  const auto plan = thin_plan(e).forward;
  const auto split = sparse::detail::split_by_taps(e, plan, 3);
  const auto all = to_host(e, plan.input);
  const auto rows = to_host(e, plan.order);
  std::map<idx, std::vector<std::int32_t>> by_row; // taps of every row
  for (idx i = 0; i < plan.outputs; ++i) {
    for (idx k = 0; k < 27; ++k) { by_row[rows(i)].push_back(all(k, i)); }
  }
  idx taps = 0;
  for (const auto& s : split.splits) {
    EXPECT_EQ(s.first, taps);
    taps += s.taps;
    const auto input = to_host(e, s.input);
    const auto order = to_host(e, s.order);
    for (idx k = 0; k < s.taps; ++k) {
      const idx step = s.first + k, tap = step == 0 ? 13 : step <= 13 ? step - 1 : step;
      for (idx i = 0; i < plan.outputs; ++i) {
        ASSERT_EQ(input(k, i), by_row[order(i)][static_cast<std::size_t>(tap)]) << step << " " << i;
      }
    }
  }
  EXPECT_EQ(taps, 27);
}

TEST(cuda_splits, the_choice_follows_the_cost) {
  test_gpu e;
  const auto plan = thin_plan(e);
  // Products are everything: as many parts as there are. Sums are everything: one. Full tiles: nothing is gained.
  const auto parts = [&](const sparse::device_plan& p, const sparse::device_cost& c) {
    const auto best = sparse::with_best_splits(e, p, c).forward;
    return best.splits.empty() && best.order.data() == p.forward.order.data() ? 0
           : best.splits.empty()                                              ? 1
                                                                              : static_cast<int>(best.splits.size());
  };
  EXPECT_EQ(parts(plan, {.depth = 64, .columns = 1, .flops_per_byte = 1}), 3);
  EXPECT_EQ(parts(plan, {.depth = 1, .columns = 1000, .flops_per_byte = 1e9}), 1);
  std::vector<cell> block;
  for (int i = 0; i < 64; ++i) { block.push_back({0, i / 16, i / 4 % 4, i % 4}); }
  const auto s = sparse::make_device_sites<3>(e, to_device(e, as_tensor(block, 3)), {4, 4, 4});
  const auto one_tap = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<1, 1, 1>{});
  EXPECT_EQ(parts(one_tap, {}), 0);
  // Directions of a strided plan choose for themselves.
  const auto strided = some_plans(e, 150, 3)[1].device;
  const auto best = sparse::with_best_splits(e, strided, {.depth = 64, .columns = 1, .flops_per_byte = 1});
  expect_same_in_parts<double, double>(e, strided, best, {5, 4}, sparse::product_precision::full);
  EXPECT_GT(best.forward.splits.size(), 0u);
}

TEST(cuda_splits, costs_by_hand) {
  const sparse::device_cost c{.depth = 10, .columns = 7, .element_bytes = 2, .flops_per_byte = 5};
  EXPECT_DOUBLE_EQ(c.of_rows(3), 3 * (2 * 70 / 5.0 + 20));
  EXPECT_DOUBLE_EQ(c.of_sums(3), 3 * 7 * 2 * 4);
}

TEST(cuda_splits, misuse_is_told) {
  test_gpu e;
  const auto plan = some_plans(e, 20, 1)[0].device;
  for (const idx parts : {0, 9}) {
    EXPECT_THAT(message_of([&] { sparse::split_by_taps(e, plan, parts); }),
                HasSubstr(concat("sqs::sparse::split_by_taps: ", parts, " parts of a kernel of 27 taps; give 1 to 8")));
  }
}

} // namespace cuda_splits_test

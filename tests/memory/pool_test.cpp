// SPDX-License-Identifier: Apache-2.0
// The pool: no overlap, neighbours merge, peak is exact, tensors outlive their executor.
#include "../support/check.hpp"

#include <cstring>

namespace pool_test {

using namespace sqs;

TEST(pool, random_blocks_never_overlap_and_all_comes_back) {
  cpu e{.threads = 1};
  const auto s = random_stream::of(1);
  std::vector<std::pair<tensor<std::uint32_t, 1>, std::uint32_t>> kept;
  const auto intact = [](const auto& x) {
    return std::all_of(x.first.begin(), x.first.end(), [&](std::uint32_t v) { return v == x.second; });
  };
  for (idx i = 0; i < 20000; ++i) {
    if (kept.size() < 40 || s.bits(2 * i) % 2 == 0) {
      const idx n = static_cast<idx>(s.bits(2 * i + 1) % (i % 50 == 0 ? 300000 : 3000));
      kept.emplace_back(full<std::uint32_t, 1>(e, {n}, static_cast<std::uint32_t>(i)), static_cast<std::uint32_t>(i));
    } else {
      const auto k = static_cast<std::size_t>(s.bits(2 * i + 1) % kept.size());
      ASSERT_TRUE(intact(kept[k]));
      std::swap(kept[k], kept.back());
      kept.pop_back();
    }
    if (kept.size() > 120) { kept.resize(20); }
  }
  for (const auto& k : kept) { ASSERT_TRUE(intact(k)); }
  kept.clear();
  const auto before = e.memory().statistics();
  EXPECT_EQ(before.live, 0u);
  // Everything merged back: the largest slab is free as one block, so a second pass takes nothing new.
  const auto one = empty<char, 1>(e, {static_cast<idx>(before.slabs / static_cast<std::size_t>(before.takes) / 2)});
  EXPECT_EQ(e.memory().statistics().takes, before.takes);
}

TEST(pool, peak_is_the_hand_count) {
  cpu e{.threads = 1};
  auto a = empty<float, 1>(e, {1000}); // 4000 -> 4032 bytes
  {
    auto b = empty<float, 1>(e, {16}); // 64
    EXPECT_EQ(e.memory().statistics().live, 4032u + 64u);
  }
  EXPECT_EQ(e.memory().statistics().live, 4032u);
  EXPECT_EQ(e.memory().statistics().peak, 4096u);
  e.memory().reset_peak();
  EXPECT_EQ(e.memory().statistics().peak, 4032u);
}

TEST(pool, a_tensor_outlives_its_executor) {
  tensor<float, 1> t;
  {
    cpu e{.threads = 2};
    t = full<float, 1>(e, {100000}, 7.f);
  }
  EXPECT_EQ(t(99999), 7.f); // AddressSanitizer watches
}

TEST(tensor, handles_share_and_count) {
  cpu e{.threads = 1};
  auto a = zeros<float, 2>(e, {2, 3});
  EXPECT_TRUE(a.unique());
  auto b = a.reshaped<1>({6});
  EXPECT_FALSE(a.unique());
  b(4) = 5;
  EXPECT_EQ(a(1, 1), 5);
  EXPECT_EQ(a.rows(1, 2)(0, 1), 5);
  EXPECT_THAT(test::message_of([&] { a.reshaped<1>({7}); }), testing::HasSubstr("cannot reshape 6 elements to 7"));
  EXPECT_THAT(test::message_of([&] { a.rows(1, 3); }), testing::HasSubstr("rows 1 to 3 of 2 do not exist"));
  EXPECT_THAT(test::message_of([&] { make_tensor<float, 1>({-1}); }), testing::HasSubstr("extent -1 is negative"));
  EXPECT_THAT(test::message_of([&] {
                empty<float, 2>(e, {idx{1} << 31, idx{1} << 31});
              }),
              testing::HasSubstr("more than 2^46 elements"));
}

} // namespace pool_test

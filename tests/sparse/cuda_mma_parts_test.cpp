// SPDX-License-Identifier: Apache-2.0
// What products on tensor cores are made of, emulated: copies beside the threads, matrices from shared memory, factors as
// words.
#include "cuda_mma_product_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_mma_parts_test {

using namespace sqs;
using namespace sqs::test;
using namespace sqs::sparse::detail;
using testing::HasSubstr;

/// Every thread copies two pieces to itself, as a group each, and says what it finds before the waits, between, behind.
struct copies_kernel {
  const piece_of_words* from;
  std::uint32_t* seen; ///< [3, threads, 2]

  template <copying_team Team> SQS_DEVICE void operator()(Team& t) const {
    piece_of_words* const own = shared_array<struct copies, piece_of_words, 128>(t) + 2 * t.thread();
    own[0].word[3] = own[1].word[3] = 7;
    for (int i = 0; i < 2; ++i) {
      t.copy_async(own + i, from + 2 * t.thread() + i, t.thread() % 2 == 0);
      t.commit_copies();
    }
    look(t, own, 0);
    t.template wait_copies<1>();
    look(t, own, 1);
    t.template wait_copies<0>();
    look(t, own, 2);
  }
  template <team Team> SQS_DEVICE void look(Team& t, const piece_of_words* own, int when) const {
    for (int i = 0; i < 2; ++i) { seen[(when * t.size() + t.thread()) * 2 + i] = own[i].word[3]; }
  }
};

TEST(cuda_mma_parts, copies_arrive_by_the_wait_and_not_always_before) {
  emulator::gpu e{.seed = 1};
  auto from = make_tensor<std::uint32_t, 1>({512});
  std::iota(from.begin(), from.end(), 100u);
  const auto there = to_device(e, from);
  auto seen = empty<std::uint32_t, 3>(e, {3, 64, 2});
  launch(e, 1, 64, copies_kernel{reinterpret_cast<const piece_of_words*>(there.data()), seen.data()});
  const auto s = to_host(e, seen);
  int open[3][2] = {};
  for (idx when = 0; when < 3; ++when) {
    for (idx thread = 0; thread < 64; ++thread) {
      for (idx i = 0; i < 2; ++i) {
        const std::uint32_t arrived = thread % 2 == 0 ? from((2 * thread + i) * 4 + 3) : 0u; // odd threads: zeros
        if (s(when, thread, i) != arrived) {
          EXPECT_EQ(s(when, thread, i), 7u);
          ++open[when][i];
        }
      }
    }
  }
  for (const int n : {open[0][0], open[0][1], open[1][1]}) { // some have come before, some have not
    EXPECT_GT(n, 10);
    EXPECT_LT(n, 54);
  }
  EXPECT_EQ(open[1][0], 0);
  EXPECT_EQ(open[2][0], 0);
  EXPECT_EQ(open[2][1], 0);
}

TEST(cuda_mma_parts, copies_of_crooked_addresses_are_told) {
  const auto copy = [](int to, int from) {
    const piece_of_words words[4] = {};
    emulator::launch(1, 32, [&](auto& t) {
      auto* const own = reinterpret_cast<std::byte*>(shared_array<struct crooked, piece_of_words, 4>(t));
      t.copy_async(own + to, reinterpret_cast<const std::byte*>(words[0].word) + from, true);
    });
  };
  EXPECT_THAT(message_of([&] { copy(8, 0); }),
              HasSubstr("of block 0 copies from an address 0 bytes beyond a multiple of 16 to one 8 beyond; "
                        "copy_async takes multiples of 16"));
  EXPECT_THAT(message_of([&] { copy(16, 4); }), HasSubstr("from an address 4 bytes beyond a multiple of 16 to one 0"));
}

TEST(cuda_mma_parts, lanes_get_their_parts_of_matrices) {
  emulator::gpu e{.seed = 2};
  expect_parts_of_matrices(e);
}

TEST(cuda_mma_parts, rows_become_words_with_zeros_behind) {
  emulator::gpu e;
  auto x = make_tensor<float, 2>({2, 6}); // two groups of three channels
  std::iota(x.begin(), x.end(), 1.0f);
  const auto dx = to_device(e, x);
  const auto rows = rows_of_words<bfloat16_words>::of(e, dx, 2);
  EXPECT_EQ(rows.words, 4);
  EXPECT_EQ(rows.pieces(2), 2);
  const auto all = to_host(e, rows.copy);
  ASSERT_EQ(all.size(), 4);
  EXPECT_THAT(all(1).word, testing::ElementsAre(bfloat16_words::of(4, 5), bfloat16_words::of(6, 0), 0u, 0u));
  EXPECT_THAT(all(2).word, testing::ElementsAre(bfloat16_words::of(7, 8), bfloat16_words::of(9, 0), 0u, 0u));
  // What can be multiplied as it lies is not copied.
  EXPECT_FALSE(rows_of_words<tf32_words>::of(e, to_device(e, make_tensor<float, 2>({2, 8})), 2).copy);
  EXPECT_TRUE(rows_of_words<tf32_words>::of(e, to_device(e, make_tensor<float, 2>({2, 8})), 4).copy);
  EXPECT_TRUE(rows_of_words<float16_words>::of(e, to_device(e, make_tensor<bfloat16, 2>({2, 8})), 1).copy);
}

TEST(cuda_mma_parts, weights_become_panels_with_zeros_around) {
  emulator::gpu e;
  auto w = make_tensor<float, 3>({2, 3, 4}); // taps, channels, two groups of two columns; or back: columns, channels
  std::iota(w.begin(), w.end(), 1.0f);
  const auto dw = to_device(e, w);
  const auto forward = weights_of_words<tf32_words>::of(e, dw, 2, 3, 2, false, 64);
  EXPECT_EQ(forward.room, 64);
  const auto f = to_host(e, forward.panels); // [tap, group, chunk, column, piece]
  ASSERT_EQ(f.size(), 2 * 2 * 1 * 64 * 4);
  const auto number = [](float v) { return tf32_words::of(v); };
  EXPECT_THAT(f((3 * 64 + 1) * 4).word,
              testing::ElementsAre(number(16), number(20), number(24), 0u)); // tap 1, column 3
  EXPECT_THAT(f((3 * 64 + 1) * 4 + 1).word, testing::Each(0u));
  EXPECT_THAT(f((3 * 64 + 2) * 4).word, testing::Each(0u));
  const auto b = to_host(e, weights_of_words<tf32_words>::of(e, dw, 2, 2, 3, true, 64).panels);
  EXPECT_THAT(b((2 * 64 + 2) * 4).word,
              testing::ElementsAre(number(21), number(22), 0u, 0u)); // tap 1, group 0, column 2
}

} // namespace cuda_mma_parts_test

// SPDX-License-Identifier: Apache-2.0
// What is said when a device has no memory, or does not take it back: with a device that is as small as a test wants.

#include "../support/check.hpp"
#include "../support/small_device.hpp"

#include <sqs/tensor/copy.hpp>

namespace cuda_errors_test {

using namespace sqs;
using sqs_test::device_of;
using sqs_test::small_device;
using test::message_of;
using testing::HasSubstr;

constexpr std::size_t mib = std::size_t{1} << 20;

TEST(cuda_errors, no_memory_names_who_asked_and_how_to_help) {
  auto e = device_of(3 * mib);
  const auto kept = empty<char, 1>(e, {1000}); // takes a slab of 1 MiB
  const pool::user asking(e.memory(), "sqs::some_op", "give fewer rows");
  EXPECT_EQ(
      message_of([&] { empty<float, 1>(e, {1000000}); }),
      "sqs::some_op: no memory for 4000000 bytes: 2097152 bytes are free in the device, and the pool holds 1048576 "
      "bytes, of which 1024 are in use; give fewer rows");
}

TEST(cuda_errors, the_outermost_op_is_named_while_it_runs) {
  auto e = device_of(0);
  const auto message = [&] { return message_of([&] { empty<float, 1>(e, {10}); }); };
  EXPECT_THAT(message(), HasSubstr("sqs::pool: no memory for 64 bytes: 0 bytes are free in the device"));
  EXPECT_THAT(message(), HasSubstr("; use a smaller batch"));
  {
    const pool::user op(e.memory(), "sqs::an_op", "ask for less");
    {
      const pool::user sort(e.memory(), "sqs::a_sort", "sort less");
      EXPECT_THAT(message(), HasSubstr("sqs::an_op: no memory for 64 bytes"));
    }
    EXPECT_THAT(message(), HasSubstr("sqs::an_op: no memory for 64 bytes"));
    EXPECT_THAT(message(), HasSubstr("; ask for less"));
  }
  EXPECT_THAT(message(), HasSubstr("sqs::pool: no memory"));
}

// Slabs grow with what a pool holds; where there is no room for that, it asks for no more than it needs.
TEST(cuda_errors, a_pool_asks_for_less_where_there_is_little) {
  auto e = device_of(100 * mib);
  const auto most = empty<char, 1>(e, {80 * mib}); // and an eighth: 10 MiB are left, half of the pool would be 45
  EXPECT_EQ(small_device::room, 10 * mib - 64);
  const auto more = empty<char, 1>(e, {12 * mib / 2});
  EXPECT_EQ(e.memory().statistics().takes, 1); // had room beside the first
  const auto last = empty<char, 1>(e, {8 * mib});
  EXPECT_EQ(e.memory().statistics().takes, 2);
  EXPECT_EQ(small_device::room, 1 * mib - 128);
}

TEST(cuda_errors, a_pool_goes_on_after_one) {
  auto e = device_of(2 * mib);
  for (int i = 0; i < 1000; ++i) { EXPECT_THROW((empty<char, 1>(e, {idx{3} * (1 << 20)})), error); }
  auto x = full<int, 1>(e, {100}, 7);
  EXPECT_EQ(to_host(e, x)(99), 7);
  EXPECT_EQ(e.memory().statistics().live, 448u);
  EXPECT_EQ(e.memory().statistics().takes, 1);
}

TEST(cuda_errors, other_failures_of_an_allocation_are_raised_in_its_name) {
  auto e = device_of(8 * mib);
  small_device::captures = true;
  {
    const pool::user op(e.memory(), "sqs::an_op", "ask for less");
    EXPECT_EQ(message_of([&] { empty<float, 1>(e, {10}); }), "sqs::an_op: no memory while a graph is captured");
  }
  small_device::captures = false;
  EXPECT_EQ(to_host(e, full<int, 1>(e, {1}, 3))(0), 3);
}

// A destructor cannot raise: one line a pool, however many of its slabs were not taken back.
TEST(cuda_errors, memory_that_is_not_taken_back_is_reported_once) {
  const auto said = [](const char* refusal) {
    testing::internal::CaptureStderr();
    {
      auto e = device_of(64 * mib);
      const auto one = empty<char, 1>(e, {3 * mib}), two = empty<char, 1>(e, {9 * mib});
      EXPECT_EQ(e.memory().statistics().takes, 2);
      small_device::refuses_to_take_back = refusal;
    }
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said("cudaErrorIllegalAddress"), "sqs::pool: could not give memory back to the device: "
                                             "cudaErrorIllegalAddress; an earlier call may have failed unseen\n");
  EXPECT_EQ(said(nullptr), "");
}

struct small_block {
  static constexpr const char* name = "small_block";
  static constexpr int most_threads = 64;
  template <team Team> SQS_DEVICE void operator()(Team&) const {}
};
TEST(cuda_errors, a_block_is_no_larger_than_its_kernel_says) {
  auto e = device_of(mib);
  launch(e, 1, 64, small_block{});
  EXPECT_EQ(message_of([&] { launch(e, 1, 96, small_block{}); }),
            "small_block: a block of 96 threads of a kernel that says most_threads = 64; launch fewer or raise it");
}

} // namespace cuda_errors_test

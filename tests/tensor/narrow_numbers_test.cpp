// SPDX-License-Identifier: Apache-2.0
// F16 and BF16 of a file: as themselves, widened, refused where digits would be lost.
#include "../support/check.hpp"

#include <sqs/tensor/safetensors.hpp>

namespace narrow_numbers_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

stored_tensor stored(const char* dtype, std::initializer_list<unsigned> numbers) {
  stored_tensor s{.dtype = dtype, .shape = {static_cast<std::int64_t>(numbers.size())}, .data = {}};
  for (const unsigned n : numbers) {
    s.data.push_back(static_cast<std::byte>(n & 255));
    s.data.push_back(static_cast<std::byte>(n >> 8));
  }
  return s;
}

TEST(narrow_numbers, widen_exactly) {
  const auto b = to_tensor<float, 1>(stored("BF16", {0x3f80, 0xc000, 0x7f80, 0x0001}), "b");
  EXPECT_EQ(b(0), 1.0f);
  EXPECT_EQ(b(1), -2.0f);
  EXPECT_TRUE(std::isinf(b(2)));
  EXPECT_EQ(b(3), 0x1p-133f);
  const auto h = to_tensor<double, 1>(stored("F16", {0x3c00, 0xc000, 0x3555, 0x0001}), "h");
  EXPECT_EQ(h(0), 1.0);
  EXPECT_EQ(h(1), -2.0);
  EXPECT_EQ(h(2), 1365.0 / 4096);
  EXPECT_EQ(h(3), 0x1p-24);
}

TEST(narrow_numbers, bfloat16_keeps_its_bits) {
  auto t = make_tensor<bfloat16, 1>({3});
  for (idx i = 0; i < 3; ++i) { t(i) = bfloat16(0.1f * static_cast<float>(i + 1)); }
  const auto s = from_tensor(t);
  EXPECT_EQ(s.dtype, "BF16");
  const auto back = to_tensor<bfloat16, 1>(s, "t");
  for (idx i = 0; i < 3; ++i) { EXPECT_EQ(back(i).bits, t(i).bits); }
}

TEST(narrow_numbers, float16_keeps_its_bits) {
  auto t = make_tensor<float16, 1>({3});
  for (idx i = 0; i < 3; ++i) { t(i) = float16(0.1f * static_cast<float>(i + 1)); }
  const auto s = from_tensor(t);
  EXPECT_EQ(s.dtype, "F16");
  const auto back = to_tensor<float16, 1>(s, "t");
  for (idx i = 0; i < 3; ++i) { EXPECT_EQ(back(i).bits, t(i).bits); }
  EXPECT_EQ((to_tensor<float, 1>(s, "t")(0)), static_cast<float>(t(0)));
}

TEST(narrow_numbers, do_not_narrow_or_change_their_kind) {
  EXPECT_THAT(message_of([] { (void)to_tensor<bfloat16, 1>(stored("F16", {0}), "w"); }),
              HasSubstr("'w' is F16 [1] but BF16 of rank 1 was expected"));
  EXPECT_THAT(message_of([] { (void)to_tensor<std::int32_t, 1>(stored("BF16", {0}), "w"); }), HasSubstr("but I32"));
  EXPECT_THAT(message_of([] { (void)to_tensor<float, 2>(stored("BF16", {0}), "w"); }), HasSubstr("F32 of rank 2"));
}

} // namespace narrow_numbers_test

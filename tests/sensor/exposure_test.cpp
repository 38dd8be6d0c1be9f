// SPDX-License-Identifier: Apache-2.0
// Exposure by hand, by central differences and for any thread count.
#include "../support/check.hpp"

#include <sqs/sensor/exposure.hpp>

namespace exposure_test {

using namespace sqs;
using namespace sqs::test;

TEST(exposure, views_take_their_rows) {
  cpu e{.threads = 2};
  auto image = make_tensor<float, 4>({2, 3, 2, 2}, 0.5f);
  image(1, 2, 1, 0) = 0.25f;
  auto gains = make_tensor<float, 2>({4, 2});
  gains(2, 0) = std::log(3.0f);
  gains(1, 1) = std::log(2.0f);
  const auto out = expose_op{.first_row = 1}.forward(e, image, gains).value;
  EXPECT_FLOAT_EQ(out(0, 1, 1, 0), 0.5f);
  EXPECT_FLOAT_EQ(out(0, 1, 1, 1), 1.0f);
  EXPECT_FLOAT_EQ(out(1, 0, 0, 0), 1.5f);
  EXPECT_FLOAT_EQ(out(1, 2, 1, 0), 0.75f);
  EXPECT_FLOAT_EQ(out(1, 2, 1, 1), 0.5f);
}

TEST(exposure, gradient_and_threads) {
  cpu one{.threads = 1}, three{.threads = 3};
  auto image = random<4>({2, 19, 3, 3}, 1);
  auto gains = random<2>({4, 3}, 2, 0.3);
  const expose_op op{.first_row = 2};
  const auto report = check_gradient(three, op, image, gains);
  EXPECT_GRADIENT(report, 1e-7);
  const auto d = random<4>({2, 19, 3, 3}, 3);
  const auto a = op.backward(one, op.forward(one, image, gains).saved, d);
  const auto b = op.backward(three, op.forward(three, image, gains).saved, d);
  EXPECT_TRUE(std::equal(std::get<1>(a).begin(), std::get<1>(a).end(), std::get<1>(b).begin()));
  EXPECT_EQ(std::get<1>(a)(1, 2), 0); // a view that was not drawn
}

TEST(exposure, misuse_is_explained) {
  cpu e{.threads = 1};
  EXPECT_THAT(
      message_of([&] {
        expose_op{.first_row = 3}.forward(e, make_tensor<float, 4>({2, 1, 1, 3}), make_tensor<float, 2>({4, 3}));
      }),
      testing::HasSubstr("2 views of 3 channels take rows 3 and following of gains [4, 3]"));
}

} // namespace exposure_test

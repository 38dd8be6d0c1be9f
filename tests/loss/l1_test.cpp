// SPDX-License-Identifier: Apache-2.0
#include <sqs/autodiff/check_gradient.hpp>
#include <sqs/loss/depth.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace l1_test {

using namespace sqs;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T, int R> tensor<T, R> filled(extents<R> shape, std::vector<T> values) {
  auto t = make_tensor<T, R>(shape);
  std::copy(values.begin(), values.end(), t.begin());
  return t;
}
template <class T, int R> tensor<T, R> drawn(extents<R> shape, std::uint64_t seed) {
  auto t = make_tensor<T, R>(shape);
  const auto r = random_stream::of(seed);
  for (idx i = 0; i < t.size(); ++i) { t.data()[i] = static_cast<T>(r.uniform(i, -1, 1)); }
  return t;
}

TEST(photometric_l1, by_hand) {
  cpu e{.threads = 1};
  const auto a = filled<float, 2>({2, 2}, {1, 2, 3, 4}), b = filled<float, 2>({2, 2}, {1, 4, 2, 0});
  const loss::photometric_l1 op;
  const auto r = op.forward(e, a, b);
  EXPECT_FLOAT_EQ(*r.value.data(), 7.0f / 4);
  const auto [g] = op.backward(e, r.saved, full<float, 0>(e, {}, 2.0f));
  EXPECT_EQ(std::vector<float>(g.begin(), g.end()), (std::vector<float>{0, -0.5f, 0.5f, 0.5f}));
}

TEST(photometric_l1, gradient) {
  cpu e{.threads = 2};
  auto a = drawn<double, 3>({3, 4, 5}, 1);
  const auto b = drawn<double, 3>({3, 4, 5}, 2);
  const loss::photometric_l1 op;
  const auto r = op.forward(e, a, b);
  const auto [g] = op.backward(e, r.saved, full<double, 0>(e, {}, 1.0));
  gradient_report report;
  sqs::detail::compare_gradient({.step = 1e-6}, report, "image", a.data(), g.data(), a.size(),
                                [&] { return *op.forward(e, a, b).value.data(); });
  EXPECT_LE(report.worst, 1e-7);
  EXPECT_EQ(report.nonzero, a.size());
}

TEST(photometric_l1, is_bitwise_the_same_for_any_thread_count) {
  const auto a = drawn<float, 1>({100003}, 3), b = drawn<float, 1>({100003}, 4);
  std::vector<float> values;
  for (const int threads : {1, 2, 3, 8}) {
    cpu e{.threads = threads};
    values.push_back(*loss::photometric_l1{}.forward(e, a, b).value.data());
  }
  for (const float v : values) { EXPECT_EQ(std::memcmp(&v, &values[0], sizeof v), 0); }
  EXPECT_NEAR(values[0], 2.0 / 3, 0.01); // the mean distance of two uniform numbers in [-1, 1]
}

TEST(photometric_l1, names_shapes_that_differ) {
  cpu e{.threads = 1};
  EXPECT_THAT(
      ([&] {
        loss::photometric_l1{}.forward(e, make_tensor<float, 2>({2, 3}), make_tensor<float, 2>({3, 2}));
      }),
      ThrowsMessage<precondition_error>("sqs::loss::photometric_l1: the image is [2, 3], the target [3, 2]; render "
                                        "at the size of the target"));
  EXPECT_THAT(([&] {
                loss::photometric_l1{}.forward(e, make_tensor<float, 2>({0, 3}), make_tensor<float, 2>({0, 3}));
              }),
              ThrowsMessage<precondition_error>(HasSubstr("the mean of nothing is not defined")));
}

TEST(depth_l1, counts_only_returns) {
  cpu e{.threads = 1};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto a = filled<float, 1>({6}, {5, 7, 3, 2, 9, 4}), b = filled<float, 1>({6}, {4, 0, 7, -1, nan, 4});
  const loss::depth_l1 op;
  const auto r = op.forward(e, a, b);
  EXPECT_FLOAT_EQ(*r.value.data(), 5.0f / 3);
  const auto [g] = op.backward(e, r.saved, full<float, 0>(e, {}, 3.0f));
  EXPECT_EQ(std::vector<float>(g.begin(), g.end()), (std::vector<float>{1, 0, -1, 0, 0, 0}));
}

TEST(depth_l1, is_zero_without_returns) {
  cpu e{.threads = 1};
  const auto a = filled<float, 1>({2}, {5, 7}), b = filled<float, 1>({2}, {0, 0});
  const loss::depth_l1 op;
  const auto r = op.forward(e, a, b);
  EXPECT_EQ(*r.value.data(), 0.0f);
  const auto [g] = op.backward(e, r.saved, full<float, 0>(e, {}, 1.0f));
  EXPECT_EQ(g(0), 0.0f);
  EXPECT_EQ(g(1), 0.0f);
}

TEST(depth_l1, gradient) {
  cpu e{.threads = 2};
  auto a = drawn<double, 2>({6, 7}, 5);
  const auto b = drawn<double, 2>({6, 7}, 6); // about half of it negative: no return
  const loss::depth_l1 op;
  const auto r = op.forward(e, a, b);
  const auto [g] = op.backward(e, r.saved, full<double, 0>(e, {}, 1.0));
  gradient_report report;
  sqs::detail::compare_gradient({.step = 1e-6}, report, "depth", a.data(), g.data(), a.size(),
                                [&] { return *op.forward(e, a, b).value.data(); });
  EXPECT_LE(report.worst, 1e-7);
  EXPECT_EQ(report.nonzero, r.saved.returns);
  EXPECT_GT(r.saved.returns, 10);
  EXPECT_LT(r.saved.returns, 32);
}

TEST(depth_l1, names_shapes_that_differ) {
  cpu e{.threads = 1};
  EXPECT_THAT(([&] { loss::depth_l1{}.forward(e, make_tensor<float, 1>({4}), make_tensor<float, 1>({5})); }),
              ThrowsMessage<precondition_error>(
                  "sqs::loss::depth_l1: the depth is [4], the target [5]; render at the size of the target"));
}

TEST(l1_losses, train_in_a_graph) {
  cpu e{.threads = 1};
  parameter<double, 2> p{filled<double, 2>({1, 2}, {1, 5}), {}};
  training_graph<cpu> g{e};
  auto y = apply(g, loss::photometric_l1{}, p, filled<double, 2>({1, 2}, {2, 2}));
  g.backward(y);
  EXPECT_EQ(p.gradient(0, 0), -0.5);
  EXPECT_EQ(p.gradient(0, 1), 0.5);
}

} // namespace l1_test

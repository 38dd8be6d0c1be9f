// SPDX-License-Identifier: Apache-2.0
// Norms of sparse rows: numbers by hand, plain sums in long double, gradients, running statistics, edges, threads.
#include "../support/check.hpp"
#include "../support/same_bits.hpp"
#include "weighted_sum.hpp"

#include <sqs/sparse/normalization.hpp>

namespace normalization_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

using sqs::test::same_bits;
tensor<double, 1> numbers(const std::vector<double>& v) {
  auto t = make_tensor<double, 1>({static_cast<idx>(v.size())});
  std::copy(v.begin(), v.end(), t.data());
  return t;
}
/// Mean and biased variance of column j, in long double.
template <class T> std::pair<long double, long double> plain_moments(const tensor<T, 2>& x, idx j) {
  long double sum = 0, squares = 0;
  const auto n = static_cast<long double>(x.extent(0));
  for (idx i = 0; i < x.extent(0); ++i) { sum += static_cast<long double>(x(i, j)); }
  for (idx i = 0; i < x.extent(0); ++i) {
    squares += (static_cast<long double>(x(i, j)) - sum / n) * (static_cast<long double>(x(i, j)) - sum / n);
  }
  return {sum / n, squares / n};
}

TEST(batch_norm, by_hand) {
  // Column (1, 3, 5): mean 3, variance 8/3; eps 1/3 makes the root of the sum sqrt(3).
  cpu e{.threads = 1};
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 1, x(1, 0) = 3, x(2, 0) = 5;
  const auto [y, mean, variance] =
      sparse::batch_norm_op{1.0 / 3}.forward(e, x, numbers({std::sqrt(3.0)}), numbers({10})).value;
  EXPECT_NEAR(y(0, 0), 8, 1e-14);
  EXPECT_NEAR(y(1, 0), 10, 1e-14);
  EXPECT_NEAR(y(2, 0), 12, 1e-14);
  EXPECT_EQ(mean(0), 3);
  EXPECT_NEAR(variance(0), 8.0 / 3, 1e-15);
}

TEST(batch_norm, running_statistics_follow_the_batches) {
  cpu e{.threads = 1};
  initializer init(1);
  auto norm = sparse::batch_norm<double>::make(1, init);
  std::string names;
  for_each_tensor(norm, [&](const std::string& name, const auto&) { names += name + ' '; });
  EXPECT_EQ(names, "weight bias running_mean running_var ");
  auto x = make_tensor<double, 2>({3, 1});
  x(0, 0) = 1, x(1, 0) = 3, x(2, 0) = 5;
  const auto train = [&](const tensor<double, 2>& rows) {
    training_graph<cpu> g{e};
    return norm(g, g.input(rows)).value();
  };
  const auto run = [&](const tensor<double, 2>& rows) {
    inference_graph<cpu> g{e};
    return norm(g, g.input(rows)).value();
  };
  EXPECT_NEAR(train(x)(0, 0), -2 / std::sqrt(8.0 / 3 + 1e-5), 1e-15);
  EXPECT_NEAR(norm.running_mean.value(0), 0.3, 1e-15);          // 0.9 * 0 + 0.1 * 3
  EXPECT_NEAR(norm.running_var.value(0), 0.9 + 0.1 * 4, 1e-15); // unbiased: 8 / 2
  EXPECT_NEAR(run(x)(2, 0), (5 - 0.3) / std::sqrt(1.3 + 1e-5), 1e-14);
  EXPECT_NEAR(norm.running_mean.value(0), 0.3, 1e-15); // an inference graph changes nothing
  // One row: its mean counts, it has no unbiased variance. None: nothing counts.
  EXPECT_EQ(train(make_tensor<double, 2>({1, 1}, 13.0))(0, 0), 0);
  EXPECT_NEAR(norm.running_mean.value(0), 0.9 * 0.3 + 1.3, 1e-15);
  EXPECT_NEAR(norm.running_var.value(0), 1.3, 1e-15);
  EXPECT_EQ(train(make_tensor<double, 2>({0, 1})).extent(0), 0);
  EXPECT_NEAR(norm.running_mean.value(0), 1.57, 1e-15);
  norm.statistics = sparse::norm_statistics::running;
  EXPECT_NEAR(train(x)(0, 0), (1 - 1.57) / std::sqrt(1.3 + 1e-5), 1e-14);
  EXPECT_NEAR(norm.running_mean.value(0), 1.57, 1e-15);
  norm.statistics = sparse::norm_statistics::batch;
  EXPECT_NEAR(run(x)(1, 0), 0, 1e-15);
  EXPECT_NEAR(norm.running_mean.value(0), 1.57, 1e-15);
}

TEST(batch_norm, equals_plain_sums_for_all_sizes) {
  cpu e{.threads = 2};
  for (const idx c : {1, 7, 16, 33}) {
    for (const idx n : {2, 31, 33, 255, 256, 257, 1000}) {
      const auto x = random<2>({n, c}, static_cast<std::uint64_t>(n));
      const auto gain = random<1>({c}, 2), bias = random<1>({c}, 3);
      const auto [y, mean, variance] = sparse::batch_norm_op{}.forward(e, x, gain, bias).value;
      for (idx j = 0; j < c; ++j) {
        const auto [m, v] = plain_moments(x, j);
        ASSERT_NEAR(mean(j), static_cast<double>(m), 1e-14);
        ASSERT_NEAR(variance(j), static_cast<double>(v), 1e-13);
        const auto expected =
            (static_cast<long double>(x(n - 1, j)) - m) / std::sqrt(v + 1e-5L) * static_cast<long double>(gain(j)) +
            static_cast<long double>(bias(j));
        ASSERT_NEAR(y(n - 1, j), static_cast<double>(expected), 1e-12);
      }
    }
  }
}

TEST(batch_norm, float_stays_accurate_over_many_rows_far_from_zero) {
  cpu e{.threads = 2};
  const idx n = 200000;
  auto x = random_float<2>({n, 3}, 5);
  for (idx i = 0; i < x.size(); ++i) { x.data()[i] += 100; }
  const auto r = sparse::batch_norm_op{}.forward(e, x, make_tensor<float, 1>({3}, 1), make_tensor<float, 1>({3}, 0));
  for (idx j = 0; j < 3; ++j) {
    const auto [m, v] = plain_moments(x, j);
    EXPECT_NEAR(std::get<1>(r.value)(j), static_cast<double>(m), 1e-5);
    EXPECT_NEAR(std::get<2>(r.value)(j), static_cast<double>(v), 1e-5);
    EXPECT_NEAR(static_cast<double>(std::get<0>(r.value)(7, j)),
                (static_cast<double>(x(7, j)) - static_cast<double>(m)) / std::sqrt(static_cast<double>(v) + 1e-5),
                3e-5);
  }
}

TEST(batch_norm, gradients) {
  cpu e{.threads = 2};
  for (const idx c : {1, 3, 9}) {
    auto x = random<2>({11, c}, 1);
    auto gain = random<1>({c}, 2), bias = random<1>({c}, 3);
    EXPECT_GRADIENT(check_gradient(e, sparse::batch_norm_op{}, x, gain, bias), 1e-7);
    EXPECT_GRADIENT(check_gradient(e, sparse::row_affine_op{}, x, gain, bias), 1e-7);
    const auto mean = random<1>({c}, 4);
    auto variance = random<1>({c}, 5);
    for (idx j = 0; j < c; ++j) { variance(j) *= variance(j); }
    EXPECT_GRADIENT(check_gradient(e, sparse::folded_batch_norm_op{}, gain, bias, mean, variance), 1e-7);
  }
  auto many = random<2>({600, 2}, 6); // several ranges
  auto gain = random<1>({2}, 2), bias = random<1>({2}, 3);
  gradient_check check;
  check.samples = 40;
  EXPECT_GRADIENT(check_gradient(e, sparse::batch_norm_op{}, check, many, gain, bias), 1e-6);
}

TEST(batch_norm, gradients_through_both_modes) {
  cpu e{.threads = 2};
  initializer init(1);
  auto norm = sparse::batch_norm<double>::make(3, init);
  norm.momentum = 0; // the differences must see one function
  norm.running_mean.value = random<1>({3}, 1);
  const auto x = random<2>({20, 3}, 2);
  for (const auto mode : {sparse::norm_statistics::batch, sparse::norm_statistics::running}) {
    norm.statistics = mode;
    const auto r = check_model_gradient(e, norm, {},
                                        [&](auto& g) { return sqs::apply(g, weighted_sum_op{}, norm(g, g.input(x))); });
    EXPECT_GRADIENT(r, 1e-7);
  }
}

TEST(voxel_group_norm, is_a_norm_of_each_row_alone) {
  cpu e{.threads = 2};
  // Groups (1, 3) and (2, 2): means 2 and 2, variances 1 and 0.
  auto x = make_tensor<double, 2>({1, 4});
  x(0, 0) = 1, x(0, 1) = 3, x(0, 2) = 2, x(0, 3) = 2;
  const auto y =
      sparse::voxel_group_norm_op{2, 0.0625}.forward(e, x, numbers({1, 1, 5, 5}), numbers({0, 0, 7, 8})).value;
  EXPECT_NEAR(y(0, 0), -1 / std::sqrt(1.0625), 1e-15);
  EXPECT_NEAR(y(0, 1), 1 / std::sqrt(1.0625), 1e-15);
  EXPECT_EQ(y(0, 2), 7);
  EXPECT_EQ(y(0, 3), 8);
  // A row of many is what it is alone.
  const auto all = random<2>({70, 12}, 1);
  const auto gain = random<1>({12}, 2), bias = random<1>({12}, 3);
  auto one = make_tensor<double, 2>({1, 12});
  std::copy_n(std::as_const(all).data() + 69 * 12, 12, one.data());
  const auto of_all = sparse::voxel_group_norm_op{4}.forward(e, all, gain, bias).value;
  const auto of_one = sparse::voxel_group_norm_op{4}.forward(e, one, gain, bias).value;
  for (idx j = 0; j < 12; ++j) { EXPECT_EQ(of_all(69, j), of_one(0, j)); }
}

TEST(voxel_group_norm, gradients) {
  cpu e{.threads = 2};
  for (const idx groups : {1, 2, 3}) {
    auto x = random<2>({9, 6}, 1);
    auto gain = random<1>({6}, 2), bias = random<1>({6}, 3);
    EXPECT_GRADIENT(check_gradient(e, sparse::voxel_group_norm_op{groups}, x, gain, bias), 1e-6);
  }
}

TEST(leaky_relu, by_hand_and_gradient) {
  cpu e{.threads = 1};
  auto x = make_tensor<double, 2>({1, 3});
  x(0, 0) = -2, x(0, 1) = 3, x(0, 2) = std::nan("");
  const auto r = nn::leaky_relu_op{0.25}.forward(e, x);
  EXPECT_EQ(r.value(0, 0), -0.5);
  EXPECT_EQ(r.value(0, 1), 3);
  EXPECT_TRUE(std::isnan(r.value(0, 2)));
  auto away = random<2>({5, 7}, 4);
  for (idx i = 0; i < away.size(); ++i) { away.data()[i] += away.data()[i] < 0 ? -0.01 : 0.01; }
  EXPECT_GRADIENT(check_gradient(e, nn::leaky_relu_op{}, away), 1e-7);
}

TEST(sparse_normalization, bits_do_not_depend_on_threads) {
  const auto x = random_float<2>({3001, 19}, 1), dy = random_float<2>({3001, 19}, 2);
  const auto gain = random_float<1>({19}, 3), bias = random_float<1>({19}, 4);
  const auto run = [&](int threads) {
    cpu e{.threads = threads};
    const auto r = sparse::batch_norm_op{}.forward(e, x, gain, bias);
    const auto zero = make_tensor<float, 1>({19}, 0);
    const auto d = sparse::batch_norm_op{}.backward(e, r.saved, dy, zero, zero);
    const auto v = sparse::voxel_group_norm_op{19}.forward(e, x, gain, bias);
    const auto dv = sparse::voxel_group_norm_op{19}.backward(e, v.saved, dy);
    return std::tuple{persistent_copy<float>(std::get<0>(r.value)), persistent_copy<float>(std::get<0>(d)),
                      persistent_copy<float>(std::get<1>(d)), persistent_copy<float>(std::get<1>(dv))};
  };
  const auto one = run(1);
  for (const int threads : {1, 2, 3, 4}) {
    const auto other = run(threads);
    EXPECT_TRUE(same_bits(std::get<0>(one), std::get<0>(other)));
    EXPECT_TRUE(same_bits(std::get<1>(one), std::get<1>(other)));
    EXPECT_TRUE(same_bits(std::get<2>(one), std::get<2>(other)));
    EXPECT_TRUE(same_bits(std::get<3>(one), std::get<3>(other)));
  }
}

TEST(sparse_normalization, no_rows) {
  cpu e{.threads = 2};
  const auto none = make_tensor<double, 2>({0, 4});
  const auto gain = random<1>({4}, 1), bias = random<1>({4}, 2);
  const auto r = sparse::batch_norm_op{}.forward(e, none, gain, bias);
  EXPECT_EQ(std::get<2>(r.value)(3), 0);
  const auto d = sparse::batch_norm_op{}.backward(e, r.saved, none, make_tensor<double, 1>({4}, 0),
                                                  make_tensor<double, 1>({4}, 0));
  EXPECT_EQ(std::get<1>(d)(0), 0);
  const auto v = sparse::voxel_group_norm_op{2}.forward(e, none, gain, bias);
  EXPECT_EQ(std::get<1>(sparse::voxel_group_norm_op{2}.backward(e, v.saved, none))(3), 0);
}

TEST(sparse_normalization, errors) {
  cpu e{.threads = 1};
  const auto x = random<2>({3, 4}, 1);
  const auto four = random<1>({4}, 1), five = random<1>({5}, 1);
  EXPECT_THAT(message_of([&] { sparse::batch_norm_op{}.forward(e, x, four, five); }),
              HasSubstr("sqs::sparse::batch_norm: x has 4 channels, gain 4, bias 5; they must agree"));
  EXPECT_THAT(message_of([&] { sparse::row_affine_op{}.forward(e, x, five, four); }),
              HasSubstr("sqs::sparse::row_affine: x has 4 channels, scale 5, shift 4"));
  EXPECT_THAT(message_of([&] { sparse::folded_batch_norm_op{}.forward(e, four, four, four, five); }),
              HasSubstr("gain has 4 channels, bias 4, mean 4, variance 5"));
  EXPECT_THAT(message_of([&] { sparse::voxel_group_norm_op{3}.forward(e, x, four, four); }),
              HasSubstr("4 channels in 3 groups"));
  initializer init(1);
  EXPECT_THAT(message_of([&] { sparse::voxel_group_norm<float>::make(48, init); }),
              HasSubstr("32 groups do not divide 48 channels; choose a divisor"));
}

} // namespace normalization_test

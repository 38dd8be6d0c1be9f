// SPDX-License-Identifier: Apache-2.0
// Every dense op: numbers by hand, gradients in double, thread-count equality, documented errors.
#include "../support/check.hpp"

#include <sqs/nn/activation.hpp>
#include <sqs/nn/conv2d.hpp>
#include <sqs/nn/linear.hpp>
#include <sqs/nn/normalization.hpp>
#include <sqs/nn/resample.hpp>

#include <limits>

namespace ops_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(linear, by_hand_and_gradient) {
  cpu e{.threads = 2};
  auto x = make_tensor<double, 2>({1, 2}), w = make_tensor<double, 2>({3, 2});
  auto b = make_tensor<double, 1>({3}, 0.5);
  x(0, 0) = 1, x(0, 1) = 2;
  w(0, 0) = 1, w(1, 1) = 3, w(2, 0) = -1, w(2, 1) = 1;
  const auto y = nn::linear_op{}.forward(e, x, w, b).value;
  EXPECT_EQ(y(0, 0), 1.5);
  EXPECT_EQ(y(0, 1), 6.5);
  EXPECT_EQ(y(0, 2), 1.5);
  auto x2 = random<2>({130, 5}, 1), w2 = random<2>({7, 5}, 2);
  auto b2 = random<1>({7}, 3);
  EXPECT_GRADIENT(check_gradient(e, nn::linear_op{}, x2, w2, b2), 1e-7);
  EXPECT_THAT(message_of([&] { nn::linear_op{}.forward(e, x, w2, b); }),
              HasSubstr("sqs::nn::linear: x is [1, 2], W is [7, 5]"));
}

TEST(linear, long_depth_weight_gradient_equals_plain_sum) {
  cpu e{.threads = 2};
  const idx n = 10000; // three depth slices
  auto x = random<2>({n, 3}, 1), d = random<2>({n, 2}, 2), w = random<2>({2, 3}, 3);
  auto b = random<1>({2}, 3);
  const auto [value, saved] = nn::linear_op{}.forward(e, x, w, b);
  const auto [dx, dw, db] = nn::linear_op{}.backward(e, saved, d, {true, true, true});
  for (idx o = 0; o < 2; ++o) {
    for (idx i = 0; i < 3; ++i) {
      double sum = 0;
      for (idx r = 0; r < n; ++r) { sum += d(r, o) * x(r, i); }
      EXPECT_NEAR(dw(o, i), sum, 1e-9);
    }
  }
}

TEST(activation, gradients) {
  cpu e{.threads = 2};
  auto x = random<3>({4, 5, 6}, 4), y = random<3>({4, 5, 6}, 5);
  for (double& v : x) { v += v > 0 ? 0.1 : -0.1; } // away from the kink
  EXPECT_GRADIENT(check_gradient(e, nn::relu_op{}, x), 1e-7);
  EXPECT_GRADIENT(check_gradient(e, nn::add_op{}, x, y), 1e-7);
  EXPECT_GRADIENT(check_gradient(e, nn::dropout_op{0.3, random_stream::of(9)}, x), 1e-7);
  auto z = random<3>({4, 5, 7}, 5);
  EXPECT_THAT(message_of([&] { nn::add_op{}.forward(e, x, z); }), HasSubstr("sqs::nn::add: the shapes differ"));
  EXPECT_THAT(message_of([&] { nn::dropout_op{1.0}.forward(e, x); }), HasSubstr("rate is 1"));
}

TEST(activation, dropout_keeps_the_mean_and_the_rate) {
  cpu e{.threads = 1};
  auto x = make_tensor<double, 1>({100000}, 1.0);
  const auto y = nn::dropout_op{0.25, random_stream::of(3)}.forward(e, x).value;
  double zero = 0, sum = 0;
  for (const double v : y) {
    zero += v == 0;
    sum += v;
  }
  EXPECT_NEAR(zero / 1e5, 0.25, 0.006);
  EXPECT_NEAR(sum / 1e5, 1.0, 0.01);
}

TEST(normalization, layer_norm) {
  cpu e{.threads = 2};
  auto x = random<2>({300, 6}, 6);
  auto gain = random<1>({6}, 7), shift = random<1>({6}, 8);
  EXPECT_GRADIENT(check_gradient(e, nn::layer_norm_op{}, {.samples = 200}, x, gain, shift), 1e-6);
  auto one = make_tensor<double, 2>({1, 2});
  one(0, 0) = -3, one(0, 1) = 5; // mean 1, deviation 4
  const auto y = nn::layer_norm_op{.eps = 0}
                     .forward(e, one, make_tensor<double, 1>({2}, 2.0), make_tensor<double, 1>({2}, 1.0))
                     .value;
  EXPECT_NEAR(y(0, 0), -1, 1e-15);
  EXPECT_NEAR(y(0, 1), 3, 1e-15);
}

TEST(normalization, group_and_frozen_batch_norm) {
  cpu e{.threads = 2};
  auto x = random<4>({2, 3, 4, 8}, 9);
  auto gain = random<1>({8}, 10), shift = random<1>({8}, 11), mean = random<1>({8}, 12);
  auto variance = make_tensor<double, 1>({8}, 2.0);
  EXPECT_GRADIENT(check_gradient(e, nn::group_norm_op{.groups = 4}, x, gain, shift), 1e-6);
  EXPECT_GRADIENT(check_gradient(e, nn::frozen_batch_norm_op{}, x, gain, shift, mean, variance), 1e-7);
  const auto y =
      nn::group_norm_op{.groups = 2}.forward(e, x, make_tensor<double, 1>({8}, 1.0), make_tensor<double, 1>({8})).value;
  double sum = 0, squares = 0;
  for (idx p = 0; p < 12; ++p) {
    for (idx j = 0; j < 4; ++j) {
      const double v = y.data()[p * 8 + j];
      sum += v;
      squares += v * v;
    }
  }
  EXPECT_NEAR(sum / 48, 0, 1e-12);
  EXPECT_NEAR(squares / 48, 1, 1e-4);
  EXPECT_THAT(message_of([&] { nn::group_norm_op{.groups = 3}.forward(e, x, gain, shift); }),
              HasSubstr("8 channels in 3 groups"));
}

// The obvious convolution: no columns, no products of matrices.
tensor<double, 4> plain_conv(const tensor<double, 4>& x, const tensor<double, 4>& w, const tensor<double, 1>& b,
                             nn::conv2d_geometry c) {
  auto y = make_tensor<double, 4>({x.extent(0), c.out(x.extent(1)), c.out(x.extent(2)), w.extent(0)});
  for (idx n = 0; n < y.extent(0); ++n)
    for (idx oy = 0; oy < y.extent(1); ++oy)
      for (idx ox = 0; ox < y.extent(2); ++ox)
        for (idx o = 0; o < y.extent(3); ++o) {
          double sum = b.size() ? b(o) : 0;
          for (idx ky = 0; ky < c.kernel; ++ky)
            for (idx kx = 0; kx < c.kernel; ++kx) {
              const idx py = oy * c.stride - c.padding + ky, px = ox * c.stride - c.padding + kx;
              if (py < 0 || px < 0 || py >= x.extent(1) || px >= x.extent(2)) { continue; }
              for (idx i = 0; i < x.extent(3); ++i) { sum += w(o, ky, kx, i) * x(n, py, px, i); }
            }
          y(n, oy, ox, o) = sum;
        }
  return y;
}

TEST(conv2d, equals_the_plain_loop_and_its_gradient) {
  cpu e{.threads = 2};
  for (const auto c : {nn::conv2d_geometry{3, 1, 1}, nn::conv2d_geometry{3, 2, 1}, nn::conv2d_geometry{1, 1, 0},
                       nn::conv2d_geometry{1, 2, 0}, nn::conv2d_geometry{7, 2, 3}}) {
    auto x = random<4>({2, 9, 8, 3}, 13), w = random<4>({4, c.kernel, c.kernel, 3}, 14);
    auto b = random<1>({4}, 15);
    const auto y = nn::conv2d_op{c}.forward(e, x, w, b).value, truth = plain_conv(x, w, b, c);
    ASSERT_EQ(y.shape(), truth.shape());
    for (idx i = 0; i < y.size(); ++i) { EXPECT_NEAR(y.data()[i], truth.data()[i], 1e-12); }
    EXPECT_GRADIENT(check_gradient(e, nn::conv2d_op{c}, {.samples = 150}, x, w, b), 1e-7);
  }
  auto big = random<4>({1, 40, 30, 2}, 16), w = random<4>({3, 3, 3, 2}, 17); // 1200 pixels: several products per image
  auto none = make_tensor<double, 1>({0});
  const auto y = nn::conv2d_op{}.forward(e, big, w, none).value, truth = plain_conv(big, w, none, {});
  for (idx i = 0; i < y.size(); ++i) { ASSERT_NEAR(y.data()[i], truth.data()[i], 1e-12); }
  EXPECT_THAT(message_of([&] {
                nn::conv2d_op{}.forward(e, big, random<4>({3, 3, 3, 5}, 1), none);
              }),
              HasSubstr("x has 2 channels, weight is [3, 3, 3, 5]"));
}

TEST(resample, pool_and_upsample) {
  cpu e{.threads = 2};
  auto x = random<4>({2, 7, 6, 3}, 18), small = random<4>({2, 4, 3, 3}, 19);
  auto r = check_gradient(e, nn::max_pool_op{}, x);
  EXPECT_LE(r.worst, 1e-7);
  EXPECT_GT(r.nonzero, 20);
  EXPECT_GRADIENT(check_gradient(e, nn::upsample_add_op{}, x, small), 1e-7);
  const auto p = nn::max_pool_op{}.forward(e, x).value;
  EXPECT_EQ(p.shape(), (extents<4>{2, 4, 3, 3}));
  EXPECT_EQ(p(0, 0, 0, 0), std::max({x(0, 0, 0, 0), x(0, 0, 1, 0), x(0, 1, 0, 0), x(0, 1, 1, 0)}));
  const auto u = nn::upsample_add_op{}.forward(e, x, small).value;
  EXPECT_EQ(u(1, 6, 5, 2), x(1, 6, 5, 2) + small(1, 3, 2, 2));
  EXPECT_EQ(u(0, 1, 1, 0), x(0, 1, 1, 0) + small(0, 0, 0, 0));
}

TEST(resample, a_window_of_nan_or_minus_infinity_has_a_winner) {
  cpu e{.threads = 1};
  for (const double v : {std::nan(""), -std::numeric_limits<double>::infinity()}) {
    const auto x = make_tensor<double, 4>({1, 4, 4, 1}, v);
    const auto [y, saved] = nn::max_pool_op{}.forward(e, x);
    const auto dx = nn::max_pool_op{}.backward(e, saved, make_tensor<double, 4>({1, 2, 2, 1}, 1.0));
    double sum = 0;
    for (const double d : dx) { sum += d; }
    EXPECT_EQ(sum, 4);
    EXPECT_EQ(std::isnan(y(0, 1, 1, 0)), std::isnan(v));
  }
  EXPECT_TRUE(std::isnan(nn::relu_op{}.forward(e, make_tensor<double, 1>({1}, std::nan(""))).value(0)));
}

TEST(conv2d, impossible_geometry_is_refused) {
  cpu e{.threads = 1};
  const auto none = make_tensor<double, 1>({0});
  const auto run = [&](nn::conv2d_geometry c) {
    nn::conv2d_op{c}.forward(e, random<4>({1, 2, 2, 1}, 1), random<4>({1, c.kernel, c.kernel, 1}, 2), none);
  };
  EXPECT_THAT(message_of([&] { run({1, 1, 2}); }), HasSubstr("padding 2, kernel 1"));
  EXPECT_THAT(message_of([&] { run({3, 2, 0}); }), HasSubstr("an image of 2 x 2 is smaller than the kernel (3)"));
}

TEST(determinism, every_op_is_bitwise_equal_for_1_2_4_threads) {
  std::vector<std::vector<float>> seen;
  for (const int threads : {1, 2, 4}) {
    cpu e{.threads = threads};
    std::vector<float> bits;
    const auto keep = [&](const auto& t) { bits.insert(bits.end(), t.begin(), t.end()); };
    const auto f4 = [](extents<4> s, int seed) {
      return persistent_copy<float>(random<4>(s, static_cast<std::uint64_t>(seed)));
    };
    const auto f1 = [](idx n, int seed) {
      return persistent_copy<float>(random<1>({n}, static_cast<std::uint64_t>(seed)));
    };
    const auto x = f4({3, 33, 29, 16}, 1);
    const auto [y, s] = nn::conv2d_op{}.forward(e, x, f4({8, 3, 3, 16}, 2), f1(8, 3));
    keep(y);
    const auto [dx, dw, db] = nn::conv2d_op{}.backward(e, s, y, {true, true, true});
    keep(dx), keep(dw), keep(db);
    const auto [z, t] = nn::group_norm_op{.groups = 2}.forward(e, y, f1(8, 4), f1(8, 5));
    const auto [dy, dg, dsh] = nn::group_norm_op{.groups = 2}.backward(e, t, z);
    keep(z), keep(dy), keep(dg), keep(dsh);
    const auto rows = x.reshaped<2>({3 * 33 * 29, 16});
    const auto [l, u] = nn::layer_norm_op{}.forward(e, rows, f1(16, 6), f1(16, 7));
    const auto [dr, dlg, dls] = nn::layer_norm_op{}.backward(e, u, l);
    keep(l), keep(dr), keep(dlg), keep(dls);
    seen.push_back(bits);
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
}

} // namespace ops_test

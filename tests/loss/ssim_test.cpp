// SPDX-License-Identifier: Apache-2.0
// Structural similarity against a direct two-dimensional sum, hand numbers and central differences.
#include "../support/check.hpp"

#include <sqs/loss/ssim.hpp>

namespace ssim_test {

using namespace sqs;
using namespace sqs::test;

tensor<double, 4> picture(extents<4> shape, std::uint64_t seed) {
  auto t = make_tensor<double, 4>(shape);
  const auto r = random_stream::of(seed);
  for (idx i = 0; i < t.size(); ++i) { t.data()[i] = r.uniform(i); }
  return t;
}

/// The definition: a 2D window, weighted means, variances about them and the covariance, pixel by pixel.
double direct(const tensor<double, 4>& a, const tensor<double, 4>& b) {
  double norm = 0, sum = 0;
  for (int y = -5; y <= 5; ++y) {
    for (int x = -5; x <= 5; ++x) { norm += std::exp(-(x * x + y * y) / (2 * 1.5 * 1.5)); }
  }
  for (idx v = 0; v < a.extent(0); ++v) {
    for (idx c = 0; c < a.extent(3); ++c) {
      for (idx row = 0; row < a.extent(1); ++row) {
        for (idx column = 0; column < a.extent(2); ++column) {
          const auto at = [&](const tensor<double, 4>& t, idx y, idx x) {
            return y < 0 || x < 0 || y >= t.extent(1) || x >= t.extent(2) ? 0.0 : t(v, y, x, c);
          };
          const auto mean = [&](auto&& f) {
            double m = 0;
            for (idx y = -5; y <= 5; ++y) {
              for (idx x = -5; x <= 5; ++x) {
                m += std::exp(-static_cast<double>(x * x + y * y) / 4.5) / norm *
                     f(at(a, row + y, column + x), at(b, row + y, column + x));
              }
            }
            return m;
          };
          const double ma = mean([](double p, double) { return p; }), mb = mean([](double, double q) { return q; });
          const double va = mean([&](double p, double) { return (p - ma) * (p - ma); });
          const double vb = mean([&](double, double q) { return (q - mb) * (q - mb); });
          const double ab = mean([&](double p, double q) { return (p - ma) * (q - mb); });
          sum += (2 * ma * mb + 1e-4) * (2 * ab + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
        }
      }
    }
  }
  return 1 - sum / static_cast<double>(a.size());
}

TEST(ssim, equals_the_definition_for_any_thread_count) {
  for (const auto& shape : {extents<4>{2, 17, 13, 3}, extents<4>{1, 4, 30, 1}, extents<4>{1, 1, 1, 2}}) {
    const auto a = picture(shape, 1), b = picture(shape, 2);
    cpu one{.threads = 1}, three{.threads = 3};
    const auto x = loss::structural_dissimilarity{}.forward(one, a, b),
               y = loss::structural_dissimilarity{}.forward(three, a, b);
    EXPECT_NEAR(*x.value.data(), direct(a, b), 1e-12);
    EXPECT_EQ(*x.value.data(), *y.value.data());
    const auto d = make_tensor<double, 0>({}, 1.0);
    const auto gx = std::get<0>(loss::structural_dissimilarity{}.backward(one, x.saved, d));
    const auto gy = std::get<0>(loss::structural_dissimilarity{}.backward(three, y.saved, d));
    EXPECT_TRUE(std::equal(gx.begin(), gx.end(), gy.begin()));
  }
}

TEST(ssim, hand_numbers) {
  cpu e{.threads = 2};
  const auto a = picture({1, 12, 12, 3}, 3);
  EXPECT_NEAR(*loss::structural_dissimilarity{}.forward(e, a, a).value.data(), 0, 1e-15);
  // Two constants, one pixel: the window sees c = w a with w its middle weight, and nothing else.
  const double w = std::pow(0.26601172, 2);
  const auto p = make_tensor<double, 4>({1, 1, 1, 1}, 0.8), q = make_tensor<double, 4>({1, 1, 1, 1}, 0.2);
  const double means = 2 * w * 0.8 * w * 0.2 + 1e-4, squares = w * w * (0.64 + 0.04) + 1e-4;
  const double covariance = 2 * (w * 0.16 - w * w * 0.16) + 9e-4, variances = (w - w * w) * 0.68 + 9e-4;
  EXPECT_NEAR(*loss::structural_dissimilarity{}.forward(e, p, q).value.data(),
              1 - means * covariance / (squares * variances), 1e-7);
}

TEST(ssim, gradient) {
  cpu e{.threads = 2};
  auto a = picture({2, 9, 14, 3}, 5);
  auto b = picture({2, 9, 14, 3}, 6);
  EXPECT_GRADIENT(check_gradient(e, loss::structural_dissimilarity{}, a, std::as_const(b)), 1e-7);
}

TEST(ssim, misuse_is_explained) {
  cpu e{.threads = 1};
  EXPECT_THAT(message_of([&] {
                loss::structural_dissimilarity{}.forward(e, make_tensor<float, 4>({1, 2, 3, 3}),
                                                         make_tensor<float, 4>({1, 2, 4, 3}));
              }),
              testing::HasSubstr("the image is [1, 2, 3, 3], the target [1, 2, 4, 3]"));
}

} // namespace ssim_test

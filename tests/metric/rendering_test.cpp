// SPDX-License-Identifier: Apache-2.0
// Scores by hand, and what is said when there is nothing to score.
#include "../support/check.hpp"

#include <sqs/metric/rendering.hpp>

namespace rendering_test {

using namespace sqs;

TEST(rendering_score, by_hand) {
  auto image = make_tensor<double, 4>({1, 1, 2, 1}, 0.5), target = make_tensor<double, 4>({1, 1, 2, 1});
  target(0, 0, 0, 0) = 0.6, target(0, 0, 1, 0) = 0.4; // error 0.01, as that of the mean colour
  auto depth = make_tensor<double, 3>({1, 1, 2}, 4.0), lidar = make_tensor<double, 3>({1, 1, 2});
  lidar(0, 0, 1) = 7;
  const auto s = metric::score_rendering(image, target, depth, lidar);
  EXPECT_NEAR(s.psnr_db, 20, 1e-9);
  EXPECT_NEAR(s.baseline_psnr_db, 20, 1e-9);
  EXPECT_NEAR(s.depth_l1_m, 3, 1e-12);
  EXPECT_NEAR(s.baseline_depth_l1_m, 0, 1e-12);
}

TEST(rendering_score, no_returns_are_no_perfect_depth) {
  const auto image = make_tensor<double, 4>({1, 1, 2, 1}, 0.5), target = make_tensor<double, 4>({1, 1, 2, 1}, 0.4);
  const auto depth = make_tensor<double, 3>({1, 1, 2}, 4.0), none = make_tensor<double, 3>({1, 1, 2});
  const auto lidar = make_tensor<double, 3>({1, 1, 2}, 14.0);
  const auto without = metric::score_rendering(image, target, depth, none);
  EXPECT_TRUE(std::isnan(without.depth_l1_m));
  metric::rendering_score mean;
  mean.add(without);
  mean.add(metric::score_rendering(image, target, depth, lidar));
  EXPECT_NEAR(mean.depth_l1_m, 10, 1e-12); // of the one sample that has returns
  EXPECT_EQ(mean.samples, 2);
  EXPECT_THAT(test::message_of([&] {
                metric::score_rendering(image, target, depth, make_tensor<double, 3>({1, 2, 1}));
              }),
              testing::HasSubstr("prediction and target must have equal shapes"));
}

TEST(rendering_score, the_baseline_is_the_median_depth) {
  const auto image = make_tensor<double, 4>({1, 1, 3, 1}, 0.5), target = make_tensor<double, 4>({1, 1, 3, 1}, 0.4);
  auto lidar = make_tensor<double, 3>({1, 1, 3});
  lidar(0, 0, 0) = 9, lidar(0, 0, 1) = 1, lidar(0, 0, 2) = 4;
  const auto s = metric::score_rendering(image, target, make_tensor<double, 3>({1, 1, 3}, 4.0), lidar);
  EXPECT_NEAR(s.baseline_depth_l1_m, 8.0 / 3, 1e-12); // 4 is 5, 3 and 0 away
}

TEST(rendering_score, the_baseline_is_the_mean_colour_of_each_view) {
  const auto image = make_tensor<double, 4>({2, 1, 2, 2}, 0.5);
  auto target = make_tensor<double, 4>({2, 1, 2, 2});
  // View 0: 0.2, 0.6 and 0.5, 0.5: 0.04 twice, 0 twice. View 1: 0, 1 and 0.1, 0.3: 0.25 twice, 0.01 twice.
  target(0, 0, 0, 0) = 0.2, target(0, 0, 1, 0) = 0.6, target(0, 0, 0, 1) = 0.5, target(0, 0, 1, 1) = 0.5;
  target(1, 0, 0, 0) = 0, target(1, 0, 1, 0) = 1, target(1, 0, 0, 1) = 0.1, target(1, 0, 1, 1) = 0.3;
  const auto depth = make_tensor<double, 3>({2, 1, 2}, 4.0);
  const auto s = metric::score_rendering(image, target, depth, depth);
  EXPECT_NEAR(s.baseline_psnr_db, -5 * (std::log10(0.02) + std::log10(0.13)), 1e-9);
  // Of 0.5: 0.09, 0.01, 0, 0; 0.25, 0.25, 0.16, 0.04.
  EXPECT_NEAR(s.psnr_db, -5 * (std::log10(0.025) + std::log10(0.175)), 1e-9);
  // A target of one colour has a perfect constant, whatever the rounding of its squares.
  const auto grey = make_tensor<double, 4>({1, 1, 7, 1}, 0.3), other = make_tensor<double, 4>({1, 1, 7, 1}, 0.4);
  const auto flat =
      metric::score_rendering(other, grey, make_tensor<double, 3>({1, 1, 7}), make_tensor<double, 3>({1, 1, 7}));
  EXPECT_NEAR(flat.psnr_db, 20, 1e-9);
  EXPECT_GT(flat.baseline_psnr_db, 150);
}

} // namespace rendering_test

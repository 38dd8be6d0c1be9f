// SPDX-License-Identifier: Apache-2.0
// Density control: statistics by hand, every decision on its own, statistics of the draws, optimiser moments.
#include "../support/check.hpp"

#include <sqs/gaussian/densify.hpp>
#include <sqs/optim/adamw.hpp>

#include <numeric>

namespace densify_test {

using namespace sqs;
using namespace sqs::test;
using namespace sqs::gaussian;
using testing::HasSubstr;

/// n Gaussians a metre apart, small, half opaque, with colours that tell them apart.
template <class T = float> raw_parameters<T> line(idx n, double scale = 0.005) {
  raw_parameters<T> p;
  p.means.value = make_tensor<T, 2>({n, 3});
  p.log_scales.value = make_tensor<T, 2>({n, 3}, static_cast<T>(std::log(scale)));
  p.rotations.value = make_tensor<T, 2>({n, 4});
  p.opacity_logits.value = make_tensor<T, 1>({n});
  p.colours.value = make_tensor<T, 2>({n, 3});
  for (idx i = 0; i < n; ++i) {
    p.means.value(i, 0) = static_cast<T>(i);
    p.rotations.value(i, 0) = 1;
    p.colours.value(i, 1) = static_cast<T>(10 * i);
  }
  return p;
}
template <class T> density_statistics<T> pulled(const raw_parameters<T>& p, std::vector<double> pull) {
  density_statistics<T> s(p.count());
  for (std::size_t i = 0; i < pull.size(); ++i) {
    s.gradient(static_cast<idx>(i)) = static_cast<T>(3 * pull[i]);
    s.views(static_cast<idx>(i)) = 3;
  }
  return s;
}

TEST(density_statistics, count_by_hand_and_for_any_thread_count) {
  camera_rig<float> rig;
  rig.add({100, 100, 50, 25, 100, 50}, {});
  rig.add({100, 100, 20, 40, 40, 80}, {});
  const auto gradient = make_tensor<float, 3>({2, 3, 2});
  auto d = gradient;
  const auto radii = make_tensor<float, 2>({2, 3});
  auto r = radii;
  d(0, 0, 0) = 3e-4f, d(0, 0, 1) = 8e-4f; // 2 views * half image (50, 25): (0.03, 0.04), norm 0.05
  d(1, 0, 1) = 1e-3f;                     // 2 * 40 * 1e-3 = 0.08
  d(0, 2, 0) = 1;                         // not drawn there: counts for nothing
  r(0, 0) = 10, r(1, 0) = 4, r(1, 1) = 20;
  for (const int threads : {1, 3}) {
    cpu e{.threads = threads};
    density_statistics<float> s(3);
    s.add(e, d, r, rig);
    EXPECT_FLOAT_EQ(s.gradient(0), 0.13f);
    EXPECT_EQ(s.views(0), 2);
    EXPECT_FLOAT_EQ(s.radius(0), 0.1f);
    EXPECT_EQ(s.gradient(1), 0);
    EXPECT_EQ(s.views(1), 1);
    EXPECT_FLOAT_EQ(s.radius(1), 0.25f);
    EXPECT_EQ(s.views(2), 0);
    EXPECT_EQ(s.gradient(2), 0);
    s.add(e, d, r, rig);
    EXPECT_FLOAT_EQ(s.gradient(0), 0.26f);
    EXPECT_EQ(s.views(0), 4);
    EXPECT_THAT(message_of([&] {
                  s.add(e, make_tensor<float, 3>({2, 4, 2}), r, rig);
                }),
                HasSubstr("the gradients are [2, 4, 2], the radii [2, 3] but must be [2, 3, 2] and [2, 3]"));
  }
}

TEST(density, each_fate_on_its_own) {
  auto p = line(8);
  auto s = pulled(p, {0, 3e-4, 3e-4, 1e-4, 3e-4, 3e-4, 3e-4, 0});
  p.log_scales.value(2, 1) = std::log(0.02f);                     // large in one axis: split
  p.opacity_logits.value(4) = static_cast<float>(logit(0.0049));  // faint: goes, however hard it is pulled
  p.opacity_logits.value(3) = static_cast<float>(logit(0.0051));  // just stays
  p.log_scales.value(5, 0) = std::log(0.11f);                     // too large: goes
  p.colours.value(6, 2) = std::numeric_limits<float>::infinity(); // not finite: goes
  p.means.value(7, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto plan = plan_density(p, s, {});
  EXPECT_EQ(plan.rows, (std::vector<idx>{0, 1, 3, 1, 2, 2}));
  EXPECT_EQ(plan.moments, (std::vector<idx>{0, 1, 3, -1, -1, -1}));
  EXPECT_EQ(plan.kept, 3);
  EXPECT_EQ(plan.cloned, 1);
  EXPECT_EQ(plan.split, 1);
  EXPECT_EQ(plan.pruned, 4);

  const auto q = rearranged(p, plan, {}, 1, 100);
  ASSERT_EQ(q.count(), 6);
  EXPECT_EQ(q.means.value(3, 0), 1); // a clone lies where its Gaussian lies
  EXPECT_EQ(q.colours.value(3, 1), 10);
  EXPECT_EQ(q.log_scales.value(3, 0), p.log_scales.value(1, 0));
  EXPECT_EQ(q.colours.value(5, 1), 20);
  EXPECT_EQ(q.opacity_logits.value(5), p.opacity_logits.value(2));
  EXPECT_NEAR(std::exp(q.log_scales.value(4, 1)), 0.02 / 1.6, 1e-7);
  EXPECT_NE(q.means.value(4, 1), q.means.value(5, 1));
  EXPECT_EQ(p.means.value(2, 1), 0); // the old ones are untouched
}

TEST(density, radii_and_limits_that_are_off) {
  auto p = line(3, 5.0);
  auto s = pulled(p, {3e-4, 3e-4, 0});
  s.radius(1) = 0.07f, s.radius(2) = 0.2f;
  const density_config off{.grow_gradient = 0, .split_scale = 0, .prune_opacity = 0, .prune_scale = 0};
  EXPECT_EQ(plan_density(p, s, off).moments, (std::vector<idx>{0, 1, 2}));
  auto c = off;
  c.grow_gradient = 2e-4;
  EXPECT_EQ(plan_density(p, s, c).cloned, 2);
  c.split_radius = 0.05;
  EXPECT_EQ(plan_density(p, s, c).rows, (std::vector<idx>{0, 2, 0, 1, 1}));
  c.prune_radius = 0.15;
  EXPECT_EQ(plan_density(p, s, c).rows, (std::vector<idx>{0, 0, 1, 1}));
  c.extent = 100, c.split_scale = 0.04, c.prune_scale = 0.2; // 5 m: above 4 m, below 20 m
  EXPECT_EQ(plan_density(p, s, c).split, 2);
}

TEST(density, growth_stops_at_the_budget_and_takes_the_hardest_pulled) {
  const auto p = line(6);
  const auto s = pulled(p, {3e-4, 9e-4, 5e-4, 5e-4, 8e-4, 1e-4});
  density_config c;
  c.most = 9;
  EXPECT_EQ(plan_density(p, s, c).rows,
            (std::vector<idx>{0, 1, 2, 3, 4, 5, 1, 2, 4})); // 2 before 3: the first of equals
  c.most = 6;
  EXPECT_EQ(plan_density(p, s, c).rows.size(), 6u);
  c.most = 2;
  EXPECT_EQ(plan_density(p, s, c).rows.size(), 6u); // it limits growth, it removes nothing
}

TEST(density, halves_are_draws_from_the_old_gaussian) {
  constexpr idx n = 20000;
  auto p = line<double>(n);
  for (idx i = 0; i < n; ++i) { // 90 degrees about z: the first axis, 3 m, points along y
    p.means.value(i, 0) = 5;
    p.rotations.value(i, 0) = 2, p.rotations.value(i, 3) = 2;
    p.log_scales.value(i, 0) = std::log(3.0), p.log_scales.value(i, 1) = std::log(0.5);
  }
  const density_config c{.split_scale = 0.1, .prune_scale = 0};
  const auto plan = plan_density(p, pulled(p, std::vector<double>(n, 1)), c);
  ASSERT_EQ(plan.split, n);
  const auto q = rearranged(p, plan, c, 7, 3);
  double mean[3]{}, square[3]{}, both_halves = 0;
  for (idx i = 0; i < 2 * n; ++i) {
    for (int k = 0; k < 3; ++k) {
      mean[k] += q.means.value(i, k) / (2 * n);
      square[k] += std::pow(q.means.value(i, k) - (k == 0 ? 5 : 0), 2) / (2 * n);
    }
    if (i % 2 == 0) { both_halves += q.means.value(i, 1) * q.means.value(i + 1, 1) / n; }
  }
  // Standard errors: mean s / 200, deviation s / 283, product s^2 / 141; five of each allowed.
  EXPECT_NEAR(mean[0], 5, 0.5 / 40);
  EXPECT_NEAR(mean[1], 0, 3.0 / 40);
  EXPECT_NEAR(std::sqrt(square[0]), 0.5, 0.5 / 56);
  EXPECT_NEAR(std::sqrt(square[1]), 3, 3.0 / 56);
  EXPECT_NEAR(std::sqrt(square[2]), 0.005, 0.005 / 56);
  EXPECT_NEAR(both_halves, 0, 9.0 / 28);
  const auto again = rearranged(p, plan, c, 7, 3), other = rearranged(p, plan, c, 7, 4);
  EXPECT_TRUE(std::equal(q.means.value.begin(), q.means.value.end(), again.means.value.begin()));
  EXPECT_FALSE(std::equal(q.means.value.begin(), q.means.value.end(), other.means.value.begin()));
}

TEST(density, moments_follow_and_opacities_are_reset) {
  cpu e{.threads = 2};
  auto p = line(3);
  p.opacity_logits.value(1) = 4;
  p.opacity_logits.value(2) = -5;
  optim::adamw<float> opt(p, {.weight_decay = 0});
  for (idx i = 0; i < 3; ++i) { p.means.gradient(i, 0) = static_cast<float>(i + 1); }
  opt.step(e, 1e-4);
  const auto plan = plan_density(p, pulled(p, {0, 3e-4, 0}), {.prune_opacity = 0.006});
  EXPECT_NEAR(sigmoid(-5.0), 0.0067, 1e-4);
  p = rearranged(p, plan, {}, 1, 1);
  opt.follow_rows(p, plan.moments);
  const auto& means = opt.entries()[0];
  ASSERT_EQ(means.first.size(), 12);
  EXPECT_FLOAT_EQ(means.first(3), 0.2f);
  EXPECT_EQ(means.first(9), 0.0f);
  opt.step(e, 1e-4);

  reset_opacities(p);
  EXPECT_NEAR(sigmoid(p.opacity_logits.value(1)), 0.01, 1e-6);
  EXPECT_FLOAT_EQ(p.opacity_logits.value(2), -5); // lower already
  opt.forget("opacity_logits");
  EXPECT_THAT(message_of([&] { reset_opacities(p, 1.0); }), HasSubstr("the limit is 1; give an opacity inside (0, 1)"));
}

TEST(density, misuse_is_explained) {
  const auto p = line(3);
  EXPECT_THAT(message_of([&] { plan_density(p, density_statistics<float>(2), {}); }),
              HasSubstr("statistics of 2 Gaussians for 3; make new ones"));
  density_plan plan;
  plan.rows = {0, 3};
  EXPECT_THAT(message_of([&] { rearranged(p, plan, {}, 1, 1); }), HasSubstr("the plan names row 3 of 3"));
  const auto none = line(0);
  EXPECT_TRUE(plan_density(none, density_statistics<float>(0), {}).rows.empty());
  EXPECT_EQ(rearranged(none, density_plan{}, {}, 1, 1).count(), 0);
}

} // namespace densify_test

// SPDX-License-Identifier: Apache-2.0
// Gaussian clouds: invariant, colours, parameters and back, activation.
#include "../support/check.hpp"

#include <sqs/gaussian/cloud.hpp>

namespace cloud_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

gaussian_cloud example(int degree, std::size_t n = 5) {
  const auto r = random_stream::of(9, degree);
  idx next = 0;
  const auto number = [&] { return static_cast<float>(r.uniform(next++, -2, 2)); };
  gaussian_cloud g;
  g.sh_degree = degree;
  for (std::size_t i = 0; i < n; ++i) {
    g.means.push_back({number(), number(), number()});
    g.log_scales.push_back({number(), number(), number()});
    g.rotations.push_back({number(), number(), number(), number()});
    g.opacity_logits.push_back(number());
    for (std::size_t k = 0; k < 3 * g.coefficients(); ++k) { g.sh.push_back(number()); }
    g.extra["sem_0"].push_back(number());
    g.extra["sem_1"].push_back(number());
  }
  return g;
}

TEST(cloud, colours_of_degree_zero) {
  EXPECT_EQ(rgb_to_sh(0.5f), 0.0f);
  EXPECT_NEAR(rgb_to_sh(1.0), 1.7724538509055159, 1e-15); // sqrt(pi)
  EXPECT_NEAR(sh_to_rgb(rgb_to_sh(0.123)), 0.123, 1e-16);
}

TEST(cloud, degrees_are_cut_and_padded) {
  const auto g = example(2);
  const auto low = with_sh_degree(g, 1), high = with_sh_degree(low, 4);
  ASSERT_EQ(low.sh.size(), 5u * 12u);
  ASSERT_EQ(high.sh.size(), 5u * 75u);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t k = 0; k < 12; ++k) {
      EXPECT_EQ(low.sh[12 * i + k], g.sh[27 * i + k]);
      EXPECT_EQ(high.sh[75 * i + k], g.sh[27 * i + k]);
    }
    for (std::size_t k = 12; k < 75; ++k) { EXPECT_EQ(high.sh[75 * i + k], 0.0f); }
  }
  EXPECT_THAT(message_of([&] { with_sh_degree(g, 5); }), HasSubstr("degree is 5; give 0 to 4"));
}

TEST(cloud, parameters_and_back_bit_for_bit) {
  const std::vector<std::string> extras{"sem_1", "sem_0"};
  for (int degree = 0; degree <= 4; ++degree) {
    const auto g = example(degree);
    const auto same = [&](const gaussian_cloud& b) {
      const auto equal = [](const auto& x, const auto& y) {
        return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(x[0])) == 0;
      };
      return equal(g.means, b.means) && equal(g.log_scales, b.log_scales) && equal(g.rotations, b.rotations) &&
             equal(g.opacity_logits, b.opacity_logits) && g.sh == b.sh && g.extra == b.extra;
    };
    EXPECT_TRUE(same(gaussian::to_cloud(gaussian::to_parameters<float>(g, extras), degree, extras)));
    EXPECT_TRUE(same(gaussian::to_cloud(gaussian::to_parameters<double>(g, extras), degree, extras)));
  }
  const auto p = gaussian::to_parameters<float>(example(1), extras);
  EXPECT_EQ(p.colours.value.extent(1), 14);
  EXPECT_EQ(p.colours.value(3, 5), example(1).sh[3 * 12 + 5]);
  EXPECT_EQ(p.colours.value(3, 12), example(1).extra.at("sem_1")[3]);
  EXPECT_EQ(p.rotations.value(2, 0), example(1).rotations[2].w);
  EXPECT_EQ(parameter_count(p), 5 * (3 + 3 + 4 + 1 + 14));
}

TEST(cloud, activation_by_hand_and_gradient) {
  cpu e{.threads = 2};
  gaussian_cloud g = example(0, 1);
  g.log_scales[0] = {0, std::log(2.0f), -50};
  g.opacity_logits[0] = std::log(3.0f);
  const auto a = gaussian::activated<double>(e, g, {"sem_0"});
  EXPECT_EQ(a.scales(0, 0), 1);
  EXPECT_NEAR(a.scales(0, 1), 2, 1e-7);
  EXPECT_NEAR(a.scales(0, 2), 1.9287498479639178e-22, 1e-30);
  EXPECT_NEAR(a.opacities(0), 0.75, 1e-7);
  EXPECT_EQ(a.colours.extent(1), 4);

  auto log_scales = random<2>({7, 3}, 1);
  auto logits = random<1>({7}, 2);
  EXPECT_GRADIENT(check_gradient(e, gaussian::activate_op{}, log_scales, logits), 1e-7);
}

TEST(cloud, misuse_is_explained) {
  cpu e{.threads = 1};
  auto g = example(0);
  EXPECT_THAT(message_of([&] { gaussian::to_parameters<float>(g, {"sem_2"}); }),
              HasSubstr("no extra property 'sem_2' (it has: sem_0, sem_1)"));
  const auto p = gaussian::to_parameters<float>(g, {"sem_0"});
  EXPECT_THAT(message_of([&] { gaussian::to_cloud(p, 0); }),
              HasSubstr("do not fit together at degree 0 with 0 extras"));
  EXPECT_THAT(message_of([&] { gaussian::to_cloud(p, 5); }), HasSubstr("degree 5"));
  EXPECT_THAT(message_of([&] {
                gaussian::to_cloud(gaussian::to_parameters<float>(g, {"sem_0", "sem_0"}), 0, {"sem_0", "sem_0"});
              }),
              HasSubstr("the extra property 'sem_0' is named twice"));
  g.rotations.pop_back();
  EXPECT_THAT(message_of([&] { gaussian::activated<float>(e, g); }), HasSubstr("5 means, 5 scales, 4 rotations"));
  EXPECT_THAT(message_of([&] {
                gaussian::activate_op{}.forward(e, make_tensor<float, 2>({2, 3}), make_tensor<float, 1>({3}));
              }),
              HasSubstr("2 rows of scales and 3 opacities"));
}

} // namespace cloud_test

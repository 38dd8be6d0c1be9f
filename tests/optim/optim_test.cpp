// SPDX-License-Identifier: Apache-2.0
// AdamW against numbers of a reference implementation worked out by hand, groups, clipping, schedule.
#include "../support/check.hpp"

#include <sqs/optim/adamw.hpp>
#include <sqs/optim/schedule.hpp>

namespace {

using namespace sqs;
using namespace sqs::test;

struct two {
  parameter<double, 1> a, b;
  SQS_MEMBERS(two, a, b)
};
two model() { return {{make_tensor<double, 1>({2}, 1.0), {}}, {make_tensor<double, 1>({1}, 2.0), {}}}; }

TEST(adamw, follows_the_published_recurrence) {
  cpu e{.threads = 2};
  auto m = model();
  optim::adamw<double> opt(m, {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1});
  double p = 1, first = 0, second = 0; // the textbook form, in other words: m-hat, v-hat, decay apart
  for (int t = 1; t <= 5; ++t) {
    const double g = 0.3 * t - 1;
    opt.zero_gradients();
    m.a.gradient(0) = g;
    opt.step(e, 0.01);
    first = 0.9 * first + 0.1 * g;
    second = 0.99 * second + 0.01 * g * g;
    p -= 0.01 * 0.1 * p;
    p -= 0.01 * (first / (1 - std::pow(0.9, t))) / (std::sqrt(second / (1 - std::pow(0.99, t))) + 1e-8);
    EXPECT_NEAR(m.a.value(0), p, 1e-14);
  }
  EXPECT_NEAR(m.a.value(1), std::pow(1 - 0.001, 5), 1e-14); // zero gradient: decay only
}

TEST(adamw, groups_clip_and_errors) {
  cpu e{.threads = 1};
  auto m = model();
  optim::adamw<double> opt(m, {.weight_decay = 0},
                           [](const std::string& n) { return optim::group{.rate = n == "b" ? 10.0 : 1.0}; });
  m.a.gradient(0) = 3, m.b.gradient(0) = 4;
  EXPECT_NEAR(opt.gradient_norm(e), 5, 1e-15);
  EXPECT_NEAR(opt.clip(e, 1), 5, 1e-15);
  EXPECT_NEAR(m.b.gradient(0), 0.8, 1e-15);
  EXPECT_NEAR(opt.clip(e, 35), 1, 1e-15);
  EXPECT_NEAR(m.b.gradient(0), 0.8, 1e-15);
  opt.step(e, 0.01);
  EXPECT_NEAR(m.a.value(0), 0.99, 1e-6); // the first step of Adam is the rate itself
  EXPECT_NEAR(m.b.value(0), 1.9, 1e-6);
  m.a.trainable = m.b.trainable = false;
  EXPECT_THAT(message_of([&] { optim::adamw<double> none(m); }), testing::HasSubstr("no trainable parameter"));
}

TEST(schedule, warmup_then_cosine) {
  const optim::warmup_cosine s{.peak = 1, .warmup = 10, .total = 110, .final_fraction = 0.1};
  EXPECT_NEAR(s(0), 0.1, 1e-15);
  EXPECT_NEAR(s(9), 1, 1e-15);
  EXPECT_NEAR(s(10), 1, 1e-15);
  EXPECT_NEAR(s(60), 0.55, 1e-15);
  EXPECT_NEAR(s(110), 0.1, 1e-15);
  EXPECT_NEAR(s(1000), 0.1, 1e-15);
}

} // namespace

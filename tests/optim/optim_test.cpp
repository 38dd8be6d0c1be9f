// SPDX-License-Identifier: Apache-2.0
// AdamW against numbers of a reference implementation worked out by hand, groups, clipping, schedule.
#include "../support/check.hpp"

#include <sqs/optim/adamw.hpp>
#include <sqs/optim/schedule.hpp>

namespace optim_test {

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

struct rows_model {
  parameter<double, 2> a;
  parameter<double, 1> b, other;
  SQS_MEMBERS(rows_model, a, b, other)
};

TEST(adamw, moments_follow_rows) {
  cpu e{.threads = 2};
  rows_model m{{make_tensor<double, 2>({3, 2}, 1.0), {}},
               {make_tensor<double, 1>({3}, 1.0), {}},
               {make_tensor<double, 1>({4}, 1.0), {}}};
  optim::adamw<double> opt(m, {.weight_decay = 0});
  for (idx i = 0; i < 6; ++i) { m.a.gradient.data()[i] = 1 + static_cast<double>(i); }
  for (idx i = 0; i < 3; ++i) { m.b.gradient(i) = 10 * static_cast<double>(i + 1); }
  m.other.gradient(0) = 7;
  opt.step(e, 0.01);
  const auto kept = persistent_copy<double>(m.a.value);
  // Row 2 moves to the front, row 0 follows, then a new row, then row 2 again.
  const std::vector<idx> source{2, 0, -1, 2};
  m.a.value = make_tensor<double, 2>({4, 2}, 5.0);
  m.b.value = make_tensor<double, 1>({4}, 5.0);
  opt.follow_rows(m, source);
  const auto &a = opt.entries()[0], &b = opt.entries()[1], &other = opt.entries()[2];
  const auto near = [](const tensor<double, 1>& x, std::vector<double> expected) {
    ASSERT_EQ(x.size(), static_cast<idx>(expected.size()));
    for (idx i = 0; i < x.size(); ++i) { EXPECT_NEAR(x(i), expected[static_cast<std::size_t>(i)], 1e-12) << i; }
  };
  near(a.first, {0.5, 0.6, 0.1, 0.2, 0, 0, 0.5, 0.6});
  near(a.second, {0.025, 0.036, 0.001, 0.004, 0, 0, 0.025, 0.036});
  near(b.first, {3, 1, 0, 3});
  near(other.first, {0.7, 0, 0, 0});
  EXPECT_EQ(m.a.gradient.extent(0), 4);
  EXPECT_EQ(*std::max_element(m.a.gradient.begin(), m.a.gradient.end()), 0);
  EXPECT_EQ(m.other.gradient(0), 7); // not replaced: untouched
  // The next step moves the new tensors, by these moments: second step, gradient 1 everywhere.
  opt.zero_gradients();
  std::fill(m.b.gradient.begin(), m.b.gradient.end(), 1.0);
  opt.step(e, 0.01);
  const double first = 0.9 * 3 + 0.1, second = 0.999 * 0.001 * 900 + 0.001;
  EXPECT_NEAR(m.b.value(0), 5 - 0.01 * first / 0.19 / (std::sqrt(second / (1 - 0.999 * 0.999)) + 1e-8), 1e-12);
  EXPECT_NEAR(m.b.value(2), 5 - 0.01 * 0.1 / 0.19 / (std::sqrt(0.001 / (1 - 0.999 * 0.999)) + 1e-8), 1e-12);
  EXPECT_NEAR(kept(0, 0), 0.99, 1e-6);

  opt.forget("b");
  near(b.first, {0, 0, 0, 0});
  EXPECT_GT(a.second(0), 0);
  EXPECT_THAT(message_of([&] { opt.forget("c"); }), testing::HasSubstr("no parameter is called 'c'"));
  m.a.value = make_tensor<double, 2>({2, 2});
  EXPECT_THAT(message_of([&] { opt.follow_rows(m, source); }),
              testing::HasSubstr("a was replaced by 2 rows but 4 sources are given"));
  m.a.value = make_tensor<double, 2>({4, 2});
  EXPECT_THAT(message_of([&] {
                opt.follow_rows(m, std::vector<idx>{0, 1, 2, 4});
              }),
              testing::HasSubstr("row 3 of a comes from row 4 of 4"));
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

} // namespace optim_test

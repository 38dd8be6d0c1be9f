// SPDX-License-Identifier: Apache-2.0
// Sampling of dense volumes: numbers by hand, a plain loop over all cells, gradients, bits across threads, errors.
#include "../support/check.hpp"

#include <sqs/sparse/sample_volume.hpp>

#include <cstring>

namespace sample_volume_test {

using namespace sqs;
using namespace sqs::test;
using sparse::grid_map;
using sparse::outside_volume;
using sparse::sample_volume_op;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(sample_volume, a_line_by_hand) {
  cpu e{.threads = 1};
  auto v = make_tensor<double, 3>({1, 4, 1});
  v.data()[0] = 1, v.data()[1] = 3, v.data()[2] = 7, v.data()[3] = 15;
  auto p = make_tensor<double, 2>({6, 1});
  const std::array<double, 6> at{-1, -0.5, 0, 1, 1.25, -3};
  std::copy(at.begin(), at.end(), p.begin());
  const auto run = [&](bool align, outside_volume o) {
    return sample_volume_op<1>{grid_map<1>::of_unit_box({4}, align), o}.forward(e, v, p).value;
  };
  // Aligned: 0, 0.75, 1.5, 3, 3.375, -3. Otherwise: -0.5, 0.5, 1.5, 3.5, 4, -6.5.
  EXPECT_THAT(run(true, outside_volume::zero).span(), ElementsAre(1, 2.5, 5, 15, 9.375, 0));
  EXPECT_THAT(run(true, outside_volume::border).span(), ElementsAre(1, 2.5, 5, 15, 15, 1));
  EXPECT_THAT(run(false, outside_volume::zero).span(), ElementsAre(0.5, 2, 5, 7.5, 0, 0));
  EXPECT_THAT(run(false, outside_volume::border).span(), ElementsAre(1, 2, 5, 15, 15, 1));
}

/// The value as a sum over all cells of hats around them; nothing of corners.
double plain(const tensor<double, 5>& v, int b, const std::array<double, 3>& p, idx c) {
  double sum = 0;
  for (idx x = 0; x < v.extent(1); ++x) {
    for (idx y = 0; y < v.extent(2); ++y) {
      for (idx z = 0; z < v.extent(3); ++z) {
        const auto hat = [](double d) { return std::max(0.0, 1 - std::abs(d)); };
        sum += v(b, x, y, z, c) * hat(p[0] - static_cast<double>(x)) * hat(p[1] - static_cast<double>(y)) *
               hat(p[2] - static_cast<double>(z));
      }
    }
  }
  return sum;
}

struct scene {
  tensor<double, 5> v = random<5>({2, 3, 4, 5, 3}, 1);
  tensor<double, 2> p = random<2>({90, 3}, 2, 0.8);
  tensor<std::int32_t, 1> batch = make_tensor<std::int32_t, 1>({90});
  scene() {
    for (idx i = 0; i < 90; ++i) { batch(i) = static_cast<std::int32_t>(i % 2); }
  }
};

TEST(sample_volume, equals_a_sum_over_all_cells) {
  cpu e{.threads = 2};
  const scene s;
  for (const bool align : {false, true}) {
    const sample_volume_op<3> op{grid_map<3>::of_unit_box({3, 4, 5}, align)};
    const auto y = op.forward(e, s.v, s.p, s.batch).value;
    for (idx i = 0; i < 90; ++i) {
      std::array<double, 3> at{};
      for (std::size_t a = 0; a < 3; ++a) {
        const double n = static_cast<double>(s.v.extent(static_cast<int>(a) + 1)), u = s.p(i, a);
        at[a] = align ? (u + 1) / 2 * (n - 1) : ((u + 1) * n - 1) / 2;
      }
      for (idx c = 0; c < 3; ++c) { EXPECT_NEAR(y(i, c), plain(s.v, s.batch(i), at, c), 1e-14); }
    }
  }
}

TEST(sample_volume, doubles_a_volume_as_a_resampler_does) {
  // Every cell of a grid twice as fine, faces together: 1/4 and 3/4 of two neighbours, the outermost continued.
  cpu e{.threads = 1};
  auto v = make_tensor<double, 3>({1, 3, 1});
  v.data()[0] = 4, v.data()[1] = 8, v.data()[2] = 20;
  auto p = make_tensor<double, 2>({6, 1});
  for (idx i = 0; i < 6; ++i) { p(i, 0) = static_cast<double>(i); }
  const sample_volume_op<1> op{grid_map<1>::of_cells({6}, {3}, false), outside_volume::border};
  EXPECT_THAT(op.forward(e, v, p).value.span(), ElementsAre(4, 5, 7, 11, 17, 20));
}

TEST(sample_volume, gradients) {
  cpu e{.threads = 2};
  for (const bool align : {false, true}) {
    for (const auto outside : {outside_volume::zero, outside_volume::border}) {
      scene s;
      const sample_volume_op<3> op{grid_map<3>::of_unit_box({3, 4, 5}, align), outside};
      const auto report = check_gradient(e, op, {.step = 1e-5}, s.v, s.p, s.batch);
      EXPECT_LE(report.worst, 1e-7) << report.where << " " << report.analytic << " " << report.numeric;
      EXPECT_GT(report.nonzero, report.checked / 2);
    }
  }
  auto line = random<3>({1, 5, 2}, 1);
  auto p = random<2>({20, 1}, 3, 2);
  EXPECT_LE(check_gradient(e, sample_volume_op<1>{}, line, p).worst, 1e-7);
  auto hyper = random<6>({1, 2, 3, 2, 3, 1}, 1);
  auto q = random<2>({9, 4}, 4, 0.7);
  EXPECT_LE(check_gradient(e, sample_volume_op<4>{}, {.step = 1e-5}, hyper, q).worst, 1e-7);
}

TEST(sample_volume, is_the_same_for_any_number_of_threads) {
  const auto v = random_float<4>({2, 30, 20, 17}, 1);
  const auto p = random_float<2>({30000, 2}, 2, 0.6);
  std::vector<float> kept;
  for (const int threads : {1, 2, 3, 4, 1}) {
    cpu e{.threads = threads};
    const sample_volume_op<2> op{grid_map<2>::of_unit_box({30, 20}, true)};
    const auto r = op.forward(e, v, p);
    const auto [dv, dp] = op.backward(e, r.saved, r.value, std::array{true, true});
    std::vector<float> now(r.value.begin(), r.value.end());
    now.insert(now.end(), dv.begin(), dv.end());
    now.insert(now.end(), dp.begin(), dp.end());
    if (kept.empty()) { kept = now; }
    EXPECT_EQ(std::memcmp(now.data(), kept.data(), now.size() * sizeof(float)), 0) << threads;
  }
}

TEST(sample_volume, nothing_of_nothing) {
  cpu e{.threads = 1};
  const sample_volume_op<2> op{};
  const auto v = random<4>({1, 2, 2, 3}, 1);
  const auto none = make_tensor<double, 2>({0, 2});
  const auto r = op.forward(e, v, none);
  EXPECT_EQ(r.value.shape(), (extents<2>{0, 3}));
  const auto [dv, dp] = op.backward(e, r.saved, r.value, std::array{true, true});
  EXPECT_THAT(dv.span(), testing::Each(0));
  EXPECT_EQ(dp.shape(), none.shape());
  // A volume without cells is nothing but its outside.
  for (const auto outside : {outside_volume::zero, outside_volume::border}) {
    const auto y = sample_volume_op<2>{{}, outside}.forward(e, make_tensor<double, 4>({1, 0, 2, 1}),
                                                            make_tensor<double, 2>({1, 2}));
    EXPECT_THAT(y.value.span(), ElementsAre(0));
  }
}

TEST(sample_volume, errors) {
  cpu e{.threads = 1};
  const sample_volume_op<2> op{};
  const auto v = make_tensor<double, 4>({2, 2, 2, 3});
  auto batch = make_tensor<std::int32_t, 1>({2});
  batch(0) = 2;
  EXPECT_THAT(message_of([&] {
                op.forward(e, v, make_tensor<double, 2>({2, 3}));
              }),
              HasSubstr("sample_volume_op: points have 3 columns, the grid 2 axes"));
  EXPECT_THAT(message_of([&] {
                op.forward(e, v, make_tensor<double, 2>({2, 2}), batch);
              }),
              HasSubstr("point 0 is in batch 2 of 2; give 0 <= batch < batches"));
  EXPECT_THAT(message_of([&] {
                op.forward(e, make_tensor<double, 4>({0, 2, 2, 3}), make_tensor<double, 2>({2, 2}));
              }),
              HasSubstr("the volume has no batch items for 2 points"));
}

} // namespace sample_volume_test

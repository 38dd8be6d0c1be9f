// SPDX-License-Identifier: Apache-2.0
// The published weights, and draws counted.
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/voxel_sampling.hpp>

#include "../support/check.hpp"

namespace voxel_sampling_test {

using sqs::occupancy_labels;

TEST(voxel_sampling, weights_are_the_published_ones) {
  const sqs::voxel_sampling_options o;
  // Spec of VoxelSplat 2.5.
  constexpr double by_class[] = {.01566, .02670, .03858, .04005, .06111, .23748, .20075, .06570, .16080,
                                 .06845, .00684, .04016, .01201, .01018, .00756, .00694, .00105};
  constexpr double by_speed[] = {.004984, .290690, .210724, .173242, .320361};
  const auto c = sqs::inverse_root_weights(o.class_counts), s = sqs::inverse_root_weights(o.speed_counts);
  ASSERT_EQ(c.size(), 17u);
  for (std::size_t i = 0; i < 17; ++i) { EXPECT_NEAR(c[i], by_class[i], 5e-6) << i; }
  for (std::size_t i = 0; i < 5; ++i) { EXPECT_NEAR(s[i], by_speed[i], 5e-7) << i; }
  double sum = 0;
  for (const double n : o.class_counts) { sum += n; }
  EXPECT_EQ(sum, 34149.0 * 640000);
  const std::vector<double> some{0, 4, 1};
  EXPECT_EQ(sqs::inverse_root_weights(some), (std::vector<double>{0, 1.0 / 3, 2.0 / 3}));
}

/// Four voxels in a row; how often each is drawn first.
std::array<double, 4> shares(const occupancy_labels& o, const sqs::voxel_sampling_options& options) {
  std::array<double, 4> n{};
  constexpr int draws = 40000;
  for (int i = 0; i < draws; ++i) {
    const auto drawn = sqs::sample_voxels(o, options, sqs::random_stream::of(6, i));
    EXPECT_EQ(drawn.size(), 1u);
    n[static_cast<std::size_t>(drawn[0])] += 1.0 / draws;
  }
  return n;
}

TEST(voxel_sampling, chances_follow_class_and_speed) {
  auto o = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {4, 1, 1}}, 2);
  o.semantics = {0, 1, 1, occupancy_labels::ignore};
  o.flow = {{0, 0}, {0, 0}, {3, 0}, {0, 0}};
  sqs::voxel_sampling_options options{.samples = 1, .class_counts = {4, 1, 100}};
  options.speed_counts = {1, 1, 4, 1, 16};
  // Classes weigh 1/2 and 1, speeds 1 (standing), 1/2 (3 m/s): 1/2 : 1 : 1/2.
  auto n = shares(o, options);
  EXPECT_NEAR(n[0], 0.25, 0.01);
  EXPECT_NEAR(n[1], 0.5, 0.01);
  EXPECT_NEAR(n[2], 0.25, 0.01);
  EXPECT_EQ(n[3], 0);
  // With the reference's slip what stands has the weight of the fastest, 1/4: 1/8 : 1/4 : 1/2.
  options.standing_counts_as_fastest = true;
  n = shares(o, options);
  EXPECT_NEAR(n[0], 1.0 / 7, 0.01);
  EXPECT_NEAR(n[2], 4.0 / 7, 0.01);
  options.standing_counts_as_fastest = false;
  options.samples = 10;
  EXPECT_EQ(sqs::sample_voxels(o, options, {}), (std::vector<sqs::idx>{0, 1, 2})); // all that have a weight
  options.samples = 0;
  EXPECT_TRUE(sqs::sample_voxels(o, options, {}).empty());
}

TEST(voxel_sampling, speeds_fall_into_the_bin_that_ends_there) {
  auto o = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {4, 1, 1}}, 2);
  o.semantics = {0, 0, 0, 0};
  o.flow = {{1, 0}, {0, 1.5f}, {3, 4}, {10.5f, 0}}; // 1, 1.5, 5, 10.5 m/s: bins 0, 1, 2, 4
  sqs::voxel_sampling_options options{.samples = 1, .class_counts = {1, 1, 1}};
  options.speed_counts = {1, 0, 0, 1, 0}; // only bins 0 and 3 have a weight
  EXPECT_NEAR(shares(o, options)[0], 1, 1e-9);
  options.speed_counts = {0, 0, 1, 1, 0};
  EXPECT_NEAR(shares(o, options)[2], 1, 1e-9);
}

TEST(voxel_sampling, a_whole_grid) {
  auto o = occupancy_labels::empty(sqs::occ3d_grid, sqs::open_occ_free);
  for (std::size_t i = 0; i < 5000; ++i) { o.semantics[i * 100] = 5; }
  const auto a = sqs::sample_voxels(o, {}, sqs::random_stream::of(1)),
             b = sqs::sample_voxels(o, {}, sqs::random_stream::of(1));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.size(), 100'000u);
  EXPECT_TRUE(std::is_sorted(a.begin(), a.end()));
  EXPECT_EQ(std::adjacent_find(a.begin(), a.end()), a.end());
  const auto bicycles = std::count_if(a.begin(), a.end(), [](sqs::idx i) { return i % 100 == 0 && i < 500000; });
  EXPECT_GT(bicycles, 4990); // 226 times the weight of free ones
  EXPECT_NE(a, sqs::sample_voxels(o, {}, sqs::random_stream::of(2)));
  o.semantics[0] = 17;
  EXPECT_THAT(sqs::test::message_of([&] { sqs::sample_voxels(o, {}, {}); }),
              ::testing::HasSubstr("label 17 of 17 classes; give one count per class"));
}

} // namespace voxel_sampling_test

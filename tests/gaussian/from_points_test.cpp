// SPDX-License-Identifier: Apache-2.0
// Distances to neighbours against all pairs, and the Gaussians made of points.
#include "../support/check.hpp"

#include <sqs/gaussian/from_points.hpp>

namespace from_points_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(from_points, distances_equal_those_of_all_pairs) {
  const auto r = random_stream::of(3);
  std::vector<vec3<float>> points;
  for (idx i = 0; i < 700; ++i) {
    const auto p = [&](idx k) { return static_cast<float>(r.uniform(3 * i + k, -5, 5)); };
    points.push_back({p(0), 0.01f * p(1), i % 3 == 0 ? 1.0f : p(2)}); // flat, with many equal coordinates
    if (i % 50 == 0) { points.push_back(points.back()); }             // and equal points
  }
  cpu one{.threads = 1}, three{.threads = 3};
  const auto fast = neighbour_distances(one, points);
  EXPECT_EQ(fast, neighbour_distances(three, points));
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::vector<float> all;
    for (std::size_t k = 0; k < points.size(); ++k) {
      const auto d = points[k] - points[i];
      if (k != i) { all.push_back(dot(d, d)); }
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(fast[i], std::sqrt((all[0] + all[1] + all[2]) / 3));
  }
}

TEST(from_points, round_gaussians) {
  gaussian_cloud g;
  g.sh_degree = 1;
  add_round_gaussian(g, {1, 2, 3}, 0.5f, {0.5f, 1, 0}, 0.25f);
  add_round_gaussian(g, {4, 5, 6}, 2, {0, 0, 1});
  check_cloud(g, "test");
  EXPECT_FLOAT_EQ(std::exp(g.log_scales[0].y), 0.5f);
  EXPECT_FLOAT_EQ(sigmoid(g.opacity_logits[0]), 0.25f);
  EXPECT_EQ(g.rotations[1].w, 1);
  EXPECT_EQ(g.sh_of(0)[0], 0);
  EXPECT_FLOAT_EQ(sh_to_rgb(g.sh_of(1)[2]), 1);
  EXPECT_EQ(g.sh_of(1)[3], 0);
}

TEST(from_points, misuse_is_explained) {
  cpu e{.threads = 1};
  std::vector<vec3<float>> points(3);
  EXPECT_THAT(message_of([&] { neighbour_distances(e, points); }), HasSubstr("3 points; give at least four"));
  points.resize(4);
  points[2].y = std::numeric_limits<float>::infinity();
  EXPECT_THAT(message_of([&] { neighbour_distances(e, points); }), HasSubstr("point 2 is (0, inf, 0); remove it"));
}

} // namespace from_points_test

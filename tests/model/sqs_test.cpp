// SPDX-License-Identifier: Apache-2.0
// The whole model: gradient of every parameter tensor in double, one loss at a time.
#include "../support/tiny_policy.hpp"

#include <cstdio>

namespace sqs_test {

using namespace sqs;
using namespace sqs::test;

using policy = tiny_policy<double>;

// The zero-initialised attention weights would hide half of the aggregation's gradient.
model::sqs<policy> model_away_from_zero() {
  auto m = model::sqs<policy>::make(7);
  int k = 0;
  for_each_parameter(m, [&](const std::string&, auto& p) {
    const auto s = random_stream::of(11, k++);
    for (idx i = 0; i < p.value.size(); ++i) { p.value.data()[i] += 0.02 * s.normal(i); }
  });
  return m;
}

TEST(sqs_model, gradient_of_every_parameter_against_differences) {
  cpu e{.threads = 2};
  auto m = model_away_from_zero();
  const auto sample = made_up_sample<double>(5);
  const auto r = check_model_gradient(e, m, {.step = 2e-6, .samples = 6}, [&](auto& g) {
    const auto out = m(g, g.input(sample.images), sample.views, sample.rig);
    auto rgb = sqs::apply(g, loss::photometric_l1{}, out.image, sample.rgb);
    auto depth = sqs::apply(g, loss::depth_l1{}, out.depth, sample.depth);
    return sqs::apply(g, loss::weighted_sum_op<2>{{1, 0.05}}, std::move(rgb), std::move(depth));
  });
  std::printf(
      "worst relative error beyond rounding %.2e %s; largest difference %.2e beside a largest gradient of %.2e; %lld "
      "sampled numbers, %lld of them not zero\n",
      r.worst, r.where.c_str(), r.difference, r.largest, static_cast<long long>(r.checked),
      static_cast<long long>(r.nonzero));
  EXPECT_GRADIENT(r, 1e-6);
  EXPECT_GT(r.checked, 400);
}

TEST(sqs_model, base_policy_runs_forward_at_reduced_images) {
  cpu e{.threads = 2};
  // The paper's sizes: 25 600 Gaussians, a 101-layer backbone; images of 64 x 96 so that it ends.
  const auto m = model::sqs<pipeline::base>::make(1);
  EXPECT_EQ(m.anchors.value.shape(), (extents<2>{25600, 14}));
  const idx views = 6;
  query::view_projections<float> projections{make_tensor<float, 3>({views, 4, 4}), {96, 64}};
  camera_rig<float> rig;
  for (idx v = 0; v < views; ++v) {
    const pinhole_camera<double> c{60, 60, 48, 32, 96, 64};
    const se3<double> pose = se3<double>{{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}} * yaw_rotation(static_cast<double>(v));
    const auto p = mat4<float>(projection_matrix(c, pose));
    std::copy_n(p.a, 16, &projections.matrices(v, 0, 0));
    rig.add(pinhole_camera<float>(c), se3<float>(pose));
  }
  inference_graph g{e};
  const auto pyramid = m.look(g, g.input(random_float<4>({views, 64, 96, 3}, 2)));
  EXPECT_EQ(pyramid.levels[0].shape(), (extents<4>{views, 16, 24, 128}));
  EXPECT_EQ(pyramid.levels[3].shape(), (extents<4>{views, 2, 3, 128}));
  auto q = m.decode_queries(g, pyramid, projections, {});
  EXPECT_EQ(q.content.shape(), (extents<2>{25600, 128}));
  const auto out = m.render(g, m.to_gaussians(g, std::move(q.anchors)), rig);
  EXPECT_EQ(out.image.shape(), (extents<4>{views, 64, 96, 3}));
  EXPECT_EQ(out.depth.shape(), (extents<3>{views, 64, 96}));
  double sum = 0;
  for (const float v : out.image.value()) { sum += static_cast<double>(v); }
  EXPECT_TRUE(std::isfinite(sum));
  EXPECT_GT(sum, 1);
}

} // namespace sqs_test

// SPDX-License-Identifier: Apache-2.0
// Background  A query is a point in space with features. It looks at the images by projecting key points into every view.
// New here    feature pyramid, key points, deformable aggregation: the middle of the paper's figure.
// Builds on   02, 03.
// Run         queries_look_at_images
// Expect      for a query on the parked car ahead: which cameras see its key points, and features that change when, and
//             only when, those cameras' images change.
#include <sqs/data/procedural.hpp>
#include <sqs/pipeline/pretrain.hpp>

#include <cstdio>

int main() {
  sqs::cpu exec;
  using policy = sqs::pipeline::small;
  const sqs::procedural_dataset streets({.seed = 2, .scenes = 1, .height = policy::height, .width = policy::width});
  const auto sample = sqs::pipeline::prepare(sqs::make_network_input<float>(
      streets.sample(0), sqs::fitting_plan(policy::height, policy::width, policy::height, policy::width)));
  const auto model = sqs::model::sqs<policy>::make(1);
  sqs::inference_graph g{exec};
  const auto pyramid = model.look(g, g.input(sample.images));
  for (const auto& level : pyramid.levels) {
    std::printf("level of %lld views, %lld x %lld, %lld channels\n", static_cast<long long>(level.extent(0)),
                static_cast<long long>(level.extent(1)), static_cast<long long>(level.extent(2)),
                static_cast<long long>(level.extent(3)));
  }
  // One query, 12 m ahead of the LiDAR and 1 m below it, half a metre in size.
  auto anchor = sqs::make_tensor<float, 2>({1, policy::anchor.width()});
  const double at[3] = {0, 12, -1};
  for (int k = 0; k < 3; ++k) {
    anchor(0, k) = static_cast<float>(
        sqs::safe_logit((at[k] - policy::anchor.low[k]) / (policy::anchor.high[k] - policy::anchor.low[k])));
  }
  anchor(0, sqs::query::anchor_config::rotation) = 1;
  const auto points =
      sqs::query::key_points_op{policy::anchor, 0}.forward(exec, anchor, sqs::make_tensor<float, 2>({1, 0})).value;
  for (sqs::idx v = 0; v < 6; ++v) {
    const auto p =
        sqs::query::detail::project_point(&sample.views.matrices(v, 0, 0), &points(0, 0, 0), sample.views.image_size);
    if (p.visible) {
      std::printf("%s sees it at (%.2f, %.2f) of the image, %.1f m away\n",
                  sqs::camera_names[static_cast<std::size_t>(v)], static_cast<double>(p.u), static_cast<double>(p.v),
                  static_cast<double>(p.depth));
    }
  }
  const sqs::query::deformable_aggregation_op<float> look{sample.views.matrices, sample.views.image_size, 4, 0, {}};
  const auto even = sqs::make_tensor<float, 2>({1, 4 * 7 * 4}),
             cameras = sqs::make_tensor<float, 2>({6, 4 * 7 * 4}); // a plain average
  const auto features = [&](const auto& p) {
    return look
        .forward(exec, points, even, cameras, p.levels[0].value(), p.levels[1].value(), p.levels[2].value(),
                 p.levels[3].value())
        .value;
  };
  const auto before = features(pyramid);
  for (const int changed : {3, 0}) {
    auto images = sqs::persistent_copy<float>(sample.images);
    const sqs::idx size = images.size() / 6;
    std::fill_n(images.data() + changed * size, size, 0.f);
    const auto after = features(model.look(g, g.input(images)));
    double change = 0;
    for (sqs::idx c = 0; c < before.extent(1); ++c) {
      change += std::abs(static_cast<double>(after(0, c) - before(0, c)));
    }
    std::printf("%s black: the query's features change by %.4f\n", sqs::camera_names[static_cast<std::size_t>(changed)],
                change);
  }
}

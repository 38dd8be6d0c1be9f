// SPDX-License-Identifier: Apache-2.0
// Background  Fit free Gaussians, no network, to one view of a procedural street.
// New here    parameters without a model class, the rasterizer inside a training graph, a picture as a target.
// Builds on   02, 04.
// Run         fit_one_image
// Expect      a PSNR that climbs well above that of a constant colour; target.png and fitted.png side by side.
#include <sqs/data/procedural.hpp>
#include <sqs/gaussian/head.hpp>
#include <sqs/loss/photometric.hpp>
#include <sqs/metric/rendering.hpp>
#include <sqs/optim/adamw.hpp>
#include <sqs/pipeline/pictures.hpp>
#include <sqs/query/anchor_init.hpp>
#include <sqs/sensor/network_input.hpp>
#include <sqs/splat/rasterize.hpp>

#include <cstdio>

constexpr sqs::query::anchor_config space{.scale_min = 0.03, .scale_max = 6, .scale = sqs::query::scale_map::geometric};

struct scene { // raw numbers; decode_op turns them into Gaussians
  sqs::parameter<float, 2> anchors, background;
  SQS_MEMBERS(scene, anchors, background)
};

int main() {
  sqs::cpu exec;
  const sqs::procedural_dataset streets({.seed = 3, .scenes = 1, .height = 96, .width = 176});
  const auto input = sqs::make_network_input<float>(streets.sample(0), sqs::fitting_plan(96, 176, 96, 176));
  const sqs::camera_rig<float> front{{input.cameras[0], input.T_cam_ref[0]}};
  const auto target = input.rgb.rows(0, 1);

  sqs::initializer init(1);
  scene s{{sqs::query::initial_anchors<float>(space, 2500, sqs::query::anchor_placement::polar, init), {}},
          {sqs::make_tensor<float, 2>({1, 3}, 0.5f), {}}};
  sqs::optim::adamw<float> optimiser(s, {.weight_decay = 0});
  const auto render = [&](auto& g) {
    auto [means, scales, rotations, opacities, colours] = sqs::apply(g, sqs::gaussian::decode_op{space}, s.anchors);
    return sqs::apply(g, sqs::splat::rasterizer<>{}, std::move(means), std::move(scales), std::move(rotations),
                      std::move(opacities), std::move(colours), s.background, front);
  };
  const auto depth = sqs::make_tensor<float, 3>({1, 96, 176});
  for (int step = 0; step <= 250; ++step) {
    optimiser.zero_gradients();
    sqs::training_graph g{exec};
    auto [image, z, left] = render(g);
    if (step % 50 == 0) {
      const auto score = sqs::metric::score_rendering(image.value(), target, z.value(), depth);
      std::printf("step %3d  PSNR %.2f dB (best constant colour %.2f dB)\n", step, score.psnr_db,
                  score.baseline_psnr_db);
    }
    g.backward(sqs::apply(g, sqs::loss::photometric_l1{}, std::move(image), target));
    optimiser.step(exec, 0.05);
  }
  sqs::inference_graph g{exec};
  sqs::write_png("target.png", sqs::pipeline::colour_picture(target, 0));
  sqs::write_png("fitted.png", sqs::pipeline::colour_picture(std::get<0>(render(g)).value(), 0));
  std::printf("wrote target.png and fitted.png\n");
}

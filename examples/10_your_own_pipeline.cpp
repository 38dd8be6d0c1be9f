// SPDX-License-Identifier: Apache-2.0
// Background  A pipeline is a policy: a struct of types and numbers. Derive from one and override what differs.
// New here    a model of your own sizes, a training loop of your own, a checkpoint.
// Builds on   07.
// Run         your_own_pipeline
// Expect      ten steps of a smaller model on two streets, and a file that another run can continue.
#include <sqs/data/procedural.hpp>
#include <sqs/pipeline/pretrain.hpp>

#include <cstdio>

struct pocket : sqs::pipeline::small { // a quarter of the Gaussians, half the image, one level of width
  static constexpr const char* name = "pocket";
  static constexpr int height = 88, width = 160;
  static constexpr sqs::idx queries = 800;
  static constexpr sqs::query::decoder_layer_config decoder{.channels = 64, .hidden = 128};
  static constexpr sqs::pipeline::training_settings training{
      .steps = 10, .warmup = 2, .rate = 2e-3, .backbone_rate = 1};
};

int main() {
  const sqs::procedural_dataset streets({.seed = 5, .scenes = 2, .height = pocket::height, .width = pocket::width});
  const auto plan = sqs::fitting_plan(pocket::height, pocket::width, pocket::height, pocket::width);
  sqs::pipeline::pretrain<pocket> run(sqs::cpu{}, 1);
  for (int step = 0; step < 10; ++step) {
    const auto report =
        run.step(sqs::pipeline::prepare(sqs::make_network_input<float>(streets.sample(step % 2), plan)));
    std::printf("step %2lld  loss %.4f  colour %.4f  depth %.2f m\n", static_cast<long long>(report.step), report.loss,
                report.rgb, report.depth);
  }
  run.save("pocket.safetensors");
  std::printf("wrote pocket.safetensors\n");
}

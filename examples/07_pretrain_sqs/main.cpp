// SPDX-License-Identifier: Apache-2.0
// Background  SQS: sparse queries become 3D Gaussians, which are splatted back into the images they were read from.
// New here    The whole pipeline: data, model, training, checkpoints, report.
// Builds on   04 (rendering with gradients), 06 (queries look at images).
// Run         pretrain_sqs --out out     or     pretrain_sqs --data nuscenes:PATH --out out
// Expect      out/index.html: inputs beside renderings, depth, scores beside a control that never saw an image.
#include "options.hpp"
#include "train.hpp"

#include <CLI/CLI.hpp>

#include <sqs/autodiff/checkpoint.hpp>

#include <cstdio>

namespace {

// The option most like what was typed.
std::string nearest_option(const CLI::App& app, const std::string& message) {
  const auto at = message.find("--");
  if (at == std::string::npos) { return ""; }
  const std::string typed = message.substr(at, message.find_first_of(" =", at) - at);
  std::string best;
  std::size_t distance = 4;
  for (const auto* o : app.get_options()) {
    const std::string name = "--" + o->get_single_name();
    const std::size_t d = sqs::detail::edit_distance(typed, name);
    if (d < distance) {
      distance = d;
      best = name;
    }
  }
  return best.empty() ? "" : "; did you mean " + best + "?";
}

} // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app{"Pre-trains SQS and writes a report with pictures.\n"
               "Examples:\n"
               "  pretrain_sqs --out out\n"
               "  pretrain_sqs --data nuscenes:/data/nuscenes --limit-samples 50 --steps 4000 --out run\n"
               "  pretrain_sqs --out run --resume"};
  app.add_option("--data", o.data, "procedural[:SEED], or nuscenes:PATH in native layout");
  app.add_option("--policy", o.policy, "small (two cores) or base (the paper's sizes)")
      ->check(CLI::IsMember({"small", "base"}));
  app.add_option("--steps", o.steps, "training steps; 0: the policy's")->check(CLI::NonNegativeNumber);
  app.add_option("--out", o.out, "folder of the results");
  app.add_option("--limit-samples", o.limit_samples, "samples to train on")->check(CLI::PositiveNumber);
  app.add_option("--eval-samples", o.eval_samples, "further samples, not trained on, to score")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--save-every", o.save_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed, "of everything random");
  app.add_option("--threads", o.threads, "0: all cores; results do not depend on it")->check(CLI::Range(0, 1024));
  app.add_option("--rgb-weight", o.rgb_weight, "of the colour loss; negative: the policy's");
  app.add_option("--depth-weight", o.depth_weight, "of the depth loss; negative: the policy's");
  app.add_option("--anchor-rate", o.anchor_rate, "multiplies the rate of the anchors; negative: the policy's");
  app.add_option("--yaw", o.yaw_degrees, "turn the reference frame by up to this angle, in degrees, every step");
  app.add_flag("--resume", o.resume, "continue from the checkpoint in --out");
  app.add_flag("--black", o.black, "train on black images (the targets stay)");
  app.add_flag("--no-control", o.no_control, "do not train the control on black images");
  app.add_flag("--dry-run", o.dry_run, "print the resolved configuration and the size of the model, then stop");
  app.add_flag("--quiet", o.quiet, "print only the result");
  app.set_config("--config", "", "read options from a file, such as the config.toml of a run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) { return app.exit(e); }
    std::fprintf(stderr, "pretrain_sqs: %s%s\nRun with --help for the options.\n", e.what(),
                 nearest_option(app, e.what()).c_str());
    return 2;
  }
  o.resolved = app.config_to_str(true, false);
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "pretrain_sqs: %s\n", e.what());
    return 1;
  }
}

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
#include <cstdlib>

namespace {

// The option most like what was typed.
std::string nearest_option(const CLI::App& app, const std::string& message) {
  const auto at = message.find("--");
  if (at == std::string::npos || message.find("not expected") == std::string::npos) { return ""; }
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

std::string concat_range(std::int64_t low, std::int64_t high) {
  return "in " + std::to_string(low) + " to " + std::to_string(high);
}

// CLI::Range lets NaN through: no comparison with it is true.
CLI::Validator finite(double low, double high) {
  return {[low, high](std::string& text) {
            char* end = nullptr;
            const double v = std::strtod(text.c_str(), &end);
            if (end != text.c_str() && *end == '\0' && v >= low && v <= high) { return std::string(); }
            return text + " is not a number from " + CLI::detail::to_string(low) + " to " +
                   CLI::detail::to_string(high);
          },
          "NUMBER"};
}

} // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app{"Pre-trains SQS and writes a report with pictures.\n"
               "Examples:\n"
               "  pretrain_sqs --out out\n"
               "  pretrain_sqs --data nuscenes:/data/nuscenes --limit-samples 50 --steps 4000 --out run\n"
               "  pretrain_sqs --out run --resume"};
  app.option_defaults()->always_capture_default();
  app.allow_config_extras(CLI::config_extras_mode::error);
  constexpr std::int64_t many = 1'000'000'000;
  const auto count = [](std::int64_t low, std::int64_t high) { return CLI::Range(low, high, concat_range(low, high)); };
  app.add_option("--data", o.data, "procedural[:SEED], or nuscenes:PATH in native layout");
  app.add_option("--policy", o.policy, "small (two cores) or base (the paper's sizes)")
      ->check(CLI::IsMember({"small", "base"}));
  app.add_option("--steps", o.steps, "training steps; 0: the policy's")->check(count(0, many));
  app.add_option("--out", o.out, "folder of the results");
  app.add_option("--limit-samples", o.limit_samples, "samples to train on")->check(count(1, 1'000'000));
  app.add_option("--eval-samples", o.eval_samples, "further samples, not trained on, to score")
      ->check(count(0, 10'000));
  app.add_option("--save-every", o.save_every, "steps between checkpoints")->check(count(1, many));
  app.add_option("--seed", o.seed, "of everything random")->check(count(0, many));
  app.add_option("--threads", o.threads, "0: all cores; results do not depend on it")->check(count(0, 1024));
  app.add_option("--rgb-weight", o.rgb_weight, "of the colour loss; -1: the policy's")->check(finite(-1, 1e6));
  app.add_option("--depth-weight", o.depth_weight, "of the depth loss; -1: the policy's")->check(finite(-1, 1e6));
  app.add_option("--anchor-rate", o.anchor_rate, "multiplies the rate of the anchors; -1: the policy's")
      ->check(finite(-1, 1e6));
  app.add_option("--yaw", o.yaw_degrees, "turn the reference frame by up to this angle, in degrees, every step")
      ->check(finite(0, 180));
  app.add_option("--corrupt", o.corrupt, "a sample that cannot be read: stop, or replace it by the next and go on")
      ->check(CLI::IsMember({"stop", "replace"}));
  app.add_flag("--resume", o.resume, "continue from the checkpoint in --out")->configurable(false);
  app.add_flag("--black", o.black, "train on black images (the targets stay)");
  app.add_flag("--no-control", o.no_control, "do not train the control on black images");
  app.add_flag("--dry-run", o.dry_run, "print the resolved configuration and the size of the model, then stop")
      ->configurable(false);
  app.add_flag("--quiet", o.quiet, "print only the result")->configurable(false);
  app.set_config("--config", "", "read options from a file, such as the config.toml of a run")->configurable(false);
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

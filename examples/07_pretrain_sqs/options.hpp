// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the command line of pretrain_sqs says.

#include <cstdint>
#include <string>

struct options {
  std::string data = "procedural";
  std::string policy = "small";
  std::string out = "out";
  std::int64_t steps = 0; ///< 0: the policy's
  std::int64_t limit_samples = 1;
  std::int64_t eval_samples = 2;
  std::int64_t save_every = 50;
  std::uint64_t seed = 0;
  int threads = 0;
  double rgb_weight = -1, depth_weight = -1, anchor_rate = -1; ///< negative: the policy's
  double yaw_degrees = 0;
  std::string corrupt = "stop"; ///< what a sample that cannot be read does: stop, or replace
  bool resume = false, black = false, no_control = false, quiet = false, dry_run = false;
  std::string resolved; ///< all of the above as a configuration file
};

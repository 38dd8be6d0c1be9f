// SPDX-License-Identifier: Apache-2.0
#include "net_reference.hpp"

#include "../sparse/basic_net_on_cpu.hpp"

bench::net_reference bench::basic_net_on_cpu() {
  const auto& w = workloads::get("frame");
  sqs::cpu e{.threads = timing::threads};
  std::vector<basic_net::part_times> times(basic_net::levels);
  net_reference r;
  r.work.resize(basic_net::levels);
  const auto y =
      basic_net::run_engine(e, basic_net::coordinates_of(w), w.grid, basic_net::features_of(w), times, r.work);
  r.y.assign(y.begin(), y.end());
  return r;
}

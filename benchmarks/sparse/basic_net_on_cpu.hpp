// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The basic net on the CPU engine.

#include "basic_net.hpp"

#include <sqs/sparse.hpp>

namespace basic_net {

inline tensor<float, 2> run_engine(cpu& e, const tensor<std::int32_t, 2>& coordinates, const std::array<idx, 3>& grid,
                                   tensor<float, 2> x, std::vector<part_times>& times, std::vector<level_work>& work) {
  const tensor<float, 1> no_bias = empty<float, 1>(e, {0});
  sparse::sites<3> at;
  double sites_seconds = seconds_of([&] { at = sparse::make_sites<3>(e, coordinates, grid); });
  for (int l = 0; l < levels; ++l) {
    auto& t = times[static_cast<std::size_t>(l)];
    sparse::convolution_plan plan;
    t.map([&] { plan = sparse::make_submanifold_plan(e, at, sparse::taps<3, 3, 3>{}); },
          std::exchange(sites_seconds, 0));
    t.convolution([&] {
      for (int second = 0; second < 2; ++second) {
        const auto& w = weights()[static_cast<std::size_t>(2 * l + second)];
        x = sparse::convolution_op{plan}.finished(e, x, w.weight, no_bias,
                                                  {w.scale, w.shift, {}, {sparse::activation_kind::relu}});
      }
    });
    work[static_cast<std::size_t>(l)] = {at.rows, plan.forward.pairs()};
    if (l + 1 == levels) { break; }
    t.pooling([&] {
      auto down = sparse::make_convolution_plan(e, at, {.taps = sparse::taps<2, 2, 2>{}, .stride = {2, 2, 2}});
      x = sparse::pooling_op{down.plan}.pooled(e, x);
      at = std::move(down.output);
    });
  }
  return x;
}

} // namespace basic_net

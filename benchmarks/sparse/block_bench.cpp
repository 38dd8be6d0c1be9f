// SPDX-License-Identifier: Apache-2.0
// sparse/block/<frame|lifted>/C:<n>: convolution, batch norm, residual and relu of inference in one pass.
//   x_steps     time of the same steps one after another / time here
//   x_alone     time of the convolution alone / time here: 1 is free
// sparse/orthogonal_maps/<frame|lifted>: the plans of 3x3x3, 3x3x1, 3x1x3 and 1x3x3 from one search.
//   x_searches  time of a search for each of the three planes / time here
// sparse/batch_norm/<forward|backward>/C:<n> over the lifted sites; gbytes: read and written at least, a second.
// Times as in convolution_bench.cpp.

#include "timing.hpp"
#include "workloads.hpp"

#include <sqs/sparse/orthogonal.hpp>

namespace {

using namespace sqs;
using namespace timing;

/// Runs all in turns; the fastest time of each.
template <class... F> std::array<double, sizeof...(F)> in_turns(benchmark::State& state, F&&... f) {
  std::array<double, sizeof...(F)> best;
  best.fill(1e30);
  (f(), ...);
  for (auto _ : state) {
    std::size_t i = 0;
    ((best[i] = std::min(best[i], seconds_of(f)), ++i), ...);
    state.SetIterationTime(best[0]);
  }
  state.counters["fastest_ms"] = 1e3 * best[0];
  return best;
}

void block(benchmark::State& state, const char* name, idx c) {
  const auto& w = workloads::get(name);
  cpu e{.threads = threads};
  const auto x = numbers<2>({w.rows(), c}, 1), residual = numbers<2>({w.rows(), c}, 2);
  const auto weight = numbers<3>({27, c, c}, 3, 0.1);
  const auto none = make_tensor<float, 1>({0});
  const sparse::epilogue<float> then{numbers<1>({c}, 4), numbers<1>({c}, 5), residual, {sparse::activation_kind::relu}};
  const sparse::convolution_op op{w.plan};
  const auto t = in_turns(
      state, [&] { benchmark::DoNotOptimize(op.finished(e, x, weight, none, then)); },
      [&] {
        auto y = op.forward(e, x, weight, none).value;
        y = sparse::row_affine_op{}.forward(e, y, then.scale, then.shift).value;
        y = nn::add_op{}.forward(e, y, residual).value;
        benchmark::DoNotOptimize(nn::relu_op{}.forward(e, y).value);
      },
      [&] { benchmark::DoNotOptimize(op.forward(e, x, weight, none)); });
  state.counters["x_steps"] = t[1] / t[0];
  state.counters["x_alone"] = t[2] / t[0];
}

void orthogonal_maps(benchmark::State& state, const char* name) {
  const auto& w = workloads::get(name);
  cpu e{.threads = threads};
  auto coordinates = make_tensor<std::int32_t, 2>({w.rows(), 4});
  for (idx i = 0; i < coordinates.size(); ++i) {
    coordinates.data()[i] = w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  const auto sites = sparse::make_sites<3>(e, coordinates, w.grid);
  using sparse::taps;
  const sparse::tap_set<3> planes[] = {taps<3, 3, 1>{}, taps<3, 1, 3>{}, taps<1, 3, 3>{}};
  const auto t = in_turns(
      state,
      [&] {
        sparse::shared_plans<3> plans(e, sites, taps<3, 3, 3>{});
        for (const auto& p : planes) { benchmark::DoNotOptimize(plans.of(e, p)); }
      },
      [&] {
        for (const auto& p : planes) { benchmark::DoNotOptimize(sparse::make_submanifold_plan(e, sites, p)); }
      });
  state.counters["x_searches"] = t[1] / t[0];
}

void batch_norm(benchmark::State& state, bool forward, idx c) {
  const idx n = workloads::get("lifted").rows();
  cpu e{.threads = threads};
  const auto x = numbers<2>({n, c}, 1), dy = numbers<2>({n, c}, 2);
  const auto gain = numbers<1>({c}, 3), bias = numbers<1>({c}, 4), none = make_tensor<float, 1>({c}, 0);
  const sparse::batch_norm_op op;
  const auto saved = op.forward(e, x, gain, bias).saved;
  const auto t = in_turns(state, [&] {
    if (forward) {
      benchmark::DoNotOptimize(op.forward(e, x, gain, bias));
    } else {
      benchmark::DoNotOptimize(op.backward(e, saved, dy, none, none));
    }
  });
  const double matrices = forward ? 3 : 5; // x twice and y; x and dy twice and dx
  state.counters["gbytes"] = 1e-9 * matrices * static_cast<double>(n * c) * sizeof(float) / t[0];
}

const bool added = [] {
  const auto add = [](const std::string& name, auto&& f) {
    benchmark::RegisterBenchmark(name.c_str(), f)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(7);
  };
  for (const char* name : {"frame", "lifted"}) {
    if (!workloads::available(name)) { continue; }
    for (const idx c : {16, 32, 64, 128}) {
      if (c == 128 && name[0] == 'l') { continue; }
      add(concat("sparse/block/", name, "/C:", c), [name, c](benchmark::State& s) { block(s, name, c); });
    }
    add(concat("sparse/orthogonal_maps/", name), [name](benchmark::State& s) { orthogonal_maps(s, name); });
  }
  for (const idx c : {32, 128}) {
    add(concat("sparse/batch_norm/forward/C:", c), [c](benchmark::State& s) { batch_norm(s, true, c); });
    add(concat("sparse/batch_norm/backward/C:", c), [c](benchmark::State& s) { batch_norm(s, false, c); });
  }
  return true;
}();

} // namespace

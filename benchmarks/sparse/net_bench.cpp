// SPDX-License-Identifier: Apache-2.0
// sparse/net/basic: the net of basic_net.hpp on the LiDAR frame. Every pass begins with coordinates: all maps are built
// anew.
//
// Counters as in convolution_bench.cpp; gflops are those of the convolutions over the time of everything. After the
// benchmark comes a table, level by level: of the engine maps, convolutions with their norms, pooling.

#include "baseline.hpp"
#include "basic_net_on_cpu.hpp"

namespace {

using namespace sqs;
using namespace basic_net;

/// Maxima over 2 x 2 x 2 cells by a serial hash map; rows in ascending order of their cells.
std::vector<float> pooled(std::vector<test::site>& sites, std::array<idx, 3>& grid, const std::vector<float>& x,
                          idx c) {
  std::array<idx, 3> coarse{};
  for (std::size_t a = 0; a < 3; ++a) { coarse[a] = grid[a] / 2; }
  std::unordered_map<idx, std::size_t> row;
  row.reserve(sites.size());
  std::vector<test::site> kept;
  std::vector<float> y;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const test::site s{0, sites[i][1] / 2, sites[i][2] / 2, sites[i][3] / 2};
    if (s[1] >= coarse[0] || s[2] >= coarse[1] || s[3] >= coarse[2]) { continue; }
    const auto [found, fresh] = row.emplace((s[1] * coarse[1] + s[2]) * coarse[2] + s[3], kept.size());
    const float* from = x.data() + i * static_cast<std::size_t>(c);
    if (fresh) {
      kept.push_back(s);
      y.insert(y.end(), from, from + c);
    } else {
      float* to = y.data() + found->second * static_cast<std::size_t>(c);
      for (idx j = 0; j < c; ++j) { to[j] = std::max(to[j], from[j]); }
    }
  }
  sites = std::move(kept), grid = coarse;
  return y;
}

/// The engine's rows stand in order of their cells, the baseline's as they came: `order` sorts them in the end.
std::vector<float> run_baseline(cpu& e, std::vector<test::site> sites, std::array<idx, 3> grid, std::vector<float> x,
                                std::vector<test::site>& last) {
  idx from = 3;
  for (int l = 0; l < levels; ++l) {
    const auto lists = baseline::make_map(sites, grid);
    const idx rows = static_cast<idx>(sites.size()), to = widths[l];
    for (int second = 0; second < 2; ++second, from = to) {
      const auto& w = weights()[static_cast<std::size_t>(2 * l + second)];
      baseline::gather_gemm_scatter product(e, lists, rows, from, to);
      std::vector<float> y(static_cast<std::size_t>(rows * to));
      product.forward(x.data(), w.weight.data(), y.data());
      for (idx i = 0; i < rows; ++i) {
        float* const row = y.data() + i * to;
        for (idx j = 0; j < to; ++j) { row[j] = std::max(row[j] * w.scale.data()[j] + w.shift.data()[j], 0.0f); }
      }
      x = std::move(y);
    }
    if (l + 1 < levels) { x = pooled(sites, grid, x, to); }
  }
  last = std::move(sites);
  return x;
}

bool same(const tensor<float, 2>& y, const std::vector<float>& other, const std::vector<test::site>& sites) {
  const idx c = y.extent(1);
  if (y.extent(0) != static_cast<idx>(sites.size())) { return false; }
  std::vector<std::size_t> order(sites.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return sites[a] < sites[b]; });
  float gap = 0, most = 0;
  for (idx i = 0; i < y.size(); ++i) {
    const float o =
        other[order[static_cast<std::size_t>(i / c)] * static_cast<std::size_t>(c) + static_cast<std::size_t>(i % c)];
    gap = std::max(gap, std::abs(y.data()[i] - o)), most = std::max(most, std::abs(o));
  }
  return most > 0 && gap <= 1e-3f * most;
}

void basic_net(benchmark::State& state) {
  const auto& w = workloads::get("frame");
  cpu e{.threads = threads};
  const auto coordinates = coordinates_of(w);
  const auto x = features_of(w);
  const std::vector<float> plain_x(x.begin(), x.end());
  std::vector<part_times> times(levels), unused(levels);
  std::vector<level_work> work(levels);
  std::vector<test::site> last;
  const auto plain = run_baseline(e, w.sites, w.grid, plain_x, last);
  if (!same(run_engine(e, coordinates, w.grid, x, unused, work), plain, last)) {
    state.SkipWithError("the baseline computes something else");
    return;
  }
  const double before = free_cores();
  fastest engine, reference;
  for (auto _ : state) {
    double best = 1e30;
    for (int i = 0; i < 2; ++i) {
      best =
          std::min(best, engine([&] { benchmark::DoNotOptimize(run_engine(e, coordinates, w.grid, x, times, work)); }));
    }
    state.SetIterationTime(best);
    reference([&] { benchmark::DoNotOptimize(run_baseline(e, w.sites, w.grid, plain_x, last)); });
  }
  double flop = 0, pairs = 0;
  std::printf("\nlevel    channels      rows     pairs   map ms  conv ms  conv GFLOP/s  pool ms\n");
  idx from = 3;
  for (std::size_t l = 0; l < levels; ++l) {
    const double here =
        2 * static_cast<double>(work[l].pairs) * static_cast<double>(widths[l]) * static_cast<double>(from + widths[l]);
    std::printf("%5zu %11lld %9lld %9lld %8.2f %8.2f %13.0f %8.2f\n", l, static_cast<long long>(widths[l]),
                static_cast<long long>(work[l].rows), static_cast<long long>(work[l].pairs), 1e3 * times[l].map.seconds,
                1e3 * times[l].convolution.seconds, 1e-9 * here / times[l].convolution.seconds,
                l + 1 < levels ? 1e3 * times[l].pooling.seconds : 0.0);
    flop += here, pairs += static_cast<double>(work[l].pairs);
    from = widths[l];
  }
  state.counters["pairs"] = pairs;
  state.counters["threads"] = e.thread_count();
  state.counters["fastest_ms"] = 1e3 * engine.seconds;
  state.counters["gflops"] = 1e-9 * flop / engine.seconds;
  state.counters["x_gather_gemm_scatter"] = reference.seconds / engine.seconds;
  state.counters["free_cores"] = 0.5 * (before + free_cores());
}

[[maybe_unused]] const bool added = [] {
  if (workloads::available("frame")) {
    benchmark::RegisterBenchmark("sparse/net/basic", basic_net)
        ->Unit(benchmark::kMillisecond)
        ->UseManualTime()
        ->Iterations(3);
  }
  return true;
}();

} // namespace

// SPDX-License-Identifier: Apache-2.0
// sparse/submanifold/<forward|backward_data|backward_weight|backward>/C:<n>, sparse/map/submanifold and
// sparse/map_and_submanifold/forward/C:<n> on the LiDAR frame; sparse/<lifted|thin>/<forward|backward>/C:<n> and
// sparse/map/<lifted|thin> on volumes as cameras give them. 3 x 3 x 3, float, C to C channels. `--threads=N`: 2 where
// there are two cores.
//
// Times are on the wall, the fastest of the repeats. What is compared takes turns in this process, and the baseline's
// results are compared with the engine's first. Counters:
//   pairs        (input, output) pairs of the map
//   gflops       useful: 2 pairs C C per pass (backward: two passes), billions a second
//   gemm, gemm_own   the same of a 2048^3 product with as many threads: by the project's gemm, and by the engine's own
//                kernel on dense rows
//   rho          gflops / the larger of the two
//   rho_gemm     gflops / gemm
//   x_gather_gemm_scatter, x_hash_map   time of the baseline (baseline.hpp) / time here
//   bricks_x_pairs   time over the pairs / time over bricks, each forced, where the plan allows both
//   free_cores   what two threads that only count get of the machine: ratios of two threads mean something near 2
// sparse/<submanifold|lifted>/forward/C:<n>/bf16: features of bfloat16. `x_fp32`, the time with features of float / the
// time here, only where the processor has a matrix unit; without one the label says so, and the time is that of widening,
// products in float, and rounding.
// sparse/pointwise/forward/C:<n>: 1 x 1 x 1 on the frame's rows, with its plan and a relu. `gemm_ms`: the project's product of
// the same matrices alone; `x_search`: the time with a searched plan of one tap / the time here.
// The workloads are described in workloads.hpp.

#include "baseline.hpp"
#include "timing.hpp"
#include "workloads.hpp"

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/pointwise_plan.hpp>

namespace {

using namespace sqs;
using namespace timing;
using workloads::workload;

/// A 2048^3 product by the project's gemm and by the engine's kernel.
class dense_product {
public:
  static constexpr idx n = 2048;
  dense_product() {
    for (auto* v : {&a_, &b_, &c_}) { *v = make_tensor<float, 2>({n, n}, 0.5f); }
    std::vector<test::pair> pairs;
    for (std::int32_t i = 0; i < n; ++i) { pairs.push_back({0, i, i}); }
    lists_ = test::lists_of(pairs, n, n, 1, 128);
  }
  void run(cpu& e) {
    library([&] { gemm<float>(e, false, false, n, n, n, a_.data(), n, b_.data(), n, c_.data(), n); });
    own([&] {
      const auto panels = sparse::detail::pack_weights(e, b_.reshaped<3>({1, n, n}), 1, false, false);
      sparse::detail::product<float>(e, lists_, panels, a_.data(), n, nullptr, c_.data(), n);
    });
  }
  static constexpr double flop = 2.0 * n * n * n;
  fastest library, own;

private:
  tensor<float, 2> a_, b_, c_;
  sparse::pair_lists lists_;
};

/// A workload with numbers of C channels.
struct subject {
  const workload& w;
  idx channels;
  cpu e{.threads = threads};
  tensor<float, 2> x, dy;
  tensor<float, 3> weight;
  tensor<float, 1> bias = make_tensor<float, 1>({0});
  baseline::tap_lists lists;
  sparse::convolution_op op;
  sparse::convolution_op::saved<float> saved;

  subject(const workload& of, idx c)
      : w(of),
        channels(c),
        x(numbers<2>({of.rows(), c}, 1, 1)),
        dy(numbers<2>({of.rows(), c}, 2, 1)),
        weight(numbers<3>({27, c, c}, 3, 0.1)),
        lists(baseline::make_map(of.sites, of.grid)),
        op{of.plan},
        saved{x, weight, false} {
    op.plan = sparse::with_bricks(e, op.plan);
  }
  double pairs() const { return static_cast<double>(w.pairs.size()); }
  double flop() const { return 2 * pairs() * static_cast<double>(channels * channels); }
  tensor<float, 2> forward() { return op.forward(e, x, weight, bias).value; }
  auto backward(bool data, bool weights) { return op.backward(e, saved, dy, {data, weights, false}); }
};

template <int R> bool agree(const tensor<float, R>& a, const std::vector<float>& b) {
  float gap = 0, most = 0;
  for (idx i = 0; i < a.size(); ++i) {
    const float other = b[static_cast<std::size_t>(i)];
    gap = std::max(gap, std::abs(a.data()[i] - other));
    most = std::max(most, std::abs(other));
  }
  return most > 0 && gap <= 2e-4f * most;
}

enum class pass { forward, backward_data, backward_weight, backward };

/// The engine, the dense products and the baseline (`with_map`: each with its map) take turns.
void convolution(benchmark::State& state, const std::string& name, pass p, idx channels, bool with_map) {
  subject s(workloads::get(name), channels);
  const bool data = p != pass::backward_weight, weights = p != pass::backward_data;
  tensor<std::int32_t, 2> coordinates = make_tensor<std::int32_t, 2>({s.w.rows(), 4});
  for (idx i = 0; i < coordinates.size(); ++i) {
    coordinates.data()[i] = s.w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  const auto ours = [&] {
    if (with_map) {
      const auto sites = sparse::make_sites<3>(s.e, coordinates, s.w.grid);
      s.op.plan = sparse::make_submanifold_plan(s.e, sites, sparse::taps<3, 3, 3>{});
    }
    if (p == pass::forward) {
      benchmark::DoNotOptimize(s.forward());
    } else {
      benchmark::DoNotOptimize(s.backward(data, weights));
    }
  };
  std::vector<float> rows(static_cast<std::size_t>(s.x.size())), taps(static_cast<std::size_t>(s.weight.size()));
  baseline::gather_gemm_scatter other(s.e, s.lists, s.w.rows(), channels, channels);
  const auto theirs = [&] {
    if (with_map) { s.lists = baseline::make_map(s.w.sites, s.w.grid); }
    if (p == pass::forward) {
      other.forward(s.x.data(), s.weight.data(), rows.data());
      return;
    }
    if (data) { other.backward_data(s.dy.data(), s.weight.data(), rows.data()); }
    if (weights) { other.backward_weight(s.x.data(), s.dy.data(), taps.data()); }
  };
  ours(), theirs();
  bool same = true;
  if (p == pass::forward) {
    same = agree(s.forward(), rows);
  } else {
    const auto d = s.backward(data, weights);
    same = (!data || agree(std::get<0>(d), rows)) && (!weights || agree(std::get<1>(d), taps));
  }
  if (!same) {
    state.SkipWithError("the baseline computes something else");
    return;
  }
  static dense_product dense;
  dense.library = {}, dense.own = {};
  const double before = free_cores();
  fastest engine, reference, over_pairs, over_bricks;
  auto forced = s.op;
  const auto force = [&](sparse::brick_policy policy) {
    forced.bricks = policy;
    benchmark::DoNotOptimize(forced.forward(s.e, s.x, s.weight, s.bias));
  };
  const bool two_ways = p == pass::forward && forced.plan.forward.neighbours;
  for (auto _ : state) {
    dense.run(s.e);
    double best = 1e30;
    for (int i = 0; i < (s.flop() < 5e9 ? 3 : 1); ++i) { best = std::min(best, engine(ours)); }
    state.SetIterationTime(best);
    reference(theirs);
    if (two_ways) {
      over_pairs([&] { force(sparse::brick_policy::never); });
      over_bricks([&] { force(sparse::brick_policy::always); });
    }
  }
  const double flop = p == pass::backward ? 2 * s.flop() : s.flop(), rate = flop / engine.seconds;
  const double library = dense.flop / dense.library.seconds, own = dense.flop / dense.own.seconds;
  state.counters["pairs"] = s.pairs();
  state.counters["threads"] = s.e.thread_count();
  state.counters["fastest_ms"] = 1e3 * engine.seconds;
  state.counters["gflops"] = 1e-9 * rate;
  state.counters["gemm"] = 1e-9 * library;
  state.counters["gemm_own"] = 1e-9 * own;
  state.counters["rho"] = rate / std::max(library, own);
  state.counters["rho_gemm"] = rate / library;
  state.counters["x_gather_gemm_scatter"] = reference.seconds / engine.seconds;
  if (two_ways) { state.counters["bricks_x_pairs"] = over_pairs.seconds / over_bricks.seconds; }
  state.counters["free_cores"] = 0.5 * (before + free_cores());
}

/// The forward pass with features of bfloat16, and with those of float.
void narrow_forward(benchmark::State& state, const std::string& name, idx channels) {
  subject s(workloads::get(name), channels);
  const auto x = nn::converted<bfloat16>(s.e, s.x);
  const auto narrow = [&] { return s.op.forward(s.e, x, s.weight, s.bias).value; };
  const auto y = nn::converted<float>(s.e, narrow()), z = s.forward();
  float gap = 0, most = 0;
  for (idx i = 0; i < y.size(); ++i) {
    gap = std::max(gap, std::abs(y.data()[i] - z.data()[i]));
    most = std::max(most, std::abs(z.data()[i]));
  }
  if (!(gap <= 0.02f * most)) {
    state.SkipWithError("the results differ by more than bfloat16 does");
    return;
  }
  const double before = free_cores();
  fastest here, of_float;
  for (auto _ : state) {
    state.SetIterationTime(here([&] { benchmark::DoNotOptimize(narrow()); }));
    of_float([&] { benchmark::DoNotOptimize(s.forward()); });
  }
  state.counters["threads"] = s.e.thread_count();
  state.counters["fastest_ms"] = 1e3 * here.seconds;
  state.counters["gflops"] = 1e-9 * s.flop() / here.seconds;
  if (sparse::detail::has_amx_unit()) {
    state.counters["x_fp32"] = of_float.seconds / here.seconds;
  } else {
    state.SetLabel("no tile unit");
  }
  state.counters["free_cores"] = 0.5 * (before + free_cores());
}

void pointwise_forward(benchmark::State& state, idx channels) {
  const auto& w = workloads::get("frame");
  cpu e{.threads = threads};
  const idx n = w.rows();
  const auto x = numbers<2>({n, channels}, 1, 1);
  const auto weight = numbers<3>({1, channels, channels}, 3, 0.1);
  const auto none = make_tensor<float, 1>({0});
  auto coordinates = make_tensor<std::int32_t, 2>({n, 4});
  for (idx i = 0; i < coordinates.size(); ++i) {
    coordinates.data()[i] = w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  const auto sites = sparse::make_sites<3>(e, coordinates, w.grid);
  const sparse::epilogue<float> relu{{}, {}, {}, {sparse::activation_kind::relu, 0}};
  const auto with = [&](const sparse::convolution_plan& plan) {
    return sparse::convolution_op{plan}.finished(e, x, weight, none, relu);
  };
  auto product = make_tensor<float, 2>({n, channels});
  fastest here, searched, matrices;
  for (auto _ : state) {
    state.SetIterationTime(here([&] { benchmark::DoNotOptimize(with(sparse::make_pointwise_plan(e, n))); }));
    searched([&] { benchmark::DoNotOptimize(with(sparse::make_submanifold_plan(e, sites, sparse::taps<1, 1, 1>{}))); });
    matrices([&] {
      gemm<float>(e, false, false, n, channels, channels, x.data(), channels, weight.data(), channels, product.data(),
                  channels);
    });
  }
  state.counters["threads"] = e.thread_count();
  state.counters["fastest_ms"] = 1e3 * here.seconds;
  state.counters["gemm_ms"] = 1e3 * matrices.seconds;
  state.counters["x_search"] = searched.seconds / here.seconds;
}

void submanifold_map(benchmark::State& state, const std::string& name) {
  const auto& w = workloads::get(name);
  cpu e{.threads = threads};
  auto coordinates = make_tensor<std::int32_t, 2>({w.rows(), 4});
  for (idx i = 0; i < coordinates.size(); ++i) {
    coordinates.data()[i] = w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  idx pairs = 0;
  const auto ours = [&] {
    const auto sites = sparse::make_sites<3>(e, coordinates, w.grid);
    pairs = sparse::make_submanifold_plan(e, sites, sparse::taps<3, 3, 3>{}).forward.pairs();
  };
  ours();
  if (pairs != static_cast<idx>(w.pairs.size())) {
    state.SkipWithError("the map has other pairs than brute force finds");
    return;
  }
  const double before = free_cores();
  fastest engine, reference;
  for (auto _ : state) {
    double best = 1e30;
    for (int i = 0; i < 3; ++i) { best = std::min(best, engine(ours)); }
    state.SetIterationTime(best);
    reference([&] { benchmark::DoNotOptimize(baseline::make_map(w.sites, w.grid)); });
  }
  state.counters["pairs"] = static_cast<double>(pairs);
  state.counters["threads"] = e.thread_count();
  state.counters["fastest_ms"] = 1e3 * engine.seconds;
  state.counters["x_hash_map"] = reference.seconds / engine.seconds;
  state.counters["free_cores"] = 0.5 * (before + free_cores());
}

void add(const std::string& name, int repeats, auto&& f) {
  benchmark::RegisterBenchmark(name.c_str(), f)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(repeats);
}
void add_all() {
  const std::pair<const char*, pass> passes[] = {{"forward", pass::forward},
                                                 {"backward_data", pass::backward_data},
                                                 {"backward_weight", pass::backward_weight},
                                                 {"backward", pass::backward}};
  if (workloads::available("frame")) {
    for (const auto& [pass_name, p] : passes) {
      for (const idx c : {16, 32, 64, 128}) {
        add(concat("sparse/submanifold/", pass_name, "/C:", c), 7,
            [p = p, c](benchmark::State& s) { convolution(s, "frame", p, c, false); });
      }
    }
    for (const idx c : {32, 64, 128}) {
      add(concat("sparse/submanifold/forward/C:", c, "/bf16"), 7,
          [c](benchmark::State& s) { narrow_forward(s, "frame", c); });
    }
    for (const idx c : {16, 32, 64, 128}) {
      add(concat("sparse/pointwise/forward/C:", c), 15, [c](benchmark::State& s) { pointwise_forward(s, c); });
    }
    add("sparse/map/submanifold", 7, [](benchmark::State& s) { submanifold_map(s, "frame"); });
    for (const idx c : {16, 32, 64, 128}) {
      add(concat("sparse/map_and_submanifold/forward/C:", c), 7,
          [c](benchmark::State& s) { convolution(s, "frame", pass::forward, c, true); });
    }
  } else {
    std::fprintf(stderr, "the frame is left out: %s is absent; set SQS_DATA_DIR\n", workloads::frame_file().c_str());
  }
  for (const char* name : {"lifted", "thin"}) {
    for (const auto& [pass_name, p] : {passes[0], passes[3]}) {
      for (const idx c : {16, 32, 64, 128}) {
        add(concat("sparse/", name, "/", pass_name, "/C:", c), 3,
            [name, p = p, c](benchmark::State& s) { convolution(s, name, p, c, false); });
      }
    }
    for (const idx c : {32, 64, 128}) {
      if (std::string_view(name) == "lifted") {
        add(concat("sparse/lifted/forward/C:", c, "/bf16"), 3,
            [c](benchmark::State& s) { narrow_forward(s, "lifted", c); });
      }
    }
    add(concat("sparse/map/", name), 5, [name](benchmark::State& s) { submanifold_map(s, name); });
  }
}

} // namespace

int main(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("--threads=")) {
      threads = std::max(1, std::atoi(argv[i] + 10));
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

// SPDX-License-Identifier: Apache-2.0
// splat/rasterize/<forward|backward|step>/W:<n>/cuda, float, RGB without depth; also /C:24, and of the way back
// .../by_gaussian and .../atomic (sums by atomics; `ordered_x`: how much longer the sums in order, the default, take).
// splat/<project|bin|blend>/forward, splat/<project|blend>/backward/W:<n>/cuda: the stages on their own; project also
// sorts by depth. The workloads are those of benchmarks/splat. Without a device the program says so and ends.
//
// Times are between two events on the stream, median of 50 after 5; `step` is forward and backward replayed as a CUDA
// graph. Counters:
//   pairs    contributing (pixel, Gaussian) pairs, counted on the CPU (see benchmarks/splat); absent with
//            --without_pairs
//   CPS, eta pairs per second; CPS * (20 + 2C forward, 45 + 6C backward) / FMA peak of the device, measured here
//   intersections, MiB  of the lists; most memory of the pool
// `--export DIR` writes the workloads for tools/peer_gsplat.py and ends.

#include "../device_clock.hpp"
#include "../splat/task.hpp"
#include "instances.hpp"

#include <sqs/tensor/copy.hpp>
#include <sqs/tensor/npy.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>

SQS_SPLAT_ON_CUDA(extern template, subjects::rgb, float);
SQS_SPLAT_ON_CUDA(extern template, subjects::clipped, float);
SQS_SPLAT_ON_CUDA(extern template, subjects::features, float);

namespace {

using namespace sqs;
using bench::check;
using bench::timed_stream;
using workloads::workload;

bool with_pairs = true;
double device_peak = 0;

/// Pairs of a workload: only the geometry counts, not the channels.
double pairs_of(const workload& w) {
  static std::pair<int, double> known{-1, 0};
  if (!with_pairs || known.first == w.id) { return with_pairs ? known.second : 0; }
  known = {w.id, baselines::count_work(baselines::task_of(w), 8, 4).pairs};
  return known.second;
}

/// The last workload is kept: its benchmarks follow each other.
const workload& workload_of(int id) {
  static workload w;
  if (w.rig.size() == 0 || w.id != id) { w = workloads::make(id); }
  return w;
}

/// A workload on the device with everything a pass needs. Lists get as much room as they turn out to need, and an eighth.
template <splat::raster_config Config> struct subject {
  static constexpr int channels = Config.channels;
  timed_stream& s;
  camera_rig<float> rig;
  tensor<float, 2, device> means, scales, rotations, colours, background;
  tensor<float, 1, device> opacities;
  tensor<float, 4, device> d_image, d_depth;
  tensor<float, 3, device> d_t;
  splat::raster_options<float, device> options;
  splat::raster_counts counts;
  splat::device_rasterizer<Config> op;

  subject(timed_stream& on, const workload& w)
      : s(on),
        rig(w.rig),
        means(to_device(s.exec, w.s.means)),
        scales(to_device(s.exec, w.s.scales)),
        rotations(to_device(s.exec, w.s.rotations)),
        opacities(to_device(s.exec, w.s.opacities)) {
    auto some = [](auto shape, double low) {
      auto t = make_tensor<float, std::tuple_size_v<decltype(shape)>>(shape);
      const auto draw = random_stream::of(20261121, 24);
      for (idx i = 0; i < t.size(); ++i) { t.data()[i] = static_cast<float>(draw.uniform(i, low, 1)); }
      return t;
    };
    const idx v = rig.size(), h = w.height(), x = w.width();
    colours = to_device(s.exec, channels == 3 ? w.s.colours : some(extents<2>{w.s.count(), channels}, 0));
    background = to_device(s.exec, make_tensor<float, 2>({v, channels}));
    d_image = to_device(s.exec, some(extents<4>{v, h, x, channels}, -0.5));
    d_depth = to_device(s.exec, make_tensor<float, 4>({v, h, x, 0}));
    d_t = to_device(s.exec, make_tensor<float, 3>({v, h, x}));
    counts = splat::read_counts(s.exec, forward().saved.lists.counts);
    options.capacity = counts.intersections + counts.intersections / 8 + 1024;
  }
  auto forward() const {
    return op.forward(s.exec, means, scales, rotations, opacities, colours, background, rig, options);
  }
  template <class R> auto backward(const R& r) const { return op.backward(s.exec, r.saved, d_image, d_depth, d_t); }
};

/// Times f; 5 runs first, so that the pool is warm.
template <class Subject, class F>
double measure(benchmark::State& state, Subject& x, const workload& w, double flop, F&& f) {
  for (int i = 0; i < 5; ++i) { f(); }
  std::vector<double> times;
  for (auto _ : state) {
    times.push_back(x.s.seconds(f));
    state.SetIterationTime(times.back());
  }
  const double seconds = bench::median(times), pairs = pairs_of(w);
  state.counters["median_ms"] = 1e3 * seconds;
  state.counters["intersections"] = static_cast<double>(x.counts.intersections);
  state.counters["MiB"] = static_cast<double>(x.s.exec.memory().statistics().peak) / (1 << 20);
  if (pairs > 0) {
    state.counters["pairs"] = pairs;
    state.counters["CPS"] = pairs / seconds;
  }
  if (pairs > 0 && flop > 0) { // what is no blend has no flops of pairs
    state.counters["eta"] = pairs * flop / (seconds * device_peak);
  }
  return seconds;
}

enum class part { forward, backward, by_gaussian, atomic, step };
enum class stage { project, bin, blend, blend_back, project_back };

template <splat::raster_config Config> void run_stage(benchmark::State& state, int id, stage what) {
  using stages = splat::raster_stages<Config>;
  const workload& w = workload_of(id);
  timed_stream s;
  subject<Config> x(s, w);
  const auto saved = x.forward().saved;
  auto& e = s.exec;
  const auto all = [&](double flop, auto&& f) { measure(state, x, w, flop, f); };
  switch (what) {
  case stage::project:
    return all(0, [&] { stages::project(e, saved); });
  case stage::bin:
    return all(0, [&] { stages::bin(e, saved); });
  case stage::blend:
    return all(20 + 2 * Config.channels, [&] { stages::blend(e, saved, x.background); });
  case stage::blend_back:
    return all(45 + 6 * Config.channels, [&] { stages::blend_backward(e, saved, x.d_image, x.d_depth, x.d_t); });
  default:
    return all(0, [&] { stages::project_backward(e, saved); });
  }
}

template <splat::raster_config Config> void run(benchmark::State& state, int id, part what) {
  const workload& w = workload_of(id);
  timed_stream s;
  subject<Config> x(s, w);
  const double forward_flop = 20 + 2 * Config.channels, backward_flop = 45 + 6 * Config.channels;
  if (what == part::forward) {
    measure(state, x, w, forward_flop, [&] { (void)x.forward(); });
  } else if (what == part::step) { // captured, as a training step would be
    for (int i = 0; i < 2; ++i) { (void)x.backward(x.forward()); }
    cudaGraph_t graph{};
    cudaGraphExec_t replay{};
    check(cudaStreamBeginCapture(s.exec.stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    (void)x.backward(x.forward());
    check(cudaStreamEndCapture(s.exec.stream, &graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiate(&replay, graph, 0), "cudaGraphInstantiate");
    measure(state, x, w, forward_flop + backward_flop,
            [&] { check(cudaGraphLaunch(replay, s.exec.stream), "cudaGraphLaunch"); });
    check(cudaGraphExecDestroy(replay), "cudaGraphExecDestroy");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  } else {
    if (what == part::by_gaussian) { x.options.order = splat::backward_order::by_gaussian; }
    double ordered = 0;
    if (what == part::atomic) {
      const auto r = x.forward();
      for (int i = 0; i < 5; ++i) { (void)x.backward(r); }
      std::vector<double> times(50);
      for (double& t : times) {
        t = s.seconds([&] { (void)x.backward(r); });
      }
      ordered = bench::median(times);
      x.options.sums = splat::gradient_sums::atomic;
    }
    const auto r = x.forward();
    const double seconds = measure(state, x, w, backward_flop, [&] { (void)x.backward(r); });
    if (what == part::atomic) { state.counters["ordered_x"] = ordered / seconds; }
  }
}

void add(const std::string& name, int id, part what, bool many = false) {
  const auto f = many ? &run<subjects::features> : id == 3 ? &run<subjects::clipped> : &run<subjects::rgb>;
  benchmark::RegisterBenchmark(concat("splat/rasterize/", name, "/cuda").c_str(), f, id, what)
      ->UseManualTime()
      ->Iterations(50)
      ->Unit(benchmark::kMillisecond);
}

void add_stage(const std::string& name, int id, stage what) {
  const auto f = id == 3 ? &run_stage<subjects::clipped> : &run_stage<subjects::rgb>;
  benchmark::RegisterBenchmark(concat("splat/", name, "/W:", id, "/cuda").c_str(), f, id, what)
      ->UseManualTime()
      ->Iterations(50)
      ->Unit(benchmark::kMillisecond);
}

/// DIR/W<n>_<array>.npy, for peers.
void write_workloads(const std::filesystem::path& folder) {
  for (int id = 0; id < workloads::count; ++id) {
    if (!workloads::available(id)) { continue; }
    const auto w = workloads::make(id);
    const auto put = [&](const char* name, const auto& t) {
      write_npy(folder / concat("W", id, "_", name, ".npy"), from_tensor(t));
    };
    put("means", w.s.means), put("scales", w.s.scales), put("rotations", w.s.rotations);
    put("opacities", w.s.opacities), put("colours", w.s.colours);
    auto poses = make_tensor<float, 3>({w.rig.size(), 4, 4}), intrinsics = make_tensor<float, 3>({w.rig.size(), 3, 3});
    for (int v = 0; v < w.rig.size(); ++v) {
      const auto& c = w.rig[v].camera;
      for (int i = 0; i < 9; ++i) { poses(v, i / 3, i % 3) = w.rig[v].T_cam_ref.rotation.a[i]; }
      const auto& at = w.rig[v].T_cam_ref.translation;
      poses(v, 0, 3) = at.x, poses(v, 1, 3) = at.y, poses(v, 2, 3) = at.z, poses(v, 3, 3) = 1;
      intrinsics(v, 0, 0) = c.fx, intrinsics(v, 1, 1) = c.fy, intrinsics(v, 2, 2) = 1;
      intrinsics(v, 0, 2) = c.cx, intrinsics(v, 1, 2) = c.cy;
    }
    put("poses", poses), put("intrinsics", intrinsics);
    auto size = make_tensor<std::int32_t, 1>({2});
    size(0) = w.height(), size(1) = w.width();
    put("size", size);
    std::printf("W%d: %lld Gaussians, %d views\n", id, static_cast<long long>(w.s.count()), w.rig.size());
  }
}

} // namespace

int main(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--without_pairs") {
      with_pairs = false;
    } else if (word == "--export" && i + 1 < argc) {
      write_workloads(argv[i + 1]);
      return 0;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  if (!bench::has_device()) {
    std::fprintf(stderr, "sqs_bench_splat_cuda: no CUDA device here, nothing is measured\n");
    return 0;
  }
  {
    timed_stream s;
    device_peak = subjects::fma_peak_of_device(s);
    std::fprintf(stderr, "FMA peak %.1f TFLOP/s\n", 1e-12 * device_peak);
  }
  for (int id = 0; id < workloads::count; ++id) {
    if (!workloads::available(id)) { continue; }
    const std::string w = concat("/W:", id);
    add("forward" + w, id, part::forward), add("backward" + w, id, part::backward);
    add("backward" + w + "/by_gaussian", id, part::by_gaussian), add("step" + w, id, part::step);
    add("backward" + w + "/atomic", id, part::atomic);
    add_stage("project/forward", id, stage::project), add_stage("bin/forward", id, stage::bin);
    add_stage("blend/forward", id, stage::blend), add_stage("blend/backward", id, stage::blend_back);
    add_stage("project/backward", id, stage::project_back);
    if (id == 7) {
      add("forward" + w + "/C:24", id, part::forward, true), add("backward" + w + "/C:24", id, part::backward, true);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

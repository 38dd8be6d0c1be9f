// SPDX-License-Identifier: Apache-2.0
// splat/<project|bin|blend|rasterize>/<forward|backward>/W:<n>, one thread, float, RGB without depth; also /C:24, and
// /threads:2 with its `scaling`. `--without_baselines` leaves out what takes most of the time.
//
// Times are CPU time: everything runs on the calling thread, and machines are shared. For the same reason counters and
// tables are of the fastest run, here and of the baselines: what others do only ever adds. Counters:
//   fastest_ms       what they are of
//   pairs            K, contributing (pixel, Gaussian) pairs: alpha >= 1/255 and blended before the stop; counted by a
//                    scalar replay that shares nothing with the engine
//   intersections    I, (tile, Gaussian) pairs of the engine's lists
//   CPS              pairs per second
//   eta              CPS * (20 + 2C forward, 45 + 6C backward) / FMA peak measured before and after, in this process
//   u                pairs / lanes of the engine's cells of pixels that hold one, by the same replay: what is left is
//                    lanes whose pixel the Gaussian misses
//   l                pairs / (256 I)
//   x_gaussian_major, x_scalar_tile
//                    time of the same stages in gaussian_major.hpp and scalar_tile.hpp / time here. The least of three
//                    runs (W3: two; the engine has more) in this process, whose images and gradients are compared with the
//                    engine's first
//   peak_share       project: 200 flop per (view, Gaussian) per second / FMA peak
//   ns_per_intersection  bin: depth sort and lists
//   x_rgb            C:24: time / time with three channels
//   scaling          threads:2: time on the wall with one thread / with two; worth something if `free_cores`, what two
//                    threads that only count get, is near 2
// The workloads are described in workloads.hpp. A table of everything follows at the end; with --benchmark_out=X.json it
// is also written to X.md.

#include "subject.hpp"
#include "table.hpp"

#include <chrono>
#include <ctime>
#include <thread>

namespace {

using namespace subjects;

constexpr double forward_flop = 20 + 2 * 3, backward_flop = 45 + 6 * 3, project_flop = 200;

// -- the benchmarks --------------------------------------------------------------------------------------------------

/// What the fastest iteration took on this thread's own clock, and the FMA peak around the loop.
struct timing {
  double peak = 0, seconds = 0;
};
double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
template <class F> double seconds_of(F&& f) {
  const double start = thread_seconds();
  f();
  return thread_seconds() - start;
}
template <class F> timing timed_loop(benchmark::State& state, F&& f) {
  f(); // memory that was never touched costs more than the work
  const double before = baselines::fma_peak();
  double fastest = std::numeric_limits<double>::infinity();
  for (auto _ : state) { fastest = std::min(fastest, seconds_of(f)); }
  return {std::max(before, baselines::fma_peak()), fastest};
}

/// `flop` of one pair at which eta is defined; 0 where pairs are not what the stage works on.
void report(benchmark::State& state, const subject& s, const timing& t, double flop, double gaussian_major,
            double scalar_tile) {
  state.counters["pairs"] = s.work.pairs;
  state.counters["fastest_ms"] = 1e3 * t.seconds;
  state.counters["fma_peak"] = t.peak;
  if (flop > 0) {
    state.counters["CPS"] = s.work.pairs / t.seconds;
    state.counters["eta"] = s.work.pairs * flop / (t.seconds * t.peak);
  }
  if (!without_baselines) {
    state.counters["x_gaussian_major"] = gaussian_major / t.seconds;
    state.counters["x_scalar_tile"] = scalar_tile / t.seconds;
  }
}

void project_forward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&]<splat::raster_config Config>(const engine<Config>&) {
    cpu e{.threads = 1};
    const timing t = timed_loop(state, [&] { benchmark::DoNotOptimize(splat::project<Config>(e, s.w.s, s.w.rig)); });
    report(state, s, t, 0, s.gaussian_major.project, s.scalar_tile.project);
    const double pairs = static_cast<double>(s.w.s.count()) * s.w.rig.size();
    state.counters["peak_share"] = pairs * project_flop / (t.seconds * t.peak);
  });
}
void bin_forward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&]<splat::raster_config Config>(const engine<Config>&) {
    cpu e{.threads = 1};
    const auto p = splat::project<Config>(e, s.w.s, s.w.rig);
    const auto grid = splat::make_tile_grid<Config>(s.w.rig);
    idx intersections = 0;
    const timing t = timed_loop(state, [&] {
      const auto order = splat::sort_by_depth(e, p, grid);
      intersections = splat::bin(e, p, grid, order, {0, grid.rows()}).intersections();
    });
    report(state, s, t, 0, s.gaussian_major.order, s.scalar_tile.order);
    state.counters["intersections"] = static_cast<double>(intersections);
    state.counters["ns_per_intersection"] = t.seconds * 1e9 / static_cast<double>(intersections);
  });
}
/// Everything up to a blended image, for the benchmarks of the stages.
template <splat::raster_config Config> struct stages {
  const workload& w;
  cpu& e;
  splat::tile_grid grid;
  splat::projection<float> p;
  splat::tile_bins bins;
  splat::blended<float> out;
  splat::reached_cells reached;

  stages(cpu& exec, const workload& of)
      : w(of),
        e(exec),
        grid(splat::make_tile_grid<Config>(w.rig)),
        p(splat::project<Config>(e, w.s, w.rig)),
        bins(splat::bin(e, p, grid, splat::sort_by_depth(e, p, grid), {0, grid.rows()})),
        out(splat::make_blended<Config, float>(e, grid)) {
    blend();
  }
  void blend() { splat::blend<Config>(e, p, grid, bins, w.s.colours, w.background, {}, out, &reached); }
  auto blend_backward(const splat::image_gradients<float>& d) const {
    auto sum = splat::make_blend_gradients<Config>(e, p, grid);
    splat::blend_backward<Config>(e, p, grid, bins, reached, w.s.colours, {}, out, d, sum);
    return sum;
  }
  auto project_backward(const splat::blend_gradients<float>& d) const {
    return splat::project_backward<Config>(e, w.s, w.rig, p, d);
  }
  /// The gradient of the image in the form the stages take.
  splat::image_gradients<float> given(const tensor<float, 4>& d_image) const {
    return {d_image.template reshaped<2>(out.image.shape()), zeros<float, 2>(e, out.depth.shape()),
            zeros<float, 1>(e, out.transmittance.shape())};
  }
};
void blend_forward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&]<splat::raster_config Config>(const engine<Config>&) {
    cpu e{.threads = 1};
    stages<Config> r(e, s.w);
    const timing t = timed_loop(state, [&] { r.blend(); });
    report(state, s, t, forward_flop, s.gaussian_major.blend, s.scalar_tile.blend);
    constexpr int tile = splat::raster_constants<Config, float>::tile;
    const auto intersections = static_cast<double>(r.bins.intersections());
    state.counters["intersections"] = intersections;
    state.counters["u"] = s.work.pairs / s.work.slots;
    state.counters["l"] = s.work.pairs / (tile * tile * intersections);
  });
}
void blend_backward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&]<splat::raster_config Config>(const engine<Config>&) {
    cpu e{.threads = 1};
    const stages<Config> r(e, s.w);
    const auto d = r.given(s.d_image);
    const timing t = timed_loop(state, [&] { benchmark::DoNotOptimize(r.blend_backward(d)); });
    report(state, s, t, backward_flop, s.gaussian_major.blend_backward, s.scalar_tile.blend_backward);
  });
}
void project_backward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&]<splat::raster_config Config>(const engine<Config>&) {
    cpu e{.threads = 1};
    const stages<Config> r(e, s.w);
    const auto d = r.blend_backward(r.given(s.d_image));
    const timing t = timed_loop(state, [&] { benchmark::DoNotOptimize(r.project_backward(d)); });
    report(state, s, t, 0, s.gaussian_major.project_backward, s.scalar_tile.project_backward);
  });
}
void rasterize_forward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&](const auto& engine) {
    cpu e{.threads = 1};
    const timing t = timed_loop(state, [&] { benchmark::DoNotOptimize(engine.forward(e)); });
    report(state, s, t, forward_flop, s.gaussian_major.forward(), s.scalar_tile.forward());
  });
}
void rasterize_backward(benchmark::State& state, int id) {
  const auto& s = get_with_baselines(id);
  with_engine(s.w, [&](const auto& engine) {
    cpu e{.threads = 1};
    const ready r(engine, e, s.d_image);
    const timing t = timed_loop(state, [&] { benchmark::DoNotOptimize(r.backward()); });
    report(state, s, t, backward_flop, s.gaussian_major.backward(), s.scalar_tile.backward());
  });
}

/// Seconds of one call of f by the clock on the wall.
template <class F> double wall_seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
double least(const std::vector<double>& x) { return *std::min_element(x.begin(), x.end()); }

/// 24 channels beside three, taking turns.
struct many_channels {
  tensor<float, 2> colours, background;
  tensor<float, 4> d_image;
  engine<features> wide;
  engine<rgb> narrow;

  explicit many_channels(const subject& s)
      : colours(make_tensor<float, 2>({s.w.s.count(), 24})),
        background(make_tensor<float, 2>({s.w.rig.size(), 24})),
        d_image(make_tensor<float, 4>({s.w.rig.size(), s.w.height(), s.w.width(), 24})),
        wide{s.w, colours, background},
        narrow{s.w, s.w.s.colours, s.w.background} {
    const auto draw = random_stream::of(20261121, 24);
    for (idx i = 0; i < colours.size(); ++i) { colours.data()[i] = static_cast<float>(draw.uniform(i)); }
    for (idx i = 0; i < d_image.size(); ++i) { d_image.data()[i] = static_cast<float>(draw.uniform(i, -0.5, 1)); }
  }
};
template <class Wide, class Narrow> void compare_channels(benchmark::State& state, Wide&& wide, Narrow&& narrow) {
  std::vector<double> three, all;
  narrow();
  wide();
  for (auto _ : state) {
    three.push_back(seconds_of(narrow));
    all.push_back(seconds_of(wide));
    state.SetIterationTime(all.back());
  }
  state.counters["x_rgb"] = least(all) / least(three);
}
void many_channels_forward(benchmark::State& state, int id) {
  const many_channels m(get(id));
  cpu e{.threads = 1};
  compare_channels(
      state, [&] { benchmark::DoNotOptimize(m.wide.forward(e)); },
      [&] { benchmark::DoNotOptimize(m.narrow.forward(e)); });
}
void many_channels_backward(benchmark::State& state, int id) {
  const auto& s = get(id);
  const many_channels m(s);
  cpu e{.threads = 1};
  const ready wide(m.wide, e, m.d_image);
  const ready narrow(m.narrow, e, s.d_image);
  compare_channels(
      state, [&] { benchmark::DoNotOptimize(wide.backward()); }, [&] { benchmark::DoNotOptimize(narrow.backward()); });
}

/// Seconds of processor time that two threads which only count get together in one second: 2 if both cores are quiet.
double free_cores() {
  const auto spin = [](double& got) {
    const double start = thread_seconds();
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (std::chrono::steady_clock::now() < end) {}
    got = (thread_seconds() - start) / 0.2;
  };
  double first = 0, second = 0;
  std::thread other([&] { spin(first); });
  spin(second);
  other.join();
  return first + second;
}
/// One thread and two, taking turns. `scaling` means something if `free_cores` is near 2.
template <class F> void compare_threads(benchmark::State& state, F&& f) {
  cpu one{.threads = 1}, two{.threads = 2};
  std::vector<double> serial, parallel;
  const double before = free_cores();
  auto serially = f(one), in_parallel = f(two);
  serially(), in_parallel();
  for (auto _ : state) {
    serial.push_back(wall_seconds(serially));
    parallel.push_back(wall_seconds(in_parallel));
    state.SetIterationTime(parallel.back());
  }
  state.counters["scaling"] = least(serial) / least(parallel);
  state.counters["free_cores"] = 0.5 * (before + free_cores());
}
void two_threads_forward(benchmark::State& state, int id) {
  const engine<rgb> engine{get(id).w, get(id).w.s.colours, get(id).w.background};
  compare_threads(state, [&](cpu& e) { return [&] { benchmark::DoNotOptimize(engine.forward(e)); }; });
}
void two_threads_backward(benchmark::State& state, int id) {
  const auto& s = get(id);
  const engine<rgb> engine{s.w, s.w.s.colours, s.w.background};
  compare_threads(
      state, [&](cpu& e) { return [r = ready(engine, e, s.d_image)] { benchmark::DoNotOptimize(r.backward()); }; });
}
/// Forward and backward: a whole step.
void two_threads_frame(benchmark::State& state, int id) {
  const auto& s = get(id);
  const engine<rgb> engine{s.w, s.w.s.colours, s.w.background};
  compare_threads(state, [&](cpu& e) {
    return [&] {
      const ready r(engine, e, s.d_image);
      benchmark::DoNotOptimize(r.backward());
    };
  });
}

using run = void (*)(benchmark::State&, int);
benchmark::internal::Benchmark* add(const std::string& name, run f, int id) {
  return benchmark::RegisterBenchmark(name.c_str(), f, id)->Unit(benchmark::kMillisecond);
}
void add_all() {
  const std::pair<const char*, run> stages[] = {
      {"project/forward", project_forward},      {"bin/forward", bin_forward},
      {"blend/forward", blend_forward},          {"rasterize/forward", rasterize_forward},
      {"project/backward", project_backward},    {"blend/backward", blend_backward},
      {"rasterize/backward", rasterize_backward}};
  for (int id = 0; id < workloads::count; ++id) {
    if (!workloads::available(id)) {
      std::fprintf(stderr, "W%d is left out: %s is absent; set SQS_DATA_DIR\n", id, workloads::garden_file().c_str());
      continue;
    }
    for (const auto& [name, f] : stages) { add(concat("splat/", name, "/W:", id), f, id); }
    if (id == 7) {
      add("splat/rasterize/forward/W:7/C:24", many_channels_forward, id)->UseManualTime();
      add("splat/rasterize/backward/W:7/C:24", many_channels_backward, id)->UseManualTime();
      add("splat/rasterize/forward/W:7/threads:2", two_threads_forward, id)->UseManualTime();
      add("splat/rasterize/backward/W:7/threads:2", two_threads_backward, id)->UseManualTime();
      add("splat/rasterize/frame/W:7/threads:2", two_threads_frame, id)->UseManualTime();
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  std::string table_file;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::string_view out = "--benchmark_out=", json = ".json";
    if (word.starts_with(out) && word.ends_with(json)) {
      table_file = std::string(word.substr(out.size(), word.size() - out.size() - json.size())) + ".md";
    }
    if (word == "--without_baselines") {
      without_baselines = true;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
  tables::recorder recorder;
  benchmark::RunSpecifiedBenchmarks(&recorder);
  if (!recorder.empty()) {
    const auto text = tables::all_tables(recorder, workloads::count);
    std::printf("\n%s", text.c_str());
    if (!table_file.empty()) { write_file_atomic(table_file, std::as_bytes(std::span(text))); }
  }
  benchmark::Shutdown();
}

// SPDX-License-Identifier: Apache-2.0
// splat/<project|bin|blend|rasterize>/<forward|backward>/W:<n>, one thread, float, RGB.
//
// Times are CPU time: everything runs on the calling thread, and machines are shared.
// Counters: pairs = contributing (pixel, Gaussian) pairs, alpha >= 1/255 and blended before the stop;
// CPS = pairs per second; eta = CPS * (20 + 2C forward, 45 + 6C backward) / FMA peak measured in this process.
// Workloads: W4..W7 are six vehicle cameras of 352 x 800 in a box of 100 x 100 x 8 m with 25.6k or 144k Gaussians;
// W0 is a training step of the small pre-training model: six images of 176 x 320, 3200 Gaussians.

#include <sqs/core/random.hpp>
#include <sqs/splat/rasterize.hpp>

#include <benchmark/benchmark.h>

#include <ctime>
#include <map>

namespace {

using namespace sqs;
constexpr splat::raster_config config{};
constexpr splat::rasterizer<config> rasterize;

/// 2 flop per FMA per second of one core, best of several runs.
double fma_peak() {
  static const double peak = [] {
    constexpr int n = splat::detail::register_bytes / 4, chains = 12, steps = 1 << 22;
    using vector = splat::detail::lanes<float, n>;
    double best = 0;
    for (int run = 0; run < 7; ++run) {
      vector a[chains], scale = vector{} + 0.999f, shift = vector{} + 0.5f;
      for (int c = 0; c < chains; ++c) { a[c] = vector{} + static_cast<float>(c); }
      benchmark::DoNotOptimize(scale);
      benchmark::DoNotOptimize(shift);
      const std::clock_t start = std::clock();
      for (int i = 0; i < steps; ++i) {
        for (auto& v : a) { v = v * scale + shift; }
      }
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      for (auto& v : a) { benchmark::DoNotOptimize(v); }
      best = std::max(best, 2.0 * n * chains * steps / seconds);
    }
    return best;
  }();
  return peak;
}

struct workload {
  splat::scene<float> s;
  tensor<float, 2> background;
  camera_rig<float> rig;
  double pairs = 0;

  int width() const { return rig[0].camera.width; }
  int height() const { return rig[0].camera.height; }
  auto forward(cpu& e) const {
    return rasterize.forward(e, s.means, s.scales, s.rotations, s.opacities, s.colours, background, rig);
  }
};

/// Six cameras at the origin, every 60 degrees about z; ref is x right, y forward, z up.
camera_rig<float> surround(int height, int width, float focal, float back_focal) {
  camera_rig<float> rig;
  for (int v = 0; v < 6; ++v) {
    const float angle = static_cast<float>(v) * 1.0471976f, c = std::cos(angle), s = std::sin(angle);
    const float f = v == 3 ? back_focal : focal;
    rig.add({f, f, 0.5f * static_cast<float>(width), 0.5f * static_cast<float>(height), width, height},
            {{{s, -c, 0, 0, 0, -1, c, s, 0}}, {}});
  }
  return rig;
}

/// Pairs that contribute, by the definition: no tiles' early exit, no vectors.
double count_pairs(cpu& e, const workload& w) {
  const auto r = w.forward(e);
  const auto& bins = r.saved.bins;
  const idx g = w.s.count();
  return reduce(
      e, bins.views * bins.tiles(), 1, 0.0,
      [&](idx begin, idx end) {
        double pairs = 0;
        for (idx t = begin; t < end; ++t) {
          const auto at = splat::detail::place_of<config.tile>(bins, t, w.width(), w.height());
          for (int p = 0; p < at.height * at.width; ++p) {
            const float x = static_cast<float>(at.x0 + p % at.width) + 0.5f,
                        y = static_cast<float>(at.y0 + p / at.width) + 0.5f;
            float through = 1;
            for (idx i = bins.tile_begin.data()[t]; i < bins.tile_begin.data()[t + 1]; ++i) {
              const auto& q = r.saved.records.data()[at.view * g + bins.order.data()[i]];
              const float dx = x - q.x, dy = y - q.y;
              const float alpha =
                  std::min(0.99f, q.opacity * std::exp(-0.5f * (q.a * dx * dx + q.c * dy * dy) - q.b * dx * dy));
              if (alpha < 1.0f / 255) { continue; }
              if (through * (1 - alpha) <= 1e-4f) { break; }
              through *= 1 - alpha;
              ++pairs;
            }
          }
        }
        return pairs;
      },
      [](double a, double b) { return a + b; });
}

workload make(int id) {
  const idx n = id == 0 ? 3200 : (id <= 5 ? 25600 : 144000);
  workload w{{make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 4}),
              make_tensor<float, 1>({n}), make_tensor<float, 2>({n, 3})},
             make_tensor<float, 2>({6, 3}),
             id == 0 ? surround(176, 320, 253, 160) : surround(352, 800, 632, 400)};
  const auto draw = random_stream::of(20261121, id);
  idx i = 0;
  const auto next = [&](double low, double high) { return static_cast<float>(draw.uniform(i++, low, high)); };
  for (idx g = 0; g < n; ++g) {
    if (id == 0) { // as the model starts: polar, log-range 3 to 60 m, geometric scales around 0.4 m
      const float range = std::exp(next(std::log(3.0), std::log(60.0))), azimuth = next(0, 6.283185307);
      w.s.means(g, 0) = range * std::cos(azimuth), w.s.means(g, 1) = range * std::sin(azimuth);
      w.s.means(g, 2) = next(-4, 3);
      for (idx k = 0; k < 3; ++k) { w.s.scales(g, k) = std::exp(next(std::log(0.1), std::log(1.0))); }
      w.s.opacities(g) = next(0.05, 0.5);
    } else {
      w.s.means(g, 0) = next(-50, 50), w.s.means(g, 1) = next(-50, 50), w.s.means(g, 2) = next(-5, 3);
      for (idx k = 0; k < 3; ++k) { w.s.scales(g, k) = next(0.08, id % 2 == 0 ? 0.64 : 0.30); }
      w.s.opacities(g) = next(0, 1);
    }
    for (idx k = 0; k < 4; ++k) { w.s.rotations(g, k) = static_cast<float>(draw.normal((idx{1} << 40) + 4 * g + k)); }
    for (idx k = 0; k < 3; ++k) { w.s.colours(g, k) = next(0, 1); }
  }
  cpu e;
  w.pairs = count_pairs(e, w);
  return w;
}
const workload& get(int id) {
  static std::map<int, workload> made;
  const auto it = made.find(id);
  return it != made.end() ? it->second : made.emplace(id, make(id)).first->second;
}

void report(benchmark::State& state, const workload& w, double flop_per_pair) {
  const double total = w.pairs * static_cast<double>(state.iterations());
  state.counters["pairs"] = w.pairs;
  state.counters["CPS"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  state.counters["eta"] = benchmark::Counter(total * flop_per_pair / fma_peak(), benchmark::Counter::kIsRate);
  state.counters["fma_peak"] = fma_peak();
}
constexpr double forward_flop = 20 + 2 * 3, backward_flop = 45 + 6 * 3;

void project_forward(benchmark::State& state, int id) {
  const auto& w = get(id);
  cpu e{.threads = 1};
  for (auto _ : state) { benchmark::DoNotOptimize(splat::project<config>(e, w.s, w.rig)); }
  report(state, w, forward_flop);
}
void bin_forward(benchmark::State& state, int id) {
  const auto& w = get(id);
  cpu e{.threads = 1};
  const auto p = splat::project<config>(e, w.s, w.rig);
  idx intersections = 0;
  for (auto _ : state) { intersections = splat::bin<config>(e, p.records, w.width(), w.height()).intersections(); }
  report(state, w, forward_flop);
  state.counters["intersections"] = static_cast<double>(intersections);
}
void blend_forward(benchmark::State& state, int id) {
  const auto& w = get(id);
  cpu e{.threads = 1};
  const auto p = splat::project<config>(e, w.s, w.rig);
  const auto b = splat::bin<config>(e, p.records, w.width(), w.height());
  for (auto _ : state) {
    benchmark::DoNotOptimize(splat::blend<config>(e, p.records, b, w.s.colours, w.background, w.width(), w.height()));
  }
  report(state, w, forward_flop);
}
void rasterize_forward(benchmark::State& state, int id) {
  const auto& w = get(id);
  cpu e{.threads = 1};
  for (auto _ : state) { benchmark::DoNotOptimize(w.forward(e)); }
  report(state, w, forward_flop);
}

/// The gradient of a mean over pixels, and what forward left.
struct ready {
  cpu e{.threads = 1};
  decltype(std::declval<const workload&>().forward(std::declval<cpu&>())) out;
  tensor<float, 4> d_image;
  tensor<float, 3> d_depth, d_t;

  explicit ready(const workload& w) : out(w.forward(e)) {
    const auto& [image, depth, t] = out.value;
    d_image = full<float, 4>(e, image.shape(), 1.0f / static_cast<float>(image.size()));
    d_depth = full<float, 3>(e, depth.shape(), 1.0f / static_cast<float>(depth.size()));
    d_t = zeros<float, 3>(e, t.shape());
  }
  auto blend_backward() {
    const auto& s = out.saved;
    return splat::blend_backward<config>(e, s.records, s.bins, s.gaussians.colours, s.out, d_image, d_depth, d_t);
  }
};
void project_backward(benchmark::State& state, int id) {
  const auto& w = get(id);
  ready r{w};
  const auto d = r.blend_backward();
  for (auto _ : state) {
    benchmark::DoNotOptimize(splat::project_backward<config>(r.e, w.s, w.rig, r.out.saved.records, d.records));
  }
  report(state, w, backward_flop);
}
void blend_backward(benchmark::State& state, int id) {
  const auto& w = get(id);
  ready r{w};
  for (auto _ : state) { benchmark::DoNotOptimize(r.blend_backward()); }
  report(state, w, backward_flop);
}
void rasterize_backward(benchmark::State& state, int id) {
  const auto& w = get(id);
  ready r{w};
  for (auto _ : state) { benchmark::DoNotOptimize(rasterize.backward(r.e, r.out.saved, r.d_image, r.d_depth, r.d_t)); }
  report(state, w, backward_flop);
}

} // namespace

int main(int argc, char** argv) {
  const std::pair<const char*, void (*)(benchmark::State&, int)> stages[] = {
      {"project/forward", project_forward},      {"bin/forward", bin_forward},
      {"blend/forward", blend_forward},          {"rasterize/forward", rasterize_forward},
      {"project/backward", project_backward},    {"blend/backward", blend_backward},
      {"rasterize/backward", rasterize_backward}};
  for (const int id : {0, 4, 5, 6, 7}) {
    for (const auto& [name, run] : stages) {
      const std::string full_name = concat("splat/", name, "/W:", id);
      benchmark::RegisterBenchmark(full_name.c_str(), run, id)->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}

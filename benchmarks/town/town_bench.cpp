// SPDX-License-Identifier: Apache-2.0
// town/scene: streets, houses and 11.5 s of traffic, made anew.   town/stage: a moment of it: the moving solids' tree.
// town/cameras/<height>x<width>/edges:<n>: six pictures; rays_per_s counts the first ray of each pixel.
// town/lidar: a turn of 32 x 1084 beams.   town/sample: pictures at 256 x 704, LiDAR and boxes of a new moment.
// town/voxels/<occ3d|surround_occ>: filled voxels; town/masks: the two masks of Occ3D.
// Times are of the process (`cpu`, all threads together) and of the clock; two threads.
#include <sqs/data/town.hpp>

#include <benchmark/benchmark.h>

namespace {

using namespace sqs;

constexpr int threads = 2;
constexpr double moment = 2;
const town_dataset& data() {
  static const town_dataset d({.split = town_split::val, .scenes = 8, .height = 256, .width = 704, .threads = threads});
  return d;
}

void scene(benchmark::State& state) {
  idx k = 0;
  for (auto _ : state) { benchmark::DoNotOptimize(town::scene(data().seed(), k++ % 8, 8.0)); }
}
void stage(benchmark::State& state) {
  const auto s = data().scene(0);
  for (auto _ : state) { benchmark::DoNotOptimize(s->stage_at(moment)); }
}
void cameras(benchmark::State& state) {
  const auto s = data().scene(0);
  const auto at = s->stage_at(moment);
  cpu exec{.threads = threads};
  const int height = static_cast<int>(state.range(0)), width = static_cast<int>(state.range(1));
  const town::camera_options options{.edge_rays = static_cast<int>(state.range(2))};
  for (auto _ : state) {
    for (std::size_t v = 0; v < 6; ++v) {
      benchmark::DoNotOptimize(town::render(exec, at, town::intrinsics(v, height, width),
                                            s->T_town_ego(moment) * town::T_ego_camera(v), s->tracks().size(), 1,
                                            options));
    }
  }
  state.counters["rays_per_s"] =
      benchmark::Counter(6.0 * height * width, benchmark::Counter::kIsIterationInvariantRate);
}
void lidar(benchmark::State& state) {
  const auto s = data().scene(0);
  const auto at = s->stage_at(moment);
  cpu exec{.threads = threads};
  for (auto _ : state) {
    benchmark::DoNotOptimize(town::scan(exec, at, s->T_town_ego(moment) * town::T_ego_lidar(), 1));
  }
}
void sample(benchmark::State& state) {
  (void)data().scene(0);
  idx k = 0;
  for (auto _ : state) { benchmark::DoNotOptimize(data().sample(k++ % data().frames_per_scene())); }
}
occupancy_labels filled(cpu& exec, const town::scene& s, const town::stage& at, const occupancy_grid& grid) {
  const std::vector<vec2<double>> still(s.tracks().size());
  return town::fill_voxels(exec, at, {grid, s.T_town_ego(moment), still});
}
void voxels(benchmark::State& state, const occupancy_grid& grid) {
  const auto s = data().scene(0);
  const auto at = s->stage_at(moment);
  cpu exec{.threads = threads};
  for (auto _ : state) { benchmark::DoNotOptimize(filled(exec, *s, at, grid)); }
}
void masks(benchmark::State& state) {
  const auto s = data().scene(0);
  cpu exec{.threads = threads};
  const auto labels = filled(exec, *s, s->stage_at(moment), occ3d_grid);
  const std::vector<se3<double>> turns(16, town::T_ego_lidar());
  for (auto _ : state) {
    benchmark::DoNotOptimize(town::camera_mask(exec, labels, {}));
    benchmark::DoNotOptimize(town::lidar_mask(exec, labels, turns));
  }
}

BENCHMARK(scene)->Name("town/scene")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(stage)->Name("town/stage")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(cameras)
    ->Name("town/cameras")
    ->ArgNames({"h", "w", "edges"})
    ->Args({256, 704, 3})
    ->Args({256, 704, 0})
    ->Args({900, 1600, 3})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK(lidar)->Name("town/lidar")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(sample)->Name("town/sample")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK_CAPTURE(voxels, occ3d, occ3d_grid)
    ->Name("town/voxels/occ3d")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK_CAPTURE(voxels, surround_occ, surround_occ_grid)
    ->Name("town/voxels/surround_occ")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK(masks)->Name("town/masks")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

} // namespace

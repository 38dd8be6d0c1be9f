// SPDX-License-Identifier: Apache-2.0
// What judging costs: one key frame of occupancy, its rays, a whole split of detections, a set of captions. Made-up
// data of the sizes of nuScenes.
#include <sqs/core/random.hpp>
#include <sqs/metric/captions.hpp>
#include <sqs/metric/detection.hpp>
#include <sqs/metric/drivable.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/metric/ray_iou.hpp>

#include <benchmark/benchmark.h>

namespace {

using namespace sqs;

/// A road with blocks on it: about as much is occupied as in Occ3D.
occupancy_labels street(std::uint64_t seed) {
  auto o = occupancy_labels::empty(occ3d_grid, occupancy_free);
  const auto draw = random_stream::of(seed);
  const auto fill = [&](int x, int y, int z, std::uint8_t label) {
    if (x < 200 && y < 200) { o.semantics[static_cast<std::size_t>(o.grid.index(x, y, z))] = label; }
  };
  for (int x = 0; x < 200; ++x) {
    for (int y = 70; y < 130; ++y) { fill(x, y, 2, 11); }
  }
  for (idx b = 0; b < 60; ++b) {
    const int x = static_cast<int>(draw.uniform(3 * b, 0, 200)), y = static_cast<int>(draw.uniform(3 * b + 1, 0, 200));
    const auto label = static_cast<std::uint8_t>(draw.uniform(3 * b + 2, 1, 17));
    for (int i = 0; i < 12 * 6 * 6; ++i) { fill(x + i % 12, y + i / 12 % 6, 3 + i / 72, label); }
  }
  return o;
}

void voxels(benchmark::State& state) {
  cpu exec{.threads = static_cast<int>(state.range(0))};
  const auto truth = street(1), found = street(2);
  auto counts = metric::make_counts(metric::occ3d_protocol);
  for (auto _ : state) { metric::add_voxels(exec, counts, truth.semantics, found.semantics); }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(voxels)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void rays(benchmark::State& state) {
  cpu exec{.threads = static_cast<int>(state.range(0))};
  const auto truth = street(1), found = street(2);
  std::vector<vec3<double>> origins;
  for (int i = 0; i < 8; ++i) { origins.push_back({0.98 + 4 * i - 12, 0.1 * i, 1.84}); }
  metric::ray_counts counts(occupancy_free);
  for (auto _ : state) { metric::add_rays(exec, counts, truth, found, origins, metric::occ3d_rays()); }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(rays)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void detection(benchmark::State& state) {
  // As many key frames as the val split, boxes of ground truth and predictions as of a submission.
  cpu exec{.threads = 2};
  const auto draw = random_stream::of(3);
  idx at = 0;
  std::vector<metric::detection_sample> truth, found;
  const auto boxes = [&](idx n, bool scored) {
    std::vector<metric::detection_box> out(static_cast<std::size_t>(n));
    for (auto& b : out) {
      b.translation = {draw.uniform(at, -50, 50), draw.uniform(at + 1, -50, 50), 0};
      b.label = static_cast<std::int8_t>(draw.uniform(at + 2, 0, 10));
      b.score = scored ? draw.uniform(at + 3, 0, 1) : -1;
      at += 4;
    }
    return out;
  };
  for (int s = 0; s < 6019; ++s) {
    truth.push_back({.token = std::to_string(s), .boxes = boxes(24, false)});
    found.push_back({.token = std::to_string(s), .boxes = boxes(state.range(0), true)});
  }
  for (auto _ : state) { benchmark::DoNotOptimize(metric::evaluate_detection(exec, truth, found).nd_score); }
}
BENCHMARK(detection)->Arg(300)->UseRealTime()->Iterations(1)->Unit(benchmark::kSecond);

void captions(benchmark::State& state) {
  const auto draw = random_stream::of(4);
  idx at = 0;
  std::vector<metric::caption> set(6000);
  const auto sentence = [&] {
    std::string s;
    for (int i = 0; i < 30; ++i) { s += "word" + std::to_string(static_cast<int>(draw.uniform(at++, 0, 400))) + " "; }
    return s;
  };
  for (auto& c : set) { c = {sentence(), {sentence()}}; }
  const auto how = static_cast<metric::caption_words>(state.range(0));
  for (auto _ : state) { benchmark::DoNotOptimize(metric::score_captions(set, how).cider); }
}
BENCHMARK(captions)
    ->Arg(static_cast<int>(metric::caption_words::as_written))
    ->Arg(static_cast<int>(metric::caption_words::ptb))
    ->Unit(benchmark::kSecond);

void boundary(benchmark::State& state) {
  std::vector<vec2<double>> path;
  for (int t = 1; t <= 6; ++t) { path.push_back({4.0 * t, 0.1 * t * t}); }
  const auto area = metric::make_drivable_area([](double, double y) { return std::abs(y) < 5; });
  for (auto _ : state) { benchmark::DoNotOptimize(metric::outside(path, area)); }
}
BENCHMARK(boundary)->Unit(benchmark::kMicrosecond);

} // namespace

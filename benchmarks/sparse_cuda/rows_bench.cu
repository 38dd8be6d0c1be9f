// SPDX-License-Identifier: Apache-2.0
// Sites joined, chosen, made dense and sampled on a device. Times are the device's own; `bytes` are what must be read and
// written at least.
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "../sparse/basic_net.hpp"
#include "timed_device.hpp"

#include <sqs/sparse/cuda/sparse.cuh>

#include <benchmark/benchmark.h>

namespace {

using namespace sqs;
using basic_net::coordinates_of;
using bench::device_of_run;

constexpr idx channels = 32;

/// The lifted sites and the thin ones, which are some of them, with features.
struct subject {
  sparse::device_sites<3> lifted, thin;
  tensor<float, 2, device> x, y;
};
const subject& subject_of_run() {
  static const subject s = [] {
    auto& e = device_of_run().exec;
    const auto &lifted = workloads::get("lifted"), &thin = workloads::get("thin");
    return subject{sparse::make_device_sites<3>(e, to_device(e, coordinates_of(lifted)), lifted.grid),
                   sparse::make_device_sites<3>(e, to_device(e, coordinates_of(thin)), thin.grid),
                   full<float, 2>(e, {lifted.rows(), channels}, 0.5f),
                   full<float, 2>(e, {thin.rows(), channels}, 0.25f)};
  }();
  return s;
}
/// Times f(exec, subject); `rows` of features are what it reads and writes.
template <class F> void measure(benchmark::State& state, double rows, F&& f) {
  auto& d = device_of_run();
  const auto& s = subject_of_run();
  for (auto _ : state) {
    state.SetIterationTime(d.seconds([&] { benchmark::DoNotOptimize(f(d.exec, s)); }));
  }
  state.counters["bytes"] =
      benchmark::Counter(rows * channels * sizeof(float), benchmark::Counter::kIsIterationInvariantRate);
}
double rows_of(const tensor<float, 2, device>& x) { return static_cast<double>(x.extent(0)); }

void unite(benchmark::State& state) {
  measure(state, 0, [](auto& e, const subject& s) { return sparse::unite(e, s.lifted, s.thin); });
}
void intersect(benchmark::State& state) {
  measure(state, 0, [](auto& e, const subject& s) { return sparse::intersect(e, s.lifted, s.thin); });
}
void combine(benchmark::State& state) {
  const auto& s = subject_of_run();
  const auto joined = sparse::unite(device_of_run().exec, s.lifted, s.thin);
  measure(state, 2 * rows_of(s.x) + rows_of(s.y),
          [&](auto& e, const subject& of) { return sparse::device_combine_op<2>{joined.rows}.forward(e, of.x, of.y); });
}
void concatenate(benchmark::State& state) {
  const auto& s = subject_of_run();
  const auto joined = sparse::unite(device_of_run().exec, s.lifted, s.thin);
  measure(state, 3 * rows_of(s.x) + rows_of(s.y), [&](auto& e, const subject& of) {
    return sparse::device_concatenate_channels_op<2>{joined.rows}.forward(e, of.x, of.y);
  });
}
void top_k(benchmark::State& state) {
  auto& e = device_of_run().exec;
  const idx n = subject_of_run().lifted.capacity;
  auto score = make_tensor<float, 1>({n});
  for (idx i = 0; i < n; ++i) { score(i) = static_cast<float>(random_stream::of(3).uniform(i)); }
  const auto scores = to_device(e, score);
  measure(state, 0, [&](auto& exec, const subject& s) { return sparse::top_k(exec, s.lifted, scores, n / 2); });
}
void prune(benchmark::State& state) {
  auto& e = device_of_run().exec;
  const idx n = subject_of_run().lifted.capacity;
  auto mask = make_tensor<std::uint8_t, 1>({n});
  for (idx i = 0; i < n; ++i) { mask(i) = static_cast<std::uint8_t>(i % 2); }
  const auto on = to_device(e, mask);
  measure(state, rows_of(subject_of_run().x), [&](auto& exec, const subject& s) {
    const auto kept = sparse::prune(exec, s.lifted, on, n / 2 + 1);
    return sparse::device_take_rows_op{kept.rows, kept.kept}.forward(exec, s.x);
  });
}
void to_dense(benchmark::State& state) {
  const auto& s = subject_of_run();
  double cells = 1;
  for (const idx g : s.lifted.grid()) { cells *= static_cast<double>(g); }
  measure(state, rows_of(s.x) + cells,
          [](auto& e, const subject& of) { return sparse::device_to_dense_op<3>{of.lifted}.forward(e, of.x); });
}
void sample_volume(benchmark::State& state) {
  auto& e = device_of_run().exec;
  const auto volume = sparse::device_to_dense_op<3>{subject_of_run().lifted}.forward(e, subject_of_run().x).value;
  auto points = make_tensor<float, 2>({100000, 3});
  for (idx i = 0; i < points.size(); ++i) {
    points.data()[i] = static_cast<float>(random_stream::of(4).uniform(i) *
                                          static_cast<double>(volume.extent(1 + static_cast<int>(i % 3))));
  }
  const auto at = to_device(e, points);
  measure(state, 9 * 100000.0,
          [&](auto& exec, const subject&) { return sparse::device_sample_volume_op<3>{}.forward(exec, volume, at); });
}

bool add_all() {
  if (!bench::has_device()) { return false; }
  const std::pair<const char*, void (*)(benchmark::State&)> all[] = {
      {"unite", unite}, {"intersect", intersect},  {"combine", combine},   {"concatenate", concatenate},
      {"top_k", top_k}, {"prune_and_take", prune}, {"to_dense", to_dense}, {"sample_volume", sample_volume}};
  for (const auto& [name, run] : all) {
    benchmark::RegisterBenchmark((std::string("sparse/device_rows/") + name).c_str(), run)->UseManualTime();
  }
  return true;
}
[[maybe_unused]] const bool added = add_all();

} // namespace

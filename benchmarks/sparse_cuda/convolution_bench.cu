// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on a device. Times are the device's own. The rate counts pairs that exist and nothing else; `eta`
// is its share of what the same units reach on registers in this very run: FMA units for full precision, tensor cores
// for the others. `products_per_pair` says how much of the difference is absent neighbours.
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "../sparse/workloads.hpp"

#include <sqs/sparse/cuda/sparse.cuh>

#include <benchmark/benchmark.h>

#include <bit>

namespace {

using namespace sqs;
using sparse::product_precision;
using sparse::detail::bfloat16_words;
using sparse::detail::tf32_words;

/// The device, its stream and a pair of events to time it with.
struct timed_device {
  sqs::cuda exec; // `cuda` alone is also the namespace of libcu++
  cudaEvent_t start{}, stop{};
  timed_device() {
    check_cuda(cudaStreamCreate(&exec.stream), "bench");
    open(exec);
    check_cuda(cudaEventCreate(&start), "bench");
    check_cuda(cudaEventCreate(&stop), "bench");
  }
  /// Seconds of the device for what `f` puts on the stream.
  template <class F> double seconds(F&& f) {
    check_cuda(cudaEventRecord(start, exec.stream), "bench");
    f();
    check_cuda(cudaEventRecord(stop, exec.stream), "bench");
    check_cuda(cudaEventSynchronize(stop), "bench");
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, start, stop), "bench");
    return 1e-3 * static_cast<double>(ms);
  }
};
timed_device& device_of_run() {
  static timed_device d;
  return d;
}

constexpr int rounds = 2048, chains = 8;
struct fma_peak {
  static constexpr double flops = 2.0 * rounds * chains; ///< of a thread
  float* out;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    float x[chains];
    for (int c = 0; c < chains; ++c) { x[c] = static_cast<float>(c + t.thread()); }
    for (int i = 0; i < rounds; ++i) {
      for (int c = 0; c < chains; ++c) { x[c] = fmaf(x[c], 0.999f, 1e-9f); }
    }
    float sum = 0;
    for (int c = 0; c < chains; ++c) { sum += x[c]; }
    if (sum == -1.0f) { *out = sum; } // never, but the compiler does not know
  }
};
template <class Words> struct mma_peak {
  static constexpr double flops = 2.0 * rounds * chains * 16 * 8 * 8 * Words::per_word / warp_size;
  float* out;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    sparse::detail::mma_sums s[chains] = {};
    const auto one = Words::of(1e-3f, 1e-3f) + static_cast<std::uint32_t>(t.thread() & 1);
    const std::uint32_t a[4] = {one, one, one, one}, b[2] = {one, one};
    for (int i = 0; i < rounds; ++i) {
      for (int c = 0; c < chains; ++c) { sparse::detail::mma_step<Words, 8>(t, s[c], a, b); }
    }
    float sum = 0;
    for (int c = 0; c < chains; ++c) { sum += s[c].c[0]; }
    if (sum == -1.0f) { *out = sum; }
  }
};
template <class Kernel> double measured_peak() {
  auto& d = device_of_run();
  auto out = empty<float, 1>(d.exec, {1});
  int number = 0, processors = 0;
  check_cuda(cudaGetDevice(&number), "bench");
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, number), "bench");
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double s = d.seconds([&] { launch(d.exec, 16 * processors, 256, Kernel{out.data()}); });
    best = std::max(best, 16.0 * processors * 256 * Kernel::flops / s);
  }
  return best;
}
double peak_of(product_precision p) {
  static const double fma = measured_peak<fma_peak>(), tf32 = measured_peak<mma_peak<tf32_words>>(),
                      bf16 = measured_peak<mma_peak<bfloat16_words>>();
  return p == product_precision::full ? fma : p == product_precision::tf32 ? tf32 : bf16;
}

/// The workload's sites and plan on the device.
struct subject {
  sparse::device_sites<3> at;
  sparse::device_plan plan;
  double products_per_pair = 0;
};
subject make_subject(const workloads::workload& w, bool sorted) {
  auto& e = device_of_run().exec;
  auto rows = make_tensor<std::int32_t, 2>({w.rows(), 4});
  for (idx i = 0; i < rows.size(); ++i) {
    rows.data()[i] = w.sites[static_cast<std::size_t>(i / 4)][static_cast<std::size_t>(i % 4)];
  }
  subject s;
  s.at = sparse::make_device_sites<3>(e, to_device(e, rows), w.grid);
  s.plan = sparse::make_device_submanifold_plan<3>(e, s.at, sparse::taps<3, 3, 3>{});
  if (sorted) { s.plan = sparse::sorted_by_taps(e, s.plan); }
  double quarters = 0;
  for (const auto q : to_host(e, s.plan.forward.used)) { quarters += std::popcount(static_cast<unsigned>(q)); }
  s.products_per_pair = quarters * sparse::device_quarter_rows / static_cast<double>(w.pairs.size());
  return s;
}

enum class direction { forward, dx, dw };
void convolution(benchmark::State& state, const std::string& name, direction way, product_precision precision,
                 bool sorted) {
  if (!workloads::available(name)) { return state.SkipWithError("the frame is absent; set SQS_DATA_DIR"); }
  auto& d = device_of_run();
  const auto& w = workloads::get(name);
  const auto s = make_subject(w, sorted);
  const idx c = state.range(0);
  const auto x = full<float, 2>(d.exec, {w.rows(), c}, 0.5f), dy = full<float, 2>(d.exec, {w.rows(), c}, 0.25f);
  const auto weight = full<float, 3>(d.exec, {27, c, c}, 0.01f);
  const auto bias = zeros<float, 1>(d.exec, {0});
  const sparse::device_convolution_op op{s.plan, 1, precision};
  const auto saved = op.forward(d.exec, x, weight, bias).saved;
  const std::array<bool, 3> needs{way == direction::dx, way == direction::dw, false};
  for (auto _ : state) {
    state.SetIterationTime(d.seconds([&] {
      if (way == direction::forward) {
        op.finished(d.exec, x, weight, bias, {});
      } else {
        op.backward(d.exec, saved, dy, needs);
      }
    }));
  }
  const double flops = 2.0 * static_cast<double>(w.pairs.size()) * static_cast<double>(c * c);
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["eta"] = benchmark::Counter(flops / peak_of(precision), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["products_per_pair"] = s.products_per_pair;
}

void plan(benchmark::State& state, const std::string& name, bool sorted) {
  if (!workloads::available(name)) { return state.SkipWithError("the frame is absent; set SQS_DATA_DIR"); }
  auto& d = device_of_run();
  const auto& w = workloads::get(name);
  const auto s = make_subject(w, false);
  for (auto _ : state) {
    state.SetIterationTime(d.seconds([&] {
      const auto p = sparse::make_device_submanifold_plan<3>(d.exec, s.at, sparse::taps<3, 3, 3>{});
      if (sorted) { sparse::sorted_by_taps(d.exec, p); }
    }));
  }
  state.counters["voxels"] =
      benchmark::Counter(static_cast<double>(w.rows()), benchmark::Counter::kIsIterationInvariantRate);
}

constexpr product_precision precisions[] = {product_precision::full, product_precision::tf32,
                                            product_precision::bfloat16};
constexpr direction directions[] = {direction::forward, direction::dx, direction::dw};
const char* text(product_precision p) {
  return p == product_precision::full ? "fp32" : p == product_precision::tf32 ? "tf32" : "bf16";
}
const char* text(direction d) { return d == direction::forward ? "forward" : d == direction::dx ? "dx" : "dw"; }

void add_benchmarks(const std::string& name, bool sorted) {
  const std::string order = sorted ? "/sorted" : "";
  benchmark::RegisterBenchmark(("sparse/device_plan/" + name + order).c_str(), plan, name, sorted)->UseManualTime();
  for (const direction way : directions) {
    for (const product_precision p : precisions) {
      const std::string full_name =
          std::string("sparse/device_convolution/") + text(way) + "/" + name + "/" + text(p) + order;
      auto* const b = benchmark::RegisterBenchmark(full_name.c_str(), convolution, name, way, p, sorted);
      b->ArgName("C")->Arg(16)->Arg(32)->Arg(64)->Arg(128)->UseManualTime();
    }
  }
}
int add_all() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { return 0; }
  for (const char* name : {"frame", "lifted", "thin"}) {
    add_benchmarks(name, false);
    add_benchmarks(name, true);
  }
  return devices;
}
const int registered = add_all();

} // namespace

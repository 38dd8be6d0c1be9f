// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on a device, under the names of the CPU's benchmarks: sparse/<submanifold|lifted|thin>/<pass>/C:<n>/
// cuda/<precision>[/<way>], sparse/map/<workload>/cuda[/<way>]. Medians of the device's own clock. The rate counts pairs
// that exist and nothing else; `rho` is its share of cuBLAS's in the same run. `products_per_pair` says how much of the
// difference is absent neighbours.
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "../sparse/basic_net.hpp"
#include "timed_device.hpp"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs;
using basic_net::coordinates_of;
using bench::device_of_run;
using sparse::product_precision;

/// How a plan is taken: as it is made, sorted by taps, in parts, with bricks.
enum class order { plain, sorted, two_parts, three_parts, bricks };
sparse::device_plan taken(const sparse::device_plan& plan, const sparse::device_sites<3>& at, order way) {
  auto& e = device_of_run().exec;
  switch (way) {
  case order::plain:
    return plan;
  case order::sorted:
    return sparse::sorted_by_taps(e, plan);
  case order::two_parts:
    return sparse::split_by_taps(e, plan, 2);
  case order::three_parts:
    return sparse::split_by_taps(e, plan, 3);
  default:
    return sparse::with_bricks(e, plan, at, sparse::taps<3, 3, 3>{}, sparse::brick_policy::always);
  }
}
/// Rows times taps that the product multiplies.
double products_of(const sparse::device_plan& plan) {
  auto& e = device_of_run().exec;
  if (plan.bricks) { return 64.0 * 27 * to_host(e, plan.bricks.status)(0).rows; }
  auto count = zeros<idx, 1>(e, {1});
  sparse::detail::count_products(e, plan.forward, count.data());
  return static_cast<double>(to_host(e, count)(0) * sparse::device_quarter_rows);
}

/// The workload's sites and plan on the device.
struct subject {
  sparse::device_sites<3> at;
  sparse::device_plan plan;
  double products_per_pair = 0;
};
subject make_subject(const workloads::workload& w, order way) {
  auto& e = device_of_run().exec;
  subject s;
  s.at = sparse::make_device_sites<3>(e, to_device(e, coordinates_of(w)), w.grid);
  s.plan = sparse::make_device_submanifold_plan<3>(e, s.at, sparse::taps<3, 3, 3>{});
  s.plan = taken(s.plan, s.at, way);
  s.products_per_pair = products_of(s.plan) / static_cast<double>(w.pairs.size());
  return s;
}

enum class direction { forward, dx, dw };
void convolution(benchmark::State& state, const std::string& name, direction way, product_precision precision,
                 order taking, idx c) {
  if (!workloads::available(name)) { return state.SkipWithError("the frame is absent; set SQS_DATA_DIR"); }
  auto& d = device_of_run();
  const auto& w = workloads::get(name);
  const auto s = make_subject(w, taking);
  const auto x = full<float, 2>(d.exec, {w.rows(), c}, 0.5f), dy = full<float, 2>(d.exec, {w.rows(), c}, 0.25f);
  const auto weight = full<float, 3>(d.exec, {27, c, c}, 0.01f);
  const auto bias = zeros<float, 1>(d.exec, {0});
  const sparse::device_convolution_op op{s.plan, 1, precision};
  const auto saved = op.forward(d.exec, x, weight, bias).saved;
  const std::array<bool, 3> needs{way == direction::dx, way == direction::dw, false};
  const double seconds = bench::median_of(state, [&] {
    if (way == direction::forward) {
      op.finished(d.exec, x, weight, bias, {});
    } else {
      op.backward(d.exec, saved, dy, needs);
    }
  });
  const double rate = 2.0 * static_cast<double>(w.pairs.size()) * static_cast<double>(c * c) / seconds;
  state.counters["gflops"] = 1e-9 * rate;
  state.counters["rho"] = rate / bench::cublas_rate(precision);
  state.counters["products_per_pair"] = s.products_per_pair;
}

void plan(benchmark::State& state, const std::string& name, order taking) {
  if (!workloads::available(name)) { return state.SkipWithError("the frame is absent; set SQS_DATA_DIR"); }
  auto& d = device_of_run();
  const auto& w = workloads::get(name);
  const auto s = make_subject(w, order::plain);
  const double seconds = bench::median_of(state, [&] {
    const auto p = sparse::make_device_submanifold_plan<3>(d.exec, s.at, sparse::taps<3, 3, 3>{});
    taken(p, s.at, taking);
  });
  state.counters["voxels_per_second"] = static_cast<double>(w.rows()) / seconds;
}

constexpr product_precision precisions[] = {product_precision::full, product_precision::tf32,
                                            product_precision::bfloat16, product_precision::float16};
constexpr direction directions[] = {direction::forward, direction::dx, direction::dw};
const char* text(direction d) {
  return d == direction::forward ? "forward" : d == direction::dx ? "backward_data" : "backward_weight";
}
const char* text(order way) {
  constexpr const char* names[] = {"", "/sorted", "/parts2", "/parts3", "/bricks"};
  return names[static_cast<int>(way)];
}

template <class... Args> void add(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
}
void add_benchmarks(const std::string& name, order taking) {
  const std::string what = name == "frame" ? "submanifold" : name;
  add("sparse/map/" + what + "/cuda" + text(taking), plan, name, taking);
  for (const direction way : directions) {
    if (way == direction::dw && taking != order::plain && taking != order::sorted) { continue; } // by the table
    for (const idx c : {16, 32, 64, 128, 256}) {
      for (const product_precision p : precisions) {
        add(concat("sparse/", what, "/", text(way), "/C:", c, "/cuda/", bench::name_of(p), text(taking)), convolution,
            name, way, p, taking, c);
      }
    }
  }
}
int add_all() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { return 0; }
  for (const char* name : {"frame", "lifted", "thin"}) {
    for (const order way : {order::plain, order::sorted, order::two_parts, order::three_parts, order::bricks}) {
      add_benchmarks(name, way);
    }
  }
  return devices;
}
const int registered = add_all();

} // namespace

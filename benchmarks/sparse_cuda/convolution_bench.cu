// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on a device, under the names of the CPU's benchmarks:
//   sparse/<submanifold|lifted|thin>/<forward|backward_data|backward_weight|backward>/C:<n>/cuda/<precision>[/<way>]
//   sparse/<submanifold|lifted>/<forward|backward>/C:<n>/<bf16|fp16>/cuda[/<way>]   features stored in 16 bits
//   sparse/map/<submanifold|lifted|thin>/cuda[/<way>]          from coordinates; `search_ms`: from sites
//   sparse/map_and_submanifold/forward/C:<n>/cuda/<precision>/sorted   the same, and a convolution
// Medians of the device's own clock. The rate counts pairs that exist and nothing else; `rho` is its share of cuBLAS's in
// the same run. `products_per_pair` says how much of the difference is absent neighbours.
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "subject.hpp"

#include <sqs/core/bfloat16.hpp>

namespace {

using namespace sqs;
using bench::device_of_run;
using bench::order;
using bench::subject;
using sparse::product_precision;

enum class direction { forward, dx, dw, both };
const char* text(direction d) {
  constexpr const char* names[] = {"forward", "backward_data", "backward_weight", "backward"};
  return names[static_cast<int>(d)];
}

/// Features are stored as X.
template <class X> void convolution(benchmark::State& state, const std::string& name, direction way,
                                    product_precision precision, order taking, idx c) {
  auto& e = device_of_run().exec;
  const subject s(name, taking);
  const auto x = s.rows<X>(c, 1), dy = s.rows<X>(c, 2);
  const auto weight = bench::numbers<3>({27, c, c}, 3, 0.1);
  const auto bias = zeros<float, 1>(e, {0});
  const sparse::device_convolution_op op{s.plan, 1, precision};
  const auto saved = op.forward(e, x, weight, bias).saved;
  const std::array<bool, 3> needs{way != direction::dw, way != direction::dx, false};
  const double seconds = bench::median_of(state, [&] {
    if (way == direction::forward) {
      op.finished(e, x, weight, bias, {});
    } else {
      op.backward(e, saved, dy, needs);
    }
  });
  bench::count_rate(state, (way == direction::both ? 2 : 1) * s.flop(c), seconds, precision);
  state.counters["products_per_pair"] = s.products_per_pair;
}

void map(benchmark::State& state, const std::string& name, order taking) {
  auto& e = device_of_run().exec;
  const subject s(name, order::plain);
  const auto search = [&](const sparse::device_sites<3>& at) {
    return bench::taken(sparse::make_device_submanifold_plan<3>(e, at, sparse::taps<3, 3, 3>{}), at, taking);
  };
  state.counters["search_ms"] = 1e3 * bench::median_of([&] { search(s.at); });
  const double seconds =
      bench::median_of(state, [&] { search(sparse::make_device_sites<3>(e, s.coordinates, s.w.grid)); });
  state.counters["voxels_per_second"] = static_cast<double>(s.w.rows()) / seconds;
}

void map_and_convolution(benchmark::State& state, product_precision precision, idx c) {
  auto& e = device_of_run().exec;
  const subject s("frame", order::plain);
  const auto x = s.rows(c, 1);
  const auto weight = bench::numbers<3>({27, c, c}, 3, 0.1);
  const auto bias = zeros<float, 1>(e, {0});
  const double seconds = bench::median_of(state, [&] {
    const auto at = sparse::make_device_sites<3>(e, s.coordinates, s.w.grid);
    const auto plan =
        sparse::sorted_by_taps(e, sparse::make_device_submanifold_plan<3>(e, at, sparse::taps<3, 3, 3>{}));
    sparse::device_convolution_op{plan, 1, precision}.finished(e, x, weight, bias, {});
  });
  bench::count_rate(state, s.flop(c), seconds, precision);
}

void add_passes(const std::string& name, const std::string& what, order taking) {
  for (const direction way : {direction::forward, direction::dx, direction::dw, direction::both}) {
    if (way == direction::dw && taking != order::plain && taking != order::sorted) { continue; } // by the table
    for (const idx c : {16, 32, 64, 128, 256}) {
      const std::string start = concat("sparse/", what, "/", text(way), "/C:", c);
      for (const auto p : bench::precisions) {
        bench::add_timed(concat(start, "/cuda/", bench::name_of(p), bench::text(taking)), convolution<float>, name, way,
                         p, taking, c);
      }
      if (name == "thin" || way == direction::dx || way == direction::dw) { continue; }
      bench::add_timed(concat(start, "/bf16/cuda", bench::text(taking)), convolution<bfloat16>, name, way,
                       product_precision::bfloat16, taking, c);
      bench::add_timed(concat(start, "/fp16/cuda", bench::text(taking)), convolution<float16>, name, way,
                       product_precision::float16, taking, c);
    }
  }
}
bool add_all() {
  if (!bench::has_device()) { return false; }
  for (const char* name : {"frame", "lifted", "thin"}) {
    if (!workloads::available(name)) { continue; }
    const std::string what = std::string_view(name) == "frame" ? "submanifold" : name;
    for (const order way : {order::plain, order::sorted, order::two_parts, order::three_parts, order::bricks}) {
      bench::add_timed(concat("sparse/map/", what, "/cuda", bench::text(way)), map, name, way);
      add_passes(name, what, way);
    }
  }
  if (!workloads::available("frame")) { return true; }
  for (const idx c : {16, 32, 64, 128}) {
    for (const auto p : bench::precisions) {
      bench::add_timed(concat("sparse/map_and_submanifold/forward/C:", c, "/cuda/", bench::name_of(p), "/sorted"),
                       map_and_convolution, p, c);
    }
  }
  return true;
}
[[maybe_unused]] const bool added = add_all();

} // namespace

// SPDX-License-Identifier: Apache-2.0
// What stands around convolutions on a device, under the names of the CPU's benchmarks; medians of the device's clock.
// sparse/block/<frame|lifted>/C:<n>/cuda/<precision>/sorted: convolution, batch norm, residual and relu of inference in
// one kernel.
//   x_steps     time of the same steps one after another / time here
//   x_alone     time of the convolution alone / time here: 1 is free
// sparse/orthogonal_maps/<frame|lifted>/cuda: the plans of 3x3x3, 3x3x1, 3x1x3 and 1x3x3 from one search.
//   x_searches  time of a search for each of the three planes / time here
// sparse/batch_norm/<forward|backward>/C:<n>/cuda over the lifted sites; gbytes: read and written at least, a second.
// sparse/pointwise/forward/C:<n>/cuda/<precision>: 1 x 1 x 1 on the frame's rows, with its plan and a relu.
//   gemm_ms     cuBLAS's product of the same matrices alone
//   x_search    the time with a searched plan of one tap / the time here
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "subject.hpp"

namespace {

using namespace sqs;
using bench::device_of_run;
using bench::numbers;
using bench::order;
using bench::subject;
using sparse::product_precision;

constexpr sparse::activation relu{sparse::activation_kind::relu};

void block(benchmark::State& state, const char* name, product_precision precision, idx c) {
  auto& e = device_of_run().exec;
  const subject s(name, order::sorted);
  const auto x = s.rows(c, 1), residual = s.rows(c, 2);
  const auto weight = numbers<3>({27, c, c}, 3, 0.1);
  const auto none = zeros<float, 1>(e, {0});
  const sparse::device_epilogue<float> then{numbers<1>({c}, 4), numbers<1>({c}, 5), residual, relu};
  const sparse::device_convolution_op op{s.plan, 1, precision};
  const double here = bench::median_of(state, [&] { op.finished(e, x, weight, none, then); });
  const double steps = bench::median_of([&] {
    auto y = op.finished(e, x, weight, none, {});
    y = sparse::device_row_affine_op{s.at.status}.forward(e, y, then.scale, then.shift).value;
    y = sparse::device_add_op{}.forward(e, y, residual).value;
    sparse::device_activation_op{relu}.forward(e, y);
  });
  const double alone = bench::median_of([&] { op.finished(e, x, weight, none, {}); });
  state.counters["x_steps"] = steps / here;
  state.counters["x_alone"] = alone / here;
  bench::count_rate(state, s.flop(c), here, precision);
}

void orthogonal_maps(benchmark::State& state, const char* name) {
  auto& e = device_of_run().exec;
  const subject s(name, order::plain);
  using sparse::taps;
  const sparse::tap_set<3> cube = taps<3, 3, 3>{};
  const sparse::tap_set<3> planes[] = {taps<3, 3, 1>{}, taps<3, 1, 3>{}, taps<1, 3, 3>{}};
  const double here = bench::median_of(state, [&] {
    const auto plan = sparse::make_device_submanifold_plan<3>(e, s.at, cube);
    for (const auto& p : planes) { sparse::restricted_device_plan<3>(e, plan, cube, p); }
  });
  const double searches = bench::median_of([&] {
    for (const auto& p : planes) { sparse::make_device_submanifold_plan<3>(e, s.at, p); }
  });
  state.counters["x_searches"] = searches / here;
}

void batch_norm(benchmark::State& state, bool forward, idx c) {
  auto& e = device_of_run().exec;
  const subject s("lifted", order::plain);
  const auto x = s.rows(c, 1), dy = s.rows(c, 2);
  const auto gain = numbers<1>({c}, 3), bias = numbers<1>({c}, 4), none = zeros<float, 1>(e, {c});
  const sparse::device_batch_norm_op op{s.at.status};
  const auto saved = op.forward(e, x, gain, bias).saved;
  const double seconds = bench::median_of(state, [&] {
    if (forward) {
      op.forward(e, x, gain, bias);
    } else {
      op.backward(e, saved, dy, none, none);
    }
  });
  const double matrices = forward ? 3 : 5; // x twice and y; x and dy twice and dx
  state.counters["gbytes"] = 1e-9 * matrices * static_cast<double>(x.size()) * sizeof(float) / seconds;
}

void pointwise(benchmark::State& state, product_precision precision, idx c) {
  auto& e = device_of_run().exec;
  const subject s("frame", order::plain);
  const auto x = s.rows(c, 1);
  const auto weight = numbers<3>({1, c, c}, 3, 0.1);
  const auto none = zeros<float, 1>(e, {0});
  const auto with = [&](const sparse::device_plan& plan) {
    sparse::device_convolution_op{plan, 1, precision}.finished(e, x, weight, none, {{}, {}, {}, relu});
  };
  const double here = bench::median_of(state, [&] { with(sparse::make_device_pointwise_plan<3>(e, s.at)); });
  const double searched =
      bench::median_of([&] { with(sparse::make_device_submanifold_plan<3>(e, s.at, sparse::taps<1, 1, 1>{})); });
  bench::cublas_product product(s.w.rows(), c, c, precision);
  state.counters["gemm_ms"] = 1e3 * bench::median_of([&] { product(); });
  state.counters["x_search"] = searched / here;
}

bool add_all() {
  if (!bench::has_device()) { return false; }
  for (const char* name : {"frame", "lifted"}) {
    if (!workloads::available(name)) { continue; }
    bench::add_timed(concat("sparse/orthogonal_maps/", name, "/cuda"), orthogonal_maps, name);
    for (const idx c : {16, 32, 64, 128}) {
      if (c == 128 && name[0] == 'l') { continue; } // nor has the CPU
      for (const auto p : bench::precisions) {
        bench::add_timed(concat("sparse/block/", name, "/C:", c, "/cuda/", bench::name_of(p), "/sorted"), block, name,
                         p, c);
      }
    }
  }
  for (const idx c : {32, 128}) {
    for (const bool forward : {true, false}) {
      bench::add_timed(concat("sparse/batch_norm/", forward ? "forward" : "backward", "/C:", c, "/cuda"), batch_norm,
                       forward, c);
    }
  }
  if (!workloads::available("frame")) { return true; }
  for (const idx c : {16, 32, 64, 128}) {
    for (const auto p : bench::precisions) {
      bench::add_timed(concat("sparse/pointwise/forward/C:", c, "/cuda/", bench::name_of(p)), pointwise, p, c);
    }
  }
  return true;
}
[[maybe_unused]] const bool added = add_all();

} // namespace

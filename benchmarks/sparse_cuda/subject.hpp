// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The workloads of the sparse benchmarks on the device, with their plans.

#include "../sparse/basic_net.hpp"
#include "timed_device.hpp"

#include <sqs/sparse/cuda/sparse.cuh>

namespace bench {

/// How a plan is taken: as it is made, sorted by taps, in parts, with bricks.
enum class order { plain, sorted, two_parts, three_parts, bricks };
constexpr const char* text(order way) {
  constexpr const char* names[] = {"", "/sorted", "/parts2", "/parts3", "/bricks"};
  return names[static_cast<int>(way)];
}
inline sparse::device_plan taken(const sparse::device_plan& plan, const sparse::device_sites<3>& at, order way) {
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
inline double products_of(const sparse::device_plan& plan) {
  auto& e = device_of_run().exec;
  if (plan.bricks) { return 64.0 * 27 * to_host(e, plan.bricks.status)(0).rows; }
  auto count = zeros<idx, 1>(e, {1});
  sparse::detail::count_products(e, plan.forward, count.data());
  return static_cast<double>(to_host(e, count)(0) * sparse::device_quarter_rows);
}

/// A workload's sites on the device, its 3 x 3 x 3 plan, and numbers for it.
struct subject {
  const workloads::workload& w;
  tensor<std::int32_t, 2, device> coordinates;
  sparse::device_sites<3> at;
  sparse::device_plan plan;
  double products_per_pair = 0;

  subject(const std::string& name, order way) : w(workloads::get(name)) {
    auto& e = device_of_run().exec;
    coordinates = to_device(e, basic_net::coordinates_of(w));
    at = sparse::make_device_sites<3>(e, coordinates, w.grid);
    plan = taken(sparse::make_device_submanifold_plan<3>(e, at, sparse::taps<3, 3, 3>{}), at, way);
    products_per_pair = products_of(plan) / pairs();
  }
  double pairs() const { return static_cast<double>(w.pairs.size()); }
  /// Useful ones of a pass, of C to C channels.
  double flop(idx c) const { return 2 * pairs() * static_cast<double>(c * c); }
  /// C numbers of every row, in the type features are stored in.
  template <class X = float> tensor<X, 2, device> rows(idx c, std::uint64_t seed) const {
    auto& e = device_of_run().exec;
    const auto x = to_device(e, timing::numbers<2>({w.rows(), c}, seed));
    if constexpr (std::is_same_v<X, float>) {
      return x;
    } else {
      return sparse::device_cast_op<X>{}.forward(e, x).value;
    }
  }
};
template <int R> tensor<float, R, device> numbers(extents<R> shape, std::uint64_t seed, double bound = 1) {
  return to_device(device_of_run().exec, timing::numbers<R>(shape, seed, bound));
}

constexpr sparse::product_precision precisions[] = {sparse::product_precision::full, sparse::product_precision::tf32,
                                                    sparse::product_precision::bfloat16,
                                                    sparse::product_precision::float16};
/// gflops, and the share of cuBLAS's in the same run.
inline void count_rate(benchmark::State& state, double flop, double seconds, sparse::product_precision precision) {
  state.counters["gflops"] = 1e-9 * flop / seconds;
  state.counters["rho"] = flop / seconds / cublas_rate(precision);
}

} // namespace bench

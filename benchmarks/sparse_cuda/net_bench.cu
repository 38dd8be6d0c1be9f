// SPDX-License-Identifier: Apache-2.0
// sparse/net/basic on a device: every pass begins with coordinates, so all maps are built anew. The room for each level's
// voxels is known beforehand, and nothing waits for the device. `rho` is the share of cuBLAS's rate in the same run, of
// the convolutions' flops over the time of everything.
#pragma nv_diag_suppress 186, 550 // in code of the host that others own the warnings of
#include "net_reference.hpp"
#include "timed_device.hpp"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs;
using sparse::product_precision;

struct device_weights {
  tensor<float, 3, device> weight;
  tensor<float, 1, device> scale, shift;
};

struct basic_net_on_device {
  tensor<std::int32_t, 2, device> coordinates;
  tensor<float, 2, device> features;
  tensor<float, 1, device> no_bias;
  std::array<idx, 3> grid{};
  std::vector<idx> rows; ///< of each level
  std::vector<device_weights> weights;

  tensor<float, 2, device> operator()(sqs::cuda& e, product_precision precision) const {
    auto at = sparse::make_device_sites<3>(e, coordinates, grid);
    auto x = features;
    for (std::size_t l = 0; l < rows.size(); ++l) {
      const auto plan =
          sparse::sorted_by_taps(e, sparse::make_device_submanifold_plan<3>(e, at, sparse::taps<3, 3, 3>{}));
      for (std::size_t second = 0; second < 2; ++second) {
        const auto& w = weights[2 * l + second];
        // Three channels are too few for tensor cores to be of use.
        const sparse::device_convolution_op op{plan, 1, x.extent(1) < 8 ? product_precision::full : precision};
        x = op.finished(e, x, w.weight, no_bias, {w.scale, w.shift, {}, {sparse::activation_kind::relu}});
      }
      if (l + 1 == rows.size()) { break; }
      const auto down = sparse::make_device_convolution_plan<3>(
          e, at, {.taps = sparse::taps<2, 2, 2>{}, .stride = {2, 2, 2}}, rows[l + 1]);
      x = sparse::device_pooling_op{down.plan}.forward(e, x).value;
      at = down.output;
    }
    return x;
  }
};

struct net_subject {
  bench::net_reference reference = bench::basic_net_on_cpu();
  basic_net_on_device net;
  net_subject() {
    auto& e = bench::device_of_run().exec;
    const auto& w = workloads::get("frame");
    net.coordinates = to_device(e, basic_net::coordinates_of(w));
    net.features = to_device(e, basic_net::features_of(w));
    net.no_bias = zeros<float, 1>(e, {0});
    net.grid = w.grid;
    for (const auto& l : reference.work) { net.rows.push_back(l.rows); }
    for (const auto& layer : basic_net::weights()) {
      net.weights.push_back({to_device(e, layer.weight), to_device(e, layer.scale), to_device(e, layer.shift)});
    }
  }
  double flops() const {
    double sum = 0;
    idx from = 3;
    for (std::size_t l = 0; l < reference.work.size(); ++l) {
      const idx to = basic_net::widths[l];
      sum += 2.0 * static_cast<double>(reference.work[l].pairs) * static_cast<double>(to * (from + to));
      from = to;
    }
    return sum;
  }
  /// Largest difference from the CPU, over the largest number.
  double gap(const tensor<float, 2>& y) const {
    if (y.size() != static_cast<idx>(reference.y.size())) { return 1e30; }
    float gap = 0, most = 0;
    for (idx i = 0; i < y.size(); ++i) {
      const float o = reference.y[static_cast<std::size_t>(i)];
      gap = std::max(gap, std::abs(y.data()[i] - o)), most = std::max(most, std::abs(o));
    }
    return most > 0 ? gap / most : 1e30;
  }
};

void basic_net_bench(benchmark::State& state, product_precision precision, double most_gap) {
  static const net_subject s;
  auto& d = bench::device_of_run();
  const double gap = s.gap(to_host(d.exec, s.net(d.exec, precision)));
  if (!(gap <= most_gap)) { return state.SkipWithError(concat("differs from the CPU by ", gap).c_str()); }
  const double rate = s.flops() / bench::median_of(state, [&] { s.net(d.exec, precision); });
  state.counters["gflops"] = 1e-9 * rate;
  state.counters["rho"] = rate / bench::cublas_rate(precision);
  state.counters["gap"] = gap;
}

[[maybe_unused]] const bool added = [] {
  if (!bench::has_device() || !workloads::available("frame")) { return false; }
  const auto add = [](product_precision precision, double most_gap) {
    bench::add_timed(concat("sparse/net/basic/cuda/", bench::name_of(precision)), basic_net_bench, precision, most_gap);
  };
  add(product_precision::full, 1e-3), add(product_precision::tf32, 2e-2);
  add(product_precision::bfloat16, 1e-1), add(product_precision::float16, 2e-2);
  return true;
}();

} // namespace

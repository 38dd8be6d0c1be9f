// SPDX-License-Identifier: Apache-2.0
// The device's rasterizer as an op of a training graph: means that are seen by two calls get the sum of both gradients.

#include "device_parity.hpp"

#include <sqs/autodiff/apply.hpp>
#include <sqs/exec/emulated_gpu.hpp>

namespace device_graph_test {

using namespace sqs;
using namespace sqs::test;

/// y = sum of x^2 / 2, over all elements: by one thread.
struct half_square_kernel {
  static constexpr const char* name = "half_square";
  const double* x;
  idx n;
  double* y;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (t.thread() != 0) { return; }
    *y = 0;
    for (idx i = 0; i < n; ++i) { *y += 0.5 * x[i] * x[i]; }
  }
};
struct scale_kernel {
  static constexpr const char* name = "scale";
  const double *x, *factor;
  idx n;
  double* y;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (i < n) { y[i] = *factor * x[i]; }
  }
};

struct half_square {
  struct saved {
    tensor<double, 4, device> x;
  };
  template <device_executor E> auto forward(E& e, const tensor<double, 4, device>& x) const {
    auto y = empty<double, 0>(e, {});
    launch(e, 1, 32, half_square_kernel{x.data(), x.size(), y.data()});
    return result{std::move(y), saved{x}};
  }
  template <device_executor E> auto backward(E& e, const saved& s, const tensor<double, 0, device>& dy) const {
    auto dx = empty<double, 4>(e, s.x.shape());
    launch(e, (dx.size() + 255) / 256, 256, scale_kernel{s.x.data(), dy.data(), dx.size(), dx.data()});
    return dx;
  }
};
struct sum_op {
  struct saved {};
  template <device_executor E>
  auto forward(E& e, const tensor<double, 0, device>& a, const tensor<double, 0, device>& b) const {
    auto y = empty<double, 0>(e, {});
    detail::add(e, a.data(), b.data(), y.data(), 1);
    return result{std::move(y), saved{}};
  }
  template <device_executor E> auto backward(E&, const saved&, const tensor<double, 0, device>& dy) const {
    return std::tuple{dy, dy};
  }
};

TEST(device_graph, adds_the_gradients_of_two_calls) {
  const auto in = scenes::random({.gaussians = 20, .seed = 41});
  splat::raster_options<double, device> options;
  options.capacity = 4096;
  emulator::gpu e{.seed = 9};
  const auto run = [&](int calls) {
    training_graph<emulator::gpu> g(e);
    auto means = g.leaf(to_device(e, in.s.means));
    const auto loss = [&] {
      auto outputs = apply(g, splat::device_rasterizer<>{}, means, g.input(to_device(e, in.s.scales)),
                           g.input(to_device(e, in.s.rotations)), g.input(to_device(e, in.s.opacities)),
                           g.input(to_device(e, in.s.colours)), g.input(to_device(e, in.background)), in.rig, options);
      return apply(g, half_square{}, std::get<0>(outputs));
    };
    if (calls == 1) {
      g.backward(loss());
    } else {
      auto first = loss(), second = loss();
      g.backward(apply(g, sum_op{}, first, second));
    }
    return to_host(e, g.gradient(means));
  };
  const auto once = run(1), twice = run(2);
  ASSERT_EQ(once.size(), 60);
  double largest = 0;
  for (idx i = 0; i < once.size(); ++i) {
    EXPECT_EQ(twice.data()[i], 2 * once.data()[i]);
    largest = std::max(largest, std::abs(once.data()[i]));
  }
  EXPECT_GT(largest, 1e-3);
}

} // namespace device_graph_test

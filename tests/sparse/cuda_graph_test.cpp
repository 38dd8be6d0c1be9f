// SPDX-License-Identifier: Apache-2.0
// Joined, chosen and dense rows as ops of a training graph on the emulated device, beside the same graph on the host.
#include "cuda_combine_cases.hpp"

#include <sqs/autodiff/apply.hpp>
#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/dense.hpp>

using namespace sqs;
using namespace sqs::test;

/// y = sum of x^2 / 2, over all elements: by one thread.
struct half_square_of_volume {
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

namespace cuda_graph_test {

/// The same loss on both sides. The gradient that comes in is 1.
struct half_square {
  template <class Space> struct saved { tensor<double, 5, Space> x; };
  template <class E, class Space> auto forward(E& e, const tensor<double, 5, Space>& x) const {
    auto y = empty<double, 0>(e, {});
    if constexpr (device_executor<E>) {
      launch(e, 1, 32, half_square_of_volume{x.data(), x.size(), y.data()});
    } else {
      y.data()[0] = 0;
      for (const double v : x) { y.data()[0] += 0.5 * v * v; }
    }
    return result{std::move(y), saved<Space>{x}};
  }
  template <class E, class Space> auto backward(E&, const saved<Space>& s, const tensor<double, 0, Space>&) const {
    return s.x;
  }
};

template <class G, class X, class Join, class Take, class Dense>
auto gradients(G& g, const X& x, const Join& join, const Take& take, const Dense& dense) {
  auto a = g.leaf(x[0]), b = g.leaf(x[1]);
  auto sum = apply(g, join, a, b);
  g.backward(apply(g, half_square{}, apply(g, dense, apply(g, take, std::move(sum)))));
  return std::array{g.gradient(a), g.gradient(b)};
}

TEST(cuda_graph, gradients_go_back_through_all_of_them) {
  emulator::gpu e{.seed = 2};
  cpu host{.threads = 1};
  const auto in = some_inputs<double>(e, {200, 250, 1}, {3, 3, 3}, 9, 4);
  const auto joined = sparse::unite(host, in.at[0].host, in.at[1].host);
  const auto on_joined = sparse::unite(e, in.at[0].device, in.at[1].device);
  const auto score = random<1>({joined.at.rows}, 5);
  auto wide = make_tensor<double, 1>({on_joined.at.capacity});
  std::copy(score.begin(), score.end(), wide.begin());
  const auto best = sparse::top_k(host, joined.at, score, 30);
  const auto on_best = sparse::top_k(e, on_joined.at, to_device(e, wide), 30);
  training_graph<cpu> g(host);
  const auto wanted = gradients(g, in.x, sparse::combine_op<2>{joined.rows, sparse::combination::mean},
                                sparse::take_rows_op{best.rows}, sparse::to_dense_op<3>{best.at});
  training_graph<emulator::gpu> d(e);
  const auto got =
      gradients(d, in.on, sparse::device_combine_op<2>{on_joined.rows, sparse::combination::mean},
                sparse::device_take_rows_op{on_best.rows, on_best.kept}, sparse::device_to_dense_op<3>{on_best.at});
  for (std::size_t k = 0; k < 2; ++k) {
    expect_rows(to_host(e, got[k]), wanted[k]);
    idx nonzero = 0;
    for (const double v : wanted[k]) { nonzero += v != 0 ? 1 : 0; }
    EXPECT_GT(nonzero, 50);
  }
}

} // namespace cuda_graph_test

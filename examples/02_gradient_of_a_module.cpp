// SPDX-License-Identifier: Apache-2.0
// Background  An op is a pair, forward and backward; a module is one forward pass over a graph.
// New here    an op of your own, a module, both graphs, reflected parameters, AdamW, the public gradient check.
// Builds on   01.
// Run         gradient_of_a_module
// Expect      a gradient error near rounding, parameter names, and a loss that falls by orders of magnitude.
#include <sqs/autodiff/check_gradient.hpp>
#include <sqs/core/math.hpp>
#include <sqs/loss/photometric.hpp>
#include <sqs/nn/linear.hpp>
#include <sqs/optim/adamw.hpp>

#include <cmath>
#include <cstdio>

struct softplus_op { // log(1 + e^x), any rank
  template <class T, int R> struct saved { sqs::tensor<T, R> x; };
  template <class T, int R> auto forward(sqs::cpu& e, const sqs::tensor<T, R>& x) const {
    auto y = sqs::empty<T, R>(e, x.shape());
    for (sqs::idx i = 0; i < x.size(); ++i) { y.data()[i] = std::log1p(std::exp(x.data()[i])); }
    return sqs::result{std::move(y), saved<T, R>{x}};
  }
  template <class T, int R> auto backward(sqs::cpu& e, const saved<T, R>& s, const sqs::tensor<T, R>& dy) const {
    auto dx = sqs::empty<T, R>(e, dy.shape());
    for (sqs::idx i = 0; i < dy.size(); ++i) { dx.data()[i] = dy.data()[i] * sqs::sigmoid(s.x.data()[i]); }
    return dx;
  }
};

template <class T> struct curve { // R -> R, one hidden layer
  sqs::nn::linear<T> in, out;
  template <sqs::graph G> sqs::variable<G, T, 2> operator()(G& g, sqs::variable<G, T, 2> x) const {
    return out(g, sqs::apply(g, softplus_op{}, in(g, std::move(x)))); // the same line trains and infers
  }
  SQS_MEMBERS(curve, in, out)
};

int main() {
  sqs::cpu exec{.threads = 2};
  auto x = sqs::make_tensor<double, 2>({50, 1});
  auto target = sqs::make_tensor<double, 2>({50, 1});
  for (sqs::idx i = 0; i < 50; ++i) {
    x(i, 0) = static_cast<double>(i) / 10 - 2.5;
    target(i, 0) = std::abs(x(i, 0));
  }
  std::printf("gradient error of softplus: %.1e\n", sqs::check_gradient(exec, softplus_op{}, x).worst);

  sqs::initializer init(3);
  curve<double> model{sqs::nn::linear<double>::make(1, 16, init), sqs::nn::linear<double>::make(16, 1, init)};
  std::printf("%s", sqs::summary(model).c_str());
  sqs::optim::adamw<double> optimiser(model, {.weight_decay = 0});
  for (int step = 0; step <= 600; ++step) {
    optimiser.zero_gradients();
    sqs::training_graph g{exec};
    auto loss = sqs::apply(g, sqs::loss::photometric_l1{}, model(g, g.input(x)), target);
    if (step % 200 == 0) { std::printf("step %3d  mean |error| %.4f\n", step, *loss.value().data()); }
    g.backward(loss);
    optimiser.step(exec, 0.02);
  }
  sqs::inference_graph i{exec}; // records nothing
  std::printf("f(-2) = %.3f, f(0) = %.3f, f(2) = %.3f\n", model(i, i.input(x)).value()(5, 0),
              model(i, i.input(x)).value()(25, 0), model(i, i.input(x)).value()(45, 0));
}

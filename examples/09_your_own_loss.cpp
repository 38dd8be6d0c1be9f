// SPDX-License-Identifier: Apache-2.0
// Background  A loss is an op whose value is a scalar. Nothing has to be registered anywhere.
// New here    a Huber loss with its gradient, checked.
// Builds on   02.
// Run         your_own_loss
// Expect      (0.125 + 1.5) / 2 = 0.8125, and a gradient error near rounding.
#include <sqs/autodiff/check_gradient.hpp>

#include <cstdio>

struct huber_op { // mean of d^2 / 2 where |d| < 1, |d| - 1/2 beyond
  template <class T, int R> struct saved { sqs::tensor<T, R> difference; };
  template <class T, int R> auto forward(sqs::cpu& e, const sqs::tensor<T, R>& a, const sqs::tensor<T, R>& b) const {
    auto d = sqs::empty<T, R>(e, a.shape());
    T sum = 0;
    for (sqs::idx i = 0; i < a.size(); ++i) {
      d.data()[i] = a.data()[i] - b.data()[i];
      const T size = std::abs(d.data()[i]);
      sum += size < 1 ? size * size / 2 : size - T(0.5);
    }
    return sqs::result{sqs::full<T, 0>(e, {}, sum / static_cast<T>(a.size())), saved<T, R>{std::move(d)}};
  }
  template <class T, int R> auto backward(sqs::cpu& e, const saved<T, R>& s, const sqs::tensor<T, 0>& d) const {
    auto da = sqs::empty<T, R>(e, s.difference.shape());
    for (sqs::idx i = 0; i < da.size(); ++i) {
      da.data()[i] = std::clamp(s.difference.data()[i], T(-1), T(1)) * *d.data() / static_cast<T>(da.size());
    }
    return da; // the target is data: it has no gradient
  }
};

int main() {
  sqs::cpu exec;
  auto a = sqs::make_tensor<double, 1>({2}), b = sqs::make_tensor<double, 1>({2});
  a(0) = 0.5, a(1) = -2;
  std::printf("huber: %.4f\n", *huber_op{}.forward(exec, a, b).value.data());
  std::printf("gradient error: %.1e\n", sqs::check_gradient(exec, huber_op{}, a, b).worst);
}

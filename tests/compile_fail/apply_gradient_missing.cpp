// SPDX-License-Identifier: Apache-2.0
// expected-error: Op::backward returns no gradient for that position; pass stop_gradient\(x\) or x\.value\(\)
#include "square.hpp"

struct op {
  struct saved {};
  auto forward(sqs::cpu&, const sqs::tensor<float, 1>& x, const sqs::tensor<float, 1>&) const {
    return sqs::result{x, saved{}};
  }
  auto backward(sqs::cpu&, const saved&, const sqs::tensor<float, 1>& dy) const { return dy; }
};
auto use(graph_type& g, variable_type x, variable_type y) {
#ifdef SQS_GOOD
  return sqs::apply(g, op{}, x, y.value());
#else
  return sqs::apply(g, op{}, x, y);
#endif
}

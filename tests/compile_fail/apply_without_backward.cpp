// SPDX-License-Identifier: Apache-2.0
// expected-error: this op has no backward\(exec, saved, d_value\.\.\.\) for a training graph; write one
#include "square.hpp"

struct op {
  struct saved {};
  auto forward(sqs::cpu&, const sqs::tensor<float, 1>& x) const { return sqs::result{x, saved{}}; }
#ifdef SQS_GOOD
  auto backward(sqs::cpu&, const saved&, const sqs::tensor<float, 1>& dy) const { return dy; }
#endif
};
auto use(graph_type& g, variable_type x) { return sqs::apply(g, op{}, x); }

// SPDX-License-Identifier: Apache-2.0
// expected-error: Op::forward must return sqs::result\{value, saved\}
#include "square.hpp"

struct op : square {
  auto forward(sqs::cpu&, const sqs::tensor<float, 1>& x) const {
#ifdef SQS_GOOD
    return sqs::result{x, saved<float> { x }};
#else
    return x;
#endif
  }
};
void use(graph_type& g, variable_type x) { sqs::apply(g, op{}, x); }

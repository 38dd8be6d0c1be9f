// SPDX-License-Identifier: Apache-2.0
// expected-error: sqs::loss::weighted_sum: give one weight per loss
#include "square.hpp"

#include <sqs/loss/sum.hpp>

using scalar = sqs::variable<graph_type, float, 0>;
void use(graph_type& g, scalar a, scalar b) {
#ifdef SQS_GOOD
  sqs::apply(g, sqs::loss::weighted_sum_op<2>{{1.0, 2.0}}, a, b);
#else
  sqs::apply(g, sqs::loss::weighted_sum_op<3>{{1.0, 2.0, 3.0}}, a, b);
#endif
}

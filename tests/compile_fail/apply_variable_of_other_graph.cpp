// SPDX-License-Identifier: Apache-2.0
// expected-error: an input is a variable of another kind of graph; bring its tensor in with
#include "square.hpp"

using inference = sqs::inference_graph<sqs::cpu>;
void use(graph_type& g, sqs::variable<inference, float, 1> x) {
#ifdef SQS_GOOD
  sqs::apply(g, square{}, g.input(x.value()));
#else
  sqs::apply(g, square{}, x);
#endif
}

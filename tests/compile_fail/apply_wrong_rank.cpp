// SPDX-License-Identifier: Apache-2.0
// expected-error: Op::forward\(exec, inputs\.\.\.\) does not accept these inputs \(wrong rank, scalar type
#include "square.hpp"

#ifdef SQS_GOOD
using input = variable_type;
#else
using input = sqs::variable<graph_type, float, 2>;
#endif
void use(graph_type& g, input x) { sqs::apply(g, square{}, x); }

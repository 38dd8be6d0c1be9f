// SPDX-License-Identifier: Apache-2.0
// expected-error: an input tensor lives in a memory space the executor cannot read; bring its elements
#include "square.hpp"

#ifdef SQS_GOOD
using space = sqs::host;
#else
using space = sqs::device;
#endif
void use(graph_type& g, sqs::tensor<float, 1, space> x) { sqs::apply(g, square{}, x); }

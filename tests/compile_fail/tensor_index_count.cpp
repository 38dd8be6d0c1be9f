// SPDX-License-Identifier: Apache-2.0
// expected-error: sqs::tensor: give one index per dimension
#include <sqs/tensor/tensor.hpp>

float use(const sqs::tensor<float, 2>& x) {
#ifdef SQS_GOOD
  return x(1, 2);
#else
  return x(1, 2, 3);
#endif
}

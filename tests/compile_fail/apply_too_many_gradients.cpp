// SPDX-License-Identifier: Apache-2.0
// expected-error: Op::backward returns more gradients than the op has inputs
#include "square.hpp"

struct op : square {
  template <class S> auto backward(sqs::cpu&, const S&, const sqs::tensor<float, 1>& dy) const {
#ifdef SQS_GOOD
    return std::tuple{dy};
#else
    return std::tuple{dy, dy};
#endif
  }
};
auto use(graph_type& g, variable_type x) { return sqs::apply(g, op{}, x); }

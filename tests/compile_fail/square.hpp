// SPDX-License-Identifier: Apache-2.0
#pragma once
// A correct op and a graph, for the files that change one thing about them.
#include <sqs/autodiff/apply.hpp>
#include <sqs/exec/cpu.hpp>

struct square {
  template <class T> struct saved { sqs::tensor<T, 1> x; };
  template <class T> auto forward(sqs::cpu&, const sqs::tensor<T, 1>& x) const { return sqs::result{x, saved<T>{x}}; }
  template <class T> auto backward(sqs::cpu&, const saved<T>&, const sqs::tensor<T, 1>& dy) const { return dy; }
};
using graph_type = sqs::training_graph<sqs::cpu>;
using variable_type = sqs::variable<graph_type, float, 1>;

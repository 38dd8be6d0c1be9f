// SPDX-License-Identifier: Apache-2.0
#pragma once
// The kernels that test_gpu.hpp only declares.

#include "test_gpu.hpp"

#include <sqs/sparse/cuda/convolution.hpp>

namespace sqs::test {

template <class Kernel> void run_compiled_kernel(emulator::gpu& g, const void* kernel, idx blocks, int threads) {
  run_kernel<Kernel>(g, kernel, blocks, threads);
}

/// What a layer with features of type X and sums of type T may run.
template <class X, class T> struct layer_inputs {
  sparse::device_convolution_op op;
  tensor<X, 2, device> x;
  tensor<T, 3, device> weight;
  tensor<T, 1, device> bias;
};
template <class X, class T> void compile_kernels_of(test_gpu& e, const layer_inputs<X, T>& in) {
  const auto r = in.op.forward(e, in.x, in.weight, in.bias);
  in.op.backward(e, r.saved, in.x, {true, true, true});
}

} // namespace sqs::test

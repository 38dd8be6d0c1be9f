// SPDX-License-Identifier: Apache-2.0
// The kernels of `sqs::cuda_instances` for convolutions of features that are stored in 16 bits: those that `use` calls.
#undef SQS_USE_CUDA_INSTANCES
#include <sqs/core/bfloat16.hpp>
#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs;

/// What a program may hold: nothing is known about it here, so nothing is left out.
template <class X> struct inputs {
  sparse::device_plan plan;
  tensor<X, 2, device> rows;
  tensor<float, 2, device> residual;
  tensor<float, 3, device> weight;
  tensor<float, 1, device> vector;
  std::array<bool, 3> needs{};
  sparse::product_precision precision{};
};
template <class X> void use_stored(sqs::cuda& e, const inputs<X>& in) {
  const sparse::device_convolution_op op{in.plan, 1, in.precision};
  op.finished(e, in.rows, in.weight, in.vector, {in.vector, in.vector, in.residual, {}});
  const auto r = op.forward(e, in.rows, in.weight, in.vector);
  op.backward(e, r.saved, in.rows, in.needs);
}

/// Nobody calls it.
[[gnu::used]] void use(sqs::cuda& e, const inputs<bfloat16>& a, const inputs<float16>& b) {
  use_stored(e, a), use_stored(e, b);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The kernels of convolutions on the emulated device, of float and double, for the other tests.
#include "test_gpu_kernels.hpp"

namespace sqs::test {

void compile_wide_kernels(test_gpu& e, const layer_inputs<float, float>& a, const layer_inputs<double, double>& b) {
  compile_kernels_of(e, a), compile_kernels_of(e, b);
}

} // namespace sqs::test

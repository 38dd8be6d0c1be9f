// SPDX-License-Identifier: Apache-2.0
// The kernels of convolutions on the emulated device, of features stored in 16 bits, for the other tests.
#include "test_gpu_kernels.hpp"

#include <sqs/core/bfloat16.hpp>

namespace sqs::test {

void compile_narrow_kernels(test_gpu& e, const layer_inputs<bfloat16, float>& a,
                            const layer_inputs<float16, float>& b) {
  compile_kernels_of(e, a), compile_kernels_of(e, b);
}

} // namespace sqs::test

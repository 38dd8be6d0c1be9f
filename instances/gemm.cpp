// SPDX-License-Identifier: Apache-2.0
// The compiled matrix products of `sqs::instances`.
#undef SQS_USE_INSTANCES
#include <sqs/exec/gemm.hpp>

namespace sqs::detail {
template void gemm_block<float>(bool, bool, idx, idx, idx, const float*, idx, const float*, idx, float*, idx, bool);
template void gemm_block<double>(bool, bool, idx, idx, idx, const double*, idx, const double*, idx, double*, idx, bool);
} // namespace sqs::detail

// SPDX-License-Identifier: Apache-2.0
#include "splat/cuda_configs.hpp"

#include <sqs/splat/cuda/splat.cuh>

SQS_SPLAT_ON_CUDA(template, sqs::test::plain, double);
SQS_SPLAT_ON_CUDA(template, sqs::test::rich, double);
SQS_SPLAT_ON_CUDA(template, sqs::test::jagged, double);

// SPDX-License-Identifier: Apache-2.0
// The compiled rasterizers of `sqs::cuda_instances`.
#undef SQS_USE_CUDA_INSTANCES
#include <sqs/splat/cuda/splat.cuh>

SQS_SPLAT_ON_CUDA(template, sqs::splat::raster_config{}, float);
SQS_SPLAT_ON_CUDA(template, sqs::splat::harmonics_3, float);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The rasterizer on CUDA: `device_rasterizer<Config>` with the executor `cuda`.

#include <sqs/exec/cuda/algorithms.cuh>
#include <sqs/splat/cuda/contributors.hpp>
#include <sqs/splat/cuda/reach.hpp>

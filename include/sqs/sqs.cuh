// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything that needs nvcc: the definitions behind the CUDA overloads.

#include <sqs/exec/cuda/algorithms.cuh>
#include <sqs/exec/cuda/executor.cuh>
#include <sqs/sparse/cuda/sparse.cuh>
#include <sqs/splat/cuda/splat.cuh>

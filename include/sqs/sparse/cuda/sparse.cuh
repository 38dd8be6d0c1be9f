// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse tensors on a CUDA device: what the headers beside this one say of any device, with `sqs::cuda` ready to run
/// it.

#include <sqs/exec/cuda/algorithms.cuh>
#include <sqs/sparse/cuda/activation.hpp>
#include <sqs/sparse/cuda/bricks.hpp>
#include <sqs/sparse/cuda/combine.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/cuda/global_pooling.hpp>
#include <sqs/sparse/cuda/interpolate.hpp>
#include <sqs/sparse/cuda/normalization.hpp>
#include <sqs/sparse/cuda/plan.hpp>
#include <sqs/sparse/cuda/pooling.hpp>
#include <sqs/sparse/cuda/prune.hpp>
#include <sqs/sparse/cuda/sample_volume.hpp>
#include <sqs/sparse/cuda/sites.hpp>
#include <sqs/sparse/cuda/splits.hpp>
#include <sqs/sparse/cuda/stack.hpp>
#include <sqs/sparse/cuda/voxelize.hpp>

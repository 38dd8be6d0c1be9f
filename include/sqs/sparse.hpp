// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/sparse: sparse voxels.

#include <sqs/sparse/submanifold_convolution.hpp>
#include <sqs/sparse/submanifold_plan.hpp>

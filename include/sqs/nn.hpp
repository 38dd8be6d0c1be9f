// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/nn: dense layers.

#include <sqs/nn/activation.hpp>
#include <sqs/nn/cast.hpp>
#include <sqs/nn/column_sums.hpp>
#include <sqs/nn/conv2d.hpp>
#include <sqs/nn/linear.hpp>
#include <sqs/nn/mlp.hpp>
#include <sqs/nn/normalization.hpp>
#include <sqs/nn/resample.hpp>

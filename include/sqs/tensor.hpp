// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/tensor: tensors and their files.

#include <sqs/tensor/copy.hpp>
#include <sqs/tensor/json.hpp>
#include <sqs/tensor/json_stream.hpp>
#include <sqs/tensor/json_value.hpp>
#include <sqs/tensor/npy.hpp>
#include <sqs/tensor/safetensors.hpp>
#include <sqs/tensor/stored_numbers.hpp>
#include <sqs/tensor/tensor.hpp>

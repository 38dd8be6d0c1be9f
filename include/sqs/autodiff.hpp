// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/autodiff: ops, graphs, parameters, gradient checks, checkpoints.

#include <sqs/autodiff/apply.hpp>
#include <sqs/autodiff/check_gradient.hpp>
#include <sqs/autodiff/checkpoint.hpp>
#include <sqs/autodiff/graph.hpp>
#include <sqs/autodiff/initializer.hpp>
#include <sqs/autodiff/parameter.hpp>
#include <sqs/autodiff/result.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The library, but for data sets and pictures (which need file-format libraries: data.hpp).

#include <sqs/autodiff.hpp>
#include <sqs/backbone.hpp>
#include <sqs/core.hpp>
#include <sqs/exec.hpp>
#include <sqs/gaussian.hpp>
#include <sqs/geometry.hpp>
#include <sqs/loss.hpp>
#include <sqs/memory.hpp>
#include <sqs/metric.hpp>
#include <sqs/model.hpp>
#include <sqs/nn.hpp>
#include <sqs/optim.hpp>
#include <sqs/pipeline.hpp>
#include <sqs/query.hpp>
#include <sqs/sensor.hpp>
#include <sqs/sparse.hpp>
#include <sqs/splat.hpp>
#include <sqs/tensor.hpp>
#include <sqs/version.hpp>

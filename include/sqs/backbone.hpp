// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/backbone: images become features.

#include <sqs/backbone/feature_pyramid.hpp>
#include <sqs/backbone/fpn.hpp>
#include <sqs/backbone/resnet.hpp>

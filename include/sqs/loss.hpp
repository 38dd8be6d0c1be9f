// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/loss: images become numbers.

#include <sqs/loss/depth.hpp>
#include <sqs/loss/photometric.hpp>
#include <sqs/loss/ssim.hpp>
#include <sqs/loss/sum.hpp>

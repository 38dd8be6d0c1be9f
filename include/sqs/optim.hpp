// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/optim: optimisers and schedules.

#include <sqs/optim/adamw.hpp>
#include <sqs/optim/schedule.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/model: whole models.

#include <sqs/model/sqs.hpp>

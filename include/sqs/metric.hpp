// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/metric: how good it is.

#include <sqs/metric/rendering.hpp>

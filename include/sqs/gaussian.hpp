// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/gaussian: queries become Gaussians.

#include <sqs/gaussian/attribute.hpp>
#include <sqs/gaussian/covariance.hpp>
#include <sqs/gaussian/gaussian_set.hpp>
#include <sqs/gaussian/head.hpp>
#include <sqs/gaussian/ply.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/gaussian: queries become Gaussians.

#include <sqs/gaussian/attribute.hpp>
#include <sqs/gaussian/cloud.hpp>
#include <sqs/gaussian/covariance.hpp>
#include <sqs/gaussian/densify.hpp>
#include <sqs/gaussian/from_points.hpp>
#include <sqs/gaussian/gaussian_set.hpp>
#include <sqs/gaussian/gltf.hpp>
#include <sqs/gaussian/head.hpp>
#include <sqs/gaussian/ply.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/geometry: rigid transforms and cameras.

#include <sqs/geometry/camera.hpp>
#include <sqs/geometry/camera_projection.hpp>
#include <sqs/geometry/se3.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/sensor: images, cameras, LiDAR, one sample.

#include <sqs/sensor/exposure.hpp>
#include <sqs/sensor/image.hpp>
#include <sqs/sensor/lidar_depth.hpp>
#include <sqs/sensor/network_input.hpp>
#include <sqs/sensor/preprocess.hpp>
#include <sqs/sensor/rig.hpp>
#include <sqs/sensor/sample.hpp>

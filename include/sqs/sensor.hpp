// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/sensor: images, cameras, LiDAR, one sample.

#include <sqs/sensor/augment_colour.hpp>
#include <sqs/sensor/augment_image.hpp>
#include <sqs/sensor/augment_scene.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/ego_future.hpp>
#include <sqs/sensor/exposure.hpp>
#include <sqs/sensor/image.hpp>
#include <sqs/sensor/lidar_depth.hpp>
#include <sqs/sensor/network_input.hpp>
#include <sqs/sensor/occupancy.hpp>
#include <sqs/sensor/preprocess.hpp>
#include <sqs/sensor/rig.hpp>
#include <sqs/sensor/sample.hpp>
#include <sqs/sensor/sweeps.hpp>
#include <sqs/sensor/visibility.hpp>
#include <sqs/sensor/voxel_sampling.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/data: data sets (needs libjpeg and libpng).

#include <sqs/data/can_bus.hpp>
#include <sqs/data/check.hpp>
#include <sqs/data/dataset.hpp>
#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/data/loader.hpp>
#include <sqs/data/nuscenes.hpp>
#include <sqs/data/nuscenes_reader.hpp>
#include <sqs/data/nuscenes_splits.hpp>
#include <sqs/data/nuscenes_tables.hpp>
#include <sqs/data/nuscenes_token.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/data/procedural.hpp>
#include <sqs/data/procedural_scene.hpp>
#include <sqs/data/ray_caster.hpp>
#include <sqs/data/semantic_kitti.hpp>
#include <sqs/data/town.hpp>

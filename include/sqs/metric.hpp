// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/metric: how good it is.

#include <sqs/metric/captions.hpp>
#include <sqs/metric/collision.hpp>
#include <sqs/metric/confusion.hpp>
#include <sqs/metric/detection.hpp>
#include <sqs/metric/detection_config.hpp>
#include <sqs/metric/detection_curve.hpp>
#include <sqs/metric/detection_json.hpp>
#include <sqs/metric/drivable.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/metric/planning.hpp>
#include <sqs/metric/prediction_files.hpp>
#include <sqs/metric/ray_cast.hpp>
#include <sqs/metric/ray_iou.hpp>
#include <sqs/metric/rendering.hpp>

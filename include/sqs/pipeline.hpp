// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/pipeline: training runs.

#include <sqs/pipeline/box_pictures.hpp>
#include <sqs/pipeline/drawing.hpp>
#include <sqs/pipeline/metrics_log.hpp>
#include <sqs/pipeline/occupancy_pictures.hpp>
#include <sqs/pipeline/page.hpp>
#include <sqs/pipeline/policy.hpp>
#include <sqs/pipeline/pretrain.hpp>
#include <sqs/pipeline/progress.hpp>
#include <sqs/pipeline/report.hpp>
#include <sqs/pipeline/voxel_ply.hpp>

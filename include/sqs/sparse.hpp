// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/sparse: sparse voxels.

#include <sqs/sparse/block.hpp>
#include <sqs/sparse/bricks.hpp>
#include <sqs/sparse/combine.hpp>
#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/coo_tensor.hpp>
#include <sqs/sparse/cost.hpp>
#include <sqs/sparse/dense.hpp>
#include <sqs/sparse/duplicate_rule.hpp>
#include <sqs/sparse/geometry_relation.hpp>
#include <sqs/sparse/global_pooling.hpp>
#include <sqs/sparse/grid_map.hpp>
#include <sqs/sparse/interpolate.hpp>
#include <sqs/sparse/join.hpp>
#include <sqs/sparse/normalization.hpp>
#include <sqs/sparse/orthogonal.hpp>
#include <sqs/sparse/pair_lists.hpp>
#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/plan_cache.hpp>
#include <sqs/sparse/pointwise_plan.hpp>
#include <sqs/sparse/pooling.hpp>
#include <sqs/sparse/prune.hpp>
#include <sqs/sparse/sample_volume.hpp>
#include <sqs/sparse/sites.hpp>
#include <sqs/sparse/stack.hpp>
#include <sqs/sparse/taps.hpp>
#include <sqs/sparse/voxelize.hpp>
#include <sqs/sparse/weights.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/splat: Gaussians become images.

#include <sqs/splat/bin.hpp>
#include <sqs/splat/blend.hpp>
#include <sqs/splat/blend_backward.hpp>
#include <sqs/splat/config.hpp>
#include <sqs/splat/contributors.hpp>
#include <sqs/splat/flatten.hpp>
#include <sqs/splat/lanes.hpp>
#include <sqs/splat/look.hpp>
#include <sqs/splat/project.hpp>
#include <sqs/splat/project_backward.hpp>
#include <sqs/splat/rasterize.hpp>
#include <sqs/splat/record.hpp>
#include <sqs/splat/scene.hpp>
#include <sqs/splat/tile.hpp>
#include <sqs/splat/tile_backward.hpp>
#include <sqs/splat/tile_gradient.hpp>

// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/query: queries look at features.

#include <sqs/query/anchor.hpp>
#include <sqs/query/anchor_encoder.hpp>
#include <sqs/query/anchor_init.hpp>
#include <sqs/query/cross_attention.hpp>
#include <sqs/query/decoder_layer.hpp>
#include <sqs/query/deformable_aggregation.hpp>
#include <sqs/query/key_points.hpp>
#include <sqs/query/query_set.hpp>
#include <sqs/query/self_encoding.hpp>
